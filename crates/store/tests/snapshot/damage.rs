//! Bytes that no store wrote: an error or another store, and never a panic.

use quorate_proto::etcdserverpb::{CompactionRequest, TxnRequest};
use quorate_store::{Command, RestoreError, Store, Wants};

use super::bytes::{bytes, everything, restore, restored, state};
use crate::bench::{Bench, delete, op, put, range, txn};

/// A store with something of everything, in few bytes.
fn small() -> Bench {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2"), ("bb", "xyz"), ("c", "1")]);
    let ops = || vec![op(put("d", "1")), op(delete("a", "c")), op(put("bb", "2"))];
    bench.txn(txn(ops())).unwrap();
    bench.put("a", &"long".repeat(40));
    bench.delete("c", "");
    bench.put("c", "3");
    bench.compact(6).unwrap();
    bench
}

/// Whatever a store was restored from, it can be used.
fn exercise(mut store: Store) {
    let mut apply = |command: Command| store.apply(&command.encode(), Wants::Reply).unwrap();
    for key in ["", "a", "bb", "e"] {
        apply(Command::Put(put(key, "new")));
    }
    let ops = vec![op(put("c", "1")), op(delete("a", "b")), op(range("a", "z"))];
    apply(Command::Txn(TxnRequest { success: ops, ..Default::default() }));
    apply(Command::DeleteRange(delete("\0", "\0")));
    let status = store.status();
    // Not all of its history: its revision may be any number.
    let reader = store.reader();
    for revision in [1, status.compacted, 5, 7, status.revision - 3, status.revision] {
        let range = reader.range(&everything(revision));
        assert!(range.is_ok() || revision < status.compacted.max(1));
    }
    let snapshot = bytes(&store);
    assert!(bytes(&restored(&snapshot).unwrap()) == snapshot);
    let compact = CompactionRequest { revision: status.revision, physical: true };
    store.apply(&Command::Compact(compact).encode(), Wants::Nothing);
    let last = store.status();
    assert_eq!(restored(&bytes(&store)).unwrap().status(), last);
}

#[test]
fn every_damaged_byte_is_an_error_or_another_store() {
    let snapshot = bytes(&small().store);
    let mut bench = Bench::with(&[("here", "before")]);
    let before = state(&bench.store);
    let (mut refused, mut accepted) = (0, 0);
    for at in 0..snapshot.len() {
        let was = snapshot[at];
        let flipped = (0..8).map(|bit| was ^ 1 << bit);
        for byte in flipped.chain([0, 0xff, was.wrapping_add(1), was.wrapping_sub(1)]) {
            let mut damaged = snapshot.clone();
            damaged[at] = byte;
            if byte == was {
                continue;
            }
            if let Err(error) = restore(&mut bench.store, &damaged) {
                assert!(!error.to_string().contains('\n'));
                refused += 1;
            } else {
                exercise(restored(&damaged).unwrap());
                bench = Bench::with(&[("here", "before")]);
                accepted += 1;
            }
        }
        assert_eq!(state(&bench.store), before, "after an error it is as it was");
    }
    assert!(500 < refused && 500 < accepted, "{refused} {accepted}");
}

#[test]
fn every_cut_is_an_error_and_so_is_more() {
    let snapshot = bytes(&small().store);
    let mut bench = Bench::with(&[("here", "before")]);
    let before = state(&bench.store);
    for length in 0..snapshot.len() {
        let error = restore(&mut bench.store, &snapshot[..length]).unwrap_err();
        let RestoreError::Cut { at } = error else { panic!("{length}: {error:?}") };
        assert_eq!(usize::try_from(at).unwrap(), length);
    }
    let more = [&snapshot[..], b"\0"].concat();
    let error = restore(&mut bench.store, &more).unwrap_err();
    assert!(error.to_string().ends_with("there is more behind the end mark"), "{error}");
    assert_eq!(state(&bench.store), before);
}

#[test]
fn something_else_is_no_snapshot() {
    let error = restored(b"quorlg\r\n and so on").unwrap_err();
    assert!(matches!(error, RestoreError::NoSnapshot), "{error:?}");
}

