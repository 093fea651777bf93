//! Clients that write and read without pause, through all members, and note what they are told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use quorate_client::message::RangeResponse;
use quorate_client::{Client, Condition, Error, Operation, PutOptions, RangeOptions, Txn};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::history::{Content, Deed, History, Outcome};

/// How often each client does something: enough to keep all members busy, not so much that the
/// elections of a debug build starve.
const PACE: Duration = Duration::from_millis(10);

/// Each has keys of its own, with ever larger values.
const WRITERS: usize = 16;
/// Each reads anybody's key.
const READERS: usize = 4;
/// Each has two clients, which increment it by compare-and-set.
pub(crate) const COUNTERS: usize = 2;

/// Running clients.
#[derive(Debug)]
pub(crate) struct Load {
    stopping: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

/// What each client has.
struct Worker {
    clients: Vec<Client>,
    history: Arc<History>,
    stopping: Arc<AtomicBool>,
    random: Random,
}

impl Load {
    /// Starts the clients; to be called in a runtime.
    pub(crate) fn start(clients: &[Client], history: &Arc<History>, seed: u64) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let mut lane = 0;
        let mut worker = || {
            lane += 1;
            Worker {
                clients: clients.to_vec(),
                history: history.clone(),
                stopping: stopping.clone(),
                random: Random(seed.wrapping_mul(1_000_003) + lane),
            }
        };
        for writer in 0..WRITERS {
            tasks.spawn(worker().write(format!("load/{seed}/{writer}")));
        }
        for _ in 0..READERS {
            tasks.spawn(worker().read(format!("load/{seed}")));
        }
        for client in 0..COUNTERS * 2 {
            tasks.spawn(worker().count(counter(client % COUNTERS)));
        }
        Self { stopping, tasks }
    }

    /// Lets all clients finish what they are at.
    pub(crate) async fn stop(mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

/// The key of a counter.
pub(crate) fn counter(number: usize) -> String {
    format!("counter/{number}")
}

/// Whether a key is that of a counter.
pub(crate) fn is_counter(key: &str) -> bool {
    key.starts_with("counter/")
}

impl Worker {
    /// Writes ever larger values to a key; to another one once an outcome is unknown, since that
    /// write may be made at any later time.
    async fn write(mut self, name: String) {
        let (mut value, mut generation) = (0, 0);
        let mut ticks = ticks();
        while !self.stopping.load(Ordering::Relaxed) {
            ticks.tick().await;
            value += 1;
            let member = self.random.below(self.clients.len());
            let key = format!("{name}/{generation}");
            let outcome = put(&self.history, &self.clients[member], member, &key, value).await;
            if outcome == Outcome::Unknown {
                generation += 1;
            }
        }
    }

    async fn read(mut self, prefix: String) {
        let mut ticks = ticks();
        while !self.stopping.load(Ordering::Relaxed) {
            ticks.tick().await;
            let member = self.random.below(self.clients.len());
            let key = format!("{prefix}/{}/0", self.random.below(WRITERS));
            get(&self.history, &self.clients[member], member, &key).await;
        }
    }

    async fn count(mut self, key: String) {
        let mut ticks = ticks();
        while !self.stopping.load(Ordering::Relaxed) {
            ticks.tick().await;
            let member = self.random.below(self.clients.len());
            let client = &self.clients[member];
            let Some(seen) = get(&self.history, client, member, &key).await else { continue };
            let (value, written) = seen.unwrap_or((0, 0));
            let begun = Instant::now();
            let increment =
                Txn::new().when([Condition::mod_revision_is(key.clone(), written)]).and_then([
                    Operation::put(key.clone(), (value + 1).to_string(), PutOptions::new()),
                ]);
            let outcome = match client.txn(increment).await {
                Ok(answer) if answer.succeeded => Outcome::Acked(answer.header.unwrap().revision),
                Ok(_) => Outcome::Failed,
                Err(error) => outcome_of(&error),
            };
            self.history.note(
                member,
                begun,
                Deed::Write { key: key.clone(), value: value + 1, outcome },
            );
        }
    }
}

/// Writes and notes it.
pub(crate) async fn put(
    history: &History,
    client: &Client,
    member: usize,
    key: &str,
    value: u64,
) -> Outcome {
    let begun = Instant::now();
    let outcome = match client.put(key.to_owned(), value.to_string(), PutOptions::new()).await {
        Ok(answer) => Outcome::Acked(answer.header.unwrap().revision),
        Err(error) => outcome_of(&error),
    };
    history.note(member, begun, Deed::Write { key: key.to_owned(), value, outcome });
    outcome
}

/// Reads and notes it; the outer `None` means that there was no answer.
pub(crate) async fn get(
    history: &History,
    client: &Client,
    member: usize,
    key: &str,
) -> Option<Option<(u64, i64)>> {
    let begun = Instant::now();
    let answer = client.get(key.to_owned(), RangeOptions::new()).await;
    let Ok(answer) = answer else {
        history.note(member, begun, Deed::Unanswered);
        return None;
    };
    let revision = answer.header.as_ref().unwrap().revision;
    let seen = content(&answer).remove(key);
    history.note(member, begun, Deed::Read { key: key.to_owned(), seen, revision });
    Some(seen)
}

/// What an answer holds.
pub(crate) fn content(answer: &RangeResponse) -> Content {
    let pair = |kv: &quorate_client::message::KeyValue| {
        let key = String::from_utf8(kv.key.to_vec()).unwrap();
        let value = std::str::from_utf8(&kv.value).unwrap().parse().unwrap();
        (key, (value, kv.mod_revision))
    };
    answer.kvs.iter().map(pair).collect()
}

fn outcome_of(error: &Error) -> Outcome {
    if error.is_outcome_unknown() { Outcome::Unknown } else { Outcome::Failed }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Numbers that look random (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let count = u64::try_from(count).unwrap();
        usize::try_from(self.0 % count).unwrap()
    }
}
