//! Full disks, failed writes and failed syncs.

use std::io;

use quorate_log::{
    Choices, CloseError, Disk, Fault, Log, MemDisk, OpenError, OperationKind, Options, ReadError,
    Room, SyncFailure, SyncJob,
};
use quorate_raft::{EntryId, Index};

use crate::model::{Held, IDENTITY, SMALL, block, open, state, sync};

/// Runs a job that must find the disk full.
fn expect_full(job: SyncJob<MemDisk>) -> SyncJob<MemDisk> {
    match job.run() {
        Err(SyncFailure::Full { job, file, error: _ }) => {
            assert!(file.starts_with("memory/log-"), "{file}");
            *job
        }
        Err(failure @ SyncFailure::Failed { .. }) => panic!("{failure}"),
        Ok(_) => panic!("the disk is not full"),
    }
}

#[test]
fn a_full_disk_is_noticed_before_it_is_used_up() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    assert_eq!(log.room(), Room::Enough);
    disk.limit_space(Some(3000));
    let mut index = 1;
    while log.room() == Room::Enough {
        log.append(None, &[block(index, 1, 1, 100, index)]);
        assert!(sync(&mut log), "proposals that were taken are written");
        index += 1;
        assert!(index < 100, "it never became full");
    }
    assert!(index > 10);
    // What is left serves a vote.
    log.append(Some(state(2, 3)), &[]);
    assert!(sync(&mut log), "there is a reserve");
    assert_eq!(log.room(), Room::Full);
    // Reads go on, and so does the next process.
    let held = Held::of(&log, u64::MAX);
    drop(log);
    let (mut log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.hard_state, state(2, 3));
    assert_eq!(Held::of(&log, u64::MAX), held);
    assert_eq!(log.room(), Room::Full);
    // Nothing waits; trying again does not help until there is space.
    let job = log.begin_allocate().unwrap();
    assert!(log.begin_allocate().is_none(), "a job is out");
    log.finish_sync(job.run().unwrap());
    assert_eq!(log.room(), Room::Full);
    disk.limit_space(None);
    let job = log.begin_allocate().unwrap();
    log.finish_sync(job.run().unwrap());
    assert_eq!(log.room(), Room::Enough);
    assert!(log.begin_allocate().is_none());
}

/// What was appended since the last job has taken its part of what is left.
#[test]
fn what_waits_is_counted_before_it_is_written() {
    let mut counted = 0;
    for synced in 0.. {
        let disk = MemDisk::new();
        let (mut log, _) = open(&disk).unwrap();
        disk.limit_space(Some(0));
        for index in 1..=synced {
            log.append(None, &[block(index, 1, 1, 20, index)]);
            assert!(sync(&mut log), "proposals that were taken are written");
        }
        if log.room() == Room::Full {
            break;
        }
        let first = synced + 1;
        let mut index = first;
        while log.room() == Room::Enough && index < first + 30 {
            log.append(None, &[block(index, 1, 1, 20, index)]);
            index += 1;
        }
        if log.room() == Room::Full {
            counted += 1;
            assert!(sync(&mut log), "nothing was taken after the reserve was reached");
            assert_eq!(log.room(), Room::Full);
        }
    }
    assert!(counted > 1, "it was full {counted} times before anything was written");
}

#[test]
fn a_job_that_finds_the_disk_full_runs_again() {
    for space in (0..6000).step_by(97) {
        let disk = MemDisk::new();
        let (mut log, _) = open(&disk).unwrap();
        disk.limit_space(Some(space));
        // Over three segments.
        log.append(Some(state(1, 1)), &[block(1, 1, 2, 900, 1), block(3, 1, 1, 1500, 2)]);
        log.append(None, &[block(4, 1, 2, 700, 3)]);
        let job = log.begin_sync().unwrap();
        let job = match job.run() {
            Ok(synced) => {
                log.finish_sync(synced);
                continue;
            }
            Err(SyncFailure::Full { job, .. }) => *job,
            Err(failure @ SyncFailure::Failed { .. }) => panic!("{failure}"),
        };
        assert_eq!(log.room(), Room::Full);
        let durable = log.durable();
        // What comes meanwhile waits for the next job, and may replace what is on its way.
        log.append(Some(state(2, 0)), &[block(4, 2, 1, 30, 4)]);
        assert!(log.begin_sync().is_none());
        let job = expect_full(job);
        // A crash now loses all of it or a part; nothing was acknowledged.
        let crashed = disk.crash(&mut Choices::seeded(space));
        let (early, _) = open(&crashed).unwrap();
        assert!(early.last().index <= Index::new(5));
        assert_eq!(log.durable(), durable);
        disk.limit_space(None);
        log.finish_sync(job.run().unwrap());
        assert!(log.durable() > durable);
        assert_eq!(log.room(), Room::Enough);
        assert!(sync(&mut log));
        let held = Held::of(&log, u64::MAX);
        let (log, _) = open(&disk.crash(&mut Choices::first())).unwrap();
        assert_eq!(Held::of(&log, u64::MAX), held);
    }
}

