//! etcd's Maintenance service: the state of this very member.

use std::sync::Arc;

use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::maintenance_server::Maintenance;
use quorate_proto::etcdserverpb::{AlarmRequest, AlarmResponse, StatusRequest, StatusResponse};
use quorate_raft::NodeId;
use tonic::{Request, Response, Status};

use crate::member::Member;
use crate::{API_VERSION, status};

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
        Ok(Response::new(StatusResponse {
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
        }))
    }
}
