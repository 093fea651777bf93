//! How a member answers those who ask for its vote (§5.2, §5.4.1, thesis 4.2.3 and 9.6).
//!
//! It answers whoever asks, member or not by its own log: only the candidate knows for sure which
//! membership it stands in, and a voter that is behind must not block it.

use crate::event::{Event, Refusal};
use crate::message::{Message, Verdict};
use crate::raft::{Raft, Role, Transition};
use crate::ready::HardState;
use crate::types::{EntryId, NodeId, Term};

impl Raft {
    /// Would this member vote for `from` in the term after `term`? The answer changes nothing here:
    /// no term, no vote, no timer.
    pub(crate) fn on_pre_vote(&mut self, from: NodeId, term: Term, last: EntryId) {
        let refusal = if term < self.core.term() {
            Some(Refusal::TermBehind { ours: self.core.term() })
        } else {
            self.refuse_for_leader(from).or_else(|| self.refuse_for_log(last))
        };
        let granted = self.verdict(refusal);
        self.core.emit(match refusal {
            None => Event::PreVoteGranted { candidate: from },
            Some(reason) => Event::PreVoteRefused { candidate: from, reason },
        });
        // The answer carries the term here, so that one who is behind learns it.
        self.core.send_at_once(from, Message::PreVoteReply { asked: term.next(), granted });
    }

    /// A request for a vote of a term that is not below the one here. While the leader lives it is
    /// refused before its term is adopted, so that it disrupts nothing (thesis 4.2.3); unless the
    /// leader itself wished the election (thesis 3.10).
    pub(crate) fn on_vote(&mut self, from: NodeId, term: Term, last: EntryId, by_transfer: bool) {
        if !by_transfer && let Some(reason) = self.refuse_for_leader(from) {
            self.core.emit(Event::VoteRefused { candidate: from, reason });
            self.core.send(from, Message::VoteReply { granted: Verdict::Refused });
            return;
        }
        self.adopt_higher_term(from, term);
        assert_eq!(self.core.term(), term, "votes are given in the current term");
        let refusal = self.refuse_for_vote(from).or_else(|| self.refuse_for_log(last));
        if let Some(reason) = refusal {
            self.core.emit(Event::VoteRefused { candidate: from, reason });
            self.core.send(from, Message::VoteReply { granted: Verdict::Refused });
            return;
        }
        self.grant_vote(from, term);
    }

    /// Gives the vote of this term; the answer leaves when the vote is durable.
    fn grant_vote(&mut self, candidate: NodeId, term: Term) {
        // A pre-candidate of the same term has not voted; it stops asking. (The leader followed in
        // this term, if there is one, is the candidate itself: it keeps its follower.)
        self.perform(match &self.role {
            Role::Follower(_) => Transition::Stay,
            Role::PreCandidate(_) => Transition::Follow { term, leader: None },
            Role::Candidate(_) | Role::Leader(_) => {
                unreachable!("a candidate or leader has given its vote to itself")
            }
        });
        let core = &mut self.core;
        if core.hard_state.vote.is_none() {
            core.set_hard_state(HardState { term, vote: Some(candidate) });
        }
        core.emit(Event::VoteGranted { candidate, term });
        let Role::Follower(follower) = &mut self.role else {
            unreachable!("only a follower grants a vote")
        };
        if core.can_campaign() {
            // Gives the candidate time (§5.2).
            follower.election_due = core.draw_candidacy_due();
        }
        follower.vote_owed = Some(candidate);
        if core.is_hard_state_durable() {
            // A repeated request: the vote is on the disk already.
            follower.on_persisted(core);
        }
    }

    /// While a leader lives, or may hold a lease, nobody else is helped to replace it. The leader
    /// itself may ask: then it leads no longer.
    fn refuse_for_leader(&self, from: NodeId) -> Option<Refusal> {
        self.refuse_for_living_leader(from).or_else(|| self.core.refuse_for_promise(from))
    }

    fn refuse_for_living_leader(&self, from: NodeId) -> Option<Refusal> {
        let leader = match &self.role {
            Role::Follower(follower) => follower.living_leader(&self.core)?,
            // Its own leader was silent for long enough that it asks itself.
            Role::PreCandidate(_) | Role::Candidate(_) => return None,
            // A leader that lost its quorum steps down on its own.
            Role::Leader(_) => self.core.id(),
        };
        (leader != from).then_some(Refusal::LeaderAlive { leader })
    }

    /// One vote in a term.
    fn refuse_for_vote(&self, from: NodeId) -> Option<Refusal> {
        let candidate = self.core.hard_state.vote?;
        (candidate != from).then_some(Refusal::VotedFor { candidate })
    }

    /// The candidate's log must not be behind: by the term of the last entry first, then by its
    /// index (§5.4.1).
    fn refuse_for_log(&self, theirs: EntryId) -> Option<Refusal> {
        let ours = self.core.trail.last();
        (theirs < ours).then_some(Refusal::LogBehind { theirs, ours })
    }

    const fn verdict(&self, refusal: Option<Refusal>) -> Verdict {
        match refusal {
            None => Verdict::Granted,
            Some(_) => Verdict::Refused,
        }
    }
}
