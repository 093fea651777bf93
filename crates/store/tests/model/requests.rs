//! Random requests, over few keys so that they meet, with every option and some nonsense.

use bytes::Bytes;
use proptest::prelude::*;
use quorate_proto::etcdserverpb::compare::TargetUnion;
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};
use quorate_store::Command;

/// What a test does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Applies a command.
    Apply(Command),
    /// Reads, through all views.
    Range(RangeRequest),
    /// Reads by a transaction, through all views.
    Txn(TxnRequest),
    /// Makes a view.
    Hold,
    /// Drops one.
    Drop(usize),
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => put().prop_map(|request| Step::Apply(Command::Put(request))),
        4 => delete_range().prop_map(|request| Step::Apply(Command::DeleteRange(request))),
        6 => txn(2).prop_map(|request| Step::Apply(Command::Txn(request))),
        3 => fill().prop_map(|request| Step::Apply(Command::Txn(request))),
        4 => compact().prop_map(|request| Step::Apply(Command::Compact(request))),
        12 => range().prop_map(Step::Range),
        4 => txn(1).prop_map(Step::Txn),
        4 => read_txn().prop_map(Step::Txn),
        2 => Just(Step::Hold),
        2 => (0_usize..3).prop_map(Step::Drop),
    ];
    prop::collection::vec(step, 1..50)
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        8 => prop::sample::select(KEYS).prop_map(Bytes::from_static),
        2 => (0..260).prop_map(numbered),
    ]
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        4 => Just(Bytes::new()),
        2 => Just(Bytes::from_static(b"\0")),
        1 => Just(Bytes::from_static(b"l")),
        4 => key(),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    prop::sample::select(VALUES).prop_map(Bytes::from_static)
}

fn rarely() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.2)
}

/// A revision, often none.
fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 4 => -2_i64..30]
}

fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![20 => Just(0), 1 => Just(7)]
}

fn numbered(number: i32) -> Bytes {
    Bytes::from(format!("k{number:04}"))
}

/// Many puts at once, in some order, so that leaves of the tree split.
fn fill() -> impl Strategy<Value = TxnRequest> {
    let strides = prop_oneof![Just(1), Just(7), Just(-1)];
    (0_i32..200, 1_i32..120, strides).prop_map(|(first, count, stride)| {
        let put = |number: i32| {
            let key = numbered((first + number * stride).rem_euclid(260));
            let put = PutRequest { key, ..Default::default() };
            RequestOp { request: Some(Request::RequestPut(put)) }
        };
        TxnRequest { success: (0..count).map(put).collect(), ..Default::default() }
    })
}

fn put() -> impl Strategy<Value = PutRequest> {
    (key(), value(), lease(), rarely(), rarely(), rarely()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| PutRequest {
            key,
            value,
            lease,
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete_range() -> impl Strategy<Value = DeleteRangeRequest> {
    (key(), range_end(), any::<bool>()).prop_map(|(key, range_end, prev_kv)| DeleteRangeRequest {
        key,
        range_end,
        prev_kv,
    })
}

fn compact() -> impl Strategy<Value = CompactionRequest> {
    (-2_i64..30, any::<bool>())
        .prop_map(|(revision, physical)| CompactionRequest { revision, physical })
}

fn range() -> impl Strategy<Value = RangeRequest> {
    let what = (key(), range_end(), prop_oneof![Just(0), -1_i64..150], revision());
    let how = (0..4, 0..6, rarely(), rarely());
    let filter = || prop_oneof![6 => Just(0), 1 => -1_i64..30];
    (what, how, (filter(), filter(), filter(), filter())).prop_map(|(what, how, filters)| {
        RangeRequest {
            key: what.0,
            range_end: what.1,
            limit: what.2,
            revision: what.3,
            sort_order: how.0,
            sort_target: how.1,
            serializable: false,
            keys_only: how.2,
            count_only: how.3,
            min_mod_revision: filters.0,
            max_mod_revision: filters.1,
            min_create_revision: filters.2,
            max_create_revision: filters.3,
        }
    })
}

fn compare() -> impl Strategy<Value = Compare> {
    let operand = prop_oneof![
        (0_i64..4).prop_map(|number| Some(TargetUnion::Version(number))),
        (-1_i64..30).prop_map(|number| Some(TargetUnion::CreateRevision(number))),
        (-1_i64..30).prop_map(|number| Some(TargetUnion::ModRevision(number))),
        value().prop_map(|value| Some(TargetUnion::Value(value))),
        lease().prop_map(|lease| Some(TargetUnion::Lease(lease))),
        Just(None),
    ];
    // The operand's kind fits the target most of the time: 5 stands for "whichever it is".
    let target = prop_oneof![6 => Just(None), 2 => (0..6).prop_map(Some)];
    (0..5, target, key(), range_end(), operand).prop_map(
        |(result, target, key, range_end, union)| {
            let fitting = match &union {
                Some(TargetUnion::Version(_)) | None => 0,
                Some(TargetUnion::CreateRevision(_)) => 1,
                Some(TargetUnion::ModRevision(_)) => 2,
                Some(TargetUnion::Value(_)) => 3,
                Some(TargetUnion::Lease(_)) => 4,
            };
            let target = target.unwrap_or(fitting);
            Compare { result, target, key, range_end, target_union: union }
        },
    )
}

/// A transaction, with others inside down to a depth.
fn txn(depth: u32) -> BoxedStrategy<TxnRequest> {
    let op = || {
        let inner = if depth == 0 { Just(TxnRequest::default()).boxed() } else { txn(depth - 1) };
        let request = prop_oneof![
            6 => range().prop_map(|request| Some(Request::RequestRange(request))),
            6 => put().prop_map(|request| Some(Request::RequestPut(request))),
            3 => delete_range().prop_map(|request| Some(Request::RequestDeleteRange(request))),
            4 => inner.prop_map(|request| Some(Request::RequestTxn(request))),
            1 => Just(None),
        ];
        prop::collection::vec(request.prop_map(|request| RequestOp { request }), 0..4)
    };
    (prop::collection::vec(compare(), 0..3), op(), op())
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
        .boxed()
}

/// A transaction that only reads.
fn read_txn() -> impl Strategy<Value = TxnRequest> {
    let op = |request| RequestOp { request: Some(Request::RequestRange(request)) };
    let ops = || prop::collection::vec(range().prop_map(op), 0..3);
    (prop::collection::vec(compare(), 0..2), ops(), ops())
        .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
}

const KEYS: &[&[u8]] = &[b"a", b"b", b"bb", b"c", b"k0050", b"\0", b"\xff\xff"];

const VALUES: &[&[u8]] = &[b"", b"x", b"y", b"yy"];
