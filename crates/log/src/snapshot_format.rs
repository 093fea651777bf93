//! The bytes of a snapshot file: names, header, chunks, footer (`docs/snapshot-file.md`).
//!
//! Everything here is pure: bytes in, bytes out. Whether what is sound belongs where it is found
//! is for the reader to judge.

use quorate_raft::{EntryId, Index, Term};

use crate::number::{field, put_u32, put_u64, u32_at, u64_at, wide};
use crate::snapshot_error::SnapshotDamage;

/// The version of all that is written.
const VERSION: u32 = 1;

/// The length of the header.
pub(crate) const HEADER_BYTES: usize = 128;

/// The length of what stands before the payload of a chunk.
pub(crate) const CHUNK_HEADER_BYTES: usize = 16;

/// The payload of every chunk but the last, which may have less.
pub(crate) const PAYLOAD_BYTES: usize = 64 << 10;

/// The length of the footer.
pub(crate) const FOOTER_BYTES: usize = 64;

/// The largest permitted meta part of a snapshot.
pub const SNAPSHOT_META_BYTES_MAX: usize = 1 << 20;

/// What a name says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NameKind {
    /// It is complete.
    Complete,
    /// It is being received.
    Part,
    /// It is being written.
    Temporary,
}

impl NameKind {
    const ALL: [Self; 3] = [Self::Complete, Self::Part, Self::Temporary];

    const fn ending(self) -> &'static str {
        match self {
            Self::Complete => ".snap",
            Self::Part => ".part",
            Self::Temporary => ".tmp",
        }
    }
}

/// The name of the snapshot of `point`.
pub(crate) fn file_name(kind: NameKind, point: EntryId) -> String {
    let (index, term) = (point.index.value(), point.term.value());
    format!("snapshot-{index:016x}-{term:016x}{}", kind.ending())
}

/// What a name says, if it is that of a snapshot.
pub(crate) fn parse_name(name: &str) -> Option<(NameKind, EntryId)> {
    let kind = NameKind::ALL.into_iter().find(|kind| name.ends_with(kind.ending()))?;
    let digits = name.strip_prefix("snapshot-")?.strip_suffix(kind.ending())?;
    let (index, term) = digits.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    let point = EntryId::new(Term::new(number(term)?), Index::new(number(index)?));
    (file_name(kind, point) == name).then_some((kind, point))
}

/// Snapshots are ordered by how much of the log they stand for.
pub(crate) const fn age(point: EntryId) -> (u64, u64) {
    (point.index.value(), point.term.value())
}

/// The header of a snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) cluster: u64,
    /// The last entry that the snapshot stands for.
    pub(crate) point: EntryId,
    pub(crate) meta_bytes: u32,
    pub(crate) meta_crc: u32,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&HEADER_MAGIC);
        put_u32(&mut bytes, 12, VERSION);
        put_u64(&mut bytes, 16, self.cluster);
        put_u64(&mut bytes, 24, self.point.index.value());
        put_u64(&mut bytes, 32, self.point.term.value());
        put_u32(&mut bytes, 40, self.meta_bytes);
        put_u32(&mut bytes, 44, self.meta_crc);
        let crc = crc32c::crc32c(&bytes[12..]);
        put_u32(&mut bytes, 8, crc);
        bytes
    }

    /// Takes the header in `bytes`, and checks that it was written as one.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        if bytes[0..8] != HEADER_MAGIC {
            return Err(HeaderError::Damaged(SnapshotDamage::Magic));
        }
        if u32_at(bytes, 8) != crc32c::crc32c(&bytes[12..]) {
            return Err(HeaderError::Damaged(SnapshotDamage::Checksum));
        }
        match u32_at(bytes, 12) {
            VERSION => {}
            version => return Err(HeaderError::Version(version)),
        }
        let point = EntryId::new(Term::new(u64_at(bytes, 32)), Index::new(u64_at(bytes, 24)));
        Ok(Self {
            cluster: u64_at(bytes, 16),
            point,
            meta_bytes: u32_at(bytes, 40),
            meta_crc: u32_at(bytes, 44),
        })
    }

    /// The checksum of an encoded header: where those of the chunks begin.
    pub(crate) fn checksum_of(bytes: &[u8; HEADER_BYTES]) -> u32 {
        u32_at(bytes, 8)
    }
}

/// Why bytes are no header.
pub(crate) enum HeaderError {
    Damaged(SnapshotDamage),
    /// A sound header of a version that is not known here.
    Version(u32),
}

/// Puts its header before the payload in `chunk`, which begins with room for one. Returns the
/// checksum that the next chunk continues.
pub(crate) fn seal_chunk(chunk: &mut [u8], number: u64, previous: u32) -> u32 {
    let payload = field(chunk.len() - CHUNK_HEADER_BYTES);
    put_u64(chunk, 0, number);
    put_u32(chunk, 8, payload);
    let crc = chunk_checksum(chunk, previous);
    put_u32(chunk, 12, crc);
    crc
}

/// Whether `chunk`, header included, is the one of that number that continues `previous`. Returns
/// the checksum that the next chunk continues.
pub(crate) fn check_chunk(chunk: &[u8], number: u64, previous: u32) -> Result<u32, SnapshotDamage> {
    let crc = chunk_checksum(chunk, previous);
    let payload = wide(chunk.len() - CHUNK_HEADER_BYTES);
    if u32_at(chunk, 12) != crc
        || u64_at(chunk, 0) != number
        || u64::from(u32_at(chunk, 8)) != payload
    {
        return Err(SnapshotDamage::Chunk { number });
    }
    Ok(crc)
}

fn chunk_checksum(chunk: &[u8], previous: u32) -> u32 {
    let crc = crc32c::crc32c_append(previous, &chunk[..12]);
    crc32c::crc32c_append(crc, &chunk[CHUNK_HEADER_BYTES..])
}

