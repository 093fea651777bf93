//! Recovery: reading a log from its beginning to where it ends, and judging why it ends there.
//!
//! The decision table is in `docs/log-format.md`. In short: the log ends at the first place that
//! does not hold the record that must come next. If anything beyond that place proves that it was
//! durable, it is damage and the log does not open. Otherwise a write was under way there, and it
//! and all that came with it is dropped.

use std::io;

use bytes::Bytes;
use quorate_raft::{EntryId, HardState, Index, Term};

use crate::block::{Block, EntryKind};
use crate::disk::{Disk, DiskFile};
use crate::error::{FormatError, OpenError};
use crate::format::{
    Position, RECORD_HEADER_BYTES, RecordHeader, RecordKind, SEAL_FILE, SEGMENT_HEADER_BYTES,
    SegmentHeader, segment_name,
};
use crate::index::{Record, Records};
use crate::number::{field, narrow, wide};
use crate::open::{Note, io_error};
use crate::options::Identity;
use crate::scan::Window;

/// What a log holds, as far as it has been read.
#[derive(Debug)]
pub(crate) struct Recovery {
    pub(crate) records: Records,
    pub(crate) hard_state: HardState,
    pub(crate) memberships: Vec<(Index, Bytes)>,
    pub(crate) notes: Vec<Note>,
    /// Where the log ends.
    pub(crate) tail: Position,
    /// Everything before this place is proven to have been durable.
    synced: Position,
    /// The latest opening whose record was read.
    pub(crate) incarnation: u32,
    /// Nothing below this belongs here any more.
    incarnation_min: u32,
    /// Where each segment ends, from the first one that is there on.
    ends: Vec<u64>,
}

/// Why reading ended.
enum Stop {
    /// The record that must come next is not there.
    End(FormatError),
    /// A marker, which the next record would have replaced.
    Marker,
}

impl Recovery {
    /// Reads a log whose segments have these numbers.
    pub(crate) fn run<D: Disk>(
        disk: &D,
        identity: Identity,
        segments: &[u32],
    ) -> Result<Self, OpenError> {
        let first = segments.iter().copied().filter(|&number| number > 0).min().unwrap_or(1);
        let mut recovery = Self::new(first);
        recovery.synced = recovery.synced.max(read_seal(disk)?);
        let mut stop = Stop::End(FormatError::Missing);
        let mut next = FormatError::Missing;
        for number in first..=u32::MAX {
            if !segments.contains(&number) {
                next = FormatError::Missing;
                break;
            }
            let file = open(disk, number)?;
            let mut window = Window::new(&file);
            match recovery.read_header(disk, identity, number, &mut window)? {
                Ok(()) => {}
                Err(what) => {
                    next = what;
                    break;
                }
            }
            stop = recovery.read_records(disk, &mut window)?;
            recovery.ends.push(recovery.tail.offset());
        }
        recovery.judge(disk, identity, segments, &stop, next)?;
        Ok(recovery)
    }

    fn new(first: u32) -> Self {
        Self {
            records: Records::new(first, EntryId::ZERO),
            hard_state: HardState::default(),
            memberships: Vec::new(),
            notes: Vec::new(),
            tail: Position::new(first, 0),
            synced: Position::new(first, 0),
            incarnation: 0,
            incarnation_min: 0,
            ends: Vec::new(),
        }
    }

    /// The number of the opening that follows.
    pub(crate) fn next_incarnation(&self) -> u32 {
        let latest = self.incarnation.max(self.incarnation_min);
        latest.checked_add(1).expect("fewer than 2^32 openings")
    }

    /// Writes again what is not proven to be durable, and syncs it. A sync may have failed before
    /// this process began: then the page cache shows what the disk does not have, and only a new
    /// write makes the system try again.
    pub(crate) fn secure<D: Disk>(&self, disk: &D) -> Result<(), OpenError> {
        if self.synced == self.tail {
            return Ok(());
        }
        for (number, &end) in (self.records.first_segment()..).zip(&self.ends) {
            let start = match number.cmp(&self.synced.segment()) {
                std::cmp::Ordering::Less => continue,
                std::cmp::Ordering::Equal => self.synced.offset(),
                std::cmp::Ordering::Greater => 0,
            };
            if start >= end {
                continue;
            }
            let name = segment_name(number);
            let file = open(disk, number)?;
            let mut bytes = vec![0; narrow(end - start)];
            file.read_at(&mut bytes, start).map_err(io_error(disk, &name))?;
            file.write_at(&bytes, start).map_err(io_error(disk, &name))?;
            file.sync_data().map_err(io_error(disk, &name))?;
        }
        disk.sync_dir().map_err(io_error(disk, ""))
    }

