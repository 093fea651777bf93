//! etcd's Cluster service: who the members are.

use std::sync::Arc;

use quorate_proto::etcdserverpb::cluster_server::Cluster;
use quorate_proto::etcdserverpb::{MemberListRequest, MemberListResponse, ResponseHeader};
use tonic::{Request, Response, Status};

use crate::member::Member;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct ClusterService {
    member: Arc<Member>,
}

impl ClusterService {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self { member }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        if request.into_inner().linearizable {
            self.member.linearize().await?;
        }
        // etcd's answers about members carry no revision.
        let header = ResponseHeader { revision: 0, ..self.member.header(0) };
        let members = self.member.members();
        Ok(Response::new(MemberListResponse { header: Some(header), members }))
    }
}
