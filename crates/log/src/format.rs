//! The bytes on the disk: identity file, segment headers, record headers (`docs/log-format.md`).
//!
//! Everything here is pure: bytes in, bytes out. Whether a sound header is the right one at its
//! place is for the reader to judge.

use quorate_raft::{EntryId, HardState, Index, NodeId, Term};

use crate::error::FormatError;
use crate::number::{put_u32, put_u64, u32_at, u64_at};
use crate::options::Identity;

/// The version of all that is written.
pub(crate) const VERSION: u32 = 1;

/// The name of the identity file.
pub(crate) const IDENTITY_FILE: &str = "identity";

/// The name of the identity file until it is complete.
pub(crate) const IDENTITY_FILE_NEW: &str = "identity.new";

/// The name of the file that says up to where a log was durable when it was closed.
pub(crate) const SEAL_FILE: &str = "sealed";

/// The length of the identity file.
pub(crate) const IDENTITY_BYTES: usize = 64;

/// The length of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 128;

/// The length of a record's header.
pub(crate) const RECORD_HEADER_BYTES: usize = 64;

/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;

/// The name of a segment.
pub(crate) fn segment_name(number: u32) -> String {
    format!("log-{number:016x}.seg")
}

/// The number in the name of a segment, if it is one.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".seg")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (segment_name(number) == name).then_some(number)
}

/// A place in the log: a segment and an offset in it. Ordered as the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u64);

impl Position {
    /// Before everything.
    pub(crate) const ZERO: Self = Self(0);

    pub(crate) const fn new(segment: u32, offset: u32) -> Self {
        Self(((segment as u64) << 32) | offset as u64)
    }

    /// The segment's number; the first is 1.
    pub(crate) fn segment(self) -> u32 {
        u32::try_from(self.0 >> 32).expect("half of 64 bits are 32")
    }

    pub(crate) const fn offset(self) -> u64 {
        self.0 & 0xffff_ffff
    }

    /// The place `bytes` further in the same segment.
    pub(crate) fn plus(self, bytes: u64) -> Self {
        let offset = u32::try_from(self.offset() + bytes).expect("a segment is bounded");
        Self::new(self.segment(), offset)
    }
}

/// What a record of `body` bytes takes, padding included.
pub(crate) const fn record_bytes(body: u64) -> u64 {
    (RECORD_HEADER_BYTES as u64 + body).next_multiple_of(ALIGNMENT)
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// The log was opened: the first record of each incarnation, durable before its second.
    Opened,
    /// A term and vote.
    HardState,
    /// A block of entries.
    Block,
    /// Everything before this place is durable. The next record is written in its place.
    Marker,
    /// Whatever the log held no longer counts: it goes on after an entry.
    Base,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    /// Where this record is: a record elsewhere went astray.
    pub(crate) position: Position,
    /// Everything before this place was durable when this record was written.
    pub(crate) synced: Position,
    /// Which opening of the log wrote it; never less than that of any record before it.
    pub(crate) incarnation: u32,
    /// The length of the body, without padding.
    pub(crate) body_bytes: u32,
    pub(crate) body_crc: u32,
    /// The number of entries; of a hard state: 1 with a vote, 0 without.
    pub(crate) count: u32,
    /// The index of the first entry, or of the base; of a hard state: the vote.
    pub(crate) first: u64,
    /// The term of the entries, of the base or of the hard state.
    pub(crate) term: u64,
}

impl RecordHeader {
    /// The header's bytes.
    pub(crate) fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&RECORD_MAGIC);
        bytes[8] = match self.kind {
            RecordKind::Opened => 1,
            RecordKind::HardState => 2,
            RecordKind::Block => 3,
            RecordKind::Marker => 4,
            RecordKind::Base => 5,
        };
        put_u64(&mut bytes, 16, self.position.0);
        put_u64(&mut bytes, 24, self.synced.0);
        put_u32(&mut bytes, 32, self.incarnation);
        put_u32(&mut bytes, 36, self.body_bytes);
        put_u32(&mut bytes, 40, self.body_crc);
        put_u32(&mut bytes, 44, self.count);
        put_u64(&mut bytes, 48, self.first);
        put_u64(&mut bytes, 56, self.term);
        let crc = crc32c::crc32c(&bytes[8..]);
        put_u32(&mut bytes, 4, crc);
        bytes
    }

    /// Takes the header in `bytes`, and checks that it was written as one and at `position`.
    pub(crate) fn decode(bytes: &[u8], position: Position) -> Result<Self, FormatError> {
        let bytes = &bytes[..bytes.len().min(RECORD_HEADER_BYTES)];
        if bytes.len() < RECORD_HEADER_BYTES || bytes[0..4] != RECORD_MAGIC {
            return Err(blank_or_bad(bytes));
        }
        if u32_at(bytes, 4) != crc32c::crc32c(&bytes[8..]) {
            return Err(FormatError::Checksum);
        }
        if Position(u64_at(bytes, 16)) != position {
            return Err(FormatError::Misplaced);
        }
        let kind = match bytes[8] {
            1 => RecordKind::Opened,
            2 => RecordKind::HardState,
            3 => RecordKind::Block,
            4 => RecordKind::Marker,
            5 => RecordKind::Base,
            0 | 6.. => return Err(FormatError::Kind),
        };
        // Flags and a group, for later versions.
        if bytes[9..16] != [0; 7] {
            return Err(FormatError::Kind);
        }
        Ok(Self {
            kind,
            position,
            synced: Position(u64_at(bytes, 24)),
            incarnation: u32_at(bytes, 32),
            body_bytes: u32_at(bytes, 36),
            body_crc: u32_at(bytes, 40),
            count: u32_at(bytes, 44),
            first: u64_at(bytes, 48),
            term: u64_at(bytes, 56),
        })
    }

    /// The record's full length on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        record_bytes(u64::from(self.body_bytes))
    }

    /// The hard state in a record of that kind.
    pub(crate) fn hard_state(&self) -> HardState {
        assert_eq!(self.kind, RecordKind::HardState, "another record holds no hard state");
        hard_state(self.term, self.count, self.first)
    }

    /// Whether bytes may be the beginning of a header: a quick test before [`Self::decode`].
    pub(crate) fn may_begin(bytes: &[u8]) -> bool {
        bytes.starts_with(&RECORD_MAGIC)
    }
}

