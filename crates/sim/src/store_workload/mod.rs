//! The store of this repository as a workload: puts, reads, removals, compare-and-sets and
//! compactions, on a few keys, by clients that know what they were told.
//!
//! Beside the checks that any machine gets, its history is judged by the revisions in its answers,
//! and its beginning by the classic search (see [`history`](crate::history)).

mod machine;
mod translate;

use bytes::Bytes;

use crate::history::{self, Key, Verdict, by_revision, prefix, search};
use crate::marks::Mark;
use crate::random::{MILLION, Random};
use crate::violation::{Checker, demand, violated};
use crate::workload::{History, Operation, Outcome, Request, Response, Turn, Workload};

use machine::{StoreMachine, Told};

/// The operations at the beginning of a history that the classic search looks at.
const SEARCHED: usize = 40;

/// What the search may cost.
const SEARCH_STEPS: u64 = 20_000;

/// The store, and clients that read and change it. It is what `quorate sim` runs.
#[derive(Clone, Debug)]
pub struct StoreWorkload {
    /// The highest revision that any client was told.
    revision: i64,
    /// The revision of each key's last change that any client was told.
    modified: Vec<i64>,
}

impl Default for StoreWorkload {
    fn default() -> Self {
        Self { revision: 1, modified: vec![0; usize::from(Key::MAX) + 1] }
    }
}

/// A request that changes something, as a command of the store.
#[derive(Clone, Debug)]
pub struct Change {
    request: history::Request,
    value_bytes: usize,
}

#[cfg(test)]
impl Change {
    pub(crate) fn put(key: Key, value: history::Value) -> Self {
        Self { request: history::Request::Put { key, value }, value_bytes: 8 }
    }
}

impl From<Change> for Bytes {
    fn from(change: Change) -> Self {
        translate::to_command(&change.request, change.value_bytes).encode()
    }
}

impl Workload for StoreWorkload {
    type Machine = StoreMachine;
    type Command = Change;
    type Query = history::Request;
    type Answer = history::Response;

    fn machine(&self) -> StoreMachine {
        StoreMachine::new()
    }

    fn next(&mut self, turn: Turn<'_>) -> Request<Change, history::Request> {
        let Turn { random, operation, settings, client: _ } = turn;
        let request = self.request(random, settings.keys, operation);
        match request {
            history::Request::Range { serializable: false, .. } => Request::Query(request),
            history::Request::Range { serializable: true, .. } => Request::LocalQuery(request),
            history::Request::Put { .. }
            | history::Request::Delete { .. }
            | history::Request::Swap { .. }
            | history::Request::Compact { .. } => {
                Request::Command(Change { request, value_bytes: settings.value_bytes })
            }
        }
    }

    fn query(&self, machine: &StoreMachine, query: &history::Request) -> history::Response {
        machine.read(query)
    }

    fn told(&mut self, operation: &Operation<Self>) {
        if let Outcome::Returned { response, .. } = &operation.outcome {
            self.learn(asked(&operation.request), answered(response));
        }
    }

    fn check(&self, history: History<Self>) -> Result<(), String> {
        let history: Vec<_> = history.operations.into_iter().map(as_told).collect();
        if let Err(anomaly) = by_revision(&history) {
            violated(Checker::Linearizability, anomaly.what);
        }
        // The beginning goes to the classic search as well, which believes no revision: both must
        // find it linear.
        let beginning = prefix(&history, SEARCHED);
        demand!(
            search(&beginning, SEARCH_STEPS) != Verdict::NotLinearizable,
            Linearizability,
            "the search finds no order for the first {SEARCHED} operations"
        );
        Ok(())
    }

    fn mark(
        &self,
        request: &Request<Change, history::Request>,
        response: &Response<Told, history::Response>,
    ) -> Option<Mark> {
        use history::{Request, Response};
        match (asked(request), answered(response)) {
            (_, Response::Compacted) => Some(Mark::AnsweredCompacted),
            (_, Response::FutureRevision) => Some(Mark::AnsweredFuture),
            (_, Response::Swap { succeeded: true, .. }) => Some(Mark::Swapped),
            (_, Response::Swap { succeeded: false, .. }) => Some(Mark::SwapFailed),
            (_, Response::Delete { deleted, .. }) if deleted.is_empty() => {
                Some(Mark::DeletedNothing)
            }
            (Request::Range { at: Some(_), .. }, Response::Range { .. }) => Some(Mark::ReadHistory),
            (Request::Range { serializable: true, .. }, Response::Range { revision, .. })
                if *revision < self.revision =>
            {
                Some(Mark::ReadStale)
            }
            (
                _,
                Response::Put { .. }
                | Response::Range { .. }
                | Response::Delete { .. }
                | Response::Compact { .. },
            ) => None,
        }
    }
}

