//! Entries in a row of one term, encoded once: the same bytes go to the disk, to the peers and to
//! the state machine.
//!
//! **Invariant:** the bytes of a [`Block`] are exactly `count` well-formed entries, `count` is at
//! least 1, and no index in it overflows. Whoever makes one from foreign bytes goes through
//! [`Block::parse`].

use bytes::{Bytes, BytesMut};
use quorate_raft::{EntryId, Index, Term};

use crate::number::{field, narrow, u32_at, u64_at, wide};

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// Changes nothing: a new leader's first entry.
    NoOp,
    /// A command for the state machine.
    Command,
    /// A membership; the member acts on it as soon as it is in the log.
    Membership,
    /// About the comparison of the members' states; changes none of them.
    Check,
}

impl EntryKind {
    const fn code(self) -> u8 {
        match self {
            Self::NoOp => 0,
            Self::Command => 1,
            Self::Membership => 2,
            Self::Check => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::NoOp),
            1 => Some(Self::Command),
            2 => Some(Self::Membership),
            3 => Some(Self::Check),
            4.. => None,
        }
    }
}

/// One entry of a block; the body shares the block's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its term and index.
    pub id: EntryId,
    /// What it is for.
    pub kind: EntryKind,
    /// Who proposed it; with `sequence` it finds the proposal that waits for the answer.
    pub origin: u64,
    /// The number its proposer gave it.
    pub sequence: u64,
    /// What is proposed.
    pub body: Bytes,
}

/// Entries in a row of one term, in their encoded form. Cloning copies no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    first: Index,
    term: Term,
    count: u32,
    bytes: Bytes,
}

/// Bytes that are not the block they are said to be: the sender or the disk is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A block without entries.
    #[error("the block has no entries; its sender must not send empty blocks")]
    Empty,
    /// Longer than any block can be.
    #[error(
        "the block is {0} bytes long, beyond the limit of {max}; its sender must split it",
        max = Block::BYTES_MAX
    )]
    TooLong(u64),
    /// The indexes run out of their range.
    #[error("the block's indexes overflow; its sender made up the first index")]
    IndexOverflow,
    /// The entries end early, late, or in the middle of an entry.
    #[error(
        "entry {entry} of the block does not end where it says; its sender or the link is broken"
    )]
    Framing {
        /// Which entry, counted from 0.
        entry: u32,
    },
    /// An entry of a kind that this version does not know.
    #[error(
        "entry {entry} of the block is of unknown kind {kind}; upgrade this member to its \
         sender's version"
    )]
    UnknownKind {
        /// Which entry, counted from 0.
        entry: u32,
        /// Its kind.
        kind: u8,
    },
}

impl Block {
    /// The longest encoded form of a block.
    pub const BYTES_MAX: u64 = 256 << 20;

    /// The longest body of one entry.
    pub const BODY_BYTES_MAX: u64 = Self::BYTES_MAX - wide(FRAME_BYTES);

    /// Takes bytes from a peer or a disk, and checks that they are `count` entries.
    pub fn parse(first: Index, term: Term, count: u32, bytes: Bytes) -> Result<Self, Malformed> {
        Self::walk(first, count, &bytes, |_, _, _| {})?;
        Ok(Self { first, term, count, bytes })
    }

    /// Checks that bytes are `count` entries from `first` on, and shows each entry's index, kind
    /// and body on the way. What was shown is good only if the whole is.
    pub(crate) fn walk<'a>(
        first: Index,
        count: u32,
        bytes: &'a [u8],
        mut visit: impl FnMut(Index, EntryKind, &'a [u8]),
    ) -> Result<(), Malformed> {
        if count == 0 {
            return Err(Malformed::Empty);
        }
        if wide(bytes.len()) > Self::BYTES_MAX {
            return Err(Malformed::TooLong(wide(bytes.len())));
        }
        if first.value().checked_add(u64::from(count)).is_none() {
            return Err(Malformed::IndexOverflow);
        }
        let mut left = bytes;
        for entry in 0..count {
            if left.len() < FRAME_BYTES {
                return Err(Malformed::Framing { entry });
            }
            let length = u64::from(u32_at(left, 0));
            if length < wide(FIXED_BYTES) || length > wide(left.len() - LENGTH_BYTES) {
                return Err(Malformed::Framing { entry });
            }
            let code = left[LENGTH_BYTES];
            let Some(kind) = EntryKind::from_code(code) else {
                return Err(Malformed::UnknownKind { entry, kind: code });
            };
            let (this, rest) = left.split_at(LENGTH_BYTES + narrow(length));
            visit(first.plus(u64::from(entry)), kind, &this[FRAME_BYTES..]);
            left = rest;
        }
        if left.is_empty() { Ok(()) } else { Err(Malformed::Framing { entry: count - 1 }) }
    }

    /// A block whose framing was checked before, at most cut short since.
    pub(crate) fn checked_before(first: Index, term: Term, count: u32, bytes: Bytes) -> Self {
        assert!(count > 0, "a block holds at least one entry");
        Self { first, term, count, bytes }
    }

    /// The index of the first entry.
    #[must_use]
    pub const fn first(&self) -> Index {
        self.first
    }

    /// The term of every entry in it.
    #[must_use]
    pub const fn term(&self) -> Term {
        self.term
    }

