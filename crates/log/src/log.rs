//! The log as its owner sees it: append, sync, last, terms. Reading is in `read.rs`, opening in
//! `open.rs`.
//!
//! **Invariants.** Records get their places in the order of the appends. At most one sync job is
//! out; only it writes. What is not durable is in the cache.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use quorate_raft::{EntryId, HardState, Index, NodeId, Term};

use crate::block::Block;
use crate::cache::Cache;
use crate::disk::Disk;
use crate::error::CloseError;
use crate::format::{
    Position, RECORD_HEADER_BYTES, RecordHeader, RecordKind, SEGMENT_HEADER_BYTES, SegmentHeader,
    record_bytes,
};
use crate::index::{Record, Records};
use crate::number::{field, wide};
use crate::options::{Identity, Options};
use crate::read::Readers;
use crate::removal::Removal;
use crate::sync::{SyncJob, Synced};
use crate::writer::{Pending, Shared, Writer};

/// Numbers the appends of one opened log, from 1 on. A sync makes everything up to one durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sequence(u64);

impl Sequence {
    /// Before the first append.
    pub const ZERO: Self = Self(0);

    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The plain number.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

/// Whether there is space for proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Enough,
    /// The disk or the quota is full; what is left is for votes and what is under way.
    Full,
}

/// A durable log over a disk; see the crate's documentation.
pub struct Log<D: Disk> {
    pub(crate) readers: Readers<D>,
    pub(crate) records: Records,
    pub(crate) cache: Cache,
    hard_state: HardState,
    identity: Identity,
    options: Options,
    /// Which opening of this log this is.
    incarnation: u32,
    /// Where the next record goes.
    tail: Position,
    /// The bytes that records have taken since the log was opened.
    placed: u64,
    pending: Vec<Pending>,
    pub(crate) appended: Sequence,
    durable: Sequence,
    /// Everything before this place is durable.
    pub(crate) durable_end: Position,
    /// The first segment that is there, as of the last job that succeeded.
    pub(crate) oldest: u32,
    /// The next job is to remove segments.
    pub(crate) removal_waits: bool,
    /// What writes; gone while a job is out.
    writer: Option<Box<Writer<D>>>,
    shared: Arc<Shared>,
}

/// What recovery found and the log goes on from.
#[derive(Debug)]
pub(crate) struct Foundation {
    pub(crate) records: Records,
    pub(crate) hard_state: HardState,
    pub(crate) incarnation: u32,
    pub(crate) tail: Position,
}

impl<D: Disk> Log<D> {
    pub(crate) fn new(
        identity: Identity,
        options: Options,
        foundation: Foundation,
        mut writer: Writer<D>,
    ) -> Self {
        let oldest = foundation.records.first_segment();
        writer.removal = Removal::new(oldest);
        Self {
            readers: Readers::new(writer.disk().clone()),
            records: foundation.records,
            cache: Cache::new(options.cache_bytes),
            hard_state: foundation.hard_state,
            identity,
            options,
            incarnation: foundation.incarnation,
            tail: foundation.tail,
            placed: 0,
            pending: Vec::new(),
            appended: Sequence::ZERO,
            durable: Sequence::ZERO,
            durable_end: foundation.tail,
            oldest,
            removal_waits: false,
            shared: writer.shared(),
            writer: Some(Box::new(writer)),
        }
    }

