//! Writing a snapshot file.
//!
//! **Invariants.** The file has a temporary name until all of it is durable, so what has a final
//! name is complete, whenever a crash comes. At most one snapshot is being written at a time.

use std::fmt;
use std::io::{self, Write};

use quorate_raft::EntryId;

use crate::disk::{Disk, DiskFile};
use crate::number::{field, wide};
use crate::options::Identity;
use crate::snapshot_error::SnapshotError;
use crate::snapshot_file::SnapshotFile;
use crate::snapshot_format::{
    CHUNK_HEADER_BYTES, FOOTER_BYTES, Footer, Header, Layout, NameKind, PAYLOAD_BYTES,
    SNAPSHOT_META_BYTES_MAX, file_name, seal_chunk,
};
use crate::snapshot_shelf::remove_where;

/// A snapshot that is being written: the body goes in through [`Write`], then
/// [`SnapshotWriter::finish`] puts the file in its place. Whoever drops it instead gives it up.
///
/// A write that failed may be tried again, as when the disk was full.
pub struct SnapshotWriter<D: Disk> {
    disk: D,
    file: D::File,
    point: EntryId,
    name: String,
    path: String,
    header_crc: u32,
    meta_bytes: u32,
    /// Room for a header, and the payload that waits for more.
    chunk: Vec<u8>,
    /// How many chunks are written.
    chunks: u64,
    /// The checksum of the last of them, or of the header.
    crc: u32,
    /// How much of the file is written.
    end: u64,
    /// Whether the temporary name is gone.
    is_renamed: bool,
}

impl<D: Disk> SnapshotWriter<D> {
    /// Begins the snapshot of all entries up to `point`. Removes what an earlier attempt left, so
    /// no other snapshot of this directory may be being written. `meta` is for the replica, at most
    /// [`SNAPSHOT_META_BYTES_MAX`].
    ///
    /// # Errors
    /// If the disk fails or is full; [`io::ErrorKind::InvalidInput`] if `meta` is too long.
    pub fn create(disk: &D, identity: Identity, point: EntryId, meta: &[u8]) -> io::Result<Self> {
        if meta.len() > SNAPSHOT_META_BYTES_MAX {
            let (bytes, bytes_max) = (meta.len(), SNAPSHOT_META_BYTES_MAX);
            let what = format!("the meta part has {bytes} bytes, more than {bytes_max}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        remove_where(disk, |kind, _| kind == NameKind::Temporary)?;
        let name = file_name(NameKind::Temporary, point);
        let path = disk.path_of(&name);
        let file = disk.create(&name).map_err(|error| SnapshotError::io(&path, 0, error))?;
        let header = Header {
            cluster: identity.cluster,
            point,
            meta_bytes: field(meta.len()),
            meta_crc: crc32c::crc32c(meta),
        };
        let bytes = header.encode();
        let header_crc = Header::checksum_of(&bytes);
        let mut writer = Self {
            disk: disk.clone(),
            file,
            point,
            name,
            path,
            header_crc,
            meta_bytes: header.meta_bytes,
            chunk: vec![0; CHUNK_HEADER_BYTES],
            chunks: 0,
            crc: header_crc,
            end: 0,
            is_renamed: false,
        };
        writer.put(&[&bytes[..], meta].concat())?;
        Ok(writer)
    }

    /// Makes the snapshot durable and puts it in its place, instead of one of the same entry if
    /// there is one.
    ///
    /// # Errors
    /// If the disk fails or is full. The snapshot is lost then, unless it was the very last step
    /// that failed, the sync of the directory; no other snapshot is touched.
    pub fn finish(mut self) -> io::Result<SnapshotFile<D>> {
        if self.chunk.len() > CHUNK_HEADER_BYTES {
            self.write_chunk()?;
        }
        self.write_footer()?;
        self.file.sync_data().map_err(|error| SnapshotError::io(&self.path, 0, error))?;
        // Whoever broke the rule of one writer could have put another file under the name.
        let written = SnapshotFile::open_any(&self.disk, &self.name)?;
        let name = file_name(NameKind::Complete, self.point);
        let path = self.disk.path_of(&name);
        let renamed = self.disk.rename(&self.name, &name);
        renamed.map_err(|error| SnapshotError::io(&path, 0, error))?;
        self.is_renamed = true;
        self.disk.sync_dir().map_err(|error| SnapshotError::io(&path, 0, error))?;
        Ok(written.renamed(&self.disk, name))
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        let crc = seal_chunk(&mut self.chunk, self.chunks, self.crc);
        let chunk = std::mem::take(&mut self.chunk);
        let result = self.put(&chunk);
        self.chunk = chunk;
        result?;
        self.chunk.truncate(CHUNK_HEADER_BYTES);
        self.chunks += 1;
        self.crc = crc;
        Ok(())
    }

    fn write_footer(&mut self) -> io::Result<()> {
        let file_bytes = self.end + wide(FOOTER_BYTES);
        let layout = Layout::of(self.meta_bytes, file_bytes).expect("what is written has a layout");
        assert_eq!(layout.chunks, self.chunks, "every chunk but the last is full");
        let footer = Footer {
            last_crc: self.crc,
            chunks: self.chunks,
            body_bytes: layout.body_bytes(),
            file_bytes,
        };
        self.put(&footer.encode(self.header_crc))
    }

    /// Writes at the end, all or, as far as anyone will notice, nothing.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_at(bytes, self.end);
        written.map_err(|error| SnapshotError::io(&self.path, self.end, error))?;
        self.end += wide(bytes.len());
        Ok(())
    }
}

impl<D: Disk> Write for SnapshotWriter<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let full = CHUNK_HEADER_BYTES + PAYLOAD_BYTES;
        if self.chunk.len() == full {
            self.write_chunk()?;
        }
        let count = bytes.len().min(full - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Does nothing: a chunk is written when it is full, and [`SnapshotWriter::finish`] writes the
    /// last one.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<D: Disk> Drop for SnapshotWriter<D> {
    fn drop(&mut self) {
        if !self.is_renamed {
            // A file that was given up should not fill the disk. If it cannot be removed now, the
            // next writer does it.
            drop(self.disk.remove(&self.name));
        }
    }
}

impl<D: Disk> fmt::Debug for SnapshotWriter<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotWriter")
            .field("path", &self.path)
            .field("chunks", &self.chunks)
            .finish_non_exhaustive()
    }
}
