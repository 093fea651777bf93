//! Proposals on their way into the leader's log: this member's own, and those that others forward.

use quorate_log::{Block, Disk, EntryKind};
use quorate_raft::{Index, Instant, NodeId, Term};

use crate::machine::StateMachine;
use crate::message::{Body, PeerMessage, Proposals};
use crate::origins::Intake;
use crate::proposals::Batch;
use crate::replica::Replica;

/// Batches that may be forwarded and undecided: fewer than a stream between members holds. What
/// comes meanwhile gathers in larger ones.
const FORWARDED_MAX: usize = 8;

/// When what was forwarded is sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resend {
    pub(crate) at: Instant,
    /// The oldest undecided proposal when `at` was set.
    oldest: u64,
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Places this member's waiting proposals in its own log if it leads, or forwards them if
    /// another does. Without a leader they go on waiting.
    pub(crate) fn place_proposals(&mut self, now: Instant) {
        let term = self.raft.term();
        let Some(leader) = self.raft.leader() else { return };
        if leader != self.raft.id() {
            self.forward(now, term, leader);
            return;
        }
        if self.raft.transferring().is_some() {
            // They wait for the next leader, or for this one if nobody takes over.
            return;
        }
        while let Some(batch) = self.own.next_to_send(term) {
            let block = batch.block().clone();
            self.append_as_leader(now, block);
        }
        self.resend = None;
    }

    pub(crate) fn append_as_leader(&mut self, now: Instant, block: Block) {
        let proposed = self
            .raft
            .propose(now, u64::from(block.count()))
            .expect("the caller saw that this member leads, and is to go on");
        let block = block.at(proposed.first.index, proposed.first.term);
        self.pressure.on_taken(proposed.first.term, &block);
        self.staged.push(block);
        self.drain();
    }

    fn forward(&mut self, now: Instant, term: Term, leader: NodeId) {
        let origin = self.own.origin();
        while self.own.sent_count() < FORWARDED_MAX
            && let Some(batch) = self.own.next_to_send(term)
        {
            let body = forwarded(origin, batch);
            self.send_forward(term, leader, body);
        }
        // As long as the oldest of them makes progress, nothing was lost.
        self.resend = self.own.oldest_sent().map(|oldest| match self.resend {
            Some(resend) if resend.oldest == oldest => resend,
            Some(_) | None => Resend { at: now.after(self.patience), oldest },
        });
    }

    fn send_forward(&mut self, term: Term, leader: NodeId, body: Proposals) {
        let (from, body) = (self.raft.id(), Body::Proposals(body));
        self.effects.messages.push(PeerMessage { from, to: leader, term, body });
    }

    /// Sends again what was forwarded in this term and is undecided, if it is time: the leader
    /// takes nothing twice.
    pub(crate) fn maybe_resend(&mut self, now: Instant) {
        if let Some(resend) = &mut self.resend
            && resend.at <= now
        {
            resend.at = now.after(self.patience);
            self.resend_after(0);
        }
    }

    /// Sends again what was forwarded in this term and ends after `through`.
    pub(crate) fn resend_after(&mut self, through: u64) {
        let (term, origin) = (self.raft.term(), self.own.origin());
        let Some(leader) = self.raft.leader().filter(|leader| *leader != self.raft.id()) else {
            return;
        };
        let again = self.own.sent_after(term, through).map(|batch| forwarded(origin, batch));
        for body in again.collect::<Vec<_>>() {
            self.send_forward(term, leader, body);
        }
    }

    /// Another member forwards proposals.
    pub(crate) fn on_proposals(
        &mut self,
        now: Instant,
        from: NodeId,
        term: Term,
        proposals: Proposals,
    ) {
        if self.raft.transferring().is_some() {
            // The sender keeps them, and sends them again to whoever leads then.
            return;
        }
        // Meant for the leader of that term: nobody else may take them, or they might be taken
        // twice.
        if !self.raft.is_leader() || self.raft.term() != term {
            return;
        }
        let Proposals { origin, previous, last, count, entries } = proposals;
        if origin == self.own.origin() {
            return;
        }
        let intake = self.origins.examine(term, from, origin, previous, last);
        if matches!(intake, Intake::Double | Intake::Foreign) {
            return;
        }
        if !self.has_room(now) {
            self.wants_space = true;
            self.answer(from, Body::ProposalsUnwelcome);
            return;
        }
        if self.is_overloaded(now) {
            self.refuse_overloaded(from);
            return;
        }
        if let Intake::Gap { through } = intake {
            self.answer(from, Body::ProposalsRefused { through });
            return;
        }
        let Ok(block) = Block::parse(Index::new(1), Term::ZERO, count, entries) else { return };
        if is_line_of(&block, origin, last) {
            self.append_as_leader(now, block);
            self.origins.take(from, origin, last);
        }
    }

    pub(crate) fn answer(&mut self, to: NodeId, body: Body) {
        let message = PeerMessage { from: self.raft.id(), to, term: self.raft.term(), body };
        self.effects.messages.push(message);
    }

    /// The leader misses some of what was forwarded.
    pub(crate) fn on_refused(&mut self, now: Instant, from: NodeId, term: Term, through: u64) {
        // All that is behind a lost batch is refused for the same reason: one answer will do.
        let is_answered =
            self.answered.is_some_and(|(answered, again_at)| answered == through && now < again_at);
        if self.raft.term() == term && self.raft.leader() == Some(from) && !is_answered {
            self.answered = Some((through, now.after(self.patience / 8)));
            self.resend_after(through);
        }
    }
}

fn forwarded(origin: u64, batch: &Batch) -> Proposals {
    Proposals {
        origin,
        previous: batch.previous(),
        last: batch.last(),
        count: batch.block().count(),
        entries: batch.block().bytes().clone(),
    }
}

/// Whether the entries are commands of `origin` with consecutive sequences up to `last`.
fn is_line_of(block: &Block, origin: u64, last: u64) -> bool {
    let Some(mut sequence) = last.checked_sub(u64::from(block.count())) else { return false };
    block.entries().all(|entry| {
        sequence += 1;
        (entry.kind, entry.origin, entry.sequence) == (EntryKind::Command, origin, sequence)
    })
}

#[cfg(test)]
mod tests {
    use quorate_log::BlockBuilder;

    use super::*;

    #[test]
    fn nothing_but_commands_is_taken_as_proposals() {
        let line = |kind| {
            let mut builder = BlockBuilder::new();
            builder.push(EntryKind::Command, 7, 1, b"a");
            builder.push(kind, 7, 2, b"b");
            is_line_of(&builder.finish(Index::new(1), Term::ZERO), 7, 2)
        };
        assert!(line(EntryKind::Command));
        for other in [EntryKind::NoOp, EntryKind::Membership, EntryKind::Check] {
            assert!(!line(other), "{other:?} is not a client's to propose");
        }
    }
}
