//! `cargo xtask mutants`: plants known bugs, one at a time, and lets the simulator look for them.
//!
//! Each file of `mutants/` is a bug (see its README). The sources are copied to `target/mutants`,
//! and only there they are patched. A simulator that does not notice a bug proves little when it
//! notices nothing in the sources as they are: so a mutant that survives is a failure.

mod arguments;
mod copy;
mod hunt;
mod patch;
mod report;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::say;
use arguments::{Arguments, select};
use copy::SourceCopy;
use hunt::{Found, Hunter};
use patch::{Expectation, Mutant};
use report::{Outcome, Verdict, summary, table, with_table};

pub(crate) use arguments::USAGE;

/// How many seeds the sources as they are must survive before mutants are hunted.
const UNPATCHED_SEEDS: u32 = 10;

/// How many seeds are run to see how often a mutant shows that is meant to show seldom.
const EXPECTED_SEEDS: u64 = 500;

/// Runs the command with its arguments.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let arguments = Arguments::parse(arguments)?;
    let folder = root.join("mutants");
    let (mutants, unreadable) = patch::load(&folder)?;
    for error in &unreadable {
        say(&format!("error: {error:#}\n"))?;
    }
    let chosen = select(mutants, &arguments)?;
    if arguments.list {
        for mutant in &chosen {
            say(&format!("{:<34} {:<12} {}\n", mutant.name, mutant.group, mutant.rule))?;
        }
    } else {
        hunt_all(root, &arguments, &chosen)?;
    }
    match unreadable.len() {
        0 => Ok(()),
        count => bail!("{count} files of mutants/ have no readable header"),
    }
}

fn hunt_all(root: &Path, arguments: &Arguments, chosen: &[Mutant]) -> anyhow::Result<()> {
    if let Some(file) = &arguments.table {
        // Hours of work later is too late to hear of it.
        with_table(&read(root, file)?, "").with_context(|| file.clone())?;
    }
    let copy = SourceCopy::make(root)?;
    let mut hunter = Hunter::new(copy.root(), root);
    check_unpatched(&mut hunter, chosen)?;
    let mut results = Vec::new();
    for mutant in chosen {
        let result = hunt_one(&copy, &hunter, mutant, arguments.seeds);
        say(&format!("{result}\n"))?;
        results.push(result);
    }
    say(&summary(&results))?;
    let failed: Vec<&str> =
        results.iter().filter(|result| !result.is_good()).map(|result| &*result.name).collect();
    if !failed.is_empty() {
        bail!("{} of {} mutants: {}", failed.len(), results.len(), failed.join(", "));
    }
    if let Some(file) = &arguments.table {
        let text = with_table(&read(root, file)?, &table(chosen, &results))?;
        std::fs::write(root.join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}

fn read(root: &Path, file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))
}

/// The sources as they are must survive: else being caught means nothing.
fn check_unpatched(hunter: &mut Hunter, chosen: &[Mutant]) -> anyhow::Result<()> {
    hunter.build().context("the unchanged tree does not build")?;
    let mut profiles: Vec<&str> = chosen.iter().map(|mutant| &*mutant.profile).collect();
    profiles.sort_unstable();
    profiles.dedup();
    for profile in profiles {
        match hunter.warm_up(profile, UNPATCHED_SEEDS)? {
            Found::Survived { seeds } => {
                say(&format!("unchanged: {seeds} seeds of {profile} passed\n"))?;
            }
            Found::Caught { seed, checker, message, .. } => {
                bail!("the unchanged tree fails: seed {seed} of {profile}, {checker}: {message}")
            }
            Found::Died { how } => bail!("the unchanged tree fails: the hunter {how}"),
        }
    }
    let packages: BTreeSet<&String> = chosen
        .iter()
        .filter_map(|mutant| match &mutant.expectation {
            Expectation::Tests(package) => Some(package),
            Expectation::Caught | Expectation::OneSeedIn(_) => None,
        })
        .collect();
    for package in packages {
        if !hunter.tests_pass(package)? {
            bail!("the unchanged tree fails the tests of {package}");
        }
        say(&format!("unchanged: the tests of {package} passed\n"))?;
    }
    Ok(())
}

/// Plants a bug, hunts it, and takes it out again.
fn hunt_one(copy: &SourceCopy, hunter: &Hunter, mutant: &Mutant, seeds: u64) -> Outcome {
    let began = Instant::now();
    let mut built = None;
    let mut look = || -> anyhow::Result<Verdict> {
        let patched = copy.apply(mutant)?;
        let built_for = match &mutant.expectation {
            Expectation::Tests(package) => hunter.build_tests(package),
            Expectation::Caught | Expectation::OneSeedIn(_) => hunter.build(),
        };
        built_for.with_context(|| {
            format!("{} does not compile; adapt it to the sources, or delete it", mutant.file())
        })?;
        built = Some(Instant::now());
        let verdict = match &mutant.expectation {
            Expectation::Caught => Verdict::of(mutant, hunter.hunt(&mutant.profile, seeds)?),
            Expectation::OneSeedIn(seldom) => {
                let count = seeds.max(EXPECTED_SEEDS);
                Verdict::of_share(*seldom, hunter.count(&mutant.profile, count)?)
            }
            Expectation::Tests(package) => Verdict::of_tests(package, hunter.tests_pass(package)?),
        };
        drop(patched);
        Ok(verdict)
    };
    let verdict = look().unwrap_or_else(|error| Verdict::Error(format!("{error:#}")));
    let ended = Instant::now();
    let built = built.unwrap_or(ended);
    let (building, hunting) = (built - began, ended - built);
    Outcome { name: mutant.name.clone(), verdict, building, hunting }
}
