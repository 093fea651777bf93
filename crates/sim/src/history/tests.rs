//! One small history for each rule, with what is said about it.

use std::panic::catch_unwind;

use super::*;

/// A history is good for both checkers.
#[track_caller]
fn is_good(history: &[Operation]) {
    assert_eq!(by_revision(history), Ok(()));
    assert_eq!(search(history, 10_000), Verdict::Linearizable);
}

/// Both refuse it; by revision because of this operation, in words with this part.
#[track_caller]
fn is_bad(history: &[Operation], operation: usize, part: &str) {
    is_bad_by_revision(history, operation, part);
    assert_eq!(search(history, 10_000), Verdict::NotLinearizable);
}

#[track_caller]
fn is_bad_by_revision(history: &[Operation], operation: usize, part: &str) {
    let anomaly = by_revision(history).expect_err("it is bad");
    assert_eq!(anomaly.operation, operation, "{anomaly}");
    assert!(anomaly.what.contains(part), "{part:?} is not in {anomaly}");
}

fn answered(invoked: u64, at: u64, request: Request, response: Response) -> Operation {
    Operation { client: 0, invoked, request, outcome: Outcome::Returned { at, response } }
}

fn unknown(invoked: u64, request: Request, effect: Option<i64>) -> Operation {
    Operation { client: 0, invoked, request, outcome: Outcome::Unknown { effect } }
}

/// The first put of a key. Its value is ten times the key.
fn put(invoked: u64, at: u64, key: Key, revision: i64) -> Operation {
    answered(invoked, at, put_of(key), Response::Put { revision, previous: None })
}

fn put_of(key: Key) -> Request {
    Request::Put { key, value: u64::from(key) * 10 }
}

/// What such a put leaves.
fn pair(key: Key, revision: i64) -> Pair {
    let value = u64::from(key) * 10;
    Pair { key, value, created: revision, modified: revision, version: 1 }
}

fn read_of(key: Key, at: Option<i64>) -> Request {
    Request::Range { first: key, end: key + 1, at, serializable: false }
}

fn read(invoked: u64, at: u64, key: Key, revision: i64, pairs: &[Pair]) -> Operation {
    let response = Response::Range { revision, pairs: pairs.to_vec() };
    answered(invoked, at, read_of(key, None), response)
}

/// A read that finds nothing at an older revision.
fn old_read(invoked: u64, at: u64, old: i64, revision: i64) -> Operation {
    let response = Response::Range { revision, pairs: Vec::new() };
    answered(invoked, at, read_of(9, Some(old)), response)
}

fn serializable(operation: Operation) -> Operation {
    let Request::Range { first, end, at, .. } = operation.request else { return operation };
    let request = Request::Range { first, end, at, serializable: true };
    Operation { request, ..operation }
}

fn compact(invoked: u64, at: u64, to: i64, revision: i64) -> Operation {
    answered(invoked, at, Request::Compact { revision: to }, Response::Compact { revision })
}

fn refused(invoked: u64, at: u64, old: i64, error: Response) -> Operation {
    answered(invoked, at, read_of(9, Some(old)), error)
}

#[test]
fn revisions_are_made_once_each_and_none_is_missing() {
    is_good(&[put(0, 1, 1, 2), put(2, 3, 2, 3)]);
    is_bad(&[put(0, 1, 1, 2), put(2, 3, 2, 2)], 1, "revision 2, which operation 0 made too");
    is_bad(&[put(0, 1, 1, 2), put(2, 3, 2, 4)], 1, "no write made revision 3");
    is_bad(&[read(0, 1, 1, 2, &[])], 0, "no write made revision 2");
    is_bad(&[read(0, 1, 1, 0, &[])], 0, "cannot come to");
    is_bad(&[put(0, 1, 1, 1)], 0, "cannot come to");
    // Nobody looked behind the gap.
    is_good(&[put(0, 1, 1, 2), unknown(0, put_of(2), Some(4))]);
    is_good(&[]);
}

