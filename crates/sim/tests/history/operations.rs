//! What the tests ask of operations and of answers, and how they change and show them.

use std::fmt;

use quorate_sim::history::{Operation, Outcome, Pair, Request, Response};

use crate::random::Random;

/// A history for the reader of a failure.
pub(crate) struct Shown<'a>(pub(crate) &'a [Operation]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Operation { client, invoked, request, outcome }) in self.0.iter().enumerate() {
            write!(f, "\n{at}: client {client} at {invoked}: {request} -> {outcome:?}")?;
        }
        Ok(())
    }
}

pub(crate) fn pairs_of(response: &Response) -> &[Pair] {
    match response {
        Response::Put { previous: pair, .. } | Response::Swap { found: pair, .. } => {
            pair.as_slice()
        }
        Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. } => pairs,
        Response::Compact { .. } | Response::Compacted | Response::FutureRevision => &[],
    }
}

pub(crate) fn pairs_mut(response: &mut Response) -> &mut [Pair] {
    match response {
        Response::Put { previous: pair, .. } | Response::Swap { found: pair, .. } => {
            pair.as_mut_slice()
        }
        Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. } => pairs,
        Response::Compact { .. } | Response::Compacted | Response::FutureRevision => &mut [],
    }
}

fn revision_of(response: &Response) -> Option<i64> {
    match *response {
        Response::Put { revision, .. }
        | Response::Range { revision, .. }
        | Response::Delete { revision, .. }
        | Response::Swap { revision, .. }
        | Response::Compact { revision } => Some(revision),
        Response::Compacted | Response::FutureRevision => None,
    }
}

pub(crate) fn revision_mut(response: &mut Response) -> Option<&mut i64> {
    match response {
        Response::Put { revision, .. }
        | Response::Range { revision, .. }
        | Response::Delete { revision, .. }
        | Response::Swap { revision, .. }
        | Response::Compact { revision } => Some(revision),
        Response::Compacted | Response::FutureRevision => None,
    }
}

/// The revision that an answer says was made.
pub(crate) fn made(response: &Response) -> Option<i64> {
    match response {
        Response::Put { revision, .. } | Response::Swap { revision, succeeded: true, .. } => {
            Some(*revision)
        }
        Response::Delete { revision, deleted } if !deleted.is_empty() => Some(*revision),
        Response::Delete { .. }
        | Response::Swap { .. }
        | Response::Range { .. }
        | Response::Compact { .. }
        | Response::Compacted
        | Response::FutureRevision => None,
    }
}

pub(crate) fn returned(operation: &Operation) -> Option<u64> {
    match operation.outcome {
        Outcome::Returned { at, .. } => Some(at),
        Outcome::Unknown { .. } | Outcome::Refused => None,
    }
}

pub(crate) fn response(operation: &Operation) -> Option<&Response> {
    match &operation.outcome {
        Outcome::Returned { response, .. } => Some(response),
        Outcome::Unknown { .. } | Outcome::Refused => None,
    }
}

pub(crate) fn response_mut(operation: &mut Operation) -> Option<&mut Response> {
    match &mut operation.outcome {
        Outcome::Returned { response, .. } => Some(response),
        Outcome::Unknown { .. } | Outcome::Refused => None,
    }
}

/// The pairs of an answer that is a list.
pub(crate) fn list_mut(operation: &mut Operation) -> Option<&mut Vec<Pair>> {
    match response_mut(operation)? {
        Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. } => Some(pairs),
        Response::Put { .. }
        | Response::Swap { .. }
        | Response::Compact { .. }
        | Response::Compacted
        | Response::FutureRevision => None,
    }
}

pub(crate) fn answer_with(operation: &mut Operation, answer: Response) -> Option<()> {
    *response_mut(operation)? = answer;
    Some(())
}

/// The revision it names.
pub(crate) fn seen(operation: &Operation) -> Option<i64> {
    revision_of(response(operation)?)
}

/// The revision that it made, as its answer says.
pub(crate) fn makes(operation: &Operation) -> Option<i64> {
    made(response(operation)?)
}

/// The revision that it made, as the log says of what was not answered.
pub(crate) fn effect(operation: &Operation) -> Option<i64> {
    match operation.outcome {
        Outcome::Unknown { effect } => effect,
        Outcome::Returned { .. } | Outcome::Refused => None,
    }
}

/// What was compacted.
pub(crate) fn compacted(operation: &Operation) -> Option<i64> {
    match (&operation.request, response(operation)?) {
        (Request::Compact { revision }, Response::Compact { .. }) => Some(*revision),
        _ => None,
    }
}

pub(crate) fn is_serializable(operation: &Operation) -> bool {
    matches!(operation.request, Request::Range { serializable: true, .. })
}

/// Whether it is a read that was answered with what there is.
pub(crate) fn is_range(operation: &Operation) -> bool {
    matches!(response(operation), Some(Response::Range { .. }))
}

pub(crate) fn precedes(first: &Operation, second: &Operation) -> bool {
    returned(first).is_some_and(|returned| returned < second.invoked)
}

/// An operation that this holds for.
pub(crate) fn any(
    history: &[Operation],
    random: &mut Random,
    holds: impl Fn(&Operation) -> bool,
) -> Option<usize> {
    random.pick((0..history.len()).filter(|&at| holds(&history[at])))
}

/// Two operations that this holds for.
pub(crate) fn any_two(
    history: &[Operation],
    random: &mut Random,
    hold: impl Fn(&Operation, &Operation) -> bool,
) -> Option<(usize, usize)> {
    let pairs = (0..history.len()).flat_map(|first| (0..history.len()).map(move |at| (first, at)));
    random.pick(pairs.filter(|&(first, at)| first != at && hold(&history[first], &history[at])))
}
