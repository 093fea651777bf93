//! Compactions and resets survive a crash at every operation on the disk.

use quorate_log::{Choices, EntryKind, Fault, Log, MemDisk, OperationKind};
use quorate_raft::{EntryId, Index, Term};

use crate::crash::{crash_everywhere, crash_recovery_everywhere};
use crate::model::{Change, Held, Step, block, open, run, state, sync};
use Step::{Append, Close, Compact, Reopen, Sync};

fn entries(first: u64, term: u64, count: u64, length: usize, number: u64) -> Change {
    Change::Entries(block(first, term, count, length, number))
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), Index::new(index))
}

/// Entries of six segments, 900 bytes each, so that segments hold two.
fn filled(term: u64, first: u64, count: u64) -> Vec<Step> {
    let filled = |index| [Append(vec![entries(index, term, 1, 800, index)]), Sync];
    (first..first + count).flat_map(filled).collect()
}

/// Compactions of several segments at once, of few, of none; over openings; while writes wait.
fn compactions() -> Vec<Step> {
    let mut steps = vec![Append(vec![Change::State(state(1, 1))]), Sync];
    steps.extend(filled(1, 1, 7));
    // Nothing waits but the removals.
    steps.extend([Compact(5), Sync, Compact(5), Sync]);
    steps.extend([Append(vec![Change::State(state(2, 0)), entries(8, 2, 2, 300, 8)]), Sync]);
    // One segment more; its removal comes with a write.
    steps.extend([Append(vec![entries(10, 2, 1, 10, 9)]), Compact(7), Sync, Reopen]);
    steps.extend(filled(2, 11, 3));
    steps.extend([Compact(13), Close, Compact(13), Sync]);
    steps.extend([Append(vec![Change::State(state(3, 2)), entries(14, 3, 3, 500, 10)]), Sync]);
    steps.extend([Append(vec![entries(17, 3, 1, 5, 11)]), Compact(16), Reopen, Compact(16), Sync]);
    steps
}

/// Entries are replaced over the ends of segments, so that some segments begin after entries that
/// count no more.
fn conflicts() -> Vec<Step> {
    let mut steps = filled(1, 1, 7);
    steps.extend([Append(vec![Change::State(state(2, 1)), entries(4, 2, 2, 300, 20)]), Sync]);
    steps.extend(filled(2, 6, 3));
    // From before a segment that was begun after the conflict, too.
    steps.extend([Append(vec![Change::State(state(3, 1)), entries(5, 3, 4, 100, 21)]), Sync]);
    steps.extend([Compact(4), Sync]);
    steps.extend([Append(vec![entries(9, 3, 1, 900, 22), entries(10, 3, 1, 900, 23)]), Sync]);
    steps.extend([Compact(6), Sync, Reopen, Compact(8), Sync]);
    steps.extend([Append(vec![entries(11, 3, 1, 700, 24)]), Sync, Compact(11), Sync]);
    steps
}

/// Resets to later entries, to earlier ones, of a lower term; then compactions up to them.
fn resets() -> Vec<Step> {
    let mut steps = filled(4, 1, 5);
    steps.push(Append(vec![
        Change::State(state(5, 0)),
        Change::Reset(id(3, 20)),
        entries(21, 5, 2, 100, 30),
    ]));
    steps.extend([Sync, Compact(20), Sync]);
    // A log that is longer than the snapshot; the reset comes into a segment of its own.
    steps.extend(filled(5, 23, 4));
    steps.extend([Append(vec![Change::Reset(id(5, 24))]), Reopen]);
    steps
        .extend([Append(vec![entries(27, 5, 1, 700, 31)]), Append(vec![Change::Reset(id(6, 25))])]);
    steps.push(Sync);
    steps.extend([Append(vec![entries(26, 6, 1, 700, 32), entries(27, 6, 1, 700, 33)]), Sync]);
    steps.extend([Compact(25), Sync, Compact(26), Close]);
    // Twice, and nothing in between.
    steps.push(Append(vec![Change::State(state(7, 1)), Change::Reset(id(6, 40))]));
    steps.extend([Append(vec![Change::Reset(id(7, 41))]), Sync, Compact(41), Sync]);
    steps.extend([Append(vec![entries(42, 7, 2, 40, 34)]), Sync]);
    steps
}

#[test]
fn every_crash_point_of_compactions_recovers() {
    let crashes = crash_everywhere(&compactions(), 128);
    assert!(crashes > 3000, "only {crashes} crashes were tried out");
}

#[test]
fn every_crash_point_of_compactions_after_conflicts_recovers() {
    let crashes = crash_everywhere(&conflicts(), 128);
    assert!(crashes > 3000, "only {crashes} crashes were tried out");
}

