//! By hand: what transactions do.

use quorate_proto::etcdserverpb::compare::{CompareResult, TargetUnion};
use quorate_proto::etcdserverpb::{Compare, PutRequest, RangeRequest, TxnRequest};
use tonic::Code;

use super::build::{
    all, bytes, compact, compare, delete, delete_range, exists, get, is_missing, op, put, range,
    txn,
};
use super::session::Session;

const RESULTS: [CompareResult; 4] =
    [CompareResult::Equal, CompareResult::Greater, CompareResult::Less, CompareResult::NotEqual];

/// A read-only transaction on one condition, and the same with puts: they go different ways.
async fn both_ways(s: &mut Session, condition: Compare) {
    s.accepted(txn([condition.clone()], [op(get("c1"))], [])).await;
    s.accepted(txn([condition], [op(put("yes", ""))], [op(put("no", ""))])).await;
}

/// Every relation of every target, with keys that are there and one that is not.
pub(crate) async fn conditions(s: &mut Session) {
    s.accepted(put("c1", "m")).await;
    s.accepted(put("c1", "m")).await;
    s.accepted(put("c0", "")).await;
    let modified = s.revision() - 1;
    for result in RESULTS {
        for number in [0, 1, 2, 3, -1, modified - 1, modified, modified + 1] {
            for key in ["c1", "c0", "missing"] {
                for target in [
                    TargetUnion::Version(number),
                    TargetUnion::CreateRevision(number),
                    TargetUnion::ModRevision(number),
                    TargetUnion::Lease(number),
                ] {
                    let condition = compare(key, result, target);
                    s.accepted(txn([condition], [op(get("c1"))], [])).await;
                }
            }
        }
        for value in [&b""[..], b"a", b"m", b"m\0", b"z", b"\xff"] {
            for key in ["c1", "c0", "missing"] {
                both_ways(s, compare(key, result, TargetUnion::Value(bytes(value)))).await;
            }
        }
        let two = [exists("c1"), compare("c0", result, TargetUnion::Version(1))];
        s.accepted(txn(two, [], [op(get("c0"))])).await;
    }
    let no_key = compare("", CompareResult::Equal, TargetUnion::Version(0));
    s.refused(txn([no_key], [], []), Code::InvalidArgument, "key is not provided").await;
}

/// Conditions that every key of a range must meet, and ranges without keys.
pub(crate) async fn conditions_on_ranges(s: &mut Session) {
    for (key, value) in [("p1", "b"), ("p2", "b"), ("p3", "b"), ("p3", "c")] {
        s.accepted(put(key, value)).await;
    }
    let ranges: [(&str, &str); 8] = [
        ("p", "q"),
        ("p1", "p3"),
        ("p3", "p4"),
        ("p3", "\0"),
        ("x", "y"),
        ("p3", "p1"),
        ("p1", "p1"),
        ("\0", "\0"),
    ];
    for (key, range_end) in ranges {
        for result in RESULTS {
            for target in [
                TargetUnion::Version(1),
                TargetUnion::Version(0),
                TargetUnion::CreateRevision(s.revision()),
                TargetUnion::ModRevision(s.revision()),
                TargetUnion::Lease(0),
                TargetUnion::Value("b".into()),
                TargetUnion::Value("".into()),
            ] {
                let condition = compare(key, result, target);
                let condition = Compare { range_end: bytes(range_end), ..condition };
                s.accepted(txn([condition], [op(get("p1"))], [op(get("p2"))])).await;
            }
        }
    }
}

/// Conditions without an operand, with one of another kind, and with targets and relations that do
/// not exist.
pub(crate) async fn odd_conditions(s: &mut Session) {
    let operands = [
        None,
        Some(TargetUnion::Version(2)),
        Some(TargetUnion::CreateRevision(2)),
        Some(TargetUnion::ModRevision(2)),
        Some(TargetUnion::Value("m".into())),
        Some(TargetUnion::Lease(2)),
    ];
    for operand in operands {
        for target in [0, 1, 2, 3, 4, 5, 9, -1] {
            for result in [0, 1, 2, 3, 4, -1] {
                for key in ["c1", "missing"] {
                    let target_union = operand.clone();
                    let key = bytes(key);
                    let range_end = bytes("");
                    let odd = Compare { result, target, key, range_end, target_union };
                    s.accepted(txn([odd], [], [])).await;
                }
            }
        }
    }
}

