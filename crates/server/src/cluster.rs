//! etcd's Cluster service: who the members are, and changes of that. At any member: the leader is
//! asked by the node.
//!
//! A member that is added with a vote is a learner first, and gets the vote by itself when it has
//! caught up: until then it can hold up nothing.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use quorate_node::{Change, NodeId};
use quorate_proto::etcdserverpb::cluster_server::Cluster;
use quorate_proto::etcdserverpb::{
    MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse, ResponseHeader,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::identity::check_url;
use crate::member::Member;
use crate::status;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct ClusterService {
    member: Arc<Member>,
}

impl ClusterService {
    pub(crate) fn new(member: Arc<Member>) -> Self {
        Self { member }
    }

    /// Has a change made, and waits for its end.
    async fn change(&self, change: Change) -> Result<(), Status> {
        let is_removal = matches!(change, Change::Remove { .. });
        match timeout(self.member.patience, self.member.node.change(change)).await {
            Ok(changed) => changed.map_err(|error| status::of_change(&error, is_removal)),
            Err(_) => Err(status::timed_out()),
        }
    }

    /// etcd's answers about members carry no revision.
    fn header(&self) -> Option<ResponseHeader> {
        Some(ResponseHeader { revision: 0, ..self.member.header(0) })
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let MemberAddRequest { peer_ur_ls, is_learner } = request.into_inner();
        let urls = peer_urls(peer_ur_ls)?;
        let id = draw_id(&urls);
        let (node_id, promote) = (NodeId::new(id), !is_learner);
        self.change(Change::Add { id: node_id, urls, promote }).await?;
        let members = self.member.members().await?;
        let member = members.iter().find(|member| member.id == id).cloned();
        Ok(Response::new(MemberAddResponse { header: self.header(), member, members }))
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let id = NodeId::new(request.into_inner().id);
        self.change(Change::Remove { id }).await?;
        let members = self.member.members().await?;
        Ok(Response::new(MemberRemoveResponse { header: self.header(), members }))
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        let MemberUpdateRequest { id, peer_ur_ls } = request.into_inner();
        let urls = peer_urls(peer_ur_ls)?;
        self.change(Change::Update { id: NodeId::new(id), urls }).await?;
        let members = self.member.members().await?;
        Ok(Response::new(MemberUpdateResponse { header: self.header(), members }))
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        let id = NodeId::new(request.into_inner().id);
        self.change(Change::Promote { id }).await?;
        let members = self.member.members().await?;
        Ok(Response::new(MemberPromoteResponse { header: self.header(), members }))
    }

    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        self.member.check_leader(request.metadata())?;
        if request.into_inner().linearizable {
            self.member.linearize().await?;
        }
        let members = self.member.members().await?;
        Ok(Response::new(MemberListResponse { header: self.header(), members }))
    }
}

/// The URLs of a member as they are kept: checked, in order, each once.
fn peer_urls(urls: Vec<String>) -> Result<Vec<String>, Status> {
    let mut urls: Vec<_> = urls.iter().map(|url| url.trim_end_matches('/').to_owned()).collect();
    urls.sort();
    urls.dedup();
    if urls.is_empty() || urls.iter().any(|url| check_url(url).is_err()) {
        return Err(status::bad_urls());
    }
    Ok(urls)
}

/// An id for a new member: of nobody, now, before or later.
fn draw_id(urls: &[String]) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The keys of the standard library's hasher come from the operating system.
    RandomState::new().hash_one((now, std::process::id(), urls)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_kept_in_order_and_once_and_checked() {
        let urls = |urls: &[&str]| peer_urls(urls.iter().map(|&url| url.to_owned()).collect());
        let kept = urls(&["http://h:2/", "http://h:1", "http://h:2"]).unwrap();
        assert_eq!(kept, ["http://h:1", "http://h:2"]);
        for bad in [&[][..], &["h:1"], &["http://h:1", "http://h"]] {
            let status = urls(bad).unwrap_err();
            assert_eq!(status.message(), "etcdserver: given member URLs are invalid");
        }
    }
}
