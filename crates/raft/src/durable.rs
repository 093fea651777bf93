//! What is on its way to the disk, and what has arrived.
//!
//! All that must be durable, hard state and entries, goes through one ordered sequence of writes,
//! and the disk confirms a prefix of it. So there is one durable position, and every promise
//! compares with it. Two rules make it trustworthy:
//!
//! - A truncation clips every earlier write to below the cut. When an index is written twice, the
//!   confirmation of the first write says nothing about the second (the ABA of asynchronous
//!   writes).
//! - A write carries entries of one source, so that the shell knows where their payloads are. When
//!   entries of another source come before the write was handed out, the write is sealed as it is.

use alloc::collections::VecDeque;

use crate::ready::{Entries, HardState, Receipt, Source, Write};
use crate::trail::Trail;
use crate::types::{EntryId, Index, Term};

/// The writes of a member and its durable position.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    /// The last hard state that is durable.
    hard_state: HardState,
    /// The last entry that is durable, of the log as it is now. Falls only when that log is cut.
    index: Index,
    /// A hard state that the next write will carry.
    staged_hard_state: Option<HardState>,
    /// A reset that the next write will carry, before its entries.
    staged_reset: Option<EntryId>,
    /// The entries that the next write will carry: from here to the end of the log.
    staged_entries: Option<Staged>,
    /// Writes that are complete and wait to be handed out.
    sealed: VecDeque<Write>,
    /// Every sealed write that is not known to be durable, in the order of the receipts.
    pending: VecDeque<Pending>,
    /// The newest receipt that was handed out; 0 before the first.
    handed_out: u64,
    /// The newest receipt of a sealed write.
    newest: u64,
}

/// Entries that wait for a write.
#[derive(Clone, Debug)]
struct Staged {
    first: Index,
    source: Source,
}

/// A write under way.
#[derive(Clone, Copy, Debug)]
struct Pending {
    receipt: Receipt,
    hard_state: Option<HardState>,
    /// The last entry of the present log that is durable with this write; clipped by truncations.
    covers: Option<Index>,
}

/// What a confirmation of the disk was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// Some write became durable.
    Advanced,
    /// It was known already, or was never handed out.
    Nothing,
}

impl Durable {
    /// What a member finds on its disk is durable.
    pub(crate) const fn new(hard_state: HardState, last: Index) -> Self {
        Self {
            hard_state,
            index: last,
            staged_hard_state: None,
            staged_reset: None,
            staged_entries: None,
            sealed: VecDeque::new(),
            pending: VecDeque::new(),
            handed_out: 0,
            newest: 0,
        }
    }

    /// The last durable entry of the present log.
    pub(crate) const fn index(&self) -> Index {
        self.index
    }

    /// The last durable term. Nothing of a later term may leave this member.
    pub(crate) const fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The last durable hard state.
    pub(crate) const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The next write will carry `hard_state`.
    pub(crate) const fn stage_hard_state(&mut self, hard_state: HardState) {
        self.staged_hard_state = Some(hard_state);
    }

    /// Entries of `source` are about to replace whatever `trail` holds from `first` on. Called
    /// *before* the trail changes.
    pub(crate) fn stage_entries(&mut self, trail: &Trail, first: Index, source: Source) {
        assert!(first <= trail.last_index().next(), "entries follow the log without a gap");
        // Each membership has a payload of its own, and so a write of its own.
        let is_alone = matches!(source, Source::Membership(_));
        if self.staged_entries.as_ref().is_some_and(|staged| is_alone || staged.source != source) {
            self.seal(trail);
        }
        let kept = first.previous();
        if first <= trail.last_index() {
            self.index = self.index.min(kept);
            for pending in &mut self.pending {
                pending.covers = pending.covers.map(|covers| covers.min(kept));
            }
        }
        let first = self.staged_entries.as_ref().map_or(first, |staged| staged.first.min(first));
        self.staged_entries = Some(Staged { first, source });
    }

    /// The log is about to lose what `trail` holds, and to go on after `point`. Called *before* the
    /// trail changes. Everything up to `point` is durable at once, since the snapshot is: a member
    /// that starts again takes up from the snapshot, whether the log says so already or not.
    pub(crate) fn reset(&mut self, trail: &Trail, point: EntryId) {
        if self.staged_entries.is_some() {
            self.seal(trail);
        }
        self.index = point.index;
        for pending in &mut self.pending {
            pending.covers = pending.covers.map(|covers| covers.min(point.index));
        }
        self.staged_reset = Some(point);
    }

