//! The proposals of this member's own clients, from their coming to their being applied.
//!
//! Proposals are numbered in the order they come and encoded once, in batches that are blocks of
//! the log. A batch is *waiting*, or *sent* in a term: placed in this member's own log while it
//! leads, or forwarded to whoever leads. What was sent in a term and is not applied when the first
//! entry of a later term is applied will never be: a later leader's log is what counts, and all of
//! it before that entry has been applied. Such a batch waits again. That makes retries safe without
//! a table of what was done: **a proposal is applied at most once**, provided that the leader of
//! one term takes each batch once ([`crate::origins`]) and batches go out in order, which
//! [`OwnProposals::next_to_send`] sees to by holding back what comes after an undecided batch of an
//! earlier term.

use std::collections::VecDeque;

use bytes::Bytes;
use quorate_log::{Block, BlockBuilder, EntryKind};
use quorate_raft::{Index, Term};

use crate::decided::Fate;

/// Entries of one batch at most, and payload bytes after which a batch is closed.
const BATCH_ENTRIES_MAX: u32 = 4096;
const BATCH_BYTES_MAX: u64 = 512 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct OwnProposals {
    /// This life of the member: stands in each entry, so that entries of earlier lives, which have
    /// the same sequences, are told apart.
    origin: u64,
    /// The sequence of the next proposal; the first is 1, since 0 means none.
    next: u64,
    /// What is not wholly applied, by sequence.
    batches: VecDeque<Batch>,
    /// The newest proposals, after those in `batches`: a batch is closed when it is to be sent or
    /// has grown enough, so that what waits long goes out in few large batches.
    open: BlockBuilder,
    /// How many of `batches` are sent; they come first.
    sent: usize,
    /// The term of the last sending and the last sequence sent in it.
    line: (Term, u64),
    /// The payload bytes in `batches`.
    bytes: u64,
    /// Proposals up to this sequence are no longer waited for: a snapshot came in their place.
    given_up: u64,
}

/// Proposals with consecutive sequences.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The sequence of the first of `block`.
    first: u64,
    /// How many of `block` are applied; always less than all.
    applied: u32,
    /// The proposals; their indexes count from 1 until a leader places them.
    block: Block,
    /// When it was sent last.
    sent: Sent,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// The term; of no meaning while the batch waits.
    term: Term,
    /// The sequence sent before it in that term; 0 if it was the first.
    previous: u64,
}

impl Batch {
    /// The sequence of its last proposal.
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.block.count()) - 1
    }

    /// The sequence sent before it in its term; 0 for none.
    pub(crate) fn previous(&self) -> u64 {
        self.sent.previous
    }

    /// The proposals.
    pub(crate) fn block(&self) -> &Block {
        &self.block
    }
}

impl OwnProposals {
    pub(crate) fn new(origin: u64) -> Self {
        Self {
            origin,
            next: 1,
            batches: VecDeque::new(),
            open: BlockBuilder::new(),
            sent: 0,
            line: (Term::ZERO, 0),
            bytes: 0,
            given_up: 0,
        }
    }

    pub(crate) fn origin(&self) -> u64 {
        self.origin
    }

    /// How many proposals are not applied yet.
    pub(crate) fn count(&self) -> u64 {
        self.batches.front().map_or(u64::from(self.open.count()), |front| self.next - front.first)
    }

