//! The client itself: one method a request.

use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::etcdserverpb::cluster_client::ClusterClient;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{
    MemberAddRequest, MemberPromoteRequest, MemberRemoveRequest, MemberUpdateRequest,
    MoveLeaderRequest, SnapshotRequest, StatusRequest,
};
use tonic::transport::Channel;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::message::{
    CompactionResponse, DeleteRangeResponse, MemberAddResponse, MemberListResponse,
    MemberPromoteResponse, MemberRemoveResponse, MemberUpdateResponse, PutResponse, RangeResponse,
    StatusResponse, TxnResponse,
};
use crate::options::Options;
use crate::pool::{Pool, Slot};
use crate::request::{
    CompactOptions, DeleteOptions, MAX_STALENESS, MemberListOptions, PutOptions, RangeOptions,
};
use crate::retry::{self, Kind};
use crate::snapshot::Snapshot;
use crate::txn::{Txn, is_read_only};

/// The largest answer taken; a range has no other bound. It is what etcd's own client takes.
const ANSWER_BYTES_MAX: usize = 0x7fff_ffff;

/// A client of one cluster; clones share its connections.
///
/// What is retried, and what an error says about the outcome of a request, stands in the
/// [crate's documentation](crate).
#[derive(Clone, Debug)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// A client that knows these endpoints. It connects when the first request needs it.
    ///
    /// # Errors
    ///
    /// [`Error::Endpoint`] if one is not written as an [`Endpoint`] is, or if there is none.
    pub fn connect<I>(endpoints: I, options: Options) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let endpoints =
            endpoints.into_iter().map(|text| text.as_ref().parse()).collect::<Result<_, _>>()?;
        Ok(Self { pool: Arc::new(Pool::new(endpoints, options)?) })
    }

    /// The endpoints that the client knows, each once.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.pool.endpoints()
    }

    /// Reads a key, or a range that begins with it.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn get(
        &self,
        key: impl Into<Bytes>,
        options: RangeOptions,
    ) -> Result<RangeResponse, Error> {
        let staleness = options.staleness();
        let request = options.into_request(key.into());
        retry::run(&self.pool, Kind::Read, |channel, stamp| {
            let mut request = stamp.request(request.clone());
            if let Some(staleness) = &staleness {
                request.metadata_mut().insert(MAX_STALENESS, staleness.clone());
            }
            async move { kv(channel).range(request).await }
        })
        .await
    }

    /// Sets a key.
    ///
    /// # Errors
    ///
    /// See [`Error`]; if it [is unknown](Error::is_outcome_unknown), the key may be set.
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        options: PutOptions,
    ) -> Result<PutResponse, Error> {
        let request = options.into_request(key.into(), value.into());
        retry::run(&self.pool, Kind::Write, |channel, stamp| {
            let request = stamp.request(request.clone());
            async move { kv(channel).put(request).await }
        })
        .await
    }

    /// Deletes a key, or a range that begins with it.
    ///
    /// # Errors
    ///
    /// See [`Error`]; if it [is unknown](Error::is_outcome_unknown), the keys may be deleted.
    pub async fn delete(
        &self,
        key: impl Into<Bytes>,
        options: DeleteOptions,
    ) -> Result<DeleteRangeResponse, Error> {
        let request = options.into_request(key.into());
        retry::run(&self.pool, Kind::Write, |channel, stamp| {
            let request = stamp.request(request.clone());
            async move { kv(channel).delete_range(request).await }
        })
        .await
    }

    /// Runs several operations in one step. One that only reads is retried as a read is.
    ///
    /// # Errors
    ///
    /// See [`Error`]; if it [is unknown](Error::is_outcome_unknown), the transaction may have
    /// been applied, as a whole or not at all.
    pub async fn txn(&self, txn: Txn) -> Result<TxnResponse, Error> {
        let request = txn.into_request();
        let kind = if is_read_only(&request) { Kind::Read } else { Kind::Write };
        retry::run(&self.pool, kind, |channel, stamp| {
            let request = stamp.request(request.clone());
            async move { kv(channel).txn(request).await }
        })
        .await
    }

    /// Forgets the history before a revision.
    ///
    /// # Errors
    ///
    /// See [`Error`]; if it [is unknown](Error::is_outcome_unknown), the history may be gone.
    pub async fn compact(
        &self,
        revision: i64,
        options: CompactOptions,
    ) -> Result<CompactionResponse, Error> {
        let request = options.into_request(revision);
        retry::run(&self.pool, Kind::Write, |channel, stamp| async move {
            kv(channel).compact(stamp.request(request)).await
        })
        .await
    }

    /// Asks one member for its own state; it answers without a quorum, too.
    ///
    /// # Errors
    ///
    /// See [`Error`]. No other endpoint is tried.
    pub async fn status(&self, endpoint: &Endpoint) -> Result<StatusResponse, Error> {
        let status = |channel, _| async move {
            let mut client = MaintenanceClient::new(channel);
            client.status(StatusRequest {}).await
        };
        match self.pool.find(endpoint) {
            Some(slot) => retry::run_at(&self.pool, slot, status).await,
            None => retry::run_at(&self.pool, &Slot::new(endpoint.clone()), status).await,
        }
    }

    /// Asks the leader, which is the member at `endpoint`, to hand its leadership over to the
    /// member `target`. The answer comes once that member leads.
    ///
    /// # Errors
    ///
    /// See [`Error`]. A member that does not lead refuses. No other endpoint is tried.
    pub async fn move_leader(&self, endpoint: &Endpoint, target: u64) -> Result<(), Error> {
        let request = MoveLeaderRequest { target_id: target };
        let ask =
            |channel, _| async move { MaintenanceClient::new(channel).move_leader(request).await };
        match self.pool.find(endpoint) {
            Some(slot) => retry::run_at(&self.pool, slot, ask).await?,
            None => retry::run_at(&self.pool, &Slot::new(endpoint.clone()), ask).await?,
        };
        Ok(())
    }

    /// Asks one member for all that it holds. The request timeout is for the beginning, and then
    /// for each piece.
    ///
    /// # Errors
    ///
    /// See [`Error`]. No other endpoint is tried.
    pub async fn snapshot(&self, endpoint: &Endpoint) -> Result<Snapshot, Error> {
        let ask = |channel, _| async move {
            MaintenanceClient::new(channel).snapshot(SnapshotRequest {}).await
        };
        let pieces = match self.pool.find(endpoint) {
            Some(slot) => retry::run_at(&self.pool, slot, ask).await?,
            None => retry::run_at(&self.pool, &Slot::new(endpoint.clone()), ask).await?,
        };
        let piece_timeout = self.pool.options().request_timeout;
        Ok(Snapshot::new(endpoint.clone(), pieces, piece_timeout))
    }

    /// Asks who the members are.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn member_list(
        &self,
        options: MemberListOptions,
    ) -> Result<MemberListResponse, Error> {
        let request = options.into_request();
        retry::run(&self.pool, Kind::Read, |channel, _| async move {
            ClusterClient::new(channel).member_list(request).await
        })
        .await
    }

    /// Adds a member, which others reach at `peer_urls`; a learner stays without a vote. See
    /// docs/api.md for how it gets one otherwise.
    ///
    /// # Errors
    ///
    /// See [`Error`]. It is sent once: after [an unknown outcome](Error::is_outcome_unknown), look
    /// at the members.
    pub async fn member_add(
        &self,
        peer_urls: &[String],
        is_learner: bool,
    ) -> Result<MemberAddResponse, Error> {
        let request = MemberAddRequest { peer_ur_ls: peer_urls.to_vec(), is_learner };
        retry::run_once(&self.pool, |channel, _| {
            let request = request.clone();
            async move { ClusterClient::new(channel).member_add(request).await }
        })
        .await
    }

    /// Removes a member.
    ///
    /// # Errors
    ///
    /// As for [`Self::member_add`].
    pub async fn member_remove(&self, id: u64) -> Result<MemberRemoveResponse, Error> {
        let request = MemberRemoveRequest { id };
        retry::run_once(&self.pool, |channel, _| async move {
            ClusterClient::new(channel).member_remove(request).await
        })
        .await
    }

    /// Says that a member is at other peer URLs.
    ///
    /// # Errors
    ///
    /// As for [`Self::member_add`].
    pub async fn member_update(
        &self,
        id: u64,
        peer_urls: &[String],
    ) -> Result<MemberUpdateResponse, Error> {
        let request = MemberUpdateRequest { id, peer_ur_ls: peer_urls.to_vec() };
        retry::run_once(&self.pool, |channel, _| {
            let request = request.clone();
            async move { ClusterClient::new(channel).member_update(request).await }
        })
        .await
    }

    /// Gives a learner a vote.
    ///
    /// # Errors
    ///
    /// As for [`Self::member_add`].
    pub async fn member_promote(&self, id: u64) -> Result<MemberPromoteResponse, Error> {
        let request = MemberPromoteRequest { id };
        retry::run_once(&self.pool, |channel, _| async move {
            ClusterClient::new(channel).member_promote(request).await
        })
        .await
    }
}

fn kv(channel: Channel) -> KvClient<Channel> {
    KvClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX)
}
