//! What a user of Raft brings: the state machine.

use std::io::{self, Read, Write};

use bytes::Bytes;
use quorate_raft::Index;

/// Writes out a state as it was when [`StateMachine::snapshot`] was called. Runs on another thread,
/// beside further applies, and need not run at all.
pub type WriteOut = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// A deterministic state machine, of which each member has a copy (§2). The same commands in the
/// same order must lead to the same state and the same replies on every member: no clock, no
/// randomness, no order of a hash map, no local setting may have a say in [`StateMachine::apply`].
pub trait StateMachine {
    /// What a command answers to whoever proposed it.
    type Reply;

    /// Applies committed commands in order, and pushes one reply for each command that
    /// [wants](Wants::Reply) one. They are about a megabyte at most, or one large one; there may be
    /// none. Their indexes ascend, with gaps where entries are not for the machine. A command that
    /// makes no sense to the machine is no reason to fail: it has been agreed on, so it must change
    /// every member in the same way, or none.
    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Self::Reply>);

    /// The state as it is now, to be written beside further applies. Should cost little, whatever
    /// the state holds: applies wait for it. Share what does not change, or copy what is small.
    fn snapshot(&self) -> WriteOut;

    /// Puts what a [`WriteOut`] wrote in place of the whole state. `from` ends where that ended,
    /// and is checked against a checksum as it is read: read it to its end, then change the state.
    ///
    /// # Errors
    /// If `from` fails, or holds no state that this version knows. The state must be as it was.
    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()>;

    /// A number that is equal on members with equal states and most likely differs otherwise, such
    /// as a running hash of all changes; it must be part of a snapshot then. Members compare it
    /// through the log now and then ([`crate::CheckPolicy`]), and one that differs from a majority
    /// stops for good. Versions that run in one cluster, or replay each other's logs, must compute
    /// the same number. The default, 0 for every state, has nothing compared.
    fn digest(&self) -> u64 {
        0
    }
}

/// A committed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its place in the log.
    pub index: Index,
    /// What was proposed; shares the memory of the log's cache, so keep a copy, not a clone, of
    /// what is to stay.
    pub body: Bytes,
    /// Whether somebody waits for the reply at this member.
    pub wants: Wants,
}

/// Whether somebody waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Somebody does.
    Reply,
    /// Nobody does: the work of building one can be saved.
    Nothing,
}
