//! Raft, log and state machine in one deterministic piece: one event in, effects out.
//!
//! A [`Replica`] is what a member *is*, without the machine it runs on. It has no thread, no clock,
//! no socket and no randomness but its seed: the shell (a node, or the simulator) calls a method
//! for everything that happens, then takes the [`Effects`]: messages to send, a
//! [`quorate_log::SyncJob`] to run, answers for those who proposed, reads that may be served. The
//! same calls with the same arguments give the same effects. Programs that want a running member
//! use `quorate-node`; here is a shell in its smallest form, for a cluster of one:
//!
//! ```
//! use std::io::{self, Read};
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use quorate_log::{Identity, MemDisk, Options};
//! use quorate_raft::{Config, Instant, Membership, NodeId};
//! use quorate_replica::{
//!     CheckPolicy, Command, Replica, Setup, SnapshotPolicy, StateMachine, Wants, WriteOut,
//! };
//!
//! /// Counts the bytes of all commands.
//! struct Bytecount(usize);
//!
//! impl StateMachine for Bytecount {
//!     type Reply = usize;
//!
//!     fn apply(&mut self, commands: &[Command], replies: &mut Vec<usize>) {
//!         for command in commands {
//!             self.0 += command.body.len();
//!             if command.wants == Wants::Reply {
//!                 replies.push(self.0);
//!             }
//!         }
//!     }
//!
//!     fn snapshot(&self) -> WriteOut {
//!         let count = self.0 as u64;
//!         Box::new(move |out| out.write_all(&count.to_be_bytes()))
//!     }
//!
//!     fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
//!         let mut count = [0; 8];
//!         from.read_exact(&mut count)?;
//!         self.0 = usize::try_from(u64::from_be_bytes(count)).map_err(io::Error::other)?;
//!         Ok(())
//!     }
//! }
//!
//! let me = NodeId::new(1);
//! let setup = Setup {
//!     identity: Identity { cluster: 1, member: me.value() },
//!     raft: Config {
//!         id: me,
//!         election_timeout_min: Duration::from_secs(1),
//!         election_timeout_max: Duration::from_secs(2),
//!         heartbeat_interval: Duration::from_millis(100),
//!         append_bytes_max: 1 << 20,
//!         append_entries_max: 1024,
//!         inflight_appends_max: 16,
//!         inflight_bytes_max: 8 << 20,
//!         lease: None,
//!         seed: 7,
//!     },
//!     log: Options::default(),
//!     snapshots: SnapshotPolicy::default(),
//!     checks: CheckPolicy::default(),
//!     bootstrap: Membership::of_voters([me]).into(),
//!     origin: 7,
//!     proposals_max: 1024,
//!     proposal_bytes_max: 64 << 20,
//! };
//! let now = Instant::new(Duration::ZERO);
//! let (mut replica, _notes) = Replica::open(setup, MemDisk::new(), Bytecount(0), now)?;
//! replica.timeout(now); // the only voter elects itself
//! let sequence = replica.propose(now, [Bytes::from("hello")])?;
//! let mut replies = Vec::new();
//! while replies.is_empty() {
//!     let effects = replica.effects(now)?;
//!     assert!(effects.messages.is_empty(), "there is nobody else");
//!     replies.extend(effects.replies);
//!     if let Some(job) = effects.job {
//!         // A node does this on another thread.
//!         let synced = job.run().expect("a disk in memory does not fail");
//!         replica.synced(now, synced);
//!     }
//! }
//! assert_eq!(replies, [(sequence, 5)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What must hold:
//! - An entry is applied once, in order of index, and only when committed.
//! - A proposal is answered once it is applied here, never before; it is applied at most once,
//!   however often it had to be sent again (see [`Replica::propose`]).
//! - Nothing that promises durability leaves before the [`quorate_log::SyncJob`] it depends on has
//!   come back: the core sees to it, the replica only carries receipts.
//!
//! Snapshots are taken beside the applies, and what the log no longer needs then is forgotten; a
//! member that lacks what its leader has forgotten fetches the leader's. Work on files that takes a
//! disk's time comes out as [`SnapshotJob`]s.
//!
//! Members compare the digests of their states through the log, and one that differs from a
//! majority stops ([`CheckPolicy`]).
//!
//! [`sessions`] wraps a state machine so that each request of a client is applied once.

mod apply;
mod check;
mod checks;
mod decided;
mod diverged;
mod drain;
mod effects;
mod fetch;
mod forward;
mod freshness;
mod job;
mod machine;
mod membership;
mod message;
mod meta;
mod open;
mod origins;
mod pressure;
mod proposals;
mod replica;
mod room;
mod roster;
pub mod sessions;
mod snapshots;

pub use checks::{CheckPolicy, Outcome};
pub use effects::{Effects, Fatal, Note, OpenError, Refused, Setup};
pub use freshness::Freshness;
pub use job::{SNAPSHOT_CHUNK_BYTES, SnapshotDone, SnapshotJob};
pub use machine::{Command, StateMachine, Wants, WriteOut};
pub use membership::{CONTEXT_BYTES_MAX, Members};
pub use message::{Append, Body, PeerMessage, Proposals, SnapshotChunk};
pub use open::bootstrap;
pub use replica::Replica;
pub use roster::{ChangeOutcome, ChangeRefused};
pub use snapshots::SnapshotPolicy;
