//! The follower: it obeys the leader of its term, or waits for one.
//!
//! Its promises (a vote given, entries taken) are kept here as what is *owed* and are paid when the
//! disk has confirmed what they depend on. When term, vote or leader change, the follower is a new
//! one, and so what the old one owed is never said.

use core::time::Duration;

use crate::common::{Core, Pace};
use crate::event::{CampaignCause, Event, IgnoreReason, Misbehaviour};
use crate::message::{Message, ReadTicket, Verdict};
use crate::raft::Transition;
use crate::types::{Index, Instant, NodeId};

/// A member that follows.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    /// The leader of the current term, once it was heard.
    pub(crate) following: Option<Following>,
    /// When to ask for an election; `NEVER` for a member without a vote.
    pub(crate) election_due: Instant,
    /// The candidate that got this member's vote, which is not durable yet.
    pub(crate) vote_owed: Option<NodeId>,
    /// Why the next campaign will begin, when there was no leader in this term.
    pub(crate) cause: CampaignCause,
}

/// What a follower knows of its leader. Reset when the leader or the term changes.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    /// Who leads.
    pub(crate) leader: NodeId,
    /// When the leader was last heard.
    heard_at: Instant,
    /// Whether the connection to it broke since.
    link: Link,
    /// The last entry that this leader's messages verified: the logs agree up to there, and neither
    /// changes there while the term lasts. Never falls.
    pub(crate) verified: Index,
    /// The last entry of the appends that were not fully acknowledged, since the disk was busy.
    pub(crate) owed: Option<Index>,
    /// The last entry acknowledged.
    acked: Index,
    /// The read request under way.
    asked: Option<Asked>,
}

/// The connection to the leader, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// No bad news since the leader was heard.
    Up,
    /// It broke: the leader may be dead.
    Broken,
}

/// A read request under way.
#[derive(Clone, Copy, Debug)]
struct Asked {
    ticket: ReadTicket,
    at: Instant,
}

impl Follower {
    /// A follower of `leader`, or of nobody yet.
    pub(crate) fn new(leader: Option<NodeId>, now: Instant, election_due: Instant) -> Self {
        let following = leader.map(|leader| Following {
            leader,
            heard_at: now,
            link: Link::Up,
            verified: Index::ZERO,
            owed: None,
            acked: Index::ZERO,
            asked: None,
        });
        Self { following, election_due, vote_owed: None, cause: CampaignCause::NoLeader }
    }

    /// This follower, which has just begun to follow the leader of `earlier` again, in the same
    /// term: what was verified is so still, and what was owed is to be paid.
    pub(crate) fn resume(&mut self, core: &mut Core, earlier: &Following) {
        let following = self.following.as_mut().expect("a leader is followed again");
        assert_eq!(following.leader, earlier.leader, "two leaders in term {}", core.term());
        following.verified = earlier.verified;
        following.owed = earlier.owed;
        following.acked = earlier.acked;
        // The disk may have been done while there was nobody to tell.
        self.on_persisted(core);
    }

