//! What a node shows of itself to anyone, at any time, without asking its owner.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use quorate_raft::{NodeId, RoleName, Standing, Status};

/// What can be seen of a node; the parts may be of slightly different moments. All zero, and no
/// leader, until a node that starts has looked around for the first time.
///
/// A member leads if `role` is [`RoleName::Leader`]; it may have been deposed by others and not
/// know it yet, so this is for people and for hints, never for safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// What it does in its term.
    pub role: RoleName,
    /// Its term (§5.1): grows with each election.
    pub term: u64,
    /// The leader of that term, itself or another; `None` while there is an election.
    pub leader: Option<NodeId>,
    /// The last index of the log that it knows to be committed: on the disks of a majority.
    pub commit: u64,
    /// The last index it applied; what is between this and `commit` it works on.
    pub applied: u64,
    /// What it is by the membership that counts: a voter, a learner, or nothing of the kind.
    pub standing: Standing,
    /// Its disk has no space for more proposals: they are refused, and reads go on.
    pub disk_full: bool,
}

/// What the owner shows of the replica, for anyone to read at any time.
#[derive(Debug, Default)]
pub(crate) struct Board {
    /// The place of the role in [`ROLES`].
    role: AtomicU8,
    term: AtomicU64,
    leader: AtomicU64,
    commit: AtomicU64,
    applied: AtomicU64,
    /// The place of the standing in [`STANDINGS`].
    standing: AtomicU8,
    disk_full: AtomicBool,
}

/// The leader's id while there is none.
const NO_LEADER: u64 = 0;

/// The roles as they are shown; a node that has shown nothing yet follows nobody.
const ROLES: [RoleName; 4] =
    [RoleName::Follower, RoleName::PreCandidate, RoleName::Candidate, RoleName::Leader];

const fn place(role: RoleName) -> u8 {
    match role {
        RoleName::Follower => 0,
        RoleName::PreCandidate => 1,
        RoleName::Candidate => 2,
        RoleName::Leader => 3,
    }
}

/// The standings as they are shown.
const STANDINGS: [Standing; 3] = [Standing::Voter, Standing::Learner, Standing::Stranger];

const fn standing_place(standing: Standing) -> u8 {
    match standing {
        Standing::Voter => 0,
        Standing::Learner => 1,
        Standing::Stranger => 2,
    }
}

impl Board {
    pub(crate) fn show(&self, status: &Status, applied: u64, disk_full: bool) {
        self.role.store(place(status.role), Ordering::Relaxed);
        self.term.store(status.term.value(), Ordering::Relaxed);
        let leader = status.leader.map_or(NO_LEADER, NodeId::value);
        self.leader.store(leader, Ordering::Relaxed);
        self.commit.store(status.commit.value(), Ordering::Relaxed);
        self.applied.store(applied, Ordering::Relaxed);
        self.standing.store(standing_place(status.standing), Ordering::Relaxed);
        self.disk_full.store(disk_full, Ordering::Relaxed);
    }

    /// What is shown now; the parts may be of slightly different moments.
    pub(crate) fn read(&self) -> NodeStatus {
        let leader = self.leader.load(Ordering::Relaxed);
        NodeStatus {
            role: ROLES[usize::from(self.role.load(Ordering::Relaxed))],
            term: self.term.load(Ordering::Relaxed),
            leader: (leader != NO_LEADER).then(|| NodeId::new(leader)),
            commit: self.commit.load(Ordering::Relaxed),
            applied: self.applied.load(Ordering::Relaxed),
            standing: STANDINGS[usize::from(self.standing.load(Ordering::Relaxed))],
            disk_full: self.disk_full.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_and_a_standing_are_shown_as_they_are() {
        for role in ROLES {
            assert_eq!(ROLES[usize::from(place(role))], role);
        }
        for standing in STANDINGS {
            assert_eq!(STANDINGS[usize::from(standing_place(standing))], standing);
        }
    }
}
