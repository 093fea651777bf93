//! Building and running the hunter: the example `hunt` of the simulator.
//!
//! Its last line says what it found:
//!
//! - `caught: seed 7 after 3 seeds and 180 simulated seconds by liveness: no leader`, status 1;
//! - `survived: 200 seeds`, status 0;
//! - with `--all`, `failed: 9 of 1000 seeds`, status 0 or 1.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

/// How long the hunt for one mutant may take at least. A mutant may well hang the simulator.
const HUNT_MAX: Duration = Duration::from_secs(300);

/// How many times as long as without a mutant the seeds may take, beyond that.
const SLOWNESS_MAX: u32 = 10;

/// The same for one that is to be seen seldom, where all seeds are run.
const COUNT_MAX: Duration = Duration::from_secs(3600);

/// How often it is looked whether the hunter has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// What the hunter found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Caught {
        seed: String,
        seeds: u64,
        simulated: String,
        checker: String,
        message: String,
    },
    Survived {
        seeds: u64,
    },
    /// The process itself came to an end that it did not choose.
    Died {
        how: String,
    },
}

/// How many seeds failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) failed: u64,
    pub(super) seeds: u64,
}

/// Builds the hunter in the copy and runs it.
#[derive(Debug)]
pub(super) struct Hunter {
    tree: PathBuf,
    target: PathBuf,
    /// Where its output and its errors go.
    said: [PathBuf; 2],
    /// How long a seed takes on this machine.
    pace: Duration,
}

impl Hunter {
    pub(super) fn new(tree: &Path, root: &Path) -> Self {
        let folder = root.join("target/mutants");
        Self {
            tree: tree.to_owned(),
            target: folder.join("target"),
            said: [folder.join("hunt.out"), folder.join("hunt.err")],
            pace: Duration::ZERO,
        }
    }

    pub(super) fn build(&self) -> anyhow::Result<()> {
        compiled(&self.cargo(&["build", "--package", "quorate-sim", "--example", "hunt"])?)
    }

    pub(super) fn build_tests(&self, package: &str) -> anyhow::Result<()> {
        compiled(&self.cargo(&["test", "--package", package, "--no-run"])?)
    }

    /// Runs the tests of a package, which were built.
    pub(super) fn tests_pass(&self, package: &str) -> anyhow::Result<bool> {
        Ok(self.cargo(&["test", "--package", package])?.status.success())
    }

    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        // The cargo that runs this program, not another one that happens to be found.
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .args(arguments)
            .args(["--quiet", "--profile", "mutants"])
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            .stdin(Stdio::null())
            .output()
            .context("cargo cannot be started")
    }

    /// Runs some seeds of the sources as they are, to see that they pass and how long they take.
    pub(super) fn warm_up(&mut self, profile: &str, seeds: u32) -> anyhow::Result<Found> {
        let began = Instant::now();
        let found = self.hunt(profile, u64::from(seeds))?;
        self.pace = self.pace.max(began.elapsed() / seeds);
        Ok(found)
    }

    /// Runs seeds until one fails.
    pub(super) fn hunt(&self, profile: &str, seeds: u64) -> anyhow::Result<Found> {
        // On a slow machine to be slow is no sign of anything.
        let count = u32::try_from(seeds).unwrap_or(u32::MAX);
        let usual = self.pace.saturating_mul(count);
        let at_most = HUNT_MAX.max(usual.saturating_mul(SLOWNESS_MAX));
        match self.run(profile, seeds, &[], at_most)? {
            End::Died(how) => Ok(Found::Died { how }),
            End::Ended { status, line } => found(status, &line),
        }
    }

    /// Runs all seeds and counts those that fail.
    pub(super) fn count(&self, profile: &str, seeds: u64) -> anyhow::Result<Share> {
        match self.run(profile, seeds, &["--all"], COUNT_MAX)? {
            End::Died(how) => bail!("the hunter {how}"),
            End::Ended { status: 0 | 1, line } => {
                share(&line).ok_or_else(|| anyhow!("the hunter says what is not known: {line:?}"))
            }
            End::Ended { status, line } => bail!("the hunter ended with status {status}: {line}"),
        }
    }

    fn run(
        &self,
        profile: &str,
        seeds: u64,
        more: &[&str],
        at_most: Duration,
    ) -> anyhow::Result<End> {
        let jobs = thread::available_parallelism().map_or(1, usize::from);
        let create = |path: &PathBuf| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let mut child = Command::new(self.target.join("mutants/examples/hunt"))
            .args(["--profile", profile, "--seeds", &seeds.to_string()])
            .args(["--jobs", &jobs.to_string()])
            .args(more)
            .current_dir(&self.tree)
            .stdin(Stdio::null())
            .stdout(create(&self.said[0])?)
            .stderr(create(&self.said[1])?)
            .spawn()
            .context("the hunter cannot be started")?;
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if began.elapsed() > at_most {
                child.kill()?;
                child.wait()?;
                return Ok(End::Died(format!("was not done after {} s", at_most.as_secs())));
            }
            thread::sleep(PAUSE);
        };
        let [output, errors] = &self.said;
        end(status, &last_line(output)?, &last_line(errors)?)
    }
}

/// How the hunter ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// By itself, with its last line.
    Ended {
        status: i32,
        line: String,
    },
    Died(String),
}

