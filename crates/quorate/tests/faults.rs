//! Three real members under load are killed, paused and started again; what their clients were told
//! must stay true.
//!
//! Sixteen writers, four readers and two counters with two clients each work through all members the
//! whole time. Whatever happens to the members: no acknowledged write is lost, no read sees the past,
//! and in the end all members hold the same ([`support::history`] says how that is judged).
//!
//! `QUORATE_FAULT_ROUNDS` sets how often each fault happens, for longer runs: the default is 20 for
//! the leader's death and a fifth of it for the others. `--nocapture` shows a summary of each test.

#[cfg(test)]
mod support;

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quorate_client::{Client, RangeOptions};
use rustix::process::Signal;
use support::cluster::{Cluster, ELECTION_MS};
use support::history::{Content, Deed, History, Outcome};
use support::load::{self, COUNTERS, Load, counter};
use support::process::PATIENCE;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// How long a client of the load waits for an answer: longer than a pause of a member.
const CLIENT_PATIENCE: Duration = Duration::from_secs(3);

/// Acknowledged writes between two faults.
const ACKS_BETWEEN: u64 = 60;

/// What a new leader may take in the middle of all cases: three election timeouts. A member stands
/// for election after one to two of them; the rest is for the vote and a first write.
const FAILOVER_USUAL: Duration = Duration::from_millis(3 * ELECTION_MS);

/// What it may take at worst. Votes can be split several times in a row, and a machine that runs
/// other tests gives no processor for a while; but a cluster that needs this long is broken.
const FAILOVER_WORST: Duration = Duration::from_millis(20 * ELECTION_MS);

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
        scene.work();
    }
    failovers.sort();
    let (median, worst) = (failovers[failovers.len() / 2], failovers[failovers.len() - 1]);
    scene.end(&format!(
        "{} leaders killed; a write through a survivor after {median:.0?} (median), {worst:.0?} (worst)",
        failovers.len()
    ));
    assert!(median <= FAILOVER_USUAL, "failover takes {median:?} in the median: {failovers:?}");
    assert!(worst <= FAILOVER_WORST, "failover took {worst:?}: {failovers:?}");
}

/// A leader sleeps until another one has taken over, and wakes in the belief that it still leads.
/// Reads that waited for it must not be answered from what it held when it fell asleep.
#[test]
fn paused_leaders() {
    let mut scene = Scene::begin(2);
    for round in 0..rounds(5) {
        let old = scene.leader();
        // A connection that is there already: the question waits in the sleeper's socket.
        let asker = scene.cluster.members[old].client(PATIENCE);
        let ask = |key: String| {
            let (asker, history) = (asker.clone(), scene.history.clone());
            async move { load::get(&history, &asker, old, &key).await }
        };
        scene.runtime.block_on(ask("before".into()));
        scene.cluster.members[old].process().signal(Signal::STOP);
        scene.failover(old, round);
        scene.work();
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
        scene.work();
    }
    scene.end("leaders paused until they were replaced");
}

/// The power goes: all members are killed at once and start again.
#[test]
fn all_killed_at_once() {
    let mut scene = Scene::begin(3);
    let mut outages = Vec::new();
    for _ in 0..rounds(5) {
        for member in &mut scene.cluster.members {
            member.kill();
        }
        let begun = Instant::now();
        scene.cluster.start_all();
        scene.runtime.block_on(scene.history.more_acks(1));
        outages.push(begun.elapsed());
        scene.work();
    }
    let worst = outages.iter().max().unwrap();
    scene.end(&format!("{} times all killed; back after {worst:.0?} at worst", outages.len()));
}

/// A follower is killed; the others do not care, and it catches up when it is back.
#[test]
fn killed_followers() {
    let mut scene = Scene::begin(4);
    for round in 0..rounds(5) {
        let leader = scene.leader();
        let follower = (leader + 1 + round % 2) % 3;
        scene.cluster.members[follower].kill();
        scene.work();
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
        let own = scene.runtime.block_on(client.get(key.clone(), RangeOptions::new().serializable()));
        assert_eq!(load::content(&own.unwrap()).remove(&key).map(|(value, _)| value), Some(value));
    }
    scene.end("followers killed");
}

