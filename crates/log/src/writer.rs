//! What writes: encodes what waits, gets space for it, writes it, syncs it, and proves it.
//!
//! Owned by whoever runs the sync job, so that no lock is needed between it and the log.
//!
//! **Invariants.** A record has its place before it comes here, so a job that is run again after a
//! full disk writes the same bytes to the same places. No sync is ever tried again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use crate::disk::{Disk, DiskFile};
use crate::error::{CloseError, is_full};
use crate::format::{
    Position, RECORD_HEADER_BYTES, RecordHeader, SEAL_FILE, SegmentHeader, segment_name,
};
use crate::number::{narrow, wide};
use crate::options::Options;
use crate::removal::Removal;

/// Something to be written; what it lacks is filled in when it is.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// The beginning of a segment.
    Segment(SegmentHeader),
    /// A record.
    Record {
        /// Its header, without what is proven and the body's checksum.
        header: RecordHeader,
        /// Its body.
        body: Bytes,
    },
}

/// What the log and the writer both know.
#[derive(Debug)]
pub(crate) struct Shared {
    /// As many bytes may be placed since the log was opened before the disk counts as full.
    /// `u64::MAX` while more space can be had.
    placed_max: AtomicU64,
    stopped: AtomicBool,
}

impl Default for Shared {
    fn default() -> Self {
        Self { placed_max: AtomicU64::new(u64::MAX), stopped: AtomicBool::new(false) }
    }
}

impl Shared {
    /// Whether the disk is full, now that so many bytes were placed.
    pub(crate) fn is_full(&self, placed: u64) -> bool {
        self.placed_max.load(Ordering::Acquire) < placed
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn set_placed_max(&self, placed_max: u64) {
        self.placed_max.store(placed_max, Ordering::Release);
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

/// A failure, and whether the job may be run again.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) file: String,
    pub(crate) error: io::Error,
    pub(crate) is_final: bool,
}

/// The writing side of a log.
#[derive(Debug)]
pub(crate) struct Writer<D: Disk> {
    disk: D,
    /// Held as long as something may write.
    _lock: D::Lock,
    options: Options,
    current: Option<Segment<D::File>>,
    /// The segment after the current one, so that a full disk is noticed before it is needed.
    spare: Option<Segment<D::File>>,
    /// A file was made, or taken over from an earlier process, whose name may not be durable yet.
    has_new_names: bool,
    /// The bytes placed since the log was opened, up to the end of the job.
    pub(crate) placed: u64,
    /// Which segments are there.
    pub(crate) removal: Removal,
    shared: Arc<Shared>,
}

/// A segment open for writing.
#[derive(Debug)]
struct Segment<F> {
    number: u32,
    file: F,
    /// Space is reserved up to here.
    allocated: u64,
    /// Zeros are written up to here.
    zeroed: u64,
}

/// The consecutive bytes that a job writes into one segment.
struct Chunk {
    number: u32,
    start: u64,
    bytes: Vec<u8>,
    /// If it begins its segment: where the segment before ends.
    previous_end: Option<Position>,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.start + wide(self.bytes.len())
    }
}

impl<D: Disk> Writer<D> {
    pub(crate) fn new(disk: D, lock: D::Lock, options: Options) -> Self {
        Self {
            disk,
            _lock: lock,
            options,
            current: None,
            spare: None,
            has_new_names: false,
            placed: 0,
            removal: Removal::new(1),
            shared: Arc::default(),
        }
    }

    pub(crate) const fn disk(&self) -> &D {
        &self.disk
    }

    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Makes everything in `pending` durable, and then writes the marker that says so. Then removes
    /// the segments before `keep_from`.
    pub(crate) fn write(
        &mut self,
        pending: &[Pending],
        synced: Position,
        marker: RecordHeader,
        keep_from: u32,
    ) -> Result<(), Trouble> {
        let chunks = encode(pending, synced);
        let mut result = self.try_write(&chunks, marker);
        if self.removal.oldest() < keep_from {
            result = self.remove(keep_from, &chunks, marker, result);
        }
        if let Err(trouble) = &result {
            if trouble.is_final {
                self.shared.stop();
            } else {
                self.shared.set_placed_max(0);
            }
        }
        result
    }

    /// Makes the proof that everything is durable durable too, and in a file of its own: there it
    /// outlives the loss of the last segment.
    pub(crate) fn seal(&mut self, marker: RecordHeader) -> Result<(), CloseError> {
        let result = self.mark(marker).and_then(|()| self.sync_current()).and_then(|()| {
            let seal = RecordHeader { position: Position::ZERO, ..marker };
            let written = self.disk.create(SEAL_FILE).and_then(|file| {
                file.write_at(&seal.encode(), 0)?;
                file.sync_data()?;
                self.disk.sync_dir()
            });
            written.map_err(|error| self.failed(SEAL_FILE, error))
        });
        result.map_err(|Trouble { file, error, is_final: _ }| CloseError::Io { file, error })
    }

