//! Whether the order of the revisions agrees with that of time.
//!
//! Nothing may stand before an operation that had returned before it was invoked. Going up the
//! order, it is enough to know the latest invocation so far: whatever returned before that is out
//! of order.

use super::order::{Order, Part, Step};
use super::{Anomaly, Operation};

/// Of the operations so far the one that was invoked last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latest {
    /// When.
    pub(super) invoked: u64,
    /// Which.
    pub(super) operation: usize,
}

impl Latest {
    /// The later one of both.
    pub(super) fn raise(latest: &mut Option<Self>, invoked: u64, operation: usize) {
        if latest.is_none_or(|latest| latest.invoked < invoked) {
            *latest = Some(Self { invoked, operation });
        }
    }
}

/// The earliest time at which each revision can have been made; the first is that of revision 1.
#[derive(Debug)]
pub(super) struct Earliest(Vec<u64>);

impl Earliest {
    /// That of one revision; `None` if no write is known to have made it.
    pub(super) fn of(&self, revision: i64) -> Option<u64> {
        // Whatever is below revision 1 was never waited for.
        self.0.get(usize::try_from(revision.max(1) - 1).ok()?).copied()
    }
}

/// Checks all operations that were answered.
pub(super) fn check(order: &Order<'_>) -> Result<Earliest, Anomaly> {
    let mut earliest = vec![0];
    // Of all operations whose place is before the revision, or that made it.
    let mut latest = None;
    // Of the writes among them alone.
    let mut latest_write = None;
    let mut future = order.future.iter().copied().peekable();
    for steps in order.steps.chunk_by(|left, right| left.revision == right.revision) {
        // Whoever was told that this revision is in the future was told so before it was made.
        while let Some((_, operation)) =
            future.next_if(|&(revision, _)| revision <= steps[0].revision)
        {
            if !order.history[operation].is_serializable() {
                Latest::raise(&mut latest, order.history[operation].invoked, operation);
            }
        }
        for step in steps.iter().filter(|step| step.part == Part::Makes) {
            let asked = order.at(step);
            is_after(order, step, latest)?;
            Latest::raise(&mut latest, asked.invoked, step.operation);
            Latest::raise(&mut latest_write, asked.invoked, step.operation);
            earliest.push(latest.map_or(0, |latest| latest.invoked));
        }
        // In between the order is free.
        let mut latest_here = latest;
        for step in steps.iter().filter(|step| step.part == Part::Sees) {
            let asked = order.at(step);
            if asked.is_serializable() {
                is_after(order, step, latest_write)?;
            } else {
                is_after(order, step, latest)?;
                Latest::raise(&mut latest_here, asked.invoked, step.operation);
            }
        }
        latest = latest_here;
    }
    Ok(Earliest(earliest))
}

/// Whether a step returned no earlier than what stands before it was invoked.
fn is_after(order: &Order<'_>, step: &Step, latest: Option<Latest>) -> Result<(), Anomaly> {
    let after = order.at(step);
    let (Some(returned), Some(latest)) = (after.returned(), latest) else { return Ok(()) };
    if latest.invoked <= returned {
        return Ok(());
    }
    let Operation { request, invoked, .. } = &order.history[latest.operation];
    let place = match order.steps.iter().find(|step| step.operation == latest.operation) {
        Some(Step { revision, part: Part::Makes, .. }) => format!("made revision {revision}"),
        Some(Step { revision, part: Part::Sees, .. }) => format!("answered at revision {revision}"),
        None => "was told that this is a future revision".to_owned(),
    };
    let what = format!(
        "{request} {place}, though it was invoked at {invoked}, after operation {} ({}) had \
         returned revision {} at {returned}",
        step.operation, after.request, step.revision,
    );
    Err(Anomaly::new(latest.operation, what))
}
