//! Views: one revision, whatever happens meanwhile.

use quorate_proto::etcdserverpb::RangeRequest;
use quorate_store::Error;

use super::bench::{Bench, keys, range, revision};

#[test]
fn a_view_stays_at_its_revision() {
    let mut bench = Bench::with(&[("a", "1"), ("b", "1")]);
    let view = bench.reader.view();
    bench.put("a", "2");
    bench.put("c", "1");
    bench.delete("b", "");
    let response = view.range(&range("\0", "\0")).unwrap();
    assert_eq!(keys(&response), ["a", "b"]);
    assert_eq!(response.kvs[0].value, "1");
    assert_eq!((view.revision(), revision(&response.header)), (3, 3));
    let future = RangeRequest { revision: 4, ..range("a", "") };
    assert_eq!(view.range(&future), Err(Error::FutureRevision));
}

#[test]
fn a_compaction_takes_nothing_from_a_view() {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2"), ("b", "1")]);
    bench.delete("b", "");
    let view = bench.reader.view();
    bench.put("a", "3");
    bench.compact(6).unwrap();
    let at = |revision| RangeRequest { revision, ..range("\0", "\0") };
    assert_eq!(bench.reader.range(&at(5)), Err(Error::Compacted));
    assert_eq!(keys(&view.range(&at(5)).unwrap()), ["a"]);
    assert_eq!(keys(&view.range(&at(4)).unwrap()), ["a", "b"], "its history is there as well");
    assert_eq!(view.range(&at(2)).unwrap().kvs[0].value, "1");
    // What it held back goes with the next command.
    drop(view);
    bench.put("a", "4");
    assert_eq!(bench.reader.status().versions, 2, "a at 6 and 7");
}

#[test]
fn a_view_outlives_its_store() {
    let bench = Bench::with(&[("a", "1")]);
    let view = bench.reader.view();
    drop(bench);
    assert_eq!(view.range(&range("a", "")).unwrap().count, 1);
}
