//! Each kind of fault by itself, as frequent as it may be, and all of them together.

use std::num::NonZero;
use std::sync::Mutex;
use std::thread;

use quorate_sim::{Kind, Profile, Rates, Schedule, run};

const SECOND: u64 = 1_000_000;

/// How long the faults of a run go on, in seconds.
const SECONDS: u64 = 12;

/// Runs for each profile.
const RUNS: usize = 2;

/// The first seeds of a profile whose schedules have any fault: others would test nothing.
fn seeds(profile: Profile) -> impl Iterator<Item = (u64, Schedule)> {
    let draw = move |seed| (seed, Schedule::draw(&profile, seed, Some(SECONDS * SECOND)));
    let has_faults =
        |schedule: &Schedule| !schedule.faults.is_empty() || schedule.rates != Rates::default();
    (1..1000).map(draw).filter(move |(_, schedule)| has_faults(schedule)).take(RUNS)
}

/// Runs a schedule: what is to be said if it fails.
fn failure(profile: Profile, seed: u64, schedule: &Schedule) -> Option<String> {
    let failure = run(schedule).failure?;
    let (seconds, micros) = (failure.at / SECOND, failure.at % SECOND);
    let name = profile.name();
    Some(format!(
        "{name}, seed {seed}: {} at {seconds}.{micros:06} s, event {}: {}\n  again: cargo run \
         --profile mutants -p quorate-sim --example hunt -- --profile {name} --first {seed} \
         --seeds 1 --seconds {SECONDS}",
        failure.checker, failure.event, failure.message
    ))
}

#[test]
fn every_kind_has_schedules_with_faults() {
    for kind in Kind::ALL {
        assert_eq!(seeds(Profile::Only(*kind)).count(), RUNS, "{kind}");
    }
}

#[test]
fn no_kind_by_itself_breaks_anything_nor_all_together() {
    let profiles = Kind::ALL.iter().map(|kind| Profile::Only(*kind)).chain([Profile::Storm]);
    let runs =
        Mutex::new(profiles.flat_map(|profile| {
            seeds(profile).map(move |(seed, schedule)| (profile, seed, schedule))
        }));
    let failures = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = runs.lock().expect("nobody panics with it").next();
            let Some((profile, seed, schedule)) = next else { return };
            if let Some(failure) = failure(profile, seed, &schedule) {
                failures.lock().expect("nobody panics with it").push(failure);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().expect("nobody panicked with it");
    failures.sort();
    assert!(failures.is_empty(), "{} runs failed:\n{}", failures.len(), failures.join("\n"));
}
