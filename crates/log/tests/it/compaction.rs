//! Logs that begin later: what they hold, what they give back, and how that fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use quorate_log::{
    Choices, Disk, Fault, Log, MemDisk, Operation, OperationKind, Options, ReadError, Room,
    SyncFailure,
};
use quorate_raft::{EntryId, Index, Run, Term};

use crate::model::{Change, Held, IDENTITY, SMALL, append, block, open, state, sync};
use crate::rot::segments;

fn id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), Index::new(index))
}

/// A log of entries 1 to `count` of term 1; segment `n` holds the entries `2n - 1` and `2n`.
fn filled(count: u64) -> (Log<MemDisk>, MemDisk) {
    let disk = MemDisk::new();
    let options = Options { cache_bytes: 0, ..SMALL };
    let (mut log, _) = Log::open(disk.clone(), IDENTITY, options).unwrap();
    for index in 1..=count {
        log.append(None, [&block(index, 1, 1, 800, index)]);
        assert!(sync(&mut log));
    }
    assert_eq!(log.base(), EntryId::ZERO);
    (log, disk)
}

/// The numbers of the segments that hold something.
fn written(disk: &MemDisk) -> Vec<u64> {
    let mut names = segments(disk);
    names.retain(|name| disk.content(name).unwrap().iter().any(|&byte| byte != 0));
    names.iter().map(|name| u64::from_str_radix(&name[4..20], 16).unwrap()).collect()
}

/// What the next job removes, and when it syncs the directory.
fn removals(log: &mut Log<MemDisk>, disk: &MemDisk) -> Vec<String> {
    let before = disk.operations().len();
    assert!(sync(log));
    let is_about_names = |operation: &&Operation| {
        matches!(operation.kind, OperationKind::Remove | OperationKind::SyncDir)
    };
    let short = |operation: &Operation| match operation.name.strip_prefix("log-000000000000000") {
        Some(name) => name.to_owned(),
        None => "sync".to_owned(),
    };
    disk.operations()[before..].iter().filter(is_about_names).map(short).collect()
}

#[test]
fn a_compacted_log_begins_with_a_segment() {
    let (mut log, disk) = filled(9);
    assert_eq!(written(&disk), [1, 2, 3, 4, 5]);
    log.compact(Index::new(1));
    assert_eq!(log.base(), EntryId::ZERO, "entry 2 is needed, so segment 1 is");
    assert!(log.begin_sync().is_none());
    log.compact(Index::new(5));
    assert_eq!(log.base(), id(1, 4));
    assert_eq!(log.last(), id(1, 9));
    assert_eq!(written(&disk), [1, 2, 3, 4, 5], "a job removes them");
    assert_eq!(removals(&mut log, &disk), ["1.seg", "sync", "2.seg", "sync"]);
    assert_eq!(written(&disk), [3, 4, 5]);
    assert!(log.begin_sync().is_none(), "nothing is left to remove");

    let term_at = |index| log.term_at(Index::new(index)).map(Term::value);
    assert_eq!([3, 4, 5, 9, 10].map(term_at), [None, Some(1), Some(1), Some(1), None]);
    let read = |from, to| log.read(Index::new(from), Index::new(to), u64::MAX);
    assert_eq!(read(5, 6).unwrap(), [block(5, 1, 1, 800, 5)]);
    assert_eq!(read(5, 10).unwrap().len(), 5);
    for from in 1..=4 {
        let error = read(from, 6).unwrap_err();
        let is_told = matches!(
            error,
            ReadError::Compacted { from: asked, base }
                if asked == Index::new(from) && base == Index::new(4)
        );
        assert!(is_told, "{error}");
    }
    assert!(matches!(read(0, 6), Err(ReadError::OutOfRange { .. })));
    assert_eq!(log.fit(Index::new(4), 9, 9999), (0, 0));
    assert_eq!(log.fit(Index::new(5), 2, 9999), (2, 2 * 821));

    // The next life begins there, too.
    log.close().unwrap();
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.base, id(1, 4));
    assert_eq!(recovered.runs, [Run { term: Term::new(1), count: 5 }]);
    assert_eq!(recovered.memberships[0].0, Index::new(6));
    assert_eq!((log.base(), log.last()), (id(1, 4), id(1, 9)));
}

