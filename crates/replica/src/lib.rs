//! Raft, log and state machine in one deterministic piece: one event in, effects out.
//!
//! A [`Replica`] is what a member *is*, without the machine it runs on. It has no thread, no clock,
//! no socket and no randomness but its seed: the shell (a node, or the simulator) calls a method
//! for everything that happens, then takes the [`Effects`]: messages to send, a
//! [`quorate_log::SyncJob`] to run, answers for those who proposed, reads that may be served. The
//! same calls with the same arguments give the same effects.
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
//! Left out for now: changes of membership.

mod apply;
mod decided;
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
mod proposals;
mod replica;
mod room;
mod snapshots;

pub use effects::{Effects, Fatal, Note, OpenError, Refused, Setup};
pub use freshness::Freshness;
pub use job::{SNAPSHOT_CHUNK_BYTES, SnapshotDone, SnapshotJob};
pub use machine::{Command, StateMachine, Wants, WriteOut};
pub use message::{Append, Body, PeerMessage, Proposals, SnapshotChunk};
pub use open::bootstrap;
pub use replica::Replica;
pub use snapshots::SnapshotPolicy;
