//! A snapshot that is being received from a peer, over restarts.
//!
//! **Invariants.** What [`SnapshotPart::received`] counts was written in this life of the process,
//! or was found right and written again. A file with a final name was checked to its last byte.

use std::fmt;
use std::io;

use quorate_raft::EntryId;

use crate::disk::{Disk, DiskFile};
use crate::number::wide;
use crate::options::Identity;
use crate::snapshot_error::{SnapshotDamage, SnapshotError};
use crate::snapshot_file::{Chunks, Head, SnapshotFile};
use crate::snapshot_format::{Layout, NameKind, file_name};
use crate::snapshot_shelf::remove_where;

/// A snapshot of which a part is here. Whoever drops it leaves the part for
/// [`SnapshotPart::begin`] to go on with.
pub struct SnapshotPart<D: Disk> {
    disk: D,
    file: D::File,
    point: EntryId,
    name: String,
    path: String,
    file_bytes: u64,
    received: u64,
}

/// What became of bytes that were received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// They were the next ones.
    Taken,
    /// They begin before the next ones: a message came twice. They were ignored.
    Known,
    /// They come later than the next ones, and were refused.
    Gap {
        /// Where the next ones begin.
        wanted: u64,
    },
}

impl<D: Disk> SnapshotPart<D> {
    /// Begins to receive the snapshot of `point`, a file of `file_bytes` bytes, or goes on with
    /// what is here of it. Parts of other snapshots are dropped: the last that was begun counts.
    ///
    /// What is here from before is read and checked from its beginning, up to the last chunk that
    /// is right. It is also written again: if a sync failed before the process began, the system
    /// shows what the disk does not have.
    ///
    /// # Errors
    /// [`SnapshotError::TooLarge`] if the file would be longer than `file_bytes_max`, before
    /// anything is touched; [`SnapshotError::Damaged`] if no snapshot is so short;
    /// [`SnapshotError::Io`] if the disk fails or is full.
    pub fn begin(
        disk: &D,
        point: EntryId,
        file_bytes: u64,
        file_bytes_max: u64,
    ) -> Result<Self, SnapshotError> {
        let name = file_name(NameKind::Part, point);
        let path = disk.path_of(&name);
        if file_bytes > file_bytes_max {
            let bytes_max = file_bytes_max;
            return Err(SnapshotError::TooLarge { file: path, bytes: file_bytes, bytes_max });
        }
        if file_bytes < Layout::FILE_BYTES_MIN {
            let error = SnapshotError::damaged(&path, file_bytes, SnapshotDamage::Length);
            return Err(error.removed());
        }
        let is_other = |kind, other| kind == NameKind::Part && other != point;
        remove_where(disk, is_other)?;
        let file = disk.create(&name).map_err(in_file(&path, 0))?;
        let disk = disk.clone();
        let mut part = Self { disk, file, point, name, path, file_bytes, received: 0 };
        if !part.resume()? {
            // What cannot be read or cut is not mended by writing over it.
            part.disk.remove(&part.name).map_err(in_file(&part.path, 0))?;
            part.file = part.disk.create(&part.name).map_err(in_file(&part.path, 0))?;
            part.received = 0;
        }
        Ok(part)
    }

    /// How much of the file is here, from its beginning.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// How long the file will be.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The last entry that the snapshot is to stand for.
    #[must_use]
    pub const fn point(&self) -> EntryId {
        self.point
    }

