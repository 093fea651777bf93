//! Reading snapshot files.
//!
//! **Invariants.** What is open had a sound header, meta part and footer, and a length that fits
//! them. No byte of the body is given out before the checksum of its chunk was found right; that
//! checksum goes on from chunk to chunk, so a chunk that is right stands behind the right ones.

use std::fmt;
use std::io::{self, Read};

use quorate_raft::EntryId;

use crate::disk::{Disk, DiskFile};
use crate::number::{narrow, wide};
use crate::options::Identity;
use crate::snapshot_error::{SnapshotDamage, SnapshotError};
use crate::snapshot_format::{
    CHUNK_HEADER_BYTES, FOOTER_BYTES, Footer, HEADER_BYTES, Header, HeaderError, Layout, NameKind,
    SNAPSHOT_META_BYTES_MAX, check_chunk, parse_name,
};

/// A complete snapshot. It stays readable when its name is removed.
pub struct SnapshotFile<D: Disk> {
    file: D::File,
    name: String,
    path: String,
    head: Head,
    layout: Layout,
    footer: Footer,
}

impl<D: Disk> SnapshotFile<D> {
    /// Opens a complete snapshot of a cluster; `name` is as [`crate::snapshots`] says it. Checks
    /// header, meta part and footer; the chunks are checked as they are read.
    ///
    /// # Errors
    /// If there is no such file, if it is damaged, of another cluster or of a later version, or if
    /// it stands for another entry than its name says.
    pub fn open(disk: &D, identity: Identity, name: &str) -> Result<Self, SnapshotError> {
        let Some((NameKind::Complete, point)) = parse_name(name) else {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "not the name of a snapshot");
            return Err(SnapshotError::io(&disk.path_of(name), 0, error));
        };
        let found = Self::open_any(disk, name)?;
        found.check_origin(identity, point)?;
        Ok(found)
    }

    /// Opens a file whatever its name, its cluster and its point are.
    pub(crate) fn open_any(disk: &D, name: &str) -> Result<Self, SnapshotError> {
        let path = disk.path_of(name);
        let file = disk.open(name).map_err(|error| SnapshotError::io(&path, 0, error))?;
        let head = Head::read(&file, &path)?;
        let length = file.length().map_err(|error| SnapshotError::io(&path, 0, error))?;
        let layout = head.layout(&path, length)?;
        let footer = head.footer(&file, &path, &layout)?;
        Ok(Self { file, name: name.to_owned(), path, head, layout, footer })
    }

    pub(crate) fn check_origin(
        &self,
        identity: Identity,
        expected: EntryId,
    ) -> Result<(), SnapshotError> {
        let file = self.path.clone();
        let (cluster, point) = (self.head.header.cluster, self.head.header.point);
        if cluster != identity.cluster {
            let expected = identity.cluster;
            return Err(SnapshotError::Foreign { file, found: cluster, expected });
        }
        if point != expected {
            return Err(SnapshotError::Mismatch { file, found: point, expected });
        }
        Ok(())
    }

    /// The same file after it was renamed.
    pub(crate) fn renamed(self, disk: &D, name: String) -> Self {
        Self { path: disk.path_of(&name), name, ..self }
    }

    /// The last entry that the snapshot stands for.
    #[must_use]
    pub const fn point(&self) -> EntryId {
        self.head.header.point
    }

    /// What the replica keeps beside the body.
    #[must_use]
    pub fn meta(&self) -> &[u8] {
        &self.head.meta
    }

    /// The length of the body.
    #[must_use]
    pub const fn body_bytes(&self) -> u64 {
        self.layout.body_bytes()
    }

    /// The length of the file.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.footer.file_bytes
    }

    /// The name in the directory.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the body from its beginning. Damage is an error of kind
    /// [`io::ErrorKind::InvalidData`] that names file and offset, and holds a [`SnapshotError`].
    /// Whoever reads to the end has seen a body that is whole.
    #[must_use]
    pub fn reader(&self) -> SnapshotReader<'_, D> {
        let chunks = Chunks::new(&self.file, &self.path, self.layout, self.head.crc);
        SnapshotReader { file: self, chunks, at: 0 }
    }

    /// Reads the whole body and forgets it.
    ///
    /// # Errors
    /// If a chunk cannot be read or is not as it was written.
    pub fn verify(&self) -> Result<(), SnapshotError> {
        let mut reader = self.reader();
        while reader.advance()? {}
        Ok(())
    }

    /// Reads bytes of the file as they lie there, unchecked: whoever receives them checks them.
    /// Says how many; less than asked for only at the end of the file.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn read_raw(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file_bytes().saturating_sub(offset);
        let wanted = narrow(left.min(wide(buffer.len())));
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(&mut buffer[..wanted], offset);
        Ok(read.map_err(|error| SnapshotError::io(&self.path, offset, error))?)
    }
}

impl<D: Disk> fmt::Debug for SnapshotFile<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotFile")
            .field("path", &self.path)
            .field("header", &self.head.header)
            .field("footer", &self.footer)
            .finish_non_exhaustive()
    }
}

/// Reads the body of a [`SnapshotFile`], and checks it.
#[derive(Debug)]
pub struct SnapshotReader<'a, D: Disk> {
    file: &'a SnapshotFile<D>,
    chunks: Chunks<'a, D::File>,
    /// How much of the chunk was given out, its header included.
    at: usize,
}

impl<D: Disk> SnapshotReader<'_, D> {
    /// Goes on to the next chunk. False: there is none, and all were those that were written.
    fn advance(&mut self) -> Result<bool, SnapshotError> {
        self.at = CHUNK_HEADER_BYTES;
        if self.chunks.advance()? {
            return Ok(true);
        }
        self.chunks.check_end(&self.file.footer)?;
        Ok(false)
    }
}

