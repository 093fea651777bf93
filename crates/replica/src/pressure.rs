//! Overload: a leader takes no more than may be uncommitted, and says so at once.
//!
//! What a leader has taken and cannot commit, because a majority is slow or cut off, stays in its
//! memory, and its clients wait. So there is a bound, on entries and on bytes, for its own clients'
//! proposals and those that others forward together: [`SHARES`] times what one member's clients may
//! have waiting. What one member has waiting can not fill it, so that the others have a share too.
//! At the bound the leader refuses its clients, and answers what is forwarded with
//! [`Body::ProposalsOverloaded`]; the forwarding member then refuses its clients for a while,
//! instead of letting them wait for what is not taken. What it has forwarded it keeps, within its
//! own bounds, and sends again after that while. So all of it ends by itself once entries are
//! committed.
//!
//! The bound is looked at before something is taken: a proposal of any size passes if nothing else
//! is under way.
//!
//! Left out: the bytes of what a leader found in its log when its term began. It is counted by
//! number, and an earlier leader had taken it within the same bounds.

use std::collections::VecDeque;

use quorate_log::{Block, Disk};
use quorate_raft::{Index, Instant, NodeId, Term};

use crate::machine::StateMachine;
use crate::message::Body;
use crate::replica::Replica;

/// How often what one member's clients may have waiting fits into what may be uncommitted.
const SHARES: u64 = 2;

/// Into how many such whiles an election timeout is cut.
const WHILES_IN_PATIENCE: u32 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    /// The term in which `taken` were.
    term: Term,
    /// The last index and the bytes of each block that this leader has taken and has not seen
    /// committed.
    taken: VecDeque<(Index, u64)>,
    /// Their sum.
    bytes: u64,
    /// Until when the leader counts as overloaded, since it said so.
    overloaded_until: Option<Instant>,
}

impl Pressure {
    /// Nobody leads who could be overloaded.
    pub(crate) fn on_no_leader(&mut self) {
        self.overloaded_until = None;
    }

    /// This leader has taken a block in `term`.
    pub(crate) fn on_taken(&mut self, term: Term, block: &Block) {
        if self.term != term {
            *self = Self { term, ..Self::default() };
        }
        self.taken.push_back((block.last().index, block.bytes_len()));
        self.bytes += block.bytes_len();
    }

    /// The bytes that are uncommitted, of what was taken in `term`.
    fn uncommitted_bytes(&mut self, term: Term, commit: Index) -> u64 {
        if self.term != term {
            return 0;
        }
        while let Some((_, bytes)) = self.taken.pop_front_if(|(last, _)| *last <= commit) {
            self.bytes -= bytes;
        }
        self.bytes
    }
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Whether as much is under way as may be, as far as is known here.
    pub(crate) fn is_overloaded(&mut self, now: Instant) -> bool {
        if !self.raft.is_leader() {
            return self.pressure.overloaded_until.is_some_and(|until| now < until);
        }
        let commit = self.raft.commit();
        let bytes = self.pressure.uncommitted_bytes(self.raft.term(), commit);
        self.raft.last().index.since(commit) >= SHARES.saturating_mul(self.proposals_max)
            || bytes >= SHARES.saturating_mul(self.proposal_bytes_max)
    }

    /// The leader did not take what was forwarded.
    pub(crate) fn on_overloaded(&mut self, now: Instant, from: NodeId, term: Term) {
        if self.raft.term() != term || self.raft.leader() != Some(from) || self.raft.is_leader() {
            return;
        }
        let until = now.after(self.patience / WHILES_IN_PATIENCE);
        self.pressure.overloaded_until = Some(until);
        if let Some(resend) = &mut self.resend {
            resend.at = resend.at.min(until);
        }
    }

    /// Says so to the member whose proposals are not taken.
    pub(crate) fn refuse_overloaded(&mut self, from: NodeId) {
        self.answer(from, Body::ProposalsOverloaded);
    }
}
