//! What an apply and a read cost, and what a million keys weigh.
//!
//! `cargo bench -p quorate-store`; an argument names the one measurement to make. Each is made in a
//! process of its own, so that none sees the memory of another. Times are of the processor, for a
//! machine with other work.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use quorate_store::{Command as Change, Store, Wants};

fn main() {
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let benches: [(&str, fn()); 8] = [
        ("put", puts),
        ("read", reads),
        ("txn", txns),
        ("contended", contended),
        ("compaction", compaction),
        ("snapshot", snapshot),
        ("memory random", || memory(true)),
        ("memory in order", || memory(false)),
    ];
    for (name, bench) in benches {
        match &only {
            Some(only) if only == name => bench(),
            Some(_) => {}
            None => {
                println!("{name}");
                let program = std::env::current_exe().expect("it runs");
                let status = Command::new(program).arg(name).status().expect("it runs again");
                assert!(status.success(), "{name} failed");
            }
        }
    }
}

fn puts() {
    let mut store = Store::new();
    let mut random = Random(1);
    let inserts = commands((0..KEYS).map(put));
    measure("new key, in order", KEYS, || apply_all(&mut store, &inserts, Wants::Reply));
    for wants in [Wants::Reply, Wants::Nothing] {
        let updates = commands((0..KEYS).map(|_| put(random.below(KEYS))));
        let name = format!("update, {wants:?}");
        measure(&name, KEYS, || apply_all(&mut store, &updates, wants));
    }
    let mut store = Store::new();
    let inserts = commands(shuffled(KEYS).into_iter().map(put));
    measure("new key, random", KEYS, || apply_all(&mut store, &inserts, Wants::Reply));
    let everything =
        DeleteRangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    let deletes = commands([Change::DeleteRange(everything)]);
    measure("removal, each key of all", KEYS, || apply_all(&mut store, &deletes, Wants::Reply));
}

fn reads() {
    let (store, mut random) = (filled(KEYS), Random(2));
    let reader = store.reader();
    let one = |number| RangeRequest { key: key(number), ..Default::default() };
    let requests: Vec<_> = (0..KEYS).map(|_| one(random.below(KEYS))).collect();
    for name in ["get, first time", "get"] {
        measure(name, KEYS, || {
            for request in &requests {
                black_box(reader.range(request).expect("it is right"));
            }
        });
    }
    let hundred: Vec<_> = (0..1_000)
        .map(|_| {
            let first = random.below(KEYS - 100);
            RangeRequest { range_end: key(first + 100), ..one(first) }
        })
        .collect();
    for name in ["range of 100, first time", "range of 100"] {
        measure(name, 1_000, || {
            for request in &hundred {
                black_box(reader.range(request).expect("it is right"));
            }
        });
    }
    // What the machine gives at best: the same keys and values in the standard library's map.
    let value = Bytes::from(vec![b'v'; 256]);
    let map: BTreeMap<Bytes, Bytes> =
        (0..KEYS).map(|number| (key(number), value.clone())).collect();
    measure("for comparison, get of a BTreeMap", KEYS, || {
        for request in &requests {
            black_box(map.get(&request.key).cloned());
        }
    });
    let count = RangeRequest { range_end: "\0".into(), count_only: true, ..one(0) };
    measure("count of all, each", 100, || {
        for _ in 0..100 {
            black_box(reader.range(&count).expect("it is right"));
        }
    });
    measure("view", KEYS, || {
        for _ in 0..KEYS {
            black_box(reader.view());
        }
    });
}

fn txns() {
    let (mut store, mut random) = (filled(KEYS), Random(3));
    let txn = |number| {
        let compare = Compare {
            key: key(number),
            target: CompareTarget::Version.into(),
            result: CompareResult::Greater.into(),
            target_union: Some(TargetUnion::Version(0)),
            ..Default::default()
        };
        let Change::Put(put) = put(number) else { unreachable!("it is a put") };
        let op = |request| RequestOp { request: Some(request) };
        let success = vec![op(Request::RequestPut(put))];
        let read = RangeRequest { key: key(number), ..Default::default() };
        let failure = vec![op(Request::RequestRange(read))];
        Change::Txn(TxnRequest { compare: vec![compare], success, failure })
    };
    let txns = commands((0..KEYS).map(|_| txn(random.below(KEYS))));
    measure("compare and put", KEYS, || apply_all(&mut store, &txns, Wants::Reply));
}

/// Applies while another thread reads all keys over and over.
#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn contended() {
    let (mut store, mut random) = (filled(KEYS), Random(4));
    let reader = store.reader();
    let (done, updates) =
        (AtomicBool::new(false), commands((0..KEYS).map(|_| put(random.below(KEYS)))));
    let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() };
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) {
                black_box(reader.range(&all).expect("it is right"));
                reads += 1;
            }
            reads
        });
        let mut waits: Vec<Duration> = Vec::with_capacity(updates.len());
        measure("update, beside a reader of everything", KEYS, || {
            for command in &updates {
                let start = Instant::now();
                black_box(store.apply(command, Wants::Reply));
                waits.push(start.elapsed());
            }
        });
        done.store(true, Ordering::Relaxed);
        waits.sort_unstable();
        let at = |part: usize| waits[(waits.len() - 1) * part / 10_000];
        println!(
            "  of these: median {:?}, 99 % {:?}, 99.99 % {:?}, longest {:?}",
            at(5_000),
            at(9_900),
            at(9_999),
            at(10_000)
        );
        println!("  whole reads meanwhile: {}", reading.join().expect("the reader reads"));
    });
}