/// What changes, and what it does to revisions.
pub(crate) async fn effects(s: &mut Session) {
    s.accepted(TxnRequest::default()).await;
    s.accepted(txn([is_missing("c1")], [op(put("c1", "x"))], [])).await;
    s.accepted(all([op(delete("missing"))])).await;
    s.accepted(all([op(delete_range("x", "y")), op(get("c1"))])).await;
    // Reads within see what was written before them, not what comes after.
    let old_pair = PutRequest { prev_kv: true, ..put("e1", "2") };
    s.accepted(all([op(get("e1")), op(put("e1", "1")), op(get("e1")), op(range("e", "f"))])).await;
    s.accepted(all([op(old_pair.clone()), op(put("e2", "")), op(get("e2")), op(range("e", "f"))]))
        .await;
    s.accepted(all([op(delete("e1")), op(get("e1")), op(range("e", "f"))])).await;
    s.accepted(all([op(old_pair), op(delete("e2")), op(delete("e2")), op(range("e", "f"))])).await;
    let limited = RangeRequest { limit: 1, sort_order: 2, ..range("e", "f") };
    s.accepted(all([op(put("e3", "3")), op(limited), op(put("e4", "4"))])).await;
    let counted = RangeRequest { count_only: true, ..range("e", "f") };
    s.accepted(all([op(delete_range("e2", "e4")), op(counted), op(delete_range("e", "f"))])).await;
    s.accepted(range("e", "f")).await;
    let keeps = PutRequest { ignore_value: true, ignore_lease: true, ..put("c1", "") };
    s.accepted(all([op(keeps.clone()), op(get("c1"))])).await;
    let keeps_none = PutRequest { key: "missing".into(), ..keeps };
    let refused = all([op(put("e5", "5")), op(keeps_none)]);
    s.refused(refused, Code::InvalidArgument, "key not found").await;
    let leased = PutRequest { lease: 9, ..put("e6", "6") };
    let refused = all([op(put("e5", "5")), op(leased)]);
    s.refused(refused, Code::NotFound, "requested lease not found").await;
    // In the branch not taken nothing is looked up.
    let leased = PutRequest { lease: 9, ..put("e6", "6") };
    s.accepted(txn([exists("c1")], [op(put("e5", "5"))], [op(leased)])).await;
    s.accepted(range("e", "f")).await;
    // Sets and removes one key where that is not looked for.
    s.accepted(put("o2", "before")).await;
    s.accepted(all([op(put("o2", "1")), op(delete_range("o1", "\0")), op(range("o", "p"))])).await;
    s.accepted(all([op(delete_range("o1", "\0")), op(put("o2", "2")), op(range("o", "p"))])).await;
    s.accepted(all([op(delete_range("o1", "\0")), op(put("o2", "3"))])).await;
    s.accepted(range("o", "p")).await;
    for serializable in [false, true] {
        let read = RangeRequest { serializable, ..range("c", "d") };
        s.accepted(all([op(read.clone()), op(read)])).await;
    }
    let mixed = RangeRequest { serializable: true, ..get("c1") };
    s.accepted(all([op(mixed), op(get("c0"))])).await;
}

/// Transactions in transactions: conditions are all asked before anything changes.
pub(crate) async fn nesting(s: &mut Session) {
    let inner = |key: &str| txn([is_missing(key)], [op(put(key, "new"))], [op(get(key))]);
    for _ in 0..2 {
        s.accepted(all([op(inner("n1")), op(get("n1"))])).await;
    }
    // The inner condition is asked of the state before.
    let asks = txn([exists("n2")], [op(put("n4", "yes"))], [op(put("n4", "no"))]);
    s.accepted(all([op(put("n2", "1")), op(asks.clone()), op(get("n4"))])).await;
    let asks_again = txn([exists("n2")], [op(put("n5", "yes"))], [op(put("n5", "no"))]);
    s.accepted(all([op(delete("n2")), op(asks_again), op(range("n", "o"))])).await;
    for outer in [exists("n1"), is_missing("n1")] {
        for middle in [exists("n1"), is_missing("n1")] {
            for inner in [exists("n2"), is_missing("n2")] {
                let innermost =
                    txn([inner], [op(put("n6", "a")), op(get("n6"))], [op(put("n6", "b"))]);
                let second = op(txn([exists("n9")], [], [op(range("n", "o"))]));
                let middle = txn([middle.clone()], [op(get("n5")), op(innermost), second], []);
                let last = op(all([op(get("n6"))]));
                let outer =
                    txn([outer.clone()], [op(middle), op(get("n6")), last], [op(get("n1"))]);
                s.accepted(outer).await;
            }
        }
    }
    let reads = all([op(all([op(range("n", "o"))])), op(get("n1"))]);
    s.accepted(reads.clone()).await;
    s.accepted(all([op(reads), op(all([]))])).await;
    s.accepted(all([op(all([op(delete("n1")), op(put("n7", ""))])), op(all([op(delete("n7"))]))]))
        .await;
    s.accepted(range("n", "o")).await;
}

/// A revision, from the current one and the one last compacted.
type Revision = fn(i64, i64) -> i64;

/// Reads at revisions, in transactions that write and in such that do not.
pub(crate) async fn reads_at_revisions(s: &mut Session) {
    s.accepted(put("v", "1")).await;
    s.accepted(put("v", "2")).await;
    s.accepted(compact(s.revision() - 1)).await;
    let future = Some("mvcc: required revision is a future revision");
    let past = Some("mvcc: required revision has been compacted");
    let cases: [(Revision, Option<&str>); 10] = [
        (|now, _| now, None),
        (|now, _| now - 1, None),
        (|_, compacted| compacted, None),
        (|_, _| 0, None),
        (|now, _| now + 1, future),
        (|_, _| i64::MAX, future),
        (|_, compacted| compacted - 1, past),
        (|_, _| 1, past),
        (|_, _| -1, past),
        (|_, _| i64::MIN, past),
    ];
    for (revision, error) in cases {
        for shape in 0..4 {
            let revision = revision(s.revision(), s.compacted());
            let read = op(RangeRequest { revision, ..range("v", "w") });
            let write = op(put("w", "written"));
            let request = match shape {
                0 => all([read]),
                1 => all([write, read]),
                2 => all([read, write]),
                _ => all([write, op(all([read]))]),
            };
            match error {
                Some(text) => s.refused(request, Code::OutOfRange, text).await,
                None => drop(s.accepted(request).await),
            }
        }
        let revision = revision(s.revision(), s.compacted());
        let read = RangeRequest { revision, ..range("v", "w") };
        // In the branch not taken the revision is not looked at.
        let not_taken = txn([exists("v")], [op(put("x", "written"))], [op(read)]);
        s.accepted(not_taken).await;
        s.accepted(get("w")).await;
    }
}
