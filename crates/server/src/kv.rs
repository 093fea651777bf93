//! etcd's KV service.

use std::sync::Arc;

use quorate_proto::etcdserverpb::kv_server::Kv;
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse, request_op,
};
use quorate_replica::sessions::Head;
use quorate_store::{Command, Reply, check};
use tonic::{Request, Response, Status};

use crate::machine;
use crate::member::Member;
use crate::{session, staleness, status};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct KvService {
    member: Arc<Member>,
}

impl KvService {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self { member }
    }

    async fn propose(&self, head: Option<&Head>, command: Command) -> Result<Reply, Status> {
        match self.member.propose(head, &command).await? {
            machine::Reply::Store(reply) => Ok(reply),
            machine::Reply::Published => Err(status::mismatch()),
        }
    }
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        let staleness = staleness::of(request.metadata())?;
        let request = request.into_inner();
        check::range(&request).map_err(status::of_store)?;
        self.member.await_read(staleness, request.serializable).await?;
        let mut response = self.member.reader.range(&request).map_err(status::of_store)?;
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        let head = session::head(request.metadata())?;
        let request = request.into_inner();
        check::put(&request).map_err(status::of_store)?;
        let Reply::Put(reply) = self.propose(head.as_ref(), Command::Put(request)).await? else {
            return Err(status::mismatch());
        };
        let mut response = reply.map_err(|error| decided(head.as_ref(), error))?;
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        let head = session::head(request.metadata())?;
        let request = request.into_inner();
        check::delete_range(&request).map_err(status::of_store)?;
        let Reply::DeleteRange(reply) =
            self.propose(head.as_ref(), Command::DeleteRange(request)).await?
        else {
            return Err(status::mismatch());
        };
        let mut response = reply.map_err(|error| decided(head.as_ref(), error))?;
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        let staleness = staleness::of(request.metadata())?;
        // Of a transaction that only reads it is not needed, but right it must be.
        let head = session::head(request.metadata())?;
        let request = request.into_inner();
        check::txn(&request, self.member.limits).map_err(status::of_store)?;
        let reply = if quorate_store::is_read_only(&request) {
            self.member.await_read(staleness, is_serializable(&request)).await?;
            self.member.reader.txn(&request)
        } else {
            let Reply::Txn(reply) = self.propose(head.as_ref(), Command::Txn(request)).await?
            else {
                return Err(status::mismatch());
            };
            reply
        };
        let mut response = reply.map_err(|error| decided(head.as_ref(), error))?;
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        let head = session::head(request.metadata())?;
        let request = request.into_inner();
        check::compact(&request).map_err(status::of_store)?;
        let Reply::Compact(reply) = self.propose(head.as_ref(), Command::Compact(request)).await?
        else {
            return Err(status::mismatch());
        };
        let mut response = reply.map_err(|error| decided(head.as_ref(), error))?;
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }
}

/// An error that the log has decided.
fn decided(head: Option<&Head>, error: quorate_store::Error) -> Status {
    session::decided(head, status::of_store(error))
}

/// Whether a transaction that only reads may be served from this member's own state: every read in
/// it says so.
fn is_serializable(txn: &TxnRequest) -> bool {
    let serializable = |operation: &RequestOp| match &operation.request {
        Some(request_op::Request::RequestRange(range)) => range.serializable,
        Some(request_op::Request::RequestTxn(txn)) => is_serializable(txn),
        Some(request_op::Request::RequestPut(_) | request_op::Request::RequestDeleteRange(_))
        | None => false,
    };
    txn.success.iter().chain(&txn.failure).all(serializable)
}
