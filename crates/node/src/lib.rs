//! Raft as a library: replicates a state machine of yours to a few members, durably.
//!
//! Bring a [`StateMachine`], name the members, and propose commands: each is synced on a majority
//! of the members before it is answered, and applied in the same order on all of them.
//! This crate is all that a program depends on; the words of the crates below that it needs are
//! re-exported here.
//!
//! ```no_run
//! use std::io::{self, Read};
//!
//! use quorate_node::{Command, Node, StateMachine, Wants, WriteOut};
//!
//! /// Counts what was proposed.
//! #[derive(Default)]
//! struct Count(u64);
//!
//! impl StateMachine for Count {
//!     type Reply = u64;
//!
//!     fn apply(&mut self, commands: &[Command], replies: &mut Vec<u64>) {
//!         for command in commands {
//!             self.0 += 1;
//!             if command.wants == Wants::Reply {
//!                 replies.push(self.0);
//!             }
//!         }
//!     }
//!
//!     fn snapshot(&self) -> WriteOut {
//!         let count = self.0;
//!         Box::new(move |out| out.write_all(&count.to_be_bytes()))
//!     }
//!
//!     fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
//!         let mut count = [0; 8];
//!         from.read_exact(&mut count)?;
//!         self.0 = u64::from_be_bytes(count);
//!         Ok(())
//!     }
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // The same on all three, but for the id and the directory.
//! let node = Node::builder(1, "/var/lib/count", Count::default())
//!     .members([(1, "10.0.0.1:7101"), (2, "10.0.0.2:7101"), (3, "10.0.0.3:7101")])
//!     .start()
//!     .await?;
//! let reply = node.propose("once more").await?;
//! let count = node.read(|machine| machine.0).await?;
//! assert!(reply <= count);
//! node.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! The guide is `docs/embedding.md` in the repository; whole programs are among this crate's
//! examples: a counter, a lock service, and a state machine that keeps its state on disk.
//!
//! # What it gives
//!
//! - **Durable.** A command that was answered is synced on a majority of the members (§5.3, §8 of
//!   the Raft paper). So is a vote before it is given.
//! - **At most once.** A command is applied at most once, also when leaders change while it is
//!   under way. Exactly once, unless its caller's member stops first: then whether it will be
//!   applied is unknown ([`Error::Stopped`]).
//! - **Linearizable.** [`Node::propose`] and [`Node::read`] are; [`Node::stale_read`] is for those
//!   who prefer an old answer to none.
//! - **From any member.** Whoever leads, all members take commands and reads.
//!
//! # Inside
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
//!   answered after that. A panic in a state machine does the same.

mod board;
mod builder;
mod change;
mod clock;
mod config;
mod context;
mod disk;
mod error;
mod handover;
mod inbox;
mod join;
mod machine;
mod node;
mod owner;
mod query;
mod replies;
mod setup;
mod shelf;
mod transport;

/// The programs of the guide, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/embedding.md")]
struct Guide;

pub use board::NodeStatus;
pub use builder::NodeBuilder;
pub use bytes::Bytes;
pub use change::{Change, ChangeError, ChangeErrorKind};
pub use config::{ConfigError, NodeConfig, Peer, Timing};
pub use error::{Error, Halted, HandOverError, StartError};
pub use join::{JoinError, Joined};
pub use node::{COMMAND_BYTES_MAX, MemberInfo, Node};
pub use quorate_raft::{Index, LeaseConfig, Membership, NodeId, RoleName, Standing, TransferError};
pub use quorate_replica::{
    Command, Members, OpenError, Refused, SnapshotPolicy, StateMachine, Wants, WriteOut,
};
