//! What the writer and the readers share.
//!
//! One lock holds the versions, held for a bounded number of keys at a time by both sides. What a
//! long transaction has written so far stands in the tree above the current revision, where no
//! reader looks; raising the revision publishes all of it at once.
//!
//! Pins hold back the physical part of a compaction. A view pins the compacted revision that it was
//! made under; versions that are needed from the lowest pin on stay.
//!
//! Lock order: the versions, then the pins.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Error;
use crate::leaf::{Removed, Visitor};
use crate::span::Span;
use crate::tree::Tree;

/// The versions and the pins.
#[derive(Debug)]
pub(crate) struct Shared {
    versions: RwLock<Versions>,
    /// How many views there are, by their compacted revision.
    pins: Mutex<BTreeMap<i64, usize>>,
}

/// The tree, and what may be read of it.
#[derive(Debug)]
pub(crate) struct Versions {
    /// The versions.
    pub(crate) tree: Tree,
    /// What is published.
    pub(crate) status: Status,
}

/// The numbers of a store at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The current revision; 1 for a store to which nothing happened.
    pub revision: i64,
    /// The oldest revision that can be read; -1 before the first compaction.
    pub compacted: i64,
    /// How many keys live.
    pub keys: i64,
    /// How many versions are kept, tombstones included.
    pub versions: i64,
    /// The bytes of all versions, with what each costs besides its key and value.
    pub bytes: i64,
    /// The bytes of the live keys' newest versions.
    pub bytes_live: i64,
}

impl Shared {
    /// An empty store.
    pub(crate) fn new() -> Self {
        let status =
            Status { revision: 1, compacted: -1, keys: 0, versions: 0, bytes: 0, bytes_live: 0 };
        Self {
            versions: RwLock::new(Versions { tree: Tree::new(), status }),
            pins: Mutex::default(),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Versions> {
        self.versions.read().expect(NO_PANIC)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Versions> {
        self.versions.write().expect(NO_PANIC)
    }

    /// Keeps everything that can be read now until [`unpin`](Self::unpin).
    pub(crate) fn pin(&self) -> Status {
        let versions = self.read();
        *self.pins().entry(versions.status.compacted).or_default() += 1;
        versions.status
    }

    /// Takes back one [`pin`](Self::pin) made under this compacted revision.
    pub(crate) fn unpin(&self, compacted: i64) {
        let mut pins = self.pins();
        let count = pins.get_mut(&compacted).expect("it was pinned");
        *count -= 1;
        if *count == 0 {
            pins.remove(&compacted);
        }
    }

    /// The revision from which on everything must stay readable.
    pub(crate) fn floor(&self, compacted: i64) -> i64 {
        let pins = self.pins();
        pins.first_key_value().map_or(compacted, |(&lowest, _)| lowest.min(compacted))
    }

    fn pins(&self) -> MutexGuard<'_, BTreeMap<i64, usize>> {
        self.pins.lock().expect(NO_PANIC)
    }
}

impl Status {
    /// The revision that a request for `revision` reads at: its own, or the current for none.
    pub(crate) fn revision_to_read(&self, revision: i64) -> Result<i64, Error> {
        if self.revision < revision {
            return Err(Error::FutureRevision);
        }
        let revision = if revision <= 0 { self.revision } else { revision };
        if revision < self.compacted { Err(Error::Compacted) } else { Ok(revision) }
    }

    /// Takes out what a compaction removed.
    pub(crate) fn remove(&mut self, removed: Removed) {
        self.versions -= removed.versions;
        self.bytes -= removed.bytes;
    }
}

/// The store as it stood at one moment: what reads read from. Whoever holds it sees to it that
/// nothing readable is removed meanwhile, by a pin or by being the writer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) status: Status,
}

impl Moment<'_> {
    /// Shows the keys of `span`, each as it was at `revision`, to `visitor`.
    pub(crate) fn scan(&self, span: &Span<'_>, revision: i64, visitor: &mut impl Visitor) {
        let mut next = self.shared.read().tree.scan(span.start, span, revision, visitor);
        while let Some(from) = next {
            next = self.shared.read().tree.scan(&from, span, revision, visitor);
        }
    }
}

/// A panic ends the process, so no lock is ever poisoned outside of a test that fails anyway.
const NO_PANIC: &str = "no thread panicked while it held the lock";
