//! Runs a replica for real: threads, files, timers, and gRPC between the members.
//!
//! A [`Node`] has two threads. The *owner* holds the replica and carries the peers' streams:
//! whatever happens comes to its inbox, and what follows leaves in batches. The *disk* runs the
//! log's writes and syncs, one job at a time, so that a slow disk never stops the owner. Clients
//! call from threads of their own and are answered in batches as well.
//!
//! What must hold:
//! - One thread steps the replica. No lock is held while it does.
//! - Every queue has a bound with a name. When it is full, the caller is told at once.
//! - A failed sync or an unreadable log stops the node, and [`Node::stopped`] says why. Nothing is
//!   answered after that.

mod board;
mod clock;
mod config;
mod disk;
mod error;
mod handover;
mod inbox;
mod node;
mod owner;
mod replies;
mod setup;
mod shelf;
mod transport;

pub use board::NodeStatus;
pub use config::{NodeConfig, Peer, Timing};
pub use error::{Error, Halted, HandOverError, StartError};
pub use node::Node;
pub use quorate_raft::LeaseConfig;
pub use quorate_replica::SnapshotPolicy;
