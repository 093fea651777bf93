//! The vocabulary: terms, indexes, node identities, entry positions, time.
//!
//! Newtypes, so that a term is never taken for an index. Arithmetic is checked: an overflow is a
//! bug of ours and panics, since no run of any length reaches it (2^64 entries).

use core::fmt;
use core::time::Duration;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The value before the first.
            pub const ZERO: Self = Self(0);

            /// Wraps a plain number, as it comes from a message or a disk.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The plain number.
            #[must_use]
            pub const fn value(self) -> u64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A term of office: at most one leader each (§5.1). `ZERO` comes before every election.
    Term
}
number! {
    /// A position in the log. The first entry has index 1; `ZERO` is before it.
    Index
}
number! {
    /// Who a member is. Never used again for another member.
    NodeId
}

impl Term {
    /// The term after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Index {
    /// The index after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The index before this one; `ZERO` stays.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// This index, `count` entries further.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// How many entries lie between `earlier` and this index; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Identifies an entry. Compares by term first, then index: the voting rule of §5.4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// Its place in the log.
    pub index: Index,
}

impl EntryId {
    /// The position before the first entry of a log.
    pub const ZERO: Self = Self { term: Term::ZERO, index: Index::ZERO };

    /// The entry of `term` at `index`.
    #[must_use]
    pub const fn new(term: Term, index: Index) -> Self {
        Self { term, index }
    }
}

impl fmt::Display for EntryId {
    /// `index@term`, as the transcripts show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// A point of monotonic time, counted from wherever the shell likes. The core never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// Later than every point that a shell reaches: the deadline of one who waits for nothing.
    pub const NEVER: Self = Self(Duration::MAX);

    /// The point `since_origin` after the shell's origin of time.
    #[must_use]
    pub const fn new(since_origin: Duration) -> Self {
        Self(since_origin)
    }

    /// The time since the shell's origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// This point, later by `duration`.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// The time passed since `earlier`; zero if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
