//! The Raft algorithm without payloads, clocks or I/O.
#![no_std]

extern crate alloc;

mod event;
mod membership;
mod message;
mod ready;
mod types;

pub use event::Event;
pub use membership::Membership;
pub use message::{Append, Envelope, Message, ReadTicket, Run, Verdict};
pub use ready::{
    Config, Entries, HardState, Input, ProposeError, Proposed, ReadReady, Ready, Receipt, Restored,
    RoleName, Status, Write,
};
pub use types::{EntryId, Index, Instant, NodeId, Term};
