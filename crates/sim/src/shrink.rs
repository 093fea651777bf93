//! From a schedule that fails to a small one that fails in the same way.
//!
//! A drawn schedule fails after a hundred thousand events under a hundred faults, of which two or
//! three matter. The search takes things away and keeps what still fails: faults in ever smaller
//! groups (delta debugging), then members, clients, what happens to messages, and the time in which
//! nothing happens. What is tried in which order stands in `simpler.rs`; here is the search itself.
//!
//! Nothing is proved about what is left out: each candidate is run, and counts only if the same
//! checker sees it fail. The same schedule always shrinks to the same one.

use std::collections::BTreeSet;

use crate::random::mix;
use crate::run::{Failure, record_workload, run_workload};
use crate::schedule::Schedule;
use crate::simpler;
use crate::store_workload::StoreWorkload;
use crate::violation::Checker;
use crate::workload::Workload;

/// What a search has come to so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Runs so far.
    pub runs: u32,
    /// Runs that it may take.
    pub budget: u32,
    /// Faults of the smallest schedule so far.
    pub faults: usize,
    /// Events until it fails.
    pub events: u64,
}

/// What a search came to.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest schedule that was found, with a recording of its run.
    pub schedule: Schedule,
    /// How it fails; none if not even the schedule that the search began with fails again.
    pub failure: Option<Failure>,
    /// The runs that the search took, without those for the recording.
    pub runs: u32,
    /// The search ended because nothing helped any more, not because its budget was used up.
    pub is_smallest: bool,
}

/// The runs that a search may take if nobody says otherwise.
pub const SHRINK_BUDGET: u32 = 400;

/// Other seeds with which a great change is tried.
const THROWS: u64 = 8;

/// Faults that are tried sooner with other seeds, too.
const MOVED_MAX: usize = 3;

/// Finds a smaller schedule that fails in the same way with the store, with at most `budget` runs,
/// and two for the recording. `progress` hears of every run.
#[must_use]
pub fn shrink(
    schedule: &Schedule,
    failure: &Failure,
    budget: u32,
    progress: &mut dyn FnMut(&Progress),
) -> Shrunk {
    shrink_workload(&StoreWorkload::default(), schedule, failure, budget, progress)
}

/// The same with any workload.
pub(crate) fn shrink_workload<W: Workload>(
    workload: &W,
    schedule: &Schedule,
    failure: &Failure,
    budget: u32,
    progress: &mut dyn FnMut(&Progress),
) -> Shrunk {
    let mut best = Schedule { recording: None, ..schedule.clone() };
    best.faults.sort_by_key(|fault| fault.at);
    let mut search = Search {
        workload,
        best,
        failure: failure.clone(),
        is_survivable: simpler::is_survivable(schedule),
        first_seed: schedule.seed,
        tried: BTreeSet::new(),
        runs: 0,
        budget,
        progress,
    };
    while search.round() || search.with_other_luck() {}
    let is_smallest = !search.is_spent();
    let (schedule, outcome) = record_workload(workload, &search.best);
    Shrunk { schedule, failure: outcome.failure, runs: search.runs, is_smallest }
}

struct Search<'a, W> {
    workload: &'a W,
    /// The smallest schedule so far.
    best: Schedule,
    /// How it fails.
    failure: Failure,
    /// The cluster can survive the faults of the schedule that the search began with.
    is_survivable: bool,
    /// What other seeds are made of.
    first_seed: u64,
    /// Every candidate that was run.
    tried: BTreeSet<String>,
    runs: u32,
    budget: u32,
    progress: &'a mut dyn FnMut(&Progress),
}

