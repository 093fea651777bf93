//! The writer's side.

use std::io::Read;
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
use crate::snapshot::{self, Restored};
use crate::write::{Change, check_kept, check_lease, delete_range, put};
use crate::{Command, Error, Reader, Reply, RestoreError, Snapshot, Wants, txn};

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
        Self { shared: Arc::new(Shared::new()), hash: StateHash::new(), sweep: Sweep::new(-1) }
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

    /// The store as it is now, to be written by another thread. Costs the same whatever the store
    /// holds. Until it is dropped it holds back removals, as every [`View`](crate::View) does.
    pub fn snapshot(&self) -> Snapshot {
        self.reader().snapshot()
    }

    /// Puts what [`Snapshot::write_to`] wrote in place of everything. From then on this store is as
    /// if it had applied what the written one had: the same answers at every revision that can be
    /// read, the same replies to further commands, the same hash.
    ///
    /// [`Reader`]s see the new state, all of it at once; a [`View`](crate::View) that there is
    /// keeps to the old one. So both are in memory for a while. `input` is read to its end, and is
    /// the snapshot and nothing else. Whether the snapshot is newer than this store is for the
    /// caller to know.
    ///
    /// # Errors
    /// If `input` fails or is no whole, sound snapshot of a known format. The store is then as it
    /// was.
    pub fn restore(&mut self, input: &mut dyn Read) -> Result<(), RestoreError> {
        let Restored { tree, status, hash } = snapshot::read(input)?;
        self.shared.replace(tree, status, hash);
        self.hash = hash;
        self.sweep = Sweep::new(status.compacted);
        Ok(())
    }

    /// Moves the revision forward by `by` without a change, and forgets all history before the new
    /// one. For a store that goes on from a backup: clients of the cluster that it replaces may
    /// have seen later revisions than the backup has. Moved beyond them, no revision comes twice
    /// with another meaning, and who asks for what happened since an old one is told that it is
    /// compacted.
    ///
    /// Stores with equal states that are moved alike have equal states again.
    ///
    /// # Errors
    /// If `by` is not positive, or the revision would grow beyond what a snapshot may have. Nothing
    /// is changed then.
    pub fn advance(&mut self, by: i64) -> Result<(), AdvanceError> {
        let current = self.status().revision;
        let revision = current.checked_add(by).filter(|revision| *revision <= REVISION_MAX);
        let Some(revision) = revision.filter(|revision| current < *revision) else {
            return Err(AdvanceError { current, by, most: REVISION_MAX - current });
        };
        self.hash.advance(revision);
        let mut versions = self.shared.write();
        versions.status.revision = revision;
        versions.hash = self.hash;
        drop(versions);
        self.forget_before(revision);
        Ok(())
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
        self.forget_before(request.revision);
        if request.physical {
            while self.sweep.step(&self.shared) {}
        }
        Ok(CompactionResponse { header: header(status.revision) })
    }

    fn forget_before(&mut self, revision: i64) {
        self.hash.compact(revision);
        let mut versions = self.shared.write();
        versions.status.compacted = revision;
        versions.hash = self.hash;
        drop(versions);
        self.sweep.wanted(revision);
    }
}

/// A revision cannot be moved so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("revision {current} cannot be moved forward by {by}; take a number from 1 to {most}")]
pub struct AdvanceError {
    current: i64,
    by: i64,
    most: i64,
}

/// What no revision is moved beyond: as much again can still happen.
const REVISION_MAX: i64 = snapshot::NUMBER_MAX / 2;

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}
