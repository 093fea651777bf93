//! A seed with which something is wrong: what is said of it, and what is kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use quorate_sim::{Campaign, Checker, Failure, SHRINK_BUDGET, Schedule, Trouble, shrink};
use serde::Serialize;

use super::progress::ShrinkBar;
use super::{count, indented, seconds};

/// What is known of a seed that failed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    seed: u64,
    /// Who saw it; `determinism` if two runs were not the same.
    checker: &'static str,
    message: String,
    /// When, in microseconds of simulated time.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_us: Option<u64>,
    /// At which event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<u64>,
    /// Runs it again, with a trace.
    replay: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    shrunk: Option<Saved>,
}

/// A schedule that was shrunk and written to a file.
#[derive(Debug, Serialize)]
struct Saved {
    file: PathBuf,
    /// Runs it.
    play: String,
    faults: usize,
    /// The event at which it fails.
    event: u64,
    #[serde(skip)]
    story: String,
}

/// Who saw that two runs of a seed were not the same.
const DETERMINISM: &str = "determinism";

impl Report {
    pub(super) fn new(campaign: &Campaign, seed: u64, trouble: &Trouble) -> Self {
        let (checker, message, at_us, event) = match trouble {
            Trouble::Failed(Failure { checker, message, at, event }) => {
                (checker.name(), message.clone(), Some(*at), Some(*event))
            }
            Trouble::NotDeterministic { same, runs: [one, other] } => {
                let message = format!(
                    "two runs of this seed are the same up to event {same}, and part after it; \
                     they end after {} and {} events, with hashes {:016x} and {:016x}",
                    one.0, other.0, one.1, other.1
                );
                (DETERMINISM, message, None, None)
            }
        };
        let replay = replay(campaign, seed);
        Self { seed, checker, message, at_us, event, replay, shrunk: None }
    }

    /// Shrinks the schedule, in `budget` runs at most, and keeps it in `directory`.
    fn shrink(
        &mut self,
        schedule: &Schedule,
        failure: &Failure,
        budget: u32,
        directory: &Path,
    ) -> Result<()> {
        let bar = ShrinkBar::new(self.seed, budget);
        let shrunk = shrink(schedule, failure, budget, &mut |progress| bar.on_progress(progress));
        bar.finish();
        let Some(left) = shrunk.failure else {
            self.message += "\nwhen it was run again it did not fail: something in it depends on \
                             more than the seed; --twice looks for that";
            return Ok(());
        };
        let name = format!("failure-{}-{}.toml", schedule.profile, self.seed);
        let is_here = directory == Path::new(".");
        let file = if is_here { PathBuf::from(name) } else { directory.join(name) };
        fs::write(&file, shrunk.schedule.to_text())
            .with_context(|| format!("{} cannot be written", file.display()))?;
        let (faults, runs) = (shrunk.schedule.faults.len(), shrunk.runs);
        let story = format!(
            "shrunk from {} and {} events to {} and {}, in {}",
            count_faults(schedule),
            failure.event,
            count_faults(&shrunk.schedule),
            left.event,
            count(u64::from(runs), "run")
        );
        let play = format!("quorate sim play {}", file.display());
        self.shrunk = Some(Saved { file, play, faults, event: left.event, story });
        Ok(())
    }

    /// All that there is to say of it.
    pub(super) fn text(&self) -> String {
        let mut text = format!("seed {} failed: {}", self.seed, self.checker);
        if let (Some(at), Some(event)) = (self.at_us, self.event) {
            text += &format!(", after {}, at event {event}", seconds(at));
        }
        text += "\n";
        text += &indented(&self.message);
        text += &format!("  to run it again: {}\n", self.replay);
        if let Some(Saved { play, story, .. }) = &self.shrunk {
            text += &format!("  {story}\n  to run that:     {play}\n");
        }
        text + "\n"
    }

    /// The same in one line.
    pub(super) fn line(&self) -> String {
        let first = self.message.lines().next().unwrap_or_default();
        format!("seed {} failed: {}: {first}", self.seed, self.checker)
    }
}

/// Reports on all failures of a campaign. The first seed that each checker saw fail is shrunk into
/// `directory`, if there is one: the others fail of the same, more likely than not.
pub(super) fn report(
    campaign: &Campaign,
    failures: &[(u64, Trouble)],
    directory: Option<&Path>,
    mut say: impl FnMut(&str) -> Result<()>,
) -> Result<Vec<Report>> {
    let mut shrunk: BTreeSet<Checker> = BTreeSet::new();
    let mut reports = Vec::new();
    for (seed, trouble) in failures {
        let mut report = Report::new(campaign, *seed, trouble);
        if let (Trouble::Failed(failure), Some(directory)) = (trouble, directory)
            && shrunk.insert(failure.checker)
        {
            let schedule = Schedule::draw(&campaign.profile, *seed, campaign.duration);
            if let Err(error) = report.shrink(&schedule, failure, SHRINK_BUDGET, directory) {
                // What was found must be said first.
                say(&report.text())?;
                return Err(error);
            }
        }
        say(&report.text())?;
        reports.push(report);
    }
    Ok(reports)
}

