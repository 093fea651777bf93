//! Space on the disks: who has none says so, and nobody takes what no majority could store.
//!
//! A proposal that was taken cannot be refused any more: if the disks of a majority are full it
//! waits for space, and its client never learns what became of it. So a leader has to know before
//! its own disk is full that those of others are. A follower whose disk is full says so before it
//! acknowledges the write that filled it; a leader without space, or without a majority that has
//! some, says the same to its followers, which then refuse their clients at once. Both say it again
//! and again, and look for space each time; what was said is forgotten soon after the last time.
//!
//! Left out: what was taken before the news came. It waits, bounded by what may be under way.

use std::collections::{BTreeMap, BTreeSet};

use quorate_log::{Disk, Room};
use quorate_raft::{Instant, NodeId, Term};

use crate::machine::StateMachine;
use crate::message::{Body, PeerMessage};
use crate::replica::Replica;

/// What is known of the others' disks. See the module.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    /// Whose disk counts as full, and until when; of use to a leader.
    full: BTreeMap<NodeId, Instant>,
    /// Until when the leader counts as refusing proposals, since it said so.
    unwelcome_until: Option<Instant>,
    /// When it is said again that there is no space here; nothing while there is some.
    told: Option<Instant>,
}

impl Rooms {
    /// Nobody leads who could say that there is no space.
    pub(crate) fn on_no_leader(&mut self) {
        self.unwelcome_until = None;
    }

    fn is_full(&self, now: Instant, member: NodeId) -> bool {
        self.full.get(&member).is_some_and(|until| now < *until)
    }
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Whether proposals can be taken here: by this disk, and as far as is known by those that it
    /// takes to commit them.
    pub(crate) fn has_room(&self, now: Instant) -> bool {
        if self.log.room() == Room::Full {
            return false;
        }
        if !self.raft.is_leader() {
            return self.rooms.unwelcome_until.is_none_or(|until| until <= now);
        }
        let membership = self.raft.membership();
        let has_room = |voter: &&NodeId| !self.rooms.is_full(now, **voter);
        let suffice = |voters: &BTreeSet<NodeId>| {
            voters.is_empty() || voters.len() < 2 * voters.iter().filter(has_room).count()
        };
        suffice(&membership.incoming) && suffice(&membership.outgoing)
    }

    /// Says that there is no space, to those who can do something about it.
    pub(crate) fn maybe_tell_room(&mut self, now: Instant) {
        let is_full = self.log.room() == Room::Full;
        let leads = self.raft.is_leader();
        if !is_full && (!leads || self.has_room(now)) {
            self.rooms.told = None;
            return;
        }
        if self.rooms.told.is_some_and(|again_at| now < again_at) {
            return;
        }
        let to: Vec<_> = if leads {
            self.raft.peers().collect()
        } else {
            self.raft.leader().into_iter().collect()
        };
        if to.is_empty() {
            return;
        }
        self.rooms.told = Some(now.after(self.patience / TOLD_IN_PATIENCE));
        self.wants_space |= is_full;
        let (from, term) = (self.raft.id(), self.raft.term());
        let messages = to.into_iter().map(|to| {
            let body = Body::ProposalsUnwelcome;
            PeerMessage { from, to, term, body }
        });
        self.effects.messages.extend(messages);
    }

    /// A follower's disk is full, or the leader takes no proposals for want of space.
    pub(crate) fn on_unwelcome(&mut self, now: Instant, from: NodeId, term: Term) {
        if self.raft.term() != term {
            return;
        }
        let until = now.after(self.patience * FORGOTTEN_AFTER);
        if self.raft.is_leader() {
            if self.raft.peers().any(|peer| peer == from) {
                self.rooms.full.insert(from, until);
            }
        } else if self.raft.leader() == Some(from) {
            self.rooms.unwelcome_until = Some(until);
        }
    }
}

/// How often it is said in an election timeout that there is no space: some of it may be lost.
const TOLD_IN_PATIENCE: u32 = 8;

/// Election timeouts after which it is forgotten, unless it is said again.
const FORGOTTEN_AFTER: u32 = 2;
