//! Writing a snapshot.

use std::io::{self, Write};
use std::ops::ControlFlow;

use bytes::Bytes;

use super::{MAGIC, VERSION};
use crate::View;
use crate::hash::StateHash;
use crate::leaf::{Historian, Place};
use crate::record::{Facts, Version};

/// A store as it stood at one moment, to be written: a [`View`] with the hash of that moment. Made
/// by [`Store::snapshot`](crate::Store::snapshot).
#[derive(Debug)]
pub struct Snapshot {
    view: View,
    hash: StateHash,
}

impl Snapshot {
    pub(crate) fn new(view: View, hash: StateHash) -> Self {
        Self { view, hash }
    }

    /// The store as it stood.
    pub fn view(&self) -> &View {
        &self.view
    }

    pub(crate) fn into_view(self) -> View {
        self.view
    }

    /// About how many bytes [`write_to`](Self::write_to) writes; how many exactly, only writing
    /// tells. More than it is where old versions wait for their removal.
    pub fn bytes_estimate(&self) -> u64 {
        let status = self.view.status();
        // Of a version's numbers in memory about half are written, see `docs/snapshot-format.md`.
        let overhead = i64::try_from(size_of::<Version>()).expect("a size is small");
        status.bytes.saturating_sub(status.versions.saturating_mul(overhead)).cast_unsigned()
    }

    /// The hash of all that had been applied.
    pub fn state_hash(&self) -> u64 {
        self.hash.value()
    }

    /// Writes everything that can be read of the store as it stood: at any time, as often as
    /// wanted, always the same bytes. Members that applied the same commands write the same.
    ///
    /// Between two writes to `out`, each of some ten kilobytes or of one value, it holds the lock
    /// for as long as one step of a read does. What it needs of memory does not depend on how much
    /// there is to write. `out` is not flushed.
    ///
    /// # Errors
    /// Those of `out`. What was written until then is no snapshot.
    pub fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let status = self.view.status();
        let mut page = Page::default();
        page.bytes.extend(MAGIC);
        page.bytes.extend(VERSION.to_le_bytes());
        page.bytes.extend(status.revision.to_le_bytes());
        page.bytes.extend(status.compacted.to_le_bytes());
        page.bytes.extend(self.hash.value().to_le_bytes());
        let mut next = Some(Place::default());
        while let Some(place) = next {
            next = self.view.moment().walk(&place, &mut page);
            page.write_to(out)?;
        }
        let live = status.keys.cast_unsigned();
        for number in [0, page.keys, page.versions, live] {
            put_number(&mut page.bytes, number);
        }
        page.write_to(out)
    }
}

/// What goes out next, and what came before as far as the rest depends on it.
#[derive(Debug, Default)]
struct Page {
    bytes: Vec<u8>,
    /// A large value behind them, which is shared with the store for as long as it takes to write.
    value: Bytes,
    /// The newest version so far of the key at hand.
    last: Option<Last>,
    /// How many keys were seen, and how many versions.
    keys: u64,
    versions: u64,
}

/// A version that the next one follows from.
#[derive(Clone, Copy, Debug)]
struct Last {
    revision: i64,
    /// When the key was created and its version, if it lives.
    life: Option<(i64, i64)>,
}

impl Page {
    /// Writes what is there, and makes room.
    fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.bytes)?;
        self.bytes.clear();
        out.write_all(&std::mem::take(&mut self.value))
    }

    /// Adds a version, but for its value.
    fn head(&mut self, version: &Version, facts: &Facts) {
        let last = self.last.take();
        let since = version.revision() - last.map_or(0, |last| last.revision);
        let kind = u64::from(version.is_tombstone());
        put_number(&mut self.bytes, since.cast_unsigned() << 1 | kind);
        put_number(&mut self.bytes, facts.sub.cast_unsigned());
        let life = (!version.is_tombstone()).then_some((facts.create_revision, facts.version));
        self.last = Some(Last { revision: version.revision(), life });
        let Some(life) = life else { return };
        match last.map(|last| last.life) {
            None => self.life(version.revision(), life),
            // These two follow from the version before, and are not written.
            Some(None) => assert_eq!(life, (version.revision(), 1), "a new life"),
            Some(Some((create, count))) => assert_eq!(life, (create, count + 1), "the same life"),
        }
        put_number(&mut self.bytes, facts.lease.cast_unsigned());
    }

    /// Adds when a key was created and how often it was set since.
    fn life(&mut self, revision: i64, (create_revision, version): (i64, i64)) {
        put_number(&mut self.bytes, (version - 1).cast_unsigned());
        if version != 1 {
            put_number(&mut self.bytes, (revision - create_revision).cast_unsigned());
        }
    }
}

impl Historian for Page {
    fn key(&mut self, key: &[u8], versions: usize) {
        self.keys += 1;
        self.last = None;
        put_number(&mut self.bytes, count(versions));
        put_number(&mut self.bytes, count(key.len()));
        self.bytes.extend_from_slice(key);
    }

    fn version(&mut self, version: &Version) -> ControlFlow<()> {
        self.versions += 1;
        let facts = version.facts();
        self.head(version, &facts);
        if !version.is_tombstone() {
            let value = version.value(&facts);
            put_number(&mut self.bytes, count(value.len()));
            if SHARED_BYTES_MIN <= value.len() {
                self.value = version.value_shared(&facts);
                return ControlFlow::Break(());
            }
            self.bytes.extend_from_slice(value);
        }
        if self.bytes.len() < PAGE_BYTES {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }
}

/// Adds a number in seven-bit groups, low first.
fn put_number(bytes: &mut Vec<u8>, number: u64) {
    let mut rest = number;
    while rest >= 0x80 {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
}

fn count(items: usize) -> u64 {
    u64::try_from(items).expect("a length fits")
}

/// How much is gathered before the lock is let go, if the keys of a step do not end it earlier.
const PAGE_BYTES: usize = 1 << 16;

/// From this size on a value is not copied under the lock. Sharing costs the store some bytes too,
/// so small ones are.
const SHARED_BYTES_MIN: usize = 1 << 14;
