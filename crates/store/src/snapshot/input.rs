//! Bytes from a source that may end anywhere and promise anything.

use std::io::{ErrorKind, Read};

use super::RestoreError;

/// A buffer before a source. It grows with what the source gives, never with what that announces.
pub(super) struct Input<'r> {
    source: &'r mut dyn Read,
    buffer: Vec<u8>,
    /// What of the buffer was read but not taken.
    start: usize,
    end: usize,
    /// How many bytes were taken before the buffer's first.
    before: u64,
}

impl<'r> Input<'r> {
    pub(super) fn new(source: &'r mut dyn Read) -> Self {
        Self { source, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, before: 0 }
    }

    /// How many bytes were taken.
    pub(super) fn taken(&self) -> u64 {
        self.before + count(self.start)
    }

    /// The error that says what is wrong with the bytes taken last.
    pub(super) fn damaged(&self, what: &'static str) -> RestoreError {
        RestoreError::Damaged { at: self.taken(), what }
    }

    /// The next `length` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&[u8], RestoreError> {
        if self.end - self.start < length {
            self.fill(length)?;
        }
        let start = self.start;
        self.start += length;
        Ok(&self.buffer[start..self.start])
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// If there are fewer.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RestoreError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A number in seven-bit groups, low first.
    ///
    /// # Errors
    /// If it has more groups than it needs, or more bits than there are.
    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, RestoreError> {
        let mut number = 0_u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.take(1)?[0];
            let group = u64::from(byte & 0x7f);
            if (group << shift) >> shift != group {
                return Err(self.damaged("a number has more than 64 bits"));
            }
            number |= group << shift;
            if byte < 0x80 {
                return if byte == 0 && shift > 0 {
                    Err(self.damaged("a number is longer than it needs to be"))
                } else {
                    Ok(number)
                };
            }
        }
        Err(self.damaged("a number has more than 64 bits"))
    }

    /// Sees to it that nothing is left.
    ///
    /// # Errors
    /// If something is.
    pub(super) fn finish(&mut self) -> Result<(), RestoreError> {
        match self.take(1) {
            Ok(_) => Err(self.damaged("there is more behind the end mark")),
            Err(RestoreError::Cut { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads until `length` bytes are in the buffer.
    #[cold]
    fn fill(&mut self, length: usize) -> Result<(), RestoreError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.before += count(self.start);
        self.end -= self.start;
        self.start = 0;
        while self.end < length {
            if self.end == self.buffer.len() {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Err(RestoreError::Cut { at: self.before + count(self.end) }),
                Ok(bytes) => self.end += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length fits")
}

/// How much is read at a time.
const BUFFER_BYTES: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn number(mut bytes: &[u8]) -> Result<u64, String> {
        Input::new(&mut bytes).number().map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_has_one_form() {
        assert_eq!(number(b"\0"), Ok(0));
        assert_eq!(number(b"\x80\x01"), Ok(128));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Ok(u64::MAX));
        assert!(number(b"\x80\0").is_err_and(|text| text.contains("longer than it needs")));
        for more in [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"[..], &[0xff; 20]] {
            assert!(number(more).is_err_and(|text| text.contains("more than 64 bits")));
        }
        assert!(number(b"\x80").is_err_and(|text| text.contains("ends at byte 1")));
    }

    #[test]
    fn the_buffer_grows_with_what_comes_and_not_with_what_is_asked_for() {
        let bytes = vec![7; 3 * BUFFER_BYTES];
        let mut source = &bytes[..];
        let mut input = Input::new(&mut source);
        assert!(input.take(10).is_ok_and(|taken| taken == [7; 10]));
        let error = input.take(usize::MAX / 2);
        assert!(matches!(error, Err(RestoreError::Cut { at: 196_608 })), "{error:?}");
        assert_eq!(input.buffer.len(), 4 * BUFFER_BYTES);
        let mut source = &bytes[..];
        let mut input = Input::new(&mut source);
        assert!(input.take(bytes.len()).is_ok_and(|taken| taken == bytes));
        assert!(input.finish().is_ok());
    }
}
