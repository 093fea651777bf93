//! Many seeds on many threads.
//!
//! Each worker takes the next seed, runs it and hands on what came of it, so no more is held than
//! what the workers are at. What a campaign comes to does not depend on who was quicker: sums do
//! not, and failures are put in order. A campaign looks at no clock; who wants to know how fast it
//! was measures that outside.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::marks::Marks;
use crate::profile::Profile;
use crate::queue::Time;
use crate::random::mix;
use crate::run::{Failure, Outcome, run_workload};
use crate::schedule::Schedule;
use crate::store_workload::StoreWorkload;
use crate::workload::Workload;

/// After how many events a hash is kept of each of two runs that must be the same.
const COMPARED_EVERY: u64 = 256;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// What the schedules are drawn from.
    pub profile: Profile,
    /// The first seed.
    pub first: u64,
    /// How many there are. Behind the last number comes 0.
    pub seeds: u64,
    /// How long the faults of a run go on, in microseconds; none: as the profile says.
    pub duration: Option<Time>,
    /// Runs at the same time.
    pub jobs: NonZero<usize>,
    /// A failing seed does not end the campaign.
    pub keep_going: bool,
    /// Each seed is run twice, and both runs must be the same.
    pub twice: bool,
}

/// What came of a seed.
#[derive(Debug)]
pub struct Finished {
    /// The seed.
    pub seed: u64,
    /// What is wrong, if anything is.
    pub trouble: Option<Trouble>,
    /// The outcome of its run; of the first one, if there were two.
    pub outcome: Outcome,
}

/// What is wrong with a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its run failed.
    Failed(Failure),
    /// Two runs of it were not the same: something in them depends on more than the schedule.
    NotDeterministic {
        /// The runs were the same up to this event.
        same: u64,
        /// How each of them ended: its events and its hash.
        runs: [(u64, u64); 2],
    },
}

/// What a campaign came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// The seeds with which something is wrong, in order.
    pub failures: Vec<(u64, Trouble)>,
    /// Simulated time of all runs, in microseconds.
    pub simulated: Time,
    /// Events of all runs.
    pub events: u64,
    /// Operations that clients began.
    pub operations: u64,
    /// Which rare situations were met.
    pub marks: Marks,
    /// A hash of all seeds and of what happened in their runs. Two campaigns that ran the same
    /// seeds to their ends have the same.
    pub hash: u64,
}

impl Campaign {
    /// Runs it with the store. `each` hears of every seed when it is done, on this thread, and may
    /// end the campaign; runs under way are still finished then.
    pub fn run(&self, each: &mut dyn FnMut(&Finished) -> ControlFlow<()>) -> Summary {
        self.run_workload(&StoreWorkload::default(), each)
    }

    /// Runs it with any workload.
    pub fn run_workload<W: Workload>(
        &self,
        workload: &W,
        each: &mut dyn FnMut(&Finished) -> ControlFlow<()>,
    ) -> Summary {
        let course = Course { next: AtomicU64::new(0), is_over: AtomicBool::new(false) };
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(self.jobs.get());
            for _ in 0..self.jobs.get() {
                let sender = sender.clone();
                scope.spawn(|| self.work(workload, &course, sender));
            }
            drop(sender);
            self.gather(&course, &receiver, each)
        })
    }

    /// A worker: one seed after the other.
    fn work<W: Workload>(&self, workload: &W, course: &Course, sender: SyncSender<Finished>) {
        while !course.is_over.load(Ordering::Relaxed) {
            let number = course.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.seeds || sender.send(self.run_seed(workload, number)).is_err() {
                return;
            }
        }
    }

    fn gather(
        &self,
        course: &Course,
        receiver: &Receiver<Finished>,
        each: &mut dyn FnMut(&Finished) -> ControlFlow<()>,
    ) -> Summary {
        let mut summary = Summary::default();
        for finished in receiver {
            let is_bad = finished.trouble.is_some();
            if each(&finished).is_break() || is_bad && !self.keep_going {
                course.is_over.store(true, Ordering::Relaxed);
            }
            summary.add(finished);
        }
        summary.failures.sort_by_key(|(seed, _)| *seed);
        summary
    }

    fn run_seed<W: Workload>(&self, workload: &W, number: u64) -> Finished {
        let seed = self.first.wrapping_add(number);
        let schedule = Schedule::draw(&self.profile, seed, self.duration);
        let every = if self.twice { COMPARED_EVERY } else { 0 };
        let run = || run_workload(workload, &schedule, None, every);
        let outcome = run();
        let difference = if self.twice { outcome.compare(&run()) } else { None };
        let trouble = difference.or_else(|| outcome.failure.clone().map(Trouble::Failed));
        Finished { seed, trouble, outcome }
    }
}

/// How far a campaign is.
#[derive(Debug)]
struct Course {
    /// The number of the next seed, from 0.
    next: AtomicU64,
    /// No more seeds are begun.
    is_over: AtomicBool,
}

