//! One run: a schedule in, an outcome out.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use crate::marks::Marks;
use crate::queue::Time;
use crate::schedule::{Recording, Schedule};
use crate::store_workload::StoreWorkload;
use crate::violation::{Checker, Violation};
use crate::workload::Workload;
use crate::world::World;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// A hash of all that happened: two runs with the same hash are the same run.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How much time passed in the simulated world, in microseconds.
    pub simulated: Time,
    /// How many operations the clients began.
    pub operations: u64,
    /// Which rare situations were met.
    pub marks: Marks,
    /// The trace could not be written.
    pub trace_error: Option<io::Error>,
    /// The hash after every so many events, as asked for.
    pub hashes: Vec<u64>,
}

/// A run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who saw it.
    pub checker: Checker,
    /// What was seen.
    pub message: String,
    /// When, in the simulated world.
    pub at: Time,
    /// At which event.
    pub event: u64,
}

/// Runs a schedule with the store.
///
/// # Panics
/// Never: what panics in the code under test is the failure of the run.
#[must_use]
pub fn run(schedule: &Schedule) -> Outcome {
    run_traced(schedule, None, 0)
}

/// Runs a schedule with the store; writes one line for each event to `lines`, and keeps the hash
/// after every `every` events unless that is 0.
#[must_use]
pub fn run_traced(schedule: &Schedule, lines: Option<Box<dyn io::Write>>, every: u64) -> Outcome {
    run_workload(&StoreWorkload::default(), schedule, lines, every)
}

/// Runs a schedule with any workload, else as [`run_traced`].
#[must_use]
pub fn run_workload<W: Workload>(
    workload: &W,
    schedule: &Schedule,
    lines: Option<Box<dyn io::Write>>,
    every: u64,
) -> Outcome {
    listen();
    IS_RUNNING.set(true);
    // Nothing of the code under test runs before the first event.
    let mut world = World::new(workload.clone(), schedule.clone(), lines, every);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    IS_RUNNING.set(false);
    let failure = result.err().map(|payload| {
        let (checker, message) = judge(payload.as_ref());
        Failure { checker, message, at: world.now, event: world.trace.events() }
    });
    if let Some(failure) = &failure {
        world.trace.say(format_args!(" FAILED {}: {}", failure.checker, failure.message));
        world.trace.end();
    }
    let outcome = Outcome {
        failure,
        hash: world.trace.hash(),
        events: world.trace.events(),
        simulated: world.now,
        operations: u64::try_from(world.clients.operations()).expect("operations are few"),
        marks: std::mem::take(&mut world.marks),
        trace_error: world.trace.finish(),
        hashes: world.trace.recorded(),
    };
    // What was in the middle of something when it failed may not end well either.
    IS_RUNNING.set(true);
    drop(catch_unwind(AssertUnwindSafe(|| drop(world))));
    IS_RUNNING.set(false);
    outcome
}

/// The number of hashes that a recording keeps at most.
const RECORDED_MAX: u64 = 256;

/// Runs a schedule with the store and keeps what is needed to recognise the run.
#[must_use]
pub fn record(schedule: &Schedule) -> (Schedule, Outcome) {
    record_workload(&StoreWorkload::default(), schedule)
}

/// The same with any workload.
pub(crate) fn record_workload<W: Workload>(
    workload: &W,
    schedule: &Schedule,
) -> (Schedule, Outcome) {
    let events = run_workload(workload, schedule, None, 0).events;
    let every = events.div_ceil(RECORDED_MAX).next_power_of_two().max(1);
    let outcome = run_workload(workload, schedule, None, every);
    let recording = Recording {
        failure: outcome
            .failure
            .as_ref()
            .map(|failure| format!("{}: {}", failure.checker, failure.message))
            .unwrap_or_default(),
        events: outcome.events,
        every,
        hashes: outcome.hashes.iter().map(|hash| format!("{hash:016x}")).collect(),
    };
    (Schedule { recording: Some(recording), ..schedule.clone() }, outcome)
}

/// Between which events a run parted from what its schedule remembers: none if it did not.
#[must_use]
pub fn parted(recording: &Recording, hashes: &[u64], events: u64) -> Option<(u64, u64)> {
    let same = recording
        .hashes
        .iter()
        .zip(hashes)
        .take_while(|(known, hash)| u64::from_str_radix(known, 16) == Ok(**hash));
    let count = u64::try_from(same.count()).expect("hashes are few");
    let from = count * recording.every;
    let known = u64::try_from(recording.hashes.len()).expect("hashes are few");
    if count == known && events == recording.events {
        return None;
    }
    Some((from + 1, (from + recording.every).min(events.max(recording.events))))
}

thread_local! {
    /// This thread runs a world: a panic is a result, and nobody needs to be told here.
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
    /// Where the last panic was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps panics of runs from being printed.
fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if IS_RUNNING.get() {
                let place = info.location().map(ToString::to_string).unwrap_or_default();
                PLACE.set(place);
            } else {
                before(info);
            }
        }));
    });
}

fn judge(payload: &(dyn Any + Send)) -> (Checker, String) {
    if let Some(Violation { checker, message }) = payload.downcast_ref() {
        return (*checker, message.clone());
    }
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    let place = PLACE.take();
    (Checker::Assertion, format!("{} ({place})", text.unwrap_or("a panic without a message")))
}
