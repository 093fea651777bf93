//! [`check`]: the whole simulator as one line of a test.

use std::fmt::Write;
use std::fs::File;
use std::io::BufWriter;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::thread::available_parallelism;

use crate::campaign::{Campaign, Summary, Trouble};
use crate::profile::Profile;
use crate::run::{Failure, run_workload};
use crate::schedule::Schedule;
use crate::shrink::shrink_workload;
use crate::workload::Workload;

/// Runs that the search for a smaller schedule may take.
const SHRINK_BUDGET: u32 = 150;

/// Faults of a shrunk schedule that are listed.
const FAULTS_TOLD: usize = 12;

/// How [`check`] runs a workload.
///
/// Everything but the seeds has a default: the standard profile, 10 simulated seconds of faults in
/// each run (then the cluster is healed, and must come right), all cores, each seed once.
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    campaign: Campaign,
    trace: Option<PathBuf>,
}

impl Options {
    /// So many seeds, from 1 on.
    pub fn seeds(seeds: u64) -> Self {
        let campaign = Campaign {
            profile: Profile::Standard,
            first: 1,
            seeds,
            duration: Some(10_000_000),
            jobs: available_parallelism().unwrap_or(NonZero::<usize>::MIN),
            keep_going: false,
            twice: false,
        };
        Self { campaign, trace: None }
    }

    /// One seed.
    pub fn seed(seed: u64) -> Self {
        Self::seeds(1).first(seed)
    }

    /// The first seed.
    pub fn first(mut self, seed: u64) -> Self {
        self.campaign.first = seed;
        self
    }

    /// Which faults there are, and how many.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.campaign.profile = profile;
        self
    }

    /// How long the faults of a run go on, in seconds of simulated time.
    pub fn seconds(mut self, seconds: u64) -> Self {
        self.campaign.duration = Some(seconds.saturating_mul(1_000_000));
        self
    }

    /// How many runs there are at the same time; not fewer than one.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.campaign.jobs = NonZero::new(jobs).unwrap_or(NonZero::<usize>::MIN);
        self
    }

    /// Each seed is run twice, and both runs must be the same. Finds what depends on a clock, on a
    /// hash order, on anything else than the seed, even where it changes no reply.
    pub fn twice(mut self) -> Self {
        self.campaign.twice = true;
        self
    }

    /// Writes a line for each event of the first seed to a file.
    pub fn trace(mut self, path: impl Into<PathBuf>) -> Self {
        self.trace = Some(path.into());
        self
    }

    /// The options that run one seed of these again, as code.
    fn again(&self, seed: u64) -> String {
        let Campaign { profile, duration, twice, .. } = &self.campaign;
        let mut text = format!("Options::seed({seed})");
        if *profile != Profile::Standard {
            let name = profile.name();
            write!(text, ".profile({name:?}.parse().unwrap())").expect("a string takes everything");
        }
        if let Some(duration) = duration.filter(|duration| *duration != 10_000_000) {
            write!(text, ".seconds({})", duration / 1_000_000).expect("a string takes everything");
        }
        if *twice {
            text += ".twice()";
        }
        write!(text, ".trace(\"seed-{seed}.txt\")").expect("a string takes everything");
        text
    }
}

