//! What a node needs to know to start.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use quorate_raft::{LeaseConfig, NodeId};
use quorate_replica::SnapshotPolicy;

/// The settings of a node.
#[derive(Debug)]
pub struct NodeConfig {
    /// The cluster it belongs to.
    pub cluster: u64,
    /// This member.
    pub member: NodeId,
    /// The other members.
    pub peers: Vec<Peer>,
    /// Where the peers connect to; already bound, so that a port in use is found out before
    /// anything is written. A cluster of one has none.
    pub listener: TcpListener,
    /// Where the log is; made if there is none.
    pub data_dir: PathBuf,
    /// How fast it beats.
    pub timing: Timing,
    /// When snapshots are taken, and how much of the log stays.
    pub snapshots: SnapshotPolicy,
    /// Whether a leader answers reads by a lease; `None`: it does not. The same on all members;
    /// what it assumes of clocks is in docs/raft.md, *Leases*.
    pub lease: Option<LeaseConfig>,
}

/// Another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub id: NodeId,
    /// Where it listens for peers, as `http://host:port`; tried in turn.
    pub urls: Vec<String>,
}

/// The timers of Raft (§5.2, §9.3 of the paper).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader shows that it lives.
    pub heartbeat_interval: Duration,
    /// The shortest time without a leader after which a member stands for election; it is drawn
    /// between this and twice this.
    pub election_timeout: Duration,
}

impl Default for Timing {
    /// A heartbeat each 100 ms, elections after one to two seconds.
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
        }
    }
}
