//! Slow disks, slow networks and absent peers: nobody is deposed, waits or asks for ever on their
//! account. Here disks and messages take time, which in the stories and in the random runs they do
//! not.

mod rig;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_raft::{Input, Instant, Message, NodeId, Verdict};

use rig::{Cluster, Packet, node, term};

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A cluster in which messages and writes take their time.
struct Slow {
    cluster: Cluster,
    /// How long a message is under way.
    latency: Duration,
    /// How long a write takes, one after the other, by member.
    writes: BTreeMap<NodeId, Duration>,
    /// The messages under way, in the order of their arrival.
    arrivals: Vec<(Instant, Packet)>,
    /// When the oldest write of a member is durable.
    durable_at: BTreeMap<NodeId, Instant>,
}

impl Slow {
    fn new(cluster: Cluster, latency: Duration, write: Duration) -> Self {
        let writes = cluster.members.keys().map(|&id| (id, write)).collect();
        let (arrivals, durable_at) = (Vec::new(), BTreeMap::new());
        let mut slow = Self { cluster, latency, writes, arrivals, durable_at };
        slow.collect();
        slow
    }

    /// Takes what the members have just sent and begun to write.
    fn collect(&mut self) {
        let now = self.cluster.now;
        let arrival = now.after(self.latency);
        let sent = std::mem::take(&mut self.cluster.network);
        self.arrivals.extend(sent.into_iter().map(|packet| (arrival, packet)));
        for id in self.cluster.up() {
            if self.cluster.members[&id].queue.is_empty() {
                self.durable_at.remove(&id);
            } else {
                self.durable_at.entry(id).or_insert_with(|| now.after(self.writes[&id]));
            }
        }
    }

    /// What happens next, if that is before `end`.
    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.arrivals.first().map(|&(at, _)| at);
        let durable = self.durable_at.iter().map(|(&id, &at)| (at, id)).min();
        let deadline = self.cluster.next_deadline();
        let due = [arrival, durable.map(|(at, _)| at), deadline.map(|(at, _)| at)];
        let Some(next) = due.into_iter().flatten().min().filter(|&next| next < end) else {
            self.cluster.now = self.cluster.now.max(end);
            return false;
        };
        self.cluster.now = self.cluster.now.max(next);
        if let Some((_, id)) = durable.filter(|&(at, _)| at == next) {
            self.durable_at.remove(&id);
            self.cluster.persist(id, 1);
        } else if arrival == Some(next) {
            let (_, packet) = self.arrivals.remove(0);
            self.cluster.deliver(packet);
        } else if let Some((_, id)) = deadline {
            self.cluster.input(id, Input::Timeout);
        }
        self.collect();
        true
    }

    fn run(&mut self, duration: Duration) {
        let end = self.cluster.now.after(duration);
        while self.step(end) {}
    }

    /// How long it takes until there is a leader; `limit` if there is none.
    fn run_to_leader(&mut self, limit: Duration) -> Duration {
        let begin = self.cluster.now;
        let end = begin.after(limit);
        while self.cluster.leader().is_none() && self.step(end) {}
        self.cluster.now.since(begin)
    }
}

/// One of three is down, and the disk of the other follower stalls for almost two election
/// timeouts. It answers no append meanwhile, but it is there: the leader asks with heartbeats, and
/// is not deposed.
#[test]
fn a_follower_with_a_stalled_disk_deposes_no_leader() {
    for seed in 0..20 {
        let mut cluster = Cluster::tuned(3, seed, |config| config.inflight_appends_max = 1_000);
        cluster.elect(1);
        cluster.crash(node(3), 0);
        let term = cluster.raft(node(1)).term();
        let mut slow = Slow::new(cluster, ms(1), ms(1));
        slow.run(ms(500));
        slow.writes.insert(node(2), ms(1_900));
        for _ in 0..50 {
            assert!(slow.cluster.propose(node(1), 1), "seed {seed}: the leader was deposed");
            slow.collect();
            slow.run(ms(80));
        }
        assert_eq!(slow.cluster.raft(node(1)).term(), term);
    }
}

/// A single voter, each of whose writes takes longer than its patience, leads after the first.
#[test]
fn a_single_voter_with_a_slow_disk_leads() {
    for seed in 0..20 {
        let mut slow = Slow::new(Cluster::new(1, seed), ms(1), ms(1_500));
        assert!(slow.run_to_leader(ms(60_000)) <= ms(1_500), "seed {seed}");
        assert_eq!(slow.cluster.raft(node(1)).term().value(), 1);
    }
}

/// How long half of the elections of three fresh members take, and the slowest.
fn elections(latency: Duration, write: Duration) -> [Duration; 2] {
    let times = (0..100).map(|seed| {
        let mut slow = Slow::new(Cluster::new(3, seed), latency, write);
        slow.run_to_leader(ms(120_000))
    });
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    [times[times.len() / 2], times[times.len() - 1]]
}

/// Messages that take longer than the haste of the first election allows: the haste gives way
/// before it has cost more than the patience of plain Raft, which takes as long as is said here.
#[test]
fn haste_gives_way_to_a_slow_network() {
    for (latency, plain) in [(75, 1_500), (100, 1_600), (150, 1_800)] {
        let [median, slowest] = elections(ms(latency), ms(1));
        assert!(median < ms(plain), "{latency} ms: half of them took {median:?} or more");
        assert!(slowest < ms(5_000), "{latency} ms: the slowest took {slowest:?}");
    }
}

/// The same for writes: votes that wait for a disk are worth waiting for.
#[test]
fn haste_gives_way_to_slow_disks() {
    for (write, plain) in [(100, 1_400), (300, 1_800), (900, 12_000)] {
        let [median, slowest] = elections(ms(1), ms(write));
        assert!(median < ms(plain), "{write} ms: half of them took {median:?} or more");
        assert!(slowest < ms(30_000), "{write} ms: the slowest took {slowest:?}");
    }
}

/// A member that nobody answers asks less and less, at last once in an election timeout or so; an
/// answer, even a refusal, or a connection brings its haste back.
#[test]
fn a_member_without_peers_asks_seldom_until_it_is_connected() {
    let mut cluster = Cluster::new(3, 1);
    cluster.crash(node(2), 0);
    cluster.crash(node(3), 0);
    let end = cluster.now.after(ms(60_000));
    let mut asked = 0;
    while cluster.raft(node(1)).deadline() < end {
        cluster.time_out(node(1));
        asked += cluster.network.len();
        assert!(
            cluster
                .network
                .iter()
                .all(|packet| { matches!(packet.envelope.message, Message::PreVote { .. }) })
        );
        cluster.network.clear();
    }
    assert!((100..250).contains(&asked), "two peers were asked {asked} times in a minute");
    let (asked, granted) = (term(1), Verdict::Refused);
    cluster.forge(2, 1, 0, Message::PreVoteReply { asked, granted });
    cluster.time_out(node(1));
    let wait = cluster.raft(node(1)).deadline().since(cluster.now);
    assert!(wait <= ms(100), "answered, it waits {wait:?}");
    for _ in 0..10 {
        cluster.time_out(node(1));
    }
    cluster.input(node(1), Input::Connected(node(2)));
    for patience in [ms(25), ms(100)] {
        let wait = cluster.raft(node(1)).deadline().since(cluster.now);
        assert!(wait <= patience, "connected, it waits {wait:?}");
        cluster.time_out(node(1));
    }
}
