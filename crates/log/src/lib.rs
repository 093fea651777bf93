//! The durable log of a member: its identity, its term and vote, its entries.
//!
//! A log is a directory with an identity file and numbered segments. Segments are only ever
//! appended to: a record that begins at or below the last index makes the suffix it replaces
//! invisible, so there is no moment between a truncation and an append. What lies on the disk is
//! described byte by byte in `docs/log-format.md`.
//!
//! - A [`Block`] is what is written, sent and applied: entries of one term, encoded once.
//! - [`Log`] is owned by one thread and never waits for a disk, except in [`Log::open`] and where
//!   [`Log::read`] misses the cache. [`Log::append`] changes memory only; [`Log::begin_sync`] hands
//!   out everything that waits as one [`SyncJob`], which any thread may run; [`Log::finish_sync`]
//!   makes the success known.
//! - [`Disk`] is all that the log knows of files. [`RealDisk`] is a directory of the operating
//!   system, [`MemDisk`] one in memory that can crash, tear, rot and fail.
//!
//! **Invariants.** What `finish_sync` has reported survives every crash. What a crash leaves is a
//! prefix of what was appended, record by record. Bytes whose checksum or place is wrong are never
//! returned as data. Damage that is proven to lie below what was synced is never cut off: the log
//! refuses to open. After a failed sync nothing is ever reported durable again.
//!
//! A log may begin later than with its first entry: [`Log::compact`] forgets what a snapshot
//! covers, [`Log::reset`] goes on after one. Whether there is a snapshot is for the owner to know.
//!
//! **Left out.** Several Raft groups in one log (the format has a place for the group's number).

mod beyond;
mod block;
mod cache;
mod choices;
mod compact;
mod disk;
mod error;
mod format;
mod index;
mod log;
mod mem_content;
mod mem_disk;
mod mem_fault;
mod mem_file;
mod mem_names;
mod mem_state;
mod number;
mod open;
mod options;
mod read;
mod real_disk;
mod recover;
mod removal;
mod scan;
mod segments;
mod snapshot_error;
mod snapshot_file;
mod snapshot_format;
mod snapshot_part;
mod snapshot_shelf;
mod snapshot_sink;
mod snapshot_source;
mod snapshot_writer;
mod sync;
mod writer;

pub use block::{Block, BlockBuilder, Entries, Entry, EntryKind, Malformed};
pub use choices::Choices;
pub use disk::{Disk, DiskFile};
pub use error::{CloseError, FormatError, OpenError, ReadError, SyncFailure};
pub use log::{Log, Room, Sequence};
pub use mem_disk::{MemDisk, MemLock};
pub use mem_fault::{Fault, Operation, OperationKind};
pub use mem_file::MemFile;
pub use open::{Note, Recovered};
pub use options::{Identity, Options};
pub use real_disk::{RealDisk, RealFile, RealLock};
pub use snapshot_error::{SnapshotDamage, SnapshotError};
pub use snapshot_file::{SnapshotFile, SnapshotReader};
pub use snapshot_format::SNAPSHOT_META_BYTES_MAX;
pub use snapshot_part::{Received, SnapshotPart};
pub use snapshot_shelf::{FoundSnapshot, prune, snapshots, sweep_snapshots};
pub use snapshot_sink::SnapshotSink;
pub use snapshot_source::SnapshotSource;
pub use snapshot_writer::SnapshotWriter;
pub use sync::{SyncJob, Synced};