    fn try_write(&mut self, chunks: &[Chunk], marker: RecordHeader) -> Result<(), Trouble> {
        let mut left = Vec::new();
        for chunk in chunks {
            left.extend(self.enter(chunk.number)?);
            self.reserve(chunk.end())?;
            self.put(chunk)?;
        }
        if chunks.is_empty() {
            return self.reserve(marker.position.offset());
        }
        for segment in left {
            let name = segment_name(segment.number);
            segment.file.sync_data().map_err(|error| self.failed(&name, error))?;
        }
        self.sync_current()?;
        if self.has_new_names {
            self.disk.sync_dir().map_err(|error| self.failed("", error))?;
            self.has_new_names = false;
        }
        match self.prove(chunks, marker) {
            // Without space for it, the proof comes with the next job.
            Err(trouble) if !trouble.is_final => Ok(()),
            result => result,
        }
    }

    /// Removes the segments before `first`, after a write of that `result`. Nothing needs them,
    /// whatever became of the write; a full disk may get the room that was missing.
    fn remove(
        &mut self,
        first: u32,
        chunks: &[Chunk],
        marker: RecordHeader,
        result: Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        if result.as_ref().is_err_and(|trouble| trouble.is_final) {
            return result;
        }
        let removed = self.removal.run(&self.disk, first);
        match removed.map_err(|error| self.failed("", error))? {
            true if result.is_err() => self.try_write(chunks, marker),
            true if self.shared.is_full(self.placed) => self.reserve(marker.position.offset()),
            true | false => result,
        }
    }

    /// Writes markers, now that everything is durable: at the tail, and where segments were left,
    /// so that the loss of the one that follows is noticed. They become durable by and by.
    fn prove(&self, chunks: &[Chunk], marker: RecordHeader) -> Result<(), Trouble> {
        for position in chunks.iter().filter_map(|chunk| chunk.previous_end) {
            if position.offset() > 0 {
                let name = segment_name(position.segment());
                let bytes = RecordHeader { position, ..marker }.encode();
                let file = self.disk.open(&name).map_err(|error| self.failed(&name, error))?;
                let result = file.write_at(&bytes, position.offset());
                result.map_err(|error| self.trouble(&name, error))?;
            }
        }
        self.mark(marker)
    }

    /// Makes `number` the current segment, and returns the one that was.
    fn enter(&mut self, number: u32) -> Result<Option<Segment<D::File>>, Trouble> {
        if self.current.as_ref().is_some_and(|segment| segment.number == number) {
            return Ok(None);
        }
        let segment = match self.spare.take() {
            Some(spare) if spare.number == number => spare,
            Some(_) | None => self.make(number)?,
        };
        Ok(self.current.replace(segment))
    }

    fn make(&mut self, number: u32) -> Result<Segment<D::File>, Trouble> {
        let name = segment_name(number);
        self.has_new_names = true;
        let file = self.disk.create(&name).map_err(|error| self.trouble(&name, error))?;
        let allocated = file.length().map_err(|error| self.failed(&name, error))?;
        Ok(Segment { number, file, allocated, zeroed: 0 })
    }

    /// Gets space for a current segment that ends at `end`, and some ahead.
    fn reserve(&mut self, end: u64) -> Result<(), Trouble> {
        let ahead = self.options.ahead_bytes;
        let capacity = self.options.segment_bytes.max(end);
        let needed = end + wide(RECORD_HEADER_BYTES);
        let mut current = self.current.take().expect("a segment was entered");
        let comfortable = needed.max(capacity.min(end + ahead / 2));
        let wanted = needed.max(capacity.min(end + ahead));
        let grown = if current.allocated < comfortable {
            self.grow(&mut current, needed, wanted)
        } else {
            Ok(true)
        };
        let left = capacity.min(current.allocated).saturating_sub(end);
        let number = current.number;
        self.current = Some(current);
        let is_last = capacity - end < ahead / 2;
        let has_spare = if is_last { self.prepare_spare(number)? } else { true };
        let spare = self.spare.as_ref().map_or(0, |spare| spare.allocated);
        let placed_max = if grown? && has_spare {
            u64::MAX
        } else {
            (self.placed + left + spare).saturating_sub(self.options.reserve_bytes)
        };
        self.shared.set_placed_max(placed_max);
        Ok(())
    }

    /// Grows a segment to `wanted`, or at least to `needed`; says whether it was the former.
    fn grow(
        &self,
        segment: &mut Segment<D::File>,
        needed: u64,
        wanted: u64,
    ) -> Result<bool, Trouble> {
        let name = segment_name(segment.number);
        match segment.file.allocate(wanted) {
            Ok(()) => {
                segment.allocated = segment.allocated.max(wanted);
                return Ok(true);
            }
            Err(error) if is_full(&error) => {}
            Err(error) => return Err(self.failed(&name, error)),
        }
        if segment.allocated < needed {
            segment.file.allocate(needed).map_err(|error| self.trouble(&name, error))?;
            segment.allocated = needed;
        }
        Ok(false)
    }

