//! The hash of what can be read, which operators compare between members.

use std::collections::BTreeSet;

use quorate_proto::etcdserverpb::CompactionRequest;
use quorate_store::{Command, Error};

use super::bench::Bench;

fn hash(bench: &Bench, revision: i64) -> Result<u32, Error> {
    bench.reader.view().content_hash(revision)
}

fn story() -> Bench {
    let mut bench = Bench::new();
    for number in 0..300 {
        bench.put(&format!("{:03}", number % 100), &format!("{number}"));
    }
    bench.delete("010", "020");
    bench.put("015", "again");
    bench
}

#[test]
fn equal_histories_have_equal_hashes_at_every_revision() {
    let (one, mut other) = (story(), story());
    let now = one.reader.revision();
    // What happened later does not count, only what had happened then.
    other.put("later", "1");
    let mut seen = BTreeSet::new();
    for revision in 1..=now {
        let expected = hash(&one, revision).unwrap();
        assert_eq!(hash(&other, revision), Ok(expected));
        assert!(seen.insert(expected), "revision {revision} looks like an earlier one");
    }
    assert_eq!(hash(&one, 0), hash(&one, now));
    assert_ne!(hash(&other, 0), hash(&one, 0));
}

#[test]
fn every_difference_counts() {
    let expected = hash(&Bench::with(&[("a", "1"), ("b", "1")]), 0).unwrap();
    for pairs in [
        &[("a", "1"), ("b", "2")][..],
        &[("a", "1"), ("c", "1")],
        &[("b", "1"), ("a", "1")],
        &[("a", "1")],
        &[("a", "1"), ("b", "1"), ("a", "1")],
    ] {
        assert_ne!(hash(&Bench::with(pairs), 0), Ok(expected), "{pairs:?}");
    }
    let mut removed = Bench::with(&[("a", "1"), ("b", "1")]);
    removed.delete("a", "");
    assert_ne!(hash(&removed, 0), Ok(expected));
    assert_eq!(hash(&removed, 3), Ok(expected));
}

#[test]
fn what_is_removed_of_the_compacted_does_not_count() {
    let (mut lazy, mut eager) = (story(), story());
    let view = lazy.reader.view();
    for (bench, physical) in [(&mut lazy, false), (&mut eager, true)] {
        bench.apply(&Command::Compact(CompactionRequest { revision: 250, physical }));
    }
    assert_ne!(lazy.store.status().versions, eager.store.status().versions);
    for revision in 250..=eager.reader.revision() {
        assert_eq!(hash(&lazy, revision), hash(&eager, revision));
    }
    assert!(view.content_hash(100).is_ok(), "a view keeps what it has");
}

#[test]
fn a_revision_that_cannot_be_read_has_no_hash() {
    let mut bench = story();
    let now = bench.reader.revision();
    assert_eq!(hash(&bench, now + 1), Err(Error::FutureRevision));
    bench.compact(100).unwrap();
    assert_eq!(hash(&bench, 99), Err(Error::Compacted));
    assert!(hash(&bench, 100).is_ok());
}

#[test]
fn a_snapshot_by_a_reader_is_that_of_the_writer() {
    let mut bench = story();
    bench.compact(50).unwrap();
    let (of_reader, of_writer) = (bench.reader.snapshot(), bench.store.snapshot());
    assert_eq!(of_reader.state_hash(), bench.store.state_hash());
    let mut written = [Vec::new(), Vec::new()];
    of_reader.write_to(&mut written[0]).unwrap();
    of_writer.write_to(&mut written[1]).unwrap();
    assert_eq!(written[0], written[1]);
    let (estimate, bytes) = (of_reader.bytes_estimate(), written[0].len());
    let bytes = u64::try_from(bytes).unwrap();
    assert!(bytes / 2 < estimate && estimate < bytes * 2, "{estimate} of {bytes}");
}
