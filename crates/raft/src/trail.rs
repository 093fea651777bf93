//! The log without its payloads: for each term, where its entries begin.
//!
//! Entry terms never fall along a log, so a handful of runs tells the term of every entry, in
//! memory proportional to the number of leaders and not of entries. No question about the log needs
//! a disk. A log that was compacted begins after its *base* (§7): what comes before is in a
//! snapshot, and all of it is committed.

use alloc::vec::Vec;

use crate::message::Run;
use crate::types::{EntryId, Index, Term};

/// The terms of all entries of a log.
///
/// Invariants: `starts` rises strictly in index and in term, its first index is that after the base
/// and its first term not below the base's, and its last index is at most `last`; it is empty
/// exactly when `last` is the base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    /// The entry right before the first one; `EntryId::ZERO` of a log that has all its entries.
    base: EntryId,
    /// The first entry of each term that the log has entries of.
    starts: Vec<EntryId>,
    /// The index of the last entry.
    last: Index,
}

impl Trail {
    /// No entries after `base`.
    pub(crate) const fn after(base: EntryId) -> Self {
        Self { base, starts: Vec::new(), last: base.index }
    }

    /// The entry right before the first one.
    pub(crate) const fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry; the base of a log without entries.
    pub(crate) fn last(&self) -> EntryId {
        EntryId::new(self.starts.last().map_or(self.base.term, |start| start.term), self.last)
    }

    /// The index of the last entry.
    pub(crate) const fn last_index(&self) -> Index {
        self.last
    }

