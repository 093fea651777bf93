//! `snapshot`: all keys as a file.

mod restore;
mod save;
mod status;

use clap::{Args, Subcommand};

use super::Session;
use super::failure::Failure;
use super::options::ClientOptions;

/// Save all keys as a file, look at such a file, make a new cluster of it
#[derive(Args, Debug)]
pub(crate) struct Snapshot {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Save all keys, with their history, as a file
    Save(save::Save),
    /// Check a file, and show what is in it
    Status(status::Status),
    /// Make the data directory of a member of a new cluster
    Restore(Box<restore::Restore>),
}

impl Snapshot {
    pub(super) fn options(&self) -> ClientOptions {
        match &self.command {
            Command::Save(save) => save.options.clone(),
            Command::Status(status) => status.options.clone(),
            Command::Restore(restore) => restore.options.clone(),
        }
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self.command {
            Command::Save(save) => save.run(session).await,
            Command::Status(status) => status.run(session),
            Command::Restore(restore) => restore.run(session),
        }
    }
}
