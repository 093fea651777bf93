//! etcd's Maintenance service: the state of this very member.

use std::sync::Arc;

use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::maintenance_server::Maintenance;
use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, HashKvRequest,
    HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse,
    SnapshotRequest, StatusRequest, StatusResponse,
};
use quorate_raft::{NodeId, Standing};
use quorate_store::View;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::member::Member;
use crate::snapshot::{self, Pieces};
use crate::{API_VERSION, session, status};

/// Calls at a time that read everything: snapshots and hashes.
const WALKS_MAX: usize = 4;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceService {
    member: Arc<Member>,
    /// The places for calls that read everything.
    walks: Arc<Semaphore>,
}

impl MaintenanceService {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self { member, walks: Arc::new(Semaphore::new(WALKS_MAX)) }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        self.walks.clone().try_acquire_owned().map_err(|_| status::too_many_requests())
    }

    /// The hash of what can be read up to a revision, with the view that it was taken of.
    async fn hash_until(&self, revision: i64) -> Result<(u32, View), Status> {
        let place = self.place()?;
        self.member.catch_up().await?;
        let view = self.member.reader.view();
        let hashing = tokio::task::spawn_blocking(move || {
            let hash = view.content_hash(revision).map_err(status::of_store);
            drop(place);
            hash.map(|hash| (hash, view))
        });
        // It does not panic, nor is it given up: but for the end of the process, it ends.
        hashing.await.unwrap_or_else(|error| Err(Status::internal(error.to_string())))
    }
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    /// There are no alarms yet: none is listed, and none needs to be ended. Like etcd's, the answer
    /// needs a quorum; `etcdctl endpoint health` asks for it.
    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        match request.into_inner().action() {
            AlarmAction::Get | AlarmAction::Deactivate => self.member.linearize().await?,
            AlarmAction::Activate => return Err(Status::unimplemented("alarms cannot be raised")),
        }
        let header = self.member.header(self.member.reader.revision());
        Ok(Response::new(AlarmResponse { header: Some(header), alarms: Vec::new() }))
    }

    /// At the leader only, as in etcd: others refuse. The answer comes once the other leads.
    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let to = NodeId::new(request.into_inner().target_id);
        match timeout(self.member.patience, self.member.node.transfer_leadership(Some(to))).await {
            Ok(Ok(_)) => Ok(Response::new(MoveLeaderResponse { header: None })),
            Ok(Err(error)) => Err(status::of_hand_over(error)),
            Err(_) => Err(status::timed_out()),
        }
    }

    /// Nothing needs to be done: what a compaction frees, the store gives back by itself, and the
    /// log has no holes.
    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        Ok(Response::new(DefragmentResponse { header: None }))
    }

    /// As `hash_kv` at the current revision: there is nothing else in the store.
    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        let (hash, view) = self.hash_until(0).await?;
        let header = Some(self.member.header(view.revision()));
        Ok(Response::new(HashResponse { header, hash }))
    }

    /// Of this member's own state, as it is in etcd: that is what is compared with others.
    async fn hash_kv(
        &self,
        request: Request<HashKvRequest>,
    ) -> Result<Response<HashKvResponse>, Status> {
        let revision = request.into_inner().revision;
        let (hash, view) = self.hash_until(revision).await?;
        Ok(Response::new(HashKvResponse {
            header: Some(self.member.header(view.revision())),
            hash,
            compact_revision: view.status().compacted,
            hash_revision: if revision <= 0 { view.revision() } else { revision },
        }))
    }

    type SnapshotStream = Pieces;

    /// Of this member's own state, as it is in etcd: it needs no quorum. But a member that does not
    /// know yet what was committed before it started gives none, since much could be missing.
    async fn snapshot(&self, _: Request<SnapshotRequest>) -> Result<Response<Pieces>, Status> {
        let place = self.place()?;
        self.member.catch_up().await?;
        let members = self.member.members().await?;
        Ok(Response::new(snapshot::stream(&self.member, members, place)))
    }

    /// Local: it never waits for a leader.
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let member = &self.member;
        let node = member.node.status();
        let store = member.reader.status();
        let mut errors = Vec::new();
        if node.leader.is_none() {
            errors.push(status::no_leader().message().to_owned());
        }
        if node.disk_full {
            errors.push("the disk is full: writes are refused; free some space".to_owned());
        }
        let mut response = Response::new(StatusResponse {
            header: Some(member.header(store.revision)),
            version: API_VERSION.to_owned(),
            db_size: store.bytes,
            leader: node.leader.map_or(0, NodeId::value),
            raft_index: node.commit,
            raft_term: node.term,
            raft_applied_index: node.applied,
            errors,
            db_size_in_use: store.bytes_live,
            is_learner: node.standing == Standing::Learner,
            storage_version: "3.6.0".to_owned(),
            db_size_quota: 0,
            downgrade_info: None,
        });
        // How a client's session begins: see `session`.
        session::name_index(response.metadata_mut(), node.applied);
        Ok(response)
    }
}
