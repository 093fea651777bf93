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

/// Reads a file from front to back in large steps, each byte once.
pub(crate) struct Window<'a, F> {
    file: &'a F,
    /// Where in the file the buffer begins.
    start: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was read; what is beyond is of no meaning.
    held: usize,
}

impl<'a, F: DiskFile> Window<'a, F> {
    pub(crate) const fn new(file: &'a F) -> Self {
        Self { file, start: 0, buffer: Vec::new(), held: 0 }
    }

    /// The bytes at `offset`: as many as asked for, or fewer at the end of the file.
    pub(crate) fn bytes(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.start + wide(self.held);
        if offset < self.start || offset + wide(length) > end {
            self.read(offset, length)?;
        }
        let from = narrow(offset - self.start);
        let to = self.held.min(from + length);
        Ok(&self.buffer[from..to])
    }

    /// Fills the buffer from `offset` on, with what it holds of that and then from the file.
    fn read(&mut self, offset: u64, length: usize) -> io::Result<()> {
        let end = self.start + wide(self.held);
        let kept = if self.start <= offset && offset < end {
            self.buffer.copy_within(narrow(offset - self.start)..self.held, 0);
            narrow(end - offset)
        } else {
            0
        };
        // Should the file fail, the rest is still good.
        (self.start, self.held) = (offset, kept);
        let left = self.file.length()?.saturating_sub(offset);
        let wanted = narrow(wide(length.max(WINDOW_BYTES)).min(left));
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        if kept < wanted {
            self.held += self.file.read_at(&mut self.buffer[kept..wanted], offset + wide(kept))?;
        }
        Ok(())
    }
}

/// How much is read at once.
const WINDOW_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// A file that counts what is read of it.
    #[derive(Debug)]
    struct Counted {
        bytes: Vec<u8>,
        read: AtomicU64,
    }

    impl DiskFile for Counted {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = &self.bytes[narrow(offset).min(self.bytes.len())..];
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.read.fetch_add(wide(count), Ordering::Relaxed);
            Ok(count)
        }

        fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
            unreachable!("a window only reads")
        }

        fn allocate(&self, _: u64) -> io::Result<()> {
            unreachable!("a window only reads")
        }

        fn length(&self) -> io::Result<u64> {
            Ok(wide(self.bytes.len()))
        }

        fn sync_data(&self) -> io::Result<()> {
            unreachable!("a window only reads")
        }
    }

    #[test]
    fn a_window_reads_each_byte_once() {
        for record in [64, 1000, 8 << 10, WINDOW_BYTES - 8, WINDOW_BYTES, 2 * WINDOW_BYTES + 72] {
            let length = 5 * WINDOW_BYTES + 24;
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let file = Counted { bytes, read: AtomicU64::new(0) };
            let mut window = Window::new(&file);
            let mut at = 0;
            while at < length {
                // A header, and then all of a record.
                let end = length.min(at + record);
                assert_eq!(
                    window.bytes(wide(at), 64).unwrap(),
                    &file.bytes[at..length.min(at + 64)]
                );
                assert_eq!(window.bytes(wide(at), record).unwrap(), &file.bytes[at..end]);
                at = end;
            }
            assert_eq!(file.read.load(Ordering::Relaxed), wide(length), "records of {record}");
            assert!(window.bytes(wide(length), 1).unwrap().is_empty(), "nothing is beyond the end");
        }
    }
}
