//! Runs seeds one after another until one fails: what `cargo xtask mutants` hunts planted bugs
//! with. `quorate sim run` is the command for people.
//!
//! `hunt [--profile NAME] [--first SEED] [--seeds N] [--seconds S] [--jobs J] [--all]`

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use quorate_sim::{Profile, Schedule, run, run_traced};

struct Arguments {
    profile: Profile,
    first: u64,
    seeds: u64,
    seconds: Option<u64>,
    all: bool,
    verbose: bool,
    trace: Option<String>,
}

fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("Error: {error}");
            return ExitCode::from(2);
        }
    };
    let started = Instant::now();
    let mut marks = quorate_sim::Marks::default();
    let (mut simulated, mut failed, mut events, mut operations) = (0, 0, 0, 0);
    for number in 0..arguments.seeds {
        let seed = arguments.first + number;
        let duration = arguments.seconds.map(|seconds| seconds * 1_000_000);
        let schedule = Schedule::draw(&arguments.profile, seed, duration);
        let outcome = match &arguments.trace {
            None => run(&schedule),
            Some(path) => {
                let file = std::fs::File::create(path).expect("the trace can be written");
                run_traced(&schedule, Some(Box::new(std::io::BufWriter::new(file))), 0)
            }
        };
        simulated += outcome.simulated / 1_000_000;
        events += outcome.events;
        operations += outcome.operations;
        marks.merge(&outcome.marks);
        if arguments.verbose {
            println!(
                "seed {seed}: {} events, {} operations, {} s, hash {:016x}",
                outcome.events,
                outcome.operations,
                outcome.simulated / 1_000_000,
                outcome.hash
            );
        }
        if let Some(failure) = outcome.failure {
            failed += 1;
            if !arguments.all {
                let message = failure.message.replace('\n', " ");
                println!(
                    "caught: seed {seed} after {} seeds and {simulated} simulated seconds by {}: \
                     {message}",
                    number + 1,
                    failure.checker
                );
                return ExitCode::FAILURE;
            }
            if arguments.verbose {
                println!("seed {seed}: {}: {}", failure.checker, failure.message);
            }
        }
    }
    let elapsed = started.elapsed().as_millis().max(1);
    eprintln!(
        "{simulated} simulated seconds, {events} events, {operations} operations in {elapsed} ms: \
         {} times real time",
        u128::from(simulated) * 1000 / elapsed
    );
    if arguments.verbose {
        for mark in marks.missing() {
            println!("never: {}", mark.name());
        }
    }
    if arguments.all {
        println!("failed: {failed} of {} seeds", arguments.seeds);
        return if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    println!("survived: {} seeds", arguments.seeds);
    ExitCode::SUCCESS
}

fn parse() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        profile: Profile::Standard,
        first: 1,
        seeds: 100,
        seconds: None,
        all: false,
        verbose: false,
        trace: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--profile" => {
                arguments.profile = value()?
                    .parse()
                    .map_err(|error: quorate_sim::UnknownProfile| error.to_string())?;
            }
            "--first" => arguments.first = number(&value()?)?,
            "--seeds" => arguments.seeds = number(&value()?)?,
            "--seconds" => arguments.seconds = Some(number(&value()?)?),
            "--trace" => arguments.trace = Some(value()?),
            "--all" => arguments.all = true,
            "--verbose" => arguments.verbose = true,
            _ => return Err(format!("{word} is no option")),
        }
    }
    Ok(arguments)
}

fn number(text: &str) -> Result<u64, String> {
    u64::from_str(text).map_err(|error| format!("{text:?} is no number: {error}"))
}
