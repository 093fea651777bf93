//! Replies that can be kept, and how they are: as the bytes that a snapshot has of them.
//!
//! A kept reply is seldom asked for, and there are many: what counts is that it is small, shares no
//! memory with the machine, and is not spread over the heap.

use std::sync::Arc;

use bytes::Bytes;

/// A reply that sessions can keep: in memory, to be repeated, and in snapshots.
///
/// Two replies that are equal must have equal bytes, on every member: snapshots are compared, and
/// the number of bytes decides when sessions are forgotten. What is repeated to a client is loaded
/// from the saved bytes.
pub trait SavedReply: Clone + Send + Sync + 'static {
    /// How many bytes [`Self::save`] writes.
    fn saved_len(&self) -> usize;

    /// Appends the bytes.
    fn save(&self, out: &mut Vec<u8>);

    /// Reads what [`Self::save`] wrote, all of it; none if it is something else. What is returned
    /// is equal to what was saved, and takes as many bytes again.
    fn load(bytes: &[u8]) -> Option<Self>;
}

impl SavedReply for () {
    fn saved_len(&self) -> usize {
        0
    }

    fn save(&self, _: &mut Vec<u8>) {}

    fn load(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

impl SavedReply for u64 {
    fn saved_len(&self) -> usize {
        8
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_le_bytes)
    }
}

impl SavedReply for Bytes {
    fn saved_len(&self) -> usize {
        self.len()
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        Some(Self::copy_from_slice(bytes))
    }
}

/// The bytes of a kept reply; beside the other numbers if they are few.
#[derive(Clone, Debug)]
pub(super) enum Saved {
    /// So many of the bytes.
    Short(u8, [u8; SHORT_MAX]),
    /// All of them. Shared, since a session is copied if it changes while a snapshot is written.
    Long(Arc<[u8]>),
}

/// What an answer to a put takes, and a little more; [`Saved`] is no larger for it.
const SHORT_MAX: usize = 22;

impl Saved {
    pub(super) fn new(bytes: &[u8]) -> Self {
        match u8::try_from(bytes.len()) {
            Ok(length) if bytes.len() <= SHORT_MAX => {
                let mut short = [0; SHORT_MAX];
                short[..bytes.len()].copy_from_slice(bytes);
                Self::Short(length, short)
            }
            Ok(_) | Err(_) => Self::Long(bytes.into()),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_whether_they_are_few_or_many() {
        for length in (0..2 * SHORT_MAX).chain([255, 256, 1000]) {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            assert_eq!(Saved::new(&bytes).bytes(), bytes);
        }
        assert_eq!(size_of::<Option<Saved>>(), 24, "nothing is lost between the two");
    }
}
