//! Members come and go while the cluster serves, in the world that loses, doubles and reorders
//! messages and crashes members with their unsynced writes.
//!
//! What the world checks of commands and reads holds all the while; and what is known about
//! members goes with them, through the log and through snapshots.

use quorate_raft::NodeId;
use quorate_replica::{ChangeRefused, SnapshotPolicy};

use crate::OFTEN;
use crate::world::{Kindness, World, context};

/// Three members are replaced by three others, one after the other.
fn replace_all(seed: u64, kindness: Kindness, policy: SnapshotPolicy) -> World {
    let mut world = World::new(3, seed, kindness, policy);
    for _ in 0..300 {
        world.step();
    }
    let mut voters = [1, 2, 3].map(NodeId::new).to_vec();
    let mut removed = Vec::new();
    for place in 0..3 {
        let new = world.newcomer();
        world.change(&voters, &[new]);
        let old = std::mem::replace(&mut voters[place], new);
        // It learns, then takes the other's place in one step.
        world.change(&voters, &[]);
        world.take_away(old);
        removed.push(old);
        for _ in 0..100 {
            world.step();
        }
    }
    world.heal();
    let members = world.members();
    assert_eq!(members.membership.incoming, [4, 5, 6].map(NodeId::new).into(), "seed {seed}");
    let contexts = [4, 5, 6].map(NodeId::new).map(|id| (id, context(id)));
    assert_eq!(members.contexts, contexts.into(), "seed {seed}");
    assert_eq!(members.removed, removed, "seed {seed}");
    world
}

#[test]
fn all_members_are_replaced_under_loss_and_crashes() {
    for seed in 0..12 {
        let kindness = Kindness { loss: 5, doubling: 5, crashes: 3, cuts: 2 };
        let world = replace_all(seed, kindness, SnapshotPolicy::default());
        assert!(world.answered() > 0, "seed {seed}: nobody was answered");
    }
}

#[test]
fn newcomers_come_up_through_snapshots_that_say_who_the_members_are() {
    let mut installed = 0;
    for seed in 0..12 {
        let kindness = Kindness { loss: 5, doubling: 5, crashes: 2, cuts: 2 };
        installed += replace_all(seed, kindness, OFTEN).installed;
    }
    assert!(installed > 12, "only {installed} snapshots were installed");
}

#[test]
fn a_learner_stays_one_and_goes() {
    let mut world = World::new(3, 1, Kindness::KIND, OFTEN);
    let voters = [1, 2, 3].map(NodeId::new);
    let new = world.newcomer();
    world.change(&voters, &[new]);
    for _ in 0..600 {
        world.step();
    }
    world.heal();
    assert_eq!(world.members().membership.learners, [new].into());
    world.change(&voters, &[]);
    world.take_away(new);
    world.heal();
    assert_eq!(world.members().removed, [new]);
    let leader = world.leader_among(3);
    let refused = world.refusal(leader, &voters, new);
    assert_eq!(refused, ChangeRefused::WasRemoved { member: new });
}
