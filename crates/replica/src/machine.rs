//! What a user of Raft brings: the state machine.

use bytes::Bytes;
use quorate_raft::Index;

/// A deterministic state machine. The same commands in the same order must lead to the same state
/// and the same replies on every member: no clock, no randomness, no order of a hash map, no local
/// setting may have a say in [`StateMachine::apply`].
pub trait StateMachine {
    /// What a command answers to whoever proposed it.
    type Reply;

    /// Applies committed commands in order, and pushes one reply for each command that
    /// [wants](Wants::Reply) one. A command that makes no sense to the machine is no reason to
    /// fail: it has been agreed on, so it must change every member in the same way, or none.
    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Self::Reply>);
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