    /// Whether a write waits to be handed out.
    pub(crate) fn has_write(&self) -> bool {
        self.staged_hard_state.is_some()
            || self.staged_reset.is_some()
            || self.staged_entries.is_some()
            || !self.sealed.is_empty()
    }

    /// Hands out the next write.
    pub(crate) fn take_write(&mut self, trail: &Trail) -> Option<Write> {
        if self.sealed.is_empty() {
            self.seal(trail);
        }
        let write = self.sealed.pop_front()?;
        assert_eq!(write.receipt.0, self.handed_out + 1, "writes are handed out in order");
        self.handed_out = write.receipt.0;
        Some(write)
    }

    /// The disk confirms the write of `receipt` and all before it.
    pub(crate) fn persisted(&mut self, receipt: Receipt) -> Confirmation {
        if self.handed_out < receipt.0 {
            return Confirmation::Nothing;
        }
        let mut confirmation = Confirmation::Nothing;
        while let Some(pending) = self.pending.pop_front_if(|pending| pending.receipt <= receipt) {
            if let Some(hard_state) = pending.hard_state {
                assert!(self.hard_state.term <= hard_state.term, "the durable term never falls");
                self.hard_state = hard_state;
            }
            if let Some(covers) = pending.covers {
                self.index = self.index.max(covers);
            }
            confirmation = Confirmation::Advanced;
        }
        confirmation
    }