impl<W: Workload> Search<'_, W> {
    /// Tries everything once; whether anything helped.
    fn round(&mut self) -> bool {
        let before = self.best.clone();
        self.shorten();
        self.drop_faults();
        self.try_all(simpler::without_members);
        self.try_each(simpler::CLIENTS);
        self.try_each(simpler::RATES);
        self.try_each(simpler::SETTINGS);
        self.try_faults(simpler::sooner);
        self.try_faults(simpler::weaker);
        self.best != before
    }

    /// Tries great changes with other seeds: what happens at random comes out differently after
    /// them, and what fails by an accident of times needs more than one throw.
    fn with_other_luck(&mut self) -> bool {
        let each = [simpler::CLIENTS, simpler::RATES, simpler::SETTINGS].concat();
        let mut candidates = simpler::without_members(&self.best);
        candidates.extend(each.iter().map(|change| {
            let mut candidate = self.best.clone();
            change(&mut candidate);
            candidate
        }));
        candidates.extend(simpler::without_some_faults(&self.best));
        let first = 0..self.best.faults.len().min(MOVED_MAX);
        candidates.extend(first.flat_map(|number| simpler::sooner(&self.best, number)));
        candidates.retain(|candidate| *candidate != self.best);
        candidates.into_iter().any(|candidate| {
            (1..=THROWS).any(|throw| {
                let seed = mix(self.first_seed ^ throw);
                self.attempt(Schedule { seed, ..candidate.clone() })
            })
        })
    }

    /// Ends the faults as soon as it fails.
    fn shorten(&mut self) {
        let duration = self.best.settings.duration;
        if self.failure.at < duration {
            self.attempt(simpler::until(&self.best, self.failure.at + 1));
        }
        // It may fail in the healing as well, or earlier by another way.
        self.try_all(simpler::shorter);
    }

    /// Takes out faults: all, halves, quarters, and so on, down to single ones.
    fn drop_faults(&mut self) {
        let mut size = self.best.faults.len();
        while size > 0 && !self.is_spent() {
            let mut at = 0;
            while at < self.best.faults.len() {
                let end = self.best.faults.len().min(at + size);
                let mut candidate = self.best.clone();
                candidate.faults.drain(at..end);
                if !self.attempt(candidate) {
                    at = end;
                }
            }
            size /= 2;
        }
    }

    /// Tries changes one by one, each as often as it helps.
    fn try_each(&mut self, changes: &[fn(&mut Schedule)]) {
        for change in changes {
            loop {
                let mut candidate = self.best.clone();
                change(&mut candidate);
                if !self.attempt(candidate) {
                    break;
                }
            }
        }
    }

    /// Tries candidates in their order; when one helps, those that are made of it.
    fn try_all(&mut self, candidates: fn(&Schedule) -> Vec<Schedule>) {
        while candidates(&self.best).into_iter().any(|candidate| self.attempt(candidate)) {}
    }

    /// The same for what changes one fault.
    fn try_faults(&mut self, candidates: fn(&Schedule, usize) -> Vec<Schedule>) {
        for number in 0..self.best.faults.len() {
            while candidates(&self.best, number).into_iter().any(|one| self.attempt(one)) {}
        }
    }

    /// Runs a candidate; it is the best from now on if it fails as the first one did.
    fn attempt(&mut self, candidate: Schedule) -> bool {
        if self.is_spent()
            || candidate == self.best
            || self.is_survivable && !simpler::is_survivable(&candidate)
            || !self.tried.insert(candidate.to_text())
        {
            return false;
        }
        self.runs += 1;
        let outcome = run_workload(self.workload, &candidate, None, 0);
        let failure = outcome.failure.filter(|failure| is_same(failure, &self.failure));
        let is_better = failure.is_some();
        if let Some(failure) = failure {
            self.failure = failure;
            self.best = candidate;
        }
        (self.progress)(&Progress {
            runs: self.runs,
            budget: self.budget,
            faults: self.best.faults.len(),
            events: self.failure.event,
        });
        is_better
    }

    fn is_spent(&self) -> bool {
        self.runs >= self.budget
    }
}

/// Whether two failures are likely of one cause: the same checker saw them. An assertion says
/// little by that, so it must be the same one.
fn is_same(one: &Failure, other: &Failure) -> bool {
    one.checker == other.checker
        && (one.checker != Checker::Assertion || place(&one.message) == place(&other.message))
}

/// Where in the code an assertion stands, as its message says at its end.
fn place(message: &str) -> Option<&str> {
    let (_, place) = message.strip_suffix(')')?.rsplit_once('(')?;
    place.contains(".rs:").then_some(place)
}
