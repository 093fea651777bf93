//! A connection that breaks is evidence that the process at its other end has died, and a member
//! whose leader it was asks for pre-votes at once. When the leader lives after all, that must cost
//! pre-votes and nothing else: no term, no leader.

use crate::kind::Kind;
use crate::marks::Mark;
use crate::profile::Profile;
use crate::schedule::Schedule;
use crate::store_workload::StoreWorkload;
use crate::world::World;

const SECOND: u64 = 1_000_000;

/// When there is a leader in any case.
const SETTLED: u64 = 5 * SECOND;

/// How long connections go on to break.
const DURATION: u64 = 60 * SECOND;

/// The terms of all members.
fn terms(world: &World<StoreWorkload>) -> Vec<u64> {
    let replicas = world.members.iter().filter_map(|member| member.replica.as_ref());
    replicas.map(|replica| replica.raft().term().value()).collect()
}

#[test]
fn a_connection_that_breaks_without_a_death_costs_a_pre_vote_and_no_term() {
    let mut asked = 0;
    for seed in 1..=5 {
        let schedule = Schedule::draw(&Profile::Only(Kind::Reset), seed, Some(DURATION));
        let mut world = World::new(StoreWorkload::default(), schedule, None, 0);
        world.run_until(SETTLED);
        let (leader, before) = (world.leader(), terms(&world));
        assert!(leader.is_some(), "seed {seed}: nobody leads");
        world.run_until(DURATION - 1);
        assert_eq!((world.leader(), terms(&world)), (leader, before), "seed {seed}");
        asked += world.marks.count(Mark::AskedDisconnected);
    }
    assert!(0 < asked, "no alarm came before the leader was heard again");
}
