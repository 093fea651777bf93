//! Changes of membership in the world: asked for again until they are done.

use std::collections::BTreeSet;

use quorate_raft::{NodeId, Target};
use quorate_replica::{ChangeRefused, Members};

use super::{Member, World, context};

impl World {
    /// A member with an empty disk, which the others do not know yet.
    pub(crate) fn newcomer(&mut self) -> NodeId {
        self.members.push(Member::new());
        let at = self.members.len() - 1;
        self.start(at);
        Self::id(at)
    }

    /// Asks whoever leads for these members until they are, while the world goes on.
    pub(crate) fn change(&mut self, voters: &[NodeId], learners: &[NodeId]) {
        let voters: BTreeSet<_> = voters.iter().copied().collect();
        let learners: BTreeSet<_> = learners.iter().copied().collect();
        let target = Target { voters, learners, expected: None };
        for _ in 0..40_000 {
            if self.is_reached(&target) {
                return;
            }
            for at in 0..self.members.len() {
                self.ask_for(at, &target);
            }
            self.step();
        }
        panic!("the members never are {target:?}");
    }

    fn is_reached(&self, target: &Target) -> bool {
        let replicas = self.members.iter().filter_map(|member| member.replica.as_ref());
        let mut leaders = replicas.filter(|replica| replica.raft().is_leader());
        leaders.any(|replica| {
            let membership = &replica.members().membership;
            !replica.raft().is_change_pending()
                && membership.incoming == target.voters
                && membership.learners == target.learners
        })
    }

    fn ask_for(&mut self, at: usize, target: &Target) {
        let now = self.now;
        let Some(replica) = &mut self.members[at].replica else { return };
        let known = &replica.members().contexts;
        let wished = target.voters.iter().chain(&target.learners);
        let contexts = wished.filter(|id| !known.contains_key(id)).map(|&id| (id, context(id)));
        let contexts = contexts.collect();
        match replica.change_membership(now, target, contexts) {
            Ok(_) | Err(ChangeRefused::Core(_)) => self.settle(at),
            Err(refused) => panic!("{refused}"),
        }
    }

    /// A member that was removed goes for good.
    pub(crate) fn take_away(&mut self, id: NodeId) {
        let at = usize::try_from(id.value() - 1).expect("small");
        if self.members[at].replica.is_some() {
            self.crash(at);
        }
        self.members[at].is_gone = true;
    }

    /// Who the members are, as all that are up say; and that is for good.
    pub(crate) fn members(&self) -> Members {
        let replicas = || self.members.iter().filter_map(|member| member.replica.as_ref());
        let first = replicas().next().expect("somebody is up").members().clone();
        for replica in replicas() {
            assert_eq!(replica.members(), &first, "all say the same");
            assert_eq!(replica.members_applied(), &first, "nothing is under way");
        }
        first
    }

    /// One member asks for what must be refused.
    pub(crate) fn refusal(&mut self, at: usize, voters: &[NodeId], new: NodeId) -> ChangeRefused {
        let voters = voters.iter().copied().collect();
        let target = Target { voters, learners: [new].into(), expected: None };
        let now = self.now;
        let replica = self.members[at].replica.as_mut().expect("it is up");
        let refused = replica.change_membership(now, &target, [(new, context(new))].into());
        refused.expect_err("it must be refused")
    }
}
