//! What can go wrong with a node, by whom it is told.

use std::fmt;

use quorate_raft::{NodeId, TransferError};
use quorate_replica::{OpenError, Refused};

use crate::config::ConfigError;
use crate::join::JoinError;
use crate::node::COMMAND_BYTES_MAX;

/// Why a request was not served.
///
/// After [`Error::Stopped`] and [`Error::Unknown`] it is unknown whether a command will be applied;
/// after any other it will not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command was not taken; it will not be applied.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// A snapshot took the place of the entries among which the command was, or was not. Whether it
    /// is applied is unknown.
    #[error("whether the command was applied is not known here; it was not refused")]
    Unknown,
    /// The command has more than [`COMMAND_BYTES_MAX`] bytes; it will not be applied.
    #[error(
        "a command of {bytes} bytes is more than a message between members holds; propose at most \
         {COMMAND_BYTES_MAX} bytes at once"
    )]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The node has stopped. Whether the command will be applied is unknown.
    #[error("the member has stopped")]
    Stopped,
}

/// Why the leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandOverError {
    /// Nothing was begun.
    #[error(transparent)]
    Refused(#[from] TransferError),
    /// The other did not take over within an election timeout, or a third was elected.
    #[error(
        "member {:x} did not take over in time; see whether it runs and is reached, and try again",
        to.value()
    )]
    NotTaken {
        /// Who.
        to: NodeId,
    },
    /// The node has stopped.
    #[error("the member has stopped")]
    Stopped,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings cannot work; nothing was written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address for the other members cannot be listened at; nothing was written.
    #[error(
        "{address} cannot be listened at ({error}); stop what has this port, or give the builder \
         another address with `listen`"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The cluster to be joined was not found, or does not want the member.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The replica could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The data directory cannot be made or opened.
    #[error(
        "the data directory {path} cannot be used ({error}); check the path and its permissions, \
         or give another"
    )]
    DataDir {
        /// Where it is or should be.
        path: String,
        /// What the operating system said.
        error: std::io::Error,
    },
    /// The operating system denied something.
    #[error("{what}: {error}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// What it said.
        error: std::io::Error,
    },
}

/// Why a node stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halted {
    /// It was told to.
    Asked,
    /// The member was removed from the cluster.
    Removed,
    /// It could not go on; the text says why and what to do.
    Failed(String),
}

impl fmt::Display for Halted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("the member was stopped"),
            Self::Removed => f.write_str(
                "this member was removed from the cluster; its data directory is of no more \
                 use, and to bring the host back, add a new member with an empty one",
            ),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}
