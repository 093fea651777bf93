//! Puts and removals.

use quorate_proto::etcdserverpb::{DeleteRangeRequest, PutRequest};
use quorate_store::{Command, Error, Reply};

use super::bench::{Bench, delete, op, put, range, revision, txn};

#[test]
fn a_put_can_tell_what_was_before() {
    let mut bench = Bench::new();
    let request = || PutRequest { prev_kv: true, ..put("a", "1") };
    assert_eq!(bench.try_put(request()).unwrap().prev_kv, None);
    let before = bench.get("a");
    assert_eq!(bench.try_put(request()).unwrap().prev_kv, before);
    bench.delete("a", "");
    assert_eq!(bench.try_put(request()).unwrap().prev_kv, None);
}

#[test]
fn a_put_can_keep_the_value_of_a_key_that_exists() {
    let mut bench = Bench::new();
    let keep = || PutRequest { ignore_value: true, ..put("a", "") };
    assert_eq!(bench.try_put(keep()), Err(Error::KeyNotFound));
    bench.put("a", "1");
    bench.try_put(keep()).unwrap();
    let pair = bench.get("a").unwrap();
    assert_eq!((&pair.value[..], pair.version), (&b"1"[..], 2));
    bench.delete("a", "");
    assert_eq!(bench.try_put(keep()), Err(Error::KeyNotFound));
}

#[test]
fn a_put_can_keep_the_lease_of_a_key_that_exists() {
    let mut bench = Bench::new();
    let keep = || PutRequest { ignore_lease: true, ..put("a", "2") };
    assert_eq!(bench.try_put(keep()), Err(Error::KeyNotFound));
    bench.put("a", "1");
    bench.try_put(keep()).unwrap();
    assert_eq!(bench.get("a").unwrap().value, "2");
}

#[test]
fn a_lease_that_is_not_there_comes_before_a_key_that_is_not_there() {
    let mut bench = Bench::new();
    let request = || PutRequest { lease: 5, ignore_value: true, ..put("a", "") };
    assert_eq!(bench.try_put(request()), Err(Error::LeaseNotFound));
    // Inside of a transaction it is the other way round.
    assert_eq!(bench.txn(txn(vec![op(request())])), Err(Error::KeyNotFound));
    let request = PutRequest { lease: 5, ..put("a", "") };
    assert_eq!(bench.txn(txn(vec![op(request)])), Err(Error::LeaseNotFound));
}

#[test]
fn a_removal_says_how_many_and_on_request_which() {
    let mut bench = Bench::with(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let request = DeleteRangeRequest { prev_kv: true, ..delete("a", "c") };
    let pairs = bench.range(range("a", "c")).kvs;
    let Reply::DeleteRange(Ok(response)) = bench.apply(&Command::DeleteRange(request)) else {
        panic!("it removes")
    };
    assert_eq!((response.deleted, response.prev_kvs), (2, pairs));
    assert_eq!(revision(&response.header), 5);
    let response = bench.delete("\0", "\0");
    assert_eq!((response.deleted, response.prev_kvs.len()), (1, 0));
    assert_eq!(bench.range(range("\0", "\0")).count, 0);
    assert_eq!(bench.reader.status().keys, 0);
}

#[test]
fn a_removal_of_many_keys_takes_them_all() {
    let mut bench = Bench::new();
    for number in 0..1_000 {
        bench.put(&format!("{number:05}"), "");
    }
    assert_eq!(bench.delete("00100", "00900").deleted, 800);
    assert_eq!(bench.range(range("\0", "\0")).count, 200);
}

#[test]
fn stores_that_did_different_things_have_different_hashes() {
    let pairs = [("a", "1"), ("b", "1")];
    let hash_after = |change: fn(&mut Bench)| {
        let mut bench = Bench::with(&pairs);
        change(&mut bench);
        bench.store.state_hash()
    };
    let hashes = std::collections::BTreeSet::from([
        hash_after(|_| ()),
        hash_after(|bench| assert_eq!(bench.delete("a", "").deleted, 1)),
        hash_after(|bench| assert_eq!(bench.delete("b", "").deleted, 1)),
        hash_after(|bench| assert_eq!(bench.delete("a", "\0").deleted, 2)),
        hash_after(|bench| assert_eq!(bench.put("a", ""), 4)),
        hash_after(|bench| assert_eq!(bench.put("b", ""), 4)),
    ]);
    assert_eq!(hashes.len(), 6);
    let nothing = hash_after(|bench| assert_eq!(bench.delete("c", "").deleted, 0));
    assert!(hashes.contains(&nothing), "what changes nothing leaves the hash");
}
