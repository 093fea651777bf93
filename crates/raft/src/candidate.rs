//! The two steps of an election: asking whether it could succeed, and standing for it.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::common::Core;
use crate::event::{CampaignCause, Event, IgnoreReason, Misbehaviour};
use crate::follower::{Following, draw_connected_due};
use crate::message::{Message, Verdict};
use crate::quorum;
use crate::raft::Transition;
use crate::types::{Instant, NodeId, Term};

/// A member that asks for pre-votes (thesis 9.6). Nothing about it is durable and nobody's term
/// rises, so asking too often is harmless.
#[derive(Clone, Debug)]
pub(crate) struct PreCandidate {
    /// Which others would vote for it, and when they said so. A grant means that the voter heard no
    /// leader just then, so it is worth nothing after `election_timeout_min`: else grants of
    /// moments far apart would make a quorum that was never without a leader.
    granted: BTreeMap<NodeId, Instant>,
    /// When to ask again.
    due: Instant,
    /// How many rounds in a row brought no answer, the present one included. Reset by an answer and
    /// by a new connection.
    unanswered: u32,
    /// The leader that it followed in this term and what is owed to it, in case it is heard again.
    pub(crate) following: Option<Following>,
}

/// A member that stands for election (§5.2).
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Who voted for it. Itself among them as soon as its own vote is durable, and not before.
    granted: BTreeSet<NodeId>,
    /// When to give up and ask for pre-votes again, if its own vote is durable by then.
    due: Instant,
    /// Who wished this election.
    called: Called,
}

/// Who wished an election.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// The candidate, which heard no leader.
    ByItself,
    /// The leader, which hands over to the candidate.
    ByLeader,
}

impl PreCandidate {
    /// Begins to ask, having followed a leader in this term or not.
    pub(crate) fn new(core: &mut Core, following: Option<Following>) -> Self {
        let due = core.draw_pre_vote_due(0);
        let pre_candidate = Self { granted: BTreeMap::new(), due, unanswered: 1, following };
        pre_candidate.ask(core);
        pre_candidate
    }

    /// Whether the election could succeed. Pre-votes need no disk, so its own counts at once,
    /// unless it has promised a leader not to stand.
    pub(crate) fn wish(&self, core: &Core) -> Transition {
        if core.is_promised() {
            return Transition::Stay;
        }
        if quorum::agrees(core.membership(), |id| id == core.id() || self.is_granted(core, id)) {
            Transition::Campaign
        } else {
            Transition::Stay
        }
    }

    /// When to ask again.
    pub(crate) const fn deadline(&self) -> Instant {
        self.due
    }

    /// Time has passed: asks again those who did not agree.
    pub(crate) fn on_timeout(&mut self, core: &mut Core) -> Transition {
        if core.now < self.due {
            return Transition::Stay;
        }
        if !core.can_campaign() {
            return Transition::Follow { term: core.term(), leader: None };
        }
        self.due = core.draw_pre_vote_due(self.unanswered);
        self.unanswered = self.unanswered.saturating_add(1);
        self.ask(core);
        self.wish(core)
    }

    /// A connection was made: asks again soon, if it hurries.
    pub(crate) fn on_connected(&mut self, core: &mut Core) {
        self.unanswered = 0;
        self.due = self.due.min(draw_connected_due(core));
    }

    /// An answer came.
    pub(crate) fn on_pre_vote_reply(
        &mut self,
        core: &mut Core,
        from: NodeId,
        asked: Term,
        granted: Verdict,
    ) -> Transition {
        if asked != core.term().next() {
            core.emit(Event::MessageIgnored { from, reason: IgnoreReason::Stale });
            return Transition::Stay;
        }
        self.unanswered = 0;
        match granted {
            Verdict::Refused => Transition::Stay,
            Verdict::Granted if !core.membership().is_voter(from) => {
                core.emit(Event::MessageIgnored { from, reason: IgnoreReason::NotAMember });
                Transition::Stay
            }
            Verdict::Granted => {
                self.granted.insert(from, core.now);
                self.wish(core)
            }
        }
    }

