//! What can go wrong, each with its cause and its mend in one line.

use std::io;

use quorate_raft::Index;

use crate::disk::Disk;
use crate::options::Identity;
use crate::sync::SyncJob;

/// Why a log does not open. Nothing was changed, and nothing was lost by trying.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "{directory} is in use by another process; stop that process, or use another directory"
    )]
    Locked {
        /// The directory.
        directory: String,
    },
    /// The directory is another member's.
    #[error(
        "{file} belongs to member {:x} of cluster {:x}, not to member {:x} of cluster {:x}; \
         correct the configured directory or identity",
        found.member, found.cluster, expected.member, expected.cluster
    )]
    Foreign {
        /// The file that says so.
        file: String,
        /// What it says.
        found: Identity,
        /// What was asked for.
        expected: Identity,
    },
    /// A later version wrote here.
    #[error(
        "{file} at offset {offset} was written by a later version ({what}); \
         start that version or a later one"
    )]
    Newer {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is not known.
        what: FormatError,
    },
    /// What was synced is no longer there, or no longer as it was.
    #[error(
        "{file} is damaged at offset {offset} ({what}), in a part that was durable, so entries or \
         a vote may be lost; restore the file from a backup, or remove this member from its \
         cluster and let it join again with an empty directory"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: FormatError,
    },
    /// The disk had no room for the record of this opening.
    #[error("{file} cannot grow because the disk or the quota is full ({error}); free some space")]
    Full {
        /// The file.
        file: String,
        /// What the disk said.
        error: io::Error,
    },
    /// The disk failed.
    #[error("{file} cannot be used ({error}); check the disk and its permissions")]
    Io {
        /// The file.
        file: String,
        /// What the disk said.
        error: io::Error,
    },
}

/// What is wrong with bytes on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Nothing was ever written here, or it was wiped.
    #[error("nothing is there")]
    Blank,
    /// A checksum is wrong.
    #[error("a checksum is wrong")]
    Checksum,
    /// A file that must be there is not.
    #[error("the file is missing")]
    Missing,
    /// Sound bytes that belong elsewhere: a write or a read went astray.
    #[error("the record belongs to another place")]
    Misplaced,
    /// Sound bytes of an earlier life of the log.
    #[error("the record is from an earlier opening of the log")]
    Stale,
    /// Sound bytes that contradict those before them.
    #[error("the record does not continue the log before it")]
    OutOfOrder,
    /// Sound bytes that are not entries.
    #[error("the entries of the record are malformed")]
    Entries,
    /// A version of the format that is not known here.
    #[error("format version {0}")]
    Version(u32),
    /// A kind of record, a flag or a group that is not known here.
    #[error("record of unknown kind")]
    Kind,
}

/// Why entries cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The log does not have them: the caller asked wrongly.
    #[error(
        "entries {from} to before {to} were asked for, but the log ends at {last}; a bug of the \
         caller"
    )]
    OutOfRange {
        /// The first that was asked for.
        from: Index,
        /// The one after the last that was asked for.
        to: Index,
        /// The last there is.
        last: Index,
    },
    /// The log begins later: a snapshot has them.
    #[error(
        "entries from {from} on were asked for, but the log begins after {base}; send a snapshot \
         instead"
    )]
    Compacted {
        /// The first that was asked for.
        from: Index,
        /// The one before the first there is.
        base: Index,
    },
    /// What is on the disk is not what was written.
    #[error(
        "{file} is damaged at offset {offset} ({what}); stop this member, and restore the file \
         from a backup or let the member join its cluster again with an empty directory"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        what: FormatError,
    },
    /// The disk failed.
    #[error("{file} cannot be read at offset {offset} ({error}); check the disk")]
    Io {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What the disk said.
        error: io::Error,
    },
    /// A write or a sync failed before.
    #[error(
        "the log stopped after a failed write or sync; restart the member once the disk is sound"
    )]
    Stopped,
}

/// Why a sync job did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SyncFailure<D: Disk> {
    /// The disk or the quota is full. Nothing was lost: the job can be run again later.
    #[error("{file} cannot grow because the disk or the quota is full ({error}); free some space")]
    Full {
        /// The job, to be run again.
        job: Box<SyncJob<D>>,
        /// The file.
        file: String,
        /// What the disk said.
        error: io::Error,
    },
    /// The disk failed; what is durable is unknown. The log takes part in nothing any more.
    #[error("{file} could not be made durable ({error}); stop this member and check the disk")]
    Failed {
        /// The file.
        file: String,
        /// What the disk said.
        error: io::Error,
    },
}

/// Why a log could not be closed in order. It opens again all the same.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// A sync job is still out: the caller closed too early.
    #[error("a sync job is still under way; wait for it before closing")]
    JobUnderWay,
    /// A write or a sync failed before.
    #[error(
        "the log stopped after a failed write or sync; restart the member once the disk is sound"
    )]
    Stopped,
    /// The disk failed, or it is full.
    #[error("{file} could not be closed in order ({error}); check the disk")]
    Io {
        /// The file.
        file: String,
        /// What the disk said.
        error: io::Error,
    },
}

/// Whether an error means that the disk or the quota is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
