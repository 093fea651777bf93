//! Snapshots, as far as the core knows them: as a point of the log up to which everything is
//! committed and kept elsewhere (§7, thesis 5).
//!
//! The core never sees a snapshot. A leader whose log begins after what a peer lacks tells it so,
//! once a heartbeat interval ([`crate::Message::InstallSnapshot`]); nothing of the transfer is the
//! leader's business. The peer's shell fetches a snapshot that covers enough, from whomever it
//! likes, and when that is durable, calls [`Raft::install`]. The peer never acknowledges a snapshot
//! as such: it answers the leader's next word about the point that it then has.
//!
//! What must hold: nothing committed is ever replaced, so an older snapshot changes nothing; a log
//! that has the point's entry keeps what comes after it, since it may have been acknowledged.

use alloc::vec;

use crate::common::Core;
use crate::event::Event;
use crate::follower::Follower;
use crate::leader::Leader;
use crate::membership::{Membership, Memberships};
use crate::message::{Envelope, Message};
use crate::progress::Flow;
use crate::raft::{Raft, Role};
use crate::ready::WantedSnapshot;
use crate::types::{EntryId, Index, Instant};

/// What became of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// Everything up to it was known to be committed already; nothing changed. Or its term is not
    /// durable here yet: the leader will say again that it is needed.
    Nothing,
    /// The log has its last entry: everything up to there is committed, the rest stays.
    Kept,
    /// Whatever the log held is gone, and it goes on after the snapshot. The write that comes out
    /// of [`Raft::ready`] says so.
    Reset,
}

impl Raft {
    /// A snapshot of all entries up to `point` is durable here, and the state machine is what it
    /// says if the answer is not [`Installed::Nothing`]. `membership` is the one that counted at
    /// `point`, with the index of its entry.
    ///
    /// # Panics
    /// If the membership is of a later entry, or impossible in itself: the shell checks it.
    pub fn install(
        &mut self,
        now: Instant,
        point: EntryId,
        membership: (Index, Membership),
    ) -> Installed {
        self.advance(now);
        assert!(membership.0 <= point.index, "a snapshot's membership is of an entry up to it");
        assert!(membership.1.is_valid(), "a snapshot's membership is one");
        if !self.would_install(point) {
            return Installed::Nothing;
        }
        let core = &mut self.core;
        if core.trail.term_at(point.index) == Some(point.term) {
            core.commit_to(point.index);
            return Installed::Kept;
        }
        // Proof of lost safety: a leader has every committed entry (§5.4).
        assert!(
            !matches!(self.role, Role::Leader(_)),
            "the leader of term {} lacks the committed entry {point}",
            core.term()
        );
        let last = core.trail.last();
        core.durable.reset(&core.trail, point);
        core.trail.reset(point);
        core.commit = point.index;
        core.emit(Event::SnapshotInstalled { point, last });
        core.reset_membership(membership);
        self.follow_membership();
        Installed::Reset
    }

    /// A follower has a timer for elections if it may stand in one.
    fn follow_membership(&mut self) {
        let core = &mut self.core;
        let Role::Follower(follower) = &mut self.role else { return };
        if !core.can_campaign() {
            follower.election_due = Instant::NEVER;
        } else if follower.election_due == Instant::NEVER {
            follower.election_due = core.draw_election_due();
        }
    }

    /// Whether a snapshot of `point` would change anything: the shell asks before it replaces the
    /// state machine.
    #[must_use]
    pub fn would_install(&self, point: EntryId) -> bool {
        let core = &self.core;
        // No entry counts as durable before its term is.
        core.commit < point.index && point.term <= core.durable.term()
    }

    /// The log forgets the entries up to `base`, which are applied and in a durable snapshot.
    ///
    /// # Panics
    /// If they are not committed, or `base` is no entry of the log: a bug of the caller.
    pub fn compact(&mut self, base: EntryId) {
        let core = &mut self.core;
        if base.index <= core.trail.base().index {
            return;
        }
        assert!(base.index <= core.commit, "only what is committed is compacted");
        core.trail.compact(base);
        core.memberships.compact(base.index);
        self.follow_membership();
    }
}

impl Core {
    /// The membership of a snapshot takes the place of all that the log knew.
    fn reset_membership(&mut self, (index, membership): (Index, Membership)) {
        let was_member = self.membership().is_member(self.id());
        let is_other = self.memberships.current_index() != index;
        self.memberships = Memberships::new(vec![(index, membership)]);
        if is_other {
            self.emit(Event::MembershipChanged { index });
            self.emit(Event::MembershipCommitted { index });
        }
        if was_member && !self.membership().is_member(self.id()) {
            self.emit(Event::Removed { index });
        }
    }
}

impl Leader {
    /// Tells a peer that the log begins after what it lacks, unless it was told a moment ago.
    pub(crate) fn offer_snapshot(&mut self, core: &Core, place: usize) -> Option<Envelope> {
        let peer = &mut self.peers[place];
        if let Flow::Snapshot(told) = peer.flow
            && core.now.since(told.at) < core.config.heartbeat_interval
        {
            return None;
        }
        let last = core.trail.base();
        peer.on_offered(last.index, core.now);
        assert!(core.is_term_durable(), "a leader's term is durable");
        Some(core.envelope(peer.id, Message::InstallSnapshot { last }))
    }
}

impl Follower {
    /// The leader's log begins after `last`. If that entry is here, the leader can go on from it.
    pub(crate) fn on_install_snapshot(&self, core: &mut Core, last: EntryId) -> Option<Index> {
        let own = core.trail.term_at(last.index);
        // Proof of lost safety: the leader's base is committed, and so is what this member has up
        // to its commit index.
        assert!(
            core.commit < last.index || own.is_none_or(|own| own == last.term),
            "the leader of term {} contradicts the committed entry {last}",
            core.term()
        );
        if last.index <= core.commit || own == Some(last.term) {
            core.commit_to(last.index);
            return Some(last.index);
        }
        // What is fetched is of the leader's term at most, which must be durable to install it.
        if core.is_term_durable() {
            let from = self.leader().expect("a snapshot is offered by the leader followed");
            core.emit(Event::SnapshotWanted { from, last });
            core.outbox.wanted = Some(WantedSnapshot { from, last });
        }
        None
    }
}
