//! How large an answer may be.

use quorate_proto::etcdserverpb::RangeRequest;
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_store::{Error, Reader};

use super::bench::{Bench, op, put, range, txn};

/// What each pair counts here: a key of one byte, a value of ten.
const PAIR: usize = 1 + 10 + Reader::PAIR_BYTES;

/// A hundred pairs of one length, of which a reader gives three.
fn three_of_many() -> Bench {
    let mut bench = Bench::new();
    for key in 0..100_u8 {
        bench.put(&char::from(key).to_string(), "0123456789");
    }
    let reader = bench.reader.with_answer_bytes_max(3 * PAIR);
    Bench { reader, ..bench }
}

fn refused<T: PartialEq + std::fmt::Debug>(answer: Result<T, Error>) {
    let error = answer.expect_err("it is too large");
    assert_eq!(error, Error::AnswerTooLarge { bytes_max: 3 * PAIR });
    assert_eq!(error.code().number(), 8);
}

fn all() -> RangeRequest {
    range("\0", "\0")
}

#[test]
fn an_answer_has_as_much_as_it_may_and_no_more() {
    let bench = three_of_many();
    refused(bench.reader.range(&all()));
    refused(bench.reader.view().range(&all()));
    refused(bench.reader.range(&RangeRequest { limit: 4, ..all() }));
    let three = bench.reader.range(&RangeRequest { limit: 3, ..all() }).unwrap();
    assert_eq!((three.kvs.len(), three.more, three.count), (3, true, 100));
    assert_eq!(bench.reader.range(&range("a", "d")).unwrap().kvs.len(), 3);
    let counted = bench.reader.range(&RangeRequest { count_only: true, ..all() }).unwrap();
    assert_eq!(counted.count, 100);
    refused(bench.reader.range(&RangeRequest { keys_only: true, ..all() }));
    let keys = RangeRequest { keys_only: true, ..range("a", "d") };
    assert_eq!(bench.reader.range(&keys).unwrap().kvs.len(), 3);
}

#[test]
fn what_is_sorted_or_filtered_away_does_not_count() {
    let bench = three_of_many();
    let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
    let targets = [SortTarget::Key, SortTarget::Mod, SortTarget::Value];
    for (order, target) in orders.into_iter().flat_map(|order| targets.map(|to| (order, to))) {
        let sorted = |limit| RangeRequest {
            sort_order: order.into(),
            sort_target: target.into(),
            limit,
            ..all()
        };
        assert_eq!(bench.reader.range(&sorted(3)).unwrap().kvs.len(), 3, "{order:?} {target:?}");
        refused(bench.reader.range(&sorted(4)));
        refused(bench.reader.range(&sorted(0)));
    }
    let late = RangeRequest { min_mod_revision: 99, ..all() };
    assert_eq!(bench.reader.range(&late).unwrap().kvs.len(), 3);
    refused(bench.reader.range(&RangeRequest { min_mod_revision: 98, ..all() }));
}

#[test]
fn the_reads_of_a_transaction_share_the_bound() {
    let bench = three_of_many();
    let two = || op(range("a", "c"));
    let one = || op(range("a", ""));
    assert!(bench.reader.txn(&txn(vec![two(), one()])).is_ok());
    refused(bench.reader.txn(&txn(vec![two(), two()])));
    refused(bench.reader.txn(&txn(vec![two(), op(txn(vec![two()]))])));
}

#[test]
fn a_transaction_that_writes_is_not_refused_for_its_answer() {
    let mut bench = three_of_many();
    let response = bench.txn(txn(vec![op(put("a", "1")), op(all())])).unwrap();
    assert_eq!(response.responses.len(), 2);
}
