//! The order of a history's operations, as its answers tell it.
//!
//! A write stands at the revision that it made. Everything else that was answered with a revision
//! stands at that one, after the write. Errors name no revision, so they stand nowhere; what they
//! say about the store is kept beside.

use super::{Anomaly, Operation, Outcome, Request, Response};

/// A history in order.
#[derive(Debug)]
pub(super) struct Order<'h> {
    /// What is ordered.
    pub(super) history: &'h [Operation],
    /// By revision, without a gap between the writes.
    pub(super) steps: Vec<Step>,
    /// Who was told that a revision is in the future: revision and operation, sorted.
    pub(super) future: Vec<(i64, usize)>,
    /// Who was told that something is compacted: a revision that some compaction must have
    /// reached, and the operation.
    pub(super) compacted: Vec<(i64, usize)>,
}

/// The place of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Step {
    /// The revision that it made or saw.
    pub(super) revision: i64,
    /// Which of both.
    pub(super) part: Part,
    /// Its index in the history.
    pub(super) operation: usize,
}

/// What an operation has to do with its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// It made it.
    Makes,
    /// It was done while it was the current one.
    Sees,
}

/// What one outcome tells.
enum Told {
    Makes(i64),
    Sees(i64),
    Future(i64),
    Compacted(i64),
    Nothing,
}

impl<'h> Order<'h> {
    /// Puts a history in order.
    ///
    /// # Errors
    /// If there is none: an answer that does not fit its request, two writes that made one
    /// revision, or a revision that was seen and that none made.
    pub(super) fn new(history: &'h [Operation]) -> Result<Self, Anomaly> {
        let (mut makes, mut sees) = (Vec::new(), Vec::new());
        let (mut future, mut compacted) = (Vec::new(), Vec::new());
        for (operation, asked) in history.iter().enumerate() {
            let place = |revision, part| Step { revision, part, operation };
            match told(asked).map_err(|what| Anomaly::new(operation, what))? {
                Told::Makes(revision) => makes.push(place(revision, Part::Makes)),
                Told::Sees(revision) => sees.push(place(revision, Part::Sees)),
                Told::Future(revision) => future.push((revision, operation)),
                Told::Compacted(revision) => compacted.push((revision, operation)),
                Told::Nothing => {}
            }
        }
        makes.sort_unstable();
        let last = last_without_gap(history, &makes)?;
        // Unknown writes behind a gap, where nobody has looked.
        makes.retain(|step| step.revision <= last);
        let mut steps = makes;
        steps.append(&mut sees);
        steps.sort_unstable();
        future.sort_unstable();
        Ok(Self { history, steps, future, compacted })
    }

    /// The operation at a step.
    pub(super) fn at(&self, step: &Step) -> &'h Operation {
        &self.history[step.operation]
    }

    /// The operation that made a revision.
    pub(super) fn maker(&self, revision: i64) -> Option<usize> {
        let at = self.steps.partition_point(|step| step.revision < revision);
        let step = self.steps.get(at)?;
        (step.revision == revision && step.part == Part::Makes).then_some(step.operation)
    }
}

/// What an operation's outcome tells, or why it cannot be.
fn told(operation: &Operation) -> Result<Told, String> {
    let Operation { request, invoked, outcome, .. } = operation;
    if let Some(returned) = operation.returned().filter(|returned| returned < invoked) {
        return Err(format!(
            "{request} returned at {returned}, before it was invoked at {invoked}"
        ));
    }
    let told = match outcome {
        Outcome::Returned { response, .. } => told_by_response(request, response),
        Outcome::Unknown { effect: None } | Outcome::Refused => Some(Told::Nothing),
        Outcome::Unknown { effect: Some(effect) } => match request {
            Request::Put { .. } | Request::Delete { .. } | Request::Swap { .. } => {
                Some(Told::Makes(*effect))
            }
            Request::Range { .. } | Request::Compact { .. } => None,
        },
    };
    let is_possible = match told {
        // The store begins at revision 1, which nobody makes.
        Some(Told::Makes(revision) | Told::Future(revision)) => revision > 1,
        Some(Told::Sees(revision)) => revision > 0,
        Some(Told::Compacted(_) | Told::Nothing) => true,
        None => false,
    };
    told.filter(|_| is_possible).ok_or_else(|| format!("{request} cannot come to {outcome:?}"))
}

/// What a response tells, if it is one to the request.
fn told_by_response(request: &Request, response: &Response) -> Option<Told> {
    let made =
        |made: bool, revision| if made { Told::Makes(revision) } else { Told::Sees(revision) };
    match (request, response) {
        (Request::Put { .. }, Response::Put { revision, .. }) => Some(Told::Makes(*revision)),
        (Request::Range { .. }, Response::Range { revision, .. })
        | (Request::Compact { .. }, Response::Compact { revision }) => Some(Told::Sees(*revision)),
        (Request::Delete { .. }, Response::Delete { revision, deleted }) => {
            Some(made(!deleted.is_empty(), *revision))
        }
        (Request::Swap { .. }, Response::Swap { revision, succeeded, .. }) => {
            Some(made(*succeeded, *revision))
        }
        // A read at a compacted revision can be answered, a compaction to it cannot.
        (Request::Range { at: Some(at @ 1..), .. }, Response::Compacted) => {
            Some(Told::Compacted(at.saturating_add(1)))
        }
        (Request::Compact { revision }, Response::Compacted) => Some(Told::Compacted(*revision)),
        (Request::Range { at: Some(revision), .. }, Response::FutureRevision)
        | (Request::Compact { revision }, Response::FutureRevision) => {
            Some(Told::Future(*revision))
        }
        (_, _) => None,
    }
}

/// The highest revision up to which each was made by one write; `makes` is sorted.
fn last_without_gap(history: &[Operation], makes: &[Step]) -> Result<i64, Anomaly> {
    for pair in makes.windows(2) {
        if pair[0].revision == pair[1].revision {
            let what = format!(
                "{} made revision {}, which operation {} made too ({})",
                history[pair[1].operation].request,
                pair[1].revision,
                pair[0].operation,
                history[pair[0].operation].request,
            );
            return Err(Anomaly::new(pair[1].operation, what));
        }
    }
    let last = (2..).zip(makes).take_while(|(next, make)| make.revision == *next).last();
    let last = last.map_or(1, |(revision, _)| revision);
    // The lowest answer above it is the nearest to what went wrong.
    let beyond = history.iter().enumerate().filter_map(|(operation, asked)| match &asked.outcome {
        Outcome::Returned { response, .. } => {
            response.revision().filter(|&seen| seen > last).map(|seen| (seen, operation))
        }
        Outcome::Unknown { .. } | Outcome::Refused => None,
    });
    match beyond.min() {
        None => Ok(last),
        Some((seen, operation)) => {
            let what = format!(
                "{} was answered at revision {seen}, but no write made revision {}",
                history[operation].request,
                last + 1,
            );
            Err(Anomaly::new(operation, what))
        }
    }
}
