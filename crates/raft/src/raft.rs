//! The member: takes inputs, hands out what is to be done, and changes roles.
//!
//! Every input goes the same way: for a message the rules about terms (`receive.rs`), then the
//! role's handler, which returns the [`Transition`] it wishes, then [`Raft::perform`], which alone
//! changes roles.

use crate::candidate::{Called, Candidate, PreCandidate};
use crate::common::{Core, Outbox, Pace};
use crate::config::{RestoreError, check_restored};
use crate::durable::{Confirmation, Durable};
use crate::event::{CampaignCause, Event};
use crate::follower::Follower;
use crate::invariants;
use crate::leader::Leader;
use crate::lease::Promise;
use crate::membership::{Membership, Memberships};
use crate::message::{Envelope, ReadTicket};
use crate::read::LocalReads;
use crate::ready::{
    Config, HardState, Input, ProposeError, Proposed, Ready, Restored, RoleName, Sizes, Source,
    Status, TransferError,
};
use crate::rng::Rng;
use crate::types::{EntryId, Index, Instant, NodeId, Term};

use core::time::Duration;

/// A member of a cluster: the Raft algorithm as a state machine over inputs.
///
/// After every call of [`Raft::step`], [`Raft::propose`] and [`Raft::read`], the caller takes what
/// [`Raft::ready`] has, as long as [`Raft::has_ready`], and asks [`Raft::pull`] for every peer that
/// has room for an append.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) core: Core,
    pub(crate) role: Role,
}

/// A role with the data that only it has.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Leader),
}

/// The change of role that a handler wishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    /// None.
    Stay,
    /// To a follower, of a leader if one is known, in a term that is not below the current one.
    Follow { term: Term, leader: Option<NodeId> },
    /// To a pre-candidate of the current term.
    PreCampaign(CampaignCause),
    /// From a pre-candidate to a candidate of the next term.
    Campaign,
    /// From the follower that the leader hands over to, to a candidate of the next term.
    TakeOver,
    /// From a candidate to the leader of its term.
    Lead,
}

impl Raft {
    /// A member that starts with what its log held. It begins as a follower and looks for a leader
    /// within a heartbeat interval, at once if it is the only voter.
    ///
    /// # Errors
    ///
    /// When the settings cannot work, or the restored state is impossible.
    pub fn new(config: Config, restored: Restored, now: Instant) -> Result<Self, RestoreError> {
        config.check()?;
        let trail = check_restored(&restored)?;
        let mut rng = Rng::new(config.seed);
        let mut core = Core {
            now,
            time_fell_at: None,
            promise: Promise::at_start(config.lease.as_ref(), restored.hard_state, now),
            hard_state: restored.hard_state,
            durable: Durable::new(restored.hard_state, trail.last_index()),
            trail,
            memberships: Memberships::new(restored.memberships),
            commit: restored.commit,
            pace: Pace::EAGER,
            reads: LocalReads::new(rng.next()),
            outbox: Outbox::default(),
            rng,
            config,
        };
        let is_only_voter = Membership::of_voters([core.id()]).incoming
            == core.membership().incoming
            && core.membership().outgoing.is_empty();
        let election_due = if !core.can_campaign() {
            Instant::NEVER
        } else if is_only_voter {
            now
        } else {
            core.draw_due(Duration::ZERO, core.config.heartbeat_interval)
        };
        let role = Role::Follower(Follower::new(None, now, election_due));
        let raft = Self { core, role };
        invariants::check_state(&raft);
        Ok(raft)
    }

