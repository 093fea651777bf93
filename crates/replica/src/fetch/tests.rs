//! Parts that come in any order, and what a snapshot brings beside the state.

use std::io::{self, Read};
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{Identity, MemDisk, Options};
use quorate_raft::{Config, Membership, Message, Term};

use super::*;
use crate::decided::Decided;
use crate::effects::Setup;
use crate::job::{SNAPSHOT_CHUNK_BYTES, SnapshotDone, write};
use crate::machine::{Command, Wants, WriteOut};
use crate::snapshots::SnapshotPolicy;
use crate::{CheckPolicy, Members};

const IDENTITY: Identity = Identity { cluster: 7, member: 1 };

/// A machine that nothing is asked of.
#[derive(Debug)]
struct Nothing;

impl StateMachine for Nothing {
    type Reply = ();

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<()>) {
        let waiting = commands.iter().filter(|command| command.wants == Wants::Reply);
        replies.extend(waiting.map(|_| ()));
    }

    fn snapshot(&self) -> WriteOut {
        Box::new(|_| Ok(()))
    }

    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

fn members(ids: &[u64]) -> Members {
    Membership::of_voters(ids.iter().copied().map(NodeId::new)).into()
}

fn setup(bootstrap: Members) -> Setup {
    Setup {
        identity: IDENTITY,
        raft: Config {
            id: NodeId::new(1),
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
        log: Options { segment_bytes: 4096, ..Options::default() },
        snapshots: SnapshotPolicy::default(),
        checks: CheckPolicy::default(),
        bootstrap,
        origin: 1,
        proposals_max: 10,
        proposal_bytes_max: 1 << 20,
    }
}

/// What the disk has to do is done.
fn settle(replica: &mut Replica<MemDisk, Nothing>, now: Instant) {
    while let Some(job) = replica.effects(now).expect("the log can be read").job {
        replica.synced(now, job.run().expect("the disk works"));
    }
}

/// The next snapshot of this member says what that one did: the members, and how far everybody's
/// proposals are applied. Who takes it in would send again what is in it otherwise.
#[test]
fn a_snapshot_taken_in_brings_all_that_stands_beside_the_state() {
    let now = Instant::default();
    let opened = Replica::open(setup(members(&[1, 2])), MemDisk::new(), Nothing, now);
    let (mut replica, _) = opened.expect("a new member");
    let heartbeat = Message::Heartbeat { commit: Index::ZERO, round: 0, sent_at: now };
    let (from, to) = (NodeId::new(2), NodeId::new(1));
    let body = Body::Raft(heartbeat);
    replica.receive(now, PeerMessage { from, to, term: Term::new(5), body });
    settle(&mut replica, now);
    replica.decided.note(8, 1, Index::new(1));

    let mut decided = Decided { forgotten: Index::new(2), ..Decided::default() };
    decided.note(9, 4, Index::new(7));
    let meta = Meta { membership: (Index::new(6), members(&[1, 2, 3])), decided };
    let point = EntryId::new(Term::new(5), Index::new(10));
    let body: WriteOut = Box::new(|_| Ok(()));
    let file = write(&MemDisk::new(), IDENTITY, point, &meta.encode(), body);
    replica.on_received(now, Ok(file.expect("the disk works")));

    assert_eq!(replica.applied, point);
    assert_eq!(replica.decided, meta.decided);
    assert_eq!(replica.membership, meta.membership);
    assert_eq!(replica.raft.membership(), &meta.membership.1.membership);
    assert_eq!(replica.raft.last(), point);
}

/// A follower in term 5 that was told to get a snapshot.
fn wanting(now: Instant) -> Replica<MemDisk, Nothing> {
    let opened = Replica::open(setup(members(&[1, 2])), MemDisk::new(), Nothing, now);
    let (mut replica, _) = opened.expect("a new member");
    let last = EntryId::new(Term::new(5), Index::new(10));
    let (from, to, term) = (NodeId::new(2), NodeId::new(1), Term::new(5));
    for _ in 0..2 {
        // The first time its term is not durable yet.
        let body = Body::Raft(Message::InstallSnapshot { last });
        replica.receive(now, PeerMessage { from, to, term, body });
        settle(&mut replica, now);
    }
    assert!(replica.snapshots.fetch.is_some(), "it asks");
    replica
}

/// A snapshot of three parts and a bit.
fn large(index: u64) -> SnapshotFile<MemDisk> {
    let meta = Meta { membership: (Index::ZERO, members(&[1, 2])), decided: Decided::default() };
    let point = EntryId::new(Term::new(5), Index::new(index));
    let body: WriteOut = Box::new(move |out| out.write_all(&vec![0; 3 * SNAPSHOT_CHUNK_BYTES + 7]));
    write(&MemDisk::new(), IDENTITY, point, &meta.encode(), body).expect("the disk works")
}

/// A part arrives, and what is to be done about it is done. What went wrong.
fn bring(
    replica: &mut Replica<MemDisk, Nothing>,
    now: Instant,
    file: &SnapshotFile<MemDisk>,
    offset: u64,
) -> Vec<Note> {
    let mut buffer = vec![0; SNAPSHOT_CHUNK_BYTES];
    let count = file.read_raw(offset, &mut buffer).expect("the disk works");
    let bytes = Bytes::copy_from_slice(&buffer[..count]);
    let (point, file_bytes) = (file.point(), file.file_bytes());
    let chunk = SnapshotChunk { point, file_bytes, offset, bytes };
    replica.on_snapshot_chunk(NodeId::new(2), chunk);
    let mut notes = Vec::new();
    loop {
        let effects = replica.effects(now).expect("the log can be read");
        notes.extend(effects.notes.into_iter().filter(Note::is_warning));
        if effects.snapshot_jobs.is_empty() {
            return notes;
        }
        for job in effects.snapshot_jobs {
            replica.snapshot_done(now, job.run());
        }
    }
}

fn received(replica: &Replica<MemDisk, Nothing>) -> Option<u64> {
    match replica.snapshots.fetch.as_ref()?.state {
        State::Receiving(ref part) => Some(part.received()),
        State::Asking | State::Busy => None,
    }
}

/// Parts that come twice, too early or too late are not put where they do not belong.
#[test]
fn parts_are_put_together_in_order_whatever_comes() {
    let now = Instant::default();
    let (mut replica, file) = (wanting(now), large(10));
    let mut wrong = bring(&mut replica, now, &file, 0);
    let step = u64::try_from(SNAPSHOT_CHUNK_BYTES).expect("small");
    while let Some(next) = received(&replica) {
        wrong.extend(bring(&mut replica, now, &file, next + step));
        wrong.extend(bring(&mut replica, now, &file, next));
        if received(&replica).is_some() {
            wrong.extend(bring(&mut replica, now, &file, next));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(replica.applied, file.point());
}

/// The sender has a newer snapshot by now, as long as the one before: it is received from its
/// beginning.
#[test]
fn parts_of_two_snapshots_are_not_put_together() {
    let now = Instant::default();
    let (mut replica, before, file) = (wanting(now), large(10), large(11));
    let mut wrong = bring(&mut replica, now, &before, 0);
    wrong.extend(bring(&mut replica, now, &before, 0));
    let mut next = received(&replica).expect("more is to come");
    assert!(0 < next, "some of it is here");
    for _ in 0..10 {
        wrong.extend(bring(&mut replica, now, &file, next));
        let Some(wanted) = received(&replica) else { break };
        next = wanted;
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(replica.applied, file.point());
}

/// A membership counts for snapshots once it is applied, and for the core as soon as it is in the
/// log, over a restart too.
#[test]
fn a_membership_outlives_a_restart_and_is_in_the_next_snapshot() {
    let disk = MemDisk::new();
    let opened = Replica::open(setup(members(&[1])), disk.clone(), Nothing, Instant::default());
    let (mut replica, _) = opened.expect("a new member");
    let now = Instant::default().after(Duration::from_secs(1));
    replica.timeout(now);
    settle(&mut replica, now);
    let target = quorate_raft::Target {
        voters: [NodeId::new(1)].into(),
        learners: [NodeId::new(2)].into(),
        expected: None,
    };
    let proposed = replica.raft.change_membership(now, &target).expect("it leads");
    replica.drain();
    assert_eq!(replica.membership, (Index::ZERO, members(&[1])), "it is not committed");
    settle(&mut replica, now);
    let expected = Membership { learners: target.learners, ..members(&[1]).membership };
    assert_eq!(replica.membership, (proposed.first.index, expected.clone().into()));
    replica.into_log().close().expect("the disk works");
    let opened = Replica::open(setup(members(&[1])), disk, Nothing, now);
    let (replica, _) = opened.expect("what is there opens");
    assert_eq!(replica.raft.commit(), Index::ZERO, "it does not know that it is committed");
    assert_eq!(replica.raft.membership(), &expected);
}

/// The log was quicker than a snapshot that was on its way: the state goes on from where it is.
#[test]
fn an_older_snapshot_that_arrives_late_changes_nothing() {
    let opened = Replica::open(setup(members(&[1])), MemDisk::new(), Nothing, Instant::default());
    let (mut replica, _) = opened.expect("a new member");
    let now = Instant::default().after(Duration::from_secs(1));
    replica.timeout(now);
    settle(&mut replica, now);
    replica.propose(now, [Bytes::from("a"), Bytes::from("b"), Bytes::from("c")]).expect("room");
    settle(&mut replica, now);
    let applied = replica.applied;
    assert_eq!(applied.index, Index::new(4));

    let meta = Meta { membership: (Index::ZERO, members(&[1, 2])), decided: Decided::default() };
    let point = EntryId::new(applied.term, Index::new(2));
    let body: WriteOut = Box::new(|_| Ok(()));
    let file = write(&MemDisk::new(), IDENTITY, point, &meta.encode(), body);
    replica.on_received(now, Ok(file.expect("the disk works")));
    assert_eq!(replica.applied, applied);
    assert_eq!(replica.membership, (Index::ZERO, members(&[1])));
    assert_eq!(replica.snapshots.point(), EntryId::ZERO, "nor is it the newest here");
}

/// The log still needs what it replaces, until that it begins anew is on the disk.
#[test]
fn nothing_is_forgotten_before_the_new_beginning_is_durable() {
    let now = Instant::default();
    let (mut replica, file) = (wanting(now), large(10));
    let point = file.point();
    replica.on_received(now, Ok(file));
    assert_eq!(replica.raft.last(), point);
    // As when a snapshot of this member's own is written at that moment.
    replica.compact(point.index);
    settle(&mut replica, now);
    assert!(replica.reset.is_none(), "it is durable now");
    assert_eq!(replica.log.base(), point);
    settle(&mut replica, now);
    assert!(!replica.log.has_leftovers(), "what it replaced is gone");
}

/// A snapshot of this member's own was being written when a newer one came: it is not the newest.
#[test]
fn an_own_snapshot_that_is_done_late_takes_no_place() {
    let now = Instant::default();
    let (mut replica, newer) = (wanting(now), large(10));
    let point = newer.point();
    replica.snapshots.writing = Some(Index::new(4));
    replica.on_received(now, Ok(newer));
    settle(&mut replica, now);
    replica.snapshot_done(now, SnapshotDone::Written(Ok(large(4))));
    assert_eq!(replica.snapshot_point(), point);
    assert!(replica.snapshots.writing.is_none(), "the next may be taken");
}