/// The footer of a snapshot file. A file without one is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    /// The checksum of the last chunk; without chunks, that of the header.
    pub(crate) last_crc: u32,
    pub(crate) chunks: u64,
    /// The payload of all chunks.
    pub(crate) body_bytes: u64,
    /// The whole file, this footer included.
    pub(crate) file_bytes: u64,
}

impl Footer {
    /// The footer of the file whose header has that checksum.
    pub(crate) fn encode(&self, header_crc: u32) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[0..8].copy_from_slice(&FOOTER_MAGIC);
        put_u32(&mut bytes, 12, self.last_crc);
        put_u64(&mut bytes, 16, self.chunks);
        put_u64(&mut bytes, 24, self.body_bytes);
        put_u64(&mut bytes, 32, self.file_bytes);
        let crc = crc32c::crc32c_append(header_crc, &bytes[12..]);
        put_u32(&mut bytes, 8, crc);
        bytes
    }

    /// Takes the footer in `bytes`, and checks that it belongs to the header of that checksum.
    pub(crate) fn decode(
        bytes: &[u8; FOOTER_BYTES],
        header_crc: u32,
    ) -> Result<Self, SnapshotDamage> {
        if bytes[0..8] != FOOTER_MAGIC
            || u32_at(bytes, 8) != crc32c::crc32c_append(header_crc, &bytes[12..])
        {
            return Err(SnapshotDamage::Footer);
        }
        Ok(Self {
            last_crc: u32_at(bytes, 12),
            chunks: u64_at(bytes, 16),
            body_bytes: u64_at(bytes, 24),
            file_bytes: u64_at(bytes, 32),
        })
    }
}

/// Where everything is in a file whose length is known: there is one way only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where the first chunk begins.
    pub(crate) body_start: u64,
    /// Where the footer begins.
    pub(crate) footer_start: u64,
    pub(crate) chunks: u64,
}

impl Layout {
    /// The length of the shortest file.
    pub(crate) const FILE_BYTES_MIN: u64 = wide(HEADER_BYTES + FOOTER_BYTES);

    /// The layout of a file of that length. None: no file has it.
    pub(crate) fn of(meta_bytes: u32, file_bytes: u64) -> Option<Self> {
        let body_start = wide(HEADER_BYTES) + u64::from(meta_bytes);
        let footer_start = file_bytes.checked_sub(wide(FOOTER_BYTES))?;
        let length = footer_start.checked_sub(body_start)?;
        let chunks = length.div_ceil(CHUNK_BYTES);
        let layout = Self { body_start, footer_start, chunks };
        // A chunk has a payload.
        let is_whole = chunks == 0 || layout.chunk(chunks - 1).1 > wide(CHUNK_HEADER_BYTES);
        is_whole.then_some(layout)
    }

    /// Where a chunk begins, and its length with its header.
    pub(crate) fn chunk(&self, number: u64) -> (u64, u64) {
        let start = self.body_start + number * CHUNK_BYTES;
        (start, CHUNK_BYTES.min(self.footer_start - start))
    }

    /// The payload of all chunks.
    pub(crate) const fn body_bytes(&self) -> u64 {
        self.footer_start - self.body_start - self.chunks * wide(CHUNK_HEADER_BYTES)
    }

    /// Whether a footer says the same.
    pub(crate) const fn agrees(&self, footer: &Footer) -> bool {
        footer.chunks == self.chunks
            && footer.body_bytes == self.body_bytes()
            && footer.file_bytes == self.footer_start + wide(FOOTER_BYTES)
    }
}

/// The length of a full chunk with its header.
const CHUNK_BYTES: u64 = wide(CHUNK_HEADER_BYTES + PAYLOAD_BYTES);

const HEADER_MAGIC: [u8; 8] = *b"quorsn\r\n";
const FOOTER_MAGIC: [u8; 8] = *b"quorse\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_was_made_from_and_nothing_else_is_a_name() {
        let point = EntryId::new(Term::new(0xa7), Index::new(u64::MAX));
        for kind in NameKind::ALL {
            assert_eq!(parse_name(&file_name(kind, point)), Some((kind, point)));
        }
        let name = "snapshot-0000000000000010-0000000000000002.snap";
        let point = EntryId::new(Term::new(2), Index::new(16));
        assert_eq!(parse_name(name), Some((NameKind::Complete, point)));
        for other in [
            "snapshot-10-2.snap",
            "snapshot-0000000000000010-0000000000000002",
            "snapshot-0000000000000010-0000000000000002.snap.old",
            "snapshot-000000000000001A-0000000000000002.snap",
            "snapshot-+000000000000010-0000000000000002.snap",
            "log-0000000000000001.seg",
            ".snap",
            "",
        ] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_length_has_one_layout_or_none() {
        let full = CHUNK_BYTES;
        for (body, chunks) in [(0, 0), (17, 1), (full, 1), (full + 17, 2), (2 * full, 2)] {
            let layout = Layout::of(5, Layout::FILE_BYTES_MIN + 5 + body).expect("a file");
            assert_eq!(layout.chunks, chunks);
            assert_eq!(layout.body_bytes(), body - 16 * chunks);
        }
        for body in [1, 16, full + 1, full + 16] {
            assert_eq!(Layout::of(5, Layout::FILE_BYTES_MIN + 5 + body), None, "{body}");
        }
        assert_eq!(Layout::of(0, Layout::FILE_BYTES_MIN - 1), None);
        assert_eq!(Layout::of(u32::MAX, 1 << 20), None);
        assert!(Layout::of(0, u64::MAX).is_some_and(|layout| layout.body_bytes() > 1 << 63));
    }
}