/// A cluster, its clients, and what they noted.
struct Scene {
    // The load's clients stop before the members do.
    load: Option<Load>,
    clients: Vec<Client>,
    history: Arc<History>,
    cluster: Cluster,
    runtime: Runtime,
    begun: Instant,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// Starts the members and the load.
    fn begin(seed: u64) -> Self {
        // Members of several clusters side by side would starve each other.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let cluster = Cluster::start(3);
        let history = Arc::new(History::new());
        let (clients, load) = runtime.block_on(async {
            let clients = cluster.clients(CLIENT_PATIENCE);
            let load = Load::start(&clients, &history, seed);
            (clients, load)
        });
        let scene =
            Self { load: Some(load), clients, history, cluster, runtime, begun, _alone: alone };
        scene.work();
        scene
    }

    fn leader(&self) -> usize {
        self.runtime.block_on(self.cluster.leader())
    }

    /// Lets the clients get on for a while.
    fn work(&self) {
        self.runtime.block_on(async {
            let acks = tokio::time::timeout(PATIENCE, self.history.more_acks(ACKS_BETWEEN));
            acks.await.expect("the cluster serves");
        });
    }

    /// How long it takes from now until a member other than `dead` acknowledges a write.
    fn failover(&self, dead: usize, round: usize) -> Duration {
        let begun = Instant::now();
        let mut writes = JoinSet::new();
        for survivor in (0..3).filter(|survivor| *survivor != dead) {
            let client = self.cluster.members[survivor].client(PATIENCE);
            let history = self.history.clone();
            let key = format!("failover/{round}/{survivor}");
            let write = async move { load::put(&history, &client, survivor, &key, 1).await };
            writes.spawn_on(write, self.runtime.handle());
        }
        self.runtime.block_on(async {
            while let Some(outcome) = writes.join_next().await {
                if matches!(outcome.unwrap(), Outcome::Acked(_)) {
                    return begun.elapsed();
                }
            }
            panic!("neither survivor acknowledged a write")
        })
    }

    /// Stops the load, and judges what everybody was told.
    fn end(&mut self, what: &str) {
        let load = self.load.take().expect("the load runs");
        self.runtime.block_on(load.stop());
        let (revision, content) = self.converge();
        for key in self.history.keys() {
            let seen = content.get(&key).copied();
            self.history.note(0, Instant::now(), Deed::Read { key, seen, revision });
        }
        self.history.check();
        for key in (0..COUNTERS).map(counter) {
            let value = content.get(&key).map_or(0, |(value, _)| *value);
            let (acked, unknown) = self.history.writes_of(&key);
            let possible = acked..=acked + unknown;
            assert!(possible.contains(&value), "{key} is {value}, must be in {possible:?}");
        }
        println!("{}", self.describe(what));
    }

    /// Waits until all members are at the same revision, and sees that they hold the same there.
    /// Writes whose clients have given up may still come for a while.
    fn converge(&self) -> (i64, Content) {
        let begun = Instant::now();
        loop {
            let contents: Vec<_> = (0..3).map(|member| self.content_of(member)).collect();
            let first = &contents[0];
            let same_revision: Vec<_> = contents.iter().filter(|(at, _)| *at == first.0).collect();
            for (_, content) in &same_revision {
                let differing = content.iter().find(|(key, seen)| first.1.get(*key) != Some(seen));
                assert_eq!(differing, None, "members differ at revision {}", first.0);
                assert_eq!(content.len(), first.1.len(), "members differ at revision {}", first.0);
            }
            if same_revision.len() == 3 {
                return contents.into_iter().next().unwrap();
            }
            assert!(begun.elapsed() < PATIENCE, "the members do not come to one revision");
        }
    }

    /// Everything that a member holds, once it has caught up.
    fn content_of(&self, member: usize) -> (i64, Content) {
        let client = self.cluster.members[member].client(PATIENCE);
        self.runtime.block_on(async {
            client.get("any", RangeOptions::new()).await.expect("the member serves");
            let everything = RangeOptions::new().from_key().serializable();
            let answer = client.get("\0", everything).await.expect("the member serves");
            (answer.header.as_ref().unwrap().revision, load::content(&answer))
        })
    }

    fn describe(&self, what: &str) -> String {
        let summary = self.history.summary();
        let mut text = format!("{what}, in {:.1} s", self.begun.elapsed().as_secs_f64());
        write!(
            text,
            "\n  writes: {} acknowledged, {} unknown, {} failed; reads: {}, {} unanswered",
            summary.acked, summary.unknown, summary.failed, summary.reads, summary.unanswered
        )
        .unwrap();
        text
    }
}

/// How often a fault happens: a share of the setting.
fn rounds(share: usize) -> usize {
    let setting = std::env::var("QUORATE_FAULT_ROUNDS").ok();
    let rounds = setting.map_or(20, |text| text.parse().expect("a number of rounds"));
    (rounds / share).max(1)
}
