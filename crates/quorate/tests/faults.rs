//! Three real members under load are killed, paused and started again; what their clients were told
//! must stay true.
//!
//! Sixteen writers, four readers and two counters with two clients each work through all members
//! the whole time. Whatever happens to the members: no acknowledged write is lost, no read sees the
//! past, and in the end all members hold the same ([`support::history`] says how that is judged).
//!
//! `QUORATE_FAULT_ROUNDS` sets how often each fault happens, for longer runs: the default is 20 for
//! the leader's death, half of it for the others and
//! twice of it for moves. `--nocapture` shows a summary of each test.

#[cfg(test)]
mod support;

use std::time::{Duration, Instant};

use quorate_client::RangeOptions;
use rustix::process::Signal;
use support::history::Outcome;
use support::load;
use support::process::PATIENCE;
use support::scene::{ACKS_BETWEEN, Scene, Takeovers, rounds};
use tokio::task::JoinSet;

/// A member that leads is killed, another takes over, the dead one comes back: again and again.
#[test]
fn killed_leaders() {
    let mut scene = Scene::begin(1);
    let mut failovers = Vec::new();
    for round in 0..rounds(1) {
        let leader = scene.leader();
        scene.cluster.members[leader].kill();
        failovers.push(scene.failover(leader, round));
        scene.cluster.members[leader].start();
        scene.cluster.members[leader].wait_until_ready();
        scene.work(ACKS_BETWEEN);
    }
    scene.end(&format!("{} leaders killed; {}", failovers.len(), Takeovers::of(&failovers)));
    Takeovers::of(&failovers).are_in_time();
}

/// A leader sleeps until another one has taken over, and wakes in the belief that it still leads.
/// Reads that waited for it must not be answered from what it held when it fell asleep.
#[test]
fn paused_leaders() {
    pause_leaders(Scene::begin(2));
}

/// The same with leases on: the sleeper's lease was over long before it woke.
#[test]
fn paused_leaders_with_leases() {
    pause_leaders(Scene::begin_with(7, &["--lease-duration", "200"]));
}

fn pause_leaders(mut scene: Scene) {
    let mut takeovers = Vec::new();
    for round in 0..rounds(2) {
        let old = scene.leader();
        // A connection that is there already: the question waits in the sleeper's socket.
        let asker = scene.cluster.members[old].client(PATIENCE);
        let ask = |key: String| {
            let (asker, history) = (asker.clone(), scene.history.clone());
            async move { load::get(&history, &asker, old, &key).await }
        };
        scene.runtime.block_on(ask("before".into()));
        scene.cluster.members[old].process().signal(Signal::STOP);
        takeovers.push(scene.failover(old, round));
        // Several election timeouts: every other client waits for the sleeper.
        scene.work(ACKS_BETWEEN / 8);
        let (key, survivor) = (format!("while/{round}"), (old + 1) % 3);
        let write = load::put(&scene.history, &scene.clients[survivor], survivor, &key, 1);
        let written = scene.runtime.block_on(write);
        assert!(matches!(written, Outcome::Acked(_)), "the survivors serve: {written:?}");
        let mut questions = JoinSet::new();
        for _ in 0..8 {
            questions.spawn_on(ask(key.clone()), scene.runtime.handle());
        }
        // Now the questions are in the sleeper's socket, or on their way.
        scene.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        scene.cluster.members[old].process().signal(Signal::CONT);
        let answers = scene.runtime.block_on(questions.join_all());
        for answer in answers.into_iter().flatten() {
            assert_eq!(answer.map(|(value, _)| value), Some(1), "a read from the past");
        }
        scene.work(ACKS_BETWEEN);
    }
    scene.end(&format!("{} leaders paused; {}", takeovers.len(), Takeovers::of(&takeovers)));
    Takeovers::of(&takeovers).are_in_time();
}

/// The power goes: all members are killed at once and start again.
#[test]
fn all_killed_at_once() {
    let mut scene = Scene::begin(3);
    let mut outages = Vec::new();
    for _ in 0..rounds(2) {
        for member in &mut scene.cluster.members {
            member.kill();
        }
        let begun = Instant::now();
        scene.cluster.start_all();
        scene.runtime.block_on(scene.history.more_acks(1));
        outages.push(begun.elapsed());
        scene.work(ACKS_BETWEEN);
    }
    let worst = outages.iter().max().unwrap();
    scene.end(&format!("{} times all killed; back after {worst:.0?} at worst", outages.len()));
}

/// A follower is killed; the others do not care, and it catches up when it is back.
#[test]
fn killed_followers() {
    let mut scene = Scene::begin(4);
    for round in 0..rounds(2) {
        let leader = scene.leader();
        let follower = (leader + 1 + round % 2) % 3;
        scene.cluster.members[follower].kill();
        scene.work(ACKS_BETWEEN);
        let (key, value) = (format!("missed/{round}"), 1);
        let write = load::put(&scene.history, &scene.clients[leader], leader, &key, value);
        scene.runtime.block_on(write);
        let goal = scene.runtime.block_on(scene.cluster.members[leader].status()).unwrap();
        scene.cluster.members[follower].start();
        scene.cluster.members[follower].wait_until_ready();
        let state = scene.runtime.block_on(scene.cluster.members[follower].status()).unwrap();
        assert!(
            state.raft_applied_index >= goal.raft_applied_index,
            "ready, but behind: {} of {}",
            state.raft_applied_index,
            goal.raft_applied_index
        );
        let client = scene.cluster.members[follower].client(PATIENCE);
        let own =
            scene.runtime.block_on(client.get(key.clone(), RangeOptions::new().serializable()));
        assert_eq!(load::content(&own.unwrap()).remove(&key).map(|(value, _)| value), Some(value));
    }
    scene.end("followers killed");
}