    /// Whether nothing is missing: then comes [`SnapshotPart::finish`].
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.received == self.file_bytes
    }

    /// Takes bytes of the file if they are the next ones.
    ///
    /// # Errors
    /// [`SnapshotError::TooLarge`] if they reach beyond the announced end; [`SnapshotError::Io`] if
    /// the disk fails or is full. The same bytes may be tried again then.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<Received, SnapshotError> {
        if offset > self.received {
            return Ok(Received::Gap { wanted: self.received });
        }
        if offset < self.received {
            return Ok(Received::Known);
        }
        let end = offset.saturating_add(wide(bytes.len()));
        if end > self.file_bytes {
            let (file, bytes_max) = (self.path.clone(), self.file_bytes);
            return Err(SnapshotError::TooLarge { file, bytes: end, bytes_max });
        }
        self.file.write_at(bytes, offset).map_err(in_file(&self.path, offset))?;
        self.received = end;
        Ok(Received::Taken)
    }

    /// Checks every byte, makes the file durable, and puts it in its place, instead of a snapshot
    /// of the same entry if there is one.
    ///
    /// # Errors
    /// If bytes are missing or damaged, of another cluster, of a later version or of another entry
    /// than announced, and if the disk fails. Whatever it is, the part is removed, so that the file
    /// is asked for from its beginning. Only if the very last step failed, the sync of the
    /// directory, the file is in its place, but a crash may undo that.
    pub fn finish(self, identity: Identity) -> Result<SnapshotFile<D>, SnapshotError> {
        let name = file_name(NameKind::Complete, self.point);
        let path = self.disk.path_of(&name);
        let checked = self.check(identity).and_then(|checked| {
            // After a sync that failed nothing is known of the file, so it is removed as well.
            self.file.sync_data().map_err(in_file(&self.path, 0))?;
            self.disk.rename(&self.name, &name).map_err(in_file(&path, 0))?;
            Ok(checked)
        });
        match checked {
            Ok(checked) => {
                self.disk.sync_dir().map_err(in_file(&path, 0))?;
                Ok(checked.renamed(&self.disk, name))
            }
            Err(error) => match self.disk.remove(&self.name) {
                Ok(()) => Err(error.removed()),
                // The next time it begins it is checked.
                Err(_) => Err(error),
            },
        }
    }

    /// Gives the snapshot up, and removes what is here of it.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn discard(self) -> Result<(), SnapshotError> {
        self.disk.remove(&self.name).map_err(in_file(&self.path, 0))
    }

    fn check(&self, identity: Identity) -> Result<SnapshotFile<D>, SnapshotError> {
        if !self.is_complete() {
            let what = SnapshotDamage::Cut;
            return Err(SnapshotError::damaged(&self.path, self.received, what));
        }
        let checked = SnapshotFile::open_any(&self.disk, &self.name)?;
        checked.check_origin(identity, self.point)?;
        checked.verify()?;
        Ok(checked)
    }

    /// Finds out how much of the file is right, and writes that again. False: the file had better
    /// be made anew.
    fn resume(&mut self) -> Result<bool, SnapshotError> {
        let length = self.file.length().map_err(in_file(&self.path, 0))?;
        if length > self.file_bytes {
            return Ok(false);
        }
        let head = match Head::read(&self.file, &self.path) {
            Ok(head) if head.header.point == self.point => head,
            Ok(_) => return Ok(false),
            Err(error) => return Ok(is_of_bytes(&error)),
        };
        let Ok(layout) = head.layout(&self.path, self.file_bytes) else { return Ok(false) };
        let write = |bytes: &[u8], offset| {
            self.file.write_at(bytes, offset).map_err(in_file(&self.path, offset))
        };
        write(&head.to_bytes(), 0)?;
        let mut chunks = Chunks::new(&self.file, &self.path, layout, head.crc);
        loop {
            let start = chunks.next_start();
            match chunks.advance() {
                Ok(true) => write(chunks.chunk(), start)?,
                Ok(false) => break,
                Err(error) => {
                    self.received = start;
                    return Ok(is_of_bytes(&error));
                }
            }
        }
        self.received = layout.footer_start;
        let footer = head.footer(&self.file, &self.path, &layout);
        match footer.and_then(|footer| chunks.check_end(&footer).map(|()| footer)) {
            Ok(footer) => {
                write(&footer.encode(head.crc), layout.footer_start)?;
                self.received = self.file_bytes;
                Ok(true)
            }
            Err(error) => Ok(is_of_bytes(&error)),
        }
    }
}

impl<D: Disk> fmt::Debug for SnapshotPart<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotPart")
            .field("path", &self.path)
            .field("file_bytes", &self.file_bytes)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Whether the bytes are wrong or missing, and the disk is not.
const fn is_of_bytes(error: &SnapshotError) -> bool {
    !matches!(error, SnapshotError::Io { .. })
}

fn in_file(path: &str, offset: u64) -> impl FnOnce(io::Error) -> SnapshotError + '_ {
    move |error| SnapshotError::io(path, offset, error)
}
