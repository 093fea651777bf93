//! Reading entries: from the cache without copying, or from the disk with every checksum verified.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use quorate_raft::Index;

use crate::block::Block;
use crate::disk::{Disk, DiskFile};
use crate::error::{FormatError, ReadError};
use crate::format::{RECORD_HEADER_BYTES, RecordHeader, RecordKind, segment_name};
use crate::index::Record;
use crate::log::Log;
use crate::number::{narrow, wide};

/// The segments that were read from, open.
#[derive(Debug)]
pub(crate) struct Readers<D: Disk> {
    disk: D,
    files: Mutex<BTreeMap<u32, Arc<D::File>>>,
}

impl<D: Disk> Log<D> {
    /// The entries from `from` to before `to`, as blocks of one term each; fewer if they would be
    /// longer than `bytes_max`, but at least one entry if there is one to read.
    ///
    /// # Errors
    /// [`ReadError::Compacted`] if `from` is not after [`Self::base`]; [`ReadError::OutOfRange`] if
    /// there never was such a range; else what is wrong with the disk or the log.
    pub fn read(&self, from: Index, to: Index, bytes_max: u64) -> Result<Vec<Block>, ReadError> {
        if self.is_stopped() {
            return Err(ReadError::Stopped);
        }
        let last = self.last().index;
        if from == Index::ZERO || from > to || to > last.next() {
            return Err(ReadError::OutOfRange { from, to, last });
        }
        let base = self.base().index;
        if from <= base {
            return Err(ReadError::Compacted { from, base });
        }
        let mut blocks: Vec<Block> = Vec::new();
        let mut next = from;
        let mut left = bytes_max;
        while next < to {
            let block = self.block_from(next)?;
            let block = if block.next() > to { block.slice(next, to) } else { block };
            let (count, bytes) = block.prefix(left);
            if bytes > left && !blocks.is_empty() {
                break;
            }
            let end = next.plus(u64::from(count));
            let is_cut = end < block.next();
            blocks.push(if is_cut { block.slice(next, end) } else { block });
            if is_cut {
                break;
            }
            left = left.saturating_sub(bytes);
            next = end;
        }
        Ok(blocks)
    }

    /// How many entries from `first` on fit into `count_max` and `bytes_max`, and how long they
    /// are; one always fits, and there are none before the first or beyond the last. Exact for what
    /// is in the cache; of what is only on the disk, the length is estimated from that of its
    /// record.
    #[must_use]
    pub fn fit(&self, first: Index, count_max: u64, bytes_max: u64) -> (u64, u64) {
        if first <= self.base().index {
            return (0, 0);
        }
        let mut count = 0;
        let mut bytes = 0;
        let cached = self.cache.first();
        for record in self.records.from(first) {
            let next = first.plus(count);
            if cached.is_some_and(|cached| cached <= next) {
                break;
            }
            let there = record.next().since(next);
            let each = u64::from(record.body_bytes).div_ceil(u64::from(record.count_stored)).max(1);
            let mut fitting = there.min(count_max - count).min((bytes_max - bytes) / each);
            if count == 0 {
                fitting = fitting.max(1);
            }
            count += fitting;
            bytes += fitting * each;
            if fitting < there || count >= count_max || bytes >= bytes_max {
                return (count, bytes);
            }
        }
        for block in self.cache.from(first.plus(count)) {
            let next = first.plus(count);
            let part = if block.first() < next { &block.slice(next, block.next()) } else { block };
            let (more, length) = part.prefix_within(count_max - count, bytes_max - bytes);
            if count > 0 && (bytes + length > bytes_max || count + u64::from(more) > count_max) {
                break;
            }
            count += u64::from(more);
            bytes += length;
            if more < part.count() || count >= count_max || bytes >= bytes_max {
                break;
            }
        }
        (count, bytes)
    }

    /// The entries from `index` to the end of the block that holds it.
    fn block_from(&self, index: Index) -> Result<Block, ReadError> {
        let block = match self.cache.from(index).next() {
            Some(block) => block.clone(),
            None => {
                let record = &self.records.from(index)[0];
                self.readers.read(record)?
            }
        };
        Ok(if block.first() < index { block.slice(index, block.next()) } else { block })
    }
}

impl<D: Disk> Readers<D> {
    pub(crate) fn new(disk: D) -> Self {
        Self { disk, files: Mutex::default() }
    }

    /// What counts of a record, from the disk.
    fn read(&self, record: &Record) -> Result<Block, ReadError> {
        let offset = record.position.offset();
        let file = || self.disk.path_of(&segment_name(record.position.segment()));
        let length = RECORD_HEADER_BYTES + narrow(u64::from(record.body_bytes));
        let bytes = self.read_bytes(record, length).map_err(|error| ReadError::Io {
            file: file(),
            offset,
            error,
        })?;
        check(&bytes, record).map_err(|what| ReadError::Damaged { file: file(), offset, what })?;
        let body = bytes.slice(RECORD_HEADER_BYTES..);
        let block = Block::checked_before(record.first, record.term, record.count_stored, body);
        let is_cut = record.count < record.count_stored;
        Ok(if is_cut { block.slice(record.first, record.next()) } else { block })
    }

    fn read_bytes(&self, record: &Record, length: usize) -> io::Result<Bytes> {
        let file = self.file(record.position.segment())?;
        let mut bytes = vec![0; length];
        let read = file.read_at(&mut bytes, record.position.offset())?;
        bytes.truncate(read);
        Ok(bytes.into())
    }

    fn file(&self, segment: u32) -> io::Result<Arc<D::File>> {
        let mut files = self.files();
        if let Some(file) = files.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(self.disk.open(&segment_name(segment))?);
        files.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    /// Closes the segments before `first`, so that their space can be given back.
    pub(crate) fn forget_before(&self, first: u32) {
        let mut files = self.files();
        let kept = files.split_off(&first);
        *files = kept;
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<D::File>>> {
        // A panic elsewhere leaves the map whole: what is missing is opened again.
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checks that `bytes` are what was written as `record`.
fn check(bytes: &[u8], record: &Record) -> Result<(), FormatError> {
    let length = RECORD_HEADER_BYTES + narrow(u64::from(record.body_bytes));
    if bytes.len() < length {
        return Err(FormatError::Blank);
    }
    let header = RecordHeader::decode(bytes, record.position)?;
    let body = &bytes[RECORD_HEADER_BYTES..];
    let is_same = header.kind == RecordKind::Block
        && header.first == record.first.value()
        && header.term == record.term.value()
        && header.count == record.count_stored
        && u64::from(header.body_bytes) == wide(body.len());
    if !is_same {
        return Err(FormatError::Stale);
    }
    if header.body_crc != crc32c::crc32c(body) {
        return Err(FormatError::Checksum);
    }
    Ok(())
}