#[test]
fn compaction_goes_on_from_compaction() {
    let (mut log, disk) = filled(9);
    log.compact(Index::new(2));
    assert_eq!(removals(&mut log, &disk), ["1.seg", "sync"]);
    log.compact(Index::new(1));
    log.compact(Index::new(2));
    log.compact(Index::new(3));
    assert!(log.begin_sync().is_none(), "there is nothing more to remove");
    log.compact(Index::new(9));
    assert_eq!(log.base(), id(1, 8), "the segment that is being written stays");
    // Comes while a job is out.
    log.append(None, [&block(10, 1, 1, 800, 10), &block(11, 2, 1, 800, 11)]);
    let job = log.begin_sync().unwrap();
    log.compact(Index::new(9));
    assert_eq!(log.base(), id(1, 8), "the job's segment may not be durable yet");
    log.finish_sync(job.run().unwrap());
    assert_eq!(written(&disk), [5, 6]);
    assert!(log.begin_sync().is_none());
    let job = log.begin_allocate();
    assert!(job.is_none());
    log.compact(Index::new(11));
    assert_eq!(log.base(), id(1, 10));
    assert_eq!(removals(&mut log, &disk), ["5.seg", "sync"], "what came before is durable");
    drop(log);
    let (mut log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.base, id(1, 10));
    assert_eq!(recovered.runs, [Run { term: Term::new(2), count: 1 }]);
    // A new life, which knows nothing of what was synced before.
    log.append(None, [&block(12, 2, 2, 700, 12)]);
    assert!(sync(&mut log));
    log.compact(Index::new(13));
    assert_eq!(removals(&mut log, &disk), ["6.seg", "sync"]);
    assert_eq!(Held::of(&log, 1).entries.len(), 2);
}

#[test]
fn replaced_entries_keep_no_segment() {
    let (mut log, disk) = filled(9);
    // Segment 6 begins after entry 9, which then no longer counts.
    log.append(Some(state(2, 1)), [&block(10, 1, 1, 800, 10)]);
    log.append(None, [&block(11, 1, 1, 100, 11), &block(7, 2, 3, 40, 12)]);
    assert!(sync(&mut log));
    log.compact(Index::new(6));
    assert_eq!(log.base(), id(1, 6));
    log.compact(Index::new(7));
    assert_eq!(log.base(), id(2, 7), "nothing is known of what was before");
    assert_eq!(log.term_at(Index::new(6)), None);
    let held = Held::of(&log, u64::MAX);
    assert_eq!(held.entries.len(), 2);
    assert_eq!(held.entries[0].0, id(2, 8));
    assert!(sync(&mut log));
    assert_eq!(written(&disk), [6]);
    drop(log);
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.base, id(2, 7));
    assert_eq!(recovered.runs, [Run { term: Term::new(2), count: 2 }]);
    assert_eq!(Held::of(&log, u64::MAX), held);
}

#[test]
fn a_reset_log_goes_on_after_the_snapshot() {
    let (mut log, disk) = filled(5);
    let before = log.append(Some(state(3, 2)), []);
    let sequence = log.reset(id(1, 20));
    assert!(before < sequence);
    assert_eq!((log.base(), log.last()), (id(1, 20), id(1, 20)));
    assert_eq!(log.term_at(Index::new(20)), Some(Term::new(1)));
    assert_eq!(log.term_at(Index::new(5)), None);
    log.append(None, [&block(21, 3, 2, 30, 40)]);
    let error = log.read(Index::new(20), Index::new(22), 0).unwrap_err();
    assert!(matches!(error, ReadError::Compacted { .. }), "{error}");
    assert_eq!(log.read(Index::new(21), Index::new(22), 0).unwrap()[0].term(), Term::new(3));
    let held = Held::of(&log, u64::MAX);
    assert!(sync(&mut log));
    assert!(log.durable() > sequence);
    log.compact(Index::new(20));
    assert!(sync(&mut log));
    assert_eq!(written(&disk), [3]);
    // The header of the next segment names the base where there is no later entry.
    log.reset(id(3, 30));
    log.append(Some(state(4, 0)), []);
    log.append(None, [&block(31, 4, 1, 1900, 41)]);
    assert!(sync(&mut log));
    log.compact(Index::new(30));
    assert_eq!(log.base(), id(3, 30));
    assert!(sync(&mut log));
    assert_eq!(written(&disk), [4]);
    log.close().unwrap();
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.hard_state, state(4, 0));
    assert_eq!(recovered.base, id(3, 30));
    assert_eq!(recovered.runs, [Run { term: Term::new(4), count: 1 }]);
    assert!(recovered.memberships.iter().all(|(index, _)| *index == Index::new(31)));
    assert_eq!(log.last(), id(4, 31));
    assert_eq!(held.entries.len(), 2);
}

