//! The beginning of a history, as a history.

use super::{Operation, Outcome, Request, Response};

/// The first operations by invocation, as they stood when the next one was invoked: what had not
/// returned by then is unknown, and a read that had not is left out. What is dropped cannot have
/// had a part in any answer that is kept, so the beginning of a good history is good. In order of
/// invocation; all of the history if it is not longer.
pub fn prefix(history: &[Operation], operations: usize) -> Vec<Operation> {
    let mut sorted: Vec<&Operation> = history.iter().collect();
    sorted.sort_by_key(|operation| operation.invoked);
    let end = sorted.get(operations).map(|next| next.invoked);
    sorted.truncate(operations);
    sorted.into_iter().filter_map(|operation| cut(operation, end)).collect()
}

/// An operation as it stood just before a time.
fn cut(operation: &Operation, end: Option<u64>) -> Option<Operation> {
    match &operation.outcome {
        Outcome::Returned { at, response } if end.is_some_and(|end| end <= *at) => {
            let is_read = matches!(operation.request, Request::Range { .. });
            let outcome = Outcome::Unknown { effect: effect(response) };
            (!is_read).then(|| Operation { outcome, ..operation.clone() })
        }
        Outcome::Returned { .. } | Outcome::Unknown { .. } | Outcome::Refused => {
            Some(operation.clone())
        }
    }
}

/// The revision that an answered operation made.
fn effect(response: &Response) -> Option<i64> {
    match *response {
        Response::Put { revision, .. } | Response::Swap { revision, succeeded: true, .. } => {
            Some(revision)
        }
        Response::Delete { revision, ref deleted } => (!deleted.is_empty()).then_some(revision),
        Response::Swap { succeeded: false, .. }
        | Response::Range { .. }
        | Response::Compact { .. }
        | Response::Compacted
        | Response::FutureRevision => None,
    }
}
