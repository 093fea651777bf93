//! A cluster under load, as the fault tests find it and as they leave it.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quorate_client::{Client, RangeOptions};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::cluster::{Cluster, ELECTION_MS};
use super::history::{Content, Deed, History, Outcome};
use super::load::{self, COUNTERS, Load, counter};
use super::process::PATIENCE;

/// How long a client of the load waits for an answer: longer than a pause of a member.
const CLIENT_PATIENCE: Duration = Duration::from_millis(1500);

/// Acknowledged writes between two faults.
pub(crate) const ACKS_BETWEEN: u64 = 200;

/// What a new leader may take in the middle of all cases: three election timeouts. A member stands
/// for election after one to two of them; the rest is for the vote and a first write.
const FAILOVER_USUAL: Duration = Duration::from_millis(3 * ELECTION_MS);

/// What it may take at worst. Votes can be split several times in a row, and a machine that runs
/// other tests gives no processor for a while; but a cluster that needs this long is broken.
const FAILOVER_WORST: Duration = Duration::from_millis(20 * ELECTION_MS);

/// A cluster, its clients, and what they noted.
pub(crate) struct Scene {
    // The load's clients stop before the members do.
    load: Option<Load>,
    pub(crate) clients: Vec<Client>,
    pub(crate) history: Arc<History>,
    pub(crate) cluster: Cluster,
    pub(crate) runtime: Runtime,
    begun: Instant,
    _alone: MutexGuard<'static, ()>,
}

impl Scene {
    /// Starts the members and the load.
    pub(crate) fn begin(seed: u64) -> Self {
        Self::begin_with(seed, &[])
    }

    /// The same, with further flags.
    pub(crate) fn begin_with(seed: u64, flags: &[&str]) -> Self {
        // Members of several clusters side by side would starve each other.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut cluster = Cluster::new(3);
        for member in &mut cluster.members {
            member.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        }
        cluster.start_all();
        let history = Arc::new(History::new());
        let (clients, load) = runtime.block_on(async {
            let clients = cluster.clients(CLIENT_PATIENCE);
            let load = Load::start(&clients, &history, seed);
            (clients, load)
        });
        let scene =
            Self { load: Some(load), clients, history, cluster, runtime, begun, _alone: alone };
        scene.work(ACKS_BETWEEN);
        scene
    }

    pub(crate) fn leader(&self) -> usize {
        self.runtime.block_on(self.cluster.leader())
    }

    /// Lets the clients get on with so many writes.
    pub(crate) fn work(&self, acks: u64) {
        self.runtime.block_on(async {
            let acks = tokio::time::timeout(PATIENCE, self.history.more_acks(acks));
            acks.await.expect("the cluster serves");
        });
    }

    /// How long it takes from now until a member other than `dead` acknowledges a write.
    pub(crate) fn failover(&self, dead: usize, round: usize) -> Duration {
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
    pub(crate) fn end(&mut self, what: &str) {
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

/// How long it took until somebody else led.
pub(crate) struct Takeovers {
    median: Duration,
    worst: Duration,
}

impl Takeovers {
    pub(crate) fn of(all: &[Duration]) -> Self {
        let mut all = all.to_vec();
        all.sort();
        Self { median: all[all.len() / 2], worst: all[all.len() - 1] }
    }

    pub(crate) fn are_in_time(&self) {
        assert!(self.median <= FAILOVER_USUAL, "too slow: {self}");
        assert!(self.worst <= FAILOVER_WORST, "too slow: {self}");
    }
}

impl fmt::Display for Takeovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, worst } = self;
        write!(f, "a survivor writes after {median:.0?} (median), {worst:.0?} (worst)")
    }
}

/// How often a fault happens: a share of the setting.
pub(crate) fn rounds(share: usize) -> usize {
    let setting = std::env::var("QUORATE_FAULT_ROUNDS").ok();
    let rounds = setting.map_or(20, |text| text.parse().expect("a number of rounds"));
    (rounds / share).max(1)
}
