//! What a replica must not start from.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{BlockBuilder, Disk, EntryKind, Identity, Log, MemDisk, Options};
use quorate_raft::{Config, HardState, Index, Instant, Membership, NodeId, Term};
use quorate_replica::{Command, OpenError, Replica, Setup, SnapshotPolicy, StateMachine, WriteOut};

/// A machine that nothing is asked of.
#[derive(Debug)]
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

const IDENTITY: Identity = Identity { cluster: 7, member: 1 };

fn options() -> Options {
    Options { segment_bytes: 4096, ..Options::default() }
}

fn setup() -> Setup {
    let id = NodeId::new(1);
    Setup {
        identity: IDENTITY,
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
        log: options(),
        snapshots: SnapshotPolicy::default(),
        bootstrap: Membership::of_voters([id]).into(),
        origin: 1,
        proposals_max: 10,
        proposal_bytes_max: 1 << 20,
    }
}

/// A disk with a log of several segments.
fn written() -> MemDisk {
    let disk = MemDisk::new();
    let (mut log, _) = Log::open(disk.clone(), IDENTITY, options()).expect("a new log");
    for index in 1..=20 {
        let mut builder = BlockBuilder::new();
        builder.push(EntryKind::Command, 1, index, &Bytes::from(vec![7; 1000]));
        let block = builder.finish(Index::new(index), Term::new(1));
        let hard_state = HardState { term: Term::new(1), vote: None };
        log.append((index == 1).then_some(hard_state), [&block]);
    }
    let job = log.begin_sync().expect("entries wait");
    log.finish_sync(job.run().expect("the disk works"));
    log.close().expect("the disk works");
    disk
}

/// A member that lost the beginning of its log would apply the rest to an empty state.
#[test]
fn a_log_without_its_beginning_is_refused() {
    let disk = written();
    let segments: Vec<String> =
        disk.list().expect("a list").into_iter().filter(|name| name.ends_with(".seg")).collect();
    assert!(3 <= segments.len(), "{segments:?}");
    let whole = Replica::open(setup(), disk.clone(), Nothing, Instant::default());
    drop(whole.expect("the log is whole"));
    let first = segments.iter().min().expect("there are some");
    disk.remove(first).expect("the disk works");
    let refused = Replica::open(setup(), disk, Nothing, Instant::default());
    let error = refused.expect_err("entries are missing");
    assert!(matches!(error, OpenError::Beginning { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("files are missing or damaged"), "{text}");
}
