//! Where the entries are: the records that hold them, and the terms they have.
//!
//! **Invariants.** The records cover every index after the base up to the last without gap or
//! overlap. Terms never fall. A record may be longer on the disk than what counts of it: a later
//! record replaced its tail. The first one may begin with the base.

use quorate_raft::{EntryId, Index, Run, Term};

use crate::format::Position;
use crate::segments::Segments;

/// A record of entries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) first: Index,
    pub(crate) term: Term,
    /// The entries that count: as many as it holds, or fewer.
    pub(crate) count: u32,
    /// The entries that it holds.
    pub(crate) count_stored: u32,
    /// The length of the encoded entries that it holds.
    pub(crate) body_bytes: u32,
    pub(crate) position: Position,
}

impl Record {
    /// The index after the last entry that counts.
    pub(crate) fn next(&self) -> Index {
        self.first.plus(u64::from(self.count))
    }
}

/// The records of a log, by index.
#[derive(Debug)]
pub(crate) struct Records {
    /// The entry before the first one.
    base: EntryId,
    /// Where the record is that says so; zero if the base is the beginning of a segment.
    base_position: Position,
    records: Vec<Record>,
    /// The first index of each term, ascending.
    terms: Vec<(Index, Term)>,
    segments: Segments,
}

impl Records {
    /// No records, in a log whose first segment is `segment` and that begins after `base`.
    pub(crate) const fn new(segment: u32, base: EntryId) -> Self {
        Self {
            base,
            base_position: Position::ZERO,
            records: Vec::new(),
            terms: Vec::new(),
            segments: Segments::new(segment),
        }
    }

    /// The entry before the first one, or [`EntryId::ZERO`].
    pub(crate) const fn base(&self) -> EntryId {
        self.base
    }

    /// The first segment that is needed.
    pub(crate) const fn first_segment(&self) -> u32 {
        self.segments.first()
    }

    /// The last entry; the base if there is none.
    pub(crate) fn last(&self) -> EntryId {
        self.records
            .last()
            .map_or(self.base, |record| EntryId::new(record.term, record.next().previous()))
    }

    /// The term of an entry or of the base; those before the base and beyond the last have none.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index < self.base.index || index > self.last().index {
            return None;
        }
        if index == self.base.index {
            return Some(self.base.term);
        }
        let after = self.terms.partition_point(|&(first, _)| first <= index);
        after.checked_sub(1).map(|at| self.terms[at].1)
    }

    /// Whether entries of `term` may follow the one before `first`.
    pub(crate) fn accepts(&self, first: Index, term: Term) -> bool {
        first > Index::ZERO
            && self.term_at(first.previous()).is_some_and(|previous| previous <= term)
    }

    /// Adds a record; whatever was at its first index and beyond no longer counts.
    pub(crate) fn push(&mut self, record: Record) {
        assert!(self.accepts(record.first, record.term), "a record does not continue the log");
        self.add(record);
    }

    /// Whether a record may replace the base itself. Only recovery finds such: the header of the
    /// first segment names an entry that was replaced when the segment was written.
    pub(crate) fn may_replace_base(&self, first: Index) -> bool {
        let is_header = self.base_position == Position::ZERO;
        is_header && first > Index::ZERO && first <= self.base.index
    }

    /// Adds a record that replaces the base itself. Nothing is known of what was before the record,
    /// so its first entry becomes the base.
    pub(crate) fn push_over_base(&mut self, record: Record) {
        assert!(self.may_replace_base(record.first), "a record does not replace the base");
        self.clear(EntryId::new(record.term, record.first));
        self.add(record);
    }

    /// Takes note that the next records are in another segment.
    pub(crate) fn begin_segment(&mut self, number: u32) {
        self.segments.begin(number, self.last());
    }

    /// Goes on after `base`, as the record at `position` says.
    pub(crate) fn reset(&mut self, base: EntryId, position: Position) {
        self.clear(base);
        self.base_position = position;
        self.segments.on_reset(base);
    }

    /// Forgets what is in segments that need not be kept for an entry beyond `through`, and that
    /// are before the segment `written`. Says whether there are such.
    pub(crate) fn compact(&mut self, through: Index, written: u32) -> bool {
        let Some(base) = self.segments.compact(through, written) else { return false };
        if base != self.base {
            self.base = base;
            self.base_position = Position::ZERO;
        }
        let first = base.index.next();
        let gone = self.records.partition_point(|record| record.next() <= first);
        self.records.drain(..gone);
        // The last term that begins at or before the first entry is the one it has.
        let begun = self.terms.partition_point(|&(begin, _)| begin <= first);
        self.terms.drain(..begun.saturating_sub(1));
        true
    }

    /// Where the record is that holds an entry, or that made it the base; zero for a base that no
    /// record made.
    pub(crate) fn position_of(&self, index: Index) -> Option<Position> {
        if index == self.base.index {
            return Some(self.base_position);
        }
        self.from(index).first().map(|record| record.position)
    }

    fn clear(&mut self, base: EntryId) {
        self.base = base;
        self.records.clear();
        self.terms.clear();
    }

    fn add(&mut self, record: Record) {
        assert!(record.count > 0, "a record holds at least one entry");
        self.segments.on_block(record.first, record.term);
        self.truncate(record.first);
        if self.terms.last().is_none_or(|&(_, term)| term < record.term) {
            self.terms.push((record.first, record.term));
        }
        self.records.push(record);
    }

    /// The record that holds an index, and all after it.
    pub(crate) fn from(&self, index: Index) -> &[Record] {
        let at = self.records.partition_point(|record| record.next() <= index);
        &self.records[at..]
    }

    /// The terms of all entries after the base.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let end = self.last().index.next();
        let nexts = self.terms.iter().skip(1).map(|&(first, _)| first).chain([end]);
        let start = self.base.index.next();
        // The first term may have begun with the base or before it.
        let runs = self.terms.iter().zip(nexts).map(|(&(first, term), next)| {
            let first = first.max(start);
            Run { term, count: next.max(start).since(first) }
        });
        runs.filter(|run| run.count > 0).collect()
    }

    fn truncate(&mut self, from: Index) {
        while self.records.last().is_some_and(|record| record.first >= from) {
            self.records.pop();
        }
        if let Some(record) = self.records.last_mut()
            && record.next() > from
        {
            let left = from.since(record.first);
            record.count = u32::try_from(left).expect("a part is not larger than the whole");
        }
        while self.terms.last().is_some_and(|&(first, _)| first >= from) {
            self.terms.pop();
        }
    }
}
