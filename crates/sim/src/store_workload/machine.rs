//! The store as a state machine whose replies are in the words of the history.

use std::io::{self, Read};

use quorate_replica::{Command, StateMachine, Wants, WriteOut};
use quorate_store::Store;

use super::translate;
use crate::history::{Request, Response};
use crate::violation::{Checker, demand, violated};

/// The store.
#[derive(Debug)]
pub struct StoreMachine {
    store: Store,
    revision: i64,
}

/// What the store replies to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The answer to the client.
    pub(super) response: Response,
    /// The revision that the command made, if it made one.
    pub(super) made: Option<i64>,
}

impl StoreMachine {
    pub(super) fn new() -> Self {
        let store = Store::new();
        Self { revision: store.status().revision, store }
    }

    /// Answers a read from the state as it is.
    pub(super) fn read(&self, request: &Request) -> Response {
        let answer = self.store.reader().range(&translate::to_range(request));
        told(translate::of_range(answer))
    }
}

/// What no correct store answers ends the run.
fn told(response: Result<Response, String>) -> Response {
    response.unwrap_or_else(|what| violated(Checker::Linearizability, what))
}

impl StateMachine for StoreMachine {
    type Reply = Told;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Told>) {
        for command in commands {
            let wants = match command.wants {
                Wants::Reply => quorate_store::Wants::Reply,
                Wants::Nothing => quorate_store::Wants::Nothing,
            };
            let reply = self.store.apply(&command.body, wants);
            let revision = self.store.status().revision;
            demand!(
                self.revision <= revision,
                Monotonicity,
                "the revision of a store fell from {} to {revision}",
                self.revision
            );
            let made = (self.revision < revision).then_some(revision);
            self.revision = revision;
            replies.extend(
                reply.map(|reply| Told { response: told(translate::of_reply(reply)), made }),
            );
        }
    }

    fn snapshot(&self) -> WriteOut {
        let store = self.store.snapshot();
        Box::new(move |out| store.write_to(out))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.store.restore(from).map_err(io::Error::from)?;
        self.revision = self.store.status().revision;
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.store.state_hash()
    }
}
