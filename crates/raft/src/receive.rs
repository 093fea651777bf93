//! How a message is taken: is it possible at all, what does its term mean, which role is it for.
//!
//! The rules about terms (§5.1) stand here, once. Handlers of roles see messages of the current
//! term only; votes and pre-votes have rules of their own about terms, in `vote.rs`.

use crate::append;
use crate::common::Core;
use crate::config::NUMBER_MAX;
use crate::event::{Event, IgnoreReason, Misbehaviour, StepDownCause};
use crate::follower::Follower;
use crate::message::{Append, Envelope, Message, Verdict};
use crate::raft::{Raft, Role, Transition};
use crate::types::{NodeId, Term};

impl Raft {
    /// The rules about terms (§5.1), which do not depend on the role, then the role's own handler.
    pub(crate) fn receive(&mut self, envelope: Envelope) -> Transition {
        let Envelope { from, to, term, message } = envelope;
        if let Err(what) = self.check_message(from, to, term, &message) {
            self.core.emit(Event::PeerMisbehaved { peer: from, what });
            return Transition::Stay;
        }
        match message {
            // Questions whose term is adopted only after the answer is clear, or never.
            Message::PreVote { last } => {
                self.on_pre_vote(from, term, last);
                return Transition::Stay;
            }
            Message::PreVoteReply { asked, granted } => {
                return self.on_pre_vote_reply(from, term, asked, granted);
            }
            Message::Vote { last, by_transfer } if self.core.term() <= term => {
                self.on_vote(from, term, last, by_transfer);
                return Transition::Stay;
            }
            Message::Append(_)
            | Message::AppendAccepted { .. }
            | Message::AppendRejected { .. }
            | Message::InstallSnapshot { .. }
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::Vote { .. }
            | Message::VoteReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow
            | Message::HigherTerm => {}
        }
        if term < self.core.term() {
            self.on_lower_term(from, term, &message);
            return Transition::Stay;
        }
        self.adopt_higher_term(from, term);
        assert_eq!(self.core.term(), term, "the term rules let a message through");
        self.on_message(from, message)
    }

