//! The segments of a log, and what it would begin after if it began with one of them.
//!
//! **Invariants.** Segments ascend, and so do their bases. The base of a segment is what recovery
//! would find if the segments before it were gone, so it changes with what is written later.

use quorate_raft::{EntryId, Index, Term};

/// The segments of a log.
#[derive(Debug)]
pub(crate) struct Segments {
    /// The first that is still needed.
    first: u32,
    /// Those after it.
    starts: Vec<Start>,
}

/// A segment with which the log could begin.
#[derive(Clone, Copy, Debug)]
struct Start {
    number: u32,
    /// The entry before the first one, if the log began here.
    base: EntryId,
}

impl Segments {
    pub(crate) const fn new(first: u32) -> Self {
        Self { first, starts: Vec::new() }
    }

    /// The first segment that is still needed.
    pub(crate) const fn first(&self) -> u32 {
        self.first
    }

    /// Takes note of a segment that begins after the entry `last`.
    pub(crate) fn begin(&mut self, number: u32, last: EntryId) {
        if number > self.first {
            self.starts.push(Start { number, base: last });
        }
    }

    /// Takes note of a block. Who begins with a segment whose base the block replaces knows of the
    /// entries before the block nothing, not even their terms: the first entry of the block becomes
    /// the base.
    pub(crate) fn on_block(&mut self, first: Index, term: Term) {
        for start in self.starts.iter_mut().rev() {
            if start.base.index < first {
                break;
            }
            start.base = EntryId::new(term, first);
        }
    }

    /// Takes note of a reset: it is what counts, wherever the log begins.
    pub(crate) fn on_reset(&mut self, base: EntryId) {
        for start in &mut self.starts {
            start.base = base;
        }
    }

    /// Begins as late as possible: with a segment up to `written`, and with all entries beyond
    /// `through`. Returns the new base, or nothing if the log cannot begin later than it does.
    pub(crate) fn compact(&mut self, through: Index, written: u32) -> Option<EntryId> {
        let may_begin = |start: &Start| start.number <= written && start.base.index <= through;
        let count = self.starts.partition_point(may_begin);
        let start = self.starts.drain(..count).next_back()?;
        self.first = start.number;
        Some(start.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term::new(term), Index::new(index))
    }

    #[test]
    fn a_log_begins_as_late_as_it_may() {
        let mut segments = Segments::new(1);
        segments.begin(1, EntryId::ZERO);
        segments.begin(2, id(1, 10));
        segments.begin(3, id(1, 10));
        segments.begin(4, id(2, 20));
        assert_eq!(segments.compact(Index::new(9), 9), None);
        assert_eq!(segments.compact(Index::new(10), 2), Some(id(1, 10)), "3 is not written");
        assert_eq!(segments.first(), 2);
        assert_eq!(segments.compact(Index::new(19), 9), Some(id(1, 10)));
        assert_eq!(segments.first(), 3);
        assert_eq!(segments.compact(Index::new(19), 9), None, "there is nothing more");
        assert_eq!(segments.compact(Index::new(99), 9), Some(id(2, 20)));
        assert_eq!(segments.first(), 4);
    }

    #[test]
    fn what_replaces_a_base_becomes_the_base() {
        let mut segments = Segments::new(1);
        segments.begin(2, id(1, 5));
        segments.begin(3, id(1, 10));
        segments.begin(4, id(1, 20));
        segments.on_block(Index::new(21), Term::new(2));
        segments.on_block(Index::new(8), Term::new(2));
        // The entries from 8 on lie behind the beginning of segment 4 now.
        assert_eq!(segments.compact(Index::new(7), 9), Some(id(1, 5)));
        assert_eq!(segments.first(), 2);
        assert_eq!(segments.compact(Index::new(8), 9), Some(id(2, 8)));
        assert_eq!(segments.first(), 4);
    }

    #[test]
    fn a_reset_is_what_counts_for_all_segments_before_it() {
        let mut segments = Segments::new(1);
        segments.begin(2, id(1, 10));
        segments.begin(3, id(1, 20));
        segments.on_reset(id(2, 15));
        segments.on_block(Index::new(16), Term::new(2));
        segments.begin(4, id(2, 18));
        assert_eq!(segments.compact(Index::new(14), 9), None);
        assert_eq!(segments.compact(Index::new(17), 9), Some(id(2, 15)));
        assert_eq!(segments.first(), 3);
    }
}
