//! Exactly once: a client that names itself and numbers its requests gets each applied once, and
//! the first reply again when it asks again (thesis 6.3).
//!
//! [`Sessions`] is a state machine around any other. A command with a [`Head`] belongs to a
//! session; the adapter remembers what came of it, and a second command with the same client and
//! sequence gets that reply while the inner machine is not touched. All other commands reach the
//! inner machine as they are. What is remembered is part of the replicated state: it is changed by
//! applied commands only, it is inside the snapshot, and the digest covers it. So it survives
//! changes of leader, restarts, snapshots and changes of membership, and all members remember
//! alike.
//!
//! # What a client does
//!
//! It draws a random [`ClientId`], gives each request a sequence of its own, from 1 on, and repeats
//! a request with the same sequence until it has a reply. Several may be under way at once and
//! arrive in any order. [`Head::acknowledged`] says up to where it needs no reply any more: there
//! the machine forgets, and refuses what comes late ([`SessionError::WentBack`]).
//!
//! # How long it holds
//!
//! The table is bounded ([`Limits`]), so it must forget: the session unused for longest goes first,
//! by the log's index, never by a clock. A request whose session is gone could be the repetition of
//! one that was applied. [`Head::since`] keeps the promise beyond that. It is the index of a
//! committed entry that the client had learned of *before it sent the request for the first time*.
//! Every attempt was then proposed after that entry was committed, so all of them stand behind it:
//!
//! 1. Let the request be applied at index *a*, so *since* < *a*. Its session was used at *a*.
//! 2. If the session is forgotten later, it was last used at *a* or after. `evicted_through` is the
//!    highest such index of all forgotten sessions, so *a* ≤ `evicted_through` from then on.
//! 3. A later attempt finds no session and *since* < *a* ≤ `evicted_through`: it is refused
//!    ([`SessionError::Expired`]). Turned round: with *since* ≥ `evicted_through` no attempt was
//!    applied in a session that is forgotten, and to apply it now is right.
//! 4. A session may have been begun anew meanwhile, by another request of the same client. It keeps
//!    `evicted_through` as it was when it began (its *floor*), and the same comparison is made with
//!    that: what an earlier session of the client did stands at or below the floor.
//!
//! A client that gets `Expired` for an attempt that was its first knows that nothing was applied.
//! It may take the index from the error as its new *since* and send again.
//!
//! A request without *since* is applied if its session is not known: its promise is as long as the
//! memory of the table, no longer. That is what a mere idempotency key can have.
//!
//! # Invariants
//!
//! - What a command does depends on the commands so far and on [`Limits`], which are the same on
//!   all members. Batches do not matter, nor who waits for a reply.
//! - Every reply of a session's command is computed and kept on every member, also where nobody
//!   waits: that member may have to repeat it.
//! - A reply is repeated only for the same bytes: a fingerprint of the body is kept with it
//!   ([`SessionError::Reused`]).
//! - No bytes make it panic, and bytes that are no envelope change nothing.
//!
//! # Left out
//!
//! A session's commands reach the inner machine one a call: whether the next one is a repetition,
//! or finds its session forgotten, depends on the reply of the one before.

mod adapter;
mod digest;
mod envelope;
mod error;
mod format;
mod roster;
mod saved;
mod table;

pub use adapter::Sessions;
pub use envelope::{ClientId, Head, plain};
pub use error::SessionError;
pub use saved::SavedReply;
pub use table::Limits;
