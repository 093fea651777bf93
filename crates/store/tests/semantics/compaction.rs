//! Compaction: which revisions can be read, and what is kept.

use quorate_proto::etcdserverpb::CompactionRequest;
use quorate_store::{Command, Error, Wants};

use super::bench::{Bench, range};

#[test]
fn a_compaction_goes_forward_and_not_beyond_the_current_revision() {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2")]);
    assert_eq!(bench.compact(-1), Err(Error::Compacted));
    assert_eq!(bench.compact(0), Ok(3), "before the first, zero is ahead");
    assert_eq!(bench.compact(0), Err(Error::Compacted));
    assert_eq!(bench.compact(4), Err(Error::FutureRevision));
    assert_eq!(bench.compact(3), Ok(3));
    assert_eq!(bench.compact(3), Err(Error::Compacted));
    assert_eq!(bench.reader.compacted(), 3);
}

#[test]
fn a_living_key_keeps_its_newest_version_up_to_the_compacted_revision() {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2"), ("b", "1"), ("a", "3")]);
    bench.compact(4).unwrap();
    assert_eq!(bench.get_at("a", 4).unwrap().unwrap().value, "2");
    assert_eq!(bench.get_at("a", 5).unwrap().unwrap().value, "3");
    assert_eq!(bench.reader.status().versions, 3, "a at 3 and 5, b at 4");
}

/// Events were lost here twice in etcd: a watch may start at exactly the compacted revision.
#[test]
fn a_removal_at_the_compacted_revision_stays_and_one_before_it_goes() {
    let mut bench = Bench::with(&[("a", "1")]);
    bench.delete("a", "");
    bench.compact(3).unwrap();
    assert_eq!(bench.reader.status().versions, 1, "the tombstone");
    bench.put("b", "1");
    bench.compact(4).unwrap();
    assert_eq!(bench.reader.status().versions, 1, "b");
    assert_eq!(bench.get_at("a", 4), Ok(None));
}

#[test]
fn all_that_happened_at_the_compacted_revision_stays_whatever_came_later() {
    let mut bench = Bench::with(&[("a", "1")]);
    bench.delete("a", "");
    bench.put("a", "2");
    bench.compact(3).unwrap();
    assert_eq!(bench.reader.status().versions, 2, "the removal at 3 and the put at 4");
    assert_eq!(bench.get_at("a", 3), Ok(None));
}

#[test]
fn without_physical_the_space_comes_free_with_later_commands() {
    let mut bench = Bench::new();
    for number in 0..500 {
        bench.put(&format!("{number:04}"), "1");
        bench.put(&format!("{number:04}"), "2");
    }
    let compact = CompactionRequest { revision: 1_001, physical: false };
    bench.apply(&Command::Compact(compact));
    let after_command = bench.reader.status().versions;
    assert!((900..1_000).contains(&after_command), "one step, not all: {after_command}");
    for _ in 0..50 {
        bench.put("0000", "3");
    }
    let status = bench.reader.status();
    assert_eq!(status.versions, 550, "only what came since is history");
    assert_eq!(bench.range(range("\0", "\0")).count, 500);
}

/// However much there is to remove, of one key or of many, no command pays for more than a step.
#[test]
fn a_key_with_a_long_history_is_removed_in_steps_too() {
    let mut bench = Bench::new();
    for _ in 0..2_000 {
        bench.put("a", "1");
    }
    bench.apply(&Command::Compact(CompactionRequest { revision: 2_001, physical: false }));
    let mut before = 2_000;
    for _ in 0..40 {
        assert_eq!(bench.get_at("a", 2_001).unwrap().unwrap().version, 2_000);
        let versions = bench.reader.status().versions;
        assert!(before - versions <= 100, "{before} to {versions}");
        before = versions;
        bench.delete("nothing", "");
    }
    assert_eq!(before, 1);
}

#[test]
fn the_hash_depends_on_the_compacted_revision_and_not_on_what_was_removed() {
    let (mut one, mut other) =
        (Bench::with(&[("a", "1"), ("a", "2")]), Bench::with(&[("a", "1"), ("a", "2")]));
    let view = other.reader.view();
    let compact = Command::Compact(CompactionRequest { revision: 3, physical: true }).encode();
    one.store.apply(&compact, Wants::Nothing);
    assert_ne!(one.store.state_hash(), other.store.state_hash());
    other.store.apply(&compact, Wants::Nothing);
    assert_ne!(one.store.status().versions, other.store.status().versions, "the view holds it");
    assert_eq!(one.store.state_hash(), other.store.state_hash());
    drop(view);
}

#[test]
fn the_numbers_follow_what_is_kept() {
    let mut bench = Bench::new();
    let empty = bench.reader.status();
    assert_eq!((empty.keys, empty.versions, empty.bytes, empty.bytes_live), (0, 0, 0, 0));
    bench.put("a", "1");
    let one = bench.reader.status();
    assert_eq!(one.bytes, one.bytes_live);
    bench.put("a", "2");
    let two = bench.reader.status();
    assert_eq!((two.keys, two.versions, two.bytes), (1, 2, 2 * one.bytes));
    assert_eq!(two.bytes_live, one.bytes_live);
    bench.delete("a", "");
    let gone = bench.reader.status();
    assert_eq!((gone.keys, gone.versions, gone.bytes_live), (0, 3, 0));
    bench.put("b", "1");
    bench.compact(5).unwrap();
    let last = bench.reader.status();
    assert_eq!((last.keys, last.versions, last.bytes), (1, 1, one.bytes));
}