    /// Takes the header of a segment; the inner error says why the log does not go on there.
    fn read_header<D: Disk>(
        &mut self,
        disk: &D,
        identity: Identity,
        number: u32,
        window: &mut Window<'_, D::File>,
    ) -> Result<Result<(), FormatError>, OpenError> {
        let name = segment_name(number);
        let bytes = window.bytes(0, SEGMENT_HEADER_BYTES).map_err(io_error(disk, &name))?;
        let header = match SegmentHeader::decode(bytes, number) {
            Ok(header) => header,
            Err(what @ FormatError::Version(_)) => {
                return Err(OpenError::Newer { file: disk.path_of(&name), offset: 0, what });
            }
            Err(what) => return Ok(Err(what)),
        };
        if header.identity != identity {
            return Err(OpenError::Foreign {
                file: disk.path_of(&name),
                found: header.identity,
                expected: identity,
            });
        }
        if self.ends.is_empty() && number > 1 {
            self.inherit(&header);
        }
        if header.incarnation < self.incarnation.max(self.incarnation_min) {
            return Ok(Err(FormatError::Stale));
        }
        if header.previous_end != self.tail {
            return Ok(Err(FormatError::OutOfOrder));
        }
        let is_sound = header.last == self.records.last()
            && header.hard_state == self.hard_state
            && header.synced <= Position::new(number, 0);
        if !is_sound {
            let what = FormatError::OutOfOrder;
            return Err(OpenError::Damaged { file: disk.path_of(&name), offset: 0, what });
        }
        self.incarnation_min = header.incarnation;
        self.synced = self.synced.max(header.synced);
        self.tail = Position::new(number, field(SEGMENT_HEADER_BYTES));
        self.records.begin_segment(number);
        Ok(Ok(()))
    }

    /// Takes over what the first segment that is there says of those that were removed, unless they
    /// cannot have ended as it says.
    fn inherit(&mut self, header: &SegmentHeader) {
        let end = header.previous_end;
        let has_header = end.offset() >= wide(SEGMENT_HEADER_BYTES);
        if has_header && u64::from(end.segment()) + 1 == u64::from(header.number) {
            self.tail = end;
            self.records = Records::new(header.number, header.last);
            self.hard_state = header.hard_state;
        }
    }

    /// Takes the records of the segment in which the tail is.
    fn read_records<D: Disk>(
        &mut self,
        disk: &D,
        window: &mut Window<'_, D::File>,
    ) -> Result<Stop, OpenError> {
        let name = segment_name(self.tail.segment());
        loop {
            let offset = self.tail.offset();
            let header = {
                let bytes =
                    window.bytes(offset, RECORD_HEADER_BYTES).map_err(io_error(disk, &name))?;
                RecordHeader::decode(bytes, self.tail)
            };
            let header = match header {
                Ok(header) => header,
                Err(what @ FormatError::Kind) => {
                    return Err(OpenError::Newer { file: disk.path_of(&name), offset, what });
                }
                Err(what) => return Ok(Stop::End(what)),
            };
            if self.is_stale(&header) {
                return Ok(Stop::End(FormatError::Stale));
            }
            let length = RECORD_HEADER_BYTES + narrow(u64::from(header.body_bytes));
            let record = window.bytes(offset, length).map_err(io_error(disk, &name))?;
            let body = record.get(RECORD_HEADER_BYTES..).unwrap_or_default();
            if record.len() < length || crc32c::crc32c(body) != header.body_crc {
                return Ok(Stop::End(FormatError::Checksum));
            }
            self.take(&header, body).map_err(|what| OpenError::Damaged {
                file: disk.path_of(&name),
                offset,
                what,
            })?;
            self.synced = self.synced.max(header.synced);
            if header.kind == RecordKind::Marker {
                return Ok(Stop::Marker);
            }
            self.tail = self.tail.plus(header.bytes());
        }
    }

    /// Whether a record is left over from an opening before the current one.
    fn is_stale(&self, header: &RecordHeader) -> bool {
        let is_repeated =
            header.kind == RecordKind::Opened && header.incarnation <= self.incarnation;
        header.incarnation < self.incarnation.max(self.incarnation_min) || is_repeated
    }