#[test]
fn answers_are_those_of_the_model() {
    let wrong = Pair { version: 2, ..pair(1, 2) };
    let part = "saw 1=10 (created 2, modified 2, version 2), but 1=10 (created 2, modified 2, \
                version 1) was there, put by operation 0";
    is_bad(&[put(0, 1, 1, 2), read(2, 3, 1, 2, &[wrong])], 1, part);
    is_bad(&[put(0, 1, 1, 2), read(2, 3, 1, 2, &[])], 1, "missed key 1, but 1=10");
    is_bad(&[read(2, 3, 1, 1, &[pair(1, 2)])], 0, "key 1 had never been put by then");
    let twice = [pair(1, 2), pair(1, 2)];
    is_bad(&[put(0, 1, 1, 2), read(2, 3, 1, 2, &twice)], 1, "which is not asked for");
    let deleted = Response::Delete { revision: 3, deleted: vec![pair(1, 2)] };
    let delete = answered(2, 3, Request::Delete { first: 1, end: 5 }, deleted);
    let history = [put(0, 1, 1, 2), delete, read(4, 5, 1, 3, &[pair(1, 2)])];
    is_good(&history[..2]);
    is_bad(&history, 2, "key 1 had been removed at revision 3 by operation 1");
    let ahead = answered(0, 1, Request::Compact { revision: 2 }, Response::Compact { revision: 1 });
    is_bad(&[ahead], 0, "it was done, but FutureRevision was expected");
}

#[test]
fn swaps_go_by_what_was_there() {
    let request = Request::Swap { key: 1, expected: 2, value: 7, also: Some(2) };
    let swap = |revision, succeeded, found| {
        let response = Response::Swap { revision, succeeded, found };
        answered(2, 3, request.clone(), response)
    };
    let after = Pair { value: 7, modified: 3, version: 2, ..pair(1, 2) };
    let also = Pair { value: 7, ..pair(2, 3) };
    let put = put(0, 1, 1, 2);
    let seen = [read(4, 5, 1, 3, &[after]), read(4, 5, 2, 3, &[also])];
    is_good(&[put.clone(), swap(3, true, None), seen[0].clone(), seen[1].clone()]);
    is_bad(&[swap(2, true, None)], 0, "it succeeded, but key 1 had never been put");
    let failed = swap(2, false, Some(pair(1, 2)));
    is_bad(&[put, failed], 1, "it failed, but 1=10 (created 2, modified 2, version 1) was there");
    is_good(&[swap(1, false, None)]);
}

#[test]
fn the_order_of_revisions_is_that_of_time() {
    is_good(&[put(0, 5, 1, 2), read(5, 6, 1, 1, &[])]);
    let part = "answered at revision 1, though it was invoked at 6, after operation 0 (put 1=10) \
                had returned revision 2 at 5";
    is_bad(&[put(0, 5, 1, 2), read(6, 7, 1, 1, &[])], 1, part);
    is_bad(&[put(0, 5, 1, 3), put(6, 7, 2, 2)], 1, "made revision 2, though it was invoked at 6");
    // What returned was another read at the revision that the write made later.
    let early = [read(0, 5, 1, 2, &[pair(1, 2)]), put(6, 7, 1, 2)];
    is_bad(&early, 1, "made revision 2, though");
    is_bad(&[put(6, 5, 1, 2)], 0, "before it was invoked");
}

#[test]
fn serializable_reads_may_be_old_but_not_ahead() {
    let history = |invoked, revision, pairs: &[Pair]| {
        [put(0, 5, 1, 2), serializable(read(invoked, invoked + 1, 1, revision, pairs))]
    };
    is_good(&history(6, 1, &[]));
    is_good(&history(6, 2, &[pair(1, 2)]));
    is_bad_by_revision(&history(6, 2, &[]), 1, "missed key 1");
    let ahead = [put(9, 10, 1, 2), serializable(read(7, 8, 1, 2, &[pair(1, 2)]))];
    is_bad_by_revision(&ahead, 0, "made revision 2, though it was invoked at 9");
    // Only writes have to be later than it.
    let known = serializable(read(7, 8, 1, 2, &[pair(1, 2)]));
    is_good(&[put(0, 10, 1, 2), known, read(9, 10, 1, 1, &[])]);
}

