//! All keys in order, in leaves.
//!
//! The leaves hang in a map under their fences: a leaf holds the keys from its own fence up to the
//! next one's. The first fence is the empty key, so that every key has its leaf.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::RangeInclusive;

use crate::leaf::{Historian, Leaf, Place, Removed, Scanned, Visitor};
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
        if leaf.is_too_large() {
            let upper = leaf.split(key);
            self.leaves.insert(upper.key(0).into(), upper);
        }
    }

    /// Adds a version, the newest of its key so far. No key in here comes after `key`, so nothing
    /// is searched.
    pub(crate) fn append(&mut self, key: &[u8], version: Version) {
        let mut last = self.leaves.last_entry().expect("there is the first fence");
        let leaf = last.get_mut();
        leaf.push(key, |_| version);
        if leaf.is_too_large() {
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

    /// Shows all versions that are needed for these revisions to `historian`, from `from` on. After
    /// a bounded number of keys and versions it stops, and says where to go on.
    pub(crate) fn walk(
        &self,
        from: &Place,
        revisions: &RangeInclusive<i64>,
        historian: &mut impl Historian,
    ) -> Option<Place> {
        let mut budget = SCAN_STEP;
        let (fence, _) = self.leaf(&from.key);
        for (fence, leaf) in self.leaves.range::<[u8], _>((Included(fence), Unbounded)) {
            if budget == 0 {
                return Some(Place { key: fence.clone(), shown: 0 });
            }
            let next = leaf.walk(from, revisions, &mut budget, historian);
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Removes what nobody reads at `floor` or later, from the key `from` on. After a bounded
    /// number of keys it stops, and says where to go on.
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
            if leaf.is_empty() && !fence.is_empty() {
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

/// How many keys a scan looks at before it lets the lock go: some ten microseconds of work.
const SCAN_STEP: usize = 128;

/// How many keys and versions one step of a compaction looks at: more work for each, since it
/// frees.
const FORGET_STEP: usize = 64;

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::record::Fields;

    fn push(tree: &mut Tree, key: &[u8], revision: i64) {
        let fields = Fields { create_revision: revision, version: 1, lease: 0, value: b"" };
        tree.push(key, |_| Version::set(revision, 0, key, fields));
    }

    fn remove(tree: &mut Tree, key: &[u8], revision: i64) {
        tree.push(key, |_| Version::tombstone(revision, 0, key));
    }

    struct Count(usize);

    impl Visitor for Count {
        fn visit(&mut self, _version: &Version) -> ControlFlow<()> {
            self.0 += 1;
            ControlFlow::Continue(())
        }

        fn counts_only(&self) -> bool {
            false
        }

        fn count(&mut self, _keys: usize) {}
    }

    #[test]
    fn keys_in_order_fill_their_leaves() {
        let mut tree = Tree::new();
        for number in 0..6_400 {
            push(&mut tree, format!("{number:05}").as_bytes(), 2 + number);
        }
        assert_eq!(tree.leaves.len(), 100);
    }

    #[test]
    fn large_keys_get_leaves_of_their_own() {
        let mut tree = Tree::new();
        for number in 0..10_u8 {
            push(&mut tree, &[number; 100_000], 2 + i64::from(number));
        }
        assert!(9 <= tree.leaves.len());
        assert!((0..10_u8).all(|number| tree.at(&[number; 100_000], 20).is_some()));
    }

    #[test]
    fn leaves_without_a_key_go() {
        let mut tree = Tree::new();
        let keys: Vec<_> = (0..1_000).map(|number| format!("{number:05}")).collect();
        for (revision, key) in (2..).zip(&keys) {
            push(&mut tree, key.as_bytes(), revision);
        }
        for (revision, key) in (2_000..).zip(&keys) {
            remove(&mut tree, key.as_bytes(), revision);
        }
        let mut removed = Removed::default();
        let mut next = tree.forget(b"", 3_000, &mut removed);
        while let Some(from) = next {
            next = tree.forget(&from, 3_000, &mut removed);
        }
        assert_eq!((tree.leaves.len(), removed.versions), (1, 2_000));
    }

    #[test]
    fn one_step_of_a_scan_is_bounded_and_the_next_goes_on_where_it_ended() {
        let mut tree = Tree::new();
        for number in 0..1_000 {
            push(&mut tree, format!("{number:05}").as_bytes(), 2 + number);
        }
        let span = Span::new(b"\0", b"\0");
        let (mut count, mut steps) = (Count(0), 1);
        let mut next = tree.scan(b"\0", &span, 1_001, &mut count);
        while let Some(from) = next {
            assert!(count.0 <= steps * SCAN_STEP);
            next = tree.scan(&from, &span, 1_001, &mut count);
            steps += 1;
        }
        assert_eq!((count.0, steps), (1_000, 8));
    }
}
