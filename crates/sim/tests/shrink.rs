//! What the search for a smaller schedule is worth, on runs that are bound to fail: members whose
//! disks were emptied come back under their old names, which loses what was promised.

use quorate_sim::{Checker, Failure, Fault, Profile, Progress, Schedule, What, run, shrink};

const SECOND: u64 = 1_000_000;

/// Runs that a search may take: less than usual, which must do.
const BUDGET: u32 = 120;

/// A short run with many faults, in which members forget everything.
fn forgetful(seed: u64) -> Schedule {
    let mut schedule = Schedule::draw(&Profile::Calm, seed, Some(10 * SECOND));
    schedule.settings.wiped_return = true;
    schedule.settings.operations = 5;
    // Little goes on when nothing happens, so that runs to the end are quick, too.
    schedule.settings.election_timeout = SECOND * 3 / 2;
    schedule.settings.heartbeat = SECOND * 7 / 10;
    let fault = |number: u64| {
        let member = |number: u64| usize::try_from(number % 5).expect("small") + 1;
        let (one, other) = (member(number), member(number / 5 * 2));
        let what = match number % 5 {
            0 => What::Reset { from: one, to: other },
            1 => What::Pause { member: other, lasting: SECOND / 5 },
            2 => What::Restart { member: other, down: SECOND / 10 },
            3 => What::Cut { links: vec![(other, one)], lasting: SECOND / 2 },
            _ => What::Wipe { member: other },
        };
        Fault { at: SECOND + number * SECOND / 4, what }
    };
    schedule.faults = (0..32).map(fault).collect();
    schedule
}

/// Some that fail since a member without the committed entries leads.
fn failing() -> impl Iterator<Item = (Schedule, Failure)> {
    (5..).map(forgetful).filter_map(|schedule| {
        let failure = run(&schedule).failure?;
        (failure.checker == Checker::LeaderCompleteness).then_some((schedule, failure))
    })
}

#[test]
fn what_is_left_is_small_and_fails_in_the_same_way() {
    for (schedule, failure) in failing().take(2) {
        let mut last = None;
        let shrunk = shrink(&schedule, &failure, BUDGET, &mut |at| last = Some(*at));
        let smallest = &shrunk.schedule;
        let left = shrunk.failure.as_ref().expect("it still fails");
        assert_eq!(left.checker, failure.checker);
        assert!(smallest.faults.len() <= schedule.faults.len() / 4, "{smallest:?}");
        assert!(left.event <= failure.event / 2, "{} of {} events", left.event, failure.event);
        assert!(shrunk.runs <= BUDGET);
        let faults = smallest.faults.len();
        let Progress { runs, events, .. } = last.expect("it was told of every run");
        assert_eq!((runs, events), (shrunk.runs, left.event));
        // It is a file that can be read, and that fails just so.
        let read = Schedule::parse(&smallest.to_text()).expect("it can be read");
        assert_eq!((&read, read.faults.len()), (smallest, faults));
        assert_eq!(run(&read).failure, shrunk.failure);
        let recording = smallest.recording.as_ref().expect("it is recorded");
        assert_eq!(recording.failure, format!("{}: {}", left.checker, left.message));
        assert_eq!(recording.events, left.event);
    }
}

#[test]
fn the_search_is_deterministic_and_keeps_to_its_budget() {
    let (schedule, failure) = failing().next().expect("there is no end of them");
    let search = |budget| shrink(&schedule, &failure, budget, &mut |_| ());
    let (one, other) = (search(12), search(12));
    assert_eq!((one.runs, one.is_smallest), (12, false));
    assert_eq!(one.schedule, other.schedule);
    let none = search(0);
    assert_eq!((none.runs, none.failure), (0, Some(failure.clone())));
    assert_eq!(none.schedule.faults, schedule.faults);
}

#[test]
fn a_failure_that_does_not_come_again_is_not_shrunk() {
    let mut schedule = forgetful(1);
    schedule.settings.wiped_return = false;
    schedule.faults.clear();
    let (_, failure) = failing().next().expect("there is no end of them");
    let shrunk = shrink(&schedule, &failure, 5, &mut |_| ());
    assert_eq!(shrunk.failure, None);
    assert_eq!(shrunk.schedule.seed, schedule.seed);
}
