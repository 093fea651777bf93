//! `quorate sim play`: runs a schedule from a file, such as a failure left.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use quorate_sim::{Outcome, Recording, Schedule, parted, run_traced};

use super::{Trace, check_trace, count, indented, say, seconds};

/// Run a schedule from a file
#[derive(Args, Debug)]
#[command(after_help = "\
A schedule that a failure left says how its run went. If the code has changed since, the run may be
another: then you are told from which event on.

Examples:
  quorate sim play failure-standard-17.toml
  quorate sim play failure-standard-17.toml --trace -    a line for each event

Exit status: 0 if the run passed, 1 if it failed, 2 for wrong usage or unusable files.")]
pub(crate) struct Play {
    /// The schedule
    file: PathBuf,

    /// Write a line for each event to a file; - is standard output
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Play {
    /// Runs it; success if it passed.
    pub(super) fn run(self) -> Result<ExitCode> {
        let name = self.file.display();
        let text =
            fs::read_to_string(&self.file).with_context(|| format!("{name} cannot be read"))?;
        let schedule = Schedule::parse(&text).with_context(|| name.to_string())?;
        let trace = self.trace.as_deref().map(Trace::to);
        let lines = trace.as_ref().map(Trace::open).transpose()?;
        let every = schedule.recording.as_ref().map_or(0, |recording| recording.every);
        let mut outcome = run_traced(&schedule, lines, every);
        let text = text_of(&schedule, &outcome);
        say(&text, matches!(trace, Some(Trace::Stdout)))?;
        let traced = check_trace(&mut outcome);
        if outcome.failure.is_some() {
            if let Err(error) = traced {
                super::complain(&error);
            }
            return Ok(ExitCode::FAILURE);
        }
        traced.map(|()| ExitCode::SUCCESS)
    }
}

fn text_of(schedule: &Schedule, outcome: &Outcome) -> String {
    let Outcome { failure, hash, events, simulated, .. } = outcome;
    let mut text = match failure {
        Some(failure) => {
            let (at, event) = (seconds(failure.at), failure.event);
            let head = format!("failed: {}, after {at}, at event {event}\n", failure.checker);
            head + &indented(&failure.message)
        }
        None => format!("passed: {}, {}\n", seconds(*simulated), count(*events, "event")),
    };
    text += &format!("hash {hash:016x}\n");
    if let Some(recording) = &schedule.recording {
        text += &comparison(recording, outcome);
    }
    text
}

/// Whether the run is the recorded one.
fn comparison(recording: &Recording, outcome: &Outcome) -> String {
    let Some((first, last)) = parted(recording, &outcome.hashes, outcome.events) else {
        return "the run is the same as the recorded one\n".to_owned();
    };
    let before = match &*recording.failure {
        "" => "passed".to_owned(),
        failure => format!("failed: {failure}"),
    };
    let mut text = format!(
        "note: the run is not the recorded one: they part between events {first} and {last}\n\
         the recorded one {}",
        indented(&before).trim_start(),
    );
    if outcome.failure.is_none() && !recording.failure.is_empty() {
        text += "that it passed now may be luck: draw it anew from its seed to be sure\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_sim::{Profile, record};

    #[test]
    fn a_run_is_compared_with_what_was_recorded() {
        let schedule = Schedule::draw(&Profile::Calm, 1, Some(1_000_000));
        let (recorded, outcome) = record(&schedule);
        let text = text_of(&recorded, &outcome);
        assert!(text.starts_with("passed: "), "{text}");
        assert!(text.ends_with("\nthe run is the same as the recorded one\n"), "{text}");
        assert!(!text_of(&schedule, &outcome).contains("recorded"), "there is no recording");

        let mut other = recorded.recording.expect("it is recorded");
        other.hashes[1] = "0".repeat(16);
        other.failure = "liveness: two\nlines".to_owned();
        let (first, last) = (other.every + 1, other.every * 2);
        let text = comparison(&other, &outcome);
        assert!(text.contains(&format!("part between events {first} and {last}\n")), "{text}");
        assert!(text.contains("the recorded one failed: liveness: two\n  lines\n"), "{text}");
        assert!(text.contains("may be luck"), "{text}");
    }
}
