//! Readers beside a writer: whatever one view shows is of one revision.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
    TxnRequest,
};
use quorate_store::{Command, Reader, Store, Wants};

/// Every transaction sets all keys to its number, or removes all, and compactions follow close
/// behind. A reader must see all keys with one value, or none, also when it reads twice and after
/// waiting.
#[test]
fn a_view_never_shows_half_a_transaction() {
    let mut store = Store::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let (reader, done) = (store.reader(), &done);
                scope.spawn(move || watch(&reader, done))
            })
            .collect();
        for round in 0..ROUNDS {
            for command in commands(round) {
                store.apply(&command.encode(), Wants::Nothing);
            }
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(0 < reader.join().unwrap(), "a reader read");
        }
    });
    // Nothing is pinned any more.
    let revision = store.status().revision;
    let compact = CompactionRequest { revision, physical: true };
    store.apply(&Command::Compact(compact).encode(), Wants::Nothing);
    assert_eq!(store.status().versions, store.status().keys);
}

/// The revision of a reader never falls, and what it says is there can be read.
#[test]
fn a_reader_sees_what_it_is_told() {
    let mut store = Store::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (reader, done_too) = (store.reader(), &done);
        let watching = scope.spawn(move || {
            let mut last = 0;
            while !done_too.load(Ordering::Relaxed) {
                let revision = reader.revision();
                assert!(last <= revision);
                last = revision;
                let request = RangeRequest { key: "k".into(), revision, ..Default::default() };
                let response = reader.range(&request).unwrap();
                assert!(revision <= response.header.unwrap().revision);
                assert_eq!(response.kvs.first().map_or(1, |pair| pair.mod_revision), revision);
            }
        });
        for _ in 0..3_000 {
            let put = PutRequest { key: "k".into(), ..Default::default() };
            store.apply(&Command::Put(put).encode(), Wants::Nothing);
        }
        done.store(true, Ordering::Relaxed);
        watching.join().unwrap();
    });
}

/// Reads until `done`; how often.
fn watch(reader: &Reader, done: &AtomicBool) -> usize {
    let mut reads = 0;
    let mut last = 0;
    // At least once, should the writer be done before this thread began.
    while reads == 0 || !done.load(Ordering::Relaxed) {
        let view = reader.view();
        assert!(last <= view.revision(), "revisions do not fall");
        last = view.revision();
        let first = view.range(&all(0)).unwrap();
        check(&first, view.revision());
        thread::yield_now();
        assert_eq!(view.range(&all(0)).unwrap(), first, "a view does not change");
        let oldest = view.status().compacted.max(1);
        assert!(view.range(&all(oldest)).is_ok(), "history stays while a view needs it");
        reads += 1;
    }
    reads
}

fn check(response: &RangeResponse, revision: i64) {
    assert_eq!(response.header.as_ref().unwrap().revision, revision);
    assert_eq!(response.count, i64::try_from(response.kvs.len()).unwrap());
    if let Some(first) = response.kvs.first() {
        assert_eq!(response.kvs.len(), KEYS);
        assert!(response.kvs.iter().all(|pair| pair.value == first.value));
        assert!(response.kvs.iter().all(|pair| pair.mod_revision == first.mod_revision));
        assert!(first.mod_revision <= revision);
    }
}

fn commands(round: usize) -> Vec<Command> {
    let value = Bytes::from(round.to_string());
    let put = |number: usize| {
        let key = Bytes::from(format!("{number:04}"));
        let put = PutRequest { key, value: value.clone(), ..Default::default() };
        RequestOp { request: Some(Request::RequestPut(put)) }
    };
    let puts = TxnRequest { success: (0..KEYS).map(put).collect(), ..Default::default() };
    let mut commands = vec![Command::Txn(puts)];
    if round.is_multiple_of(3) {
        let (key, range_end) = (Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
        commands.push(Command::DeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false }));
    }
    if round.is_multiple_of(2) {
        let revision = i64::try_from(round).unwrap();
        commands.push(Command::Compact(CompactionRequest {
            revision,
            physical: round.is_multiple_of(8),
        }));
    }
    commands
}

fn all(revision: i64) -> RangeRequest {
    let (key, range_end) = (Bytes::from_static(b"\0"), Bytes::from_static(b"\0"));
    RangeRequest { key, range_end, revision, ..Default::default() }
}

const KEYS: usize = 500;
const ROUNDS: usize = 60;
