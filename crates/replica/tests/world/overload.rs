//! A flood of proposals that nobody can commit: what is under way stays within its bounds, the rest
//! is refused at once, and when the trouble is over all of it works again by itself.

use quorate_replica::{Refused, SnapshotPolicy};

use crate::world::{Kindness, World, Written};

const PROPOSALS_MAX: u64 = 50;
const BYTES_MAX: u64 = 2_000;

/// What comes at once: large enough that what is forwarded is not bounded by the number of batches.
const BURST: u64 = 10;

/// What a flood met.
#[derive(Debug, Default)]
struct Flood {
    /// How many bursts each member refused.
    refused: [u64; 3],
    /// The most that the leader had uncommitted: entries, and bytes.
    entries: u64,
    bytes: u64,
}

/// All clients send far more than there is room for, to the leader, then to the others in turn.
fn flood(world: &mut World, places: &[usize]) -> Flood {
    let mut flood = Flood::default();
    for _ in 0..300 {
        for (role, &at) in places.iter().enumerate() {
            match world.send(at, BURST) {
                Ok(()) => {}
                Err(Refused::Overloaded) => flood.refused[role] += 1,
                Err(refused @ Refused::DiskFull) => panic!("{refused}"),
            }
            let (waiting, ..) = world.load(at);
            assert!(waiting <= PROPOSALS_MAX.max(BYTES_MAX / 8) + BURST, "{waiting} wait");
        }
        world.pass_time();
        let (_, entries, bytes) = world.load(places[0]);
        flood.entries = flood.entries.max(entries);
        flood.bytes = flood.bytes.max(bytes);
    }
    flood
}

/// A world with these bounds, and its leader first.
fn world(seed: u64, proposals_max: u64, bytes_max: u64) -> (World, [usize; 3]) {
    let mut world = World::new(3, seed, Kindness::KIND, SnapshotPolicy::default());
    world.bound_proposals(proposals_max, bytes_max);
    let leader = world.leader();
    (world, [leader, (leader + 1) % 3, (leader + 2) % 3])
}

/// Everything that was taken is answered, and there is room again, for everybody.
fn is_well_again(mut world: World) {
    world.heal();
    for at in 0..3 {
        assert_eq!(world.load(at), (0, 0, 0), "nothing is left over");
    }
    for at in 0..3 {
        assert_eq!(world.write(at), Written::Answered, "and all goes on");
    }
    world.heal();
}

#[test]
fn what_no_majority_stores_is_bounded_in_number_and_refused_at_once() {
    for seed in 0..8 {
        let (mut world, places) = world(seed, PROPOSALS_MAX, 1 << 20);
        // They hear the leader, and answer it, but store nothing.
        world.stall(places[1]);
        world.stall(places[2]);
        let flood = flood(&mut world, &places);
        // The bound, and the batch that went over it.
        let bounds = 2 * PROPOSALS_MAX..=3 * PROPOSALS_MAX + BURST;
        assert!(bounds.contains(&flood.entries), "seed {seed}: {flood:?}");
        assert!(flood.refused.iter().all(|refused| *refused > 100), "seed {seed}: {flood:?}");
        is_well_again(world);
    }
}

#[test]
fn a_member_refuses_what_its_leader_does_not_take() {
    for seed in 0..8 {
        let (mut world, places) = world(seed, PROPOSALS_MAX, 1 << 20);
        let [leader, busy, idle] = places;
        world.stall(busy);
        world.stall(idle);
        flood(&mut world, &[leader, busy]);
        assert_eq!(world.send(idle, 1), Ok(()), "seed {seed}: it does not know yet");
        let (mut refused, mut most) = (0, 0);
        for _ in 0..300 {
            world.pass_time();
            refused += u64::from(world.send(idle, 1) == Err(Refused::Overloaded));
            most = most.max(world.load(idle).0);
        }
        assert!(refused > 200, "seed {seed}: it took all but {refused}");
        assert!(most < PROPOSALS_MAX, "seed {seed}: for want of room there, not here: {most}");
        is_well_again(world);
    }
}

#[test]
fn what_no_majority_stores_is_bounded_in_bytes() {
    for seed in 0..8 {
        let (mut world, places) = world(seed, 1 << 20, BYTES_MAX);
        world.stall(places[1]);
        world.stall(places[2]);
        let flood = flood(&mut world, &places);
        let bounds = 2 * BYTES_MAX..=3 * BYTES_MAX + 500;
        assert!(bounds.contains(&flood.bytes), "seed {seed}: {flood:?}");
        assert!(flood.refused.iter().all(|refused| *refused > 100), "seed {seed}: {flood:?}");
        is_well_again(world);
    }
}

#[test]
fn a_leader_that_is_cut_off_refuses_and_comes_back() {
    for seed in 0..8 {
        let (mut world, places) = world(seed, PROPOSALS_MAX, 1 << 20);
        world.cut_off(places[0]);
        let flood = flood(&mut world, &places);
        assert!(flood.entries <= 2 * PROPOSALS_MAX + BURST, "seed {seed}: {flood:?}");
        assert!(flood.refused[0] > 100, "seed {seed}: {flood:?}");
        is_well_again(world);
    }
}
