//! `quorate sim run`: seeds of a profile, on all cores, until one fails; or one seed.

use std::fs;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, value_parser};
use quorate_sim::{Campaign, Profile, Schedule, Summary, Trouble, run_traced};

use super::failure::{self, Report};
use super::progress::CampaignBar;
use super::summary::Done;
use super::{Trace, check_trace, say};

/// The most seconds that a run may last: a hundred hours.
const SECONDS_MAX: u64 = 360_000;

/// Run seeds, each a cluster in a hostile world of its own
#[derive(Args, Debug)]
#[command(after_help = "\
A campaign ends with the first seed that fails, unless --keep-going is given. Of a failure you get
the command that runs it again, and a file with a schedule that was shrunk to what matters: with
--keep-going, for the first seed of each checker.

Examples:
  quorate sim run --seeds 1000
  quorate sim run --profile storm --seconds 600 --jobs 4 --keep-going
  quorate sim run --seed 17 --trace run.txt     a line for each event; - is standard output
  quorate sim run --seeds 200 --twice           are two runs of a seed the same?

Exit status: 0 if all seeds passed, 1 if one failed, 2 for wrong usage or unusable files.")]
pub(crate) struct Run {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = value_parser!(u64).range(1..))]
    seeds: u64,

    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = seed,
          allow_negative_numbers = true)]
    first: u64,

    /// One seed only
    #[arg(long, value_name = "S", value_parser = seed, allow_negative_numbers = true,
          conflicts_with_all = ["seeds", "first", "jobs", "keep_going"])]
    seed: Option<u64>,

    /// Which faults there are, and how many; see quorate sim profiles
    #[arg(long, value_name = "NAME", default_value = "standard", value_parser = Profile::from_str)]
    profile: Profile,

    /// How long the faults of a run go on, in simulated time; else as the profile says
    #[arg(long, value_name = "T", value_parser = value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: Option<u64>,

    /// How many runs at the same time; else one a core
    #[arg(long, value_name = "J", value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,

    /// Go on after a seed has failed
    #[arg(long)]
    keep_going: bool,

    /// Run each seed twice, and see whether both runs are the same
    #[arg(long, conflicts_with = "trace")]
    twice: bool,

    /// Write a line for each event of the seed to a file; nothing is shrunk then
    #[arg(long, value_name = "FILE", requires = "seed")]
    trace: Option<PathBuf>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Do not shrink what fails
    #[arg(long)]
    no_shrink: bool,

    /// Where the schedules of failures are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
}

impl Run {
    /// Runs the seeds; success if all of them passed.
    pub(super) fn run(self) -> Result<ExitCode> {
        let campaign = self.campaign();
        let is_shrinking = !self.no_shrink && self.trace.is_none();
        if is_shrinking {
            // Not after an hour of runs.
            fs::create_dir_all(&self.output)
                .with_context(|| format!("--output {} cannot be made", self.output.display()))?;
        }
        let trace = self.trace.as_deref().map(Trace::to);
        let (summary, elapsed, traced) = match &trace {
            Some(trace) => run_one(&campaign, trace)?,
            None => self.run_all(&campaign),
        };
        let on_stderr = self.json || matches!(trace, Some(Trace::Stdout));
        let directory = is_shrinking.then_some(self.output.as_path());
        let reports =
            failure::report(&campaign, &summary.failures, directory, |text| say(text, on_stderr))?;
        let done = Done {
            campaign: &campaign,
            summary: &summary,
            is_single: self.seed.is_some(),
            elapsed,
            reports: &reports,
        };
        if self.json {
            say(&(done.json()? + "\n"), false)?;
        } else {
            say(&done.text(), on_stderr)?;
        }
        if !summary.failures.is_empty() {
            if let Err(error) = traced {
                super::complain(&error);
            }
            return Ok(ExitCode::FAILURE);
        }
        traced.map(|()| ExitCode::SUCCESS)
    }

    fn campaign(&self) -> Campaign {
        let (first, seeds) = match self.seed {
            Some(seed) => (seed, 1),
            None => (self.first, self.seeds),
        };
        let one = NonZero::<usize>::MIN;
        let jobs = match self.jobs.and_then(|jobs| NonZero::new(usize::from(jobs))) {
            Some(jobs) => jobs,
            None if self.seed.is_some() => one,
            None => available_parallelism().unwrap_or(one),
        };
        Campaign {
            profile: self.profile,
            first,
            seeds,
            duration: self.seconds.map(|seconds| seconds * 1_000_000),
            jobs,
            keep_going: self.keep_going,
            twice: self.twice,
        }
    }

    fn run_all(&self, campaign: &Campaign) -> (Summary, Duration, Result<()>) {
        let jobs = u64::try_from(campaign.jobs.get()).unwrap_or(u64::MAX).min(campaign.seeds);
        let mut bar = CampaignBar::new(campaign.seeds, jobs);
        let mut hash = 0;
        let mut summary = campaign.run(&mut |finished| {
            bar.on_finished(finished);
            hash = finished.outcome.hash;
            if let Some(trouble) = &finished.trouble
                && campaign.keep_going
            {
                bar.say(&Report::new(campaign, finished.seed, trouble).line());
            }
            ControlFlow::Continue(())
        });
        if self.seed.is_some() {
            // The hash of the run itself, as playing its schedule gives it.
            summary.hash = hash;
        }
        (summary, bar.finish(), Ok(()))
    }
}

/// Runs one seed with a trace; also whether the trace is all there.
fn run_one(campaign: &Campaign, trace: &Trace) -> Result<(Summary, Duration, Result<()>)> {
    let schedule = Schedule::draw(&campaign.profile, campaign.first, campaign.duration);
    let lines = trace.open()?;
    let started = Instant::now();
    let mut outcome = run_traced(&schedule, Some(lines), 0);
    let elapsed = started.elapsed();
    let traced = check_trace(&mut outcome);
    let failures = outcome.failure.take().map(|failure| (schedule.seed, Trouble::Failed(failure)));
    let summary = Summary {
        seeds: 1,
        failures: failures.into_iter().collect(),
        simulated: outcome.simulated,
        events: outcome.events,
        operations: outcome.operations,
        marks: outcome.marks,
        hash: outcome.hash,
    };
    Ok((summary, elapsed, traced))
}

/// A seed, as it is printed, or in hexadecimal as it stands in a schedule.
fn seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("a seed is a number from 0 to {}", u64::MAX))
}
