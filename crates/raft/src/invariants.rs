//! What must hold in every state of a member, and between two states of one life.
//!
//! The core itself checks the cheap part after every input, in release builds too. Tests and
//! simulators check all of it. A violation is a bug of ours, and panics.

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
    check_kept(&before.trail, before.commit, core.trail.last(), raft);
}

/// The entries of `before` up to `end` are still there, with the same terms.
fn check_kept(before: &Trail, end: Index, last: EntryId, raft: &Raft) {
    assert!(end <= last.index, "entries that must stay are still there");
    if end == Index::ZERO {
        return;
    }
    let first = Index::ZERO.next();
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
    assert!(core.durable.index() <= last.index, "what is durable is held");
    assert!(last.term <= core.term(), "no entry is of a later term");
    assert!(core.durable.term() <= core.term(), "no later term is durable");
    assert!(Term::ZERO < core.term() || last.index == Index::ZERO, "term zero has no entries");
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
    }
}
