//! etcd's API over a node and the store: what runs behind a client URL.
//!
//! A [`Server`] is a member of a cluster. It starts a [`quorate_node::Node`] with the store as its
//! state machine, and serves gRPC and plain HTTP on one port. Any member answers any request:
//! writes go through the node to whoever leads, linearizable reads ask the leader for an index and
//! are then served from the member's own state, serializable reads ask nobody.
//!
//! What must hold:
//! - What is wrong with a request by itself is found before it is proposed
//!   ([`quorate_store::check`]); what depends on the state is decided in apply, alike on every
//!   member.
//! - Errors carry etcd's codes and texts: clients match them.
//! - Nothing that a client sends ends anything but its own connection.

pub mod backup;
mod budget;
mod cluster;
mod faces;
mod identity;
mod kv;
mod listen;
mod machine;
mod maintenance;
mod member;
mod server;
mod session;
mod snapshot;
mod staleness;
mod status;
mod web;

pub use identity::{Cluster, ClusterError, Seat, check_url};
pub use server::{Server, ServerConfig, ServerError};

/// The version of etcd's API that is spoken. Clients read it: numbers and dots only.
pub const API_VERSION: &str = "3.6.4";
