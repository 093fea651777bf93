//! When the revision moves and what the numbers of a key say.

use quorate_proto::mvccpb::KeyValue;
use quorate_store::{Command, Error, Reply, Wants};

use super::bench::{Bench, op, put, range, revision, txn};

#[test]
fn a_fresh_store_is_at_revision_one_and_the_first_write_makes_two() {
    let mut bench = Bench::new();
    assert_eq!((bench.reader.revision(), bench.reader.compacted()), (1, -1));
    assert_eq!(revision(&bench.range(range("a", "")).header), 1);
    assert_eq!(bench.put("a", "1"), 2);
    assert_eq!(bench.reader.revision(), 2);
}

#[test]
fn a_key_keeps_its_creation_and_counts_its_changes() {
    let mut bench = Bench::with(&[("a", "1"), ("b", "1"), ("a", "2")]);
    let expected = KeyValue {
        key: "a".into(),
        create_revision: 2,
        mod_revision: 4,
        version: 2,
        value: "2".into(),
        lease: 0,
    };
    assert_eq!(bench.get("a"), Some(expected.clone()));
    // Once removed, it starts anew.
    bench.delete("a", "");
    assert_eq!(bench.get("a"), None);
    bench.put("a", "2");
    let reborn = KeyValue { create_revision: 6, mod_revision: 6, version: 1, ..expected };
    assert_eq!(bench.get("a"), Some(reborn));
}

#[test]
fn what_changes_nothing_leaves_the_revision() {
    let mut bench = Bench::with(&[("a", "1")]);
    assert_eq!(revision(&bench.delete("b", "").header), 2);
    assert_eq!(revision(&bench.txn(txn(vec![])).unwrap().header), 2);
    assert_eq!(revision(&bench.txn(txn(vec![op(range("a", ""))])).unwrap().header), 2);
    let failing = put("a", "2");
    let failing = quorate_proto::etcdserverpb::PutRequest { lease: 5, ..failing };
    assert_eq!(bench.try_put(failing), Err(Error::LeaseNotFound));
    assert_eq!(bench.compact(2), Ok(2));
    assert_eq!(bench.reader.revision(), 2);
}

#[test]
fn all_changes_of_a_transaction_share_one_revision() {
    let mut bench = Bench::with(&[("a", "1")]);
    let response = bench.txn(txn(vec![op(put("b", "1")), op(put("c", "1"))])).unwrap();
    assert_eq!(revision(&response.header), 3);
    assert_eq!(bench.get("b").unwrap().mod_revision, 3);
    assert_eq!(bench.get("c").unwrap().mod_revision, 3);
    assert_eq!(bench.put("d", "1"), 4);
}

#[test]
fn an_answer_from_history_has_the_current_revision_at_its_head() {
    let bench = Bench::with(&[("a", "1"), ("a", "2")]);
    let request = quorate_proto::etcdserverpb::RangeRequest { revision: 2, ..range("a", "") };
    let response = bench.range(request);
    assert_eq!(revision(&response.header), 3);
    assert_eq!(response.kvs[0].value, "1");
}

#[test]
fn bytes_that_are_no_command_change_nothing() {
    let mut bench = Bench::with(&[("a", "1")]);
    let before = (bench.store.status(), bench.store.state_hash());
    let reply = bench.store.apply(&b"\x63".as_slice().into(), Wants::Reply);
    assert_eq!(reply, Some(Reply::Malformed(Error::Malformed)));
    assert_eq!((bench.store.status(), bench.store.state_hash()), before);
}

#[test]
fn a_reply_that_nobody_wants_is_not_built_and_the_change_is_the_same() {
    let (mut leader, mut follower) = (Bench::new(), Bench::new());
    for command in [
        Command::Put(put("a", "1")),
        Command::Txn(txn(vec![op(range("a", "")), op(put("a", "2"))])),
        Command::DeleteRange(super::bench::delete("a", "")),
    ] {
        leader.apply(&command);
        assert_eq!(follower.store.apply(&command.encode(), Wants::Nothing), None);
    }
    assert_eq!(leader.store.state_hash(), follower.store.state_hash());
    assert_eq!(leader.store.status(), follower.store.status());
}
