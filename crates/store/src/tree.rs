//! All keys in order, in leaves.
//!
//! The leaves hang in a map under their fences: a leaf holds the keys from its own fence up to the
//! next one's. The first fence is the empty key, so that every key has its leaf.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};

use crate::leaf::{Leaf, Removed, Scanned, Visitor};
use crate::record::Version;
use crate::span::Span;

/// All keys with all their versions.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Never empty. No leaf but the first is without a key.
    leaves: BTreeMap<Box<[u8]>, Leaf>,
}

impl Tree {
    /// No key.
    pub(crate) fn new() -> Self {
        Self { leaves: BTreeMap::from([(Box::default(), Leaf::default())]) }
    }

    /// Appends to a key's history the version that `make` makes of its newest one, which may be a
    /// tombstone.
    pub(crate) fn push(&mut self, key: &[u8], make: impl FnOnce(Option<&Version>) -> Version) {
        let leaf = self.leaf_mut(key);
        leaf.push(key, make);
        if leaf.len() > LEAF_KEYS_MAX {
            let upper = leaf.split(key);
            self.leaves.insert(upper.key(0).into(), upper);
        }
    }

    /// The version of `key` that a reader at `revision` sees.
    pub(crate) fn at(&self, key: &[u8], revision: i64) -> Option<&Version> {
        self.leaf(key).1.at(key, revision)
    }

    /// Shows the keys of `span` from `from` on to `visitor`, each as it was at `revision`. After a
    /// bounded number of keys it stops, and says where to go on.
    pub(crate) fn scan(
        &self,
        from: &[u8],
        span: &Span<'_>,
        revision: i64,
        visitor: &mut impl Visitor,
    ) -> Option<Box<[u8]>> {
        let mut budget = SCAN_STEP;
        let (fence, first) = self.leaf(from);
        let start = first.find(from).unwrap_or_else(|place| place);
        match first.scan(start, span, revision, &mut budget, visitor) {
            Scanned::Ended => return None,
            Scanned::Paused(at) => return Some(first.key(at).into()),
            Scanned::Through => {}
        }
        for (fence, leaf) in self.leaves.range::<[u8], _>((Excluded(fence), Unbounded)) {
            if !span.reaches(fence) {
                return None;
            }
            if budget == 0 {
                return Some(fence.clone());
            }
            match leaf.scan(0, span, revision, &mut budget, visitor) {
                Scanned::Ended => return None,
                Scanned::Paused(at) => return Some(leaf.key(at).into()),
                Scanned::Through => {}
            }
        }
        None
    }

    /// Removes what nobody reads at `floor` or later, from the key `from` on. After a bounded number
    /// of keys it stops, and says where to go on.
    pub(crate) fn forget(
        &mut self,
        from: &[u8],
        floor: i64,
        removed: &mut Removed,
    ) -> Option<Box<[u8]>> {
        let mut budget = FORGET_STEP;
        let mut emptied = Vec::new();
        let mut next = None;
        let (fence, _) = self.leaf(from);
        let fence: Box<[u8]> = fence.into();
        for (fence, leaf) in self.leaves.range_mut::<[u8], _>((Included(&*fence), Unbounded)) {
            if budget == 0 {
                next = Some(fence.clone());
                break;
            }
            let start = leaf.find(from).unwrap_or_else(|place| place);
            if let Some(at) = leaf.forget(start, floor, &mut budget, removed) {
                next = Some(leaf.key(at).into());
                break;
            }
            if leaf.len() == 0 && !fence.is_empty() {
                emptied.push(fence.clone());
            }
        }
        for fence in emptied {
            self.leaves.remove(&fence);
        }
        next
    }

    fn leaf(&self, key: &[u8]) -> (&[u8], &Leaf) {
        let below = self.leaves.range::<[u8], _>((Unbounded, Included(key))).next_back();
        let (fence, leaf) = below.expect("the first fence is below every key");
        (fence, leaf)
    }

    fn leaf_mut(&mut self, key: &[u8]) -> &mut Leaf {
        let below = self.leaves.range_mut::<[u8], _>((Unbounded, Included(key))).next_back();
        below.expect("the first fence is below every key").1
    }
}

/// How many keys a leaf holds at most.
const LEAF_KEYS_MAX: usize = 64;

/// How many keys a scan looks at before it lets the lock go: some ten microseconds of work.
const SCAN_STEP: usize = 128;

/// How many keys and versions one step of a compaction looks at.
const FORGET_STEP: usize = 256;
