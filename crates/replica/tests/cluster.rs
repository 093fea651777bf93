//! Three replicas in one thread, in a world that loses, doubles and reorders messages and crashes
//! members with their unsynced writes.
//!
//! Whatever happens: a command is applied at most once, all members apply the same commands in the
//! same order, who was answered is right, a read sees every write that was answered before it, and
//! once the world is kind again every waiting proposal is answered.

#[path = "cluster/membership.rs"]
mod membership;
#[path = "world/overload.rs"]
mod overload;
mod world;

use quorate_replica::{CheckPolicy, SnapshotPolicy};
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
        // Every other world keeps nothing behind its snapshots.
        let policy = SnapshotPolicy { trailing_bytes: 200 * (seed % 2), ..OFTEN };
        let world = run_with(seed, kindness, policy);
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
/// writes is left without an answer `unknown_max` times at most. Then there is space again. Nothing
/// else is in the log, since whatever is under way may take the space that a write was promised.
fn fill_up(is_full: impl Fn(usize) -> bool, writer: impl Fn(usize) -> usize, unknown_max: usize) {
    for seed in 0..25 {
        let never = CheckPolicy { entries: u64::MAX, bytes: u64::MAX };
        let policy = SnapshotPolicy::default();
        let mut world = World::with_checks(3, seed, Kindness::KIND, policy, never);
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

/// A member goes wrong, one that follows or the one that leads.
fn go_wrong(seed: u64, does_lead: bool) {
    let kindness = Kindness { loss: 5, doubling: 5, ..Kindness::KIND };
    let mut world = World::new(3, seed, kindness, SnapshotPolicy::default());
    for _ in 0..300 {
        world.step();
    }
    let leader = world.leader();
    let wrong = if does_lead { leader } else { (leader + 1) % 3 };
    world.make_wrong(wrong, None);
    let before = world.answered();
    for _ in 0..800 {
        world.step();
    }
    world.heal();
    for at in 0..3 {
        assert_eq!(world.stopped(at).is_some(), at == wrong, "seed {seed}: member {at}");
    }
    let reason = world.stopped(wrong).expect("it has stopped");
    assert!(reason.contains("differs from that of a majority"), "{reason}");
    assert!(reason.contains("add a new member in its place"), "{reason}");
    assert!(world.answered() > before + 50, "seed {seed}: the others go on");
    assert_eq!(world.undecided, 0);
}

#[test]
fn a_follower_whose_state_differs_stops_and_the_others_go_on() {
    for seed in 0..20 {
        go_wrong(seed, false);
    }
}

#[test]
fn a_leader_whose_state_differs_stops_and_another_takes_over() {
    for seed in 0..20 {
        go_wrong(seed, true);
    }
}

/// Nobody else stops, which is checked throughout. No snapshots: a wrong one that another takes in
/// would make a majority of what is wrong.
#[test]
fn in_a_hostile_world_only_who_is_wrong_stops() {
    let (mut stopped, mut asked) = (0, 0);
    for seed in 0..30 {
        let kindness = Kindness { loss: 5, doubling: 5, crashes: 4, cuts: 4 };
        let mut world = World::new(3, seed, kindness, SnapshotPolicy::default());
        for _ in 0..400 {
            world.step();
        }
        world.make_wrong(2, None);
        for _ in 0..1200 {
            world.step();
        }
        world.heal();
        stopped += u64::from(world.stopped(2).is_some());
        asked += 1;
    }
    assert!(stopped * 2 > asked, "only {stopped} of {asked} were found");
}

/// Two against two: safety is lost, and nobody can know who is right.
#[test]
fn without_a_majority_all_say_so_and_nobody_stops() {
    let mut world = World::new(4, 3, Kindness::KIND, SnapshotPolicy::default());
    world.make_wrong(1, Some(5));
    world.make_wrong(2, Some(5));
    for _ in 0..600 {
        world.step();
    }
    world.heal();
    assert!((0..4).all(|at| world.stopped(at).is_none()));
    assert!(world.undecided >= 4, "{} members said so", world.undecided);
}

#[test]
fn an_idle_cluster_compares_nothing_and_a_replay_answers_nothing() {
    let mut world = run(5, Kindness::KIND);
    let (checks, entries) = world.check_entries(0);
    let commands = entries - u64::try_from(checks).expect("few");
    assert!(u64::try_from(checks / 5).expect("few") > commands / 40, "{checks} of {entries}");
    world.heal();
    assert_eq!(world.check_entries(0), (checks, entries), "an idle log rests");
    let terms = world.terms();
    world.restart_all();
    let (checks_after, entries_after) = world.check_entries(0);
    assert_eq!(checks_after, checks, "what was in the log is not answered again");
    assert!(entries_after <= entries + (world.terms() - terms), "only terms began");
}

/// The answers of its former life are compared with what it computes now.
#[test]
fn a_replay_that_comes_to_another_state_is_noticed() {
    let mut world = run(6, Kindness::KIND);
    world.stop_for_a_while(0);
    world.make_wrong(0, Some(10));
    world.heal();
    assert!(world.stopped(0).is_some(), "the old answers say that it is wrong");
}