fn compaction() {
    let (mut store, mut random) = (filled(KEYS), Random(5));
    apply_all(&mut store, &commands((0..KEYS).map(|_| put(random.below(KEYS)))), Wants::Nothing);
    let compact =
        |revision, physical| Change::Compact(CompactionRequest { revision, physical }).encode();
    let revision = store.status().revision;
    measure("command", 1, || {
        black_box(store.apply(&compact(revision, false), Wants::Reply));
    });
    let mut updates = commands((0..5_000).map(|_| put(random.below(KEYS))));
    measure("update, with a removal step", 5_000, || {
        apply_all(&mut store, &updates, Wants::Reply);
    });
    updates.truncate(1);
    let status = store.status();
    println!("  versions {}, keys {}", status.versions, status.keys);
    apply_all(&mut store, &commands((0..KEYS).map(|_| put(random.below(KEYS)))), Wants::Nothing);
    let revision = store.status().revision;
    measure("physical, each version", KEYS, || {
        black_box(store.apply(&compact(revision, true), Wants::Reply));
    });
}

/// Writes a million keys, and makes a store of them.
fn snapshot() {
    let store = filled(MILLION);
    let (mut bytes, before) = (Vec::with_capacity(400_000_000), resident());
    let snapshot = store.snapshot();
    measure("write, each of a million keys", MILLION, || {
        snapshot.write_to(&mut bytes).expect("a vector takes all");
    });
    let written = u64::try_from(bytes.len()).expect("it fits");
    let beside = resident().saturating_sub(before + written);
    println!("  bytes a key: {}, memory beside them {} KB", written / MILLION, beside / 1_000);
    let mut copy = Store::new();
    for name in ["restore, each", "restore over another, each"] {
        measure(name, MILLION, || copy.restore(&mut &bytes[..]).expect("it is whole"));
    }
    assert_eq!(copy.status(), store.status());
    drop((store, snapshot));
    let mut updates = Random(8);
    let updates = commands((0..KEYS).map(|_| put(updates.below(MILLION))));
    measure("update after it", KEYS, || apply_all(&mut copy, &updates, Wants::Reply));
}

fn memory(random: bool) {
    let numbers = if random { shuffled(MILLION) } else { (0..MILLION).collect() };
    let before = resident();
    let mut store = Store::new();
    for &number in &numbers {
        store.apply(&put(number).encode(), Wants::Nothing);
    }
    let show = |what: &str| {
        let bytes = resident().saturating_sub(before);
        println!("  {what}: {} MB, {} B a key", bytes / 1_000_000, bytes / MILLION);
    };
    show("a million keys");
    let reader = store.reader();
    for number in 0..MILLION {
        let get = RangeRequest { key: key(number), ..Default::default() };
        black_box(reader.range(&get).expect("it is right"));
    }
    show("after reading each");
    let status = store.status();
    println!("  by the store's own count: {} MB", status.bytes / 1_000_000);
    let mut random = Random(6);
    let requests: Vec<_> = (0..KEYS)
        .map(|_| RangeRequest { key: key(random.below(MILLION)), ..Default::default() })
        .collect();
    measure("get among a million", KEYS, || {
        for request in &requests {
            black_box(reader.range(request).expect("it is right"));
        }
    });
    let count = RangeRequest {
        key: "\0".into(),
        range_end: "\0".into(),
        count_only: true,
        ..Default::default()
    };
    measure("count of a million, each", 10, || {
        for _ in 0..10 {
            black_box(reader.range(&count).expect("it is right"));
        }
    });
    let updates = commands((0..KEYS).map(|_| put(random.below(MILLION))));
    measure("update among a million", KEYS, || apply_all(&mut store, &updates, Wants::Reply));
}

fn filled(keys: u64) -> Store {
    let mut store = Store::new();
    apply_all(&mut store, &commands(shuffled(keys).into_iter().map(put)), Wants::Nothing);
    store
}

fn apply_all(store: &mut Store, commands: &[Bytes], wants: Wants) {
    for command in commands {
        black_box(store.apply(command, wants));
    }
}

fn measure(name: &str, count: u64, work: impl FnOnce()) {
    let start = processor_nanos();
    work();
    println!("  {name}: {} ns", (processor_nanos() - start) / count);
}

/// How long this thread has run so far.
fn processor_nanos() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = schedstat.split(' ').next().expect("its first number is the time");
    nanos.parse().expect("it is a number")
}

/// Commands in one buffer, as a node gets them.
fn commands(commands: impl IntoIterator<Item = Change>) -> Vec<Bytes> {
    let mut buffer = BytesMut::new();
    let mut ends = vec![0];
    for command in commands {
        buffer.extend_from_slice(&command.encode());
        ends.push(buffer.len());
    }
    let buffer = buffer.freeze();
    ends.windows(2).map(|ends| buffer.slice(ends[0]..ends[1])).collect()
}

fn put(number: u64) -> Change {
    let value = Bytes::from_static(&[b'v'; 256]);
    Change::Put(PutRequest { key: key(number), value, ..Default::default() })
}

/// A key of sixteen bytes.
fn key(number: u64) -> Bytes {
    Bytes::from(format!("/keys/{number:010}"))
}

fn shuffled(count: u64) -> Vec<u64> {
    let mut random = Random(7);
    let mut numbers: Vec<_> = (0..count).map(|number| (random.next(), number)).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(|(_, number)| number).collect()
}

/// The resident memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).expect("its second number is the resident pages");
    pages.parse::<u64>().expect("it is a number") * 4096
}

/// A small generator of the xorshift family.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

const KEYS: u64 = 100_000;
const MILLION: u64 = 1_000_000;
