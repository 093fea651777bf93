//! Proposals on their way into the leader's log: this member's own, and those that others forward.

use quorate_log::{Block, Disk, EntryKind, Room};
use quorate_raft::{Index, Instant, NodeId, Term};

use crate::machine::StateMachine;
use crate::message::{Body, PeerMessage, Proposals};
use crate::origins::Intake;
use crate::proposals::Batch;
use crate::replica::Replica;

/// Entries that a leader may have uncommitted before it takes no more from others: what they hold
/// back is bounded by their own limits.
const UNCOMMITTED_MAX: u64 = 64 * 1024;

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
        while let Some(batch) = self.own.next_to_send(term) {
            let block = batch.block().clone();
            self.append_as_leader(now, block);
        }
        self.resend_at = None;
    }

    fn append_as_leader(&mut self, now: Instant, block: Block) {
        let proposed = self
            .raft
            .propose(now, u64::from(block.count()))
            .expect("the caller saw that this member leads");
        self.staged.push(block.at(proposed.first.index, proposed.first.term));
        self.drain();
    }

    fn forward(&mut self, now: Instant, term: Term, leader: NodeId) {
        while let Some(batch) = self.own.next_to_send(term) {
            let body = forwarded(batch);
            self.send_forward(term, leader, body);
            self.resend_at.get_or_insert(now.after(self.patience));
        }
        if !self.own.has_undecided() {
            self.resend_at = None;
        }
    }

    fn send_forward(&mut self, term: Term, leader: NodeId, mut body: Proposals) {
        body.origin = self.own.origin();
        let from = self.raft.id();
        let body = Body::Proposals(body);
        self.effects.messages.push(PeerMessage { from, to: leader, term, body });
    }

    /// Sends again what was forwarded in this term and is undecided, if it is time: the leader
    /// takes nothing twice.
    pub(crate) fn maybe_resend(&mut self, now: Instant) {
        if self.resend_at.is_none_or(|at| now < at) {
            return;
        }
        self.resend_after(now, 0);
    }

    fn resend_after(&mut self, now: Instant, through: u64) {
        let term = self.raft.term();
        self.resend_at = None;
        let leader = match self.raft.leader() {
            Some(leader) if leader != self.raft.id() => leader,
            Some(_) | None => return,
        };
        let again: Vec<_> = self.own.sent_after(term, through).map(forwarded).collect();
        for body in again {
            self.send_forward(term, leader, body);
            self.resend_at = Some(now.after(self.patience));
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
        // Meant for the leader of that term: nobody else may take them, or they might be taken
        // twice.
        if !self.raft.is_leader() || self.raft.term() != term {
            return;
        }
        let Proposals { origin, previous, last, count, entries } = proposals;
        match self.origins.examine(term, origin, previous, last) {
            Intake::Double => {}
            Intake::Gap { through } => self.answer(from, Body::ProposalsRefused { through }),
            Intake::New => {
                let uncommitted = self.raft.last().index.since(self.raft.commit());
                if self.log.room() == Room::Full {
                    self.wants_space = true;
                    self.answer(from, Body::ProposalsUnwelcome);
                    return;
                }
                if uncommitted >= UNCOMMITTED_MAX {
                    // Not taken and not refused: its sender tries again in a while.
                    return;
                }
                let Ok(block) = Block::parse(Index::new(1), Term::ZERO, count, entries) else {
                    return;
                };
                if !is_line_of(&block, origin, last) {
                    return;
                }
                self.append_as_leader(now, block);
                self.origins.take(origin, last);
            }
        }
    }

    fn answer(&mut self, to: NodeId, body: Body) {
        let message = PeerMessage { from: self.raft.id(), to, term: self.raft.term(), body };
        self.effects.messages.push(message);
    }

    /// The leader misses some of what was forwarded.
    pub(crate) fn on_refused(&mut self, now: Instant, from: NodeId, term: Term, through: u64) {
        if self.raft.term() == term && self.raft.leader() == Some(from) {
            self.resend_after(now, through);
        }
    }

    /// The leader's disk is full.
    pub(crate) fn on_unwelcome(&mut self, now: Instant, from: NodeId, term: Term) {
        if self.raft.term() == term && self.raft.leader() == Some(from) {
            self.unwelcome_until = Some(now.after(self.patience));
        }
    }
}

fn forwarded(batch: &Batch) -> Proposals {
    Proposals {
        origin: 0,
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
