//! The work on snapshot files, which is done beside the replica: it takes a disk's time.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use quorate_log::{
    Disk, Identity, SnapshotError, SnapshotFile, SnapshotPart, SnapshotWriter, prune,
};
use quorate_raft::{EntryId, NodeId};

use crate::machine::WriteOut;

/// Bytes of a snapshot file in one message.
pub const SNAPSHOT_CHUNK_BYTES: usize = 1024 * 1024;

/// A snapshot file longer than this is not taken from a peer.
const FILE_BYTES_MAX: u64 = 1 << 42;

/// Work on snapshot files. May be run on any thread, beside the log's jobs; at most one that
/// [is long](Self::is_long) and one other are out at a time. Its outcome goes to
/// [`crate::Replica::snapshot_done`]. A job that is dropped instead does no harm but to those who
/// wait for it.
pub enum SnapshotJob<D: Disk> {
    /// Writes a snapshot of this member.
    Write {
        /// Where.
        disk: D,
        /// Whose.
        identity: Identity,
        /// The last entry that it stands for.
        point: EntryId,
        /// What the replica keeps beside it.
        meta: Vec<u8>,
        /// The state.
        body: WriteOut,
    },
    /// Begins to receive a snapshot, or goes on with what is there of it.
    Begin {
        /// Where.
        disk: D,
        /// The last entry that it stands for.
        point: EntryId,
        /// How long the file is.
        file_bytes: u64,
    },
    /// Writes what was received.
    Take {
        /// What is there.
        part: SnapshotPart<D>,
        /// Where in the file.
        offset: u64,
        /// What was received.
        bytes: Bytes,
    },
    /// Checks what was received and puts it in its place.
    Finish {
        /// All of it.
        part: SnapshotPart<D>,
        /// Whose it must be.
        identity: Identity,
    },
    /// Reads a part for a peer.
    Read {
        /// From where.
        file: Arc<SnapshotFile<D>>,
        /// For whom.
        to: NodeId,
        /// Where in the file.
        offset: u64,
    },
    /// Removes snapshots that are no longer needed.
    Prune {
        /// Where.
        disk: D,
        /// The one that is.
        keep: EntryId,
    },
}

/// What became of a [`SnapshotJob`].
#[derive(Debug)]
pub enum SnapshotDone<D: Disk> {
    /// A snapshot was written, or not.
    Written(io::Result<SnapshotFile<D>>),
    /// A snapshot can be received, or not.
    Begun(Result<SnapshotPart<D>, SnapshotError>),
    /// A part was written, or not.
    Taken(Result<SnapshotPart<D>, SnapshotError>),
    /// A snapshot was received, or what was received is none.
    Finished(Result<SnapshotFile<D>, SnapshotError>),
    /// A part was read.
    Read {
        /// For whom.
        to: NodeId,
        /// From where.
        file: Arc<SnapshotFile<D>>,
        /// Where in the file.
        offset: u64,
        /// The part.
        bytes: io::Result<Bytes>,
    },
    /// What is not needed is gone, or not.
    Pruned(io::Result<()>),
}

impl<D: Disk> SnapshotJob<D> {
    /// Whether it takes as long as the whole state is large.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        match self {
            Self::Write { .. } => true,
            Self::Begin { .. }
            | Self::Take { .. }
            | Self::Finish { .. }
            | Self::Read { .. }
            | Self::Prune { .. } => false,
        }
    }

    /// Does it. Blocks for as long as the disk takes.
    #[must_use = "the replica waits for it"]
    pub fn run(self) -> SnapshotDone<D> {
        match self {
            Self::Write { disk, identity, point, meta, body } => {
                SnapshotDone::Written(write(&disk, identity, point, &meta, body))
            }
            Self::Begin { disk, point, file_bytes } => {
                SnapshotDone::Begun(SnapshotPart::begin(&disk, point, file_bytes, FILE_BYTES_MAX))
            }
            Self::Take { mut part, offset, bytes } => {
                let taken = part.write_at(offset, &bytes);
                SnapshotDone::Taken(taken.map(|_| part))
            }
            Self::Finish { part, identity } => SnapshotDone::Finished(part.finish(identity)),
            Self::Read { file, to, offset } => {
                let mut buffer = vec![0; SNAPSHOT_CHUNK_BYTES];
                let bytes = file.read_raw(offset, &mut buffer).map(|count| {
                    buffer.truncate(count);
                    Bytes::from(buffer)
                });
                SnapshotDone::Read { to, file, offset, bytes }
            }
            Self::Prune { disk, keep } => SnapshotDone::Pruned(prune(&disk, keep)),
        }
    }
}

pub(crate) fn write<D: Disk>(
    disk: &D,
    identity: Identity,
    point: EntryId,
    meta: &[u8],
    body: WriteOut,
) -> io::Result<SnapshotFile<D>> {
    let mut writer = SnapshotWriter::create(disk, identity, point, meta)?;
    body(&mut writer)?;
    writer.finish()
}

// By hand, since a state to be written has no form of its own.
impl<D: Disk> fmt::Debug for SnapshotJob<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { point, .. } => write!(f, "Write({point})"),
            Self::Begin { point, file_bytes, .. } => write!(f, "Begin({point}, {file_bytes})"),
            Self::Take { part, offset, bytes } => {
                write!(f, "Take({}, {offset}, {})", part.point(), bytes.len())
            }
            Self::Finish { part, .. } => write!(f, "Finish({})", part.point()),
            Self::Read { file, to, offset } => write!(f, "Read({}, {to}, {offset})", file.point()),
            Self::Prune { keep, .. } => write!(f, "Prune({keep})"),
        }
    }
}
