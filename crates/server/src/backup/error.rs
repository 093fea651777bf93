//! Why a file is of no use as a backup, each in one line with its mend.

use std::io;
use std::path::{Path, PathBuf};

use quorate_log::SnapshotError;

/// Why a file is of no use as a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be read.
    #[error("{path} cannot be read ({error}); check the path and its permissions")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
    /// It is something else.
    #[error(
        "{path} is no backup: it does not begin like one; give a file that `quorate snapshot save` \
         made"
    )]
    Other {
        /// The file.
        path: PathBuf,
    },
    /// It is a database of etcd.
    #[error(
        "{path} is a database of etcd, which has another format; start etcd with it and copy the \
         keys through the API"
    )]
    Etcd {
        /// The file.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error("{path} was written by a later version (format {version}); use that version's quorate")]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: u32,
    },
    /// Its end is missing, or it is the file of a member.
    #[error(
        "{path} is cut off: its {bytes} bytes do not end as a backup does; take another copy of it"
    )]
    Cut {
        /// The file.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
    },
    /// The bytes are not those that were written.
    #[error("{path} is damaged at offset {offset} ({what}); take another copy of it")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// Every byte is as it was written, and yet it makes no store.
    #[error("{path} has content that makes no store ({what}); take another backup")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl BackupError {
    pub(super) fn read(path: &Path, error: io::Error) -> Self {
        Self::Read { path: path.to_owned(), error }
    }

    pub(super) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), offset, what: what.into() }
    }

    pub(super) fn content(path: &Path, what: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), what: what.into() }
    }

    /// What a snapshot file said, in words about backups.
    pub(super) fn of_snapshot(path: &Path, error: SnapshotError) -> Self {
        match error {
            SnapshotError::Io { error, .. } => Self::read(path, error),
            SnapshotError::Damaged { offset, what, .. } => {
                Self::damaged(path, offset, what.to_string())
            }
            SnapshotError::Newer { version, .. } => Self::Newer { path: path.to_owned(), version },
            error @ (SnapshotError::Foreign { .. }
            | SnapshotError::Mismatch { .. }
            | SnapshotError::TooLarge { .. }) => Self::content(path, error.to_string()),
        }
    }

    /// What reading the body of a snapshot file said.
    pub(super) fn of_body(path: &Path, error: io::Error) -> Self {
        match error.downcast::<SnapshotError>() {
            Ok(error) => Self::of_snapshot(path, error),
            Err(error) => Self::read(path, error),
        }
    }
}
