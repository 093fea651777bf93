//! Runs seeds until one fails: what `cargo xtask mutants` hunts planted bugs with. For people there
//! is `quorate sim run`.
//!
//! `hunt [--profile NAME] [--first SEED] [--seeds N] [--seconds S] [--jobs J] [--all] [--verbose]`
//! `hunt --trace FILE --first SEED …` writes what happens in one run.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

use std::fs::File;
use std::io::BufWriter;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::process::ExitCode;

use quorate_sim::{Campaign, Finished, Profile, Schedule, Trouble, UnknownProfile, run_traced};

fn main() -> ExitCode {
    let Arguments { campaign, is_verbose, trace } = match parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::from(2);
        }
    };
    if let Some(path) = trace {
        return write_trace(&campaign, &path);
    }
    let summary = campaign.run(&mut |finished: &Finished| {
        if is_verbose {
            let Finished { seed, outcome, trouble } = finished;
            let trouble = trouble.as_ref().map(words).unwrap_or_default();
            println!(
                "seed {seed}: {} events, hash {:016x} {trouble}",
                outcome.events, outcome.hash
            );
        }
        ControlFlow::Continue(())
    });
    let failed = summary.failures.len();
    if is_verbose {
        summary.marks.missing().for_each(|mark| println!("never: {}", mark.name()));
    }
    if campaign.keep_going {
        println!("failed: {failed} of {} seeds", summary.seeds);
    } else if let Some((seed, trouble)) = summary.failures.first() {
        let seconds = summary.simulated / 1_000_000;
        println!(
            "caught: seed {seed} after {} seeds and {seconds} simulated seconds by {}",
            seed + 1 - campaign.first,
            words(trouble)
        );
    } else {
        println!("survived: {} seeds", summary.seeds);
    }
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A trouble in one line: who saw it, and what.
fn words(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Failed(failure) => {
            format!("{}: {}", failure.checker, failure.message.replace('\n', " "))
        }
        Trouble::NotDeterministic { same, .. } => format!("determinism: parted after {same}"),
    }
}

struct Arguments {
    campaign: Campaign,
    is_verbose: bool,
    trace: Option<String>,
}

fn write_trace(campaign: &Campaign, path: &str) -> ExitCode {
    let schedule = Schedule::draw(&campaign.profile, campaign.first, campaign.duration);
    let file = match File::create(path) {
        Ok(file) => file,
        Err(error) => {
            eprintln!("Error: {path} cannot be written: {error}");
            return ExitCode::from(2);
        }
    };
    let outcome = run_traced(&schedule, Some(Box::new(BufWriter::new(file))), 0);
    if outcome.failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse() -> Result<Arguments, String> {
    let mut trace = None;
    let mut campaign = Campaign {
        profile: Profile::Standard,
        first: 1,
        seeds: 100,
        duration: None,
        jobs: NonZero::<usize>::MIN,
        keep_going: false,
        twice: false,
    };
    let mut is_verbose = false;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let number = |text: String| {
            text.parse::<u64>().map_err(|error| format!("{text:?} is no number: {error}"))
        };
        match word.as_str() {
            "--profile" => {
                let parsed = value()?.parse();
                campaign.profile = parsed.map_err(|error: UnknownProfile| error.to_string())?;
            }
            "--first" => campaign.first = number(value()?)?,
            "--seeds" => campaign.seeds = number(value()?)?,
            "--seconds" => campaign.duration = Some(number(value()?)? * 1_000_000),
            "--jobs" => {
                let jobs = usize::try_from(number(value()?)?).ok().and_then(NonZero::new);
                campaign.jobs = jobs.ok_or("--jobs needs a number from 1 on")?;
            }
            "--all" => campaign.keep_going = true,
            "--trace" => trace = Some(value()?),
            "--verbose" => is_verbose = true,
            _ => return Err(format!("{word} is no option")),
        }
    }
    Ok(Arguments { campaign, is_verbose, trace })
}
