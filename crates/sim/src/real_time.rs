//! Whether the order in which things were done agrees with the order in which clients saw them
//! happen.
//!
//! A command is done at its index, a question after the last index that its answer knows of. An
//! operation that was answered before another one began must not come after it. That, and that all
//! answers are those of one machine (see [`replay`](crate::replay)), is linearizability.

use crate::violation::demand;
use crate::workload::{Operation, Request, Workload};

/// When an operation was done, by place: an odd one behind a command is that of a question.
fn place<W: Workload>(operation: &Operation<W>) -> Option<u64> {
    let index = operation.index?;
    Some(match operation.request {
        Request::Command(_) => index * 2,
        Request::Query(_) | Request::LocalQuery(_) => index * 2 + 1,
    })
}

/// Looks at all operations whose place is known.
pub(crate) fn check<W: Workload>(history: &[Operation<W>]) {
    let mut order: Vec<(u64, usize)> = history
        .iter()
        .enumerate()
        .filter_map(|(number, operation)| Some((place(operation)?, number)))
        .collect();
    order.sort_unstable();
    // Of those at an earlier place, the one that began last.
    let mut latest: Option<usize> = None;
    for group in order.chunk_by(|(one, _), (other, _)| one == other) {
        for (_, number) in group {
            let Some(latest) = latest else { break };
            let (here, before) = (&history[*number], &history[latest]);
            demand!(
                here.returned().is_none_or(|returned| before.invoked <= returned),
                Linearizability,
                "operation {latest}, {:?}, began after operation {number}, {:?}, was answered, and \
                 was done before it: at {:?} and {:?}",
                before.request,
                here.request,
                before.index,
                here.index
            );
        }
        for (_, number) in group {
            let is_later = |before: usize| history[before].invoked < history[*number].invoked;
            // What a member answers by itself may be old.
            let counts = !matches!(history[*number].request, Request::LocalQuery(_));
            if counts && latest.is_none_or(is_later) {
                latest = Some(*number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;
    use crate::history::{self, Response as Store};
    use crate::store_workload::StoreWorkload;
    use crate::violation::Violation;
    use crate::workload::{Outcome, Response};

    type Asks = fn(history::Request) -> Request<crate::store_workload::Change, history::Request>;

    /// A question that was answered from the state at an index.
    fn read(asks: Asks, invoked: u64, at: u64, index: u64) -> Operation<StoreWorkload> {
        let range = history::Request::Range { first: 0, end: 1, at: None, serializable: false };
        let response = Response::Answer(Store::FutureRevision);
        let outcome = Outcome::Returned { at, response };
        Operation { client: 0, invoked, request: asks(range), outcome, index: Some(index) }
    }

    /// A command that was done at an index.
    fn write(invoked: u64, at: Option<u64>, index: u64) -> Operation<StoreWorkload> {
        let request = Request::Command(crate::store_workload::Change::put(0, 0));
        let outcome = match at {
            // What was answered does not matter here.
            Some(at) => Outcome::Returned { at, response: Response::Answer(Store::Compacted) },
            None => Outcome::Unknown { reply: None },
        };
        Operation { client: 0, invoked, request, outcome, index: Some(index) }
    }

    fn is_good(history: &[Operation<StoreWorkload>]) -> bool {
        let result = catch_unwind(|| check(history));
        match result {
            Ok(()) => true,
            Err(payload) => {
                let violation = payload.downcast_ref::<Violation>().expect("a checker saw it");
                assert!(violation.message.contains("was done before it"), "{}", violation.message);
                false
            }
        }
    }

    #[test]
    fn commands_are_done_in_the_order_in_which_clients_see_them() {
        assert!(is_good(&[write(1, Some(5), 1), write(6, Some(9), 2)]));
        assert!(is_good(&[write(1, Some(6), 2), write(6, Some(9), 1)]), "they met");
        assert!(!is_good(&[write(1, Some(5), 2), write(6, Some(9), 1)]));
        assert!(!is_good(&[write(1, Some(5), 2), write(6, None, 1)]), "nobody waits for it");
        assert!(is_good(&[write(1, None, 2), write(6, Some(9), 1)]), "it may have been late");
    }

    #[test]
    fn a_question_is_answered_from_no_older_state_than_was_known() {
        let query: Asks = Request::Query;
        assert!(is_good(&[write(1, Some(5), 1), read(query, 6, 9, 1)]));
        assert!(!is_good(&[write(1, Some(5), 1), read(query, 6, 9, 0)]));
        assert!(is_good(&[write(1, Some(7), 1), read(query, 6, 9, 0)]), "they met");
        assert!(!is_good(&[read(query, 1, 5, 3), read(query, 6, 9, 2)]));
        assert!(is_good(&[read(query, 1, 5, 3), read(query, 6, 9, 3)]));
    }

    #[test]
    fn what_a_member_answers_by_itself_may_be_old() {
        let local: Asks = Request::LocalQuery;
        assert!(is_good(&[write(1, Some(5), 1), read(local, 6, 9, 0)]));
        assert!(is_good(&[read(Request::Query, 1, 5, 3), read(local, 6, 9, 2)]));
        assert!(!is_good(&[read(local, 1, 5, 3), read(Request::Query, 6, 9, 2)]));
    }

    #[test]
    fn what_was_seen_long_before_counts_as_well() {
        let far = [write(50, None, 1), write(1, None, 2), write(2, None, 3), write(3, Some(9), 4)];
        assert!(!is_good(&far));
    }
}
