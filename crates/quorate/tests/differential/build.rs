//! Short ways to write requests.

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request as Op;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

/// A read of one key.
pub(crate) fn get(key: impl AsRef<[u8]>) -> RangeRequest {
    range(key, "")
}

/// A read of keys.
pub(crate) fn range(key: impl AsRef<[u8]>, range_end: impl AsRef<[u8]>) -> RangeRequest {
    RangeRequest { key: bytes(key), range_end: bytes(range_end), ..RangeRequest::default() }
}

/// A put.
pub(crate) fn put(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> PutRequest {
    PutRequest { key: bytes(key), value: bytes(value), ..PutRequest::default() }
}

/// A removal of one key.
pub(crate) fn delete(key: impl AsRef<[u8]>) -> DeleteRangeRequest {
    delete_range(key, "")
}

/// A removal of keys, whose pairs are to come back.
pub(crate) fn delete_range(
    key: impl AsRef<[u8]>,
    range_end: impl AsRef<[u8]>,
) -> DeleteRangeRequest {
    DeleteRangeRequest { key: bytes(key), range_end: bytes(range_end), prev_kv: true }
}

/// A compaction.
pub(crate) fn compact(revision: i64) -> CompactionRequest {
    CompactionRequest { revision, physical: false }
}

/// A transaction.
pub(crate) fn txn<const C: usize, const S: usize, const F: usize>(
    compare: [Compare; C],
    success: [RequestOp; S],
    failure: [RequestOp; F],
) -> TxnRequest {
    TxnRequest { compare: compare.into(), success: success.into(), failure: failure.into() }
}

/// A transaction without conditions.
pub(crate) fn all(success: impl IntoIterator<Item = RequestOp>) -> TxnRequest {
    TxnRequest { success: success.into_iter().collect(), ..TxnRequest::default() }
}

/// An operation of a transaction.
pub(crate) fn op(request: impl IntoOp) -> RequestOp {
    RequestOp { request: Some(request.into_op()) }
}

/// An operation that is none.
pub(crate) fn nothing() -> RequestOp {
    RequestOp { request: None }
}

/// What can stand in a transaction.
pub(crate) trait IntoOp {
    /// It, standing there.
    fn into_op(self) -> Op;
}

macro_rules! into_op {
    ($($request:ty => $variant:ident),*) => {
        $(impl IntoOp for $request {
            fn into_op(self) -> Op {
                Op::$variant(self)
            }
        })*
    };
}

into_op!(
    RangeRequest => RequestRange,
    PutRequest => RequestPut,
    DeleteRangeRequest => RequestDeleteRange,
    TxnRequest => RequestTxn
);

/// A condition.
pub(crate) fn compare(
    key: impl AsRef<[u8]>,
    result: CompareResult,
    target: TargetUnion,
) -> Compare {
    let kind = match &target {
        TargetUnion::Version(_) => CompareTarget::Version,
        TargetUnion::CreateRevision(_) => CompareTarget::Create,
        TargetUnion::ModRevision(_) => CompareTarget::Mod,
        TargetUnion::Value(_) => CompareTarget::Value,
        TargetUnion::Lease(_) => CompareTarget::Lease,
    };
    Compare {
        result: result.into(),
        target: kind.into(),
        key: bytes(key),
        range_end: Bytes::new(),
        target_union: Some(target),
    }
}

/// The condition that a key exists.
pub(crate) fn exists(key: impl AsRef<[u8]>) -> Compare {
    compare(key, CompareResult::Greater, TargetUnion::Version(0))
}

/// The condition that a key does not exist.
pub(crate) fn is_missing(key: impl AsRef<[u8]>) -> Compare {
    compare(key, CompareResult::Equal, TargetUnion::Version(0))
}

/// A copy of bytes or text.
pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(bytes.as_ref())
}