/// The header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: Identity,
    pub(crate) number: u32,
    /// Which opening of the log wrote it.
    pub(crate) incarnation: u32,
    /// Where the segment before this one ends: nothing is missing between the two.
    pub(crate) previous_end: Position,
    /// Everything before this place was durable when the segment was begun.
    pub(crate) synced: Position,
    /// The last entry before this segment.
    pub(crate) last: EntryId,
    /// The hard state before this segment: earlier segments are not needed for it.
    pub(crate) hard_state: HardState,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        put_u32(&mut bytes, 12, VERSION);
        put_u64(&mut bytes, 16, self.identity.cluster);
        put_u64(&mut bytes, 24, self.identity.member);
        put_u32(&mut bytes, 32, self.number);
        put_u32(&mut bytes, 36, self.incarnation);
        put_u64(&mut bytes, 40, self.previous_end.0);
        put_u64(&mut bytes, 48, self.synced.0);
        put_u64(&mut bytes, 56, self.last.index.value());
        put_u64(&mut bytes, 64, self.last.term.value());
        put_u64(&mut bytes, 72, self.hard_state.term.value());
        put_u64(&mut bytes, 80, self.hard_state.vote.map_or(0, NodeId::value));
        put_u32(&mut bytes, 88, u32::from(self.hard_state.vote.is_some()));
        let crc = crc32c::crc32c(&bytes[12..]);
        put_u32(&mut bytes, 8, crc);
        bytes
    }

    /// Takes the header in `bytes`, and checks that it was written as that of segment `number`.
    pub(crate) fn decode(bytes: &[u8], number: u32) -> Result<Self, FormatError> {
        let bytes = &bytes[..bytes.len().min(SEGMENT_HEADER_BYTES)];
        if bytes.len() < SEGMENT_HEADER_BYTES {
            return Err(blank_or_bad(bytes));
        }
        check_file_header(bytes, SEGMENT_MAGIC)?;
        if u32_at(bytes, 32) != number {
            return Err(FormatError::Misplaced);
        }
        Ok(Self {
            identity: Identity { cluster: u64_at(bytes, 16), member: u64_at(bytes, 24) },
            number,
            incarnation: u32_at(bytes, 36),
            previous_end: Position(u64_at(bytes, 40)),
            synced: Position(u64_at(bytes, 48)),
            last: EntryId::new(Term::new(u64_at(bytes, 64)), Index::new(u64_at(bytes, 56))),
            hard_state: hard_state(u64_at(bytes, 72), u32_at(bytes, 88), u64_at(bytes, 80)),
        })
    }
}

/// The content of the identity file.
pub(crate) fn encode_identity(identity: Identity) -> [u8; IDENTITY_BYTES] {
    let mut bytes = [0; IDENTITY_BYTES];
    bytes[0..8].copy_from_slice(&IDENTITY_MAGIC);
    put_u32(&mut bytes, 12, VERSION);
    put_u64(&mut bytes, 16, identity.cluster);
    put_u64(&mut bytes, 24, identity.member);
    let crc = crc32c::crc32c(&bytes[12..]);
    put_u32(&mut bytes, 8, crc);
    bytes
}

/// The identity in the content of the identity file.
pub(crate) fn decode_identity(bytes: &[u8]) -> Result<Identity, FormatError> {
    if bytes.len() < IDENTITY_BYTES {
        return Err(FormatError::Checksum);
    }
    let bytes = &bytes[..IDENTITY_BYTES];
    check_file_header(bytes, IDENTITY_MAGIC)?;
    Ok(Identity { cluster: u64_at(bytes, 16), member: u64_at(bytes, 24) })
}

/// Magic, checksum, version: the start of every file, in this place in every version to come.
fn check_file_header(bytes: &[u8], magic: [u8; 8]) -> Result<(), FormatError> {
    if bytes[0..8] != magic {
        return Err(blank_or_bad(bytes));
    }
    if u32_at(bytes, 8) != crc32c::crc32c(&bytes[12..]) {
        return Err(FormatError::Checksum);
    }
    match u32_at(bytes, 12) {
        VERSION => Ok(()),
        version => Err(FormatError::Version(version)),
    }
}

/// What bytes are that are no header.
fn blank_or_bad(bytes: &[u8]) -> FormatError {
    if bytes.iter().all(|&byte| byte == 0) { FormatError::Blank } else { FormatError::Checksum }
}

fn hard_state(term: u64, votes: u32, vote: u64) -> HardState {
    HardState { term: Term::new(term), vote: (votes > 0).then_some(NodeId::new(vote)) }
}

const IDENTITY_MAGIC: [u8; 8] = *b"quorid\r\n";
const SEGMENT_MAGIC: [u8; 8] = *b"quorlg\r\n";
const RECORD_MAGIC: [u8; 4] = *b"qRe\xc1";