impl<D: Disk> Read for SnapshotReader<'_, D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || (self.at >= self.chunks.chunk().len() && !self.advance()?) {
            return Ok(0);
        }
        let payload = &self.chunks.chunk()[self.at..];
        let count = payload.len().min(buffer.len());
        buffer[..count].copy_from_slice(&payload[..count]);
        self.at += count;
        Ok(count)
    }
}

/// The sound beginning of a file: header and meta part.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) header: Header,
    /// The checksum of the header, which that of the first chunk continues.
    pub(crate) crc: u32,
    meta: Vec<u8>,
    bytes: [u8; HEADER_BYTES],
}

impl Head {
    pub(crate) fn read<F: DiskFile>(file: &F, path: &str) -> Result<Self, SnapshotError> {
        let mut bytes = [0; HEADER_BYTES];
        read_all(file, path, &mut bytes, 0)?;
        let header = Header::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged(what) => SnapshotError::damaged(path, 0, what),
            HeaderError::Version(version) => {
                SnapshotError::Newer { file: path.to_owned(), version }
            }
        })?;
        let start = wide(HEADER_BYTES);
        if u64::from(header.meta_bytes) > wide(SNAPSHOT_META_BYTES_MAX) {
            return Err(SnapshotError::damaged(path, start, SnapshotDamage::Meta));
        }
        let mut meta = vec![0; narrow(u64::from(header.meta_bytes))];
        read_all(file, path, &mut meta, start)?;
        if crc32c::crc32c(&meta) != header.meta_crc {
            return Err(SnapshotError::damaged(path, start, SnapshotDamage::Meta));
        }
        Ok(Self { header, crc: Header::checksum_of(&bytes), meta, bytes })
    }

    /// Where everything is in a file of that length.
    pub(crate) fn layout(&self, path: &str, file_bytes: u64) -> Result<Layout, SnapshotError> {
        let layout = Layout::of(self.header.meta_bytes, file_bytes);
        layout.ok_or_else(|| SnapshotError::damaged(path, file_bytes, SnapshotDamage::Length))
    }

    pub(crate) fn footer<F: DiskFile>(
        &self,
        file: &F,
        path: &str,
        layout: &Layout,
    ) -> Result<Footer, SnapshotError> {
        let mut bytes = [0; FOOTER_BYTES];
        read_all(file, path, &mut bytes, layout.footer_start)?;
        let footer = Footer::decode(&bytes, self.crc)
            .and_then(|footer| layout.agrees(&footer).then_some(footer).ok_or(DISAGREES));
        footer.map_err(|what| SnapshotError::damaged(path, layout.footer_start, what))
    }

    /// As it lies in the file.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&self.bytes[..], &self.meta].concat()
    }
}

/// A sound footer in a file of another length.
const DISAGREES: SnapshotDamage = SnapshotDamage::Length;

/// Goes through the chunks of a file from the first on, and checks each.
#[derive(Debug)]
pub(crate) struct Chunks<'a, F> {
    file: &'a F,
    path: &'a str,
    layout: Layout,
    /// How many were right.
    sound: u64,
    /// The checksum of the last that was right.
    crc: u32,
    /// The last that was right, with its header.
    chunk: Vec<u8>,
}

impl<'a, F: DiskFile> Chunks<'a, F> {
    pub(crate) const fn new(file: &'a F, path: &'a str, layout: Layout, crc: u32) -> Self {
        Self { file, path, layout, sound: 0, crc, chunk: Vec::new() }
    }

    /// Goes on to the next chunk. False: there is none.
    pub(crate) fn advance(&mut self) -> Result<bool, SnapshotError> {
        // Bytes that turn out wrong are not left where they could be taken for right ones.
        let mut chunk = std::mem::take(&mut self.chunk);
        if self.sound == self.layout.chunks {
            return Ok(false);
        }
        let (start, length) = self.layout.chunk(self.sound);
        chunk.resize(narrow(length), 0);
        read_all(self.file, self.path, &mut chunk, start)?;
        self.crc = check_chunk(&chunk, self.sound, self.crc)
            .map_err(|what| SnapshotError::damaged(self.path, start, what))?;
        self.sound += 1;
        self.chunk = chunk;
        Ok(true)
    }

    /// The current chunk with its header; nothing before the first and after damage.
    pub(crate) fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    /// Where the next chunk begins, or the footer.
    pub(crate) fn next_start(&self) -> u64 {
        if self.sound == self.layout.chunks {
            return self.layout.footer_start;
        }
        self.layout.chunk(self.sound).0
    }

    /// Whether a footer stands for the chunks that were passed.
    pub(crate) fn check_end(&self, footer: &Footer) -> Result<(), SnapshotError> {
        if footer.last_crc == self.crc {
            return Ok(());
        }
        let start = self.layout.footer_start;
        Err(SnapshotError::damaged(self.path, start, SnapshotDamage::Footer))
    }
}

/// Fills the buffer.
fn read_all<F: DiskFile>(
    file: &F,
    path: &str,
    buffer: &mut [u8],
    offset: u64,
) -> Result<(), SnapshotError> {
    let read = file.read_at(buffer, offset);
    let read = read.map_err(|error| SnapshotError::io(path, offset, error))?;
    if read < buffer.len() {
        let end = offset + wide(read);
        return Err(SnapshotError::damaged(path, end, SnapshotDamage::Cut));
    }
    Ok(())
}