    /// Their payload bytes, by whole batches.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes + self.open.bytes_len()
    }

    /// Takes proposals in; returns the sequence of the first. They have consecutive ones.
    pub(crate) fn add(&mut self, commands: impl IntoIterator<Item = Bytes>) -> u64 {
        let first = self.next;
        for command in commands {
            self.open.push(EntryKind::Command, self.origin, self.next, &command);
            self.next += 1;
            if self.open.count() >= BATCH_ENTRIES_MAX || self.open.bytes_len() >= BATCH_BYTES_MAX {
                self.close();
            }
        }
        first
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let builder = std::mem::take(&mut self.open);
        let first = self.next - u64::from(builder.count());
        let block = builder.finish(Index::new(1), Term::ZERO);
        self.bytes += block.bytes_len();
        self.batches.push_back(Batch { first, applied: 0, block, sent: Sent::default() });
    }

    /// Marks the next waiting batch as sent in `term` and returns it; `None` when none waits, or
    /// when an earlier one is undecided in another term.
    pub(crate) fn next_to_send(&mut self, term: Term) -> Option<&Batch> {
        if self.sent > 0 && self.line.0 != term {
            return None;
        }
        if self.sent == self.batches.len() {
            self.close();
        }
        let previous = if self.line.0 == term { self.line.1 } else { 0 };
        let batch = self.batches.get_mut(self.sent)?;
        batch.sent = Sent { term, previous };
        self.line = (term, batch.last());
        self.sent += 1;
        Some(batch)
    }

    /// The batches sent in `term` that end after `through`, to be sent again as they were.
    pub(crate) fn sent_after(&self, term: Term, through: u64) -> impl Iterator<Item = &Batch> {
        self.batches
            .iter()
            .take(self.sent)
            .filter(move |batch| batch.sent.term == term && batch.last() > through)
    }

    /// How many batches are sent and undecided.
    pub(crate) fn sent_count(&self) -> usize {
        self.sent
    }

    /// The oldest proposal that is sent and undecided.
    pub(crate) fn oldest_sent(&self) -> Option<u64> {
        let front = self.batches.front().filter(|_| self.sent > 0)?;
        Some(front.first + u64::from(front.applied))
    }

    /// An entry was applied. Returns whether it is a proposal of this life.
    ///
    /// # Panics
    /// If a proposal is applied twice or out of order: safety would be lost.
    pub(crate) fn on_applied(&mut self, origin: u64, sequence: u64) -> bool {
        if origin != self.origin || sequence <= self.given_up {
            return false;
        }
        let front = self.batches.front_mut().expect("a proposal was applied that nobody made");
        let expected = front.first + u64::from(front.applied);
        assert_eq!(sequence, expected, "a proposal was applied twice or out of order");
        assert!(self.sent > 0, "a proposal was applied that was not sent");
        front.applied += 1;
        if front.applied == front.block.count() {
            self.bytes -= front.block.bytes_len();
            self.sent -= 1;
            self.batches.pop_front();
        }
        true
    }

    /// A snapshot whose last entry is of `term` takes the place of entries that were not applied
    /// here one by one; `fate` is what it knows of these proposals. Returns up to which sequence
    /// they are no longer waited for, if there are such.
    pub(crate) fn on_snapshot(&mut self, fate: Fate, term: Term) -> Option<u64> {
        let oldest = self.oldest_sent()?;
        let through = match fate {
            Fate::AppliedThrough(sequence) => sequence,
            // Whether they were applied nobody can tell, so they must not be sent again.
            Fate::Unknown => self.batches.get(self.sent - 1).map_or(0, Batch::last),
        };
        self.given_up = self.given_up.max(through);
        while let Some(front) = self.batches.pop_front_if(|front| front.last() <= through) {
            assert!(self.sent > 0, "a proposal was applied that was not sent");
            self.bytes -= front.block.bytes_len();
            self.sent -= 1;
        }
        if let Some(front) = self.batches.front_mut()
            && front.first <= through
        {
            let applied = u32::try_from(through - front.first + 1).expect("less than a batch");
            front.applied = front.applied.max(applied);
        }
        self.on_term_applied(term);
        (oldest <= through).then_some(through)
    }

    /// The first entry of `term` was applied: what was sent in an earlier term and is not applied
    /// never will be, and waits again.
    pub(crate) fn on_term_applied(&mut self, term: Term) {
        let decided = self.batches.iter().take(self.sent).position(|batch| batch.sent.term < term);
        let Some(decided) = decided else { return };
        assert_eq!(decided, 0, "batches are sent in order of terms");
        assert!(self.line.0 < term, "nothing is sent while an earlier batch is undecided");
        self.sent = 0;
        if let Some(front) = self.batches.front_mut()
            && front.applied > 0
        {
            let from = Index::new(1).plus(u64::from(front.applied));
            let rest = front.block.slice(from, front.block.last().index.next());
            self.bytes -= front.block.bytes_len() - rest.bytes_len();
            front.first += u64::from(front.applied);
            front.applied = 0;
            front.block = rest.at(Index::new(1), Term::ZERO);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(count: u8) -> Vec<Bytes> {
        (0..count).map(|i| Bytes::from(vec![i])).collect()
    }

    fn proposals() -> OwnProposals {
        OwnProposals::new(9)
    }

    #[test]
    fn proposals_go_out_once_in_a_term_and_are_chained() {
        let mut own = proposals();
        let term = Term::new(3);
        assert_eq!(own.add(commands(2)), 1);
        assert_eq!(own.next_to_send(term).map(|b| (b.previous(), b.last())), Some((0, 2)));
        assert!(own.next_to_send(term).is_none());
        assert!(own.on_applied(9, 1));
        assert!(own.on_applied(9, 2));
        assert_eq!(own.count(), 0);
        assert_eq!(own.add(commands(3)), 3);
        // The first batch is gone, but the chain remembers it.
        assert_eq!(own.next_to_send(term).map(|b| (b.previous(), b.last())), Some((2, 5)));
    }

    #[test]
    fn entries_of_an_earlier_life_are_not_ours() {
        let mut own = proposals();
        own.add(commands(1));
        own.next_to_send(Term::new(1));
        assert!(!own.on_applied(8, 1));
        assert_eq!(own.count(), 1);
    }

    #[test]
    fn what_an_older_term_left_undecided_holds_back_what_comes_after_it() {
        let mut own = proposals();
        own.add(commands(1));
        own.next_to_send(Term::new(1));
        own.add(commands(1));
        assert!(own.next_to_send(Term::new(2)).is_none(), "batch 1 may still be applied");
        own.on_term_applied(Term::new(2));
        let again = own.next_to_send(Term::new(2)).map(|b| (b.previous(), b.last()));
        assert_eq!(again, Some((0, 1)), "batch 1 is lost for good and goes first");
        assert_eq!(own.next_to_send(Term::new(2)).map(Batch::last), Some(2));
    }

    #[test]
    fn what_waits_goes_out_in_one_batch() {
        let mut own = proposals();
        for _ in 0..5 {
            own.add(commands(1));
        }
        assert_eq!((own.count(), own.oldest_sent()), (5, None));
        assert_eq!(own.next_to_send(Term::new(1)).map(Batch::last), Some(5));
        assert_eq!((own.sent_count(), own.oldest_sent()), (1, Some(1)));
        assert!(own.next_to_send(Term::new(1)).is_none());
    }

    #[test]
    fn what_a_snapshot_holds_is_not_sent_again_and_the_rest_is() {
        let mut own = proposals();
        own.add(commands(3));
        own.next_to_send(Term::new(1));
        own.add(commands(2));
        own.next_to_send(Term::new(1));
        assert_eq!(own.on_snapshot(Fate::AppliedThrough(0), Term::new(1)), None);
        assert_eq!(own.on_snapshot(Fate::AppliedThrough(2), Term::new(2)), Some(2));
        assert!(!own.on_applied(9, 2), "nobody waits for it");
        let batch = own.next_to_send(Term::new(2)).expect("the rest waits");
        assert_eq!((batch.previous(), batch.last(), batch.block().count()), (0, 3, 1));
        assert_eq!(own.next_to_send(Term::new(2)).map(Batch::last), Some(5));
        assert!(own.on_applied(9, 3));
    }

    #[test]
    fn of_what_a_snapshot_says_nothing_about_nothing_is_sent_again() {
        let mut own = proposals();
        own.add(commands(3));
        own.next_to_send(Term::new(1));
        own.add(commands(1));
        assert_eq!(own.on_snapshot(Fate::Unknown, Term::new(2)), Some(3));
        assert_eq!(own.next_to_send(Term::new(2)).map(Batch::last), Some(4));
        assert!(!own.on_applied(9, 3), "perhaps it comes behind the snapshot");
        assert!(own.on_applied(9, 4));
        assert_eq!((own.count(), own.bytes()), (0, 0));
    }

    #[test]
    fn only_the_rest_of_a_half_applied_batch_is_sent_again() {
        let mut own = proposals();
        own.add(commands(3));
        own.next_to_send(Term::new(1));
        assert!(own.on_applied(9, 1));
        own.on_term_applied(Term::new(2));
        let batch = own.next_to_send(Term::new(2)).expect("the rest waits");
        let bodies: Vec<_> = batch.block().entries().map(|e| (e.sequence, e.body)).collect();
        assert_eq!(bodies, [(2, Bytes::from_static(&[1])), (3, Bytes::from_static(&[2]))]);
        assert!(own.on_applied(9, 2));
        assert!(own.on_applied(9, 3));
        assert_eq!((own.count(), own.bytes()), (0, 0));
    }
}
