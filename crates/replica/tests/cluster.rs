//! Three replicas in one thread, in a world that loses, doubles and reorders messages and crashes
//! members with their unsynced writes.
//!
//! Whatever happens: a command is applied at most once, all members apply the same commands in the
//! same order, who was answered is right, a read sees every write that was answered before it, and
//! once the world is kind again every waiting proposal is answered.

mod world;

use world::{Kindness, World};

/// Runs one seed: turmoil, then peace, then the final checks.
fn run(seed: u64, kindness: Kindness) -> World {
    let mut world = World::new(3, seed, kindness);
    for _ in 0..1200 {
        world.step();
    }
    world.heal();
    world
}

#[test]
fn in_a_kind_world_every_proposal_is_answered() {
    let world = run(1, Kindness::KIND);
    assert!(world.answered() > 300, "only {} were answered", world.answered());
}

#[test]
fn lost_doubled_and_reordered_messages_do_no_harm() {
    for seed in 0..60 {
        let world = run(seed, Kindness { loss: 15, doubling: 10, ..Kindness::KIND });
        assert!(world.answered() > 0, "seed {seed}: nobody was answered");
    }
}

#[test]
fn crashes_lose_no_answered_command_and_repeat_none() {
    let mut resent = 0;
    for seed in 0..80 {
        let world = run(seed, Kindness { loss: 5, doubling: 5, crashes: 8, ..Kindness::KIND });
        resent += world.terms();
    }
    assert!(
        resent > 160,
        "leaders were lost too rarely for this test to mean much: {resent} terms"
    );
}

#[test]
fn what_waits_while_a_member_is_cut_off_is_answered_when_it_is_back() {
    for seed in 0..80 {
        let world = run(seed, Kindness { cuts: 4, ..Kindness::KIND });
        assert!(world.answered() > 0, "seed {seed}: nobody was answered");
    }
}

/// A member that is cut off, or that asked long ago, does not pass for fresh; the others need not
/// ask for each read.
#[test]
fn reads_of_a_bounded_age_are_no_older() {
    let mut fresh = 0;
    for seed in 0..80 {
        let world = run(seed, Kindness { loss: 5, doubling: 5, crashes: 3, cuts: 4 });
        fresh += world.fresh();
    }
    assert!(fresh > 2_000, "only {fresh} reads were served without a message");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let hostile = Kindness { loss: 10, doubling: 10, crashes: 10, cuts: 3 };
    assert_eq!(run(7, hostile).trace(), run(7, hostile).trace());
    assert_ne!(run(7, hostile).trace(), run(8, hostile).trace());
}
