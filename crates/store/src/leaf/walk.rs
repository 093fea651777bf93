//! Showing the history of keys, not only what lives at one revision.

use std::ops::{ControlFlow, Range, RangeInclusive};

use super::{Entry, Leaf};
use crate::record::Version;

/// Sees keys in their order, and all versions of each.
pub(crate) trait Historian {
    /// Is told of the next key, and how many versions of it will come.
    fn key(&mut self, key: &[u8], versions: usize);
    /// Sees the next version of that key. Breaking ends this step, not the walk.
    fn version(&mut self, version: &Version) -> ControlFlow<()>;
}

/// Where a walk goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// At this key, or the next one if it is gone.
    pub(crate) key: Box<[u8]>,
    /// After so many of its versions, of those that are shown. Those before them may be removed
    /// meanwhile, and newer ones come, but these stay.
    pub(crate) shown: usize,
}

impl Leaf {
    /// Shows what is needed to read at any of these revisions to `historian`, from `from` on. Each
    /// version, and each key without one, costs one of `budget`, which is not 0. Where to go on, if
    /// it runs out.
    pub(crate) fn walk(
        &self,
        from: &Place,
        revisions: &RangeInclusive<i64>,
        budget: &mut usize,
        historian: &mut impl Historian,
    ) -> Option<Place> {
        let start = self.find(&from.key).unwrap_or_else(|place| place);
        for at in start..self.entries.len() {
            let (key, entry) = (self.key(at), &self.entries[at]);
            if *budget == 0 {
                return Some(Place { key: key.into(), shown: 0 });
            }
            let needed = entry.needed(revisions);
            if needed.is_empty() {
                *budget -= 1;
                continue;
            }
            // With some budget left, so a key that was told of has its first version shown too.
            let shown = if key == &*from.key { from.shown } else { 0 };
            if shown == 0 {
                historian.key(key, needed.len());
            }
            for at in needed.start + shown..needed.end {
                if *budget == 0 {
                    return Some(Place { key: key.into(), shown: at - needed.start });
                }
                let flow = historian.version(entry.version(at));
                *budget = if flow.is_break() { 0 } else { *budget - 1 };
            }
        }
        None
    }
}

impl Entry {
    /// Which versions are needed to read at any of these revisions, counted from the oldest. What a
    /// compaction to the first of them would remove, or did remove already, is not among them.
    fn needed(&self, revisions: &RangeInclusive<i64>) -> Range<usize> {
        let happened = |version: &Version| version.revision() <= *revisions.end();
        let older = self.older.as_ref();
        let end = if happened(&self.newest) {
            older.map_or(0, |older| older.len()) + 1
        } else {
            older.map_or(0, |older| older.partition_point(happened))
        };
        self.unneeded(*revisions.start())..end
    }

    fn version(&self, at: usize) -> &Version {
        self.older.as_ref().and_then(|older| older.get(at)).unwrap_or(&self.newest)
    }
}