#[test]
fn a_reset_forgets_what_was_there_at_once() {
    let (mut log, _) = open(&MemDisk::new()).unwrap();
    log.append(None, [&block(1, 1, 5, 20, 1)]);
    log.reset(id(1, 3));
    assert_eq!(log.last(), id(1, 3));
    assert_eq!(log.fit(Index::new(4), 9, 999), (0, 0));
    let error = log.read(Index::new(4), Index::new(5), 999).unwrap_err();
    assert!(matches!(error, ReadError::OutOfRange { .. }), "{error}");
    log.append(None, [&block(4, 1, 1, 20, 2)]);
    let blocks = log.read(Index::new(4), Index::new(5), 999).unwrap();
    assert_eq!(blocks, [block(4, 1, 1, 20, 2)]);
    assert!(sync(&mut log));
    log.compact(Index::new(3));
    assert_eq!(log.base(), id(1, 3));
}

#[test]
fn a_log_of_votes_alone_can_be_compacted() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    for term in 1..100 {
        log.append(Some(state(term, 1)), []);
        assert!(sync(&mut log));
    }
    log.compact(Index::ZERO);
    assert!(sync(&mut log));
    assert_eq!(written(&disk).len(), 1);
    drop(log);
    let (log, recovered) = open(&disk).unwrap();
    assert_eq!(recovered.hard_state, state(99, 1));
    assert_eq!(log.base(), EntryId::ZERO);
}

#[test]
fn a_first_segment_may_begin_with_an_opening_or_without() {
    for left in [40, 400] {
        let disk = MemDisk::new();
        let (mut log, _) = open(&disk).unwrap();
        // Segment header, opening, header and entry of the block: `left` bytes before its end.
        log.append(None, [&block(1, 1, 1, 2048 - left - 128 - 64 - 64 - 21, 1)]);
        log.close().unwrap();
        let (mut log, _) = open(&disk).unwrap();
        assert_eq!(written(&disk).len(), if left < 64 { 2 } else { 1 });
        log.append(None, [&block(2, 1, 1, 600, 2), &block(3, 1, 1, 600, 3)]);
        assert!(sync(&mut log));
        log.compact(Index::new(1));
        assert!(sync(&mut log));
        assert_eq!(written(&disk), [2]);
        drop(log);
        for incarnation in 3..6 {
            let (log, recovered) = open(&disk).unwrap();
            assert_eq!(recovered.incarnation, incarnation);
            assert!(recovered.notes.is_empty());
            assert_eq!((log.base(), log.last()), (id(1, 1), id(1, 3)));
        }
    }
}

/// What the owner does wrong with a log of 5 entries, which then panics.
fn panics(misuse: impl FnOnce(&mut Log<MemDisk>)) -> String {
    let (mut log, _) = filled(5);
    let panic = catch_unwind(AssertUnwindSafe(|| misuse(&mut log))).unwrap_err();
    (*panic.downcast::<&str>().unwrap()).to_owned()
}

#[test]
fn bugs_of_the_owner_are_told() {
    let not_durable = "what is compacted must be durable";
    let said = panics(|log| {
        log.append(None, [&block(6, 1, 1, 800, 6)]);
        log.compact(Index::new(6));
    });
    assert_eq!(said, not_durable);
    assert_eq!(panics(|log| log.compact(Index::new(6))), not_durable, "beyond the last");
    let said = panics(|log| {
        log.reset(id(1, 6));
        log.compact(Index::new(6));
    });
    assert_eq!(said, not_durable);
    let said = panics(|log| {
        log.compact(Index::new(4));
        log.append(None, [&block(4, 2, 1, 8, 6)]);
    });
    assert_eq!(said, "a block leaves a gap");
    let said = panics(|log| {
        log.compact(Index::new(4));
        log.reset(id(1, 3));
    });
    assert_eq!(said, "a snapshot older than the log's beginning");
    let said = panics(|log| {
        log.reset(EntryId::ZERO);
    });
    assert_eq!(said, "a snapshot ends with an entry");
}

