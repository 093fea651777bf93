//! What a follower says of its state, wherever in a block it is asked.

use std::io::{self, Read};
use std::time::Duration;

use quorate_log::{BlockBuilder, EntryKind, Identity, MemDisk, Options};
use quorate_raft::{Config, EntryId, Index, Instant, Membership, NodeId, Term};
use quorate_replica::{
    Append, Body, CheckPolicy, Command, PeerMessage, Replica, Setup, SnapshotPolicy, StateMachine,
    WriteOut,
};

/// Counts commands.
#[derive(Debug)]
struct Count(u64);

impl StateMachine for Count {
    type Reply = ();

    fn apply(&mut self, commands: &[Command], _: &mut Vec<()>) {
        self.0 += commands.len() as u64;
    }

    fn snapshot(&self) -> WriteOut {
        Box::new(|_| Ok(()))
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.0
    }
}

fn setup() -> Setup {
    let id = NodeId::new(1);
    Setup {
        identity: Identity { cluster: 7, member: 1 },
        raft: Config {
            id,
            election_timeout_min: Duration::from_millis(100),
            election_timeout_max: Duration::from_millis(200),
            heartbeat_interval: Duration::from_millis(20),
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
        bootstrap: Membership::of_voters([1, 2, 3].map(NodeId::new)).into(),
        origin: 1,
        proposals_max: 10,
        proposal_bytes_max: 1 << 20,
    }
}

/// A block of entries of these kinds, the first with index 1. A check asks for a comparison.
fn told(kinds: &[EntryKind]) -> Vec<(Index, u64)> {
    let now = Instant::default();
    let (mut replica, _) =
        Replica::open(setup(), MemDisk::new(), Count(0), now).expect("a new log");
    let mut builder = BlockBuilder::new();
    for (sequence, kind) in (1..).zip(kinds) {
        let body: &[u8] = if *kind == EntryKind::Check { &[1, 0] } else { b"x" };
        builder.push(*kind, 9, sequence, body);
    }
    let term = Term::new(1);
    let block = builder.finish(Index::new(1), term);
    let commit = block.last().index;
    let append = Append { previous: EntryId::ZERO, blocks: vec![block], commit };
    let (from, to, body) = (NodeId::new(2), NodeId::new(1), Body::Append(append));
    replica.receive(now, PeerMessage { from, to, term, body });
    let mut told = Vec::new();
    loop {
        let effects = replica.effects(now).expect("the log can be read");
        for message in effects.messages {
            if let Body::Digest { index, digest } = message.body {
                assert_eq!(message.to, from, "the leader is told");
                told.push((index, digest));
            }
        }
        let Some(job) = effects.job else { break };
        replica.synced(now, job.run().expect("the disk works"));
    }
    assert_eq!(replica.applied().index, commit);
    told
}

#[test]
fn the_digest_is_that_of_the_state_right_before_the_question() {
    use EntryKind::{Check, Command};
    assert_eq!(told(&[Command, Command, Check, Command]), [(Index::new(3), 2)]);
    assert_eq!(told(&[Command, Check]), [(Index::new(2), 1)]);
    let last = told(&[Command, Check, Command, Command, Check, Command]);
    assert_eq!(last, [(Index::new(5), 3)], "only the last question is answered");
    assert_eq!(told(&[Check, Command]), [], "a state without a digest is not compared");
}
