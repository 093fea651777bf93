//! quorate: a replicated store that speaks etcd's API. Server, client and tools in one binary.

mod cli;
mod dev;
mod logging;
mod output;
mod serve;
mod settings;
mod shutdown;
mod sim;

use std::io::{self, Write};
use std::num::NonZero;
use std::panic;
use std::process::{self, ExitCode};
use std::thread::available_parallelism;

use anyhow::Result;
use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

/// A replicated store that speaks etcd's API.
#[derive(Debug, Parser)]
#[command(
    name = "quorate",
    version,
    long_version = concat!(env!("CARGO_PKG_VERSION"), "\netcd Version: 3.6.4"),
    after_help = "\
Examples:
  quorate dev                        a durable three-member cluster, right here
  quorate put greeting hello         then: quorate get greeting
  quorate serve --help               one member of a cluster over several hosts
  quorate sim run                    clusters in a simulated hostile world"
)]
struct Arguments {
    #[command(flatten)]
    logging: logging::Logging,

    #[command(flatten)]
    client: cli::ClientOptions,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Dev),
    Serve(Box<serve::Serve>),
    #[command(flatten)]
    Client(cli::ClientCommand),
    Sim(sim::Sim),
}

fn main() -> ExitCode {
    let Arguments { logging, client, command } = Arguments::parse();
    let outcome = match command {
        Command::Dev(dev) => serve(&logging, "warn", dev.run()),
        Command::Serve(serve_) => serve(&logging, "info", serve_.run()),
        Command::Client(command) => {
            let begin = || -> Result<Runtime> {
                logging.start("warn")?;
                Ok(Builder::new_current_thread().enable_all().build()?)
            };
            begin().map(|runtime| runtime.block_on(cli::run(client, command)))
        }
        Command::Sim(sim) => logging.start("warn").map(|()| sim.run()),
    };
    outcome.unwrap_or_else(|error| {
        // Nobody is left to be told if this fails, too.
        drop(writeln!(io::stderr().lock(), "Error: {error:#}"));
        ExitCode::FAILURE
    })
}

/// Runs a server command. Its clients get a thread for each two processors, since the members' own
/// threads need the others; with two processors a second thread costs more than it brings.
fn serve(
    logging: &logging::Logging,
    level: &str,
    command: impl Future<Output = Result<()>>,
) -> Result<ExitCode> {
    logging.start(level)?;
    die_of_panics();
    // Connections need descriptors; the usual soft limit is far below what is allowed.
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit on open files cannot be raised");
    }
    let threads = available_parallelism().map_or(1, NonZero::get).div_ceil(2);
    let mut builder = match threads {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build()?;
    runtime.block_on(command)?;
    Ok(ExitCode::SUCCESS)
}

/// From here on a panic of any thread ends the process, after it was reported. A member that has
/// lost a thread may look alive and serve nothing; one that is dead is replaced by the others, and
/// its disk is as good as after any crash.
fn die_of_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info);
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;
    use std::thread;

    /// Set in the process that is to die.
    const VICTIM: &str = "QUORATE_TEST_PANICS";

    #[test]
    fn a_panic_of_any_thread_ends_a_server() {
        if env::var_os(VICTIM).is_some() {
            super::die_of_panics();
            // A thread whose panic nobody would notice.
            drop(thread::spawn(|| panic!("the thread is lost")).join());
            return;
        }
        let mut command = Command::new(env::current_exe().expect("tests know where they are"));
        command.args(["--exact", "tests::a_panic_of_any_thread_ends_a_server", "--nocapture"]);
        let outcome = command.env(VICTIM, "1").output().expect("it can be run");
        let stderr = String::from_utf8_lossy(&outcome.stderr);
        // By a signal: no code.
        assert_eq!(outcome.status.code(), None, "{}: {stderr}", outcome.status);
        assert!(stderr.contains("the thread is lost"), "{stderr}");
    }
}
