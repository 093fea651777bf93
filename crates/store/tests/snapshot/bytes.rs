//! Short words for snapshots.

use bytes::Bytes;
use quorate_proto::etcdserverpb::{RangeRequest, RangeResponse};
use quorate_store::{Error, RestoreError, Snapshot, Status, Store};

pub(crate) fn written(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).unwrap();
    bytes
}

/// The bytes of a store as it is now.
pub(crate) fn bytes(store: &Store) -> Vec<u8> {
    written(&store.snapshot())
}

/// Restores from bytes.
pub(crate) fn restore(store: &mut Store, mut bytes: &[u8]) -> Result<(), RestoreError> {
    store.restore(&mut bytes)
}

/// A store made of bytes.
pub(crate) fn restored(bytes: &[u8]) -> Result<Store, RestoreError> {
    let mut store = Store::new();
    restore(&mut store, bytes).map(|()| store)
}

/// Everything that a store tells of its history: all keys at each revision around those that can be
/// read, up to `revision`.
pub(crate) fn history(
    status: Status,
    range: impl Fn(&RangeRequest) -> Result<RangeResponse, Error>,
) -> Vec<Result<RangeResponse, Error>> {
    let revisions = status.compacted.max(1) - 1..=status.revision + 1;
    revisions.map(|revision| range(&everything(revision))).collect()
}

/// All keys as they were at a revision, the one without a byte too.
pub(crate) fn everything(revision: i64) -> RangeRequest {
    let range_end = Bytes::from_static(b"\0");
    RangeRequest { range_end, revision, ..Default::default() }
}

/// What equal stores agree on, whatever they have removed so far.
pub(crate) fn state(store: &Store) -> (u64, [i64; 4], Vec<Result<RangeResponse, Error>>) {
    let status = store.status();
    let numbers = [status.revision, status.compacted, status.keys, status.bytes_live];
    let reader = store.reader();
    (store.state_hash(), numbers, history(status, |request| reader.range(request)))
}