#[test]
fn a_full_disk_gets_the_room_that_a_removal_gives() {
    for kind in [OperationKind::Write, OperationKind::Allocate, OperationKind::Create] {
        let (mut log, disk) = filled(5);
        log.compact(Index::new(4));
        log.append(None, [&block(6, 1, 1, 900, 6), &block(7, 1, 1, 3000, 7)]);
        disk.fail(kind, 0, Fault::Full);
        assert!(sync(&mut log));
        assert_eq!(log.durable(), log.appended());
        assert_eq!(written(&disk)[0], 3);
        let held = Held::of(&log, u64::MAX);
        let (log, _) = open(&disk.crash(&mut Choices::first())).unwrap();
        assert_eq!(Held::of(&log, u64::MAX), held);
    }
}

#[test]
fn a_disk_that_stays_full_loses_no_removal() {
    let (mut log, disk) = filled(5);
    log.compact(Index::new(4));
    log.append(None, [&block(6, 1, 1, 900, 6)]);
    disk.fail_always(OperationKind::Write, Fault::Full);
    let job = log.begin_sync().unwrap();
    let Err(SyncFailure::Full { job, .. }) = job.run() else { panic!("it is full") };
    assert_eq!(written(&disk)[0], 3, "what is removed does not depend on the write");
    let (early, _) = open(&disk.crash(&mut Choices::first())).unwrap();
    assert_eq!((early.base(), early.last()), (id(1, 4), id(1, 5)));
    disk.recover();
    log.finish_sync(job.run().unwrap());
    assert_eq!(log.durable(), log.appended());
    assert!(log.begin_sync().is_none());
}

#[test]
fn a_segment_that_is_not_durable_is_no_beginning() {
    let (mut log, disk) = filled(10);
    // Begins a segment, after an entry that is durable.
    log.append(None, [&block(11, 1, 1, 800, 11)]);
    log.compact(Index::new(10));
    assert_eq!(log.base(), id(1, 8));
    disk.fail_always(OperationKind::Write, Fault::Full);
    let job = log.begin_sync().unwrap();
    let Err(SyncFailure::Full { job, .. }) = job.run() else { panic!("it is full") };
    assert_eq!(written(&disk)[0], 5);
    let (early, _) = open(&disk.crash(&mut Choices::last())).unwrap();
    assert_eq!((early.base(), early.last()), (id(1, 8), id(1, 10)));
    disk.recover();
    log.finish_sync(job.run().unwrap());
    log.compact(Index::new(10));
    assert_eq!(log.base(), id(1, 10));
}

#[test]
fn there_is_room_again_as_soon_as_segments_are_gone() {
    let (mut log, disk) = filled(4);
    disk.limit_space(Some(0));
    let mut index = 5;
    while log.room() == Room::Enough {
        log.append(None, [&block(index, 1, 1, 100, index)]);
        assert!(sync(&mut log));
        index += 1;
    }
    disk.limit_space(None);
    log.compact(Index::new(4));
    disk.fail(OperationKind::Allocate, 0, Fault::Full);
    assert!(sync(&mut log));
    assert_eq!(log.room(), Room::Enough);
}

#[test]
fn what_cannot_be_removed_is_tried_again() {
    for fault in [Fault::Io, Fault::Full] {
        let (mut log, disk) = filled(9);
        log.compact(Index::new(8));
        disk.fail(OperationKind::Remove, 2, fault);
        log.append(None, [&block(10, 1, 1, 100, 10)]);
        assert!(sync(&mut log), "the log goes on");
        assert_eq!(written(&disk), [3, 4, 5]);
        assert!(log.has_leftovers());
        // It does not wait for that all the time.
        assert!(log.begin_sync().is_none());
        log.append(None, [&block(11, 1, 1, 100, 11)]);
        assert_eq!(removals(&mut log, &disk), [""; 0]);
        let (early, recovered) = open(&disk.crash(&mut Choices::first())).unwrap();
        assert_eq!((recovered.base, early.last()), (id(1, 4), id(1, 11)));
        log.compact(Index::new(8));
        assert_eq!(removals(&mut log, &disk), ["3.seg", "sync", "4.seg", "sync"]);
        assert_eq!(log.base(), id(1, 8));
        assert!(!log.has_leftovers());
    }
}

#[test]
fn what_is_gone_already_is_no_obstacle() {
    // An attempt that failed, or an administrator, removed it.
    let (mut log, disk) = filled(5);
    log.compact(Index::new(4));
    disk.remove("log-0000000000000001.seg").unwrap();
    assert_eq!(removals(&mut log, &disk), ["1.seg", "sync", "2.seg", "sync"]);
    assert_eq!(written(&disk), [3]);
}