/// Runs a state machine under all faults of the simulator, and judges it. Returns what the runs
/// came to.
///
/// Of the cluster, all that the simulator always looks at is looked at: the five properties of
/// Raft, durability, liveness after the faults. Of the machine, whatever it is:
///
/// - All members have the same [digest](quorate_replica::StateMachine::digest) after the same
///   command.
/// - Every reply that a client got is the one that a fresh machine gives which applies the same
///   commands alone, in batches of other sizes, taken through snapshots of itself on its way.
/// - Every answer to a question is the one of such a machine at the same place in the log.
/// - The order of the log is the one that clients saw: what was answered before another operation
///   began comes before it. Together that is linearizability.
/// - No command is applied twice, and none that was answered is lost.
///
/// What else there is to demand says [`Workload::check`].
///
/// ```
/// use quorate_replica::{Command, StateMachine, Wants, WriteOut};
/// use quorate_sim::{Options, Request, Turn, Workload, check};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl StateMachine for Counter {
///     type Reply = u64;
///
///     fn apply(&mut self, commands: &[Command], replies: &mut Vec<u64>) {
///         for command in commands {
///             self.0 += u64::from(command.body[0]);
///             replies.extend((command.wants == Wants::Reply).then_some(self.0));
///         }
///     }
///
///     fn snapshot(&self) -> WriteOut {
///         let count = self.0;
///         Box::new(move |out| out.write_all(&count.to_le_bytes()))
///     }
///
///     fn restore(&mut self, from: &mut dyn std::io::Read) -> std::io::Result<()> {
///         let mut bytes = [0; 8];
///         from.read_exact(&mut bytes)?;
///         self.0 = u64::from_le_bytes(bytes);
///         Ok(())
///     }
/// }
///
/// #[derive(Clone, Debug)]
/// struct Counting;
///
/// impl Workload for Counting {
///     type Machine = Counter;
///     type Command = Vec<u8>;
///     type Query = ();
///     type Answer = u64;
///
///     fn machine(&self) -> Counter {
///         Counter::default()
///     }
///
///     fn next(&mut self, turn: Turn<'_>) -> Request<Vec<u8>, ()> {
///         match turn.random.below(3) {
///             0 => Request::Query(()),
///             by => Request::Command(vec![by as u8]),
///         }
///     }
///
///     fn query(&self, machine: &Counter, (): &()) -> u64 {
///         machine.0
///     }
/// }
///
/// check(Counting, Options::seeds(3).seconds(3));
/// ```
///
/// # Panics
/// If a seed fails: with the seed, what was seen, the options that run it again with a trace, and
/// the faults that are left when the schedule is shrunk.
#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a test has no further use for either")]
pub fn check<W: Workload>(workload: W, options: Options) -> Summary {
    if let Some(path) = &options.trace {
        write_trace(&workload, &options.campaign, path);
    }
    let summary = options.campaign.run_workload(&workload, &mut |_| ControlFlow::Continue(()));
    if let Some((seed, trouble)) = summary.failures.first() {
        panic!("{}", report(&workload, &options, *seed, trouble));
    }
    summary
}

/// Runs the first seed with a line for each event.
#[track_caller]
fn write_trace<W: Workload>(workload: &W, campaign: &Campaign, path: &PathBuf) {
    let file = match File::create(path) {
        Ok(file) => BufWriter::new(file),
        Err(error) => panic!("the trace cannot be written to {}: {error}", path.display()),
    };
    let schedule = Schedule::draw(&campaign.profile, campaign.first, campaign.duration);
    let outcome = run_workload(workload, &schedule, Some(Box::new(file)), 0);
    if let Some(error) = outcome.trace_error {
        panic!("the trace is not complete in {}: {error}", path.display());
    }
}

/// All that is to be said of a seed that failed.
fn report<W: Workload>(workload: &W, options: &Options, seed: u64, trouble: &Trouble) -> String {
    let again = options.again(seed);
    match trouble {
        Trouble::NotDeterministic { same, .. } => format!(
            "seed {seed} failed: two runs of it are the same up to event {same}, and part after \
             it: something depends on more than the seed\n  to run it again: {again}"
        ),
        Trouble::Failed(failure) => {
            let Failure { checker, message, at, event } = failure;
            let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
            let left = shrunk(workload, &options.campaign, seed, failure);
            format!(
                "seed {seed} failed: {checker}, after {seconds}.{micros:06} s, at event {event}\n  \
                 {message}\n  to run it again: {again}\n  {left}"
            )
        }
    }
}

/// What is left of a schedule when it is shrunk.
fn shrunk<W: Workload>(workload: &W, campaign: &Campaign, seed: u64, failure: &Failure) -> String {
    let schedule = Schedule::draw(&campaign.profile, seed, campaign.duration);
    let shrunk = shrink_workload(workload, &schedule, failure, SHRINK_BUDGET, &mut |_| ());
    let Some(left) = shrunk.failure else {
        return "when it was run again it did not fail: something depends on more than the seed"
            .to_owned();
    };
    let Schedule { settings, faults, .. } = &shrunk.schedule;
    let mut text = format!(
        "it fails as well with {} members, {} clients and {} of its {} faults, at event {}",
        settings.members,
        settings.clients,
        faults.len(),
        schedule.faults.len(),
        left.event
    );
    for fault in faults.iter().take(FAULTS_TOLD) {
        write!(text, "\n    at {} us: {:?}", fault.at, fault.what)
            .expect("a string takes everything");
    }
    text
}
