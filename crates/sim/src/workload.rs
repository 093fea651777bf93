//! What a user brings to have their own state machine run in the simulated world.
//!
//! A [`Workload`] says how the machine is made, what clients ask for, and how it answers questions.
//! Everything else is there: members, faults, and the checkers, which know
//! nothing of the machine but that it is deterministic. That is enough to judge it: see
//! [`check`](crate::check()).

use std::fmt::Debug;

use bytes::Bytes;
use quorate_replica::StateMachine;

use crate::marks::Mark;
use crate::random::Random;
use crate::schedule::Settings;

/// A state machine, and what its clients do with it. See [`check`](crate::check()) for an example.
///
/// Each run has a clone of its own, so what [`Self::next`] and [`Self::told`] remember is of that
/// run. They must depend on nothing but what they are given: no clock, no hash order, no randomness
/// but [`Turn::random`]. Else a seed means another run each time, and no failure comes again.
pub trait Workload: Clone + Debug + Sync {
    /// The state machine, exactly as it is in production.
    type Machine: StateMachine<Reply: Clone + Debug + PartialEq>;

    /// A command of a client. What it becomes as bytes is what the machine is given to apply.
    type Command: Clone + Debug + Into<Bytes>;

    /// A question of a client, which changes nothing. `()` will do if there is but one, or none.
    type Query: Clone + Debug;

    /// The answer to a question.
    type Answer: Clone + Debug + PartialEq;

    /// A machine in its initial state. A member gets one at each of its starts.
    fn machine(&self) -> Self::Machine;

    /// What a client asks for next.
    fn next(&mut self, turn: Turn<'_>) -> Request<Self::Command, Self::Query>;

    /// Answers a question from a machine, without changing it.
    fn query(&self, machine: &Self::Machine, query: &Self::Query) -> Self::Answer;

    /// A client was told the answer to its operation. For workloads in which what clients ask
    /// depends on what they know.
    fn told(&mut self, _operation: &Operation<Self>) {}

    /// Judges what clients were told in a run, by rules that only this workload knows: that no
    /// lock had two holders, that no money was lost. All that any deterministic machine must keep
    /// to was checked before (see [`check`](crate::check())).
    ///
    /// # Errors
    /// What is wrong, in one line. The run fails with it.
    fn check(&self, _history: History<Self>) -> Result<(), String> {
        Ok(())
    }

    /// The rare situation that an answer is the sign of, for the campaigns of this repository.
    #[doc(hidden)]
    fn mark(
        &self,
        _request: &Request<Self::Command, Self::Query>,
        _response: &Response<Reply<Self>, Self::Answer>,
    ) -> Option<Mark> {
        None
    }
}

/// What the machine of a workload replies to commands.
pub type Reply<W> = <<W as Workload>::Machine as StateMachine>::Reply;

/// A client is about to begin an operation.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Where all chance comes from.
    pub random: &'a mut Random,
    /// Which client, from 0.
    pub client: usize,
    /// The number of the operation, from 0: no other of the run has it.
    pub operation: u64,
    /// The settings of the run. `keys` and `value_bytes` are drawn for workloads to make use of.
    pub settings: &'a Settings,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<C, Q> {
    /// A command: goes through the log, and is applied once or never.
    Command(C),
    /// A linearizable question: the answer is from a state no older than any that a client had
    /// been told of before.
    Query(Q),
    /// A question that the member that is asked answers from what it has, however old that is.
    LocalQuery(Q),
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response<R, A> {
    /// The machine's reply to a command.
    Reply(R),
    /// The answer to a question.
    Answer(A),
}

/// One operation of a client.
#[derive(Clone, Debug)]
pub struct Operation<W: Workload> {
    /// Whose it is, from 0.
    pub client: usize,
    /// When it began, in microseconds since the run began.
    pub invoked: u64,
    /// What was asked.
    pub request: Request<W::Command, W::Query>,
    /// What became of it, as far as its client knows.
    pub outcome: Outcome<W>,
    /// Of a command: where in the log it was applied, if it was. Of a question: the last entry
    /// applied to the state that it was answered from.
    pub index: Option<u64>,
}

/// What became of an operation.
#[derive(Clone, Debug)]
pub enum Outcome<W: Workload> {
    /// It was answered.
    Returned {
        /// When, in microseconds since the run began.
        at: u64,
        /// With what.
        response: Response<Reply<W>, W::Answer>,
    },
    /// The client waited in vain: a command may have been applied at any time since, or never.
    Unknown {
        /// What the reply would have been, if it was applied.
        reply: Option<Reply<W>>,
    },
    /// It was refused before it was proposed: it has certainly not been done.
    Refused,
}

/// All that the clients of a run asked and were told.
#[derive(Clone, Debug)]
pub struct History<W: Workload> {
    /// The operations, in the order in which they began. The number of an operation is its place
    /// here.
    pub operations: Vec<Operation<W>>,
    /// The numbers of the operations whose commands were applied, in the order of the log.
    pub applied: Vec<usize>,
}

impl<W: Workload> Operation<W> {
    /// When it was answered. Nothing is known to have been over before that.
    pub(crate) fn returned(&self) -> Option<u64> {
        match &self.outcome {
            Outcome::Returned { at, .. } => Some(*at),
            Outcome::Unknown { .. } | Outcome::Refused => None,
        }
    }
}