#[test]
fn a_removal_that_is_not_durable_is_not_outlived() {
    for skip in 0..2 {
        let (mut log, disk) = filled(5);
        log.compact(Index::new(4));
        disk.fail(OperationKind::SyncDir, skip, Fault::Io);
        assert!(!sync(&mut log));
        assert!(log.is_stopped(), "no later sync of the directory can be believed");
        drop(log);
        let mut choices = Choices::first();
        loop {
            let (log, recovered) = open(&disk.crash(&mut choices)).unwrap();
            assert_eq!(log.last(), id(1, 5));
            assert!(recovered.base <= id(1, 4));
            if !choices.advance() {
                break;
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Action {
    /// Appends entries: how far back from the end, how many, how long, whether in a new term.
    Append {
        back: u64,
        count: u64,
        length: usize,
        is_new_term: bool,
    },
    /// Compacts up to so many entries before the last durable one.
    Compact {
        back: u64,
    },
    /// Resets to so many entries beyond the last, or before it.
    Reset {
        back: u64,
        ahead: u64,
    },
    Sync,
    Reopen,
    Crash,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let back = prop_oneof![3 => Just(0_u64), 1 => 0..9_u64];
    let append = (back, 1..5_u64, 0..190_usize, prop::bool::weighted(0.2)).prop_map(
        |(back, count, length, is_new_term)| Action::Append { back, count, length, is_new_term },
    );
    let action = prop_oneof![
        12 => append,
        4 => (0..6_u64).prop_map(|back| Action::Compact { back }),
        1 => (0..5_u64, 0..5_u64).prop_map(|(back, ahead)| Action::Reset { back, ahead }),
        6 => Just(Action::Sync),
        1 => Just(Action::Reopen),
        1 => Just(Action::Crash),
    ];
    prop::collection::vec(action, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 256,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_log_that_begins_later_is_the_rest_of_the_model(
        actions in actions(),
        cache_bytes in prop_oneof![Just(0_u64), Just(300), Just(1 << 20)],
        seed in any::<u64>(),
    ) {
        let options = Options { cache_bytes, ..SMALL };
        let mut disk = MemDisk::new();
        let (mut log, _) = Log::open(disk.clone(), IDENTITY, options).unwrap();
        let (mut model, mut durable) = (Held::default(), Held::default());
        let mut covered = Index::ZERO;
        for (number, action) in (1..).zip(actions) {
            match action {
                Action::Append { back, count, length, is_new_term } => {
                    let last = log.last().index.value();
                    let first = last - back.min(last - log.base().index.value()) + 1;
                    let before = log.term_at(Index::new(first - 1)).unwrap().value();
                    let later = log.last().term.value() + 1;
                    let is_new = is_new_term || first <= last || before == 0;
                    let term = if is_new { later } else { before };
                    let change = Change::Entries(block(first, term, count, length, number));
                    append(&mut log, std::slice::from_ref(&change));
                    model.apply(&change);
                }
                Action::Compact { back } => {
                    let through = log.last().index.value().saturating_sub(back);
                    // Durable as it is: in both, and nothing that waits replaces it.
                    prop_assert!(sync(&mut log));
                    durable = model.clone();
                    covered = covered.max(Index::new(through));
                    log.compact(Index::new(through));
                }
                Action::Reset { back, ahead } => {
                    let index = (log.last().index.value() + ahead).saturating_sub(back).max(1);
                    let index = log.base().index.max(Index::new(index));
                    let change = Change::Reset(EntryId::new(Term::new(1), index));
                    append(&mut log, std::slice::from_ref(&change));
                    model.apply(&change);
                    covered = covered.max(index);
                }
                Action::Sync => {
                    prop_assert!(sync(&mut log));
                    durable = model.clone();
                }
                Action::Reopen | Action::Crash => {
                    if matches!(action, Action::Reopen) {
                        log.close().unwrap();
                    } else {
                        drop(log);
                        disk = disk.crash(&mut Choices::seeded(seed ^ number));
                        model = durable;
                    }
                    durable = model.clone();
                    let (opened, recovered) = Log::open(disk.clone(), IDENTITY, options).unwrap();
                    log = opened;
                    prop_assert_eq!(recovered.base, log.base());
                    let count: u64 = recovered.runs.iter().map(|run| run.count).sum();
                    prop_assert_eq!(log.base().index.plus(count), log.last().index);
                }
            }
            let held = Held::of(&log, 300);
            prop_assert!(log.base().index <= covered);
            prop_assert_eq!(model.begun_after(log.base()), Some(held));
            prop_assert_eq!(log.term_at(log.base().index), Some(log.base().term));
        }
    }
}
