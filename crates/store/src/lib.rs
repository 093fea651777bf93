//! The server's state machine: keys with their history, as etcd v3 means them.
//!
//! A [`Store`] applies [`Command`]s in the order of the log, on one thread. Any number of
//! [`Reader`]s answer from it meanwhile, each through a [`View`]: the store as it stood at one
//! revision, which no later apply and no compaction changes. The same commands make the same state,
//! the same replies and the same [`Store::state_hash`] on every member.
//!
//! # How it is built
//!
//! - A [revision](Reader::revision) counts the applied changes. A key keeps a version for each
//!   revision that changed it; a removal is a version too (a tombstone). A view is a number:
//!   reading at revision 7 is reading, of each key, the newest version that is not newer than 7.
//! - Versions stay in place in one ordered tree behind a lock, which every reader holds for a
//!   bounded number of keys at a time and then lets go. A reader needs no longer hold: nothing that
//!   it may see changes.
//! - A compaction moves the oldest readable revision at once. The versions nobody can read any more
//!   go piece by piece in later applies, and not while a view that may read them is alive.
//! - A [`Snapshot`] is a view that can be written, piece by piece as a long read goes. It has what
//!   can be read and nothing else, so members with equal state write equal bytes.
//!
//! # Invariants
//!
//! - What an apply does depends on the commands so far and on nothing else: no clock, no
//!   randomness, no order of a hash map, no setting of this member, no reader.
//! - No command fails half-way. Whatever can fail is decided before the first change.
//! - No bytes from a log make it panic.
//!
//! # Left out
//!
//! Leases: a put that names one fails. Watches: the history that they need is here.
//! Everything about members, and who is asking.

pub mod check;
mod command;
mod compact;
mod compare;
mod content;
mod error;
mod hash;
mod leaf;
mod range;
mod record;
mod reply;
mod shared;
mod snapshot;
mod span;
mod store;
mod tree;
mod txn;
mod view;
mod write;

pub use command::{Command, Reply, Wants};
pub use error::{Code, Error};
pub use shared::Status;
pub use snapshot::{RestoreError, Snapshot};
pub use store::{AdvanceError, Store};
pub use txn::is_read_only;
pub use view::{Reader, View};
