//! A few dozen neighbouring keys with all their versions.
//!
//! The keys of a leaf lie one after the other in one buffer, so that a search touches few cache
//! lines, and each takes its own length and four bytes.
//!
//! # Invariants
//!
//! - Keys ascend strictly. Of one key, revisions never fall from the oldest version to the newest;
//!   they are equal where one transaction changed a key twice.
//! - A key's oldest version is no tombstone, unless a compaction removed what was before it.

mod walk;

use std::collections::VecDeque;
use std::ops::ControlFlow;

use crate::record::Version;
use crate::span::Span;

pub(crate) use walk::{Historian, Place};

/// A few dozen keys.
#[derive(Debug, Default)]
pub(crate) struct Leaf {
    /// All keys, one after the other.
    keys: Vec<u8>,
    /// Where in `keys` each key ends. Four bytes do: a leaf splits long before its keys take more,
    /// and no message of protobuf brings a key of two gigabytes.
    ends: Vec<u32>,
    /// What each key was and is.
    entries: Vec<Entry>,
    /// How many keys live now.
    live: usize,
    /// How many versions a compaction might remove: all that are not a live key's newest.
    stale: usize,
    /// A revision that no version in here is newer than.
    newest: i64,
}

/// The history of one key.
#[derive(Debug)]
struct Entry {
    /// What it is now.
    newest: Version,
    /// What it was, oldest first.
    #[expect(
        clippy::box_collection,
        reason = "most keys have none: it costs them one word, not four"
    )]
    older: Option<Box<VecDeque<Version>>>,
}

/// Sees the keys that live at a revision, in their order.
pub(crate) trait Visitor {
    /// Sees the next key's version. Breaking ends the scan.
    fn visit(&mut self, version: &Version) -> ControlFlow<()>;
    /// Whether only the number of the keys to come matters.
    fn counts_only(&self) -> bool;
    /// Is told of so many more keys, once [`counts_only`](Self::counts_only).
    fn count(&mut self, keys: usize);
}

/// How the scan of a leaf ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// The span or the visitor's interest ends here.
    Ended,
    /// The budget does: the key at this place is next.
    Paused(usize),
    /// The leaf does.
    Through,
}

/// What a compaction removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// So many versions.
    pub(crate) versions: i64,
    /// That took so many bytes.
    pub(crate) bytes: i64,
}

impl Leaf {
    /// Appends to a key's history the version that `make` makes of its newest one.
    pub(crate) fn push(&mut self, key: &[u8], make: impl FnOnce(Option<&Version>) -> Version) {
        match self.find(key) {
            Ok(at) => {
                let entry = &mut self.entries[at];
                let version = make(Some(&entry.newest));
                let (was_live, is_live) = (!entry.newest.is_tombstone(), !version.is_tombstone());
                assert!(entry.newest.revision() <= version.revision(), "a revision fell");
                self.newest = self.newest.max(version.revision());
                self.live = self.live + usize::from(is_live) - usize::from(was_live);
                self.stale = self.stale + usize::from(was_live) + usize::from(!is_live);
                entry.push(version);
            }
            Err(at) => {
                let version = make(None);
                self.newest = self.newest.max(version.revision());
                self.live += usize::from(!version.is_tombstone());
                self.stale += usize::from(version.is_tombstone());
                self.insert(at, key, version);
            }
        }
    }

    /// The version of `key` that a reader at `revision` sees.
    pub(crate) fn at(&self, key: &[u8], revision: i64) -> Option<&Version> {
        self.entries[self.find(key).ok()?].at(revision)
    }

