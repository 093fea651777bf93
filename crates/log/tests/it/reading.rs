//! Reading, fitting and terms against the naive model, with caches of every size.

use proptest::prelude::*;
use quorate_log::{Log, MemDisk, Options, ReadError};
use quorate_raft::{EntryId, Index, Run, Term};

use crate::model::{Change, Held, IDENTITY, SMALL, append, block, open, state, sync};

#[derive(Clone, Debug)]
enum Action {
    /// Appends entries: how far back from the end, how many, how long, whether in a new term.
    Append {
        back: u64,
        count: u64,
        length: usize,
        is_new_term: bool,
    },
    Sync,
    Reopen,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let back = prop_oneof![3 => Just(0_u64), 1 => 0..6_u64];
    let append = (back, 1..5_u64, 0..90_usize, prop::bool::weighted(0.2)).prop_map(
        |(back, count, length, is_new_term)| Action::Append { back, count, length, is_new_term },
    );
    let action = prop_oneof![6 => append, 2 => Just(Action::Sync), 1 => Just(Action::Reopen)];
    prop::collection::vec(action, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 128,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_log_reads_like_the_model(
        actions in actions(),
        cache_bytes in prop_oneof![Just(0_u64), Just(300), Just(1 << 20)],
        bytes_max in 0..600_u64,
    ) {
        let options = Options { cache_bytes, ..SMALL };
        let disk = MemDisk::new();
        let (mut log, _) = Log::open(disk.clone(), IDENTITY, options).unwrap();
        let mut model = Held::default();
        // An opened log has nothing in its cache yet.
        let mut is_cached = cache_bytes == 1 << 20;
        for (number, action) in (1..).zip(actions) {
            match action {
                Action::Append { back, count, length, is_new_term } => {
                    let last = log.last().index.value();
                    let first = last - back.min(last) + 1;
                    let before = log.term_at(Index::new(first - 1)).unwrap().value();
                    // What replaces entries is of a later term.
                    let later = log.last().term.value() + 1;
                    let is_new = is_new_term || first <= last || before == 0;
                    let term = if is_new { later } else { before };
                    let change = Change::Entries(block(first, term, count, length, number));
                    append(&mut log, std::slice::from_ref(&change));
                    model.apply(&change);
                }
                Action::Sync => prop_assert!(sync(&mut log)),
                Action::Reopen => {
                    is_cached = false;
                    log.close().unwrap();
                    let (opened, recovered) = Log::open(disk.clone(), IDENTITY, options).unwrap();
                    log = opened;
                    prop_assert!(recovered.notes.is_empty(), "{:?}", recovered.notes);
                }
            }
            check(&log, &model, is_cached, bytes_max);
        }
    }
}

fn check(log: &Log<MemDisk>, model: &Held, is_cached: bool, bytes_max: u64) {
    assert_eq!(Held::of(log, bytes_max), *model);
    assert_eq!(log.term_at(Index::ZERO), Some(Term::ZERO));
    assert_eq!(log.term_at(log.last().index.next()), None);
    for entry in &model.entries {
        assert_eq!(log.term_at(entry.0.index), Some(entry.0.term));
    }
    let lengths: Vec<u64> =
        model.entries.iter().map(|e| 21 + u64::try_from(e.4.len()).unwrap()).collect();
    for (first, at) in (1..).zip(0..lengths.len()) {
        for count_max in [1, 2, 5, 1000] {
            let (count, bytes) = log.fit(Index::new(first), count_max, bytes_max);
            assert!(count >= 1 && count <= count_max);
            assert!(bytes <= bytes_max || count == 1);
            let end = at + usize::try_from(count).unwrap();
            assert!(end <= lengths.len(), "more fits than there is");
            if is_cached {
                assert_eq!(bytes, lengths[at..end].iter().sum::<u64>());
                let more = lengths.get(end).is_some_and(|next| bytes + next <= bytes_max);
                assert!(!more || count == count_max, "one more would have fitted");
            }
        }
    }
}

#[test]
fn fitting_is_exact_in_the_cache() {
    let (mut log, _) = Log::open(MemDisk::new(), IDENTITY, Options::default()).unwrap();
    // 30, 30, 30 and 121, 121 bytes.
    log.append(None, &[block(1, 1, 3, 9, 1), block(4, 2, 2, 100, 2)]);
    let fit = |first, count_max, bytes_max| log.fit(Index::new(first), count_max, bytes_max);
    assert_eq!(fit(1, 100, 10_000), (5, 332));
    assert_eq!(fit(1, 100, 331), (4, 211));
    assert_eq!(fit(1, 100, 90), (3, 90));
    assert_eq!(fit(1, 100, 89), (2, 60));
    assert_eq!(fit(2, 3, 10_000), (3, 181));
    assert_eq!(fit(3, 1, 10_000), (1, 30));
    assert_eq!(fit(4, 100, 0), (1, 121), "one always fits");
    assert_eq!(fit(5, 100, 500), (1, 121));
    assert_eq!(fit(6, 100, 500), (0, 0), "there is nothing beyond the last");
}

#[test]
fn a_read_keeps_to_its_bounds() {
    let (mut log, _) = open(&MemDisk::new()).unwrap();
    log.append(None, &[block(1, 1, 3, 9, 1), block(4, 2, 2, 100, 2)]);
    let read = |from, to, bytes_max| log.read(Index::new(from), Index::new(to), bytes_max);
    let counts = |from, to, bytes_max| -> Vec<u32> {
        read(from, to, bytes_max).unwrap().iter().map(quorate_log::Block::count).collect()
    };
    assert_eq!(counts(1, 6, 10_000), [3, 2]);
    assert_eq!(counts(2, 5, 10_000), [2, 1]);
    assert_eq!(counts(1, 6, 90 + 120), [3]);
    assert_eq!(counts(1, 6, 90 + 121), [3, 1]);
    assert_eq!(counts(1, 6, 60), [2]);
    assert_eq!(counts(4, 6, 0), [1], "one is always read");
    assert!(counts(6, 6, 0).is_empty());
    for (from, to) in [(0, 2), (3, 2), (1, 7), (7, 7)] {
        assert!(matches!(read(from, to, 9), Err(ReadError::OutOfRange { .. })), "{from}..{to}");
    }
}

#[test]
fn recovery_hands_over_runs_and_memberships() {
    let disk = MemDisk::new();
    let (mut log, recovered) = open(&disk).unwrap();
    assert!(recovered.created);
    assert_eq!(recovered.incarnation, 1);
    // Memberships are the first entries of blocks 1 and 6 and the last of block 6: see `block`.
    log.append(Some(state(4, 2)), &[block(1, 1, 1, 8, 1), block(2, 3, 6, 8, 6)]);
    log.append(None, &[block(5, 4, 1, 8, 3)]);
    log.close().unwrap();
    let (log, recovered) = open(&disk).unwrap();
    assert!(!recovered.created);
    assert_eq!(recovered.incarnation, 2);
    assert_eq!(recovered.hard_state, state(4, 2));
    assert_eq!(log.last(), EntryId::new(Term::new(4), Index::new(5)));
    let run = |term, count| Run { term: Term::new(term), count };
    assert_eq!(recovered.runs, [run(1, 1), run(3, 3), run(4, 1)]);
    let memberships: Vec<u64> = recovered.memberships.iter().map(|(at, _)| at.value()).collect();
    assert_eq!(memberships, [1, 2], "those replaced are gone");
    assert!(recovered.notes.is_empty());
}

#[test]
fn one_job_is_out_at_a_time() {
    let (mut log, _) = open(&MemDisk::new()).unwrap();
    assert!(log.begin_sync().is_none(), "nothing waits");
    let first = log.append(Some(state(1, 1)), &[]);
    let job = log.begin_sync().unwrap();
    let second = log.append(None, &[block(1, 1, 1, 8, 1)]);
    assert!(log.begin_sync().is_none(), "a job is out");
    assert!(first < second);
    assert_eq!(log.finish_sync(job.run().unwrap()), first, "what came later is not durable");
    let job = log.begin_sync().unwrap();
    assert_eq!(log.finish_sync(job.run().unwrap()), second);
    assert_eq!(log.durable(), log.appended());
}

#[test]
fn a_job_can_run_on_another_thread() {
    fn is_sendable<T: Send + 'static>(_: &T) {}
    let (mut log, _) = open(&MemDisk::new()).unwrap();
    log.append(Some(state(1, 1)), &[]);
    let job = log.begin_sync().unwrap();
    is_sendable(&log);
    is_sendable(&job);
    let synced = job.run();
    is_sendable(&synced);
    log.finish_sync(synced.unwrap());
}