    /// The last entry, durable or not; [`Self::base`] in a log without any.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.records.last()
    }

    /// The term of the entry at `index`, that of [`Self::base`] included: none beyond the last, and
    /// none before the base, where it is not known any more.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.records.term_at(index)
    }

    /// The latest term and vote, durable or not.
    #[must_use]
    pub const fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The latest append.
    #[must_use]
    pub const fn appended(&self) -> Sequence {
        self.appended
    }

    /// The append up to which everything is durable.
    #[must_use]
    pub const fn durable(&self) -> Sequence {
        self.durable
    }

    /// Whether there is space for proposals: as of the latest job that ran, less what was appended
    /// since.
    #[must_use]
    pub fn room(&self) -> Room {
        if self.shared.is_full(self.placed) { Room::Full } else { Room::Enough }
    }

    /// Whether a write or a sync failed for good: the member must stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped()
    }

    /// Adds a term and vote and blocks, in this order; each block replaces whatever is at its first
    /// index and beyond. Visible at once; durable once [`Self::finish_sync`] says so. Never touches
    /// the disk.
    ///
    /// # Panics
    /// If the term falls, or a block leaves a gap, or replaces [`Self::base`], or its term is below
    /// that of the entry before it: a bug of the caller.
    pub fn append<'a>(
        &mut self,
        hard_state: Option<HardState>,
        blocks: impl IntoIterator<Item = &'a Block>,
    ) -> Sequence {
        self.appended = Sequence(self.appended.0 + 1);
        if let Some(state) = hard_state {
            self.append_hard_state(state);
        }
        for block in blocks {
            self.append_block(block.clone());
        }
        self.appended
    }

    /// Everything that waits, as one job; none if nothing waits or a job is out. What
    /// [`Self::compact`] gave up waits, too.
    pub fn begin_sync(&mut self) -> Option<SyncJob<D>> {
        if self.pending.is_empty() && !self.removal_waits { None } else { self.job() }
    }

    /// A job that writes nothing but tries again to get space, while [`Self::room`] is
    /// [`Room::Full`] and no job is out.
    pub fn begin_allocate(&mut self) -> Option<SyncJob<D>> {
        match self.room() {
            Room::Full if self.pending.is_empty() => self.job(),
            Room::Full | Room::Enough => None,
        }
    }

    /// Takes note that a job succeeded. Everything up to the returned append is durable.
    pub fn finish_sync(&mut self, synced: Synced<D>) -> Sequence {
        let Synced { writer, sequence, end } = synced;
        self.oldest = writer.removal.oldest();
        self.removal_waits &= self.oldest < self.records.first_segment();
        assert!(self.writer.is_none(), "a job succeeded that was never out");
        assert!(self.durable <= sequence, "durability goes backwards");
        assert!(sequence <= self.appended, "more is durable than was appended");
        self.writer = Some(writer);
        self.durable = sequence;
        self.durable_end = end;
        self.cache.shrink(self.durable);
        self.durable
    }

    /// Makes everything durable, the proof of it included, so that damage to the last record cannot
    /// be taken for a torn write. A log that is just dropped opens again as well.
    pub fn close(mut self) -> Result<(), CloseError> {
        if self.is_stopped() {
            return Err(CloseError::Stopped);
        }
        if self.writer.is_none() {
            return Err(CloseError::JobUnderWay);
        }
        if let Some(job) = self.begin_sync() {
            let synced = job.run().map_err(|failure| failure.into_close())?;
            self.finish_sync(synced);
        }
        let marker = self.marker();
        let writer = self.writer.as_mut().ok_or(CloseError::JobUnderWay)?;
        writer.seal(marker)
    }

    fn append_hard_state(&mut self, state: HardState) {
        assert!(self.hard_state.term <= state.term, "a term never falls");
        let header = RecordHeader {
            count: u32::from(state.vote.is_some()),
            first: state.vote.map_or(0, NodeId::value),
            term: state.term.value(),
            ..self.blank_header(RecordKind::HardState)
        };
        self.place_record(header);
        self.hard_state = state;
    }

    fn append_block(&mut self, block: Block) {
        assert!(self.records.accepts(block.first(), block.term()), "a block leaves a gap");
        let body_bytes = field(block.bytes().len());
        let position = self.make_room(record_bytes(u64::from(body_bytes)));
        let header = RecordHeader {
            body_bytes,
            count: block.count(),
            first: block.first().value(),
            term: block.term().value(),
            ..self.blank_header(RecordKind::Block)
        };
        self.place(header, position, block.bytes().clone());
        self.records.push(Record {
            first: block.first(),
            term: block.term(),
            count: block.count(),
            count_stored: block.count(),
            body_bytes,
            position,
        });
        self.cache.push(self.appended, block);
        self.cache.shrink(self.durable);
    }

    /// Adds the record that begins this incarnation.
    pub(crate) fn append_opened(&mut self) {
        let header = self.blank_header(RecordKind::Opened);
        self.place_record(header);
    }

    /// Adds a record without a body, and says where it is.
    pub(crate) fn place_record(&mut self, header: RecordHeader) -> Position {
        let position = self.make_room(wide(RECORD_HEADER_BYTES));
        self.place(header, position, Bytes::new());
        position
    }

    fn place(&mut self, header: RecordHeader, position: Position, body: Bytes) {
        self.pending.push(Pending::Record { header: RecordHeader { position, ..header }, body });
        self.tail = position.plus(header.bytes());
        self.placed += header.bytes();
    }

    /// The place of a record of `bytes`; begins a segment where the current one is used up.
    fn make_room(&mut self, bytes: u64) -> Position {
        let used = self.tail.offset();
        let begun = used > wide(SEGMENT_HEADER_BYTES);
        if used == 0 || (begun && used + bytes > self.options.segment_bytes) {
            self.begin_segment();
        }
        self.tail
    }

    fn begin_segment(&mut self) {
        let previous_end = self.tail;
        let number = if previous_end.offset() == 0 {
            previous_end.segment()
        } else {
            previous_end.segment().checked_add(1).expect("fewer than 2^32 segments")
        };
        self.pending.push(Pending::Segment(SegmentHeader {
            identity: self.identity,
            number,
            incarnation: self.incarnation,
            previous_end,
            synced: Position::ZERO,
            last: self.records.last(),
            hard_state: self.hard_state,
        }));
        self.records.begin_segment(number);
        // What is left of the segment before is of no use any more.
        let left = self.options.segment_bytes.saturating_sub(previous_end.offset());
        self.placed += left + wide(SEGMENT_HEADER_BYTES);
        self.tail = Position::new(number, field(SEGMENT_HEADER_BYTES));
    }

    fn job(&mut self) -> Option<SyncJob<D>> {
        if self.is_stopped() {
            return None;
        }
        let mut writer = self.writer.take()?;
        writer.placed = self.placed;
        let removes = std::mem::take(&mut self.removal_waits);
        Some(SyncJob {
            writer,
            pending: std::mem::take(&mut self.pending),
            sequence: self.appended,
            synced: self.durable_end,
            marker: self.marker(),
            keep_from: if removes { self.records.first_segment() } else { 0 },
        })
    }

    /// The proof that everything so far is durable, to be written once it is.
    fn marker(&self) -> RecordHeader {
        RecordHeader {
            position: self.tail,
            synced: self.tail,
            ..self.blank_header(RecordKind::Marker)
        }
    }

    /// A header without content; what is known only later is zero.
    pub(crate) fn blank_header(&self, kind: RecordKind) -> RecordHeader {
        RecordHeader {
            kind,
            position: Position::ZERO,
            synced: Position::ZERO,
            incarnation: self.incarnation,
            body_bytes: 0,
            body_crc: 0,
            count: 0,
            first: 0,
            term: 0,
        }
    }
}

impl<D: Disk> fmt::Debug for Log<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("identity", &self.identity)
            .field("last", &self.last())
            .field("hard_state", &self.hard_state)
            .field("appended", &self.appended)
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}
