//! `cargo xtask ci`: the steps that every change must pass, after the tests.
//!
//! A step is a command; the table in [`STEPS`] is all there is to add one.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::{say, tidy};

/// What a step runs.
enum Action {
    /// Cargo with these arguments and, if any, one environment variable.
    Cargo { arguments: &'static [&'static str], variable: Option<(&'static str, &'static str)> },
    /// `cargo xtask tidy`, in this process.
    Tidy,
}

struct Step {
    name: &'static str,
    action: Action,
}

/// The steps, quick ones first where they do not depend on each other.
const STEPS: [Step; 4] = [
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
];

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
            Self::Cargo { arguments, variable } => {
                let variable = variable.map(|(name, value)| format!("{name}='{value}' "));
                format!("{}cargo {}", variable.unwrap_or_default(), arguments.join(" "))
            }
        }
    }

    fn run(&self, root: &Path) -> anyhow::Result<()> {
        match self {
            Self::Tidy => tidy::run(root),
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
            lines,
            [
                "cargo fmt --all -- --check",
                "cargo clippy --workspace --all-targets -- -D warnings",
                "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps",
                "cargo xtask tidy",
            ]
        );
    }

    #[test]
    fn a_failing_command_fails_the_step() {
        let action = Action::Cargo { arguments: &["no-such-command"], variable: None };
        assert!(action.run(&crate::root()).is_err());
    }
}
