//! Backups: all keys of a cluster with their history, as one file (`docs/backup.md`).
//!
//! [`write()`] makes one from a snapshot of the store, [`Backup::load`] reads it and checks every
//! byte, [`restore_member`] makes the data directory of a new cluster of it.
//!
//! What must hold:
//! - Writing holds a bounded amount of memory, and nothing that applies wait for.
//! - Nothing of a file is believed before all of it was found right, and nothing is written before
//!   that either.
//! - A restored store never shows a revision that the old cluster may have given out with another
//!   meaning.

mod error;
mod load;
mod member;
mod restore;
#[cfg(test)]
mod tests;
mod write;

pub use error::BackupError;
pub use load::Backup;
pub use member::restore_member;
pub use restore::{RestoreError, RestoreOptions, restore};
pub use write::{About, write};

/// Files are as long as a multiple of this and [`SHA_BYTES`]: etcd's clients tell by it that there
/// is a checksum at the end.
const SECTOR_BYTES: u64 = 512;

/// The SHA-256 of all before it, at the very end.
const SHA_BYTES: u64 = 32;

/// What stands before the SHA-256: how long the snapshot file in front is, as 64 bits,
/// little-endian.
const LENGTH_BYTES: u64 = 8;

/// How many zeros stand between a snapshot file of that length and what says so.
const fn padding(file_bytes: u64) -> u64 {
    let over = (file_bytes + LENGTH_BYTES) % SECTOR_BYTES;
    if over == 0 { 0 } else { SECTOR_BYTES - over }
}
