//! What the services of one member share.

use std::sync::PoisonError;
use std::time::Duration;

use quorate_node::{Error as NodeError, MemberInfo, Node};
use quorate_proto::etcdserverpb::{Member as MemberRecord, ResponseHeader};
use quorate_replica::sessions::{Head, Sessions};
use quorate_store::{Command, Reader};
use tokio::sync::SetOnce;
use tokio::time::timeout;
use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::machine::{Attributes, Machine, Reply};
use crate::{session, status};

/// A member, as its services see it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) node: Node<Sessions<Machine>>,
    pub(crate) reader: Reader,
    /// The cluster's id.
    pub(crate) cluster: u64,
    pub(crate) id: u64,
    pub(crate) attributes: Attributes,
    /// How long a request may take.
    pub(crate) patience: Duration,
    /// The bytes of a request at most.
    pub(crate) request_bytes_max: usize,
    pub(crate) limits: quorate_store::check::Limits,
    /// Set once this life has applied what was committed before it began.
    pub(crate) caught_up: SetOnce<()>,
}

impl Member {
    /// The head of an answer that was made at `revision`.
    pub(crate) fn header(&self, revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster,
            member_id: self.id,
            revision,
            raft_term: self.node.status().term,
        }
    }

    /// Puts the cluster, the member and the term into a head that has its revision.
    pub(crate) fn complete(&self, header: &mut Option<ResponseHeader>) {
        let revision = header.as_ref().map_or(0, |header| header.revision);
        *header = Some(self.header(revision));
    }

    /// Refuses a caller who wants an answer only from a member with a leader, if there is none.
    pub(crate) fn check_leader(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let asks = metadata.get("hasleader").is_some_and(|value| value.as_bytes() == b"true");
        if asks && self.node.status().leader.is_none() {
            return Err(status::no_leader());
        }
        Ok(())
    }

    /// Has a command agreed on and applied, once if it belongs to a session.
    pub(crate) async fn propose(
        &self,
        head: Option<&Head>,
        command: &Command,
    ) -> Result<Reply, Status> {
        // The first byte is ours, not the client's.
        if command.encoded_len() - 1 > self.request_bytes_max {
            return Err(status::too_large());
        }
        let command = session::command(head, command);
        match timeout(self.patience, self.node.propose(command)).await {
            Ok(Ok(reply)) => reply.map_err(session::status),
            Ok(Err(error)) => Err(status::of_node(error)),
            Err(_) => Err(status::timed_out()),
        }
    }

    /// Waits until a read of this member's own state may be served as it asks: so stale at most, or
    /// of any age, or linearizable.
    pub(crate) async fn await_read(
        &self,
        staleness: Option<Duration>,
        is_serializable: bool,
    ) -> Result<(), Status> {
        match (staleness, is_serializable) {
            (Some(staleness), _) => self.linearize_within(staleness).await,
            (None, true) => self.catch_up().await,
            (None, false) => self.linearize().await,
        }
    }

    async fn linearize_within(&self, staleness: Duration) -> Result<(), Status> {
        match timeout(self.patience, self.node.linearize_within(staleness)).await {
            Ok(confirmed) => confirmed.map_err(status::of_node),
            Err(_) => Err(status::timed_out()),
        }
    }

    /// Waits until a read of this member's own state is linearizable.
    pub(crate) async fn linearize(&self) -> Result<(), Status> {
        match timeout(self.patience, self.node.linearize()).await {
            Ok(confirmed) => confirmed.map_err(status::of_node),
            Err(_) => Err(status::timed_out()),
        }
    }

    /// Waits until this member's own state is at least what it was before its last stop: a start
    /// replays the log, and meanwhile the state would be older than what was read here before.
    pub(crate) async fn catch_up(&self) -> Result<(), Status> {
        if self.node.halted().is_some() {
            return Err(status::of_node(NodeError::Stopped));
        }
        if self.caught_up.get().is_some() {
            return Ok(());
        }
        match timeout(self.patience, self.caught_up.wait()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(status::timed_out()),
        }
    }

    /// All members, with what they have said of themselves.
    pub(crate) async fn members(&self) -> Result<Vec<MemberRecord>, Status> {
        let members = self.node.members().await.map_err(status::of_node)?;
        let known = self.attributes.read().unwrap_or_else(PoisonError::into_inner);
        let record = |member: MemberInfo| MemberRecord {
            id: member.id.value(),
            peer_ur_ls: member.urls,
            is_learner: !member.is_voter,
            ..known.get(&member.id.value()).cloned().unwrap_or_default()
        };
        let mut members: Vec<_> = members.into_iter().map(record).collect();
        members.sort_unstable_by_key(|member| member.id);
        Ok(members)
    }
}
