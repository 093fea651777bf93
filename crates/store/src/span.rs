//! The keys that a request names.

/// A range of keys, from what etcd's pair of `key` and `range_end` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    /// The first key.
    pub(crate) start: &'a [u8],
    /// Where it ends.
    pub(crate) end: End<'a>,
}

/// Where a [`Span`] ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End<'a> {
    /// After its first key: `range_end` is empty.
    One,
    /// Nowhere: `range_end` is one zero byte.
    Open,
    /// Before this key. One that does not come after `start` leaves the span empty.
    Before(&'a [u8]),
}

impl<'a> Span<'a> {
    /// What `key` and `range_end` of a request mean.
    pub(crate) fn new(key: &'a [u8], range_end: &'a [u8]) -> Self {
        let end = match range_end {
            [] => End::One,
            [0] => End::Open,
            _ => End::Before(range_end),
        };
        Self { start: key, end }
    }

    /// Whether the span has not ended before `key`, for a key from `start` on.
    pub(crate) fn reaches(&self, key: &[u8]) -> bool {
        match self.end {
            End::One => key == self.start,
            End::Open => true,
            End::Before(end) => key < end,
        }
    }
}
