//! Random faults, then healing: the promises of Raft must hold at every moment, and the cluster
//! must elect a leader and converge once the faults end.
//!
//! A run is its seed. A failure names it.

mod rig;

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_raft::{Input, Message, NodeId, RoleName, Target};

use rig::checker::Checker;
use rig::dice::{Dice, Seed};
use rig::{Cluster, node};

const STEPS: usize = 400;

/// What kind of faults a run has.
struct Weather {
    /// Of a hundred messages, how many are lost.
    loss: usize,
    /// Whether members crash.
    crashes: usize,
    /// Whether the network falls apart.
    partitions: usize,
    /// Whether members take snapshots and forget their logs.
    snapshots: usize,
    /// How seldom a deadline comes before the messages under way.
    haste: usize,
}

/// How much the runs of a test achieved: a test in which nothing happens proves nothing.
#[derive(Debug, Default)]
struct Achieved {
    committed: usize,
    served: u64,
    elections: u64,
    resets: u64,
    /// Changes of membership that began, and those that were refused.
    changes: u64,
    refused: u64,
}

/// `voters` members, and as many `spares` that may become members.
fn run(voters: u64, spares: u64, seed: u64, achieved: &mut Achieved) {
    let guard = Seed(seed);
    let mut dice = Dice(seed.wrapping_mul(7919) + voters);
    let small = |dice: &mut Dice| u64::try_from(1 + dice.roll(4)).expect("small");
    let (entries, bytes, window) = (small(&mut dice), small(&mut dice), 1 + dice.roll(4));
    // Small limits, so that appends end before the log does.
    let mut cluster = Cluster::tuned(voters, seed, |config| {
        config.append_entries_max = entries;
        config.append_bytes_max = 10 * bytes;
        config.inflight_bytes_max = 30 * bytes;
        config.inflight_appends_max = window;
    });
    let all: Vec<NodeId> = (1..=voters + spares).map(node).collect();
    for id in cluster.add_spares(spares, seed) {
        cluster.start(id);
    }
    // Each seed has its own kind of weather.
    let weather = Weather {
        loss: [0, 5, 20][dice.roll(3)],
        crashes: dice.roll(3),
        partitions: dice.roll(2),
        snapshots: dice.roll(2),
        haste: 1 + dice.roll(8),
    };
    if dice.roll(3) != 0 {
        cluster.elect(1 + voters / 2);
    }
    for step in 0..STEPS {
        fault_or_work(&mut cluster, &mut dice, &all, &weather);
        if 0 < spares && dice.roll(12) == 0 {
            change(&mut cluster, &mut dice, &all, achieved);
        }
        if step % 16 == 0 {
            Checker::check_logs(&cluster.members);
        }
    }
    achieved.committed += cluster.checker.committed.len();
    heal(&mut cluster, &all);
    Checker::check_logs(&cluster.members);
    achieved.resets += cluster.resets;
    achieved.served += cluster.checker.served;
    achieved.elections += cluster.raft(all[0]).term().value();
    drop(guard);
}

/// One thing happens.
fn fault_or_work(cluster: &mut Cluster, dice: &mut Dice, all: &[NodeId], weather: &Weather) {
    let id = dice.pick(all);
    let other = dice.pick(all);
    match dice.roll(100) {
        0..55 if !cluster.network.is_empty() => deliver(cluster, dice, weather.loss),
        0..76 if cluster.is_up(id) => {
            let count = 1 + dice.roll(3);
            cluster.persist(id, count);
        }
        76..82 => {
            let count = u64::try_from(1 + dice.roll(4)).expect("small");
            let id = if dice.roll(4) == 0 { id } else { cluster.leader().unwrap_or(id) };
            cluster.propose(id, count);
        }
        82..84 => {
            cluster.read(id);
        }
        84 if 0 < weather.partitions && dice.roll(2) == 0 => isolate_a_leader(cluster, dice, all),
        85..91 if cluster.network.is_empty() || dice.roll(weather.haste) == 0 => {
            // Mostly the earliest deadline, at times a fast clock.
            if dice.roll(6) == 0 && cluster.is_up(id) {
                if cluster.is_waiting(id) {
                    cluster.time_out(id);
                }
            } else if let Some((_, id)) = cluster.next_deadline() {
                cluster.time_out(id);
            }
        }
        91 if 0 < weather.crashes && cluster.is_up(id) => {
            let kept = dice.roll(4);
            cluster.crash(id, kept);
        }
        92..95 if !cluster.is_up(id) => cluster.start(id),
        95 if 0 < weather.partitions => {
            let (left, right) = all.iter().partition(|_| dice.roll(2) == 0);
            cluster.partition(&[left, right]);
        }
        96..98 => cluster.cut.clear(),
        94 if 0 < weather.snapshots && cluster.is_up(id) => {
            let logged = cluster.members[&id].log.len();
            let base = logged.saturating_sub(dice.roll(8));
            cluster.compact(id, base);
        }
        93 => {
            cluster.fetch(id);
        }
        98 if id != other => cluster.input(id, Input::Disconnected(other)),
        99 if id != other => cluster.input(id, Input::Connected(other)),
        _ => {}
    }
}

