//! The project's own commands: `cargo xtask ci` is the one door, `cargo xtask tidy` checks what
//! the compiler and clippy do not, `cargo xtask mutants` plants bugs for the simulator to find.

mod ci;
mod mutants;
mod tidy;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  ci       fmt, clippy, doc, tidy, simulated seeds, a part of the mutants; stops at the first
           failure
  tidy     checks what the compiler does not: crate arrows, reasons, forbidden words, links, …
  mutants  plants known bugs in a copy and lets the simulator look for them; --help says more
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["ci"] => ci::run(&root()),
        ["tidy"] => tidy::run(&root()),
        ["mutants", "help" | "--help" | "-h"] => say(mutants::USAGE),
        ["mutants", ref rest @ ..] => mutants::run(&root(), rest),
        ["help" | "--help" | "-h"] => say(USAGE),
        [] | [..] => {
            drop(write!(std::io::stderr().lock(), "{USAGE}"));
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If the standard error is closed, the exit status still tells.
            drop(writeln!(std::io::stderr().lock(), "Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository: the folder above this package's.
fn root() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().map_or(package.clone(), PathBuf::from)
}

/// Prints text as it is.
fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