    /// The term of the entry at `index`, that of the base included: none beyond the last, and none
    /// before the base, where it is forgotten.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if self.last < index || index < self.base.index {
            return None;
        }
        Some(self.run_at(index).map_or(self.base.term, |run| self.starts[run].term))
    }

    /// The entry at `index`, which the log holds.
    pub(crate) fn entry(&self, index: Index) -> EntryId {
        EntryId::new(self.term_at(index).expect("the log holds the entry asked for"), index)
    }

    /// The first entry of each term that the log has entries of.
    pub(crate) fn starts(&self) -> &[EntryId] {
        &self.starts
    }

    /// Adds `count` entries of `term`, which is not below the last one's.
    pub(crate) fn append(&mut self, term: Term, count: u64) {
        assert!(0 < count, "an append has entries");
        let last = self.last();
        assert!(last.term <= term, "entry terms never fall");
        assert!(Term::ZERO < term, "term zero has no leader and so no entries");
        if last.term < term || self.starts.is_empty() {
            self.starts.push(EntryId::new(term, self.last.next()));
        }
        self.last = self.last.plus(count);
    }

    /// Removes the entries after `last`, if there are any.
    pub(crate) fn truncate(&mut self, last: Index) {
        if self.last <= last {
            return;
        }
        assert!(self.base.index <= last, "what is before the base is committed");
        while self.starts.last().is_some_and(|start| last < start.index) {
            self.starts.pop();
        }
        self.last = last;
    }

    /// Forgets the entries up to `base`, which is held.
    pub(crate) fn compact(&mut self, base: EntryId) {
        assert_eq!(self.term_at(base.index), Some(base.term), "a log is cut at one of its entries");
        let first = base.index.next();
        let gone = self.starts.partition_point(|start| start.index <= first);
        self.starts.drain(..gone.saturating_sub(1));
        match self.starts.first_mut() {
            Some(_) if self.last == base.index => self.starts.clear(),
            Some(start) => start.index = start.index.max(first),
            None => {}
        }
        self.base = base;
    }

    /// Forgets all entries, and goes on after `base`.
    pub(crate) fn reset(&mut self, base: EntryId) {
        *self = Self::after(base);
    }

    /// The entries from `first` to `last`, both included and held, as runs.
    pub(crate) fn runs(&self, first: Index, last: Index) -> Vec<Run> {
        assert!(self.base.index < first, "only entries of the log can be named");
        assert!(last <= self.last, "only entries of the log can be named");
        let mut runs = Vec::new();
        let mut at = first;
        while at <= last {
            let run = self.run_at(at).expect("every entry is in a run");
            let end = self.run_end(run).min(last);
            runs.push(Run { term: self.starts[run].term, count: end.since(at) + 1 });
            at = end.next();
        }
        runs
    }

    /// The last entry at or below `index` whose term is not above `term`, the base included. Where
    /// two logs may agree at best, when one of them has `term` at `index` (end of §5.3). `None` if
    /// that is before the base.
    pub(crate) fn last_at_or_below(&self, index: Index, term: Term) -> Option<EntryId> {
        let index = index.min(self.last);
        if index < self.base.index {
            return None;
        }
        let base = (self.base.term <= term).then_some(self.base);
        let Some(mut run) = self.run_at(index) else { return base };
        if self.starts[run].term <= term {
            return Some(EntryId::new(self.starts[run].term, index));
        }
        while term < self.starts[run].term {
            let Some(earlier) = run.checked_sub(1) else { return base };
            run = earlier;
        }
        Some(EntryId::new(self.starts[run].term, self.run_end(run)))
    }

    /// The first of the entries `runs`, which begin after `previous`, that this log lacks or has
    /// with another term. `None` when it has them all. Those up to the base are not looked at.
    pub(crate) fn first_missing(&self, previous: Index, runs: &[Run]) -> Option<Index> {
        let mut next = previous.next();
        for run in runs {
            let end = next.plus(run.count).previous();
            let mut at = next.max(self.base.index.next());
            next = end.next();
            while at <= end {
                if self.term_at(at) != Some(run.term) {
                    return Some(at);
                }
                let own = self.run_at(at).expect("every entry is in a run");
                at = self.run_end(own).min(end).next();
            }
        }
        None
    }

    /// Whether the invariants hold.
    pub(crate) fn is_sound(&self) -> bool {
        let starts_rise = self.starts.is_sorted_by(|a, b| a.index < b.index && a.term < b.term);
        let ends_match = match (self.starts.first(), self.starts.last()) {
            (Some(first), Some(last)) => {
                first.index == self.base.index.next()
                    && self.base.term <= first.term
                    && last.index <= self.last
            }
            _ => self.last == self.base.index,
        };
        starts_rise && ends_match
    }

    /// The place in `starts` of the run that holds `index`; `None` before the first entry.
    fn run_at(&self, index: Index) -> Option<usize> {
        assert!(index <= self.last, "asked about an entry beyond the log");
        // Almost every question is about the newest run.
        let newest = self.starts.len().checked_sub(1)?;
        if self.starts[newest].index <= index {
            return Some(newest);
        }
        self.starts.partition_point(|start| start.index <= index).checked_sub(1)
    }

    /// The last index of a run.
    fn run_end(&self, run: usize) -> Index {
        self.starts.get(run + 1).map_or(self.last, |next| next.index.previous())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use alloc::vec;

    fn trail_of(terms: &[u64]) -> Trail {
        let mut trail = Trail::default();
        for &term in terms {
            trail.append(Term::new(term), 1);
        }
        assert!(trail.is_sound());
        trail
    }

    fn runs_of(terms: &[u64]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for &term in terms {
            match runs.last_mut() {
                Some(run) if run.term == Term::new(term) => run.count += 1,
                _ => runs.push(Run { term: Term::new(term), count: 1 }),
            }
        }
        runs
    }

    fn at(index: u64) -> Index {
        Index::new(index)
    }

    #[test]
    fn an_empty_trail_ends_before_the_first_entry() {
        let trail = Trail::default();
        assert_eq!(trail.last(), EntryId::ZERO);
        assert_eq!(trail.term_at(at(0)), Some(Term::ZERO));
        assert_eq!(trail.term_at(at(1)), None);
        assert_eq!(trail.last_at_or_below(at(9), Term::new(9)), Some(EntryId::ZERO));
        assert!(trail.is_sound());
    }

    #[test]
    fn the_hint_skips_terms_above_the_asked_one() {
        let trail = trail_of(&[1, 1, 4, 4, 6]);
        let hint = |index, term| trail.last_at_or_below(at(index), Term::new(term));
        assert_eq!(hint(5, 6), Some(EntryId::new(Term::new(6), at(5))));
        assert_eq!(hint(5, 5), Some(EntryId::new(Term::new(4), at(4))));
        assert_eq!(hint(9, 3), Some(EntryId::new(Term::new(1), at(2))));
        assert_eq!(hint(1, 3), Some(EntryId::new(Term::new(1), at(1))));
        assert_eq!(hint(9, 0), Some(EntryId::ZERO));
    }

    #[test]
    fn truncation_to_a_boundary_forgets_the_run() {
        let mut trail = trail_of(&[1, 1, 4, 4, 6]);
        trail.truncate(at(4));
        assert_eq!(trail, trail_of(&[1, 1, 4, 4]));
        trail.truncate(at(0));
        assert_eq!(trail, Trail::default());
    }

    #[test]
    fn a_trail_that_is_cut_knows_nothing_of_what_was_before() {
        let mut trail = trail_of(&[1, 1, 4, 4, 6]);
        trail.compact(EntryId::new(Term::new(4), at(3)));
        assert!(trail.is_sound());
        assert_eq!(trail.base(), EntryId::new(Term::new(4), at(3)));
        assert_eq!((trail.term_at(at(2)), trail.term_at(at(3))), (None, Some(Term::new(4))));
        assert_eq!(trail.last_at_or_below(at(5), Term::new(3)), None, "perhaps further back");
        assert_eq!(trail.last_at_or_below(at(5), Term::new(5)), Some(trail.entry(at(4))));
        assert_eq!(trail.first_missing(at(0), &runs_of(&[1, 1, 4, 4, 6])), None);
        assert_eq!(trail.first_missing(at(0), &runs_of(&[1, 1, 4, 5])), Some(at(4)));
        trail.compact(EntryId::new(Term::new(6), at(5)));
        assert_eq!(trail, Trail::after(EntryId::new(Term::new(6), at(5))));
        trail.append(Term::new(6), 2);
        assert!(trail.is_sound());
        assert_eq!(trail.runs(at(6), at(7)), runs_of(&[6, 6]));
    }

    #[test]
    fn random_operations_equal_a_plain_list_of_terms() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut trail = Trail::default();
            let mut model: Vec<u64> = vec![];
            for _ in 0..40 {
                let (base, end) = (trail.base().index.value(), trail.last_index().value());
                let between = |random: u64| base + random % (end - base + 1);
                if rng.next().is_multiple_of(4) {
                    let last = between(rng.next());
                    trail.truncate(at(last));
                    model.truncate(usize::try_from(last).unwrap());
                } else if rng.next().is_multiple_of(8) {
                    trail.compact(trail.entry(at(between(rng.next()))));
                } else {
                    let term = model.last().copied().unwrap_or(1) + rng.next() % 2;
                    let count = 1 + rng.next() % 3;
                    trail.append(Term::new(term), count);
                    model.extend((0..count).map(|_| term));
                }
                compare(&trail, &model, &mut rng);
            }
        }
    }

    /// Everything that a trail answers, against the list.
    fn compare(trail: &Trail, model: &[u64], rng: &mut Rng) {
        assert!(trail.is_sound());
        let last = u64::try_from(model.len()).unwrap();
        assert_eq!(trail.last().index, at(last));
        let base = trail.base().index.value();
        let term = |index: u64| match index {
            0 => Some(0),
            _ => model.get(usize::try_from(index - 1).unwrap()).copied(),
        };
        for index in 0..=last + 1 {
            let expected = term(index).filter(|_| base <= index);
            assert_eq!(trail.term_at(at(index)), expected.map(Term::new));
        }
        let first = base + 1 + rng.next() % last.max(1);
        if first <= last {
            let from = usize::try_from(first - 1).unwrap();
            assert_eq!(trail.runs(at(first), at(last)), runs_of(&model[from..]));
        }
        // Some other log that shares a prefix with this one.
        let shared = rng.next() % (last + 1);
        let mut other = model[..usize::try_from(shared).unwrap()].to_vec();
        for _ in 0..rng.next() % 4 {
            other.push(other.last().copied().unwrap_or(1) + rng.next() % 3);
        }
        let missing =
            other.iter().zip(1..).find(|&(&t, index)| base < index && term(index) != Some(t));
        let missing = missing.map(|(_, index)| at(index));
        assert_eq!(trail.first_missing(Index::ZERO, &runs_of(&other)), missing);
        let (index, above) = (rng.next() % (last + 2), rng.next() % 12);
        let hint = (base..=index.min(last)).rev().find(|&i| term(i).unwrap() <= above);
        let hint = hint.map(|i| EntryId::new(Term::new(term(i).unwrap()), at(i)));
        assert_eq!(trail.last_at_or_below(at(index), Term::new(above)), hint);
    }
}