    /// The leader, if known.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.following.as_ref().map(|following| following.leader)
    }

    /// The leader, if it was heard so lately that this member helps nobody to replace it
    /// (thesis 4.2.3). Its own broken connection frees a member from that, though not from what it
    /// has promised.
    pub(crate) fn living_leader(&self, core: &Core) -> Option<NodeId> {
        let following = self.following.as_ref()?;
        let is_recent = core.now.since(following.heard_at) < core.config.election_timeout_min;
        (is_recent && following.link == Link::Up).then_some(following.leader)
    }

    /// When time matters next to this follower.
    pub(crate) fn deadline(&self, core: &Core) -> Instant {
        let asked = self.following.as_ref().and_then(|following| following.asked);
        let read_due = asked.map(|asked| asked.at.after(core.config.heartbeat_interval));
        read_due.map_or(self.election_due, |due| due.min(self.election_due))
    }

    /// Time has passed.
    pub(crate) fn on_timeout(&mut self, core: &mut Core) -> Transition {
        self.maybe_ask_read_index(core);
        if core.now < self.election_due {
            return Transition::Stay;
        }
        if !core.can_campaign() {
            self.election_due = Instant::NEVER;
            return Transition::Stay;
        }
        if self.vote_owed.is_some() {
            // The candidate waits for this vote, or has won without it and will be heard soon. To
            // campaign now would end the term before the vote was ever told.
            self.election_due = core.draw_candidacy_due();
            return Transition::Stay;
        }
        if core.is_promised() {
            // A leader may count on this member's standing aside.
            self.election_due = core.draw_promise_over();
            return Transition::Stay;
        }
        let cause = self.following.as_ref().map_or(self.cause, |following| match following.link {
            Link::Up => CampaignCause::LeaderSilent { leader: following.leader },
            Link::Broken => CampaignCause::LeaderDisconnected { leader: following.leader },
        });
        Transition::PreCampaign(cause)
    }

    /// A sign of life of the leader, which the caller made sure is followed.
    pub(crate) fn on_leader_heard(&mut self, core: &mut Core) {
        core.pace = Pace::Patient;
        self.election_due =
            if core.can_campaign() { core.draw_election_due() } else { Instant::NEVER };
        let following = self.following.as_mut().expect("the caller follows the leader heard");
        following.heard_at = core.now;
        following.link = Link::Up;
        self.maybe_ask_read_index(core);
    }

    /// The leader's heartbeat (its commit index is not beyond what this member acknowledged).
    pub(crate) fn on_heartbeat(
        &mut self,
        core: &mut Core,
        commit: Index,
        round: u64,
        sent_at: Instant,
    ) {
        let leader = self.leader().expect("a heartbeat comes from the leader followed");
        if core.trail.last_index() < commit {
            let what = Misbehaviour::CommitBeyondLog;
            core.emit(Event::PeerMisbehaved { peer: leader, what });
            return;
        }
        // The leader cuts the index to what this member has acknowledged as durable in this term,
        // so the entries up to there equal the leader's, even if this life did not verify them.
        core.commit_to(commit);
        let support = core.promise_support(leader);
        core.send(leader, Message::HeartbeatReply { round, sent_at, support });
    }

    /// Something became durable: pays what is owed.
    pub(crate) fn on_persisted(&mut self, core: &mut Core) {
        if let Some(candidate) = self.vote_owed
            && core.is_hard_state_durable()
        {
            assert_eq!(core.hard_state.vote, Some(candidate), "the vote owed is the vote given");
            self.vote_owed = None;
            core.send(candidate, Message::VoteReply { granted: Verdict::Granted });
        }
        let Some(following) = &mut self.following else { return };
        let Some(owed) = following.owed else { return };
        if !core.is_term_durable() {
            return;
        }
        let matched = owed.min(core.durable.index());
        if matched == owed {
            following.owed = None;
        } else if matched <= following.acked {
            return;
        }
        following.acked = following.acked.max(matched);
        core.send(following.leader, Message::AppendAccepted { matched });
    }

    /// The entries up to `last` were verified: acknowledges them, now or when they are durable.
    pub(crate) fn acknowledge(&mut self, core: &mut Core, last: Index) {
        let following = self.following.as_mut().expect("an append comes from the leader followed");
        following.verified = following.verified.max(last);
        if last <= core.durable.index() && core.is_term_durable() {
            following.acked = following.acked.max(last);
            core.send(following.leader, Message::AppendAccepted { matched: last });
        } else {
            following.owed = Some(following.owed.map_or(last, |owed| owed.max(last)));
        }
    }

    /// The connection to `peer` broke. If it leads, it may be dead: this member asks soon, and
    /// supports others who ask.
    pub(crate) fn on_disconnected(&mut self, core: &mut Core, peer: NodeId) {
        let Some(following) = &mut self.following else { return };
        if following.leader != peer || following.link == Link::Broken {
            return;
        }
        following.link = Link::Broken;
        core.pace = Pace::EAGER;
        if core.can_campaign() {
            let due = core.draw_due(Duration::ZERO, core.config.heartbeat_interval);
            self.election_due = self.election_due.min(due);
        }
    }

    /// A connection was made: one who never heard a leader need not wait for the next try.
    pub(crate) fn on_connected(&mut self, core: &mut Core) {
        if self.following.is_none() && core.can_campaign() {
            self.election_due = self.election_due.min(draw_connected_due(core));
        }
    }

    /// Asks the leader for a read index, if reads wait and no younger request is under way.
    pub(crate) fn maybe_ask_read_index(&mut self, core: &mut Core) {
        let Some(following) = &mut self.following else { return };
        let Some(ticket) = core.reads.waiting() else { return };
        let interval = core.config.heartbeat_interval;
        if following.asked.is_some_and(|asked| core.now.since(asked.at) < interval) {
            return;
        }
        following.asked = Some(Asked { ticket, at: core.now });
        core.send(following.leader, Message::ReadIndex { ticket });
    }

    /// The leader confirmed the reads up to `ticket`.
    pub(crate) fn on_read_index_reply(
        &mut self,
        core: &mut Core,
        ticket: ReadTicket,
        index: Index,
    ) {
        let Some(following) = &mut self.following else { return };
        let leader = following.leader;
        // Served already, or the answer to an earlier life of this member.
        if !core.reads.is_waiting(ticket) {
            let reason = IgnoreReason::Stale;
            core.emit(Event::MessageIgnored { from: leader, reason });
            return;
        }
        core.reads.confirm(ticket, index, &mut core.outbox);
        if following.asked.is_some_and(|asked| asked.ticket <= ticket) {
            following.asked = None;
        }
        self.maybe_ask_read_index(core);
    }
}

/// When a member without a leader tries again after a connection was made: soon, if it hurries.
pub(crate) fn draw_connected_due(core: &mut Core) -> Instant {
    match core.pace {
        Pace::Eager { .. } => core.draw_due(Duration::ZERO, core.config.heartbeat_interval / 4),
        Pace::Patient => Instant::NEVER,
    }
}