/// The status of a program whose main thread panicked.
const PANICKED: i32 = 101;

/// Signals by which somebody ends a program: hang up, interrupt, terminate.
const STOPPING: [i32; 3] = [1, 2, 15];

fn end(status: ExitStatus, line: &str, error: &str) -> anyhow::Result<End> {
    Ok(match status.code() {
        Some(PANICKED) => End::Died(format!("panicked: {error}")),
        Some(status @ (0 | 1)) => End::Ended { status, line: line.to_owned() },
        Some(status) => End::Ended { status, line: error.to_owned() },
        None if status.signal().is_some_and(|signal| STOPPING.contains(&signal)) => {
            bail!("the hunter was stopped from outside ({status}); run this again")
        }
        // Out of its stack, out of memory, aborted.
        None => End::Died(format!("died ({status}): {error}")),
    })
}

fn last_line(path: &Path) -> anyhow::Result<String> {
    let said = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let said = String::from_utf8_lossy(&said);
    Ok(said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned())
}

fn found(status: i32, line: &str) -> anyhow::Result<Found> {
    let found = match status {
        0 => survived(line),
        1 => caught(line),
        _ => bail!("the hunter ended with status {status}: {line}"),
    };
    found.ok_or_else(|| anyhow!("the hunter ended with status {status}, but says {line:?}"))
}

fn survived(line: &str) -> Option<Found> {
    let seeds = line.strip_prefix("survived: ")?.strip_suffix(" seeds")?.parse().ok()?;
    Some(Found::Survived { seeds })
}

fn caught(line: &str) -> Option<Found> {
    let (seed, rest) = line.strip_prefix("caught: seed ")?.split_once(" after ")?;
    let (seeds, rest) = rest.split_once(" seeds and ")?;
    let (simulated, rest) = rest.split_once(" simulated seconds by ")?;
    let (checker, message) = rest.split_once(": ")?;
    Some(Found::Caught {
        seed: seed.to_owned(),
        seeds: seeds.parse().ok()?,
        simulated: simulated.to_owned(),
        checker: checker.to_owned(),
        message: message.to_owned(),
    })
}

fn share(line: &str) -> Option<Share> {
    let (failed, seeds) =
        line.strip_prefix("failed: ")?.strip_suffix(" seeds")?.split_once(" of ")?;
    Some(Share { failed: failed.parse().ok()?, seeds: seeds.parse().ok()? })
}

fn compiled(output: &Output) -> anyhow::Result<()> {
    if !output.status.success() {
        bail!("{}", first_error(&String::from_utf8_lossy(&output.stderr)));
    }
    Ok(())
}

/// The first error that the compiler names, with its place.
fn first_error(said: &str) -> String {
    let mut lines = said.lines().skip_while(|line| !line.starts_with("error"));
    let Some(error) = lines.next() else { return said.trim().to_owned() };
    match lines.next().map(str::trim).filter(|place| place.starts_with("-->")) {
        Some(place) => format!("{error} {place}"),
        None => error.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_hunter_says_is_understood() {
        let line = "caught: seed 0x1f after 12 seeds and 720.5 simulated seconds by one vote: \
                    member 2: votes twice";
        let expected = Found::Caught {
            seed: "0x1f".to_owned(),
            seeds: 12,
            simulated: "720.5".to_owned(),
            checker: "one vote".to_owned(),
            message: "member 2: votes twice".to_owned(),
        };
        assert_eq!(found(1, line).ok(), Some(expected));
        let survived = Found::Survived { seeds: 200 };
        assert_eq!(found(0, "survived: 200 seeds").ok(), Some(survived));
        assert_eq!(share("failed: 9 of 1000 seeds"), Some(Share { failed: 9, seeds: 1000 }));
    }

    #[test]
    fn what_contradicts_the_status_is_an_error() {
        assert!(found(0, "caught: seed 1 after 1 seeds and 1 simulated seconds by x: y").is_err());
        assert!(found(1, "survived: 200 seeds").is_err());
        assert!(found(2, "there is no profile stormy").is_err());
        assert!(found(0, "").is_err());
        assert_eq!(share("failed: some"), None);
    }

    #[test]
    fn who_is_stopped_from_outside_has_found_nothing() {
        assert!(end(ExitStatus::from_raw(15), "", "").is_err());
        let died = end(ExitStatus::from_raw(6), "", "stack overflow").expect("it died by itself");
        assert!(matches!(died, End::Died(how) if how.ends_with("stack overflow")));
        let panicked = end(ExitStatus::from_raw(PANICKED << 8), "", "").expect("it panicked");
        assert!(matches!(panicked, End::Died(_)));
        let ended = end(ExitStatus::from_raw(0), "survived: 1 seeds", "").expect("it ended");
        assert_eq!(ended, End::Ended { status: 0, line: "survived: 1 seeds".to_owned() });
    }

    #[test]
    fn the_first_error_of_the_compiler_is_shown_with_its_place() {
        let said = "warning: unused\nerror[E0308]: mismatched types\n  --> crates/a.rs:1:2\n   |\n";
        assert_eq!(first_error(said), "error[E0308]: mismatched types --> crates/a.rs:1:2");
        assert_eq!(first_error("error: no\n"), "error: no");
        assert_eq!(first_error("  gone\n"), "gone");
    }
}