    /// Takes one input. `now` is to be read from the clock when the input is there already, never
    /// before: promises and leases are counted from it. Time never goes back: an earlier `now` than
    /// before counts as the latest.
    pub fn step(&mut self, now: Instant, input: Input) {
        self.advance(now);
        let wish = match input {
            Input::Timeout => self.on_timeout(),
            Input::Receive(envelope) => self.receive(envelope),
            Input::Persisted(receipt) => match self.core.durable.persisted(receipt) {
                Confirmation::Advanced => self.on_persisted(),
                Confirmation::Nothing => Transition::Stay,
            },
            Input::Disconnected(peer) => self.on_disconnected(peer),
            Input::Connected(peer) => self.on_connected(peer),
        };
        self.perform(wish);
        invariants::check_cheap(self);
    }

    /// What is to be done now. Empty, and cheap, when there is nothing.
    pub fn ready(&mut self) -> Ready {
        let write = self.core.durable.take_write(&self.core.trail);
        let outbox = &mut self.core.outbox;
        Ready {
            write,
            messages: core::mem::take(&mut outbox.messages),
            reads: core::mem::take(&mut outbox.reads),
            wanted: outbox.wanted.take(),
            events: core::mem::take(&mut outbox.events),
        }
    }

    /// Whether [`Raft::ready`] would give anything.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        let outbox = &self.core.outbox;
        self.core.durable.has_write()
            || !outbox.messages.is_empty()
            || !outbox.reads.is_empty()
            || outbox.wanted.is_some()
            || !outbox.events.is_empty()
    }

    /// Appends `count` entries of the current term, if this member leads. The payloads stay with
    /// the caller; the write comes out of the next [`Raft::ready`].
    ///
    /// # Errors
    ///
    /// [`ProposeError::NotLeader`], with the leader to go to, if one is known, and
    /// [`ProposeError::Transferring`] while this member hands its leadership over.
    ///
    /// # Panics
    ///
    /// When `count` is 0: there is nothing to propose.
    pub fn propose(&mut self, now: Instant, count: u64) -> Result<Proposed, ProposeError> {
        assert!(0 < count, "a proposal has entries");
        self.advance(now);
        match &self.role {
            Role::Leader(leader) => match leader.transferring() {
                Some(to) => Err(ProposeError::Transferring { to }),
                None if leader.is_retired(&self.core) => {
                    Err(ProposeError::NotLeader { leader: None })
                }
                None => Ok(Proposed { first: self.core.append_own(count, Source::Proposal) }),
            },
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                Err(ProposeError::NotLeader { leader: self.leader() })
            }
        }
    }

    /// One ticket for all the reads that wait now. It comes back in [`Ready::reads`] when they may
    /// be served. Works on any member, and waits as long as there is no leader. `now` is to be read
    /// from the clock when all of these reads are there already: it is what tells a leader that was
    /// held up that its lease is over.
    pub fn read(&mut self, now: Instant) -> ReadTicket {
        self.advance(now);
        let ticket = self.core.reads.issue();
        match &mut self.role {
            Role::Follower(follower) => follower.maybe_ask_read_index(&mut self.core),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
            Role::Leader(leader) => leader.on_local_read(&mut self.core, ticket),
        }
        ticket
    }

    /// Hands the leadership over (thesis 3.10) to a voter, or to the one whose log is the most
    /// complete. It takes over when it has the whole log; until then, and for an election timeout
    /// at most, nothing is proposed. Returns whom; this member itself if that was asked for, which
    /// changes nothing.
    ///
    /// # Errors
    ///
    /// When this member does not lead, or nobody can take over.
    pub fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        self.advance(now);
        match &mut self.role {
            Role::Leader(leader) => leader.begin_transfer(&mut self.core, to),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                Err(TransferError::NotLeader { leader: self.leader() })
            }
        }
    }

    /// Whom this member hands its leadership over to, if it does.
    #[must_use]
    pub fn transferring(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.transferring(),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// The next append for a peer that has room: `None` when this member does not lead, when
    /// nothing is to be sent, or when the peer's window is full.
    pub fn pull(&mut self, now: Instant, to: NodeId, log: &impl Sizes) -> Option<Envelope> {
        self.advance(now);
        match &mut self.role {
            Role::Leader(leader) => leader.pull(&self.core, to, log),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        }
    }

    /// When the next [`Input::Timeout`] is due. Changes with every call; a timer that is late by
    /// the granularity of a clock does no harm, and one that fires early neither.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        match &self.role {
            Role::Follower(follower) => follower.deadline(&self.core),
            Role::PreCandidate(pre_candidate) => pre_candidate.deadline(),
            Role::Candidate(candidate) => candidate.deadline(),
            Role::Leader(leader) => leader.deadline(&self.core),
        }
    }

    /// What can be seen from outside.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            id: self.id(),
            role: self.role(),
            term: self.term(),
            vote: self.core.hard_state.vote,
            leader: self.leader(),
            base: self.base(),
            last: self.last(),
            durable: self.core.durable.index(),
            commit: self.commit(),
            standing: self.standing(),
            membership: self.membership_index(),
            is_change_pending: self.is_change_pending(),
        }
    }

    /// This member.
    #[must_use]
    pub const fn id(&self) -> NodeId {
        self.core.id()
    }

    /// The current role.
    #[must_use]
    pub const fn role(&self) -> RoleName {
        match &self.role {
            Role::Follower(_) => RoleName::Follower,
            Role::PreCandidate(_) => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// The current term.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.core.term()
    }

    /// The leader of the current term, if known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        match &self.role {
            Role::Follower(follower) => follower.leader(),
            Role::PreCandidate(_) | Role::Candidate(_) => None,
            Role::Leader(_) => Some(self.id()),
        }
    }

    /// Whether this member leads, as far as it knows.
    #[must_use]
    pub const fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The last index known to be committed.
    #[must_use]
    pub const fn commit(&self) -> Index {
        self.core.commit
    }

    /// The entry right before the first one of the log; [`EntryId::ZERO`] if it has all.
    #[must_use]
    pub const fn base(&self) -> EntryId {
        self.core.trail.base()
    }

    /// The last entry of the log, durable or not.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.core.trail.last()
    }

    /// The term of the entry at `index`, that of [`Raft::base`] included. `None` before that and
    /// beyond the log.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.core.trail.term_at(index)
    }

    /// The first entry of each term that the log has entries of, in order: for checkers.
    #[must_use]
    pub fn term_starts(&self) -> &[EntryId] {
        self.core.trail.starts()
    }

    /// The membership that counts.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.core.membership()
    }

    pub(crate) fn advance(&mut self, now: Instant) {
        self.core.advance(now);
    }

    fn on_timeout(&mut self) -> Transition {
        let core = &mut self.core;
        match &mut self.role {
            Role::Follower(follower) => follower.on_timeout(core),
            Role::PreCandidate(pre_candidate) => pre_candidate.on_timeout(core),
            Role::Candidate(candidate) => candidate.on_timeout(core),
            Role::Leader(leader) => leader.on_timeout(core),
        }
    }

    fn on_persisted(&mut self) -> Transition {
        let core = &mut self.core;
        core.release_held();
        match &mut self.role {
            Role::Follower(follower) => follower.on_persisted(core),
            Role::PreCandidate(_) => {}
            Role::Candidate(candidate) => return candidate.on_persisted(core),
            Role::Leader(leader) => leader.maybe_commit(core),
        }
        Transition::Stay
    }

    fn on_disconnected(&mut self, peer: NodeId) -> Transition {
        match &mut self.role {
            Role::Follower(follower) => follower.on_disconnected(&mut self.core, peer),
            Role::PreCandidate(_) | Role::Candidate(_) => {}
            Role::Leader(leader) => leader.on_disconnected(&mut self.core, peer),
        }
        Transition::Stay
    }

    fn on_connected(&mut self, peer: NodeId) -> Transition {
        let core = &mut self.core;
        match &mut self.role {
            Role::Follower(follower) => follower.on_connected(core),
            Role::PreCandidate(pre_candidate) => pre_candidate.on_connected(core),
            Role::Candidate(candidate) => candidate.on_connected(core, peer),
            Role::Leader(leader) => leader.on_connected(core, peer),
        }
        Transition::Stay
    }

    /// Changes the role, and again as long as the new role wishes so.
    pub(crate) fn perform(&mut self, wish: Transition) {
        let mut wish = wish;
        while wish != Transition::Stay {
            wish = self.transition(wish);
        }
    }

    /// The only place where roles change, but for [`Raft::follow`], which it shares with the
    /// recognition of a leader.
    fn transition(&mut self, wish: Transition) -> Transition {
        let core = &mut self.core;
        match wish {
            Transition::Stay => Transition::Stay,
            Transition::Follow { term, leader } => {
                Self::follow(&mut self.role, core, term, leader);
                Transition::Stay
            }
            Transition::PreCampaign(cause) => {
                assert!(core.can_campaign(), "only voters campaign");
                assert!(!matches!(self.role, Role::Leader(_)), "a leader need not campaign");
                core.emit(Event::BecamePreCandidate { term: core.term(), cause });
                let following = match &mut self.role {
                    Role::Follower(follower) => follower.following.take(),
                    Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => None,
                };
                let pre_candidate = PreCandidate::new(core, following);
                let next = pre_candidate.wish(core);
                self.role = Role::PreCandidate(pre_candidate);
                next
            }
            Transition::Campaign => {
                assert!(core.can_campaign(), "only voters campaign");
                assert!(
                    matches!(self.role, Role::PreCandidate(_)),
                    "a candidacy follows a quorum of pre-votes"
                );
                assert!(!core.is_promised(), "no vote is given against a promise");
                core.count_candidacy();
                self.stand(Called::ByItself)
            }
            Transition::TakeOver => {
                assert!(core.can_campaign(), "only voters campaign");
                assert!(
                    matches!(self.role, Role::Follower(_)),
                    "leadership is handed to a follower"
                );
                self.stand(Called::ByLeader)
            }
            Transition::Lead => {
                assert!(matches!(self.role, Role::Candidate(_)), "only a candidate is elected");
                assert!(core.is_hard_state_durable(), "an election is won by durable votes");
                core.pace = Pace::Patient;
                core.emit(Event::BecameLeader { term: core.term() });
                self.role = Role::Leader(Leader::new(core));
                Transition::Stay
            }
        }
    }

    /// Becomes a candidate of the next term.
    fn stand(&mut self, called: Called) -> Transition {
        let core = &mut self.core;
        let term = core.term().next();
        core.set_hard_state(HardState { term, vote: Some(core.id()) });
        core.emit(Event::BecameCandidate { term });
        self.role = Role::Candidate(Candidate::new(core, called));
        Transition::Stay
    }

    /// Becomes a follower. The vote is kept unless the term rises; a follower without a new leader
    /// keeps its timer, so that nobody can hold it off by raising terms. A pre-candidate that hears
    /// the leader of its term again goes on where it was.
    pub(crate) fn follow(role: &mut Role, core: &mut Core, term: Term, leader: Option<NodeId>) {
        assert!(core.term() <= term, "the term never falls");
        let earlier = match role {
            Role::PreCandidate(pre_candidate) if core.term() == term && leader.is_some() => {
                pre_candidate.following.take()
            }
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => {
                None
            }
        };
        if core.term() < term {
            core.set_hard_state(HardState { term, vote: None });
        }
        let election_due = match role {
            Role::Follower(follower) => follower.election_due,
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) if core.can_campaign() => {
                core.draw_candidacy_due()
            }
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => Instant::NEVER,
        };
        core.emit(Event::BecameFollower { term, leader });
        let mut follower = Follower::new(leader, core.now, election_due);
        if let Some(earlier) = earlier {
            follower.resume(core, &earlier);
        }
        *role = Role::Follower(follower);
    }
}