    /// Takes a sound record; an error means that it cannot follow what was before it.
    fn take(&mut self, header: &RecordHeader, body: &[u8]) -> Result<(), FormatError> {
        if header.kind == RecordKind::Marker {
            return Ok(());
        }
        if header.synced > header.position {
            return Err(FormatError::OutOfOrder);
        }
        if header.kind == RecordKind::Opened {
            self.incarnation = header.incarnation;
            return Ok(());
        }
        if self.incarnation == 0 && self.records.first_segment() > 1 {
            // The record of the opening that began this segment was removed with those before.
            self.incarnation = self.incarnation_min;
        }
        if header.incarnation != self.incarnation {
            return Err(FormatError::OutOfOrder);
        }
        match header.kind {
            RecordKind::HardState => {
                let state = header.hard_state();
                if state.term < self.hard_state.term {
                    return Err(FormatError::OutOfOrder);
                }
                self.hard_state = state;
                Ok(())
            }
            RecordKind::Block => self.take_block(header, body),
            RecordKind::Base => self.take_base(header),
            RecordKind::Opened | RecordKind::Marker => Ok(()),
        }
    }

    fn take_block(&mut self, header: &RecordHeader, body: &[u8]) -> Result<(), FormatError> {
        let (first, term) = (Index::new(header.first), Term::new(header.term));
        let mut memberships = Vec::new();
        let walked = Block::walk(first, header.count, body, |index, kind, body| {
            if kind == EntryKind::Membership {
                memberships.push((index, body));
            }
        });
        walked.map_err(|_| FormatError::Entries)?;
        let record = Record {
            first,
            term,
            count: header.count,
            count_stored: header.count,
            body_bytes: header.body_bytes,
            position: header.position,
        };
        if self.records.accepts(first, term) {
            self.records.push(record);
        } else if self.records.may_replace_base(first) {
            self.records.push_over_base(record);
        } else {
            return Err(FormatError::OutOfOrder);
        }
        let base = self.records.base().index;
        self.memberships.retain(|&(index, _)| index < first);
        let later = memberships.into_iter().filter(|&(index, _)| index > base);
        self.memberships.extend(later.map(|(index, body)| (index, Bytes::copy_from_slice(body))));
        Ok(())
    }

    fn take_base(&mut self, header: &RecordHeader) -> Result<(), FormatError> {
        if header.first == 0 {
            return Err(FormatError::OutOfOrder);
        }
        let base = EntryId::new(Term::new(header.term), Index::new(header.first));
        self.records.reset(base, header.position);
        self.memberships.clear();
        Ok(())
    }

    /// Decides whether the end of the log is where it was left, a torn write, or damage.
    fn judge<D: Disk>(
        &mut self,
        disk: &D,
        identity: Identity,
        segments: &[u32],
        stop: &Stop,
        next: FormatError,
    ) -> Result<(), OpenError> {
        let here = match *stop {
            Stop::End(_) if self.ends.is_empty() => Some(next),
            Stop::End(what) => Some(what),
            Stop::Marker => None,
        };
        let has_next = segments.contains(&(self.tail.segment() + 1));
        let is_next_bad = has_next && next != FormatError::Blank && next != FormatError::Stale;
        // Where it seems to be wrong: here, or where the next segment should begin.
        let is_end_here = matches!(here, None | Some(FormatError::Blank | FormatError::Stale));
        let (place, what) = if is_end_here && is_next_bad && next != FormatError::OutOfOrder {
            (Position::new(self.tail.segment() + 1, 0), next)
        } else {
            (self.tail, here.unwrap_or(next))
        };
        let name = segment_name(place.segment());
        // A directory with an identity was completely created: with the first opening in it.
        let is_created = self.incarnation > 0;
        let beyond = self.look_beyond(disk, identity, segments)?;
        if beyond.is_proof || self.synced > self.tail || !is_created {
            let (file, offset) = (disk.path_of(&name), place.offset());
            return Err(OpenError::Damaged { file, offset, what });
        }
        if !is_end_here || beyond.has_records {
            let (file, offset) = (disk.path_of(&name), place.offset());
            self.notes.push(Note::TornTail { file, offset, what });
        }
        Ok(())
    }
}

/// Up to where the log was durable when it was last closed in order, if that is known.
fn read_seal<D: Disk>(disk: &D) -> Result<Position, OpenError> {
    let file = match disk.open(SEAL_FILE) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Position::ZERO),
        Err(error) => return Err(io_error(disk, SEAL_FILE)(error)),
    };
    let mut bytes = [0; RECORD_HEADER_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(io_error(disk, SEAL_FILE))?;
    // A seal that a crash tore proves nothing, and nothing hangs on it.
    let seal = RecordHeader::decode(&bytes[..read], Position::ZERO);
    Ok(seal.map_or(Position::ZERO, |seal| seal.synced))
}

pub(crate) fn open<D: Disk>(disk: &D, number: u32) -> Result<D::File, OpenError> {
    let name = segment_name(number);
    disk.open(&name).map_err(io_error(disk, &name))
}
