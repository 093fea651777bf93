//! The client commands: `put`, `get`, `del`, `compact`, `status`, `member`,
//! `move-leader`, `snapshot`.
//!
//! Each command has its file; it asks through a [`Session`] and hands it what to print. How that
//! looks is decided in [`output`], which etcd's users know: the three formats are etcdctl's.
//!
//! What `main` needs: [`ClientOptions`] flattened into its own arguments, [`ClientCommand`]
//! flattened into its subcommands, and [`run`].

mod base64;
mod compact;
mod delete;
mod failure;
mod get;
mod key;
mod member;
mod message;
mod move_leader;
mod options;
mod output;
mod put;
mod snapshot;
mod status;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Subcommand;
use quorate_client::Client;

use failure::Failure;
pub(crate) use options::ClientOptions;
use options::Settings;
use output::Report;

/// The commands that talk to running members.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// Set a key, or several keys in one step
    Put(put::Put),
    /// Read a key or a range of keys
    Get(get::Get),
    /// Delete a key or a range of keys
    Del(delete::Delete),
    /// Forget the history before a revision
    Compact(compact::Compact),
    /// Show the state of each endpoint
    Status(status::Status),
    /// Show the members of the cluster, and change who they are
    Member(member::Member),
    /// Hand the leadership over to a member
    MoveLeader(move_leader::MoveLeader),
    /// Save all keys as a file, look at such a file, make a new cluster of it
    Snapshot(snapshot::Snapshot),
}

impl ClientCommand {
    /// The options that stand behind the command's name.
    fn options(&self) -> ClientOptions {
        match self {
            Self::Put(put) => put.options.clone(),
            Self::Get(get) => get.options.clone(),
            Self::Del(delete) => delete.options.clone(),
            Self::Compact(compact) => compact.options.clone(),
            Self::Status(status) => status.options.clone(),
            Self::Member(member) => member.options(),
            Self::MoveLeader(mover) => mover.options.clone(),
            Self::Snapshot(snapshot) => snapshot.options(),
        }
    }
}

/// Runs a command; `before` are the options that stand before its name.
///
/// Prints an error itself; the exit code is success only if the command succeeded.
pub(crate) async fn run(before: ClientOptions, command: ClientCommand) -> ExitCode {
    match try_run(before, command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nobody is left to be told if this fails, too.
            drop(writeln!(io::stderr().lock(), "Error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

async fn try_run(before: ClientOptions, command: ClientCommand) -> Result<(), Failure> {
    let settings = command.options().or(before).resolve()?;
    let client = Client::connect(&settings.endpoints, settings.client)?;
    let session = Session { client, settings };
    match command {
        ClientCommand::Put(put) => put.run(&session).await,
        ClientCommand::Get(get) => get.run(&session).await,
        ClientCommand::Del(delete) => delete.run(&session).await,
        ClientCommand::Compact(compact) => compact.run(&session).await,
        ClientCommand::Status(status) => status.run(&session).await,
        ClientCommand::Member(member) => member.run(&session).await,
        ClientCommand::MoveLeader(mover) => mover.run(&session).await,
        ClientCommand::Snapshot(snapshot) => snapshot.run(&session).await,
    }
}

/// What a command works with.
struct Session {
    client: Client,
    settings: Settings,
}

impl Session {
    /// Prints a report in the format asked for. A reader that has gone away, such as `head`, has
    /// seen enough: that is no error.
    fn print(&self, report: &impl Report) -> Result<(), Failure> {
        let bytes = output::render(report, self.settings.format, self.settings.style)?;
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&bytes).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(format!("the output cannot be written: {error}")))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;
    use clap::{CommandFactory, Parser};

    /// The arguments as `main` composes them.
    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        before: ClientOptions,
        #[command(subcommand)]
        command: ClientCommand,
    }

    fn parse(line: &str) -> Result<Settings, ErrorKind> {
        let words = std::iter::once("quorate").chain(line.split(' '));
        let Arguments { before, command } =
            Arguments::try_parse_from(words).map_err(|error| error.kind())?;
        Ok(command.options().or(before).resolve().expect("the environment is UTF-8"))
    }

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_stand_before_and_behind_the_command() {
        for line in [
            "--endpoints n1:1,n2:2 get a",
            "get a --endpoints n1:1,n2:2",
            "--endpoints other:9 get --endpoints n1:1,n2:2 a",
            "member --endpoints n1:1,n2:2 list",
            "member list --endpoints n1:1,n2:2",
        ] {
            assert_eq!(parse(line).expect(line).endpoints, ["n1:1", "n2:2"], "{line}");
        }
    }

    #[test]
    fn what_etcdctl_takes_is_taken() {
        for line in [
            "put k v",
            "put k",
            "put k -5",
            "put k -- --v",
            "get k --order DESCEND --sort-by MODIFY",
            "get k --consistency=l",
            "get k --consistency s -w json",
            "del a b --prev-kv",
            "compact 7 --physical",
            "move-leader 8e9e05c52164694d",
            "member add n4 --peer-urls http://h:1,http://h:2 --learner",
            "member remove 8e9e05c52164694d",
            "member update 8e9e05c52164694d --peer-urls http://h:1",
            "member promote 8e9e05c52164694d -w json",
            "snapshot save f",
            "snapshot status f -w table",
            "snapshot restore f --name n --bump-revision 1000 --mark-compacted",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn wrong_usage_is_refused() {
        for (line, kind) in [
            ("get", ErrorKind::MissingRequiredArgument),
            ("get a b --prefix", ErrorKind::ArgumentConflict),
            ("get a --prefix --from-key", ErrorKind::ArgumentConflict),
            ("del a b --from-key", ErrorKind::ArgumentConflict),
            ("put", ErrorKind::MissingRequiredArgument),
            ("put k --json {}", ErrorKind::ArgumentConflict),
            ("get a --serializable --consistency l", ErrorKind::ArgumentConflict),
            ("get a -w xml", ErrorKind::InvalidValue),
            ("get a --rev x", ErrorKind::ValueValidation),
            ("get a --command-timeout 5", ErrorKind::ValueValidation),
        ] {
            assert_eq!(parse(line).err(), Some(kind), "{line}");
        }
    }
}
