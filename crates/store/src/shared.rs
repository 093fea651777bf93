//! What the writer and the readers share.
//!
//! One lock holds the versions, held for a bounded number of keys at a time by both sides. What a
//! long transaction has written so far stands in the tree above the current revision, where no
//! reader looks; raising the revision publishes all of it at once.
//!
//! Pins hold back the physical part of a compaction. A view pins the compacted revision that it was
//! made under; versions that are needed from the lowest pin on stay. A restore puts another tree in
//! place of the present one, and begins an epoch; the old tree stays beside it while pins of its
//! epoch do, and nobody changes it any more.
//!
//! Lock order: the versions, then the pins.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Error;
use crate::hash::StateHash;
use crate::leaf::{Historian, Place, Removed, Visitor};
use crate::span::Span;
use crate::tree::Tree;

/// The versions and the pins.
#[derive(Debug)]
pub(crate) struct Shared {
    versions: RwLock<Versions>,
    pins: Mutex<Pins>,
}

/// The tree, and what may be read of it.
#[derive(Debug)]
pub(crate) struct Versions {
    /// The versions.
    pub(crate) tree: Tree,
    /// What is published.
    pub(crate) status: Status,
    /// The hash of all that was applied up to there.
    pub(crate) hash: StateHash,
    /// The trees of earlier epochs that views still read.
    replaced: BTreeMap<u64, Tree>,
}

/// What the views need.
#[derive(Debug, Default)]
struct Pins {
    /// How often the tree was replaced.
    epoch: u64,
    /// How many views there are, by what they need.
    views: BTreeMap<Pin, usize>,
}

/// What a view needs: a tree, from a revision on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pin {
    epoch: u64,
    compacted: i64,
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
        let (tree, hash) = (Tree::new(), StateHash::new());
        let versions = Versions { tree, status, hash, replaced: BTreeMap::new() };
        Self { versions: RwLock::new(versions), pins: Mutex::default() }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Versions> {
        self.versions.read().expect(NO_PANIC)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Versions> {
        self.versions.write().expect(NO_PANIC)
    }

    /// Keeps everything that can be read now until [`unpin`](Self::unpin).
    pub(crate) fn pin(&self) -> (Status, StateHash, Pin) {
        let versions = self.read();
        let mut pins = self.pins();
        let pin = Pin { epoch: pins.epoch, compacted: versions.status.compacted };
        *pins.views.entry(pin).or_default() += 1;
        (versions.status, versions.hash, pin)
    }

    /// Takes back one [`pin`](Self::pin).
    pub(crate) fn unpin(&self, pin: Pin) {
        let mut pins = self.pins();
        let count = pins.views.get_mut(&pin).expect("it was pinned");
        *count -= 1;
        if *count == 0 {
            pins.views.remove(&pin);
        }
        if pin.epoch < pins.epoch && pins.lowest(pin.epoch).is_none() {
            drop(pins);
            // A large one takes a while to free: not under the lock.
            let unused = self.write().replaced.remove(&pin.epoch);
            drop(unused);
        }
    }

    /// The revision from which on everything must stay readable.
    pub(crate) fn floor(&self, compacted: i64) -> i64 {
        let pins = self.pins();
        pins.lowest(pins.epoch).map_or(compacted, |lowest| lowest.min(compacted))
    }

    /// Puts another tree in place of the present one, which stays for the views that there are.
    pub(crate) fn replace(&self, tree: Tree, status: Status, hash: StateHash) {
        let mut versions = self.write();
        let mut old = Some(std::mem::replace(&mut versions.tree, tree));
        versions.status = status;
        versions.hash = hash;
        let mut pins = self.pins();
        let epoch = pins.epoch;
        if let Some(old) = old.take_if(|_| pins.lowest(epoch).is_some()) {
            versions.replaced.insert(epoch, old);
        }
        pins.epoch += 1;
        drop(pins);
        drop(versions);
        // A large one takes a while to free: not under the lock.
        drop(old);
    }

    fn pins(&self) -> MutexGuard<'_, Pins> {
        self.pins.lock().expect(NO_PANIC)
    }
}

impl Versions {
    /// The tree that a view reads; without a pin, the present one.
    fn tree_of(&self, pin: Option<Pin>) -> &Tree {
        pin.and_then(|pin| self.replaced.get(&pin.epoch)).unwrap_or(&self.tree)
    }
}

impl Pins {
    /// The lowest revision that a view of this epoch needs.
    fn lowest(&self, epoch: u64) -> Option<i64> {
        let from = Pin { epoch, compacted: i64::MIN };
        let to = Pin { epoch, compacted: i64::MAX };
        self.views.range(from..=to).next().map(|(pin, _)| pin.compacted)
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
    /// None for the writer.
    pub(crate) pin: Option<Pin>,
    /// What an answer may have of bytes. None for the writer: what it has done must not fail for
    /// the length of the answer.
    pub(crate) budget: Option<&'a Budget>,
}

/// The bytes that an answer may still have: of all its reads together, if it is a transaction's.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    left: Cell<usize>,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, left: Cell::new(bytes_max) }
    }

    /// Takes some of it.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Error> {
        let left = self.left.get().checked_sub(bytes);
        left.map(|left| self.left.set(left))
            .ok_or(Error::AnswerTooLarge { bytes_max: self.bytes_max })
    }
}

impl Moment<'_> {
    /// Shows the keys of `span`, each as it was at `revision`, to `visitor`.
    pub(crate) fn scan(&self, span: &Span<'_>, revision: i64, visitor: &mut impl Visitor) {
        let mut step =
            |from: &[u8]| self.shared.read().tree_of(self.pin).scan(from, span, revision, visitor);
        let mut next = step(span.start);
        while let Some(from) = next {
            next = step(&from);
        }
    }

    /// Shows a bounded part of all that can be read, at whichever revision, to `historian`: from
    /// `from` on. Where to go on.
    pub(crate) fn walk(&self, from: &Place, historian: &mut impl Historian) -> Option<Place> {
        self.walk_until(from, self.status.revision, historian)
    }

    /// The same of what can be read at revisions up to `revision`.
    pub(crate) fn walk_until(
        &self,
        from: &Place,
        revision: i64,
        historian: &mut impl Historian,
    ) -> Option<Place> {
        let readable = self.status.compacted..=revision;
        self.shared.read().tree_of(self.pin).walk(from, &readable, historian)
    }
}

/// A panic ends the process, so no lock is ever poisoned outside of a test that fails anyway.
const NO_PANIC: &str = "no thread panicked while it held the lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_replaced_stays_as_long_as_views_of_it_and_no_longer() {
        let shared = Shared::new();
        let hash = StateHash::new();
        let (status, _, first) = shared.pin();
        let (_, _, second) = shared.pin();
        shared.replace(Tree::new(), Status { compacted: 5, ..status }, hash);
        let (_, _, later) = shared.pin();
        assert_eq!(shared.floor(7), 5, "views of before need nothing of what is now");
        let replaced = || shared.read().replaced.keys().copied().collect::<Vec<_>>();
        assert_eq!(replaced(), [0]);
        shared.unpin(first);
        shared.replace(Tree::new(), status, hash);
        assert_eq!((replaced(), shared.floor(7)), (vec![0, 1], 7));
        shared.replace(Tree::new(), status, hash);
        assert_eq!(replaced(), [0, 1], "nobody needs the one between");
        shared.unpin(second);
        assert_eq!(replaced(), [1]);
        shared.unpin(later);
        assert_eq!(replaced(), [0; 0]);
    }
}
