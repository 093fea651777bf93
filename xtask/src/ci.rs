//! `cargo xtask ci`: the steps that every change must pass, after the tests.
//!
//! A step is a command; the table in [`STEPS`] is all there is to add one.

use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};

use crate::{mutants, say, tidy};

/// What a step runs.
enum Action {
    /// Cargo with these arguments and, if any, one environment variable.
    Cargo { arguments: &'static [&'static str], variable: Option<(&'static str, &'static str)> },
    /// `cargo xtask tidy`, in this process.
    Tidy,
    /// `cargo xtask mutants`, in this process: another part of the planted bugs each day.
    Mutants,
}

struct Step {
    name: &'static str,
    action: Action,
}

/// The steps, quick ones first where they do not depend on each other.
const STEPS: [Step; 8] = [
    Step {
        name: "fmt",
        action: Action::Cargo { arguments: &["fmt", "--all", "--", "--check"], variable: None },
    },
    Step {
        name: "clippy",
        action: Action::Cargo {
            arguments: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
            variable: None,
        },
    },
    Step {
        name: "doc",
        action: Action::Cargo {
            arguments: &["doc", "--workspace", "--no-deps"],
            variable: Some(("RUSTDOCFLAGS", "-D warnings")),
        },
    },
    Step { name: "tidy", action: Action::Tidy },
    // What a registry would be given. It is not built again: that is what the tests did.
    Step {
        name: "package",
        action: Action::Cargo {
            arguments: &[
                "package",
                "--workspace",
                "--exclude",
                "xtask",
                "--no-verify",
                "--allow-dirty",
                "--quiet",
            ],
            variable: None,
        },
    },
    Step {
        name: "sim",
        action: Action::Cargo {
            arguments: &["run", "--release", "--", "sim", "run", "--seeds", "1000"],
            variable: None,
        },
    },
    Step {
        name: "sim twice",
        action: Action::Cargo {
            arguments: &["run", "--release", "--", "sim", "run", "--seeds", "40", "--twice"],
            variable: None,
        },
    },
    Step { name: "mutants", action: Action::Mutants },
];

/// Into so many parts the planted bugs are divided; each day has its part.
const MUTANT_PARTS: u64 = 31;

/// The part of today.
fn part_of_today() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{}/{MUTANT_PARTS}", since.as_secs() / 86_400 % MUTANT_PARTS + 1)
}

/// Runs all steps; stops at the first that fails.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    for step in &STEPS {
        let line = step.action.line();
        say(&format!("== {}: {line}\n", step.name))?;
        let started = Instant::now();
        let result = step.action.run(root);
        let seconds = started.elapsed().as_secs_f32();
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        say(&format!("== {}: {word} after {seconds:.1} s\n", step.name))?;
        result.with_context(|| format!("step {} failed; to run it alone: {line}", step.name))?;
    }
    Ok(())
}

impl Action {
    /// The command as a person would type it.
    fn line(&self) -> String {
        match self {
            Self::Tidy => "cargo xtask tidy".to_owned(),
            Self::Mutants => format!("cargo xtask mutants --part {}", part_of_today()),
            Self::Cargo { arguments, variable } => {
                let variable = variable.map(|(name, value)| format!("{name}='{value}' "));
                format!("{}cargo {}", variable.unwrap_or_default(), arguments.join(" "))
            }
        }
    }

    fn run(&self, root: &Path) -> anyhow::Result<()> {
        match self {
            Self::Tidy => tidy::run(root),
            Self::Mutants => mutants::run(root, &["--part", &part_of_today()]),
            Self::Cargo { arguments, variable } => {
                // The cargo that runs this program, not another one that happens to be found.
                let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
                let mut command = Command::new(cargo);
                command.args(*arguments).current_dir(root);
                if let Some((name, value)) = variable {
                    command.env(name, value);
                }
                let status = command.status().context("cargo cannot be started")?;
                if !status.success() {
                    bail!("it ended with {status}");
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_shown_is_the_command_run() {
        let lines: Vec<_> = STEPS.iter().map(|step| step.action.line()).collect();
        assert_eq!(
            lines[..7],
            [
                "cargo fmt --all -- --check",
                "cargo clippy --workspace --all-targets -- -D warnings",
                "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps",
                "cargo xtask tidy",
                "cargo package --workspace --exclude xtask --no-verify --allow-dirty --quiet",
                "cargo run --release -- sim run --seeds 1000",
                "cargo run --release -- sim run --seeds 40 --twice",
            ]
        );
        assert!(lines[7].starts_with("cargo xtask mutants --part "), "{}", lines[7]);
    }

    #[test]
    fn a_failing_command_fails_the_step() {
        let action = Action::Cargo { arguments: &["no-such-command"], variable: None };
        assert!(action.run(&crate::root()).is_err());
    }
}
