//! Whom a member asks for a snapshot, and what it takes.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{Identity, MemDisk, Options};
use quorate_raft::{Config, EntryId, Index, Instant, Membership, Message, NodeId, Term};
use quorate_replica::{
    Body, CheckPolicy, Command, PeerMessage, Replica, Setup, SnapshotChunk, SnapshotJob,
    SnapshotPolicy, StateMachine, WriteOut,
};

/// A machine that nothing is asked of.
struct Nothing;

impl StateMachine for Nothing {
    type Reply = ();

    fn apply(&mut self, _: &[Command], _: &mut Vec<()>) {}

    fn snapshot(&self) -> WriteOut {
        Box::new(|_| Ok(()))
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

fn entry(index: u64) -> EntryId {
    EntryId::new(Term::new(1), Index::new(index))
}

/// The first of three members, and what it says.
struct Follower {
    replica: Replica<MemDisk, Nothing>,
    now: Instant,
}

impl Follower {
    fn new() -> Self {
        let setup = Setup {
            identity: Identity { cluster: 7, member: 1 },
            raft: Config {
                id: node(1),
                election_timeout_min: SECOND,
                election_timeout_max: 2 * SECOND,
                heartbeat_interval: SECOND / 10,
                append_bytes_max: 1 << 20,
                append_entries_max: 1024,
                inflight_appends_max: 4,
                inflight_bytes_max: 1 << 20,
                lease: None,
                seed: 1,
            },
            log: Options::default(),
            snapshots: SnapshotPolicy::default(),
            checks: CheckPolicy::default(),
            bootstrap: Membership::of_voters((1..=3).map(node)).into(),
            origin: 1,
            proposals_max: 10,
            proposal_bytes_max: 1 << 20,
        };
        let now = Instant::default();
        let opened = Replica::open(setup, MemDisk::new(), Nothing, now);
        let (replica, _) = opened.expect("an empty disk opens");
        Self { replica, now }
    }

    /// Time passes and a message comes. Returns whom a snapshot is asked of, and whether one is
    /// begun.
    fn hear(&mut self, from: u64, term: u64, body: Body) -> (Vec<NodeId>, bool) {
        let (from, to, term) = (node(from), node(1), Term::new(term));
        self.replica.receive(self.now, PeerMessage { from, to, term, body });
        self.settle()
    }

    fn wait(&mut self, duration: Duration) -> (Vec<NodeId>, bool) {
        self.now = self.now.after(duration);
        self.settle()
    }

    fn settle(&mut self) -> (Vec<NodeId>, bool) {
        let (mut asked, mut begun) = (Vec::new(), false);
        loop {
            let effects = self.replica.effects(self.now).expect("the log can be read");
            let requests = effects.messages.iter();
            let requests = requests.filter(|m| matches!(m.body, Body::SnapshotRequest { .. }));
            asked.extend(requests.map(|message| message.to));
            let mut jobs = effects.snapshot_jobs.iter();
            begun |= jobs.any(|job| matches!(job, SnapshotJob::Begin { .. }));
            let Some(job) = effects.job else { return (asked, begun) };
            self.replica.synced(self.now, job.run().expect("this disk works"));
        }
    }
}

fn needs(index: u64) -> Body {
    Body::Raft(Message::InstallSnapshot { last: entry(index) })
}

fn part_of(index: u64) -> Body {
    let bytes = Bytes::from_static(&[0; 100]);
    let point = entry(index);
    Body::SnapshotChunk(SnapshotChunk { point, file_bytes: 4000, offset: 0, bytes })
}

/// The leader of term 1 had forgotten more of its log than that of term 2, and is gone: what it
/// said would be asked for in vain for ever.
#[test]
fn what_an_earlier_leader_said_is_needed_is_forgotten() {
    let mut follower = Follower::new();
    // Its term must be durable before a snapshot of it can be taken in.
    follower.hear(2, 1, needs(50));
    assert_eq!(follower.hear(2, 1, needs(50)), (vec![node(2)], false));
    follower.hear(3, 2, needs(40));
    assert_eq!(follower.hear(3, 2, needs(40)), (vec![], false), "the other is asked already");
    assert_eq!(follower.wait(SECOND), (vec![node(3)], false), "no answer came");
    assert_eq!(follower.hear(3, 2, part_of(45)), (vec![], true));
}

/// Somebody whose snapshot does not reach as far as is needed is not asked again and again at the
/// speed of the network.
#[test]
fn whoever_has_an_older_snapshot_is_not_asked_at_once_again() {
    let mut follower = Follower::new();
    follower.hear(2, 1, needs(50));
    assert_eq!(follower.hear(2, 1, needs(50)).0, [node(2)]);
    assert_eq!(follower.hear(2, 1, part_of(30)), (vec![], false));
    assert_eq!(follower.wait(SECOND).0, [node(3)], "the next one, after a while");
}
