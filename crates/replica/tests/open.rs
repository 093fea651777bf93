//! What a replica must not start from.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{BlockBuilder, Disk, EntryKind, Identity, Log, MemDisk, Options};
use quorate_raft::{
    Config, EntryId, HardState, Index, Instant, Membership, NodeId, Standing, Term,
};
use quorate_replica::{
    CheckPolicy, Command, Note, OpenError, Replica, Setup, SnapshotPolicy, StateMachine, WriteOut,
    bootstrap,
};

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
        checks: CheckPolicy::default(),
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

/// The disk of a member that begins with a snapshot.
fn snapshotted(point: EntryId, membership: Membership) -> MemDisk {
    let disk = MemDisk::new();
    let body: WriteOut = Box::new(|_| Ok(()));
    bootstrap(&disk, IDENTITY, options(), membership.into(), point, body).expect("the disk works");
    disk
}

fn alone() -> Membership {
    Membership::of_voters([NodeId::new(1)])
}

/// A member was stopped after a snapshot was received, and before the log said so: the snapshot
/// counts. Its log ends before the snapshot does, or has another entry in the place of its last.
#[test]
fn a_log_that_does_not_lead_to_the_snapshot_goes_on_after_it() {
    for (term, index) in [(1, 30), (2, 30), (2, 20), (2, 10)] {
        let point = EntryId::new(Term::new(term), Index::new(index));
        let disk = written();
        let from = snapshotted(point, alone());
        let (name, _) = from.files().into_iter().find(|(name, _)| name.ends_with(".snap")).unwrap();
        disk.set_content(&name, from.content(&name).expect("it is there"));
        for round in 0..2 {
            let opened = Replica::open(setup(), disk.clone(), Nothing, Instant::default());
            let (replica, _) = opened.expect("the snapshot is sound");
            let status = replica.status();
            let expected = (point, point, point.index, point.term);
            let found = (status.base, status.last, status.commit, status.term);
            assert_eq!(found, expected, "start {round} with {point}");
            assert_eq!(replica.applied(), point);
            assert_eq!(replica.log().base(), point);
            replica.into_log().close().expect("the disk works");
        }
    }
}

/// A log that has the last entry of the snapshot keeps what follows.
#[test]
fn a_log_that_leads_beyond_the_snapshot_stays() {
    let point = EntryId::new(Term::new(1), Index::new(10));
    let disk = written();
    let from = snapshotted(point, alone());
    let (name, _) = from.files().into_iter().find(|(name, _)| name.ends_with(".snap")).unwrap();
    disk.set_content(&name, from.content(&name).expect("it is there"));
    let opened = Replica::open(setup(), disk, Nothing, Instant::default());
    let (replica, _) = opened.expect("the snapshot is sound");
    let status = replica.status();
    assert_eq!((status.last.index, status.commit), (Index::new(20), point.index));
    assert_eq!(replica.applied(), point);
}

/// Who the members are is for the snapshot to say, not for the settings of the first start.
#[test]
fn the_members_are_those_of_the_snapshot() {
    let point = EntryId::new(Term::new(1), Index::new(10));
    let mut others = alone();
    others.incoming.insert(NodeId::new(2));
    let opened =
        Replica::open(setup(), snapshotted(point, others.clone()), Nothing, Instant::default());
    let (replica, _) = opened.expect("the snapshot is sound");
    assert_eq!(replica.raft().membership(), &others);
    assert_eq!(replica.status().standing, Standing::Voter);
}

/// A machine that no snapshot brings back, and that would notice what it is told without it.
#[derive(Debug)]
struct Lost;

impl StateMachine for Lost {
    type Reply = ();

    fn apply(&mut self, commands: &[Command], _: &mut Vec<()>) {
        panic!("{} commands for a state that is not there", commands.len());
    }

    fn snapshot(&self) -> WriteOut {
        panic!("a snapshot of a state that is not there")
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::InvalidData, "damaged"))
    }
}

/// The state is damaged and what it was made of is forgotten: the member votes, leads and commits,
/// but neither applies to the state that it lacks, nor takes that for one to keep.
#[test]
fn nothing_is_done_with_a_state_that_is_not_there() {
    let point = EntryId::new(Term::new(1), Index::new(10));
    let disk = snapshotted(point, alone());
    let setup = Setup { snapshots: SnapshotPolicy { log_bytes: 0, trailing_bytes: 0 }, ..setup() };
    let opened = Replica::open(setup, disk, Lost, Instant::default());
    let (mut replica, notes) = opened.expect("the log is sound");
    let is_missing = |note: &Note| matches!(note, Note::StateMissing { base } if *base == point);
    assert!(notes.iter().any(is_missing), "{notes:?}");
    let now = Instant::default().after(Duration::from_secs(1));
    replica.timeout(now);
    for _ in 0..10 {
        let effects = replica.effects(now).expect("the log can be read");
        assert!(effects.snapshot_jobs.is_empty(), "{:?}", effects.snapshot_jobs);
        replica.take_snapshot();
        if let Some(job) = effects.job {
            replica.synced(now, job.run().expect("the disk works"));
        }
    }
    let status = replica.status();
    assert!(point.index < status.commit, "it leads: {status:?}");
    assert_eq!(replica.applied(), EntryId::ZERO);
}
