//! What a log belongs to, and how it is sized.

/// What a directory is bound to when it is created, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: u64,
    /// The member of that cluster.
    pub member: u64,
}

/// The sizes of a log. They may change from one opening to the next.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A segment that would grow beyond this is followed by a new one. A record that is longer than
    /// this by itself gets a segment of its own.
    pub segment_bytes: u64,
    /// The encoded entries kept in memory. Those not yet durable are kept in any case.
    pub cache_bytes: u64,
    /// How far ahead of the last record space is reserved on the disk, in one step. At least twice
    /// `reserve_bytes`.
    pub ahead_bytes: u64,
    /// When space can no longer be reserved and less than this is left, [`crate::Log::room`] turns
    /// [`crate::Room::Full`]. What is left then serves votes and what is under way; at least the
    /// largest append should fit in, since one may come just before.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 32 << 20,
            cache_bytes: 32 << 20,
            ahead_bytes: 5 << 20,
            reserve_bytes: 5 << 19,
        }
    }
}

impl Options {
    /// The largest permitted [`Self::segment_bytes`]: offsets in a segment take 32 bits, with room
    /// for one record beyond the limit.
    pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

    /// Panics if the sizes contradict each other: they are the program's, not its user's.
    pub(crate) fn check(&self) {
        assert!(self.segment_bytes >= 1024, "a segment must hold a few records");
        assert!(self.segment_bytes <= Self::SEGMENT_BYTES_MAX, "a segment outgrows its offsets");
        assert!(self.reserve_bytes <= self.ahead_bytes / 2, "the reserve outgrows what is ahead");
    }
}
