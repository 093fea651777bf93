//! The Raft algorithm without payloads, clocks or I/O.
//!
//! [`Raft`] is a state machine: [`Raft::step`] takes an [`Input`] and the time, [`Raft::ready`]
//! gives what is to be done: a write, messages, reads that may be served, events. Randomness is
//! seeded, so a run is a seed and a list of inputs. The core sees entries as runs of one term;
//! their payloads stay with the caller, who asks for appends peer by peer ([`Raft::pull`]) and adds
//! the bytes.
//!
//! What promises durability leaves only after [`Input::Persisted`] has brought back the
//! [`Receipt`] of the write it depends on: a vote, an acknowledgement, the leader's own part of a
//! quorum, and every message of a new term.
//!
//! Left out: payloads, and with them everything about sizes but what [`Sizes`] tells; witnesses.
#![no_std]

extern crate alloc;

mod append;
mod candidate;
mod change;
mod common;
mod config;
mod durable;
mod event;
mod follower;
mod install;
pub mod invariants;
mod leader;
mod lease;
mod membership;
mod message;
mod progress;
mod quorum;
mod raft;
mod read;
mod ready;
mod receive;
mod replicate;
mod rng;
mod target;
mod trail;
mod transfer;
mod types;
mod vote;

pub use config::{ConfigError, RestoreError};
pub use event::{
    CampaignCause, Event, IgnoreReason, Misbehaviour, ProbeCause, Refusal, StepDownCause,
};
pub use install::Installed;
pub use lease::LeaseConfig;
pub use membership::Membership;
pub use message::{Append, Envelope, Message, ReadTicket, Run, Verdict};
pub use raft::Raft;
pub use ready::{
    Config, Entries, HardState, Input, ProposeError, Proposed, ReadReady, Ready, Receipt, Restored,
    RoleName, Sizes, Source, Standing, Status, TransferError, WantedSnapshot, Write,
};
pub use target::{ChangeError, MEMBERS_MAX, Target, VOTERS_MAX};
pub use types::{EntryId, Index, Instant, NodeId, Term};