#[test]
fn a_quota_is_a_full_disk_too() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(None, &[block(1, 1, 1, 8, 1)]);
    disk.fail(OperationKind::Write, 0, Fault::Quota);
    let job = log.begin_sync().unwrap();
    let job = expect_full(job);
    log.finish_sync(job.run().unwrap());
    assert_eq!(log.durable(), log.appended());
}

#[test]
fn no_failure_of_a_write_or_sync_is_outlived() {
    use OperationKind::{Allocate, Create, SyncData, SyncDir, Write};
    for kind in [Write, SyncData, Allocate, Create, SyncDir] {
        for skip in 0.. {
            let disk = MemDisk::new();
            let (mut log, _) = open(&disk).unwrap();
            disk.fail(kind, skip, Fault::Io);
            log.append(Some(state(1, 1)), &[block(1, 1, 2, 900, 1), block(3, 1, 1, 900, 2)]);
            let job = log.begin_sync().unwrap();
            let failure = match job.run() {
                Ok(synced) => {
                    log.finish_sync(synced);
                    assert!(skip > 0, "a job needs {kind:?}");
                    break;
                }
                Err(failure) => failure,
            };
            assert!(matches!(failure, SyncFailure::Failed { .. }), "{kind:?} {skip}");
            assert!(log.is_stopped());
            // The disk is sound again; the log takes part in nothing any more all the same.
            log.append(None, &[block(1, 2, 1, 8, 3)]);
            assert!(log.begin_sync().is_none());
            assert!(log.begin_allocate().is_none());
            let read = log.read(Index::new(1), Index::new(2), 0);
            assert!(matches!(read, Err(ReadError::Stopped)));
            assert!(matches!(log.close(), Err(CloseError::Stopped)));
        }
    }
}

#[test]
fn a_sync_that_says_full_is_not_run_again() {
    // Some file systems find out only then. What they wrote by then is unknown.
    for kind in [OperationKind::SyncData, OperationKind::SyncDir] {
        let disk = MemDisk::new();
        let (mut log, _) = open(&disk).unwrap();
        log.append(None, &[block(1, 1, 3, 900, 1), block(4, 1, 1, 900, 1)]);
        disk.fail(kind, 0, Fault::Full);
        let failure = log.begin_sync().unwrap().run().unwrap_err();
        assert!(matches!(failure, SyncFailure::Failed { .. }), "{failure}");
    }
}

#[test]
fn a_read_error_is_told_and_passes() {
    let (mut log, disk) = {
        let disk = MemDisk::new();
        let options = Options { cache_bytes: 0, ..SMALL };
        (Log::open(disk.clone(), IDENTITY, options).unwrap().0, disk)
    };
    log.append(None, &[block(1, 1, 1, 8, 1)]);
    assert!(sync(&mut log));
    disk.fail(OperationKind::Read, 0, Fault::Io);
    let read = |log: &Log<MemDisk>| log.read(Index::new(1), Index::new(2), 0);
    let error = read(&log).unwrap_err();
    assert!(matches!(error, ReadError::Io { .. }), "{error}");
    assert_eq!(read(&log).unwrap()[0], block(1, 1, 1, 8, 1));
}

#[test]
fn creation_on_a_failing_disk_can_be_tried_again() {
    let whole = MemDisk::new();
    drop(open(&whole).unwrap());
    for (at, operation) in whole.operations().iter().enumerate() {
        for fault in [Fault::Io, Fault::Full] {
            let earlier = &whole.operations()[..at];
            let skip = earlier.iter().filter(|before| before.kind == operation.kind).count();
            let disk = MemDisk::new();
            disk.fail(operation.kind, u64::try_from(skip).unwrap(), fault);
            match open(&disk) {
                // Of a full disk no more is needed than there is.
                Ok(_) => assert_eq!(fault, Fault::Full, "{operation:?}"),
                Err(OpenError::Io { .. } | OpenError::Full { .. }) => {}
                Err(error) => panic!("{operation:?}: {error}"),
            }
            let (log, _) = open(&disk).unwrap();
            assert_eq!(log.last(), EntryId::ZERO);
        }
    }
}

#[test]
fn closing_waits_for_its_job() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(None, &[block(1, 1, 1, 8, 1)]);
    let job = log.begin_sync();
    assert!(matches!(log.close(), Err(CloseError::JobUnderWay)));
    // As long as the job may write, nobody else may.
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(job);
    let (mut log, _) = open(&disk).unwrap();
    disk.fail(OperationKind::SyncData, 0, Fault::Io);
    log.append(None, &[block(1, 1, 1, 8, 1)]);
    assert!(matches!(log.close(), Err(CloseError::Io { .. })));
    assert_eq!(disk.lock().map(drop).map_err(|error: io::Error| error.kind()), Ok(()));
}
