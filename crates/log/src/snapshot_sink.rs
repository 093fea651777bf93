//! Writing the bytes of a snapshot file to wherever bytes go in order, as into a backup that leaves
//! over the network. For files of the member's own directory there is
//! [`SnapshotWriter`](crate::SnapshotWriter).
//!
//! **Invariants.** What goes out is byte for byte what [`SnapshotWriter`](crate::SnapshotWriter)
//! puts into a file. No more than a chunk waits in memory.

use std::io::{self, Write};

use quorate_raft::EntryId;

use crate::number::{field, wide};
use crate::snapshot_format::{
    CHUNK_HEADER_BYTES, FOOTER_BYTES, Footer, Header, Layout, PAYLOAD_BYTES,
    SNAPSHOT_META_BYTES_MAX, seal_chunk,
};

/// A snapshot on its way out: the body goes in through [`Write`], then [`Self::finish`] ends it.
/// After an error of what it writes to, it is of no use.
#[derive(Debug)]
pub struct SnapshotSink<W> {
    out: W,
    header_crc: u32,
    meta_bytes: u32,
    /// Room for a header, and the payload that waits for more.
    chunk: Vec<u8>,
    /// How many chunks went out.
    chunks: u64,
    /// The checksum of the last of them, or of the header.
    crc: u32,
    /// How many bytes went out.
    end: u64,
}

impl<W: Write> SnapshotSink<W> {
    /// Begins the snapshot of a cluster's entries up to `point`. `meta` is for who reads it, at
    /// most [`SNAPSHOT_META_BYTES_MAX`].
    ///
    /// # Errors
    /// Those of `out`; [`io::ErrorKind::InvalidInput`] if `meta` is too long.
    pub fn create(out: W, cluster: u64, point: EntryId, meta: &[u8]) -> io::Result<Self> {
        if meta.len() > SNAPSHOT_META_BYTES_MAX {
            let (bytes, bytes_max) = (meta.len(), SNAPSHOT_META_BYTES_MAX);
            let what = format!("the meta part has {bytes} bytes, more than {bytes_max}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let meta_bytes = field(meta.len());
        let header = Header { cluster, point, meta_bytes, meta_crc: crc32c::crc32c(meta) };
        let bytes = header.encode();
        let header_crc = Header::checksum_of(&bytes);
        let chunk = vec![0; CHUNK_HEADER_BYTES];
        let (chunks, crc, end) = (0, header_crc, 0);
        let mut sink = Self { out, header_crc, meta_bytes, chunk, chunks, crc, end };
        sink.put(&bytes)?;
        sink.put(meta)?;
        Ok(sink)
    }

    /// Writes what is left and the footer. Gives back what was written to, not flushed, and how
    /// many bytes went there.
    ///
    /// # Errors
    /// Those of what is written to.
    pub fn finish(mut self) -> io::Result<(W, u64)> {
        if self.chunk.len() > CHUNK_HEADER_BYTES {
            self.write_chunk()?;
        }
        let file_bytes = self.end + wide(FOOTER_BYTES);
        let layout = Layout::of(self.meta_bytes, file_bytes).expect("what is written has a layout");
        assert_eq!(layout.chunks, self.chunks, "every chunk but the last is full");
        let body_bytes = layout.body_bytes();
        let footer = Footer { last_crc: self.crc, chunks: self.chunks, body_bytes, file_bytes };
        self.put(&footer.encode(self.header_crc))?;
        Ok((self.out, self.end))
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        let mut chunk = std::mem::take(&mut self.chunk);
        self.crc = seal_chunk(&mut chunk, self.chunks, self.crc);
        self.chunks += 1;
        self.put(&chunk)?;
        chunk.truncate(CHUNK_HEADER_BYTES);
        self.chunk = chunk;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.end += wide(bytes.len());
        self.out.write_all(bytes)
    }
}

impl<W: Write> Write for SnapshotSink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let full = CHUNK_HEADER_BYTES + PAYLOAD_BYTES;
        if self.chunk.len() == full && !bytes.is_empty() {
            self.write_chunk()?;
        }
        let count = bytes.len().min(full - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    /// Does nothing: a chunk goes out when it is full, and [`SnapshotSink::finish`] sends the last.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
