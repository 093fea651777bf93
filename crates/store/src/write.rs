//! Puts and removals, as commands and inside of transactions.
//!
//! All changes of one command share one revision, the next; each has its place in it, from 0. They
//! are written above the current revision, where nobody but the command itself looks, and
//! [`Change::publish`] makes them current all at once. So a long one need not hold the lock
//! throughout.

use std::ops::ControlFlow;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
};
use quorate_proto::mvccpb::KeyValue;

use crate::hash::StateHash;
use crate::leaf::Visitor;
use crate::range::header;
use crate::record::{Fields, Version};
use crate::shared::{Moment, Shared, Status, Versions};
use crate::span::Span;
use crate::{Error, Wants};

/// What one command has changed so far.
#[derive(Debug)]
pub(crate) struct Change<'h> {
    /// The numbers of the store as they will be, but for the revision, which is that of before.
    status: Status,
    /// How many changes there were.
    made: i64,
    hash: &'h mut StateHash,
}

impl<'h> Change<'h> {
    /// None yet, after what `status` says.
    pub(crate) fn new(status: Status, hash: &'h mut StateHash) -> Self {
        Self { status, made: 0, hash }
    }

    /// The numbers as the command itself sees them: the next revision is its own from its first
    /// change on.
    pub(crate) fn seen(&self) -> Status {
        let revision = self.status.revision + i64::from(self.made > 0);
        Status { revision, ..self.status }
    }

    /// Makes the changes current.
    pub(crate) fn publish(self, versions: &mut Versions) {
        versions.status = self.seen();
        versions.hash = *self.hash;
    }

    /// The place of the next change: revision and place in it.
    fn place(&self) -> (i64, i64) {
        (self.status.revision + 1, self.made)
    }

    fn count(&mut self, old: Option<&Version>, new: &Version) {
        let live = |version: &&Version| !version.is_tombstone();
        self.made += 1;
        self.status.versions += 1;
        self.status.bytes += new.bytes();
        if let Some(old) = old.filter(live) {
            self.status.keys -= 1;
            self.status.bytes_live -= old.bytes();
        }
        if let Some(new) = Some(new).filter(live) {
            self.status.keys += 1;
            self.status.bytes_live += new.bytes();
        }
    }
}

/// Whether a put finds its lease. There are none yet.
pub(crate) fn check_lease(request: &PutRequest) -> Result<(), Error> {
    if request.lease == 0 { Ok(()) } else { Err(Error::LeaseNotFound) }
}

/// Whether a put that keeps something finds what it keeps.
pub(crate) fn check_kept(
    versions: &Versions,
    revision: i64,
    request: &PutRequest,
) -> Result<(), Error> {
    let keeps = request.ignore_value || request.ignore_lease;
    if keeps && versions.tree.at(&request.key, revision).is_none() {
        return Err(Error::KeyNotFound);
    }
    Ok(())
}

/// Sets a key. The checks passed before the first change of the command, so this cannot fail;
/// should the key of a put that keeps something have been removed since, by the same transaction,
/// then there is nothing to keep and the put sets what it brings.
pub(crate) fn put(
    versions: &mut Versions,
    change: &mut Change<'_>,
    request: &PutRequest,
    wants: Wants,
) -> PutResponse {
    let (revision, sub) = change.place();
    let mut response = PutResponse { header: header(revision), prev_kv: None };
    versions.tree.push(&request.key, |newest| {
        let old = newest.filter(|version| !version.is_tombstone());
        let facts = old.map(Version::facts);
        let old = old.zip(facts.as_ref());
        if request.prev_kv && wants == Wants::Reply {
            response.prev_kv = old.map(|(old, facts)| old.key_value(facts));
        }
        let kept = |ignore: bool| old.filter(|_| ignore);
        let value =
            kept(request.ignore_value).map_or(&request.value[..], |(old, facts)| old.value(facts));
        let lease = kept(request.ignore_lease).map_or(request.lease, |(_, facts)| facts.lease);
        let fields = Fields {
            create_revision: old.map_or(revision, |(_, facts)| facts.create_revision),
            version: old.map_or(1, |(_, facts)| facts.version + 1),
            lease,
            value,
        };
        let new = Version::set(revision, sub, &request.key, fields);
        change.hash.set((revision, sub), &request.key, value, lease);
        change.count(newest, &new);
        new
    });
    response
}

/// Removes keys, each change one tombstone.
pub(crate) fn delete_range(
    shared: &Shared,
    change: &mut Change<'_>,
    request: &DeleteRangeRequest,
    wants: Wants,
) -> DeleteRangeResponse {
    let seen = change.seen();
    let mut doomed = Doomed { keys: Vec::new(), pairs: Vec::new(), wants_pairs: false };
    doomed.wants_pairs = request.prev_kv && wants == Wants::Reply;
    let span = Span::new(&request.key, &request.range_end);
    Moment { shared, status: seen, pin: None, budget: None }.scan(
        &span,
        seen.revision,
        &mut doomed,
    );
    for keys in doomed.keys.chunks(DELETE_STEP) {
        let mut versions = shared.write();
        for key in keys {
            delete(&mut versions, change, key);
        }
    }
    let deleted = i64::try_from(doomed.keys.len()).expect("memory has fewer keys than that");
    let header = header(change.seen().revision);
    DeleteRangeResponse { header, deleted, prev_kvs: doomed.pairs }
}

fn delete(versions: &mut Versions, change: &mut Change<'_>, key: &[u8]) {
    let (revision, sub) = change.place();
    versions.tree.push(key, |newest| {
        let new = Version::tombstone(revision, sub, key);
        change.hash.remove((revision, sub), key);
        change.count(newest, &new);
        new
    });
}

/// Gathers what is to be removed.
struct Doomed {
    keys: Vec<Bytes>,
    pairs: Vec<KeyValue>,
    wants_pairs: bool,
}

impl Visitor for Doomed {
    fn visit(&mut self, version: &Version) -> ControlFlow<()> {
        self.keys.push(version.key());
        if self.wants_pairs {
            self.pairs.push(version.key_value(&version.facts()));
        }
        ControlFlow::Continue(())
    }

    fn counts_only(&self) -> bool {
        false
    }

    fn count(&mut self, _keys: usize) {}
}

/// How many keys are removed before the lock is let go for a moment.
const DELETE_STEP: usize = 64;