    /// A message of the current term.
    fn on_message(&mut self, from: NodeId, message: Message) -> Transition {
        match message {
            Message::Append(append) => self.on_append(from, &append),
            Message::InstallSnapshot { last } => {
                let follower = Self::follower_of(&mut self.role, &mut self.core, from);
                follower.on_leader_heard(&mut self.core);
                if let Some(held) = follower.on_install_snapshot(&mut self.core, last) {
                    follower.acknowledge(&mut self.core, held);
                }
            }
            Message::Heartbeat { commit, round, sent_at } => {
                let follower = Self::follower_of(&mut self.role, &mut self.core, from);
                follower.on_leader_heard(&mut self.core);
                follower.on_heartbeat(&mut self.core, commit, round, sent_at);
            }
            Message::TimeoutNow => {
                Self::follower_of(&mut self.role, &mut self.core, from);
                if self.core.is_voter() {
                    return Transition::TakeOver;
                }
                self.ignore(from, IgnoreReason::Role);
            }
            Message::VoteReply { granted } => {
                return match &mut self.role {
                    Role::Candidate(candidate) => {
                        candidate.on_vote_reply(&mut self.core, from, granted)
                    }
                    // The election is over.
                    Role::Follower(_) | Role::PreCandidate(_) | Role::Leader(_) => Transition::Stay,
                };
            }
            Message::ReadIndexReply { ticket, index } => match &mut self.role {
                Role::Follower(follower) if follower.leader() == Some(from) => {
                    follower.on_read_index_reply(&mut self.core, ticket, index);
                }
                Role::Follower(_)
                | Role::PreCandidate(_)
                | Role::Candidate(_)
                | Role::Leader(_) => self.ignore(from, IgnoreReason::Role),
            },
            Message::AppendAccepted { .. }
            | Message::AppendRejected { .. }
            | Message::HeartbeatReply { .. }
            | Message::ReadIndex { .. } => match &mut self.role {
                Role::Leader(leader) => leader.on_message(&mut self.core, from, &message),
                Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                    self.ignore(from, IgnoreReason::Role);
                }
            },
            // Its term was the message, and is adopted.
            Message::HigherTerm => {}
            Message::PreVote { .. } | Message::PreVoteReply { .. } | Message::Vote { .. } => {
                unreachable!("questions about votes are answered before")
            }
        }
        Transition::Stay
    }

    /// Entries from the leader of the current term.
    fn on_append(&mut self, from: NodeId, append: &Append) {
        let follower = Self::follower_of(&mut self.role, &mut self.core, from);
        // First the entries: whether this member has a timer at all is for the membership that they
        // bring.
        follower.on_append(&mut self.core, append);
        follower.on_leader_heard(&mut self.core);
    }

    /// This member as a follower of `leader`, who leads the current term.
    fn follower_of<'a>(role: &'a mut Role, core: &mut Core, leader: NodeId) -> &'a mut Follower {
        let known = match &*role {
            Role::Follower(follower) => follower.leader(),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(core.id()),
        };
        // Proof of lost safety: to go on would destroy more.
        assert!(
            known.is_none_or(|known| known == leader),
            "two leaders in term {}: {known:?} and {leader}",
            core.term(),
        );
        if known.is_none() {
            Self::follow(role, core, core.term(), Some(leader));
        }
        let Role::Follower(follower) = role else { unreachable!("this member follows now") };
        follower
    }

    /// An answer to a pre-vote. The voter's term may be lower, since it adopted nothing; a refusal
    /// may teach a higher one.
    fn on_pre_vote_reply(
        &mut self,
        from: NodeId,
        term: Term,
        asked: Term,
        granted: Verdict,
    ) -> Transition {
        let is_asking = matches!(self.role, Role::PreCandidate(_));
        if self.core.term() < term {
            self.adopt_higher_term(from, term);
            if let Role::Follower(follower) = &mut self.role
                && is_asking
                && self.core.can_campaign()
            {
                // Asks again soon: it was behind, that is all it learned.
                let interval = self.core.config.heartbeat_interval;
                follower.election_due = self.core.draw_due(interval / 2, interval);
            }
            return Transition::Stay;
        }
        match &mut self.role {
            Role::PreCandidate(pre_candidate) => {
                pre_candidate.on_pre_vote_reply(&mut self.core, from, asked, granted)
            }
            // The question is no longer open.
            Role::Follower(_) | Role::Candidate(_) | Role::Leader(_) => Transition::Stay,
        }
    }

    /// A message of a lower term changes nothing here, but its sender may be stuck without an
    /// answer.
    fn on_lower_term(&mut self, from: NodeId, term: Term, message: &Message) {
        match message {
            // A deposed leader or a candidate that is late.
            Message::Append(_)
            | Message::InstallSnapshot { .. }
            | Message::Heartbeat { .. }
            | Message::TimeoutNow
            | Message::Vote { .. } => {
                self.core.send_at_once(from, Message::HigherTerm);
            }
            Message::AppendAccepted { .. }
            | Message::AppendRejected { .. }
            | Message::HeartbeatReply { .. }
            | Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::VoteReply { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::HigherTerm => {}
        }
        self.ignore(from, IgnoreReason::LowerTerm { term });
    }

    /// A higher term ends whatever this member was doing in its own (§5.1).
    pub(crate) fn adopt_higher_term(&mut self, from: NodeId, term: Term) {
        let own = self.core.term();
        if term <= own {
            return;
        }
        self.core.emit(Event::TermRaised { from, term });
        if self.is_leader() {
            let cause = StepDownCause::HigherTerm { from };
            self.core.emit(Event::SteppedDown { term: own, cause });
        }
        self.perform(Transition::Follow { term, leader: None });
    }

    fn ignore(&mut self, from: NodeId, reason: IgnoreReason) {
        self.core.emit(Event::MessageIgnored { from, reason });
    }

    /// Whether a correct member of this cluster could have sent this. Past this point the message
    /// is trusted in its form, though not in being timely.
    fn check_message(
        &self,
        from: NodeId,
        to: NodeId,
        term: Term,
        message: &Message,
    ) -> Result<(), Misbehaviour> {
        if to != self.id() || from == self.id() {
            return Err(Misbehaviour::Misrouted);
        }
        if NUMBER_MAX < term.value() {
            return Err(Misbehaviour::NumberTooLarge);
        }
        let is_pre_vote = matches!(message, Message::PreVote { .. } | Message::PreVoteReply { .. });
        if term == Term::ZERO && !is_pre_vote {
            return Err(Misbehaviour::TermZero);
        }
        match message {
            Message::Append(append) => append::check(term, append),
            Message::PreVote { last }
            | Message::Vote { last, by_transfer: _ }
            | Message::InstallSnapshot { last } => append::check_entry(term, *last),
            Message::AppendRejected { refused, hint } => {
                append::check_number(refused.value())?;
                append::check_entry(term, *hint)
            }
            Message::AppendAccepted { matched: index }
            | Message::Heartbeat { commit: index, .. }
            | Message::ReadIndexReply { index, .. } => append::check_number(index.value()),
            Message::PreVoteReply { asked, granted: Verdict::Granted } if *asked <= term => {
                Err(Misbehaviour::GrantImpossible)
            }
            Message::PreVoteReply { asked, .. } => append::check_number(asked.value()),
            Message::HeartbeatReply { .. }
            | Message::VoteReply { .. }
            | Message::ReadIndex { .. }
            | Message::TimeoutNow
            | Message::HigherTerm => Ok(()),
        }
    }
}
