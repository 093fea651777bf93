//! Transactions: conditions, order, what they see, and that they do all or nothing.

use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    Compare, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
};
use quorate_store::{Error, is_read_only};

use super::bench::{Bench, compare, delete, op, put, range, revision, revisions, txn};

/// Whether a condition holds.
fn holds(bench: &Bench, compare: Compare) -> bool {
    let request = TxnRequest { compare: vec![compare], ..Default::default() };
    bench.reader.txn(&request).unwrap().succeeded
}

fn values(response: &TxnResponse, at: usize) -> Vec<String> {
    let Some(Response::ResponseRange(range)) = &response.responses[at].response else {
        panic!("a range")
    };
    range.kvs.iter().map(|pair| String::from_utf8_lossy(&pair.value).into_owned()).collect()
}

#[test]
fn every_part_of_a_key_can_be_compared() {
    let bench = Bench::with(&[("x", ""), ("a", "m"), ("a", "m")]);
    let parts = [
        (CompareTarget::Version, TargetUnion::Version as fn(i64) -> TargetUnion, 2),
        (CompareTarget::Create, TargetUnion::CreateRevision, 3),
        (CompareTarget::Mod, TargetUnion::ModRevision, 4),
        (CompareTarget::Lease, TargetUnion::Lease, 0),
    ];
    for (target, union, own) in parts {
        let is = |result, given| holds(&bench, compare("a", target, result, union(given)));
        assert!(is(CompareResult::Equal, own) && !is(CompareResult::Equal, own + 1));
        assert!(is(CompareResult::NotEqual, own + 1) && !is(CompareResult::NotEqual, own));
        assert!(is(CompareResult::Greater, own - 1) && !is(CompareResult::Greater, own));
        assert!(is(CompareResult::Less, own + 1) && !is(CompareResult::Less, own));
    }
    let value = |result, given: &'static str| {
        let union = TargetUnion::Value(given.into());
        holds(&bench, compare("a", CompareTarget::Value, result, union))
    };
    assert!(value(CompareResult::Equal, "m") && value(CompareResult::NotEqual, "n"));
    assert!(value(CompareResult::Greater, "l") && value(CompareResult::Less, "mm"));
}

#[test]
fn a_missing_key_compares_as_zero_but_for_its_value() {
    let bench = Bench::new();
    for (target, zero) in [
        (CompareTarget::Version, TargetUnion::Version(0)),
        (CompareTarget::Create, TargetUnion::CreateRevision(0)),
        (CompareTarget::Mod, TargetUnion::ModRevision(0)),
        (CompareTarget::Lease, TargetUnion::Lease(0)),
    ] {
        assert!(holds(&bench, compare("a", target, CompareResult::Equal, zero)));
    }
    for result in [CompareResult::Equal, CompareResult::NotEqual, CompareResult::Less] {
        let union = TargetUnion::Value("x".into());
        assert!(!holds(&bench, compare("a", CompareTarget::Value, result, union)));
    }
}

#[test]
fn a_range_holds_if_each_of_its_keys_does_and_an_empty_one_is_a_missing_key() {
    let bench = Bench::with(&[("a", "1"), ("b", "1"), ("b", "1")]);
    let version = |key, range_end: &'static str, version| {
        let union = TargetUnion::Version(version);
        let compare = compare(key, CompareTarget::Version, CompareResult::Equal, union);
        holds(&bench, Compare { range_end: range_end.into(), ..compare })
    };
    assert!(version("a", "b", 1) && !version("a", "c", 1) && !version("a", "\0", 2));
    assert!(version("b", "\0", 2));
    assert!(version("c", "d", 0) && version("c", "a", 0));
}

#[test]
fn what_a_comparison_does_not_know_is_as_in_etcd() {
    let bench = Bench::with(&[("a", "1")]);
    let version = compare("a", CompareTarget::Version, CompareResult::Equal, TargetUnion::Lease(9));
    let unknown_target = |result| holds(&bench, Compare { target: 9, result, ..version.clone() });
    assert!(unknown_target(0), "an unknown target is equal");
    assert!(!unknown_target(1) && !unknown_target(2) && !unknown_target(3));
    let unknown_relation = Compare { result: 9, ..version.clone() };
    assert!(holds(&bench, unknown_relation), "an unknown relation holds");
    let mismatched = Compare { result: CompareResult::Greater.into(), ..version };
    assert!(holds(&bench, mismatched), "an operand of another kind is zero");
}

#[test]
fn one_of_two_lists_is_done() {
    let mut bench = Bench::new();
    let version = TargetUnion::Version(0);
    let create = TxnRequest {
        compare: vec![compare("a", CompareTarget::Version, CompareResult::Equal, version)],
        success: vec![op(put("a", "created"))],
        failure: vec![op(range("a", ""))],
    };
    let first = bench.txn(create.clone()).unwrap();
    assert!(first.succeeded);
    let second = bench.txn(create).unwrap();
    assert!(!second.succeeded);
    assert_eq!(values(&second, 0), ["created"]);
    assert_eq!(revision(&second.header), 2, "a list that only reads changes nothing");
}