#[test]
fn unknown_writes_stand_where_the_log_has_them() {
    let seen = read(4, 5, 1, 2, &[pair(1, 2)]);
    is_good(&[unknown(5, put_of(1), Some(2)), seen.clone()]);
    is_bad(&[unknown(6, put_of(1), Some(2)), seen.clone()], 0, "made revision 2, though");
    is_bad_by_revision(&[unknown(0, put_of(1), None), seen], 1, "no write made revision 2");
    let nothing = unknown(0, Request::Delete { first: 1, end: 2 }, Some(2));
    is_bad_by_revision(&[nothing], 0, "though it had nothing to change");
    is_bad_by_revision(&[unknown(0, read_of(1, None), Some(2))], 0, "cannot come to");
    is_good(&[unknown(0, put_of(1), None), read(4, 5, 1, 1, &[])]);
    let refused = Operation { outcome: Outcome::Refused, ..put(0, 1, 1, 2) };
    is_bad(&[refused, read(4, 5, 1, 2, &[pair(1, 2)])], 1, "no write made revision 2");
}

#[test]
fn a_future_revision_is_not_made_yet() {
    let history = |invoked| [put(0, 5, 1, 2), refused(invoked, 9, 2, Response::FutureRevision)];
    is_good(&history(5));
    is_bad(&history(6), 1, "was told that this is a future revision, though it was invoked at 6");
    is_bad(&[refused(0, 1, 1, Response::FutureRevision)], 0, "cannot come to");
}

#[test]
fn compactions_end_reads_and_go_forward() {
    let puts = [put(0, 1, 1, 2), put(2, 3, 2, 3)];
    let with = |more: &[Operation]| [&puts[..], more].concat();
    is_good(&with(&[compact(4, 5, 2, 3), old_read(6, 7, 2, 3), compact(8, 9, 3, 3)]));
    is_good(&with(&[compact(4, 6, 2, 3), old_read(6, 7, 1, 3)]));
    let part = "read of 9..10 as of revision 1 at revision 3, from 7 to 8, was done, though \
                operation 2 had compacted that before: compaction to revision 2 at revision 3, \
                from 4 to 6";
    is_bad(&with(&[compact(4, 6, 2, 3), old_read(7, 8, 1, 3)]), 3, part);
    is_bad(&with(&[compact(4, 5, 2, 3), compact(4, 5, 2, 3)]), 3, "operation 2 had compacted that");
    is_bad(&with(&[compact(4, 5, 3, 3), compact(6, 7, 2, 3)]), 3, "operation 2 had compacted that");
    // The revisions tell the order too.
    let history = [put(0, 9, 1, 2), compact(0, 9, 1, 2), compact(0, 9, 0, 1)];
    is_good(&history);
    let history = [put(0, 9, 1, 2), compact(0, 9, 1, 1), compact(0, 9, 0, 2)];
    is_bad(&history, 2, "operation 1 had compacted that");
    let third = put(4, 9, 3, 4);
    let history = with(&[third, compact(4, 9, 2, 3), old_read(4, 9, 1, 4)]);
    is_bad(&history, 4, "operation 3 had compacted that");
}

