//! Replies that can be kept.

use bytes::Bytes;

/// A reply that sessions can keep: in memory, to be repeated, and in snapshots.
///
/// Two replies that are equal must have equal bytes, on every member: snapshots are compared, and
/// the number of bytes decides when sessions are forgotten.
pub trait SavedReply: Clone + Send + Sync + 'static {
    /// How many bytes [`Self::save`] writes.
    fn saved_len(&self) -> usize;

    /// Appends the bytes.
    fn save(&self, out: &mut Vec<u8>);

    /// Reads what [`Self::save`] wrote, all of it; none if it is something else. What is returned
    /// takes as many bytes again.
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
