//! A sync job: what one write and one sync make durable together.

use crate::disk::Disk;
use crate::error::{CloseError, OpenError, SyncFailure};
use crate::format::{Position, RecordHeader};
use crate::log::Sequence;
use crate::writer::{Pending, Writer};

/// Everything that waited when it was taken. May be run on any thread; a job that is dropped
/// instead leaves its log without durability, since a write of unknown outcome may not be repeated.
#[derive(Debug)]
#[must_use = "nothing becomes durable unless the job is run"]
pub struct SyncJob<D: Disk> {
    pub(crate) writer: Box<Writer<D>>,
    pub(crate) pending: Vec<Pending>,
    /// The latest append among them.
    pub(crate) sequence: Sequence,
    /// Everything before this place was durable before.
    pub(crate) synced: Position,
    /// To be written once everything is durable; its place is the end.
    pub(crate) marker: RecordHeader,
    /// The segments before this one are to be removed.
    pub(crate) keep_from: u32,
}

/// The proof that a job succeeded, for [`crate::Log::finish_sync`].
#[derive(Debug)]
#[must_use = "the log does not know of its success yet"]
pub struct Synced<D: Disk> {
    pub(crate) writer: Box<Writer<D>>,
    pub(crate) sequence: Sequence,
    /// Everything before this place is durable.
    pub(crate) end: Position,
}

impl<D: Disk> SyncJob<D> {
    /// The append up to which this job makes everything durable.
    #[must_use]
    pub const fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Writes and syncs, and then removes what [`crate::Log::compact`] gave up. Blocks for as long
    /// as the disk takes.
    ///
    /// # Errors
    /// What to do with a failure stands with [`SyncFailure`]'s variants.
    pub fn run(mut self) -> Result<Synced<D>, SyncFailure<D>> {
        match self.writer.write(&self.pending, self.synced, self.marker, self.keep_from) {
            Ok(()) => {
                let Self { writer, sequence, marker, .. } = self;
                Ok(Synced { writer, sequence, end: marker.position })
            }
            Err(trouble) if trouble.is_final => {
                Err(SyncFailure::Failed { file: trouble.file, error: trouble.error })
            }
            Err(trouble) => Err(SyncFailure::Full {
                job: Box::new(self),
                file: trouble.file,
                error: trouble.error,
            }),
        }
    }
}

impl<D: Disk> SyncFailure<D> {
    pub(crate) fn into_close(self) -> CloseError {
        match self {
            Self::Full { file, error, job: _ } | Self::Failed { file, error } => {
                CloseError::Io { file, error }
            }
        }
    }

    pub(crate) fn into_open(self) -> OpenError {
        match self {
            Self::Full { file, error, job: _ } => OpenError::Full { file, error },
            Self::Failed { file, error } => OpenError::Io { file, error },
        }
    }
}
