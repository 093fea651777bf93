//! What clients were told, and whether one store could have told it.
//!
//! A history is a list of [`Operation`]s: what was asked, when, and what came back. Two checkers
//! judge it. [`by_revision`] is for long runs: each answer of the store names its revision, so the
//! order of all operations is known and only has to be examined. [`search`] is for short histories:
//! it looks for any order at all in which one store would have given these answers, and takes
//! nothing for granted but them. [`prefix`] cuts a long history so that both can judge it.
//!
//! # Invariants
//!
//! - The answers are etcd's. A store begins empty, at revision 1; whatever changes something makes
//!   the next revision; everything else answers with the current one.
//! - Times come from one counter for the whole run. An operation was over before another began
//!   if it returned at a time less than that of the other's invocation; at equal times they were
//!   concurrent. So the order is only checked as finely as the times are apart.
//! - What [`by_revision`] accepts, [`search`] finds linearizable. The reverse holds for histories
//!   in which no write is unknown and no read serializable; of those, [`search`] knows less.
//!
//! # Left out
//!
//! Leases, watches, limits and sorting, transactions other than [`Request::Swap`]. That a client's
//! serializable reads go forward: they do so at one member only, and a history does not say which
//! member was asked.

mod answers;
mod compactions;
mod key_space;
mod order;
mod prefix;
mod real_time;
mod search;
mod state;
#[cfg(test)]
mod tests;
mod text;

use order::Order;

pub use prefix::prefix;
pub use search::{Verdict, search};

/// A key, as a number: the world turns it into bytes, in the same order.
pub type Key = u16;

/// A value, as a number. Each attempt to write has its own.
pub type Value = u64;

/// A key with its value, as the store answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Key,
    /// What was put last.
    pub value: Value,
    /// The revision at which the key came to life.
    pub created: i64,
    /// The revision of the last put.
    pub modified: i64,
    /// How many puts there were since the key came to life.
    pub version: i64,
}

/// What a client asked for. Keys are ranges `first..end`; one that does not begin before its end is
/// empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Sets a key, and answers with what was there.
    Put {
        /// The key.
        key: Key,
        /// What to set it to.
        value: Value,
    },
    /// Reads keys.
    Range {
        /// The first key.
        first: Key,
        /// The key before which it ends.
        end: Key,
        /// The revision to read at; the current one if there is none, or one below 1.
        at: Option<i64>,
        /// Whether the member that was asked may answer from what it has, however old.
        serializable: bool,
    },
    /// Removes keys, and answers with what was there.
    Delete {
        /// The first key.
        first: Key,
        /// The key before which it ends.
        end: Key,
    },
    /// If `key` was last modified at `expected`, sets it; if not, reads it.
    Swap {
        /// The key.
        key: Key,
        /// A revision; 0 stands for a key that does not exist.
        expected: i64,
        /// What to set it to.
        value: Value,
        /// Another key, to be set to the same in the same revision.
        also: Option<Key>,
    },
    /// Forgets what was before a revision.
    Compact {
        /// The oldest revision that stays readable.
        revision: i64,
    },
}

/// What a client was told. A `revision` is the current one of the store when it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To a put.
    Put {
        /// The one that the put made.
        revision: i64,
        /// What was there before.
        previous: Option<Pair>,
    },
    /// To a read.
    Range {
        /// The current one, also for a read at an older one.
        revision: i64,
        /// In order of the keys.
        pairs: Vec<Pair>,
    },
    /// To a removal.
    Delete {
        /// The one that the removal made, if it removed something.
        revision: i64,
        /// What was there before, in order of the keys.
        deleted: Vec<Pair>,
    },
    /// To a compare-and-set.
    Swap {
        /// The one that it made, if it succeeded.
        revision: i64,
        /// Whether the key was as expected.
        succeeded: bool,
        /// The key as it was instead, if it was there; nothing after a success.
        found: Option<Pair>,
    },
    /// To a compaction.
    Compact {
        /// The current one, which a compaction does not change.
        revision: i64,
    },
    /// An error: the revision is compacted. The request had no effect.
    Compacted,
    /// An error: the revision has not happened yet. The request had no effect.
    FutureRevision,
}

/// What became of an operation, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Returned {
        /// When.
        at: u64,
        /// With what.
        response: Response,
    },
    /// No answer: it may have been done at any time since it was invoked, or never.
    Unknown {
        /// The revision that the log shows it made, of a write that did; [`search`] ignores it.
        effect: Option<i64>,
    },
    /// It was refused before it was proposed: it has certainly not been done.
    Refused,
}

/// One operation of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose it is. For the reader of a history: the checkers go by times.
    pub client: u32,
    /// When it began.
    pub invoked: u64,
    /// What was asked.
    pub request: Request,
    /// What came back.
    pub outcome: Outcome,
}

/// Something that no store would have told its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The operation that went wrong, by its index in the history.
    pub operation: usize,
    /// One line: what was seen, what was expected, and because of which other operation.
    pub what: String,
}

/// Checks a history of any length, in the order that the revisions of its answers give.
///
/// Each revision was made by one write, none is missing, every answer is the one that a naive model
/// gives at its revision, and the order of revisions nowhere contradicts that of time. Unknown
/// writes stand where the log shows them. Takes O(n log n), besides the reading of long ranges.
///
/// Serializable reads have to equal some state that had been asked for by the time they returned.
/// They hold others to account in one way: a write that began after one of them returned makes a
/// higher revision.
///
/// # Errors
/// The first anomaly found; others may follow from it.
pub fn by_revision(history: &[Operation]) -> Result<(), Anomaly> {
    let order = Order::new(history)?;
    answers::check(&order)?;
    let earliest = real_time::check(&order)?;
    compactions::check(&order, &earliest)
}

impl Operation {
    /// When it was answered. Nothing is known to have been over before that.
    fn returned(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Returned { at, .. } => Some(at),
            Outcome::Unknown { .. } | Outcome::Refused => None,
        }
    }

    /// Whether the answer may be older than what others were told before.
    fn is_serializable(&self) -> bool {
        match self.request {
            Request::Range { serializable, .. } => serializable,
            Request::Put { .. }
            | Request::Delete { .. }
            | Request::Swap { .. }
            | Request::Compact { .. } => false,
        }
    }
}

impl Response {
    /// The current revision that it names; errors name none.
    fn revision(&self) -> Option<i64> {
        match *self {
            Self::Put { revision, .. }
            | Self::Range { revision, .. }
            | Self::Delete { revision, .. }
            | Self::Swap { revision, .. }
            | Self::Compact { revision } => Some(revision),
            Self::Compacted | Self::FutureRevision => None,
        }
    }

    /// The pairs in it, whatever they mean.
    fn pairs(&self) -> &[Pair] {
        match self {
            Self::Put { previous: pair, .. } | Self::Swap { found: pair, .. } => pair.as_slice(),
            Self::Range { pairs, .. } | Self::Delete { deleted: pairs, .. } => pairs,
            Self::Compact { .. } | Self::Compacted | Self::FutureRevision => &[],
        }
    }
}

impl Anomaly {
    fn new(operation: usize, what: String) -> Self {
        Self { operation, what }
    }
}
