//! A snapshot that is written while the store goes on.

use std::io::{self, Write};
use std::thread;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{CompactionRequest, PutRequest};
use quorate_store::{Command, Reply, Store, Wants};

use super::bytes::{bytes, everything, restored, written};
use crate::bench::{Bench, delete};

/// A store with many keys, one with a long history, and some large values.
fn large() -> Bench {
    let mut bench = Bench::new();
    for number in 0..2_000 {
        bench.put(&format!("{number:05}"), "first");
        if number % 3 == 0 {
            bench.put(&format!("{number:05}"), "second");
        }
        if number % 5 == 0 {
            bench.put("01000", &format!("at {number}"));
        }
        if number % 100 == 0 {
            bench.put(&format!("large {number}"), &"v".repeat(number * 20));
        }
    }
    bench.delete("00500", "00600");
    for number in 0..300 {
        bench.put("01000", &format!("again {number}"));
    }
    bench
}

/// Where bytes go, and where each time something is applied meanwhile.
struct Busy<'s> {
    store: &'s mut Store,
    bytes: Vec<u8>,
    writes: usize,
}

impl Write for Busy<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.writes += 1;
        for round in 0..20 {
            let number = (self.writes * 20 + round) * 7 % 2_500;
            let key = Bytes::from(format!("{number:05}"));
            let put = PutRequest { key, value: "later".into(), ..Default::default() };
            self.store.apply(&Command::Put(put).encode(), Wants::Nothing);
        }
        let put = PutRequest { key: "01000".into(), value: "later".into(), ..Default::default() };
        self.store.apply(&Command::Put(put).encode(), Wants::Nothing);
        let some = delete("01500", "01510");
        self.store.apply(&Command::DeleteRange(some).encode(), Wants::Nothing);
        let revision = self.store.status().revision - 5;
        let compact = CompactionRequest { revision, physical: true };
        let reply = self.store.apply(&Command::Compact(compact).encode(), Wants::Reply);
        assert!(matches!(reply, Some(Reply::Compact(Ok(_)))), "{reply:?}");
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_happens_meanwhile_is_not_in_it() {
    for compacted in [None, Some(1_500), Some(3_000)] {
        let mut bench = large();
        if let Some(revision) = compacted {
            let compact = CompactionRequest { revision, physical: false };
            bench.apply(&Command::Compact(compact));
        }
        let quiet = bytes(&bench.store);
        let hash = bench.store.state_hash();
        let snapshot = bench.store.snapshot();
        let mut busy = Busy { store: &mut bench.store, bytes: Vec::new(), writes: 0 };
        snapshot.write_to(&mut busy).unwrap();
        assert!(20 < busy.writes, "it was written in pieces: {}", busy.writes);
        assert_eq!(busy.bytes.len(), quiet.len());
        assert!(busy.bytes == quiet);
        assert_eq!(snapshot.state_hash(), hash);
        assert_ne!(bench.store.state_hash(), hash);
        assert!(written(&snapshot) == quiet, "it can be written again");
        let copy = restored(&quiet).unwrap();
        assert!(bytes(&copy) == quiet);
        let now = snapshot.view().range(&everything(0));
        assert_eq!(copy.reader().range(&everything(0)), now);
    }
}

#[test]
fn another_thread_may_write_it() {
    let mut bench = large();
    let (quiet, snapshot) = (bytes(&bench.store), bench.store.snapshot());
    let writing = thread::spawn(move || written(&snapshot));
    for number in 0..2_000 {
        bench.put(&format!("{number:05}"), "later");
        if number % 100 == 50 {
            let revision = bench.store.status().revision;
            bench.compact(revision).unwrap();
        }
    }
    assert!(writing.join().unwrap() == quiet);
}

/// Views and snapshots of before stay what they are, though nothing of it is in the store any more.
#[test]
fn a_restore_takes_nothing_from_a_snapshot() {
    let mut bench = large();
    let (before, snapshot) = (bytes(&bench.store), bench.store.snapshot());
    let other = bytes(&Bench::with(&[("a", "1"), ("b", "1")]).store);
    bench.store.restore(&mut &other[..]).unwrap();
    let between = bench.store.snapshot();
    assert_eq!(bench.reader.revision(), 3, "the reader sees the new state");
    bench.put("a", "2");
    bench.compact(4).unwrap();
    assert!(written(&between) == other, "the new state is held back as the old one was");
    bench.store.restore(&mut &other[..]).unwrap();
    assert!(written(&snapshot) == before);
    assert!(written(&between) == other);
    drop(between);
    assert!(written(&snapshot) == before);
    drop(snapshot);
    bench.put("c", "1");
    bench.compact(4).unwrap();
    assert_eq!(bench.store.status().versions, 3, "nothing is held back any more");
}

/// However large the values are, only so much is gathered under the lock.
#[test]
fn it_is_written_in_small_pieces() {
    struct Pieces {
        longest: usize,
    }

    impl Write for Pieces {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.longest = self.longest.max(buffer.len());
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    for (length, longest_max) in [(1, 2_000), (10_000, 80_000), (16_000, 82_000), (90_000, 90_000)]
    {
        let mut bench = Bench::new();
        for number in 0..300 {
            bench.put(&format!("{:05}", number % 150), &"v".repeat(length));
        }
        let mut pieces = Pieces { longest: 0 };
        bench.store.snapshot().write_to(&mut pieces).unwrap();
        assert!(pieces.longest <= longest_max, "{} of {length}", pieces.longest);
    }
}

#[test]
fn an_error_of_the_output_is_told() {
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(buffer.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(buffer.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let snapshot = large().store.snapshot();
    let error = snapshot.write_to(&mut Full(40_000)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