    /// How many entries it holds, at least 1.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The entries as they are stored and sent.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length of [`Self::bytes`].
    #[must_use]
    pub const fn bytes_len(&self) -> u64 {
        wide(self.bytes.len())
    }

    /// The last entry.
    #[must_use]
    pub fn last(&self) -> EntryId {
        EntryId::new(self.term, self.next().previous())
    }

    /// The index after the last entry.
    #[must_use]
    pub const fn next(&self) -> Index {
        self.first.plus(self.count as u64)
    }

    /// The entries in order.
    #[must_use]
    pub fn entries(&self) -> Entries {
        Entries { next: EntryId::new(self.term, self.first), left: self.bytes.clone() }
    }

    /// The same entries at another place: a leader puts what a follower forwarded into its log.
    #[must_use]
    pub fn at(self, first: Index, term: Term) -> Self {
        assert!(first.value().checked_add(u64::from(self.count)).is_some(), "an index overflows");
        Self { first, term, ..self }
    }

    /// The entries from `from` to before `to`, which must be at least one and lie in the block.
    #[must_use]
    pub fn slice(&self, from: Index, to: Index) -> Self {
        assert!(self.first <= from && to <= self.next(), "a slice reaches beyond its block");
        assert!(from < to, "a block holds at least one entry");
        let start = self.offset_of(0, from.since(self.first));
        let end = if to == self.next() {
            self.bytes.len()
        } else {
            self.offset_of(start, to.since(from))
        };
        let count = u32::try_from(to.since(from)).expect("a part is not larger than the whole");
        Self { first: from, term: self.term, count, bytes: self.bytes.slice(start..end) }
    }

    /// How many entries from the first on fit into `bytes_max`, and how long they are; one always
    /// fits.
    #[must_use]
    pub fn prefix(&self, bytes_max: u64) -> (u32, u64) {
        self.prefix_within(u64::from(self.count), bytes_max)
    }

    /// As [`Self::prefix`], but of `count_max` entries at most; one always fits.
    pub(crate) fn prefix_within(&self, count_max: u64, bytes_max: u64) -> (u32, u64) {
        if self.bytes_len() <= bytes_max && u64::from(self.count) <= count_max {
            return (self.count, self.bytes_len());
        }
        let mut count = 0;
        let mut end = 0;
        while count < self.count {
            let next = end + LENGTH_BYTES + narrow(u64::from(u32_at(&self.bytes, end)));
            if count > 0 && (wide(next) > bytes_max || u64::from(count) >= count_max) {
                break;
            }
            count += 1;
            end = next;
        }
        (count, wide(end))
    }

    /// Where the entry `skip` entries after the one at `offset` begins.
    fn offset_of(&self, mut offset: usize, skip: u64) -> usize {
        for _ in 0..skip {
            offset += LENGTH_BYTES + narrow(u64::from(u32_at(&self.bytes, offset)));
        }
        offset
    }
}

/// The entries of a block in order; see [`Block::entries`].
#[derive(Clone, Debug)]
pub struct Entries {
    next: EntryId,
    left: Bytes,
}

impl Iterator for Entries {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.left.is_empty() {
            return None;
        }
        let length = LENGTH_BYTES + narrow(u64::from(u32_at(&self.left, 0)));
        let mut bytes = self.left.split_to(length);
        let kind = EntryKind::from_code(bytes[LENGTH_BYTES]).expect("checked by Block::parse");
        let origin = u64_at(&bytes, LENGTH_BYTES + 1);
        let sequence = u64_at(&bytes, LENGTH_BYTES + 9);
        let id = self.next;
        self.next.index = id.index.next();
        Some(Entry { id, kind, origin, sequence, body: bytes.split_off(FRAME_BYTES) })
    }
}

/// Encodes the entries of a block.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    count: u32,
    bytes: BytesMut,
}

impl BlockBuilder {
    /// A builder without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. The body and the block must keep within [`Block::BODY_BYTES_MAX`] and
    /// [`Block::BYTES_MAX`]; whoever takes proposals bounds them far below.
    pub fn push(&mut self, kind: EntryKind, origin: u64, sequence: u64, body: &[u8]) {
        let length = FRAME_BYTES + body.len();
        assert!(wide(self.bytes.len() + length) <= Block::BYTES_MAX, "a block grew too long");
        self.bytes.reserve(length);
        self.bytes.extend_from_slice(&field(length - LENGTH_BYTES).to_le_bytes());
        self.bytes.extend_from_slice(&[kind.code()]);
        self.bytes.extend_from_slice(&origin.to_le_bytes());
        self.bytes.extend_from_slice(&sequence.to_le_bytes());
        self.bytes.extend_from_slice(body);
        self.count += 1;
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many entries were added.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// The length of the encoded entries.
    #[must_use]
    pub fn bytes_len(&self) -> u64 {
        wide(self.bytes.len())
    }

    /// The block of what was added, which must be at least one entry.
    #[must_use]
    pub fn finish(self, first: Index, term: Term) -> Block {
        assert!(self.count > 0, "a block holds at least one entry");
        let block = Block { first, term, count: self.count, bytes: self.bytes.freeze() };
        block.at(first, term)
    }
}

/// The length field of an entry; it counts what follows it.
const LENGTH_BYTES: usize = 4;

/// Kind, origin and sequence.
const FIXED_BYTES: usize = 1 + 8 + 8;

/// All of an entry but its body.
const FRAME_BYTES: usize = LENGTH_BYTES + FIXED_BYTES;
