//! What a store made of a snapshot is.

use std::io::{self, Read};

use quorate_proto::etcdserverpb::{CompactionRequest, PutRequest, RangeRequest};
use quorate_store::{Command, Error, RestoreError, Store, Wants};

use super::bytes::{bytes, restore, restored, state};
use crate::bench::{Bench, delete, op, put, txn};

/// A store with its reader, made of another's snapshot.
fn copy(bench: &Bench) -> Bench {
    let store = restored(&bytes(&bench.store)).unwrap();
    let reader = store.reader();
    Bench { store, reader }
}

#[test]
fn an_empty_store_comes_back_empty() {
    let empty = Store::new();
    let mut bench = Bench::with(&[("a", "1"), ("b", "1")]);
    restore(&mut bench.store, &bytes(&empty)).unwrap();
    assert_eq!(state(&bench.store), state(&empty));
    assert_eq!(bench.store.status(), empty.status());
    assert_eq!(bench.put("a", "1"), 2);
}

#[test]
fn history_comes_back_with_lives_and_versions() {
    let mut bench = Bench::with(&[("a", "1"), ("b", "1"), ("a", "2"), ("a", "3")]);
    bench.delete("a", "");
    bench.put("a", "4");
    bench.put("a", "5");
    bench.compact(4).unwrap();
    let mut copy = copy(&bench);
    assert_eq!(state(&copy.store), state(&bench.store));
    assert_eq!(copy.get_at("a", 3), Err(Error::Compacted));
    let kept = copy.get_at("a", 4).unwrap().unwrap();
    assert_eq!((kept.create_revision, kept.version), (2, 2), "though its creation is forgotten");
    assert_eq!(copy.get_at("a", 6), Ok(None));
    let now = copy.get("a").unwrap();
    assert_eq!((now.create_revision, now.version), (7, 2));
    assert_eq!(copy.put("a", "6"), 9);
    assert_eq!(copy.get("a").unwrap().version, 3);
}

/// The numbers of a member count what it has not removed yet; a copy has nothing to remove.
#[test]
fn the_numbers_are_those_of_what_can_be_read() {
    let mut bench = Bench::new();
    for number in 0..500 {
        bench.put(&format!("{number:04}"), "1");
        bench.put(&format!("{number:04}"), "2");
    }
    bench.delete("0400", "0500");
    let compact = CompactionRequest { revision: 1_002, physical: false };
    bench.apply(&Command::Compact(compact));
    let untidy = bench.store.status();
    let copy = copy(&bench).store.status();
    assert_eq!((copy.keys, copy.bytes_live), (untidy.keys, untidy.bytes_live));
    assert_eq!((copy.keys, copy.versions), (400, 500), "removals at 1002 can be watched");
    assert!(copy.versions < untidy.versions && copy.bytes < untidy.bytes);
    while bench.store.status() != copy {
        let before = bench.store.status().versions;
        bench.delete("nothing", "");
        assert!(bench.store.status().versions < before, "it comes to the same");
    }
}

#[test]
fn members_write_equal_bytes_whatever_they_have_removed() {
    let story = |bench: &mut Bench| {
        for number in 0..400 {
            bench.put(&format!("{number:04}"), "1");
            bench.put(&format!("{:04}", number / 3), "2");
        }
        bench.delete("0100", "0200");
        bench.put("0150", "3");
    };
    let (mut held, mut swept, mut half) = (Bench::new(), Bench::new(), Bench::new());
    for bench in [&mut held, &mut swept, &mut half] {
        story(bench);
    }
    let view = held.reader.view();
    for revision in [300, 700, 802] {
        for (bench, physical) in [(&mut held, true), (&mut swept, true), (&mut half, false)] {
            bench.apply(&Command::Compact(CompactionRequest { revision, physical }));
        }
        let versions = [&held, &half, &swept].map(|bench| bench.store.status().versions);
        assert!(versions[1] < versions[0] && versions[2] < versions[1], "{versions:?}");
        assert!(bytes(&held.store) == bytes(&swept.store));
        assert!(bytes(&half.store) == bytes(&swept.store));
    }
    drop(view);
}

