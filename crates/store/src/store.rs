//! The writer's side.

use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, TxnRequest, TxnResponse,
};

use crate::compact::Sweep;
use crate::hash::StateHash;
use crate::range::header;
use crate::shared::{Shared, Status};
use crate::write::{Change, check_kept, check_lease, delete_range, put};
use crate::{Command, Error, Reader, Reply, Wants, txn};

/// The state machine. One thread owns it and applies the log to it; others read through
/// [`reader`](Self::reader)s.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    /// Of all that was applied.
    hash: StateHash,
    /// What is still to be removed of what was compacted.
    sweep: Sweep,
}

impl Store {
    /// An empty store, at revision 1.
    pub fn new() -> Self {
        Self { shared: Arc::new(Shared::new()), hash: StateHash::new(), sweep: Sweep::new() }
    }

    /// Applies one command as it stands in the log. The reply, if it is wanted.
    ///
    /// Bytes that are no command change nothing. They do so everywhere, so members stay equal.
    pub fn apply(&mut self, command: &Bytes, wants: Wants) -> Option<Reply> {
        let reply = match Command::decode(command) {
            Ok(Command::Put(request)) => Reply::Put(self.put(&request, wants)),
            Ok(Command::DeleteRange(request)) => {
                Reply::DeleteRange(Ok(self.delete_range(&request, wants)))
            }
            Ok(Command::Txn(request)) => Reply::Txn(self.txn(&request, wants)),
            Ok(Command::Compact(request)) => Reply::Compact(self.compact(request)),
            Err(error) => Reply::Malformed(error),
        };
        self.sweep.step(&self.shared);
        match wants {
            Wants::Reply => Some(reply),
            Wants::Nothing => None,
        }
    }

    /// A reader of this store, for another thread.
    pub fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.shared))
    }

    /// The hash of all that was applied. Members that applied the same commands have the same.
    pub fn state_hash(&self) -> u64 {
        self.hash.value()
    }

    /// The numbers of the store.
    pub fn status(&self) -> Status {
        self.shared.read().status
    }

    fn put(&mut self, request: &PutRequest, wants: Wants) -> Result<PutResponse, Error> {
        check_lease(request)?;
        let mut versions = self.shared.write();
        check_kept(&versions, versions.status.revision, request)?;
        let mut change = Change::new(versions.status, &mut self.hash);
        let response = put(&mut versions, &mut change, request, wants);
        change.publish(&mut versions);
        Ok(response)
    }

    fn delete_range(&mut self, request: &DeleteRangeRequest, wants: Wants) -> DeleteRangeResponse {
        let mut change = Change::new(self.status(), &mut self.hash);
        let response = delete_range(&self.shared, &mut change, request, wants);
        change.publish(&mut self.shared.write());
        response
    }

    fn txn(&mut self, request: &TxnRequest, wants: Wants) -> Result<TxnResponse, Error> {
        let mut change = Change::new(self.status(), &mut self.hash);
        let response = txn::apply(&self.shared, &mut change, request, wants)?;
        change.publish(&mut self.shared.write());
        Ok(response)
    }

    fn compact(&mut self, request: CompactionRequest) -> Result<CompactionResponse, Error> {
        let status = self.status();
        if request.revision <= status.compacted {
            return Err(Error::Compacted);
        }
        if status.revision < request.revision {
            return Err(Error::FutureRevision);
        }
        self.shared.write().status.compacted = request.revision;
        self.hash.compact(request.revision);
        self.sweep.wanted(request.revision);
        if request.physical {
            while self.sweep.step(&self.shared) {}
        }
        Ok(CompactionResponse { header: header(status.revision) })
    }
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}
