//! Whether what was compacted, and what could still be read, agree.
//!
//! A store remembers the highest revision that it was compacted to. Some answers say that it was
//! below a bound: that of a compaction, and that of a read at an older revision. Those form one
//! order with the compactions, by their bounds, and it must agree with both the order of revisions
//! and that of time. Others say that it had reached a bound: an error. For each of those there must
//! be a compaction that can have been done by then; one of unknown outcome will do.

use super::order::{Order, Part};
use super::real_time::{Earliest, Latest};
use super::{Anomaly, Outcome, Request};

/// An answer that could only be given while the store was compacted to less than a bound. Sorted,
/// reads stand before the compaction that ends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Below {
    bound: i64,
    deed: Deed,
    /// The revision it was answered at.
    revision: i64,
    operation: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Read,
    /// Ends what is below its bound.
    Compaction,
}

/// A compaction, and when it can have been done at the earliest.
#[derive(Clone, Copy, Debug)]
struct Reached {
    bound: i64,
    earliest: u64,
    operation: usize,
}

/// Checks everything about compactions but that they did not go beyond the current revision.
pub(super) fn check(order: &Order<'_>, earliest: &Earliest) -> Result<(), Anomaly> {
    let below = below(order);
    let mut reached = unknown(order, earliest, &below);
    reached.append(&mut known(order, earliest, &below)?);
    reached.sort_unstable_by_key(|reached| reached.bound);
    // From the end: the compaction to a revision or a higher one that can have been done first.
    for at in (1..reached.len()).rev() {
        let (next, this) = (reached[at], &mut reached[at - 1]);
        if next.earliest < this.earliest {
            *this = Reached { bound: this.bound, ..next };
        }
    }
    order.compacted.iter().try_for_each(|&told| is_reached(order, &reached, told))
}

fn below(order: &Order<'_>) -> Vec<Below> {
    let seen = order.steps.iter().filter(|step| step.part == Part::Sees);
    let below = seen.filter_map(|step| {
        let (bound, deed) = match order.at(step).request {
            Request::Range { at: Some(at @ 1..), .. } => (at.saturating_add(1), Deed::Read),
            Request::Compact { revision } => (revision, Deed::Compaction),
            Request::Range { .. }
            | Request::Put { .. }
            | Request::Delete { .. }
            | Request::Swap { .. } => return None,
        };
        Some(Below { bound, deed, revision: step.revision, operation: step.operation })
    });
    let mut below: Vec<_> = below.collect();
    below.sort_unstable();
    below
}

/// Checks the compactions that were answered against all that must have been before them.
fn known(order: &Order<'_>, earliest: &Earliest, below: &[Below]) -> Result<Vec<Reached>, Anomaly> {
    let mut reached: Vec<Reached> = Vec::new();
    let mut latest = None;
    let mut highest: Option<&Below> = None;
    for this in below {
        let asked = &order.history[this.operation];
        if !asked.is_serializable() {
            let at = earliest.of(this.revision).unwrap_or(0);
            Latest::raise(&mut latest, asked.invoked.max(at), this.operation);
        }
        if highest.is_none_or(|highest| highest.revision < this.revision) {
            highest = Some(this);
        }
        if this.deed == Deed::Read {
            continue;
        }
        let (Some(highest), Some(latest)) = (highest, latest) else { continue };
        if let Some(same) = reached.last().filter(|last| last.bound == this.bound) {
            return Err(out_of_order(order, this.operation, same.operation));
        }
        if this.revision < highest.revision {
            return Err(out_of_order(order, highest.operation, this.operation));
        }
        if asked.returned().is_some_and(|returned| returned < latest.invoked) {
            return Err(out_of_order(order, latest.operation, this.operation));
        }
        let Below { bound, operation, .. } = *this;
        reached.push(Reached { bound, earliest: latest.invoked, operation });
    }
    Ok(reached)
}

/// The compactions of unknown outcome, each with the earliest time at which it could have been
/// done, between all that must have been before it.
fn unknown(order: &Order<'_>, earliest: &Earliest, below: &[Below]) -> Vec<Reached> {
    let mut latest = 0;
    let before: Vec<_> = below
        .iter()
        .map(|this| {
            let asked = &order.history[this.operation];
            if !asked.is_serializable() {
                let at = earliest.of(this.revision).unwrap_or(0);
                latest = latest.max(asked.invoked).max(at);
            }
            latest
        })
        .collect();
    let unknown = order.history.iter().enumerate().filter_map(|(operation, asked)| {
        let Request::Compact { revision: bound } = asked.request else { return None };
        let Outcome::Unknown { .. } = asked.outcome else { return None };
        let count = below.partition_point(|below| below.bound <= bound);
        let before = before[..count].last().copied().unwrap_or(0);
        // One to a revision that was never made did nothing.
        let earliest = earliest.of(bound)?.max(before).max(asked.invoked);
        Some(Reached { bound, earliest, operation })
    });
    unknown.collect()
}

/// Checks one answer that says that a bound had been reached.
fn is_reached(
    order: &Order<'_>,
    reached: &[Reached],
    (bound, operation): (i64, usize),
) -> Result<(), Anomaly> {
    let asked = &order.history[operation];
    let Some(returned) = asked.returned() else { return Ok(()) };
    let first = reached.get(reached.partition_point(|reached| reached.bound < bound));
    // A new store refuses to be compacted to less than nothing.
    if bound < 0 || first.is_some_and(|first| first.earliest <= returned) {
        return Ok(());
    }
    let first = match first {
        Some(first) => format!(
            "operation {} ({}) can have been done at {} at the earliest",
            first.operation, order.history[first.operation].request, first.earliest,
        ),
        None => format!("there is none to revision {bound} or above"),
    };
    let what = format!(
        "{} was told at {returned} that it is compacted, but no compaction was there: {first}",
        asked.request,
    );
    Err(Anomaly::new(operation, what))
}

/// Says that an operation was done though a compaction that forbids it had been done before.
fn out_of_order(order: &Order<'_>, operation: usize, compaction: usize) -> Anomaly {
    let describe = |operation: usize| {
        let asked = &order.history[operation];
        match &asked.outcome {
            Outcome::Returned { at, response } => {
                let revision = response.revision().unwrap_or(0);
                format!("{} at revision {revision}, from {} to {at}", asked.request, asked.invoked)
            }
            Outcome::Unknown { .. } | Outcome::Refused => asked.request.to_string(),
        }
    };
    let what = format!(
        "{}, was done, though operation {compaction} had compacted that before: {}",
        describe(operation),
        describe(compaction),
    );
    Anomaly::new(operation, what)
}
