//! Reading segments from front to back, and looking for records whatever is around them.

use std::io;

use crate::disk::DiskFile;
use crate::format::{ALIGNMENT, Position, RECORD_HEADER_BYTES, RecordHeader, RecordKind};
use crate::number::{narrow, wide};

/// Whether the first segment holds anything that a creation cut short does not leave.
pub(crate) fn holds_more_than_a_beginning<F: DiskFile>(file: &F) -> io::Result<bool> {
    let mut found = false;
    for_each_header(&mut Window::new(file), 1, 0, |header| {
        found |=
            matches!(header.kind, RecordKind::HardState | RecordKind::Block | RecordKind::Base);
        found |= header.incarnation > 1;
        !found
    })?;
    Ok(found)
}

/// Calls `visit` for every sound record header from `start` on that is at its place, whatever is
/// between them, until it says no.
pub(crate) fn for_each_header<F: DiskFile>(
    window: &mut Window<'_, F>,
    number: u32,
    start: u64,
    mut visit: impl FnMut(RecordHeader) -> bool,
) -> io::Result<()> {
    let end = window.file.length()?.min(u64::from(u32::MAX));
    let mut offset = start;
    while offset + wide(RECORD_HEADER_BYTES) <= end {
        let bytes = window.bytes(offset, WINDOW_BYTES)?;
        let step = narrow(ALIGNMENT);
        let mut at = 0;
        while at + RECORD_HEADER_BYTES <= bytes.len() {
            if RecordHeader::may_begin(&bytes[at..]) {
                let position = Position::new(number, 0).plus(offset + wide(at));
                if let Ok(header) = RecordHeader::decode(&bytes[at..], position)
                    && !visit(header)
                {
                    return Ok(());
                }
            }
            at += step;
        }
        if at == 0 {
            break;
        }
        offset += wide(at);
    }
    Ok(())
}

/// Reads a file from front to back in large steps.
pub(crate) struct Window<'a, F> {
    file: &'a F,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a, F: DiskFile> Window<'a, F> {
    pub(crate) const fn new(file: &'a F) -> Self {
        Self { file, start: 0, buffer: Vec::new() }
    }

    /// The bytes at `offset`: as many as asked for, or fewer at the end of the file.
    pub(crate) fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let is_held =
            offset >= self.start && offset + wide(length) <= self.start + wide(self.buffer.len());
        if !is_held {
            let left = self.file.length()?.saturating_sub(offset);
            let length = wide(length.max(WINDOW_BYTES)).min(left);
            self.buffer.resize(narrow(length), 0);
            self.start = offset;
            let read = self.file.read_at(&mut self.buffer, offset)?;
            self.buffer.truncate(read);
        }
        let from = narrow(offset - self.start);
        let to = self.buffer.len().min(from + length);
        Ok(&self.buffer[from..to])
    }
}

/// How much is read at once.
const WINDOW_BYTES: usize = 256 << 10;