/// A leader is asked for another membership: mostly one member more, less, or of another kind.
fn change(cluster: &mut Cluster, dice: &mut Dice, all: &[NodeId], achieved: &mut Achieved) {
    let Some(leader) = cluster.leader() else { return };
    let now = cluster.raft(leader).membership();
    let (mut voters, mut learners) = (now.incoming.clone(), now.learners.clone());
    for _ in 0..1 + dice.roll(3) {
        let id = dice.pick(all);
        let (was_voter, was_learner) = (voters.remove(&id), learners.remove(&id));
        match dice.roll(4) {
            0 => {}
            1 if was_voter => {
                learners.insert(id);
            }
            2 | 3 if was_learner || was_voter => {
                voters.insert(id);
            }
            _ => {
                learners.insert(id);
            }
        }
    }
    let expected = (dice.roll(4) == 0).then(|| cluster.raft(leader).membership_index());
    match cluster.change(leader, &Target { voters, learners, expected }) {
        Ok(_) => achieved.changes += 1,
        Err(_) => achieved.refused += 1,
    }
}

/// A leader is cut off and does not know it, the others notice at once; it is asked to read, and
/// goes on being asked while they elect another.
fn isolate_a_leader(cluster: &mut Cluster, dice: &mut Dice, all: &[NodeId]) {
    let Some(leader) = cluster.leader().filter(|_| 1 < all.len()) else { return };
    let others: Vec<NodeId> = all.iter().copied().filter(|&id| id != leader).collect();
    cluster.partition(&[vec![leader], others.clone()]);
    for &other in &others {
        if cluster.is_up(other) {
            cluster.input(other, Input::Disconnected(leader));
        }
    }
    for step in 0..80 {
        let id = dice.pick(&others);
        match dice.roll(4) {
            0 | 1 if !cluster.network.is_empty() => cluster.deliver_at(0),
            2 if cluster.network.is_empty() && cluster.is_waiting(id) => cluster.time_out(id),
            _ => {
                cluster.persist(id, 9);
            }
        }
        if step % 20 == 19 {
            if let Some(newest) = cluster.leader() {
                cluster.propose(newest, 1);
            }
            cluster.read(leader);
        }
    }
}

/// Some message arrives, is lost, or arrives and stays under way.
fn deliver(cluster: &mut Cluster, dice: &mut Dice, loss: usize) {
    // Mostly in order.
    let newest = cluster.network.len();
    let place = if dice.roll(4) == 0 { dice.roll(newest) } else { dice.roll(newest.min(4)) };
    match dice.roll(100) {
        percent if percent < loss => {
            cluster.network.remove(place);
        }
        percent if percent < loss + 10 => {
            let packet = cluster.network[place].clone();
            cluster.deliver(packet);
        }
        _ => cluster.deliver_at(place),
    }
}

/// The faults end: one leader, equal logs, new entries committed, reads served.
fn heal(cluster: &mut Cluster, all: &[NodeId]) {
    cluster.cut.clear();
    for &id in all {
        if !cluster.is_up(id) {
            cluster.start(id);
        }
    }
    cluster.settle();
    let mut is_proposed = false;
    let end = cluster.now.after(Duration::from_secs(60));
    while cluster.now < end {
        cluster.advance(Duration::from_millis(100));
        is_proposed = is_proposed || cluster.leader().is_some_and(|id| cluster.propose(id, 1));
        cluster.settle();
        if is_proposed && is_converged(cluster, all) {
            let members: Vec<NodeId> = members_of(cluster).into_iter().collect();
            let served = cluster.checker.served;
            for &id in &members {
                cluster.read(id);
            }
            cluster.settle();
            // A restarted member may have to ask a second time (docs/raft.md, *Known*).
            cluster.advance(Duration::from_millis(200));
            cluster.settle();
            let all_count = u64::try_from(members.len()).expect("few");
            assert!(served + all_count <= cluster.checker.served, "every member serves its read");
            return;
        }
    }
    panic!("no convergence within a minute: {:?}", status(cluster, all));
}

/// The members, as the newest leader knows them.
fn members_of(cluster: &Cluster) -> BTreeSet<NodeId> {
    let leader = cluster.leader().expect("somebody leads");
    cluster.raft(leader).membership().members().collect()
}

