//! The readers' side.

use std::sync::Arc;

use quorate_proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};

use crate::hash::StateHash;
use crate::range::{get, is_get, range};
use crate::shared::{Budget, Moment, Pin, Shared, Status};
use crate::{Error, Snapshot, content, txn};

/// Reads a store from any thread, while its owner applies.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    answer_bytes_max: usize,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, answer_bytes_max: usize::MAX }
    }

    /// The same reader, whose answers have at most so many bytes: those of all keys and values, and
    /// [`PAIR_BYTES`](Self::PAIR_BYTES) more for each pair. A read of more ends where it goes
    /// beyond them.
    #[must_use]
    pub fn with_answer_bytes_max(self, answer_bytes_max: usize) -> Self {
        Self { answer_bytes_max, ..self }
    }

    /// What a pair counts in an answer besides its key and value.
    pub const PAIR_BYTES: usize = 32;

    /// Answers a read at the current revision.
    ///
    /// # Errors
    /// If its revision is compacted or has not happened, its sorting does not exist, or the answer
    /// would be too large.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        if !is_get(request) {
            return self.view().range(request);
        }
        // One key is read under one lock, so there is nothing to pin.
        let versions = self.shared.read();
        get(|key, revision| versions.tree.at(key, revision), &versions.status, request)
    }

    /// Answers a transaction that [only reads](crate::is_read_only), at the current revision.
    ///
    /// # Errors
    /// As [`range`](Self::range), and [`Error::WritesInRead`] if it does not only read.
    pub fn txn(&self, request: &TxnRequest) -> Result<TxnResponse, Error> {
        self.view().txn(request)
    }

    /// Pins the current revision. Costs the same whatever the store holds.
    pub fn view(&self) -> View {
        self.snapshot().into_view()
    }

    /// Pins the current revision, to be written. Costs the same whatever the store holds.
    pub fn snapshot(&self) -> Snapshot {
        let (view, hash) = View::new(Arc::clone(&self.shared), self.answer_bytes_max);
        Snapshot::new(view, hash)
    }

    /// The current revision.
    pub fn revision(&self) -> i64 {
        self.status().revision
    }

    /// The oldest revision that can be read; -1 before the first compaction.
    pub fn compacted(&self) -> i64 {
        self.status().compacted
    }

    /// The numbers of the store, all of one moment.
    pub fn status(&self) -> Status {
        self.shared.read().status
    }
}

/// The store as it stood when the view was made, with all the history that it had then. While the
/// view lives, compactions free nothing that it can read; so it should not live for long. A
/// [restore](crate::Store::restore) does not change it either: all that was replaced stays for it.
#[derive(Debug)]
pub struct View {
    shared: Arc<Shared>,
    status: Status,
    pin: Pin,
    answer_bytes_max: usize,
}

impl View {
    /// Pins the current revision. With it, the hash of all that had been applied.
    pub(crate) fn new(shared: Arc<Shared>, answer_bytes_max: usize) -> (Self, StateHash) {
        let (status, hash, pin) = shared.pin();
        (Self { shared, status, pin, answer_bytes_max }, hash)
    }

    /// Answers a read.
    ///
    /// # Errors
    /// If its revision was compacted or had not happened when the view was made, its sorting does
    /// not exist, or the answer would be too large.
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let budget = Budget::new(self.answer_bytes_max);
        range(&Moment { budget: Some(&budget), ..self.moment() }, request)
    }

    /// Answers a transaction that [only reads](crate::is_read_only).
    ///
    /// # Errors
    /// As [`range`](Self::range), and [`Error::WritesInRead`] if it does not only read.
    pub fn txn(&self, request: &TxnRequest) -> Result<TxnResponse, Error> {
        let budget = Budget::new(self.answer_bytes_max);
        txn::read(&Moment { budget: Some(&budget), ..self.moment() }, request)
    }

    /// The hash of all that can be read at revisions up to `revision`; 0 or less for the current
    /// one. Stores that are compacted alike and have the same history up to there have the same
    /// hash, whatever happened later. It reads everything, a bounded number of keys at a time.
    ///
    /// # Errors
    /// If the revision was compacted or had not happened when the view was made.
    pub fn content_hash(&self, revision: i64) -> Result<u32, Error> {
        content::hash(&self.moment(), revision)
    }

    /// The revision that was current.
    pub fn revision(&self) -> i64 {
        self.status.revision
    }

    /// The numbers of the store as they were.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What it reads from.
    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment { shared: &self.shared, status: self.status, pin: Some(self.pin), budget: None }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.shared.unpin(self.pin);
    }
}
