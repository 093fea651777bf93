//! Reading a snapshot file from wherever its bytes come in order, as out of a backup.
//!
//! **Invariants.** Those of [`SnapshotFile`](crate::SnapshotFile): no byte of the body is given out
//! before the checksum of its chunk was found right, and whoever has read to the end has read the
//! whole body and nothing else. Exactly the bytes of the file are taken from the source, never one
//! behind it.

use std::io::{self, Read};

use quorate_raft::EntryId;

use crate::number::{narrow, wide};
use crate::snapshot_error::{SnapshotDamage, SnapshotError};
use crate::snapshot_format::{
    CHUNK_HEADER_BYTES, FOOTER_BYTES, Footer, HEADER_BYTES, Header, HeaderError, Layout,
    SNAPSHOT_META_BYTES_MAX, check_chunk,
};

/// A snapshot on its way in: header and meta part are read, the body comes through [`Read`]. Damage
/// is an error of kind [`io::ErrorKind::InvalidData`] that holds a [`SnapshotError`].
#[derive(Debug)]
pub struct SnapshotSource<R> {
    from: R,
    /// What a person calls it, for messages.
    path: String,
    header: Header,
    header_crc: u32,
    meta: Vec<u8>,
    layout: Layout,
    /// How many chunks were right.
    sound: u64,
    /// The checksum of the last that was right, or of the header.
    crc: u32,
    /// The last that was right, with its header.
    chunk: Vec<u8>,
    /// How much of it was given out, its header included.
    at: usize,
    /// Whether the footer was found right.
    is_ended: bool,
}

impl<R: Read> SnapshotSource<R> {
    /// Begins to read a file of `file_bytes`, which `path` names in messages.
    ///
    /// # Errors
    /// If the source fails, or header and meta part are damaged, of a later version, or not those
    /// of a file of that length.
    pub fn open(mut from: R, path: &str, file_bytes: u64) -> Result<Self, SnapshotError> {
        let mut bytes = [0; HEADER_BYTES];
        fill(&mut from, path, 0, &mut bytes)?;
        let header = Header::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged(what) => SnapshotError::damaged(path, 0, what),
            HeaderError::Version(version) => {
                SnapshotError::Newer { file: path.to_owned(), version }
            }
        })?;
        let start = wide(HEADER_BYTES);
        let damaged = || SnapshotError::damaged(path, start, SnapshotDamage::Meta);
        if u64::from(header.meta_bytes) > wide(SNAPSHOT_META_BYTES_MAX) {
            return Err(damaged());
        }
        let layout = Layout::of(header.meta_bytes, file_bytes);
        let layout = layout
            .ok_or_else(|| SnapshotError::damaged(path, file_bytes, SnapshotDamage::Length))?;
        let mut meta = vec![0; narrow(u64::from(header.meta_bytes))];
        fill(&mut from, path, start, &mut meta)?;
        if crc32c::crc32c(&meta) != header.meta_crc {
            return Err(damaged());
        }
        let header_crc = Header::checksum_of(&bytes);
        let (sound, crc, chunk, at) = (0, header_crc, Vec::new(), 0);
        let path = path.to_owned();
        let is_ended = false;
        Ok(Self { from, path, header, header_crc, meta, layout, sound, crc, chunk, at, is_ended })
    }

    /// The cluster that it is of.
    #[must_use]
    pub const fn cluster(&self) -> u64 {
        self.header.cluster
    }

    /// The last entry that it stands for.
    #[must_use]
    pub const fn point(&self) -> EntryId {
        self.header.point
    }

    /// What stands beside the body.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        &self.meta
    }

    /// The source, which stands behind the file if the body was read to its end.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.from
    }

    /// Goes on to the next chunk. False: there is none, and all were those that were written.
    fn advance(&mut self) -> Result<bool, SnapshotError> {
        // Bytes that turn out wrong are not left where they could be taken for right ones.
        let mut chunk = std::mem::take(&mut self.chunk);
        self.at = CHUNK_HEADER_BYTES;
        if self.is_ended {
            return Ok(false);
        }
        if self.sound == self.layout.chunks {
            self.check_footer()?;
            self.is_ended = true;
            return Ok(false);
        }
        let (start, length) = self.layout.chunk(self.sound);
        chunk.resize(narrow(length), 0);
        fill(&mut self.from, &self.path, start, &mut chunk)?;
        self.crc = check_chunk(&chunk, self.sound, self.crc)
            .map_err(|what| SnapshotError::damaged(&self.path, start, what))?;
        self.sound += 1;
        self.chunk = chunk;
        Ok(true)
    }

    fn check_footer(&mut self) -> Result<(), SnapshotError> {
        let mut bytes = [0; FOOTER_BYTES];
        let start = self.layout.footer_start;
        fill(&mut self.from, &self.path, start, &mut bytes)?;
        let footer = Footer::decode(&bytes, self.header_crc);
        let footer = footer.map_err(|what| SnapshotError::damaged(&self.path, start, what))?;
        if !self.layout.agrees(&footer) {
            return Err(SnapshotError::damaged(&self.path, start, SnapshotDamage::Length));
        }
        if footer.last_crc != self.crc {
            return Err(SnapshotError::damaged(&self.path, start, SnapshotDamage::Footer));
        }
        Ok(())
    }
}

impl<R: Read> Read for SnapshotSource<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || (self.at >= self.chunk.len() && !self.advance()?) {
            return Ok(0);
        }
        let payload = &self.chunk[self.at..];
        let count = payload.len().min(buffer.len());
        buffer[..count].copy_from_slice(&payload[..count]);
        self.at += count;
        Ok(count)
    }
}

/// Fills the buffer with the bytes at `offset`, which are the next.
fn fill(
    from: &mut impl Read,
    path: &str,
    offset: u64,
    buffer: &mut [u8],
) -> Result<(), SnapshotError> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset + wide(filled);
        match from.read(&mut buffer[filled..]) {
            Ok(0) => return Err(SnapshotError::damaged(path, at, SnapshotDamage::Cut)),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(SnapshotError::io(path, at, error)),
        }
    }
    Ok(())
}