/// The bytes of a snapshot at these revisions with this behind its head.
fn snapshot(revision: i64, compacted: i64, body: &[&[u8]]) -> Vec<u8> {
    let numbers = [revision.to_le_bytes(), compacted.to_le_bytes(), [0; 8]].concat();
    [b"quorst\r\n\x01\0\0\0", &numbers[..], &body.concat()].concat()
}

#[test]
fn what_no_store_writes_is_refused() {
    /// The oldest version of a key: at revision 2, without a value.
    const FIRST: &[u8] = &[4, 0, 0, 0, 0];
    /// The largest number.
    const MAX: &[u8] = &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    /// Two to the power of sixty.
    const HUGE: &[u8] = &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    let cases: [(&str, i64, i64, &[&[u8]]); 29] = [
        ("the revision is out of range", 0, -1, &[]),
        ("the revision is out of range", -1, -1, &[]),
        ("the revision is out of range", i64::MAX, -1, &[]),
        ("the compacted revision is out of range", 9, 10, &[]),
        ("the compacted revision is out of range", 9, -2, &[]),
        ("not after the last one", 9, -1, &[&[1, 1, b'b'], FIRST, &[1, 1, b'a'], FIRST]),
        ("not after the last one", 9, -1, &[&[1, 1, b'b'], FIRST, &[1, 1, b'b'], FIRST]),
        ("not after the last one", 9, -1, &[&[1, 1, b'b'], FIRST, &[1, 0], FIRST]),
        ("a revision that did not happen", 9, -1, &[&[1, 1, b'a', 20]]),
        ("a revision that did not happen", 9, -1, &[&[1, 1, b'a', 2]]),
        ("a revision that did not happen", 9, -1, &[&[1, 1, b'a'], MAX]),
        ("a revision that did not happen", 9, -1, &[&[2, 1, b'a'], FIRST, MAX]),
        ("a revision has too many changes", 9, -1, &[&[1, 1, b'a', 4], MAX]),
        ("versions are out of order", 9, -1, &[&[2, 1, b'a'], FIRST, &[0, 0]]),
        ("a key begins with a removal", 9, -1, &[&[1, 1, b'a', 5, 0]]),
        ("a key begins with a removal", 9, 3, &[&[1, 1, b'a', 5, 0]]),
        ("a key is removed twice", 9, 2, &[&[2, 1, b'a', 5, 0, 3, 0]]),
        ("can not be read at any revision", 9, 5, &[&[2, 1, b'a'], FIRST, &[2, 0]]),
        ("can not be read at any revision", 9, 3, &[&[2, 1, b'a'], FIRST, &[2, 0]]),
        ("a key begins in the middle", 9, 3, &[&[1, 1, b'a', 8, 0, 1]]),
        ("a key was created too early", 9, 4, &[&[1, 1, b'a', 8, 0, 1, 3]]),
        ("a key was created too early", 9, 4, &[&[1, 1, b'a', 8, 0, 1], MAX]),
        ("a key was set too often", 9, 4, &[&[1, 1, b'a', 8, 0], HUGE]),
        ("a key was set too often", 9, 4, &[&[1, 1, b'a', 8, 0], MAX]),
        ("a key is longer than any request", 9, 4, &[&[1], HUGE]),
        ("before its end mark", 9, 4, &[&[1, 1, b'a'], &[4, 0, 0, 0], HUGE]),
        ("the end mark counts differently", 9, 4, &[&[0, 1, 0, 0]]),
        ("the end mark counts differently", 9, 4, &[&[1, 1, b'a'], FIRST, &[0, 1, 2, 1]]),
        ("the end mark counts differently", 9, 4, &[&[1, 1, b'a'], FIRST, &[0, 1, 1, 0]]),
    ];
    for (expected, revision, compacted, body) in cases {
        let text = restored(&snapshot(revision, compacted, body)).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}, not {expected}");
    }
}

/// The largest numbers that are believed leave room to go on.
#[test]
fn the_largest_numbers_can_be_gone_on_from() {
    /// Two to the power of sixty, less 101.
    const ALMOST: &[u8] = &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    let revision = (1 << 60) - 100;
    let body: &[&[u8]] = &[&[1, 1, b'a', 4, 0], ALMOST, &[0, 0, 0], &[0, 1, 1, 1]];
    exercise(restored(&snapshot(revision, 3, body)).unwrap());
}
