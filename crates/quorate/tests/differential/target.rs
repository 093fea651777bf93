//! What is asked: one of etcd's KV requests, of one server or another.

use std::fmt::{self, Debug};

use bytes::Bytes;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::request_op::Request as Op;
use quorate_proto::etcdserverpb::response_op::Response as OpAnswer;
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RequestOp, ResponseHeader, TxnRequest, TxnResponse,
};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::support_etcd::channel;

/// A call of the KV service.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(CompactionRequest),
}

/// What came of it, without what differs from server to server: who they are and their terms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Range(RangeResponse),
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    Compact(CompactionResponse),
    Error(Code, String),
}

impl Request {
    /// Whether a member may answer from a state of its own that is old.
    fn is_serializable(&self) -> bool {
        fn txn(request: &TxnRequest) -> bool {
            request.success.iter().chain(&request.failure).all(
                |RequestOp { request }| match request {
                    Some(Op::RequestRange(range)) => range.serializable,
                    Some(Op::RequestTxn(inner)) => txn(inner),
                    Some(Op::RequestPut(_) | Op::RequestDeleteRange(_)) | None => false,
                },
            )
        }
        match self {
            Self::Range(request) => request.serializable,
            Self::Txn(request) => txn(request),
            Self::Put(_) | Self::DeleteRange(_) | Self::Compact(_) => false,
        }
    }
}

impl Answer {
    /// The revision in its head, if it has one.
    pub(crate) fn revision(&self) -> Option<i64> {
        self.header().map(|header| header.revision)
    }

    fn header(&self) -> Option<&ResponseHeader> {
        match self {
            Self::Range(answer) => answer.header.as_ref(),
            Self::Put(answer) => answer.header.as_ref(),
            Self::DeleteRange(answer) => answer.header.as_ref(),
            Self::Txn(answer) => answer.header.as_ref(),
            Self::Compact(answer) => answer.header.as_ref(),
            Self::Error(..) => None,
        }
    }
}

/// A server, or a cluster whose members are asked in turn.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    clients: Vec<KvClient<Channel>>,
    turn: usize,
}

impl Target {
    pub(crate) async fn connect(name: &'static str, urls: &[String]) -> Self {
        let mut clients = Vec::new();
        for url in urls {
            let client = KvClient::new(channel(url).await.unwrap());
            clients.push(client.max_decoding_message_size(usize::MAX));
        }
        Self { name, clients, turn: 0 }
    }

    /// Asks it, or the member whose turn it is.
    pub(crate) async fn ask(&mut self, request: &Request) -> Answer {
        self.turn = (self.turn + 1) % self.clients.len();
        if self.clients.len() > 1 && request.is_serializable() {
            // So that the member's own state is not an old one.
            let request = RangeRequest { key: Bytes::from_static(b"\0"), ..Default::default() };
            self.clients[self.turn].range(request).await.unwrap();
        }
        let client = &mut self.clients[self.turn];
        match request.clone() {
            Request::Range(request) => answer(client.range(request).await, Answer::Range),
            Request::Put(request) => answer(client.put(request).await, Answer::Put),
            Request::DeleteRange(request) => {
                answer(client.delete_range(request).await, Answer::DeleteRange)
            }
            Request::Txn(request) => answer(client.txn(request).await, Answer::Txn),
            Request::Compact(request) => answer(client.compact(request).await, Answer::Compact),
        }
    }
}

/// An answer whose heads lack what differs from server to server.
fn answer<R: Heads>(answer: Result<Response<R>, Status>, kind: fn(R) -> Answer) -> Answer {
    match answer {
        Ok(response) => {
            let mut response = response.into_inner();
            response.mask();
            kind(response)
        }
        Err(status) => Answer::Error(status.code(), status.message().to_owned()),
    }
}

/// A response with heads.
trait Heads {
    /// Takes out of its heads, also of those within, what differs from server to server. What stays
    /// is whether it is there at all.
    fn mask(&mut self);
}

impl Heads for Option<ResponseHeader> {
    fn mask(&mut self) {
        if let Some(header) = self {
            let is_there = |number| u64::from(number != 0);
            header.cluster_id = is_there(header.cluster_id);
            header.member_id = is_there(header.member_id);
            header.raft_term = is_there(header.raft_term);
        }
    }
}

macro_rules! heads {
    ($($response:ty),*) => {
        $(impl Heads for $response {
            fn mask(&mut self) {
                self.header.mask();
            }
        })*
    };
}

heads!(RangeResponse, PutResponse, DeleteRangeResponse, CompactionResponse);

impl Heads for TxnResponse {
    fn mask(&mut self) {
        self.header.mask();
        for response in self.responses.iter_mut().filter_map(|op| op.response.as_mut()) {
            match response {
                OpAnswer::ResponseRange(response) => response.mask(),
                OpAnswer::ResponsePut(response) => response.mask(),
                OpAnswer::ResponseDeleteRange(response) => response.mask(),
                OpAnswer::ResponseTxn(response) => response.mask(),
            }
        }
    }
}

macro_rules! from {
    ($($variant:ident: $request:ty),*) => {
        $(impl From<$request> for Request {
            fn from(request: $request) -> Self {
                Self::$variant(request)
            }
        })*
    };
}

from!(
    Range: RangeRequest,
    Put: PutRequest,
    DeleteRange: DeleteRangeRequest,
    Txn: TxnRequest,
    Compact: CompactionRequest
);

/// Shows something in at most so many characters.
pub(crate) struct Short<'a, T>(pub(crate) &'a T);

impl<T: Debug> fmt::Display for Short<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:?}", self.0);
        let shown: String = text.chars().take(SHOWN_MAX).collect();
        let rest = text.len() - shown.len();
        if rest > 0 { write!(f, "{shown}… and {rest} bytes more") } else { f.write_str(&shown) }
    }
}

const SHOWN_MAX: usize = 2000;