    /// Whether `id` agreed lately enough.
    fn is_granted(&self, core: &Core, id: NodeId) -> bool {
        let lifetime = core.config.election_timeout_min;
        self.granted.get(&id).is_some_and(|&at| core.now.since(at) < lifetime)
    }

    fn ask(&self, core: &mut Core) {
        let last = core.durable_last();
        for peer in other_voters(core) {
            if !self.is_granted(core, peer) {
                core.send(peer, Message::PreVote { last });
            }
        }
    }
}

impl Candidate {
    /// A candidacy whose vote for itself is on its way to the disk; nobody is asked yet.
    pub(crate) fn new(core: &mut Core, called: Called) -> Self {
        Self { granted: BTreeSet::new(), due: core.draw_candidacy_due(), called }
    }

    /// Whether the election is won: by a quorum of durable votes, its own among them.
    fn wish(&self, core: &Core) -> Transition {
        let is_standing = self.granted.contains(&core.id());
        if is_standing && quorum::agrees(core.membership(), |id| self.granted.contains(&id)) {
            Transition::Lead
        } else {
            Transition::Stay
        }
    }

    /// When to give up.
    pub(crate) const fn deadline(&self) -> Instant {
        self.due
    }

    /// Time has passed: the votes were split or lost. A new try begins with pre-votes. But as long
    /// as its own vote is on the way to the disk, nobody was asked. To give up then would put one
    /// more vote in the disk's queue: on a slow disk the term would rise for ever.
    pub(crate) fn on_timeout(&mut self, core: &mut Core) -> Transition {
        if core.now < self.due {
            return Transition::Stay;
        }
        if !core.can_campaign() {
            return Transition::Follow { term: core.term(), leader: None };
        }
        if !self.granted.contains(&core.id()) {
            self.due = core.draw_candidacy_due();
            return Transition::Stay;
        }
        Transition::PreCampaign(CampaignCause::NoLeader)
    }

    /// Its own vote may have become durable; then it asks the others, with the last entry that is
    /// durable too.
    pub(crate) fn on_persisted(&mut self, core: &mut Core) -> Transition {
        if !core.is_hard_state_durable() || !self.granted.insert(core.id()) {
            return Transition::Stay;
        }
        assert_eq!(core.hard_state.vote, Some(core.id()), "a candidate votes for itself");
        // The others' time to answer begins now: what this disk took is not on their account.
        self.due = core.draw_candidacy_due();
        for peer in other_voters(core) {
            self.ask(core, peer);
        }
        self.wish(core)
    }

    /// A connection to a voter was made: what was sent before is lost.
    pub(crate) fn on_connected(&self, core: &mut Core, peer: NodeId) {
        let is_standing = self.granted.contains(&core.id());
        if is_standing && !self.granted.contains(&peer) && core.membership().is_voter(peer) {
            self.ask(core, peer);
        }
    }

    /// An answer of this term came.
    pub(crate) fn on_vote_reply(
        &mut self,
        core: &mut Core,
        from: NodeId,
        granted: Verdict,
    ) -> Transition {
        match granted {
            Verdict::Refused => Transition::Stay,
            Verdict::Granted if !core.membership().is_voter(from) => {
                core.emit(Event::MessageIgnored { from, reason: IgnoreReason::NotAMember });
                Transition::Stay
            }
            // Nobody can vote before being asked, and asking waits for the own vote.
            Verdict::Granted if !self.granted.contains(&core.id()) => {
                let what = Misbehaviour::GrantImpossible;
                core.emit(Event::PeerMisbehaved { peer: from, what });
                Transition::Stay
            }
            Verdict::Granted => {
                self.granted.insert(from);
                self.wish(core)
            }
        }
    }

    fn ask(&self, core: &mut Core, peer: NodeId) {
        let last = core.durable_last();
        let by_transfer = self.called == Called::ByLeader;
        core.send(peer, Message::Vote { last, by_transfer });
    }
}

/// The voters but for this member.
fn other_voters(core: &Core) -> alloc::vec::Vec<NodeId> {
    let membership = core.membership();
    let voters = membership.incoming.union(&membership.outgoing);
    voters.copied().filter(|&id| id != core.id()).collect()
}
