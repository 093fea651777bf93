//! All of a store that can be read, as bytes.
//!
//! The bytes are described in `docs/snapshot-format.md`. They depend on what was applied and on
//! nothing else: not on what a member has removed of its old versions so far, nor on who reads.
//!
//! # Invariants
//!
//! - Of a key, exactly the versions are written that stay after a complete removal at the compacted
//!   revision. A snapshot that has others is refused, as is one whose keys or versions are out of
//!   order: it would not be what a store wrote.
//! - No bytes make [`read`] panic, or what it returns: every number that an apply adds to has room
//!   left for [as many changes](NUMBER_MAX) again.
//!
//! # Left out
//!
//! Whose snapshot it is, of which place of the log, and checksums: that is for the file around it.

mod input;
mod read;
mod write;

use std::io;

pub(crate) use read::{Restored, read};
pub use write::Snapshot;

/// Why a snapshot was refused. The store is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The bytes end too early.
    #[error("the snapshot is cut off: it ends at byte {at}, before its end mark")]
    Cut {
        /// How many bytes there are.
        at: u64,
    },
    /// A count, an order or a number in it is wrong, so no store wrote it.
    #[error("the snapshot is damaged: before byte {at}, {what}")]
    Damaged {
        /// How many bytes were read when it was noticed.
        at: u64,
        /// What is wrong.
        what: &'static str,
    },
    /// A later version of the program wrote it.
    #[error("the snapshot has format {found}, known is {known}: start a later version of quorate")]
    Newer {
        /// The version of its format.
        found: u32,
        /// The latest that this program reads.
        known: u32,
    },
    /// The bytes are something else.
    #[error("these bytes are no snapshot of a store")]
    NoSnapshot,
    /// The bytes could not be read.
    #[error("cannot read the snapshot: {0}")]
    Read(#[from] io::Error),
}

impl From<RestoreError> for io::Error {
    /// What is wrong with the bytes is [`io::ErrorKind::InvalidData`].
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::Read(error) => error,
            RestoreError::Cut { .. }
            | RestoreError::Damaged { .. }
            | RestoreError::Newer { .. }
            | RestoreError::NoSnapshot => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// What a snapshot begins with, whatever its version.
const MAGIC: [u8; 8] = *b"quorst\r\n";

/// The version of the format that is written. Older ones are none so far.
const VERSION: u32 = 1;

/// The largest revision, and the largest number of changes, that is believed. No store comes near
/// it, and twice as much still fits wherever such numbers are kept.
pub(crate) const NUMBER_MAX: i64 = 1 << 60;
