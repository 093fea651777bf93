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
//! [`sessions`] wraps a state machine so that each request of a client is applied once.
//!
//! Left out for now: snapshots and with them the removal of old segments, changes of membership.

mod apply;
mod drain;
mod effects;
mod forward;
mod machine;
mod membership;
mod message;
mod origins;
mod proposals;
mod replica;
pub mod sessions;

pub use effects::{Effects, Fatal, OpenError, Refused, Setup};
pub use machine::{Command, StateMachine, Wants, WriteOut};
pub use message::{Append, Body, PeerMessage, Proposals};
pub use replica::Replica;