#[test]
fn whatever_is_compacted_was_compacted_by_somebody() {
    let puts = [put(0, 1, 1, 2), put(0, 9, 2, 3)];
    let with = |more: &[Operation]| [&puts[..], more].concat();
    let told = refused(2, 5, 1, Response::Compacted);
    is_good(&with(&[told.clone(), compact(5, 9, 2, 3)]));
    is_bad(&with(&[told.clone(), compact(6, 9, 2, 3)]), 2, "can have been done at 6");
    is_good(&with(&[told.clone(), unknown(5, Request::Compact { revision: 2 }, None)]));
    let late = unknown(6, Request::Compact { revision: 2 }, None);
    is_bad(&with(&[told.clone(), late]), 2, "can have been done at 6 at the earliest");
    let early = unknown(0, Request::Compact { revision: 1 }, None);
    is_bad(&with(&[told, early]), 2, "there is none to revision 2 or above");
    // The other compaction is not done twice.
    let again = answered(4, 5, Request::Compact { revision: 2 }, Response::Compacted);
    is_good(&with(&[compact(2, 5, 2, 3), again.clone()]));
    is_bad(&with(&[compact(6, 7, 2, 3), again]), 3, "no compaction was there");
    let below = answered(4, 5, Request::Compact { revision: -1 }, Response::Compacted);
    is_good(&with(&[below]));
}

/// The compaction that was needed can only have come after something else, and that came too late.
#[test]
fn a_compaction_waits_for_what_comes_before_it() {
    let told = || refused(2, 5, 1, Response::Compacted);
    let wanted = || unknown(0, Request::Compact { revision: 2 }, None);
    let first = || put(0, 1, 1, 2);
    // It answered at a revision that was made later.
    let history = |invoked| [first(), put(invoked, 9, 2, 3), compact(0, 9, 2, 3), told()];
    is_good(&history(5));
    is_bad(&history(6), 3, "operation 2 (compaction to revision 2) can have been done at 6");
    // The revision that it names was made later.
    let history = |invoked| [put(invoked, 9, 1, 2), wanted(), told()];
    is_good(&history(5));
    is_bad(&history(6), 2, "operation 1 (compaction to revision 2) can have been done at 6");
    // A read that it would end answered at a revision that was made later.
    let history = |invoked, read| [first(), put(invoked, 9, 2, 3), wanted(), told(), read];
    is_good(&history(5, old_read(0, 9, 1, 3)));
    is_bad(&history(6, old_read(0, 9, 1, 3)), 3, "operation 2 (compaction to revision 2) can");
    is_good(&history(6, old_read(0, 9, 2, 3)));
    is_good(&history(6, serializable(old_read(0, 9, 1, 3))));
}

#[test]
fn a_beginning_knows_nothing_of_what_comes_later() {
    let history = [put(4, 5, 2, 3), put(0, 3, 1, 2), read(3, 5, 1, 2, &[pair(1, 2)])];
    let all = prefix(&history, 3);
    assert_eq!(all, [history[1].clone(), history[2].clone(), history[0].clone()]);
    assert_eq!(prefix(&history, 9), all);
    // The read has not returned, and the put may return at this time or later.
    assert_eq!(prefix(&history, 2), [history[1].clone()]);
    assert_eq!(prefix(&history, 1), [unknown(0, put_of(1), Some(2))]);
    assert_eq!(prefix(&history, 0), []);
}

#[test]
fn a_search_has_bounds() {
    let puts: Vec<_> = (0..65).map(|_| unknown(0, put_of(1), None)).collect();
    assert_eq!(search(&puts[..64], 100), Verdict::Linearizable);
    assert!(catch_unwind(|| search(&puts, 100)).is_err(), "one too many");
    let reads: Vec<_> = (0..65).map(|_| serializable(read(0, 1, 1, 1, &[]))).collect();
    assert_eq!(search(&reads, 100), Verdict::Linearizable);
    // Many ways, none of which leads to what was read.
    let lie = [&puts[..20], &[read(0, 1, 1, 9, &[])]].concat();
    assert_eq!(search(&lie, 1_000), Verdict::OutOfBudget);
    assert_eq!(search(&[put(0, 1, 1, 2)], 0), Verdict::OutOfBudget);
}