impl StoreWorkload {
    /// What a client asks for next.
    fn request(&self, random: &mut Random, keys: Key, operation: u64) -> history::Request {
        use history::Request;
        let latest = self.revision;
        let mut a_key = || {
            // Half of all goes to a few keys, so that operations meet.
            let keys = if random.below(2) == 0 { keys.min(4) } else { keys };
            Key::try_from(random.below(u64::from(keys))).expect("a key fits")
        };
        let (key, other) = (a_key(), a_key());
        // A value is known by its operation.
        let value = operation;
        let (first, end) = (key.min(other), key.max(other) + 1);
        let about = |random: &mut Random, back: u64| {
            let back = i64::try_from(random.magnitude(1, back)).expect("small");
            latest + 2 - back
        };
        match random.below(100) {
            0..34 => Request::Put { key, value },
            34..52 => Request::Range { first: key, end: key + 1, at: None, serializable: false },
            52..60 => Request::Range { first, end, at: None, serializable: false },
            60..69 => Request::Range { first, end, at: None, serializable: true },
            69..74 => {
                let at = Some(about(random, 400).max(1));
                Request::Range { first, end, at, serializable: false }
            }
            74..80 => Request::Delete { first: key, end: key + 1 },
            80..82 => Request::Delete { first, end },
            82..99 => {
                let expected =
                    if random.chance(MILLION / 20) { 0 } else { self.modified[usize::from(key)] };
                let also = (random.below(3) == 0 && other != key).then_some(other);
                Request::Swap { key, expected, value, also }
            }
            _ => Request::Compact { revision: about(random, 200).max(1) },
        }
    }

    /// Takes in what an answer says of the revisions.
    fn learn(&mut self, request: &history::Request, response: &history::Response) {
        use history::{Request, Response};
        let revision = match response {
            Response::Put { revision, .. }
            | Response::Range { revision, .. }
            | Response::Delete { revision, .. }
            | Response::Swap { revision, .. }
            | Response::Compact { revision } => *revision,
            Response::Compacted | Response::FutureRevision => return,
        };
        self.revision = self.revision.max(revision);
        let (changed, found) = match (request, response) {
            (Request::Put { key, .. }, _)
            | (Request::Swap { key, .. }, Response::Swap { succeeded: true, .. }) => {
                (Some(*key), None)
            }
            (Request::Swap { key, .. }, Response::Swap { found, .. }) => {
                self.modified[usize::from(*key)] = found.as_ref().map_or(0, |pair| pair.modified);
                (None, None)
            }
            (Request::Range { at: None, .. }, Response::Range { pairs, .. }) => (None, Some(pairs)),
            _ => (None, None),
        };
        if let Some(key) = changed {
            self.modified[usize::from(key)] = revision;
        }
        for pair in found.into_iter().flatten() {
            self.modified[usize::from(pair.key)] = pair.modified;
        }
    }
}

/// What was asked, in the words of the history.
fn asked(request: &Request<Change, history::Request>) -> &history::Request {
    match request {
        Request::Command(change) => &change.request,
        Request::Query(query) | Request::LocalQuery(query) => query,
    }
}

/// What was told, in the words of the history.
fn answered(response: &Response<Told, history::Response>) -> &history::Response {
    match response {
        Response::Reply(told) => &told.response,
        Response::Answer(answer) => answer,
    }
}

/// An operation, in the words of the history.
fn as_told(operation: Operation<StoreWorkload>) -> history::Operation {
    let Operation { client, invoked, request, outcome, index: _ } = operation;
    let request = match request {
        Request::Command(change) => change.request,
        Request::Query(query) | Request::LocalQuery(query) => query,
    };
    let outcome = match outcome {
        Outcome::Returned { at, response } => {
            let response = match response {
                Response::Reply(told) => told.response,
                Response::Answer(answer) => answer,
            };
            history::Outcome::Returned { at, response }
        }
        Outcome::Unknown { reply } => {
            history::Outcome::Unknown { effect: reply.and_then(|told| told.made) }
        }
        Outcome::Refused => history::Outcome::Refused,
    };
    let client = u32::try_from(client).expect("clients are few");
    history::Operation { client, invoked, request, outcome }
}
