//! quorate: a replicated store that speaks etcd's API. Server, client and tools in one binary.

mod cli;
mod dev;
mod logging;
mod output;
mod serve;
mod settings;
mod shutdown;

use std::io::{self, Write};
use std::num::NonZero;
use std::process::ExitCode;
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
  quorate serve --help               one member of a cluster over several hosts"
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
