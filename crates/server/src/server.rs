//! A member of a cluster, from its settings to its end.

use std::fs;
use std::net::TcpListener as StdListener;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use quorate_node::{
    Error as NodeError, Halted, HandOverError, JoinError, Joined, LeaseConfig, Node, NodeConfig,
    Peer, SnapshotPolicy, StartError, Timing,
};
use quorate_proto::etcdserverpb::Member as MemberRecord;
use quorate_raft::{NodeId, TransferError};
use quorate_replica::sessions::{Sessions, plain};
use quorate_store::Store;
use quorate_store::check::Limits;
use tokio::net::TcpListener;
use tokio::sync::SetOnce;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use crate::faces::Faces;
use crate::identity::{Cluster, Seat};
use crate::listen;
use crate::machine::{Attributes, Machine, publish};
use crate::member::Member;

/// The settings of a server. The listeners are bound already, so that a port in use is found out
/// before anything is written.
#[derive(Debug)]
pub struct ServerConfig {
    /// The member's name, one of the cluster's.
    pub name: String,
    /// The members that the cluster begins with. For one that [joins](Self::joins) a running
    /// cluster: itself, and members that run.
    pub cluster: Cluster,
    /// This member was added to a running cluster, and begins with nothing: it asks the others who
    /// it is. Of no meaning once it has data.
    pub joins: bool,
    /// Where the member's data is; made if there is none.
    pub data_dir: PathBuf,
    /// Where clients connect to.
    pub client_listeners: Vec<StdListener>,
    /// What clients are told to connect to.
    pub advertise_client_urls: Vec<String>,
    /// Where the other members connect to.
    pub peer_listener: StdListener,
    /// The timers of Raft.
    pub timing: Timing,
    /// When snapshots are taken, and how much of the log stays.
    pub snapshots: SnapshotPolicy,
    /// Whether a leader answers reads by a lease; the same on all members.
    pub lease: Option<LeaseConfig>,
    /// The bytes of a request at most.
    pub request_bytes_max: usize,
    /// The operations of a transaction at most.
    pub txn_ops_max: usize,
    /// The bytes of the answer to a read at most.
    pub range_bytes_max: usize,
}