#[test]
fn what_was_compacted_before_is_done_with_and_what_is_compacted_later_goes() {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("b", "2")]);
    bench.compact(3).unwrap();
    let mut copy = copy(&bench);
    assert_eq!(copy.compact(3), Err(Error::Compacted));
    assert_eq!(copy.compact(6), bench.compact(6));
    assert_eq!(copy.store.status().versions, 2);
    assert_eq!(copy.store.status(), bench.store.status());
    assert_eq!(state(&copy.store), state(&bench.store));
}

/// No request brings one, but bytes of a log may.
#[test]
fn a_key_without_a_byte_comes_back() {
    let mut bench = Bench::with(&[("", "1"), ("a", "1"), ("", "2")]);
    bench.delete("a", "");
    assert_eq!(state(&copy(&bench).store), state(&bench.store));
}

#[test]
fn all_changes_of_one_transaction_come_back() {
    let mut bench = Bench::with(&[("b", "1")]);
    let ops = || vec![op(put("a", "1")), op(delete("a", "c")), op(put("b", "2"))];
    bench.txn(txn(ops())).unwrap();
    bench.txn(txn(ops())).unwrap();
    for compacted in [-1, 2, 3, 4] {
        if 0 < compacted {
            bench.compact(compacted).unwrap();
        }
        let copy = copy(&bench);
        assert_eq!(state(&copy.store), state(&bench.store));
        assert_eq!(copy.store.status(), bench.store.status());
    }
}

/// Leases are of the format already.
#[test]
fn a_lease_comes_back() {
    let mut snapshot = bytes(&Bench::with(&[("a", "1")]).store);
    let lease = snapshot.len() - 7;
    assert_eq!(snapshot[lease..], [0, 1, b'1', 0, 1, 1, 1]);
    snapshot[lease] = 9;
    let mut store = restored(&snapshot).unwrap();
    assert!(bytes(&store) == snapshot);
    let kept = PutRequest { ignore_lease: true, ..put("a", "2") };
    store.apply(&Command::Put(kept).encode(), Wants::Nothing);
    let pair = store.reader().range(&RangeRequest { key: "a".into(), ..Default::default() });
    assert_eq!(pair.unwrap().kvs[0].lease, 9);
}

/// A source that gives little at a time and is interrupted, and one that fails.
#[test]
fn the_source_may_be_slow_and_may_fail() {
    struct Slow<'a> {
        rest: &'a [u8],
        turn: usize,
        fails: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.turn += 1;
            match self.rest {
                _ if self.turn.is_multiple_of(3) => Err(io::ErrorKind::Interrupted.into()),
                [] if self.fails => Err(io::Error::other("the cable is out")),
                rest => {
                    let length = rest.len().min(buffer.len()).min(self.turn % 500 + 1);
                    buffer[..length].copy_from_slice(&rest[..length]);
                    self.rest = &rest[length..];
                    Ok(length)
                }
            }
        }
    }

    let large = "v".repeat(200_000);
    let bench = Bench::with(&[("a", "1"), ("b", &large), ("c", "1"), ("a", "2")]);
    let snapshot = bytes(&bench.store);
    let mut store = Store::new();
    store.restore(&mut Slow { rest: &snapshot, turn: 0, fails: false }).unwrap();
    assert_eq!(state(&store), state(&bench.store));
    let cut = &snapshot[..100_000];
    let error = store.restore(&mut Slow { rest: cut, turn: 0, fails: true }).unwrap_err();
    assert!(matches!(error, RestoreError::Read(_)));
    assert_eq!(error.to_string(), "cannot read the snapshot: the cable is out");
    assert_eq!(state(&store), state(&bench.store), "it is as it was");
}
