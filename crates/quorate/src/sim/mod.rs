//! `quorate sim`: runs clusters in a simulated hostile world, from seeds.
//!
//! The simulator itself is the crate `quorate-sim`; here is what a person sees of it. Each command
//! has its file. Exit status 1 means that a run failed, and nothing else does: what cannot be read,
//! written or understood ends with 2.

mod failure;
mod play;
mod profiles;
mod progress;
mod run;
mod summary;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use quorate_sim::Outcome;

use crate::output;

/// Bad input, or a file that cannot be read or written.
const UNUSABLE: u8 = 2;

/// Run clusters in a simulated hostile world
#[derive(Args, Debug)]
#[command(after_help = "\
Everything that happens in a run is decided by its seed: what clients ask for, which messages are
lost, who crashes when, and what the disks keep. So a run that fails fails again, event by event.

Examples:
  quorate sim run --seeds 1000                 a thousand seeds on all cores
  quorate sim run --seed 17 --trace run.txt    one seed, with a line for each event
  quorate sim play failure-standard-17.toml    a run that failed, shrunk to what matters
  quorate sim profiles                         which faults there are, and who looks for bugs

Exit status: 0 if all is well, 1 if a run failed, 2 for wrong usage or unusable files.")]
pub(crate) struct Sim {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Play(play::Play),
    /// Show the profiles, the kinds of faults and the checkers
    Profiles,
}

impl Sim {
    /// Runs the command. Prints an error itself.
    pub(crate) fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Run(run) => run.run(),
            Command::Play(play) => play.run(),
            Command::Profiles => {
                let printed = output::print(&profiles::text()).context(UNPRINTABLE);
                printed.map(|()| ExitCode::SUCCESS)
            }
        };
        outcome.unwrap_or_else(|error| {
            complain(&error);
            ExitCode::from(UNUSABLE)
        })
    }
}

/// What is wrong if standard output takes nothing.
const UNPRINTABLE: &str = "the output cannot be written";

/// Says on standard error what is wrong, in one line.
fn complain(error: &anyhow::Error) {
    // Nobody is left to be told if this fails, too.
    drop(writeln!(io::stderr().lock(), "Error: {error:#}"));
}

/// Where the lines of a trace go.
#[derive(Clone, Debug)]
enum Trace {
    Stdout,
    File(PathBuf),
}

impl Trace {
    /// `-` is standard output.
    fn to(path: &Path) -> Self {
        if path == Path::new("-") { Self::Stdout } else { Self::File(path.to_owned()) }
    }

    fn open(&self) -> Result<Box<dyn Write>> {
        Ok(match self {
            Self::Stdout => Box::new(BufWriter::new(io::stdout())),
            Self::File(path) => {
                let file = File::create(path)
                    .with_context(|| format!("{} cannot be written", path.display()))?;
                Box::new(BufWriter::new(file))
            }
        })
    }
}

/// An error if the trace of a run is not all there. That nobody reads it any more is none.
fn check_trace(outcome: &mut Outcome) -> Result<()> {
    match outcome.trace_error.take() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("the trace cannot be written")
        }
        Some(_) | None => Ok(()),
    }
}

/// Prints what a command has to say: on standard error if standard output is for something else.
fn say(text: &str, on_stderr: bool) -> Result<()> {
    if on_stderr {
        // As with an error: nobody is left to be told.
        drop(io::stderr().lock().write_all(text.as_bytes()));
        return Ok(());
    }
    output::print(text).context(UNPRINTABLE)
}

/// Simulated time, from microseconds.
fn seconds(time: u64) -> String {
    format!("{}.{:06} s", time / 1_000_000, time % 1_000_000)
}

/// How many there are of something.
fn count(number: u64, one: &str) -> String {
    let many = if number == 1 { "" } else { "s" };
    format!("{number} {one}{many}")
}

/// A text of several lines, indented.
fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("  {line}\n")).collect()
}
