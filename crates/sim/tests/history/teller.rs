//! The store, asked in numbers as a history has them.

use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest, request_op, response_op,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_sim::history::{Key, Pair, Request, Response};
use quorate_store::{Command, Error, Reply, Store, Wants};

/// A store that answers requests as a history has them.
pub(crate) struct Teller(Store);

impl Teller {
    pub(crate) fn new() -> Self {
        Self(Store::new())
    }

    pub(crate) fn revision(&self) -> i64 {
        self.0.status().revision
    }

    pub(crate) fn answer(&mut self, request: &Request) -> Response {
        let command = match *request {
            Request::Range { first, end, at, .. } => return self.read(first, end, at),
            Request::Put { key, value } => Command::Put(put(key, value)),
            Request::Delete { first, end } => Command::DeleteRange(DeleteRangeRequest {
                key: key_bytes(first),
                range_end: key_bytes(end),
                prev_kv: true,
            }),
            Request::Swap { key, expected, value, also } => {
                Command::Txn(swap(key, expected, value, also))
            }
            Request::Compact { revision } => {
                Command::Compact(CompactionRequest { revision, physical: false })
            }
        };
        match self.0.apply(&command.encode(), Wants::Reply).unwrap() {
            Reply::Put(reply) => {
                let reply = reply.unwrap();
                let previous = reply.prev_kv.as_ref().map(pair);
                Response::Put { revision: reply.header.unwrap().revision, previous }
            }
            Reply::DeleteRange(reply) => {
                let reply = reply.unwrap();
                let deleted = reply.prev_kvs.iter().map(pair).collect();
                Response::Delete { revision: reply.header.unwrap().revision, deleted }
            }
            Reply::Txn(reply) => {
                let reply = reply.unwrap();
                let read = reply.responses[0].response.as_ref().unwrap();
                let found = if let response_op::Response::ResponseRange(range) = read {
                    range.kvs.first().map(pair)
                } else {
                    None
                };
                let revision = reply.header.unwrap().revision;
                Response::Swap { revision, succeeded: reply.succeeded, found }
            }
            Reply::Compact(Ok(reply)) => {
                Response::Compact { revision: reply.header.unwrap().revision }
            }
            Reply::Compact(Err(error)) => refusal(error),
            Reply::Malformed(error) => panic!("{error}"),
        }
    }

    pub(crate) fn read(&self, first: Key, end: Key, at: Option<i64>) -> Response {
        let request = RangeRequest {
            key: key_bytes(first),
            range_end: key_bytes(end),
            revision: at.unwrap_or(0),
            ..Default::default()
        };
        match self.0.reader().range(&request) {
            Ok(reply) => Response::Range {
                revision: reply.header.unwrap().revision,
                pairs: reply.kvs.iter().map(pair).collect(),
            },
            Err(error) => refusal(error),
        }
    }
}

fn refusal(error: Error) -> Response {
    if error == Error::Compacted {
        return Response::Compacted;
    }
    assert_eq!(error, Error::FutureRevision);
    Response::FutureRevision
}

fn put(key: Key, value: u64) -> PutRequest {
    let value = value.to_be_bytes().to_vec().into();
    PutRequest { key: key_bytes(key), value, prev_kv: true, ..Default::default() }
}

fn swap(key: Key, expected: i64, value: u64, also: Option<Key>) -> TxnRequest {
    let op = |request| RequestOp { request: Some(request) };
    let keys = [key].into_iter().chain(also);
    let read = RangeRequest { key: key_bytes(key), ..Default::default() };
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: key_bytes(key),
            target_union: Some(TargetUnion::ModRevision(expected)),
            range_end: bytes::Bytes::new(),
        }],
        success: keys.map(|key| op(request_op::Request::RequestPut(put(key, value)))).collect(),
        failure: vec![op(request_op::Request::RequestRange(read))],
    }
}

fn key_bytes(key: Key) -> bytes::Bytes {
    key.to_be_bytes().to_vec().into()
}

fn pair(from: &KeyValue) -> Pair {
    Pair {
        key: Key::from_be_bytes(from.key[..].try_into().unwrap()),
        value: u64::from_be_bytes(from.value[..].try_into().unwrap()),
        created: from.create_revision,
        modified: from.mod_revision,
        version: from.version,
    }
}