impl ServerConfig {
    /// The largest request by default: 1.5 MiB.
    pub const REQUEST_BYTES_MAX: usize = 1_572_864;
    /// The operations of a transaction by default.
    pub const TXN_OPS_MAX: usize = 128;
    /// The largest answer to a read by default: 64 MiB.
    pub const RANGE_BYTES_MAX: usize = 64 * 1024 * 1024;
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] StartError),
    /// The name is none of the cluster's.
    #[error(
        "'{name}' is not in the initial cluster ({known}); add it there, or set the name to one of \
         these"
    )]
    Nameless {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A listener cannot be used.
    #[error("the client URL cannot be served: {0}")]
    Listen(#[from] std::io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    member: Arc<Member>,
    tasks: JoinSet<()>,
    /// How long the parts of [`Self::hand_over`] may take.
    hand_over_max: Duration,
}

impl Server {
    /// Starts the member and serves its clients, in the current runtime.
    ///
    /// # Errors
    /// If the settings contradict each other, or the data directory cannot be used.
    pub async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        let seat = config.cluster.seat(&config.name).ok_or_else(|| nameless(&config))?.clone();
        let joined = join(&config, &seat).await.map_err(StartError::Join)?;
        let (cluster, id) = joined
            .as_ref()
            .map_or((config.cluster.id, seat.id), |joined| (joined.cluster, joined.member.value()));
        let others = config.cluster.seats.iter().filter(|other| other.id != seat.id);
        let peers: Vec<_> = others
            .filter(|_| joined.is_none())
            .map(|other| Peer { id: NodeId::new(other.id), urls: other.peer_urls.clone() })
            .collect();
        let store = Store::new();
        let reader = store.reader().with_answer_bytes_max(config.range_bytes_max);
        let attributes = Attributes::default();
        let node = NodeConfig {
            cluster,
            member: NodeId::new(id),
            urls: seat.peer_urls,
            peers,
            joined,
            listener: config.peer_listener,
            data_dir: config.data_dir,
            timing: config.timing,
            snapshots: config.snapshots,
            lease: config.lease,
        };
        let machine = Sessions::new(Machine::new(store, attributes.clone()));
        let node = Node::start(node, machine).await?;
        let member = Arc::new(Member {
            node,
            reader,
            cluster,
            id,
            attributes,
            patience: Duration::from_secs(5) + 2 * config.timing.election_timeout,
            request_bytes_max: config.request_bytes_max,
            limits: Limits { txn_ops_max: config.txn_ops_max },
            caught_up: SetOnce::new(),
        });
        let mut tasks = JoinSet::new();
        let record = MemberRecord {
            id,
            name: seat.name,
            client_ur_ls: config.advertise_client_urls,
            ..MemberRecord::default()
        };
        tasks.spawn(introduce(member.clone(), record));
        // Serving from the first moment until it stops, as a whole: which member leads is not its
        // business.
        let (reporter, _) = tonic_health::server::health_reporter();
        reporter.set_service_status("", ServingStatus::Serving).await;
        let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let node = member.node.clone();
        tasks.spawn(async move {
            node.stopped().await;
            reporter.set_service_status("", ServingStatus::NotServing).await;
        });
        let faces = Faces::new(&member, health, config.range_bytes_max);
        for listener in config.client_listeners {
            listener.set_nonblocking(true)?;
            tasks.spawn(listen::serve(TcpListener::from_std(listener)?, faces.clone()));
        }
        Ok(Self { member, tasks, hand_over_max: 2 * config.timing.election_timeout })
    }

    /// Waits until the member can serve: it has a leader and has applied what was there before.
    pub async fn ready(&self) {
        // It waits while there is no leader; when the node has stopped, `stopped` says so.
        self.member.node.linearize().await.ok();
    }

    /// The cluster's id.
    #[must_use]
    pub fn cluster(&self) -> u64 {
        self.member.cluster
    }

    /// The member's id.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.member.id
    }

    /// Whether this member leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.member.node.status().leader == Some(NodeId::new(self.member.id))
    }

    /// Waits until the member stops by itself, and says why.
    pub async fn stopped(&self) -> Halted {
        self.member.node.stopped().await
    }

    /// [`Self::stopped`], free of the server's lifetime.
    pub fn watch(&self) -> impl Future<Output = Halted> + Send + 'static {
        let node = self.member.node.clone();
        async move { node.stopped().await }
    }

    /// Hands the leadership over, if this member has it and another can take it, and waits until
    /// what its clients have proposed is answered; neither for long. To be called before
    /// [`Self::stop`], so that the others need no election timeout to find a leader.
    pub async fn hand_over(&self) {
        let node = &self.member.node;
        if self.is_leader() {
            match timeout(self.hand_over_max, node.transfer_leadership(None)).await {
                Ok(Ok(to)) => {
                    let to = format!("{:x}", to.value());
                    tracing::info!(to, "the leadership was handed over");
                }
                // The only voter leads to its end.
                Ok(Err(HandOverError::Refused(TransferError::NobodyElse))) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the leadership was not handed over"),
                Err(_) => tracing::warn!("the leadership was not handed over in time"),
            }
        }
        if timeout(self.hand_over_max, node.flush()).await.is_err() {
            tracing::warn!("some requests are not answered yet: whether they are done is unknown");
        }
    }

    /// Stops in order.
    pub async fn stop(mut self) -> Halted {
        let halted = self.member.node.stop().await;
        self.tasks.shutdown().await;
        halted
    }
}

/// What a member that was added to a running cluster begins with: found in its directory, or with
/// the others.
async fn join(config: &ServerConfig, seat: &Seat) -> Result<Option<Joined>, JoinError> {
    if let Some(joined) = Joined::load(&config.data_dir)? {
        return Ok(Some(joined));
    }
    let is_empty = fs::read_dir(&config.data_dir).map_or(true, |mut files| files.next().is_none());
    if !config.joins || !is_empty {
        return Ok(None);
    }
    let urls: Vec<_> =
        config.cluster.seats.iter().flat_map(|other| other.peer_urls.clone()).collect();
    Joined::find(&urls, &seat.peer_urls, &config.data_dir, config.timing).await.map(Some)
}

fn nameless(config: &ServerConfig) -> ServerError {
    let known: Vec<_> = config.cluster.seats.iter().map(|seat| seat.name.as_str()).collect();
    ServerError::Nameless { name: config.name.clone(), known: known.join(", ") }
}

/// The pause before a member that was refused introduces itself again.
const INTRODUCTION_PAUSE: Duration = Duration::from_secs(1);

/// Tells the cluster this member's name and client URLs, unless it knows them from before.
async fn introduce(member: Arc<Member>, record: MemberRecord) {
    if member.node.linearize().await.is_err() {
        return;
    }
    member.caught_up.set(()).ok();
    let known = {
        let known = member.attributes.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&record.id) == Some(&record)
    };
    if known {
        return;
    }
    while let Err(error) = member.node.propose(plain(publish(&record))).await {
        tracing::warn!(%error, "this member's client URLs are not known to the others yet");
        if error == NodeError::Stopped {
            return;
        }
        tokio::time::sleep(INTRODUCTION_PAUSE).await;
    }
}
