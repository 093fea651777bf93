//! A log that begins later: forgetting what a snapshot covers, and going on after one.
//!
//! **Invariants.** Only whole segments go, and only such as nothing on the disk relies on any more
//! when [`Log::compact`] is called: the job that removes them may do it whatever becomes of its own
//! records.

use quorate_raft::{EntryId, Index};

use crate::disk::Disk;
use crate::format::{RecordHeader, RecordKind};
use crate::log::{Log, Sequence};

impl<D: Disk> Log<D> {
    /// The entry right before the first one; [`EntryId::ZERO`] if the log has all its entries.
    #[must_use]
    pub const fn base(&self) -> EntryId {
        self.records.base()
    }

    /// Forgets entries up to `through`, which a durable snapshot covers. Only whole segments go, so
    /// some of these entries may stay: [`Self::base`] says after which one the log begins now. Does
    /// nothing if it begins after `through` already.
    ///
    /// Never touches the disk: the next job removes the files, after its own sync. If the disk does
    /// not let it, [`Self::has_leftovers`] says so afterwards and nothing else is harmed; the first
    /// job after the next call tries again, be the call for the same entry. After an opening, call
    /// this again: what was to be removed before may still be there.
    ///
    /// # Panics
    /// If not everything up to `through` is durable in this log: a bug of the caller.
    pub fn compact(&mut self, through: Index) {
        if through >= self.base().index {
            let position = self.records.position_of(through);
            let is_durable = position.is_some_and(|position| position < self.durable_end);
            assert!(is_durable, "what is compacted must be durable");
            if self.records.compact(through, self.durable_end.segment()) {
                self.readers.forget_before(self.records.first_segment());
            }
        }
        self.removal_waits = self.has_leftovers();
    }

    /// Whether segments that were given up are still there, as of the last job that succeeded.
    #[must_use]
    pub const fn has_leftovers(&self) -> bool {
        self.oldest < self.records.first_segment()
    }

    /// Whatever the log holds no longer counts, and it goes on after `base`, the last entry of a
    /// snapshot that is durable: a change like an append, in the order of the calls. Visible at
    /// once; durable once [`Self::finish_sync`] says so, and only then may [`Self::compact`] be
    /// called for `base`, which gives back the space of what was replaced. Never touches the disk.
    ///
    /// # Panics
    /// If `base` is no entry, or lies before the base there is: a bug of the caller.
    pub fn reset(&mut self, base: EntryId) -> Sequence {
        assert!(base.index > Index::ZERO, "a snapshot ends with an entry");
        assert!(base.index >= self.base().index, "a snapshot older than the log's beginning");
        self.appended = self.appended.next();
        let header = RecordHeader {
            first: base.index.value(),
            term: base.term.value(),
            ..self.blank_header(RecordKind::Base)
        };
        let position = self.place_record(header);
        self.records.reset(base, position);
        self.cache.clear();
        self.appended
    }
}