/// One leader, no change that has not ended, and all members know all that the leader knows.
fn is_converged(cluster: &Cluster, all: &[NodeId]) -> bool {
    let leaders = all.iter().filter(|&&id| cluster.raft(id).role() == RoleName::Leader);
    if leaders.count() != 1 {
        return false;
    }
    let leader = cluster.leader().expect("somebody leads");
    let last = cluster.raft(leader).last();
    members_of(cluster).into_iter().all(|id| {
        let raft = cluster.raft(id);
        raft.last() == last
            && raft.commit() == last.index
            && raft.leader() == Some(leader)
            && raft.membership() == cluster.raft(leader).membership()
            && !raft.is_change_pending()
    })
}

fn status(cluster: &Cluster, all: &[NodeId]) -> Vec<quorate_raft::Status> {
    all.iter().map(|&id| cluster.raft(id).status()).collect()
}

#[test]
fn three_members_survive_everything() {
    let mut achieved = Achieved::default();
    for seed in 0..1_500 {
        run(3, 0, seed, &mut achieved);
    }
    assert!(5_000 < achieved.committed, "{achieved:?}");
    assert!(5_000 < achieved.served, "{achieved:?}");
    assert!(200 < achieved.resets, "{achieved:?}");
}

#[test]
fn five_members_survive_everything() {
    let mut achieved = Achieved::default();
    for seed in 0..500 {
        run(5, 0, seed, &mut achieved);
    }
    assert!(1_000 < achieved.committed, "{achieved:?}");
    assert!(3_000 < achieved.served, "{achieved:?}");
}

#[test]
fn even_and_single_memberships_survive_too() {
    let mut achieved = Achieved::default();
    for seed in 0..150 {
        for voters in [1, 2, 4] {
            run(voters, 0, seed, &mut achieved);
        }
    }
    assert!(1_000 < achieved.committed, "{achieved:?}");
}

#[test]
fn memberships_change_under_faults() {
    let mut achieved = Achieved::default();
    for seed in 0..500 {
        for (voters, spares) in [(1, 3), (3, 2)] {
            run(voters, spares, seed, &mut achieved);
        }
    }
    assert!(3_000 < achieved.changes, "{achieved:?}");
    assert!(3_000 < achieved.committed, "{achieved:?}");
}

/// Fresh members with an election timeout of one to two seconds and messages that take one
/// millisecond find a leader long before any election timeout.
#[test]
fn a_fresh_cluster_elects_within_tens_of_milliseconds() {
    let mut times = Vec::new();
    for seed in 0..300 {
        let mut cluster = Cluster::new(3, seed);
        while cluster.leader().is_none() {
            let (deadline, id) = cluster.next_deadline().expect("members run");
            let message_at = cluster.now.after(Duration::from_millis(1));
            if cluster.network.is_empty() || deadline < message_at {
                cluster.now = cluster.now.max(deadline);
                cluster.input(id, Input::Timeout);
            } else {
                cluster.now = message_at;
                for _ in 0..cluster.network.len() {
                    cluster.deliver_at(0);
                }
            }
            for id in cluster.up() {
                let count = cluster.members[&id].queue.len();
                cluster.persist(id, count);
            }
        }
        times.push(cluster.now.since_origin());
    }
    times.sort_unstable();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    assert!(median < Duration::from_millis(40), "half of them took {median:?} or more");
    assert!(slowest < Duration::from_millis(300), "the slowest took {slowest:?}");
}

/// A member that was away, with pre-votes only, disturbs nobody when it comes back.
#[test]
fn a_member_that_comes_back_disturbs_nobody() {
    for seed in 0..100 {
        let mut cluster = Cluster::new(3, seed);
        cluster.elect(1);
        let term = cluster.raft(node(1)).term();
        cluster.partition(&[vec![node(1), node(2)], vec![node(3)]]);
        cluster.advance(Duration::from_secs(10));
        cluster.cut.clear();
        cluster.advance(Duration::from_secs(10));
        assert_eq!(cluster.leader(), Some(node(1)));
        assert_eq!(cluster.raft(node(3)).term(), term);
    }
}

/// A leader that nobody hears gives up by itself, within two election timeouts.
#[test]
fn a_lonely_leader_steps_down() {
    let mut cluster = Cluster::new(3, 5);
    cluster.elect(1);
    cluster.drop_packets(|envelope| !matches!(envelope.message, Message::Heartbeat { .. }));
    cluster.partition(&[vec![node(1)], vec![node(2), node(3)]]);
    cluster.advance(Duration::from_secs(4));
    assert!(!cluster.raft(node(1)).is_leader());
    assert!(cluster.leader().is_some(), "the others have elected one of them");
}
