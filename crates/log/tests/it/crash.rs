//! The log survives a crash at every operation on the disk, whatever the crash leaves.
//!
//! The history of a log is a list of changes, one record each. After a crash it must hold the
//! result of a prefix of them that contains everything reported durable, and go on working.

use crate::model::{
    Change, Held, History, IDENTITY, Step, block, open, run, state, sync, workload,
};
use quorate_log::{Choices, EntryKind, Fault, Log, MemDisk, OperationKind, Options, Recovered};
use quorate_raft::Index;

const SEEDS: u64 = 48;

#[test]
fn every_crash_point_recovers_to_a_prefix() {
    let crashes = crash_everywhere(&workload(), 1024);
    assert!(crashes > 1500, "only {crashes} crashes were tried out");
}

/// Runs steps once for each operation on the disk, up to there, and lets the log recover from what
/// a crash leaves: in every way if there are no more than `ways_max`, else in some. Says how many
/// crashes that were.
pub fn crash_everywhere(steps: &[Step], ways_max: u64) -> u64 {
    let disk = MemDisk::new();
    let history = run(&disk, steps);
    assert!(history.acknowledged > 10, "the workload runs to its end");
    let operations = disk.operations().len();
    let mut crashes = 0;
    for cut in 0..=operations {
        let disk = MemDisk::new();
        disk.cut_power_after(u64::try_from(cut).unwrap());
        let history = run(&disk, steps);
        crashes += crash_in_many_ways(&disk, cut, ways_max, |crashed, seed| {
            check_recovery(crashed, &history, seed);
        });
    }
    crashes
}

#[test]
fn every_crash_point_of_a_recovery_recovers() {
    crash_recovery_everywhere(&workload(), 5);
}

