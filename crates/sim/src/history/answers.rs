//! Whether every answer is the one that a naive model gives at its revision.

use super::key_space::KeySpace;
use super::order::{Order, Part, Step};
use super::{Anomaly, Key, Outcome, Pair, Request, Response};

/// Does the history again in its order, and compares. What was compacted meanwhile is left to
/// [`compactions`](super::compactions).
pub(super) fn check(order: &Order<'_>) -> Result<(), Anomaly> {
    let mut model = KeySpace::new();
    for step in &order.steps {
        let asked = order.at(step);
        let expected = model.answer(&asked.request);
        let what = match &asked.outcome {
            Outcome::Returned { response, .. } if *response == expected => continue,
            Outcome::Returned { response, .. } => {
                Difference { order, step, model: &model }.describe(response, &expected)
            }
            Outcome::Unknown { .. } if model.revision() == step.revision => continue,
            Outcome::Unknown { .. } | Outcome::Refused => {
                "made it, though it had nothing to change".to_owned()
            }
        };
        let what = format!("{} at revision {}: {what}", asked.request, step.revision);
        return Err(Anomaly::new(step.operation, what));
    }
    Ok(())
}

/// Why an answer is not the expected one.
struct Difference<'a> {
    order: &'a Order<'a>,
    step: &'a Step,
    /// Just after the request.
    model: &'a KeySpace,
}

impl Difference<'_> {
    /// The first difference, in words.
    fn describe(&self, seen: &Response, expected: &Response) -> String {
        match (seen, expected) {
            (
                Response::Swap { succeeded, .. },
                Response::Swap { succeeded: should_succeed, .. },
            ) if succeeded != should_succeed => {
                let did = if *succeeded { "it succeeded" } else { "it failed" };
                let Request::Swap { key, .. } = self.order.at(self.step).request else {
                    return did.to_owned();
                };
                format!("{did}, but {}", self.state(key))
            }
            (_, Response::Compacted | Response::FutureRevision) => {
                format!("it was done, but {expected:?} was expected")
            }
            (_, _) => self.describe_pairs(seen.pairs(), expected.pairs()),
        }
    }

    fn describe_pairs(&self, seen: &[Pair], expected: &[Pair]) -> String {
        let equal = seen.iter().zip(expected).take_while(|(seen, expected)| seen == expected);
        let equal = equal.count();
        match (seen.get(equal), expected.get(equal)) {
            (Some(seen), Some(expected)) if seen.key > expected.key => self.missed(expected.key),
            (None, Some(expected)) => self.missed(expected.key),
            (Some(seen), _) if self.pair(seen.key) == Some(seen) => {
                format!("it saw {seen}, which is not asked for here")
            }
            (Some(seen), _) => format!("it saw {seen}, but {}", self.state(seen.key)),
            (None, None) => format!("it saw {seen:?} instead of {expected:?}"),
        }
    }

    fn missed(&self, key: Key) -> String {
        format!("it missed key {key}, but {}", self.state(key))
    }

    /// The revision whose keys the request is about.
    fn revision(&self) -> i64 {
        match (self.step.part, &self.order.at(self.step).request) {
            (Part::Makes, _) => self.step.revision - 1,
            (Part::Sees, Request::Range { at: Some(at @ 1..), .. }) => *at,
            (Part::Sees, _) => self.step.revision,
        }
    }

    fn pair(&self, key: Key) -> Option<&Pair> {
        self.model.pair(key, self.revision())
    }

    /// How a key was, and whose work that is.
    fn state(&self, key: Key) -> String {
        let Some(changed) = self.model.changed(key, self.revision()) else {
            return format!("key {key} had never been put by then");
        };
        let by = match self.order.maker(changed) {
            Some(operation) => format!("by operation {operation}"),
            None => "by nobody".to_owned(),
        };
        match self.pair(key) {
            Some(pair) => format!("{pair} was there, put {by}"),
            None => format!("key {key} had been removed at revision {changed} {by}"),
        }
    }
}
