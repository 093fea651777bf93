//! Three replicas in one thread, in a world that loses, doubles and reorders messages and crashes
//! members with their unsynced writes.
//!
//! Whatever happens: a command is applied at most once, all members apply the same commands in the
//! same order, who was answered is right, a read sees every write that was answered before it, and
//! once the world is kind again every waiting proposal is answered.

#[path = "cluster/membership.rs"]
mod membership;
mod world;

use quorate_replica::SnapshotPolicy;
use world::{Kindness, World, Written};

/// A snapshot now and then, and hardly any log behind it.
const OFTEN: SnapshotPolicy = SnapshotPolicy { log_bytes: 3000, trailing_bytes: 200 };

/// Runs one seed: turmoil, then peace, then the final checks.
fn run(seed: u64, kindness: Kindness) -> World {
    run_with(seed, kindness, SnapshotPolicy::default())
}

fn run_with(seed: u64, kindness: Kindness, policy: SnapshotPolicy) -> World {
    let mut world = World::new(3, seed, kindness, policy);
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
fn members_that_were_away_for_long_come_back_through_a_snapshot() {
    let (mut taken, mut installed) = (0, 0);
    for seed in 0..40 {
        let kindness = Kindness { loss: 5, doubling: 5, crashes: 4, cuts: 6 };
        let world = run_with(seed, kindness, OFTEN);
        taken += world.taken;
        installed += world.installed;
    }
    assert!(taken > 300 && installed > 30, "{taken} taken, {installed} installed");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let hostile = Kindness { loss: 10, doubling: 10, crashes: 10, cuts: 3 };
    let trace = |seed| run_with(seed, hostile, OFTEN).trace();
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

/// Some disks fill up, in a world that is kind otherwise. A client that waits for each of its
/// writes is left without an answer `unknown_max` times at most. Then there is space again.
fn fill_up(is_full: impl Fn(usize) -> bool, writer: impl Fn(usize) -> usize, unknown_max: usize) {
    for seed in 0..25 {
        let mut world = World::new(3, seed, Kindness::KIND, SnapshotPolicy::default());
        let leader = world.leader();
        let places = [leader, (leader + 1) % 3, (leader + 2) % 3];
        for (role, &at) in places.iter().enumerate() {
            if is_full(role) {
                // Not equally much.
                world.limit_space(at, Some((seed * 997 + role as u64 * 1211) % 5000));
            }
        }
        let (mut answered, mut unknown) = (0, 0);
        let mut refused_at = [false; 3];
        for round in 0..600 {
            match world.write(places[writer(round)]) {
                Written::Answered => answered += 1,
                Written::Refused => refused_at[writer(round)] = true,
                Written::Unknown => unknown += 1,
            }
        }
        assert!(unknown <= unknown_max, "seed {seed}: {unknown} writes hang");
        assert!(answered > 0 && answered < 600, "seed {seed}: {answered} were answered");
        for (role, refused) in refused_at.into_iter().enumerate() {
            assert_eq!(refused, (0..600).any(|round| writer(round) == role), "seed {seed}, {role}");
        }
        for at in places {
            world.limit_space(at, None);
        }
        world.heal();
        for at in places {
            assert_eq!(world.write(at), Written::Answered, "seed {seed}: there is space again");
        }
        world.heal();
    }
}

#[test]
fn a_leader_refuses_what_it_has_no_space_for() {
    fill_up(|role| role == 0, |_| 0, 0);
}

#[test]
fn a_leader_refuses_what_no_majority_has_space_for() {
    fill_up(|role| role != 0, |_| 0, 0);
}

/// One that is on its way to the leader while the disks fill up waits for space.
#[test]
fn followers_refuse_what_nobody_has_space_for() {
    fill_up(|_| true, |round| round % 3, 2);
}