#[test]
fn every_crash_point_of_resets_recovers() {
    let crashes = crash_everywhere(&resets(), 128);
    assert!(crashes > 3000, "only {crashes} crashes were tried out");
}

#[test]
fn every_crash_point_of_a_recovery_of_a_compacted_log_recovers() {
    for steps in [compactions(), conflicts(), resets()] {
        crash_recovery_everywhere(&steps, 2);
    }
}

#[test]
fn the_scripts_remove_segments() {
    for (steps, segments) in [(compactions(), 2), (conflicts(), 3), (resets(), 2)] {
        let disk = MemDisk::new();
        run(&disk, &steps);
        let names: Vec<String> = disk.files().into_iter().map(|(name, _)| name).collect();
        let left = names.iter().filter(|name| name.ends_with(".seg")).count();
        assert!(left <= segments + 1, "{left} segments are left, and a spare: {names:?}");
        let removed = disk.operations().iter().filter(|o| o.kind == OperationKind::Remove).count();
        assert!(removed >= 4, "only {removed} segments were removed");
    }
}

#[test]
fn a_removal_by_a_process_that_was_killed_leaves_no_gap() {
    // It removes a segment and ends before it syncs the directory. The next one removes another:
    // the power may then keep the second removal and lose the first.
    for skip in 0..4 {
        let disk = MemDisk::new();
        run(&disk, &filled(1, 1, 9));
        let (mut log, _) = open(&disk).unwrap();
        log.compact(Index::new(9));
        disk.fail(OperationKind::SyncDir, skip, Fault::Io);
        sync(&mut log);
        drop(log);
        for cut in 0..10 {
            let disk = disk.fork();
            let (mut log, _) = open(&disk).unwrap();
            log.compact(Index::new(9));
            disk.cut_power_after(cut);
            sync(&mut log);
            drop(log);
            let mut choices = Choices::first();
            loop {
                let (log, recovered) = open(&disk.crash(&mut choices)).unwrap();
                assert_eq!(log.last(), id(1, 9));
                assert!(recovered.base.index <= Index::new(9));
                if !choices.advance() {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_failed_sync_of_a_compacted_log_is_not_forgotten_by_the_next_process() {
    let disk = MemDisk::new();
    run(&disk, &filled(1, 1, 9));
    let (mut log, _) = open(&disk).unwrap();
    log.compact(Index::new(9));
    assert!(sync(&mut log));
    log.append(Some(state(2, 1)), [&block(10, 2, 2, 700, 1), &block(12, 2, 1, 700, 1)]);
    disk.fail(OperationKind::SyncData, 0, Fault::Io);
    assert!(!sync(&mut log));
    drop(log);
    let (log, _) = open(&disk).unwrap();
    assert_eq!(log.last(), id(2, 12), "the page cache shows it");
    let held = Held::of(&log, u64::MAX);
    let (log, _) = open(&disk.crash(&mut Choices::first())).unwrap();
    assert_eq!(Held::of(&log, u64::MAX), held, "what an open log showed was not durable");
}

#[test]
fn a_reset_that_is_torn_leaves_what_was_there() {
    let disk = MemDisk::new();
    run(&disk, &filled(2, 1, 3));
    let (mut log, _) = open(&disk).unwrap();
    let before = Held::of(&log, u64::MAX);
    log.append(Some(state(2, 1)), []);
    log.reset(id(1, 50));
    log.append(None, [&block(51, 2, 1, 600, 40)]);
    disk.fail(OperationKind::SyncData, 0, Fault::Power);
    assert!(!sync(&mut log));
    drop(log);
    let mut bases = Vec::new();
    for seed in 0..100 {
        let (log, recovered) = open(&disk.crash(&mut Choices::seeded(seed))).unwrap();
        if recovered.base == EntryId::ZERO {
            assert_eq!(Held::of(&log, u64::MAX).entries, before.entries);
        } else {
            assert_eq!(recovered.base, id(1, 50));
            assert_eq!(recovered.hard_state, state(2, 1), "what was before the reset is there");
        }
        bases.push(recovered.base.index.value());
        check_memberships(&log, &recovered.memberships);
    }
    bases.sort_unstable();
    bases.dedup();
    assert_eq!(bases, [0, 50], "both happen");
}

fn check_memberships(log: &Log<MemDisk>, found: &[(Index, bytes::Bytes)]) {
    let held = Held::of(log, u64::MAX);
    let expected = held.entries.iter().filter(|entry| entry.1 == EntryKind::Membership);
    assert!(expected.map(|entry| entry.0.index).eq(found.iter().map(|&(index, _)| index)));
}
