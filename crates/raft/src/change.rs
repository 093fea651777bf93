//! Changes of membership while serving (§6, thesis 4), by joint consensus alone.
//!
//! A change of voters takes two entries: one that makes the membership joint, and one that ends the
//! change, which the leader appends by itself once the first is committed. Whoever leads then does
//! so, be it another by now; it knows from its log. A change that leaves the voters as they are
//! takes one entry.
//!
//! Invariants:
//!
//! - The leader has one uncommitted membership entry at most, and none before an entry of its term
//!   is committed.
//! - Its peers are the other members, and those removed a moment ago.
//! - Who is no voter for the leader gets only what is committed. So a log that is longer than that
//!   of everyone who can be elected is that of a voter, who can be elected itself.

use alloc::collections::BTreeSet;

use crate::common::Core;
use crate::leader::Leader;
use crate::membership::Membership;
use crate::progress::Progress;
use crate::quorum;
use crate::raft::{Raft, Role};
use crate::ready::{Proposed, Standing};
use crate::target::{ChangeError, Target};
use crate::types::{EntryId, Index, Instant, NodeId};

/// How many committed entries a learner may lack to be made a voter: it has them in a moment, and
/// holds up no commit until then.
const CATCH_UP_MAX: u64 = 4096;

/// A peer that is no member any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    /// The entry that removed it.
    index: Index,
    /// When it gets no more entries, whether it knows of its removal or not; `NEVER` as long as the
    /// removal is not committed.
    until: Instant,
}

impl Raft {
    /// Begins to change the membership, if this member leads and the change can be carried through.
    /// The new membership counts from now on. If its voters are others, the change ends by itself
    /// with a second entry; until then [`Raft::is_change_pending`].
    ///
    /// A member becomes a voter only after it was a learner and has caught up. A leader that is no
    /// voter of the new membership leads until the change is committed, and hands over then.
    ///
    /// # Errors
    ///
    /// What speaks against the change; nothing has changed then.
    pub fn change_membership(
        &mut self,
        now: Instant,
        target: &Target,
    ) -> Result<Proposed, ChangeError> {
        self.advance(now);
        match &mut self.role {
            Role::Leader(leader) => leader.change_membership(&mut self.core, target),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => {
                Err(ChangeError::NotLeader { leader: self.leader() })
            }
        }
    }

    /// The membership that the entry at `index` brought, if there is one: the payload of that entry
    /// tells it.
    #[must_use]
    pub fn membership_at(&self, index: Index) -> Option<&Membership> {
        self.core.memberships.at(index)
    }

    /// The entry of the membership that counts.
    #[must_use]
    pub fn membership_index(&self) -> Index {
        self.core.memberships.current_index()
    }

    /// Whether a change of membership has not ended: the membership is joint, or not committed as
    /// far as this member knows.
    #[must_use]
    pub fn is_change_pending(&self) -> bool {
        self.commit() < self.membership_index() || self.membership().is_joint()
    }

    /// What this member is by the membership that counts here.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if self.core.is_voter() {
            Standing::Voter
        } else if self.membership().is_member(self.id()) {
            Standing::Learner
        } else {
            Standing::Stranger
        }
    }

    /// Those that messages may be for: the other members, and at a leader those that it removed a
    /// moment ago and that are still to learn of it.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> + '_ {
        let departures = match &self.role {
            Role::Leader(leader) => Some(&leader.departures),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => None,
        };
        let others = self.membership().members().filter(|&id| id != self.id());
        others.chain(departures.into_iter().flat_map(|departures| departures.keys().copied()))
    }
}

impl Leader {
    fn change_membership(
        &mut self,
        core: &mut Core,
        target: &Target,
    ) -> Result<Proposed, ChangeError> {
        target.check()?;
        self.check_moment(core, target)?;
        let next = core.membership().begin_change(&target.voters, &target.learners);
        self.check_reach(core, &next)?;
        Ok(Proposed { first: self.append_membership(core, next) })
    }

