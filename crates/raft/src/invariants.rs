//! What must hold in every state of a member, and between two states of one life.
//!
//! The core itself checks the cheap part after every input, in release builds too. Tests and
//! simulators check all of it. A violation is a bug of ours, and panics.

use crate::leader::Leader;
use crate::membership::Membership;
use crate::progress::{Flow, Progress};
use crate::raft::{Raft, Role};
use crate::ready::{HardState, RoleName};
use crate::trail::Trail;
use crate::types::{EntryId, Index, Instant, NodeId, Term};

/// What of a member is compared with its later state.
#[derive(Clone, Debug)]
pub struct Snapshot {
    role: RoleName,
    leader: Option<NodeId>,
    hard_state: HardState,
    commit: Index,
    promised_until: Instant,
    trail: Trail,
}

impl Snapshot {
    /// The present state of `raft`.
    #[must_use]
    pub fn of(raft: &Raft) -> Self {
        Self {
            role: raft.role(),
            leader: raft.leader(),
            hard_state: raft.core.hard_state,
            commit: raft.commit(),
            promised_until: raft.core.promise.until,
            trail: raft.core.trail.clone(),
        }
    }
}

/// What must hold in every state.
///
/// # Panics
///
/// When it does not.
pub fn check_state(raft: &Raft) {
    check_cheap(raft);
    let core = &raft.core;
    assert!(core.trail.is_sound(), "the trail is sound");
    let durable_last = core.durable_last();
    assert!(durable_last.term <= core.durable.term(), "no entry is durable before its term");
    match &raft.role {
        Role::Follower(follower) => {
            if let Some(following) = &follower.following {
                assert!(following.leader != core.id(), "nobody follows itself");
                assert!(following.verified <= core.trail.last_index(), "what is verified is held");
                assert!(following.owed.is_none_or(|owed| owed <= following.verified));
            }
            if let Some(candidate) = follower.vote_owed {
                assert_eq!(core.hard_state.vote, Some(candidate), "a vote owed was given");
            }
            let has_timer = follower.election_due < Instant::NEVER;
            let may_campaign = |membership: &Membership| membership.is_voter(core.id());
            assert!(has_timer || !may_campaign(core.membership()), "a voter waits for elections");
            assert!(
                !has_timer
                    || may_campaign(core.membership())
                    || core.memberships.previous().is_some_and(may_campaign),
                "only voters wait for elections, and those who were until a moment ago"
            );
        }
        Role::PreCandidate(_) => {}
        Role::Candidate(_) => {
            assert_eq!(core.hard_state.vote, Some(core.id()), "a candidate votes for itself");
        }
        Role::Leader(leader) => {
            assert_eq!(core.hard_state.vote, Some(core.id()), "a leader voted for itself");
            assert!(core.is_hard_state_durable(), "a leader's vote is durable");
            for peer in &leader.peers {
                check_progress(raft, peer);
            }
            check_members(raft, leader);
        }
    }
}

/// What must hold from a state to a later one of the same life.
///
/// # Panics
///
/// When it does not.
pub fn check_step(before: &Snapshot, raft: &Raft) {
    let core = &raft.core;
    let (old, new) = (before.hard_state, core.hard_state);
    assert!(old.term <= new.term, "the term never falls");
    assert!(before.commit <= core.commit, "the commit index never falls");
    assert!(before.promised_until <= core.promise.until, "a promise is never shortened");
    if old.term == new.term {
        assert!(old.vote.is_none() || old.vote == new.vote, "a vote is given once in a term");
        let same_leader = before.leader.is_none()
            || raft.leader().is_none_or(|leader| Some(leader) == before.leader);
        assert!(same_leader, "a term has one leader");
        if before.role == RoleName::Leader {
            check_kept(&before.trail, before.trail.last_index(), core.trail.last(), raft);
        }
    } else {
        assert!(
            before.role != RoleName::Leader || raft.leader() != Some(raft.id()),
            "a leader does not become the leader of another term in one step"
        );
    }
    assert!(before.trail.base().index <= raft.base().index, "the log never begins earlier again");
    check_kept(&before.trail, before.commit, core.trail.last(), raft);
}

/// The entries of `before` up to `end` are still there, with the same terms.
fn check_kept(before: &Trail, end: Index, last: EntryId, raft: &Raft) {
    assert!(end <= last.index, "entries that must stay are still there");
    // What was compacted is committed; snapshots are compared elsewhere.
    let first = before.base().index.max(raft.base().index).next();
    if end < first {
        return;
    }
    assert_eq!(
        before.runs(first, end),
        raft.core.trail.runs(first, end),
        "entries that must stay have kept their terms"
    );
}

/// The part that costs nothing.
pub(crate) fn check_cheap(raft: &Raft) {
    let core = &raft.core;
    let last = core.trail.last();
    assert!(core.commit <= last.index, "what is committed is held");
    assert!(core.trail.base().index <= core.commit, "what is compacted is committed");
    assert!(core.durable.index() <= last.index, "what is durable is held");
    assert!(last.term <= core.term(), "no entry is of a later term");
    assert!(core.durable.term() <= core.term(), "no later term is durable");
    assert!(Term::ZERO < core.term() || last.index == Index::ZERO, "term zero has no entries");
}

/// A leader's peers, and the changes of membership that it may have under way.
fn check_members(raft: &Raft, leader: &Leader) {
    let core = &raft.core;
    assert!(leader.peers.is_sorted_by(|a, b| a.id < b.id), "peers are in order, each once");
    for id in core.membership().members().filter(|&id| id != core.id()) {
        assert!(leader.place(id).is_some(), "every other member is a peer");
    }
    for peer in &leader.peers {
        let is_departing = leader.departures.contains_key(&peer.id);
        assert!(
            core.membership().is_member(peer.id) != is_departing,
            "a peer is a member, or departs"
        );
    }
    for id in leader.departures.keys() {
        assert!(leader.place(*id).is_some(), "who departs is a peer");
    }
    let has_commit = leader.term_start <= core.commit;
    let (since, most) = if has_commit { (core.commit, 1) } else { (leader.term_start, 0) };
    assert!(
        core.memberships.count_after(since) <= most,
        "one change is under way at most, and none before the term has a committed entry"
    );
    if has_commit && leader.transfer.is_none() {
        assert!(
            !core.membership().is_joint() || core.commit < core.memberships.current_index(),
            "a change ends when its first half is committed"
        );
    }
}

fn check_progress(raft: &Raft, peer: &Progress) {
    let last = raft.core.trail.last_index();
    assert!(peer.matched < peer.next, "entries that match are not sent again");
    assert!(peer.next <= last.next(), "only entries of the log are sent");
    assert!(peer.matched <= peer.sent, "only what was sent can match");
    assert!(peer.sent <= last, "only entries of the log were sent");
    match &peer.flow {
        Flow::Probing(probe) => {
            assert!(probe.is_none_or(|probe| probe.previous.next() == peer.next));
        }
        Flow::Replicating(window) => {
            assert!(window.count() <= raft.core.config.inflight_appends_max, "the window is kept");
        }
        Flow::Snapshot(_) => {}
    }
}