#[test]
fn a_transaction_sees_its_own_changes_but_compares_without_them() {
    let mut bench = Bench::with(&[("a", "old")]);
    let is_new =
        compare("a", CompareTarget::Value, CompareResult::Equal, TargetUnion::Value("new".into()));
    let inner = TxnRequest {
        compare: vec![is_new],
        success: vec![op(put("b", "compared after"))],
        failure: vec![op(put("b", "compared before"))],
    };
    let response = bench
        .txn(txn(vec![
            op(range("a", "")),
            op(put("a", "new")),
            op(range("a", "")),
            op(inner),
            op(delete("a", "")),
            op(range("a", "c")),
        ]))
        .unwrap();
    assert_eq!(values(&response, 0), ["old"]);
    assert_eq!(values(&response, 2), ["new"]);
    assert_eq!(values(&response, 5), ["compared before"]);
}

/// An operation says the revision that it saw; an inner transaction's head is there but empty.
#[test]
fn heads_inside_of_a_transaction_tell_the_revision_so_far() {
    let mut bench = Bench::with(&[("a", "1")]);
    let response = bench
        .txn(txn(vec![
            op(range("a", "")),
            op(delete("nothing", "")),
            op(put("b", "1")),
            op(delete("nothing", "")),
            op(range("a", "")),
            op(txn(vec![op(put("c", "1"))])),
        ]))
        .unwrap();
    assert_eq!(revisions(&response), [2, 2, 3, 3, 3, 0]);
    assert_eq!(revision(&response.header), 3);
    let Some(Response::ResponseTxn(inner)) = &response.responses[5].response else {
        panic!("a txn")
    };
    assert_eq!(revisions(inner), [3]);
}

/// etcd 3.5 members parted over this: a read that fails after a write of its transaction.
#[test]
fn a_transaction_that_fails_has_changed_nothing() {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2"), ("a", "3")]);
    bench.compact(3).unwrap();
    let before = (bench.store.status(), bench.store.state_hash());
    let at = |revision| op(RangeRequest { revision, ..range("a", "") });
    let keeps_missing = op(PutRequest { ignore_value: true, ..put("missing", "") });
    for (last, error) in [
        (at(2), Error::Compacted),
        (at(-1), Error::Compacted),
        (at(5), Error::FutureRevision),
        (keeps_missing, Error::KeyNotFound),
        (op(PutRequest { lease: 1, ..put("b", "") }), Error::LeaseNotFound),
        (op(RangeRequest { sort_order: 9, ..range("a", "") }), Error::InvalidSortOption),
        (op(txn(vec![op(put("c", "")), at(2)])), Error::Compacted),
    ] {
        assert_eq!(bench.txn(txn(vec![op(put("b", "1")), last])), Err(error));
        assert_eq!((bench.store.status(), bench.store.state_hash()), before);
        assert_eq!(bench.get("b"), None);
    }
    let skipped = TxnRequest { failure: vec![at(2)], ..txn(vec![op(put("b", "1")), at(3)]) };
    assert!(bench.txn(skipped).is_ok(), "what is not done cannot fail");
}

#[test]
fn one_transaction_may_set_and_then_remove_a_key() {
    let mut bench = Bench::new();
    let response = bench
        .txn(txn(vec![
            op(txn(vec![op(put("a", "1"))])),
            op(txn(vec![op(delete("a", ""))])),
            op(range("a", "")),
        ]))
        .unwrap();
    assert_eq!(values(&response, 2), [""; 0]);
    assert_eq!(bench.reader.status().versions, 2, "both are history");
    assert_eq!((bench.get("a"), bench.put("a", "2")), (None, 3));
    assert_eq!(bench.get("a").unwrap().version, 1);
    assert_eq!(bench.get_at("a", 2), Ok(None));
}

/// The checks before a proposal let this through, as etcd's do; there it ends the process.
#[test]
fn a_put_that_keeps_the_value_of_a_key_just_removed_sets_what_it_brings() {
    let mut bench = Bench::with(&[("b", "1")]);
    let keep = PutRequest { ignore_value: true, ..put("b", "") };
    bench.txn(txn(vec![op(delete("a", "\0")), op(keep)])).unwrap();
    let pair = bench.get("b").unwrap();
    assert_eq!((&pair.value[..], pair.version), (&b""[..], 1));
}

#[test]
fn an_operation_that_says_nothing_is_answered_by_nothing() {
    let mut bench = Bench::new();
    let response = bench.txn(txn(vec![RequestOp { request: None }, op(put("a", "1"))])).unwrap();
    assert_eq!(response.responses[0].response, None);
    assert!(response.responses[1].response.is_some());
}

#[test]
fn only_a_transaction_that_reads_can_be_asked_of_a_reader() {
    let bench = Bench::with(&[("a", "1")]);
    let reads = txn(vec![op(range("a", "")), op(txn(vec![op(range("a", ""))]))]);
    assert!(is_read_only(&reads) && is_read_only(&TxnRequest::default()));
    let response = bench.reader.txn(&reads).unwrap();
    assert_eq!(revision(&response.header), 2);
    for writes in [
        txn(vec![op(put("a", "2"))]),
        TxnRequest { failure: vec![op(delete("a", ""))], ..Default::default() },
        txn(vec![op(txn(vec![op(put("a", "2"))]))]),
    ] {
        assert!(!is_read_only(&writes));
        assert_eq!(bench.reader.txn(&writes), Err(Error::WritesInRead));
    }
    let compacted = txn(vec![op(RangeRequest { revision: 3, ..range("a", "") })]);
    assert_eq!(bench.reader.txn(&compacted), Err(Error::FutureRevision));
}