/// As [`crash_everywhere`] in some ways, and lets each recovery crash at each operation, too.
pub fn crash_recovery_everywhere(steps: &[Step], seeds: u64) {
    let disk = MemDisk::new();
    run(&disk, steps);
    let operations = disk.operations().len();
    for cut in 0..=operations {
        let disk = MemDisk::new();
        disk.cut_power_after(u64::try_from(cut).unwrap());
        let history = run(&disk, steps);
        for seed in 0..seeds {
            let seed = seed + seeds * u64::try_from(cut).unwrap();
            for second_cut in 0.. {
                let crashed = disk.crash(&mut Choices::seeded(seed));
                crashed.cut_power_after(second_cut);
                let is_open = open(&crashed).is_ok();
                let again = crashed.crash(&mut Choices::seeded(seed ^ second_cut));
                check_recovery(&again, &history, seed);
                if is_open {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_dropped_tail_never_comes_back() {
    // Two records in one write; the sector of the first is lost, the second arrives. What is then
    // written in the place of the first has its length, so the second lies where the next record
    // would, sound, and at its place.
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(Some(state(1, 1)), &[]);
    assert!(sync(&mut log));
    log.append(None, &[block(1, 1, 1, 500, 1), block(2, 1, 1, 500, 2)]);
    disk.fail(OperationKind::SyncData, 0, Fault::Power);
    let job = log.begin_sync().unwrap();
    assert!(job.run().is_err(), "the power fails after the write");
    drop(log);

    let mut choices = Choices::first();
    let mut dropped = 0;
    loop {
        let crashed = disk.crash(&mut choices);
        let (mut log, recovered) = open(&crashed).unwrap();
        if log.last().index == Index::ZERO {
            if !recovered.notes.is_empty() {
                dropped += 1;
            }
            // The record of the opening is 64 bytes long; make up for it.
            log.append(None, &[block(1, 1, 1, 500 - 64, 3)]);
            assert!(sync(&mut log));
            let last = log.last();
            drop(log);
            let (log, _) = open(&crashed.crash(&mut Choices::first())).unwrap();
            assert_eq!(log.last(), last, "an entry of the dropped write came back");
            let entry = log.read(Index::new(1), Index::new(2), 0).unwrap()[0].entries().next();
            assert_eq!(entry.unwrap().origin, 3, "an entry of the dropped write came back");
        }
        if !choices.advance() {
            break;
        }
    }
    assert!(dropped > 1, "the write was torn in {dropped} ways");
}

#[test]
fn a_dropped_tail_never_comes_back_behind_a_large_write() {
    // As above, but too large for the zeros behind the record of the opening to wipe the second.
    let options = Options { segment_bytes: 1 << 20, ..Options::default() };
    let open = |disk: &MemDisk| Log::open(disk.clone(), IDENTITY, options).unwrap();
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk);
    log.append(None, &[block(1, 1, 1, 300_000, 1), block(2, 1, 1, 100, 2)]);
    disk.fail(OperationKind::SyncData, 0, Fault::Power);
    assert!(!sync(&mut log));
    drop(log);
    let mut dropped = 0;
    for seed in 0..15 {
        let crashed = disk.crash(&mut Choices::seeded(seed));
        let (mut log, recovered) = open(&crashed);
        assert_eq!(log.last().index, Index::ZERO, "600 sectors never arrive all");
        dropped += recovered.notes.len();
        log.append(None, &[block(1, 1, 1, 300_000 - 64, 3)]);
        assert!(sync(&mut log));
        drop(log);
        let (log, _) = open(&crashed.crash(&mut Choices::first()));
        assert_eq!(log.last().index, Index::new(1), "seed {seed}: an entry came back");
    }
    assert!(dropped > 5, "the write was torn in {dropped} ways");
}

#[test]
fn a_dropped_segment_never_comes_back() {
    // The first record of a write is lost, the segment begun after it arrives. Then other records
    // end just where that segment claims to continue.
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(None, &[block(1, 1, 1, 500, 1), block(2, 1, 1, 1500, 2)]);
    disk.fail(OperationKind::SyncData, 0, Fault::Power);
    assert!(!sync(&mut log));
    drop(log);
    let mut dropped = 0;
    for seed in 0..200 {
        let crashed = disk.crash(&mut Choices::seeded(seed));
        let (mut log, _) = open(&crashed).unwrap();
        let second = crashed.content("log-0000000000000002.seg").unwrap_or_default();
        if log.last().index > Index::ZERO || second.iter().all(|&byte| byte == 0) {
            continue;
        }
        dropped += 1;
        log.append(None, &[block(1, 2, 1, 500 - 64, 3)]);
        assert!(sync(&mut log));
        let last = log.last();
        drop(log);
        let (log, _) = open(&crashed.crash(&mut Choices::first())).unwrap();
        assert_eq!(log.last(), last, "seed {seed}: an entry came back");
    }
    assert!(dropped > 10, "the segment was dropped in {dropped} ways");
}

#[test]
fn a_failed_sync_is_not_forgotten_by_the_next_process() {
    // The system forgets that the pages are dirty, but still shows them. The process stops; the
    // next one reads them, and must not take them for durable.
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(Some(state(1, 1)), &[block(1, 1, 2, 300, 1)]);
    disk.fail(OperationKind::SyncData, 0, Fault::Io);
    assert!(!sync(&mut log));
    assert!(log.is_stopped());
    drop(log);
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.hard_state, state(1, 1), "the page cache shows it");
    let held = Held::of(&log, u64::MAX);
    let (log, _) = open(&disk.crash(&mut Choices::first())).unwrap();
    assert_eq!(Held::of(&log, u64::MAX), held, "what an open log showed was not durable");
}

/// Lets `check` see the disk after crashes of all kinds at this moment.
fn crash_in_many_ways(
    disk: &MemDisk,
    cut: usize,
    ways_max: u64,
    mut check: impl FnMut(&MemDisk, u64),
) -> u64 {
    let base = u64::try_from(cut).unwrap() * 1000;
    let mut crashes = 0;
    if disk.crash_ways() <= ways_max {
        let mut choices = Choices::first();
        loop {
            check(&disk.crash(&mut choices), base + crashes);
            crashes += 1;
            if !choices.advance() {
                return crashes;
            }
        }
    }
    check(&disk.crash(&mut Choices::first()), base);
    check(&disk.crash(&mut Choices::last()), base);
    for seed in 0..SEEDS {
        check(&disk.crash(&mut Choices::seeded(base + seed)), base + seed);
    }
    SEEDS + 2
}

/// Opens a crashed disk; checks what is there; goes on; crashes again and checks that.
fn check_recovery(crashed: &MemDisk, history: &History, seed: u64) {
    let (mut log, recovered) = open(crashed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let held = Held::of(&log, 700);
    let mut model = Held::after(&history.changes[..history.acknowledged]);
    let mut rest = history.changes[history.acknowledged..].iter();
    assert!(held.base.index <= history.covered, "seed {seed}: entries are in no snapshot");
    while model.begun_after(held.base).as_ref() != Some(&held) {
        let Some(change) = rest.next() else {
            panic!("seed {seed}: no prefix with all acknowledged changes, but {held:?}");
        };
        model.apply(change);
    }
    model = held.clone();
    assert_eq!(recovered.hard_state, held.hard_state);
    check_recovered(&recovered, &held);

    // An open log is durable as it stands.
    let (again, _) = open(&crashed.crash(&mut Choices::first())).unwrap();
    assert_eq!(Held::of(&again, u64::MAX), held, "seed {seed}: not durable after opening");

    // It goes on where it stands, over a torn write of its own, too.
    let next = log.last().index.value() + 1;
    let term = held.hard_state.term.value().max(log.last().term.value()) + 1;
    let mut changes =
        vec![Change::State(state(term, 2)), Change::Entries(block(next, term, 2, 90, 77))];
    crate::model::append(&mut log, &changes);
    assert!(sync(&mut log));
    for change in &changes {
        model.apply(change);
    }
    assert_eq!(Held::of(&log, 64), model, "seed {seed}: wrong after going on");
    changes = vec![Change::Entries(block(next + 1, term, 1, 700, 78))];
    crate::model::append(&mut log, &changes);
    crashed.fail(OperationKind::SyncData, 0, Fault::Power);
    assert!(!sync(&mut log));
    let (log, _) = open(&crashed.crash(&mut Choices::seeded(seed))).unwrap();
    let held = Held::of(&log, u64::MAX);
    if held != model {
        model.apply(&changes[0]);
        assert_eq!(held, model, "seed {seed}: wrong after a second crash");
    }
}

/// Checks the runs and the memberships that recovery hands to the core.
fn check_recovered(recovered: &Recovered, held: &Held) {
    assert_eq!(recovered.base, held.base);
    let mut terms = Vec::new();
    for run in &recovered.runs {
        assert!(run.count > 0, "a run is never empty");
        terms.extend((0..run.count).map(|_| run.term));
    }
    let expected: Vec<_> = held.entries.iter().map(|entry| entry.0.term).collect();
    assert_eq!(terms, expected);
    let memberships = held.entries.iter().filter(|e| e.1 == EntryKind::Membership);
    let expected: Vec<_> = memberships.map(|e| (e.0.index, e.4.clone())).collect();
    let found: Vec<_> =
        recovered.memberships.iter().map(|(index, body)| (*index, body.to_vec())).collect();
    assert_eq!(found, expected);
}
