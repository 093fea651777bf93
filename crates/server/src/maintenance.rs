//! etcd's Maintenance service: the state of this very member.

use std::sync::Arc;

use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::maintenance_server::Maintenance;
use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, MoveLeaderRequest, MoveLeaderResponse, StatusRequest,
    StatusResponse,
};
use quorate_raft::NodeId;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::member::Member;
use crate::{API_VERSION, session, status};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct MaintenanceService {
    member: Arc<Member>,
}

impl MaintenanceService {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self { member }
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
            is_learner: false,
            storage_version: "3.6.0".to_owned(),
            db_size_quota: 0,
            downgrade_info: None,
        });
        // How a client's session begins: see `session`.
        session::name_index(response.metadata_mut(), node.applied);
        Ok(response)
    }
}
