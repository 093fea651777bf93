//! How many entries three members commit in a second, in one thread and in memory.
//!
//! The bench carries no payload, touches no disk and no network: writes count as durable at once,
//! and messages move from one outbox to the next inbox. What it measures is the arithmetic of
//! consensus alone, which must never be what a cluster waits for. A constant number of proposals is
//! outstanding; as many as were committed are proposed anew.
//!
//! `cargo bench -p quorate-raft`
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Duration;

use quorate_raft::{
    Config, EntryId, Envelope, HardState, Index, Input, Instant, Membership, NodeId, Raft,
    Restored, Sizes,
};

/// How long a variant runs.
const RUN: Duration = Duration::from_secs(2);

/// Entries of a hundred bytes, as far as the limits are concerned.
struct HundredBytes;

impl Sizes for HundredBytes {
    fn fit(&self, _first: Index, count_max: u64, bytes_max: u64) -> (u64, u64) {
        let count = (bytes_max / 100).clamp(1, count_max);
        (count, count * 100)
    }
}

struct Cluster {
    members: Vec<Raft>,
    network: Vec<Envelope>,
    moving: Vec<Envelope>,
    now: Instant,
    messages: u64,
}

impl Cluster {
    fn new() -> Self {
        let ids: Vec<NodeId> = (1..=3).map(NodeId::new).collect();
        let members = ids.iter().map(|&id| {
            let config = Config {
                id,
                election_timeout_min: Duration::from_millis(1000),
                election_timeout_max: Duration::from_millis(2000),
                heartbeat_interval: Duration::from_millis(100),
                append_bytes_max: 1 << 20,
                append_entries_max: 1 << 16,
                inflight_appends_max: 64,
                inflight_bytes_max: 1 << 24,
                lease: None,
                seed: id.value(),
            };
            let restored = Restored {
                hard_state: HardState::default(),
                base: EntryId::ZERO,
                runs: Vec::new(),
                commit: Index::ZERO,
                memberships: vec![(Index::ZERO, Membership::of_voters(ids.iter().copied()))],
            };
            Raft::new(config, restored, Instant::default()).expect("the settings are sound")
        });
        Self {
            members: members.collect(),
            network: Vec::new(),
            moving: Vec::new(),
            now: Instant::default(),
            messages: 0,
        }
    }

    /// The place of the leader, after an election.
    fn elect(&mut self) -> usize {
        loop {
            if let Some(leader) = self.members.iter().position(Raft::is_leader) {
                return leader;
            }
            let first = self.members.iter().map(Raft::deadline).min().expect("three members");
            self.now = first;
            for place in 0..self.members.len() {
                self.members[place].step(self.now, Input::Timeout);
                self.drain(place);
            }
            while !self.network.is_empty() {
                self.deliver();
            }
        }
    }

    /// Takes what a member has to do; the disk is infinitely fast.
    fn drain(&mut self, place: usize) {
        let member = &mut self.members[place];
        while member.has_ready() {
            let mut ready = member.ready();
            self.network.append(&mut ready.messages);
            if let Some(write) = ready.write {
                member.step(self.now, Input::Persisted(write.receipt));
            }
        }
        if member.is_leader() {
            for id in (1..=3).map(NodeId::new) {
                while let Some(envelope) = member.pull(self.now, id, &HundredBytes) {
                    self.network.push(envelope);
                }
            }
        }
    }

    /// Delivers all that is under way; answers come with the next call.
    fn deliver(&mut self) {
        let mut moving = core::mem::take(&mut self.moving);
        core::mem::swap(&mut moving, &mut self.network);
        for envelope in moving.drain(..) {
            let to = envelope.to;
            let place = self.members.iter().position(|m| m.id() == to).expect("a member");
            self.messages += 1;
            self.members[place].step(self.now, Input::Receive(envelope));
            self.drain(place);
        }
        self.moving = moving;
    }
}

/// Keeps `outstanding` proposals under way, proposed at most `batch_max` at a time.
fn run(name: &str, outstanding: u64, batch_max: u64) {
    let mut cluster = Cluster::new();
    let leader = cluster.elect();
    let start = std::time::Instant::now();
    let first = cluster.members[leader].commit();
    let messages = cluster.messages;
    let mut elapsed = Duration::ZERO;
    while elapsed < RUN {
        for _ in 0..1_000 {
            let member = &cluster.members[leader];
            let mut room = outstanding - member.last().index.since(member.commit());
            while 0 < room {
                let batch = room.min(batch_max);
                let proposed = cluster.members[leader].propose(cluster.now, batch);
                assert!(proposed.is_ok(), "the leader stays");
                room -= batch;
                // A caller that hands over single batches sends them singly too.
                if batch_max < outstanding {
                    cluster.drain(leader);
                }
            }
            cluster.drain(leader);
            cluster.deliver();
        }
        elapsed = start.elapsed();
        cluster.now = cluster.members[leader].deadline().min(Instant::new(elapsed));
        for place in 0..cluster.members.len() {
            cluster.members[place].step(cluster.now, Input::Timeout);
            cluster.drain(place);
        }
    }
    let seconds = elapsed.as_secs_f64();
    let committed = per_second(cluster.members[leader].commit().since(first), seconds);
    let messages = per_second(cluster.messages - messages, seconds);
    println!("{name:<42} {committed:>12} entries/s {messages:>12} messages/s");
}

fn per_second(count: u64, seconds: f64) -> String {
    let count = f64::from(u32::try_from(count / 1000).expect("below four million million"));
    format!("{:.2} M", count / 1e3 / seconds)
}

fn main() {
    run("1024 outstanding, batched as they come", 1024, 1024);
    run("1024 outstanding, batches of 256", 1024, 256);
    run("1024 outstanding, batches of 1", 1024, 1);
    run("1 outstanding", 1, 1);
}