    /// Shows the keys of `span` from place `from` on to `visitor`, each as it was at `revision`.
    /// Every key costs one of `budget`; a leaf that is counted at one stroke costs one as a whole.
    pub(crate) fn scan(
        &self,
        from: usize,
        span: &Span<'_>,
        revision: i64,
        budget: &mut usize,
        visitor: &mut impl Visitor,
    ) -> Scanned {
        let counts_all = from == 0 && self.newest <= revision && visitor.counts_only();
        if counts_all && self.last_key().is_some_and(|last| span.reaches(last)) {
            *budget = budget.saturating_sub(1);
            visitor.count(self.live);
            return Scanned::Through;
        }
        for at in from..self.entries.len() {
            if !span.reaches(self.key(at)) {
                return Scanned::Ended;
            }
            if *budget == 0 {
                return Scanned::Paused(at);
            }
            *budget -= 1;
            let Some(version) = self.entries[at].at(revision) else { continue };
            if visitor.counts_only() {
                visitor.count(1);
            } else if visitor.visit(version).is_break() {
                return Scanned::Ended;
            }
        }
        Scanned::Through
    }

    /// Removes what nobody reads at `floor` or later, from place `from` on. Every key and every
    /// removed version costs one of `budget`. The place of the key to go on with, if it runs out.
    pub(crate) fn forget(
        &mut self,
        from: usize,
        floor: i64,
        budget: &mut usize,
        removed: &mut Removed,
    ) -> Option<usize> {
        if self.stale == 0 {
            *budget = budget.saturating_sub(1);
            return None;
        }
        let mut at = from;
        while at < self.entries.len() {
            if *budget == 0 {
                return Some(at);
            }
            *budget -= 1;
            let entry = &mut self.entries[at];
            let before = removed.versions;
            let cut = entry.forget(floor, budget, removed);
            self.stale -= usize::try_from(removed.versions - before).expect("a count");
            match cut {
                Cut::Entry => self.remove(at),
                Cut::Done => at += 1,
                Cut::Unfinished => return Some(at),
            }
        }
        None
    }

    /// Moves the upper keys into a new leaf: half of them, or only the last if that was just added,
    /// so that keys that come in order fill their leaves.
    pub(crate) fn split(&mut self, added: &[u8]) -> Self {
        let middle = match self.last_key() {
            Some(last) if last == added => self.entries.len() - 1,
            _ => self.entries.len() / 2,
        };
        let keys_end = self.key_start(middle);
        let mut upper = Self {
            keys: self.keys.split_off(keys_end),
            ends: self.ends.split_off(middle),
            entries: self.entries.split_off(middle),
            newest: self.newest,
            live: 0,
            stale: 0,
        };
        for end in &mut upper.ends {
            *end -= offset(keys_end);
        }
        upper.live = upper.entries.iter().filter(|entry| !entry.newest.is_tombstone()).count();
        upper.stale = upper.entries.iter().map(Entry::stale).sum();
        self.live -= upper.live;
        self.stale -= upper.stale;
        upper.shrink();
        self.shrink();
        upper
    }

