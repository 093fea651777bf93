//! Where the entries are: the records that hold them, and the terms they have.
//!
//! **Invariants.** The records cover every index from 1 to the last without gap or overlap. Terms
//! never fall. A record may be longer on the disk than what counts of it: a later record replaced
//! its tail.

use quorate_raft::{EntryId, Index, Run, Term};

use crate::format::Position;

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
#[derive(Debug, Default)]
pub(crate) struct Records {
    records: Vec<Record>,
    /// The first index of each term, ascending.
    terms: Vec<(Index, Term)>,
}

impl Records {
    /// The last entry, or [`EntryId::ZERO`].
    pub(crate) fn last(&self) -> EntryId {
        self.records
            .last()
            .map_or(EntryId::ZERO, |record| EntryId::new(record.term, record.next().previous()))
    }

    /// The term of an entry; that of index 0 is zero, those beyond the last have none.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index > self.last().index {
            return None;
        }
        let after = self.terms.partition_point(|&(first, _)| first <= index);
        Some(after.checked_sub(1).map_or(Term::ZERO, |at| self.terms[at].1))
    }

    /// Whether entries of `term` may follow the one before `first`.
    pub(crate) fn accepts(&self, first: Index, term: Term) -> bool {
        first > Index::ZERO
            && self.term_at(first.previous()).is_some_and(|previous| previous <= term)
    }

    /// Adds a record; whatever was at its first index and beyond no longer counts.
    pub(crate) fn push(&mut self, record: Record) {
        assert!(self.accepts(record.first, record.term), "a record does not continue the log");
        assert!(record.count > 0, "a record holds at least one entry");
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

    /// The terms of all entries from index 1 on.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let end = self.last().index.next();
        let nexts = self.terms.iter().skip(1).map(|&(first, _)| first).chain([end]);
        let runs = self.terms.iter().zip(nexts);
        runs.map(|(&(first, term), next)| Run { term, count: next.since(first) }).collect()
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
