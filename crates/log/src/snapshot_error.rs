//! What can be wrong with a snapshot file, each with its cause and its mend in one line.

use std::io;

use quorate_raft::EntryId;

/// Why a snapshot file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk failed, or it is full.
    #[error("{file} cannot be used at offset {offset} ({error}); check the disk")]
    Io {
        /// The file.
        file: String,
        /// Where in it; 0 where that means nothing.
        offset: u64,
        /// What the disk said.
        error: io::Error,
    },
    /// The bytes are not those that were written.
    #[error("{file} is damaged at offset {offset} ({what}); {}", mend(*is_removed))]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: SnapshotDamage,
        /// Whether it is gone: what was being received is asked for again.
        is_removed: bool,
    },
    /// It is the snapshot of another cluster.
    #[error(
        "{file} is of cluster {found:x} (at offset 16), not of cluster {expected:x}; remove the \
         file, or correct the configured directory or peers"
    )]
    Foreign {
        /// The file.
        file: String,
        /// What it says.
        found: u64,
        /// What was asked for.
        expected: u64,
    },
    /// A later version wrote it.
    #[error(
        "{file} was written by a later version (format version {version} at offset 12); start \
         that version or a later one"
    )]
    Newer {
        /// The file.
        file: String,
        /// The version of its format.
        version: u32,
    },
    /// It stands for another entry than it should.
    #[error(
        "{file} stands for entry {found} (at offset 24), not for {expected} as announced; a \
         mistake of whoever sent or renamed it: remove the file"
    )]
    Mismatch {
        /// The file.
        file: String,
        /// What it says.
        found: EntryId,
        /// What its name or its sender says.
        expected: EntryId,
    },
    /// It is longer than allowed, or than announced.
    #[error("{file} would have {bytes} bytes, more than {bytes_max}; it is not taken")]
    TooLarge {
        /// The file.
        file: String,
        /// How long it would be.
        bytes: u64,
        /// How long it may be.
        bytes_max: u64,
    },
}

/// What is wrong with the bytes of a snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotDamage {
    /// It does not begin as every snapshot does.
    #[error("it does not begin like a snapshot")]
    Magic,
    /// The checksum of the header is wrong.
    #[error("the checksum of the header is wrong")]
    Checksum,
    /// The description of the replica is not as it was written.
    #[error("the checksum of the meta part is wrong")]
    Meta,
    /// A chunk is not as it was written, or it belongs elsewhere or into another file.
    #[error("chunk {number} is not the one that belongs here")]
    Chunk {
        /// Its number, from 0 on.
        number: u64,
    },
    /// The footer is missing, or that of another file.
    #[error("the footer is not the one that belongs here")]
    Footer,
    /// It ends early.
    #[error("the file ends early")]
    Cut,
    /// No file has this length.
    #[error("the length of the file is wrong")]
    Length,
}

impl SnapshotError {
    pub(crate) fn io(file: &str, offset: u64, error: io::Error) -> Self {
        Self::Io { file: file.to_owned(), offset, error }
    }

    pub(crate) fn damaged(file: &str, offset: u64, what: SnapshotDamage) -> Self {
        Self::Damaged { file: file.to_owned(), offset, what, is_removed: false }
    }

    /// Says that the file is no longer there.
    pub(crate) fn removed(mut self) -> Self {
        if let Self::Damaged { is_removed, .. } = &mut self {
            *is_removed = true;
        }
        self
    }
}

impl From<SnapshotError> for io::Error {
    /// Keeps the kind of what the disk said; everything else is [`io::ErrorKind::InvalidData`].
    fn from(error: SnapshotError) -> Self {
        let kind = match &error {
            SnapshotError::Io { error, .. } => error.kind(),
            SnapshotError::Damaged { .. }
            | SnapshotError::Foreign { .. }
            | SnapshotError::Newer { .. }
            | SnapshotError::Mismatch { .. }
            | SnapshotError::TooLarge { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

const fn mend(is_removed: bool) -> &'static str {
    if is_removed {
        "it was removed, and is to be asked for again"
    } else {
        "remove the file: this member goes on with an older one and its log, or is sent another"
    }
}