    /// The place of `key`, or the one where it would be.
    pub(crate) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.entries.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.key(middle).cmp(key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The key at a place.
    pub(crate) fn key(&self, at: usize) -> &[u8] {
        &self.keys[self.key_start(at)..self.key_end(at)]
    }

    /// Whether there is no key, not even a dead one.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it should be split.
    pub(crate) fn is_too_large(&self) -> bool {
        KEYS_MAX < self.entries.len() || (1 < self.entries.len() && BYTES_MAX < self.keys.len())
    }

    fn key_start(&self, at: usize) -> usize {
        at.checked_sub(1).map_or(0, |before| self.key_end(before))
    }

    fn key_end(&self, at: usize) -> usize {
        usize::try_from(self.ends[at]).expect("memory has at least 32 bits")
    }

    fn last_key(&self) -> Option<&[u8]> {
        self.entries.len().checked_sub(1).map(|last| self.key(last))
    }

    fn insert(&mut self, at: usize, key: &[u8], version: Version) {
        if self.entries.len() == self.entries.capacity() {
            // In small steps: a million half-empty leaves would be a hundred megabytes.
            self.entries.reserve_exact(GROWTH);
            self.ends.reserve_exact(GROWTH);
            self.keys.reserve_exact(GROWTH * key.len());
        }
        let start = self.key_start(at);
        self.keys.splice(start..start, key.iter().copied());
        self.ends.insert(at, offset(start));
        for end in &mut self.ends[at..] {
            *end += offset(key.len());
        }
        self.entries.insert(at, Entry { newest: version, older: None });
    }

    /// Takes out a key of which no version is left.
    fn remove(&mut self, at: usize) {
        let start = self.key_start(at);
        let length = self.key_end(at) - start;
        self.keys.drain(start..start + length);
        self.ends.remove(at);
        for end in &mut self.ends[at..] {
            *end -= offset(length);
        }
        self.entries.remove(at);
        if self.entries.len() * 2 < self.entries.capacity() {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.entries.shrink_to_fit();
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("the keys of a leaf take less than four gigabytes")
}

/// How far [`Entry::forget`] came.
enum Cut {
    /// Nothing is left to remove.
    Done,
    /// Nothing is left at all.
    Entry,
    /// The budget ran out.
    Unfinished,
}

impl Entry {
    fn push(&mut self, version: Version) {
        let old = std::mem::replace(&mut self.newest, version);
        self.older.get_or_insert_with(|| Box::new(VecDeque::with_capacity(1))).push_back(old);
    }

    /// The version that lives at `revision`.
    fn at(&self, revision: i64) -> Option<&Version> {
        let version = if self.newest.revision() <= revision {
            &self.newest
        } else {
            let older = self.older.as_ref()?;
            let after = older.partition_point(|version| version.revision() <= revision);
            &older[after.checked_sub(1)?]
        };
        (!version.is_tombstone()).then_some(version)
    }

    /// The versions that a compaction might remove.
    fn stale(&self) -> usize {
        self.older.as_ref().map_or(0, |older| older.len()) + usize::from(self.newest.is_tombstone())
    }

    /// How many of the oldest versions nobody needs who reads at `floor` or later, or who watches
    /// from `floor` on. What happened *at* `floor` stays, tombstones too: a watch may start there.
    fn unneeded(&self, floor: i64) -> usize {
        let older = |at: usize| self.older.as_ref().and_then(|older| older.get(at));
        let version = |at: usize| older(at).unwrap_or(&self.newest);
        let count = 1 + self.older.as_ref().map_or(0, |older| older.len());
        let before_newest = self
            .older
            .as_ref()
            .map_or(0, |older| older.partition_point(|version| version.revision() < floor));
        let before = if self.newest.revision() < floor { count } else { before_newest };
        if before < count && version(before).revision() == floor {
            return before;
        }
        match before.checked_sub(1) {
            Some(last) if !version(last).is_tombstone() => last,
            _ => before,
        }
    }

    fn forget(&mut self, floor: i64, budget: &mut usize, removed: &mut Removed) -> Cut {
        let mut unneeded = self.unneeded(floor);
        while let Some(older) = self.older.as_mut().filter(|_| unneeded > 0) {
            let Some(version) = older.pop_front() else {
                self.older = None;
                break;
            };
            unneeded -= 1;
            removed.versions += 1;
            removed.bytes += version.bytes();
            *budget = budget.saturating_sub(1);
            if *budget == 0 && unneeded > 0 {
                return Cut::Unfinished;
            }
        }
        if let Some(older) = &mut self.older {
            if older.is_empty() {
                self.older = None;
            } else if older.len() * 4 < older.capacity() {
                older.shrink_to_fit();
            }
        }
        if unneeded == 0 {
            return Cut::Done;
        }
        assert!(self.newest.is_tombstone(), "a key that lives keeps its newest version");
        removed.versions += 1;
        removed.bytes += self.newest.bytes();
        Cut::Entry
    }
}

/// How many keys a leaf holds at most.
const KEYS_MAX: usize = 64;

/// How many bytes they take, with some more for the last: moving them must stay cheap.
const BYTES_MAX: usize = 1 << 16;

/// How many keys' room a full leaf gets more.
const GROWTH: usize = 8;