/// Leaders are told to stop, as for an upgrade: each hands its leadership over first, ends in
/// order, and comes back.
#[test]
fn stopped_leaders() {
    let mut scene = Scene::begin(5);
    let mut takeovers = Vec::new();
    for round in 0..rounds(2) {
        let leader = scene.leader();
        let process = scene.cluster.members[leader].process();
        process.signal(Signal::TERM);
        let stderr = process.stderr.clone();
        takeovers.push(scene.failover(leader, round));
        let status = scene.cluster.members[leader].ended();
        assert!(status.success(), "a stop in order: {}", stderr.text());
        let said = stderr.text();
        assert!(said.contains("the leadership was handed over"), "{said}");
        scene.cluster.members[leader].start();
        scene.cluster.members[leader].wait_until_ready();
        scene.work(ACKS_BETWEEN);
    }
    scene.end(&format!("{} leaders stopped; {}", takeovers.len(), Takeovers::of(&takeovers)));
}

/// The leadership goes round under load: no request fails for it, they only wait.
#[test]
fn moved_leaders() {
    let mut scene = Scene::begin(6);
    for _ in 0..2 * rounds(1) {
        let leader = scene.leader();
        let next = &scene.cluster.members[(leader + 1) % 3];
        let status = scene.runtime.block_on(next.status()).expect("the member runs");
        let target = status.header.expect("an answer has a head").member_id;
        let member = &scene.cluster.members[leader];
        let moved = member.client(PATIENCE);
        let moved = scene.runtime.block_on(moved.move_leader(&member.endpoint(), target));
        moved.expect("the next one takes over");
        assert_eq!(scene.leader(), (leader + 1) % 3);
        scene.work(ACKS_BETWEEN / 4);
    }
    let summary = scene.history.summary();
    scene.end("leadership moved round and round");
    assert_eq!((summary.unknown, summary.unanswered), (0, 0));
    // A counter that another client was faster with is no failure.
    let failed = scene.history.failed_writes(|key| !load::is_counter(key));
    assert_eq!(failed, Vec::<String>::new());
}

/// The judge has to find what it is there for.
#[cfg(test)]
mod judge {
    use std::panic::catch_unwind;

    use super::support::history::{Deed, History, Outcome};
    use super::{Duration, Instant};

    /// A deed, and when it began and ended.
    type Told = (u64, u64, Deed);

    fn write(begun: u64, ended: u64, value: u64, revision: i64) -> Told {
        let outcome = Outcome::Acked(revision);
        (begun, ended, Deed::Write { key: "k".into(), value, outcome })
    }

    fn read(begun: u64, ended: u64, seen: Option<(u64, i64)>, revision: i64) -> Told {
        (begun, ended, Deed::Read { key: "k".into(), seen, revision })
    }

    /// What is wrong with a history; empty if nothing is.
    fn objection(told: &[Told]) -> String {
        let origin = Instant::now();
        let at = |time| origin + Duration::from_millis(time);
        let history = History::new();
        for (begun, ended, deed) in told {
            history.note_at(0, at(*begun), at(*ended), deed.clone());
        }
        let judged = catch_unwind(std::panic::AssertUnwindSafe(|| history.check()));
        judged.map_or_else(|panic| panic.downcast_ref::<String>().unwrap().clone(), |()| "".into())
    }

    #[test]
    fn a_true_story() {
        let unknown = Deed::Write { key: "k".into(), value: 9, outcome: Outcome::Unknown };
        let story = [
            write(0, 10, 1, 2),
            read(5, 15, None, 1),
            (20, 30, unknown),
            write(40, 50, 2, 3),
            // Late, but possible.
            read(60, 70, Some((9, 4)), 4),
        ];
        assert_eq!(objection(&story), "");
    }

    #[test]
    fn a_lost_write() {
        let story = [write(0, 10, 1, 2), write(20, 30, 2, 3), read(40, 50, Some((1, 2)), 4)];
        assert!(objection(&story).contains("revision 3 is lost"));
        let story = [write(0, 10, 1, 2), read(20, 30, None, 2)];
        assert!(objection(&story).contains("revision 2 is lost"));
    }

    #[test]
    fn a_stale_read() {
        let story = [write(0, 10, 1, 2), write(20, 30, 2, 3), read(40, 50, Some((1, 2)), 2)];
        assert!(objection(&story).contains("but stands before it"));
        let story = [write(0, 90, 1, 2), read(10, 20, Some((1, 2)), 2), read(30, 40, None, 1)];
        assert!(objection(&story).contains("but stands before it"));
    }

    #[test]
    fn writes_out_of_thin_air() {
        let story = [write(0, 10, 1, 2), read(20, 30, Some((7, 3)), 3)];
        assert!(objection(&story).contains("nobody wrote that"));
        let failed = Deed::Write { key: "k".into(), value: 7, outcome: Outcome::Failed };
        let story = [(0, 10, failed), read(20, 30, Some((7, 3)), 3)];
        assert!(objection(&story).contains("nobody wrote that"));
        let story = [write(0, 10, 1, 2), write(5, 15, 2, 2)];
        assert!(objection(&story).contains("two writes at revision 2"));
    }
}