fn count_faults(schedule: &Schedule) -> String {
    count(u64::try_from(schedule.faults.len()).unwrap_or(u64::MAX), "fault")
}

/// The command that runs a seed of a campaign again, with a trace.
fn replay(campaign: &Campaign, seed: u64) -> String {
    let profile = campaign.profile.name();
    let seconds = campaign.duration.map(|duration| format!(" --seconds {}", duration / 1_000_000));
    let seconds = seconds.unwrap_or_default();
    format!("quorate sim run --seed {seed} --profile {profile}{seconds} --trace seed-{seed}.trace")
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use quorate_sim::{Fault, Profile, What, run};

    fn campaign() -> Campaign {
        Campaign {
            profile: Profile::Standard,
            first: 1,
            seeds: 1,
            duration: Some(7_000_000),
            jobs: NonZero::<usize>::MIN,
            keep_going: false,
            twice: false,
        }
    }

    fn failed(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }

    /// A run that is bound to fail: members forget everything and come back as if they had not.
    fn forgetful() -> (Schedule, Failure) {
        let fails = |seed| {
            let mut schedule = Schedule::draw(&Profile::Calm, seed, Some(4_000_000));
            schedule.settings.wiped_return = true;
            let wipe = |member| What::Wipe { member };
            schedule.faults = [1, 2, 3].map(|n| Fault { at: 3_000_000, what: wipe(n) }).to_vec();
            let failure = run(&schedule).failure?;
            Some((schedule, failure))
        };
        (1..).find_map(fails).expect("there is no end of them")
    }

    #[test]
    fn a_failure_is_shrunk_kept_and_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let (schedule, failure) = forgetful();
        let mut report = Report::new(&campaign(), schedule.seed, &failed(failure.clone()));
        report.shrink(&schedule, &failure, 12, directory.path()).expect("it can be written");
        let file = directory.path().join(format!("failure-calm-{}.toml", schedule.seed));
        let kept = Schedule::parse(&fs::read_to_string(&file).expect("it is there"));
        let kept = kept.expect("it can be read");
        assert_eq!(run(&kept).failure.map(|left| left.checker), Some(failure.checker));
        let text = report.text();
        for part in [
            format!("seed {} failed: {}, after 3.", schedule.seed, failure.checker),
            format!("at event {}\n  {}\n", failure.event, failure.message),
            format!("quorate sim run --seed {} --profile standard --seconds 7 ", schedule.seed),
            format!("shrunk from 3 faults and {} events to ", failure.event),
            format!("quorate sim play {}\n", file.display()),
        ] {
            assert!(text.contains(&part), "{part} is missing in:\n{text}");
        }
        let json = serde_json::to_value(&report).expect("it is JSON");
        assert_eq!(json["shrunk"]["file"], file.display().to_string());
        assert_eq!(json["event"], failure.event);
    }

    #[test]
    fn what_does_not_fail_again_is_not_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut schedule, failure) = forgetful();
        schedule.faults.clear();
        let mut report = Report::new(&campaign(), schedule.seed, &failed(failure.clone()));
        report.shrink(&schedule, &failure, 12, directory.path()).expect("nothing is written");
        assert!(report.text().contains("it did not fail"), "{}", report.text());
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
    }

    #[test]
    fn a_directory_that_is_none_is_named_and_the_failure_is_told_all_the_same() {
        let (schedule, failure) = forgetful();
        let mut report = Report::new(&campaign(), schedule.seed, &failed(failure.clone()));
        let error = report.shrink(&schedule, &failure, 1, Path::new("no/such/place"));
        let error = format!("{:#}", error.expect_err("there is no such place"));
        assert!(error.contains("no/such/place/failure-calm-"), "{error}");
        assert!(error.contains("cannot be written: No such file"), "{error}");
    }

    #[test]
    fn each_failure_is_told_once() {
        let runs = [(10, 11), (12, 13)];
        let failures = [
            (3, Trouble::NotDeterministic { same: 256, runs }),
            (
                9,
                failed(Failure {
                    checker: Checker::Liveness,
                    message: "two\nlines".to_owned(),
                    at: 1_500_000,
                    event: 77,
                }),
            ),
        ];
        let mut said = String::new();
        let say = |text: &str| {
            said += text;
            Ok(())
        };
        let reports = report(&campaign(), &failures, None, say).expect("it can be said");
        assert_eq!(
            said,
            "\
seed 3 failed: determinism
  two runs of this seed are the same up to event 256, and part after it; they end after 10 and 12 \
events, with hashes 000000000000000b and 000000000000000d
  to run it again: quorate sim run --seed 3 --profile standard --seconds 7 --trace seed-3.trace

seed 9 failed: liveness, after 1.500000 s, at event 77
  two
  lines
  to run it again: quorate sim run --seed 9 --profile standard --seconds 7 --trace seed-9.trace

"
        );
        assert_eq!(reports[1].line(), "seed 9 failed: liveness: two");
    }
}
