//! Which keys a read gets, which of them it shows, and in which order.

use quorate_proto::etcdserverpb::RangeRequest;
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_store::Error;

use super::bench::{Bench, keys, range};

fn letters() -> Bench {
    Bench::with(&[("e", "1"), ("d", "5"), ("c", "3"), ("b", "2"), ("a", "4"), ("e", "9")])
}

fn sorted(target: SortTarget, order: SortOrder) -> RangeRequest {
    RangeRequest { sort_target: target.into(), sort_order: order.into(), ..range("a", "\0") }
}

#[test]
fn the_end_of_a_range_has_three_forms() {
    let bench = letters();
    let keys = |key, range_end| keys(&bench.range(range(key, range_end)));
    assert_eq!(keys("c", ""), ["c"], "none: one key");
    assert_eq!(keys("c", "\0"), ["c", "d", "e"], "a zero byte: all from the key on");
    assert_eq!(keys("\0", "\0"), ["a", "b", "c", "d", "e"], "and so everything");
    assert_eq!(keys("b", "d"), ["b", "c"], "else it is exclusive");
    assert_eq!(keys("bb", "cc"), ["c"], "and neither need exist");
    assert_eq!(keys("d", "b"), [""; 0], "an end before the key is no error");
    assert_eq!(keys("d", "d"), [""; 0], "nor is the key itself");
}

#[test]
fn the_count_is_of_the_whole_range() {
    let bench = letters();
    let limited = bench.range(RangeRequest { limit: 2, ..range("a", "\0") });
    assert_eq!(keys(&limited), ["a", "b"]);
    assert_eq!((limited.count, limited.more), (5, true));
    let exact = bench.range(RangeRequest { limit: 5, ..range("a", "\0") });
    assert_eq!((exact.count, exact.more), (5, false));
    let filtered = bench.range(RangeRequest { min_mod_revision: 6, ..range("a", "\0") });
    assert_eq!(keys(&filtered), ["a", "e"]);
    assert_eq!((filtered.count, filtered.more), (5, false));
    let counted = bench.range(RangeRequest { count_only: true, limit: 1, ..range("a", "\0") });
    assert_eq!((counted.count, counted.more, counted.kvs.len()), (5, false, 0));
    let negative = bench.range(RangeRequest { limit: -3, ..range("a", "\0") });
    assert_eq!((negative.count, negative.more, negative.kvs.len()), (5, false, 5));
}

#[test]
fn each_filter_has_both_bounds_inclusive() {
    let bench = letters();
    let filtered = |request: RangeRequest| keys(&bench.range(request));
    let all = || range("a", "\0");
    assert_eq!(filtered(RangeRequest { min_mod_revision: 5, ..all() }), ["a", "b", "e"]);
    assert_eq!(filtered(RangeRequest { max_mod_revision: 5, ..all() }), ["b", "c", "d"]);
    assert_eq!(filtered(RangeRequest { min_create_revision: 5, ..all() }), ["a", "b"]);
    assert_eq!(filtered(RangeRequest { max_create_revision: 3, ..all() }), ["d", "e"]);
    let limited = bench.range(RangeRequest { min_mod_revision: 4, limit: 2, ..all() });
    assert_eq!(keys(&limited), ["a", "b"], "the limit counts what passes");
    assert!(limited.more);
}

#[test]
fn sorting_is_by_any_part_and_the_limit_comes_after_it() {
    let bench = letters();
    let by = |target, order| keys(&bench.range(sorted(target, order)));
    assert_eq!(by(SortTarget::Key, SortOrder::Descend), ["e", "d", "c", "b", "a"]);
    assert_eq!(by(SortTarget::Mod, SortOrder::Ascend), ["d", "c", "b", "a", "e"]);
    assert_eq!(by(SortTarget::Create, SortOrder::Ascend), ["e", "d", "c", "b", "a"]);
    assert_eq!(by(SortTarget::Value, SortOrder::Descend), ["e", "d", "a", "c", "b"]);
    assert_eq!(by(SortTarget::Version, SortOrder::Descend), ["e", "a", "b", "c", "d"], "stable");
    let request = RangeRequest { limit: 2, ..sorted(SortTarget::Mod, SortOrder::Ascend) };
    assert_eq!(keys(&bench.range(request)), ["d", "c"]);
}

/// etcd 3.4 to 3.6 all do this: without an order the limit is taken to hold for keys as they come.
#[test]
fn a_target_without_an_order_sorts_upwards_what_the_limit_let_through() {
    let bench = letters();
    let request = sorted(SortTarget::Mod, SortOrder::None);
    assert_eq!(keys(&bench.range(request.clone())), ["d", "c", "b", "a", "e"]);
    let limited = bench.range(RangeRequest { limit: 2, ..request.clone() });
    assert_eq!(keys(&limited), ["c", "b"], "of a, b and c");
    assert!(limited.more);
    // With a filter all keys are looked at first.
    let filtered = RangeRequest { limit: 2, min_mod_revision: 3, ..request };
    assert_eq!(keys(&bench.range(filtered)), ["d", "c"]);
}

#[test]
fn values_can_be_left_out_and_still_be_sorted_by() {
    let bench = letters();
    let request = sorted(SortTarget::Value, SortOrder::Ascend);
    let response = bench.range(RangeRequest { keys_only: true, ..request });
    assert_eq!(keys(&response), ["b", "c", "a", "d", "e"]);
    assert!(response.kvs.iter().all(|pair| pair.value.is_empty()));
    assert_eq!(response.kvs[4].version, 2, "the rest is there");
}

#[test]
fn a_sorting_that_does_not_exist_is_refused() {
    let bench = letters();
    for request in [
        RangeRequest { sort_order: 3, ..range("a", "") },
        RangeRequest { sort_target: 5, ..range("a", "\0") },
        RangeRequest { sort_target: -1, ..range("a", "\0") },
    ] {
        assert_eq!(bench.reader.range(&request), Err(Error::InvalidSortOption));
    }
}

#[test]
fn history_can_be_read_from_the_compacted_revision_to_the_current() {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2"), ("a", "3")]);
    bench.delete("a", "");
    assert_eq!(bench.get_at("a", 1), Ok(None));
    for (revision, value) in [(2, "1"), (3, "2"), (4, "3")] {
        assert_eq!(bench.get_at("a", revision).unwrap().unwrap().value, value);
    }
    assert_eq!(bench.get_at("a", 5), Ok(None));
    assert_eq!(bench.get_at("a", 6), Err(Error::FutureRevision));
    assert_eq!(bench.get_at("a", -7), Ok(None), "below zero is the current one");
    bench.compact(3).unwrap();
    assert_eq!(bench.get_at("a", 2), Err(Error::Compacted));
    assert_eq!(bench.get_at("a", 3).unwrap().unwrap().value, "2");
}