    /// Whether any change may begin now.
    fn check_moment(&self, core: &Core, target: &Target) -> Result<(), ChangeError> {
        if let Some(to) = self.transferring() {
            return Err(ChangeError::Transferring { to });
        }
        if self.is_retired(core) {
            return Err(ChangeError::NotLeader { leader: None });
        }
        // Else the entry of an earlier change may be in a log elsewhere, which could still be
        // committed: two changes that know nothing of each other need not have a voter in common.
        if core.commit < self.term_start {
            return Err(ChangeError::TermNotCommitted);
        }
        let current = core.memberships.current_index();
        if core.commit < current || core.membership().is_joint() {
            return Err(ChangeError::UnderWay { index: current });
        }
        match target.expected {
            Some(expected) if expected != current => {
                Err(ChangeError::Unexpected { expected, current })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the change can be carried through with those who would vote.
    fn check_reach(&self, core: &Core, next: &Membership) -> Result<(), ChangeError> {
        let now = core.membership();
        for &member in next.incoming.difference(&now.incoming) {
            if !now.learners.contains(&member) {
                return Err(ChangeError::NotALearner { member });
            }
            let peer = self.place(member).map(|place| &self.peers[place]);
            let peer = peer.expect("every other member is a peer");
            if !is_heard(core, peer) {
                return Err(ChangeError::Silent { member });
            }
            // Something of this very term must have been acknowledged: the log before it is there
            // then, and so is the entry that made it a learner.
            let least = self.term_start.max(core.memberships.current_index());
            let missing = core.commit.since(peer.matched);
            if peer.matched < least || CATCH_UP_MAX < missing {
                return Err(ChangeError::Lagging { member, missing });
            }
        }
        let is_reached = quorum::agrees(next, |id| match self.place(id) {
            Some(place) => is_heard(core, &self.peers[place]),
            None => id == core.id(),
        });
        if is_reached { Ok(()) } else { Err(ChangeError::QuorumUnreachable) }
    }

    /// Appends a membership, which counts from now on.
    fn append_membership(&mut self, core: &mut Core, membership: Membership) -> EntryId {
        let entry = core.append_membership(membership);
        self.take_up_members(core, entry.index);
        self.let_go_of_strangers(core, entry.index);
        // What was decided by the old quorum may be decided by the new one, if that is smaller.
        self.maybe_commit(core);
        self.maybe_finish_round(core);
        self.maybe_begin_round(core);
        entry
    }

    /// Those who are members since the entry at `index` become peers, and learn at once who leads.
    fn take_up_members(&mut self, core: &mut Core, index: Index) {
        let others = core.membership().members().filter(|&id| id != core.id());
        let new: BTreeSet<NodeId> = others.filter(|&id| self.place(id).is_none()).collect();
        for &id in &new {
            let peer = Progress::new(id, index.previous(), core.now);
            self.peers.push(Progress { since: index, ..peer });
        }
        self.peers.sort_unstable_by_key(|peer| peer.id);
        for place in 0..self.peers.len() {
            if new.contains(&self.peers[place].id) {
                self.send_heartbeat(core, place);
            }
        }
        self.departures.retain(|&id, _| !core.membership().is_member(id));
    }

    /// Those who are members no more since the entry at `index` stay peers until they know.
    fn let_go_of_strangers(&mut self, core: &Core, index: Index) {
        for peer in &self.peers {
            if !core.membership().is_member(peer.id) {
                let departure = Departure { index, until: Instant::NEVER };
                self.departures.entry(peer.id).or_insert(departure);
            }
        }
    }

    /// Forgets those who were removed and know it, or do not answer.
    pub(crate) fn forget_departed(&mut self, core: &Core) {
        if self.departures.is_empty() {
            return;
        }
        let (peers, patience) = (&mut self.peers, core.config.election_timeout_min);
        self.departures.retain(|&id, departure| {
            if departure.index <= core.commit && departure.until == Instant::NEVER {
                departure.until = core.now.after(patience);
            }
            let place = peers.iter().position(|peer| peer.id == id);
            let place = place.expect("who departs is still a peer");
            let knows = departure.index <= peers[place].commit_told.min(peers[place].matched);
            let stays = !knows && core.now < departure.until;
            if !stays {
                peers.remove(place);
            }
            stays
        });
    }

    /// The last entry that a peer may get: of those who have no vote, the last committed one. Their
    /// log never holds more than it must, so that it is never the longest: nobody could be elected
    /// then, if its vote were needed by those who know it as a voter.
    pub(crate) fn last_for(&self, core: &Core, id: NodeId) -> Index {
        if core.membership().is_voter(id) { core.trail.last_index() } else { core.commit }
    }

    /// What is due when the membership that counts is committed: a joint one is left; a leader
    /// without a vote has done its work.
    pub(crate) fn maybe_end_change(&mut self, core: &mut Core) {
        let index = core.memberships.current_index();
        // Committed by an earlier leader, for all that is known: the entry to come is of this term
        // and must not be committed before one that proves it (§5.4.2).
        let is_committed = self.term_start <= core.commit && index <= core.commit;
        if !is_committed || self.transfer.is_some() {
            return;
        }
        if core.membership().is_joint() {
            let next = core.membership().end_change();
            self.append_membership(core, next);
        } else if self.is_retired(core) {
            self.retire(core);
        }
    }

    /// Whether this leader has no vote by a committed membership. It leads, but for nothing more
    /// than that another takes over.
    pub(crate) fn is_retired(&self, core: &Core) -> bool {
        !core.is_voter() && core.memberships.current_index() <= core.commit
    }

    /// All is done: the peers learn what is committed, and the best of them takes over. If nobody
    /// can, this leader steps down when it looks at the clock next.
    fn retire(&mut self, core: &mut Core) {
        for place in 0..self.peers.len() {
            let peer = &self.peers[place];
            if peer.commit_told < core.commit.min(peer.matched) {
                self.send_heartbeat(core, place);
            }
        }
        match self.begin_transfer(core, None) {
            Ok(_) | Err(_) => {}
        }
    }

    /// When time matters next to a change.
    pub(crate) fn change_deadline(&self, core: &Core) -> Instant {
        if self.is_retired(core) && self.transfer.is_none() {
            return core.now;
        }
        let departures = self.departures.values().map(|departure| departure.until);
        departures.fold(Instant::NEVER, Instant::min)
    }
}

/// Whether a peer acknowledged something in this term and was heard within an election timeout. The
/// first, because a new leader counts its peers as heard.
fn is_heard(core: &Core, peer: &Progress) -> bool {
    Index::ZERO < peer.matched && core.now.since(peer.heard_at) < core.config.election_timeout_min
}