impl Outcome {
    /// What is wrong if this run and another of the same schedule are not the same.
    fn compare(&self, other: &Self) -> Option<Trouble> {
        if self.hash == other.hash && self.failure == other.failure {
            return None;
        }
        let same = self.hashes.iter().zip(&other.hashes).take_while(|(one, other)| one == other);
        let same = u64::try_from(same.count()).expect("hashes are few");
        Some(Trouble::NotDeterministic {
            same: same * COMPARED_EVERY,
            runs: [(self.events, self.hash), (other.events, other.hash)],
        })
    }
}

impl Summary {
    fn add(&mut self, finished: Finished) {
        let Finished { seed, trouble, outcome } = finished;
        self.seeds += 1;
        self.failures.extend(trouble.map(|trouble| (seed, trouble)));
        self.simulated += outcome.simulated;
        self.events += outcome.events;
        self.operations += outcome.operations;
        self.marks.merge(&outcome.marks);
        // A sum, since it does not matter for a sum who comes first.
        self.hash = self.hash.wrapping_add(mix(outcome.hash ^ mix(seed)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::run_traced;
    use crate::violation::Checker;

    fn campaign(jobs: usize) -> Campaign {
        Campaign {
            profile: Profile::Standard,
            first: 10,
            seeds: 6,
            duration: Some(2_000_000),
            jobs: NonZero::new(jobs).expect("not 0"),
            keep_going: false,
            twice: false,
        }
    }

    #[test]
    fn a_campaign_does_not_depend_on_who_was_quicker() {
        let run = |campaign: &Campaign| {
            let mut seeds = Vec::new();
            let summary = campaign.run(&mut |finished| {
                seeds.push(finished.seed);
                ControlFlow::Continue(())
            });
            seeds.sort_unstable();
            assert_eq!(seeds, [10, 11, 12, 13, 14, 15]);
            assert_eq!((summary.seeds, &summary.failures[..]), (6, &[][..]));
            summary
        };
        let (one, three) = (run(&campaign(1)), run(&campaign(3)));
        let sums = |sum: &Summary| (sum.hash, sum.events, sum.operations, sum.simulated);
        assert_eq!(sums(&one), sums(&three));
        assert_eq!(one.marks, three.marks);
        let twice = run(&Campaign { twice: true, ..campaign(3) });
        assert_eq!(sums(&one), sums(&twice));
    }

    #[test]
    fn the_seeds_may_end_the_numbers() {
        let campaign = Campaign { first: u64::MAX, seeds: 2, ..campaign(1) };
        let mut seeds = Vec::new();
        campaign.run(&mut |finished| {
            seeds.push(finished.seed);
            ControlFlow::Continue(())
        });
        assert_eq!(seeds, [u64::MAX, 0]);
    }

    #[test]
    fn whoever_listens_may_end_it() {
        let summary = campaign(1).run(&mut |_| ControlFlow::Break(()));
        assert!(summary.seeds < 6, "{} seeds", summary.seeds);
    }

    #[test]
    fn a_failure_ends_it_unless_it_shall_go_on() {
        let finished = |seed| {
            let outcome = run_traced(&Schedule::draw(&Profile::Calm, 1, Some(1)), None, 0);
            let message = "made up".to_owned();
            let failure = Failure { checker: Checker::Liveness, message, at: 1, event: 1 };
            Finished { seed, trouble: Some(Trouble::Failed(failure)), outcome }
        };
        for keep_going in [false, true] {
            let course = Course { next: AtomicU64::new(0), is_over: AtomicBool::new(false) };
            let (sender, receiver) = sync_channel(2);
            sender.send(finished(9)).expect("there is room");
            sender.send(finished(3)).expect("there is room");
            drop(sender);
            let campaign = Campaign { keep_going, ..campaign(1) };
            let summary = campaign.gather(&course, &receiver, &mut |_| ControlFlow::Continue(()));
            assert_eq!(course.is_over.into_inner(), !keep_going);
            let seeds: Vec<_> = summary.failures.iter().map(|(seed, _)| *seed).collect();
            assert_eq!(seeds, [3, 9], "in order of the seeds");
        }
    }

    #[test]
    fn runs_that_differ_are_told_apart() {
        let run = |duration| {
            let mut schedule = Schedule::draw(&Profile::Calm, 1, Some(2_000_000));
            schedule.settings.duration = duration;
            run_traced(&schedule, None, COMPARED_EVERY)
        };
        let (one, same, other) = (run(2_000_000), run(2_000_000), run(1_000_000));
        assert_eq!(one.compare(&same), None);
        let Some(Trouble::NotDeterministic { same, runs }) = one.compare(&other) else {
            panic!("they are not told apart");
        };
        assert!(same > 0 && same < other.events, "{same} of {} events", other.events);
        assert_eq!(runs, [(one.events, one.hash), (other.events, other.hash)]);
    }
}
