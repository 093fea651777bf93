//! Short words for the stories.

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, RequestOp, ResponseHeader, TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_store::{Command, Error, Reader, Reply, Store, Wants};

/// A store and a reader of it.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) reader: Reader,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let store = Store::new();
        let reader = store.reader();
        Self { store, reader }
    }

    /// A store after these puts, at revisions 2, 3 and so on.
    pub(crate) fn with(pairs: &[(&str, &str)]) -> Self {
        let mut bench = Self::new();
        for (key, value) in pairs {
            bench.put(key, value);
        }
        bench
    }

    pub(crate) fn apply(&mut self, command: &Command) -> Reply {
        self.store.apply(&command.encode(), Wants::Reply).unwrap()
    }

    pub(crate) fn put(&mut self, key: &str, value: &str) -> i64 {
        revision(&self.try_put(put(key, value)).unwrap().header)
    }

    pub(crate) fn try_put(&mut self, request: PutRequest) -> Result<PutResponse, Error> {
        let Reply::Put(result) = self.apply(&Command::Put(request)) else { panic!("a put") };
        result
    }

    pub(crate) fn delete(&mut self, key: &str, range_end: &str) -> DeleteRangeResponse {
        let command = Command::DeleteRange(delete(key, range_end));
        let Reply::DeleteRange(result) = self.apply(&command) else { panic!("a removal") };
        result.unwrap()
    }

    pub(crate) fn txn(&mut self, request: TxnRequest) -> Result<TxnResponse, Error> {
        let Reply::Txn(result) = self.apply(&Command::Txn(request)) else { panic!("a txn") };
        result
    }

    pub(crate) fn compact(&mut self, revision: i64) -> Result<i64, Error> {
        let request = CompactionRequest { revision, physical: true };
        let Reply::Compact(result) = self.apply(&Command::Compact(request)) else {
            panic!("a compaction")
        };
        result.map(|response| response.header.unwrap().revision)
    }

    pub(crate) fn range(&self, request: RangeRequest) -> RangeResponse {
        self.reader.range(&request).unwrap()
    }

    pub(crate) fn get(&self, key: &str) -> Option<KeyValue> {
        self.range(range(key, "")).kvs.pop()
    }

    pub(crate) fn get_at(&self, key: &str, revision: i64) -> Result<Option<KeyValue>, Error> {
        let request = RangeRequest { revision, ..range(key, "") };
        self.reader.range(&request).map(|mut response| response.kvs.pop())
    }
}

pub(crate) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: bytes(key), value: bytes(value), ..Default::default() }
}

pub(crate) fn range(key: &str, range_end: &str) -> RangeRequest {
    RangeRequest { key: bytes(key), range_end: bytes(range_end), ..Default::default() }
}

pub(crate) fn delete(key: &str, range_end: &str) -> DeleteRangeRequest {
    DeleteRangeRequest { key: bytes(key), range_end: bytes(range_end), ..Default::default() }
}

pub(crate) fn op(request: impl Into<Op>) -> RequestOp {
    RequestOp { request: Some(request.into().0) }
}

/// An operation in the making.
pub(crate) struct Op(Request);

impl From<PutRequest> for Op {
    fn from(request: PutRequest) -> Self {
        Self(Request::RequestPut(request))
    }
}

impl From<RangeRequest> for Op {
    fn from(request: RangeRequest) -> Self {
        Self(Request::RequestRange(request))
    }
}

impl From<DeleteRangeRequest> for Op {
    fn from(request: DeleteRangeRequest) -> Self {
        Self(Request::RequestDeleteRange(request))
    }
}

impl From<TxnRequest> for Op {
    fn from(request: TxnRequest) -> Self {
        Self(Request::RequestTxn(request))
    }
}

pub(crate) fn txn(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success, ..Default::default() }
}

pub(crate) fn compare(
    key: &str,
    target: CompareTarget,
    result: CompareResult,
    union: TargetUnion,
) -> Compare {
    Compare {
        result: result.into(),
        target: target.into(),
        key: bytes(key),
        target_union: Some(union),
        ..Default::default()
    }
}

pub(crate) fn keys(response: &RangeResponse) -> Vec<String> {
    response.kvs.iter().map(|pair| String::from_utf8_lossy(&pair.key).into_owned()).collect()
}

/// The revision in a head.
pub(crate) fn revision(header: &Option<ResponseHeader>) -> i64 {
    header.as_ref().unwrap().revision
}

/// The revisions in the heads of the answers to a transaction's operations.
pub(crate) fn revisions(response: &TxnResponse) -> Vec<i64> {
    let of = |response: &Response| match response {
        Response::ResponseRange(response) => revision(&response.header),
        Response::ResponsePut(response) => revision(&response.header),
        Response::ResponseDeleteRange(response) => revision(&response.header),
        Response::ResponseTxn(response) => revision(&response.header),
    };
    response.responses.iter().map(|response| of(response.response.as_ref().unwrap())).collect()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