    /// Completes the staged write, if there is one.
    fn seal(&mut self, trail: &Trail) {
        let hard_state = self.staged_hard_state.take();
        let reset = self.staged_reset.take();
        let staged = self.staged_entries.take();
        if hard_state.is_none() && reset.is_none() && staged.is_none() {
            return;
        }
        let last = trail.last_index();
        let entries = staged.map(|staged| Entries {
            first: staged.first,
            runs: trail.runs(staged.first, last),
            source: staged.source,
        });
        self.newest += 1;
        let receipt = Receipt(self.newest);
        let covers = entries.as_ref().map(|_| last);
        self.pending.push_back(Pending { receipt, hard_state, covers });
        self.sealed.push_back(Write { receipt, hard_state, reset, entries });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::Membership;
    use crate::message::Run;
    use crate::types::NodeId;
    use alloc::vec;

    fn at(index: u64) -> Index {
        Index::new(index)
    }

    /// A trail with its writes: what the core keeps together.
    struct Log {
        trail: Trail,
        durable: Durable,
    }

    impl Log {
        fn new() -> Self {
            Self {
                trail: Trail::default(),
                durable: Durable::new(HardState::default(), Index::ZERO),
            }
        }

        fn put(&mut self, first: u64, term: u64, count: u64, source: Source) {
            self.durable.stage_entries(&self.trail, at(first), source);
            self.trail.truncate(at(first).previous());
            self.trail.append(Term::new(term), count);
        }

        fn take(&mut self) -> Write {
            self.durable.take_write(&self.trail).expect("a write waits")
        }
    }

    #[test]
    fn a_confirmation_covers_all_earlier_writes() {
        let mut log = Log::new();
        log.put(1, 1, 2, Source::Proposal);
        let _first = log.take();
        log.put(3, 1, 2, Source::Proposal);
        let second = log.take();
        assert_eq!(log.durable.index(), at(0));
        assert_eq!(log.durable.persisted(second.receipt), Confirmation::Advanced);
        assert_eq!(log.durable.index(), at(4));
    }

    #[test]
    fn unknown_and_repeated_receipts_change_nothing() {
        let mut log = Log::new();
        log.put(1, 1, 2, Source::Proposal);
        assert_eq!(log.durable.persisted(Receipt(1)), Confirmation::Nothing);
        assert_eq!(log.durable.index(), at(0), "nothing was handed out yet");
        let write = log.take();
        assert_eq!(log.durable.persisted(Receipt(9)), Confirmation::Nothing);
        assert_eq!(log.durable.persisted(write.receipt), Confirmation::Advanced);
        assert_eq!(log.durable.persisted(write.receipt), Confirmation::Nothing);
    }

    #[test]
    fn a_rewritten_index_is_durable_only_with_the_second_write() {
        let mut log = Log::new();
        log.put(1, 1, 5, Source::Received);
        let first = log.take();
        log.put(3, 2, 3, Source::Received);
        let second = log.take();
        log.durable.persisted(first.receipt);
        assert_eq!(log.durable.index(), at(2), "indexes 3 to 5 were rewritten since");
        log.durable.persisted(second.receipt);
        assert_eq!(log.durable.index(), at(5));
    }

    #[test]
    fn a_cut_lowers_what_was_durable() {
        let mut log = Log::new();
        log.put(1, 1, 5, Source::Received);
        let write = log.take();
        log.durable.persisted(write.receipt);
        log.put(4, 2, 1, Source::Received);
        assert_eq!(log.durable.index(), at(3));
    }

    #[test]
    fn entries_of_one_source_share_a_write() {
        let mut log = Log::new();
        log.put(1, 1, 2, Source::Received);
        log.put(3, 2, 2, Source::Received);
        log.put(2, 3, 1, Source::Received);
        let entries = log.take().entries.expect("entries were staged");
        let runs = vec![Run { term: Term::new(1), count: 1 }, Run { term: Term::new(3), count: 1 }];
        assert_eq!(entries, Entries { first: at(1), runs, source: Source::Received });
        assert!(!log.durable.has_write());
    }

    #[test]
    fn entries_of_two_sources_come_in_two_writes() {
        let mut log = Log::new();
        log.put(1, 1, 1, Source::TermStart);
        log.put(2, 1, 3, Source::Proposal);
        log.put(2, 2, 1, Source::Received);
        let writes = [log.take(), log.take(), log.take()];
        assert!(!log.durable.has_write());
        let shapes = writes.map(|write| {
            let entries = write.entries.expect("entries were staged");
            (entries.first.value(), entries.source)
        });
        let expected = [(1, Source::TermStart), (2, Source::Proposal), (2, Source::Received)];
        assert_eq!(shapes, expected);
        log.durable.persisted(Receipt(2));
        assert_eq!(log.durable.index(), at(1), "the proposals were replaced");
    }

    #[test]
    fn what_a_snapshot_covers_is_durable_and_what_was_on_its_way_is_not() {
        let mut log = Log::new();
        log.put(1, 1, 9, Source::Received);
        let first = log.take();
        log.put(10, 1, 1, Source::Received);
        let point = EntryId::new(Term::new(2), at(7));
        log.durable.reset(&log.trail, point);
        log.trail.reset(point);
        log.put(8, 2, 2, Source::Received);
        assert_eq!(log.durable.index(), at(7));
        let (second, third) = (log.take(), log.take());
        assert!(second.reset.is_none() && second.entries.is_some(), "it was staged before");
        assert_eq!(third.reset, Some(point));
        assert_eq!(third.entries.expect("entries were staged").first, at(8));
        log.durable.persisted(first.receipt);
        log.durable.persisted(second.receipt);
        assert_eq!(log.durable.index(), at(7), "the entries of the old log are no longer there");
        log.durable.persisted(third.receipt);
        assert_eq!(log.durable.index(), at(9));
    }

    #[test]
    fn each_membership_has_a_write_of_its_own() {
        let mut log = Log::new();
        let [one, other] = [1, 2].map(|id| Membership::of_voters([NodeId::new(id)]));
        log.put(1, 1, 1, Source::Membership(one.clone()));
        log.put(2, 1, 1, Source::Membership(one.clone()));
        log.put(3, 1, 1, Source::Membership(other.clone()));
        for (index, membership) in [(1, &one), (2, &one), (3, &other)] {
            let entries = log.take().entries.expect("entries were staged");
            assert_eq!(entries.first, at(index));
            assert_eq!(entries.runs, [Run { term: Term::new(1), count: 1 }]);
            assert_eq!(entries.source, Source::Membership(membership.clone()));
        }
        assert!(!log.durable.has_write());
    }

    #[test]
    fn the_newest_hard_state_wins() {
        let mut log = Log::new();
        let hard_state = |term| HardState { term: Term::new(term), vote: None };
        log.durable.stage_hard_state(hard_state(1));
        log.durable.stage_hard_state(hard_state(2));
        let write = log.take();
        assert_eq!(write.hard_state, Some(hard_state(2)));
        assert_eq!(log.durable.term(), Term::ZERO);
        log.durable.persisted(write.receipt);
        assert_eq!(log.durable.hard_state(), hard_state(2));
    }
}