    /// Sees to the segment after `number`; says whether it has its space.
    fn prepare_spare(&mut self, number: u32) -> Result<bool, Trouble> {
        let Some(next) = number.checked_add(1) else { return Ok(true) };
        if self.spare.is_none() {
            match self.make(next) {
                Ok(spare) => self.spare = Some(spare),
                Err(trouble) if !trouble.is_final => return Ok(false),
                Err(trouble) => return Err(trouble),
            }
        }
        let mut spare = self.spare.take().expect("just made");
        let wanted = self.options.ahead_bytes.min(self.options.segment_bytes);
        let grown =
            if spare.allocated < wanted { self.grow(&mut spare, 0, wanted) } else { Ok(true) };
        self.spare = Some(spare);
        grown
    }

    /// Writes a chunk, and zeros behind a small one, into which the next ones are written. The
    /// zeros go page by page: what is written in one piece becomes one large piece of the page
    /// cache, which would count as written whole each time a small record in it is.
    fn put(&mut self, chunk: &Chunk) -> Result<(), Trouble> {
        let name = segment_name(chunk.number);
        let segment = self.current.as_mut().expect("a segment was entered");
        let mut result = segment.file.write_at(&chunk.bytes, chunk.start);
        let end = chunk.end() + wide(RECORD_HEADER_BYTES);
        if segment.zeroed < end && wide(chunk.bytes.len()) <= ZEROED_CHUNK_BYTES_MAX {
            let mut at = chunk.end();
            segment.zeroed = segment.allocated.min(end + ZERO_BYTES);
            while at < segment.zeroed && result.is_ok() {
                let next = segment.zeroed.min((at / PAGE_BYTES + 1) * PAGE_BYTES);
                result = segment.file.write_at(&ZEROS[..narrow(next - at)], at);
                at = next;
            }
        }
        result.map_err(|error| self.trouble(&name, error))
    }

    fn mark(&self, marker: RecordHeader) -> Result<(), Trouble> {
        let current = self.current.as_ref().expect("a segment was entered");
        assert_eq!(current.number, marker.position.segment(), "the marker goes where the tail is");
        let result = current.file.write_at(&marker.encode(), marker.position.offset());
        result.map_err(|error| self.trouble(&segment_name(current.number), error))
    }

    fn sync_current(&self) -> Result<(), Trouble> {
        let current = self.current.as_ref().expect("a segment was entered");
        let result = current.file.sync_data();
        result.map_err(|error| self.failed(&segment_name(current.number), error))
    }

    /// An error that the job may outlive if it only means a full disk.
    fn trouble(&self, name: &str, error: io::Error) -> Trouble {
        Trouble { file: self.disk.path_of(name), is_final: !is_full(&error), error }
    }

    /// An error that the job does not outlive, whatever it is.
    fn failed(&self, name: &str, error: io::Error) -> Trouble {
        Trouble { file: self.disk.path_of(name), is_final: true, error }
    }
}

/// Encodes what is pending; consecutive records become one chunk.
fn encode(pending: &[Pending], synced: Position) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    for item in pending {
        match item {
            Pending::Segment(header) => {
                let bytes = SegmentHeader { synced, ..*header }.encode().to_vec();
                let previous_end = Some(header.previous_end);
                chunks.push(Chunk { number: header.number, start: 0, bytes, previous_end });
            }
            Pending::Record { header, body } => {
                let position = header.position;
                if chunks.last().is_none_or(|chunk| chunk.number != position.segment()) {
                    let (number, start) = (position.segment(), position.offset());
                    chunks.push(Chunk { number, start, bytes: Vec::new(), previous_end: None });
                }
                let chunk = chunks.last_mut().expect("just pushed");
                assert_eq!(chunk.end(), position.offset(), "records follow one another");
                let body_crc = crc32c::crc32c(body);
                let header = RecordHeader { synced, body_crc, ..*header };
                chunk.bytes.extend_from_slice(&header.encode());
                chunk.bytes.extend_from_slice(body);
                let end = position.offset() + header.bytes();
                chunk.bytes.resize(narrow(end - chunk.start), 0);
            }
        }
    }
    chunks
}

/// How many zeros are written behind a small chunk: later ones then change no extent of the file,
/// which makes their sync cheaper.
const ZERO_BYTES: u64 = 256 << 10;

/// In pieces of a page.
const PAGE_BYTES: u64 = 4 << 10;
static ZEROS: [u8; 4 << 10] = [0; 4 << 10];

/// Beyond this, writing everything twice costs more than it saves.
const ZEROED_CHUNK_BYTES_MAX: u64 = 32 << 10;
