//! What a [`crate::MemDisk`] knows of a file: what a process sees, and what a crash may leave.
//!
//! There is one image: what a process sees. What the disk holds is known by the difference, so that
//! a sync, which a simulator runs millions of times, has nothing to copy:
//! - A write saves the sectors that it overwrites. Of a sector that was written `n` times since the
//!   last sync there are then `n + 1` versions: the `n` that were saved, the durable one first, and
//!   the last one. A sync forgets what was saved, and keeps the memory for the next time.
//! - The last version is what a process sees, unless the sector is stale: its last write was lost,
//!   or a failed sync forgot it. What no longer waits for a sync is kept then as the last version.
//!
//! **Invariant.** Bytes beyond `held` are zero in every version of every sector.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::choices::Choices;
use crate::number::wide;

/// The unit in which a crash keeps or loses what was written.
pub(crate) const SECTOR_BYTES: usize = 512;

type Sector = [u8; SECTOR_BYTES];

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    /// What a process sees, as far as it was ever written; the rest of the file reads as zeros.
    held: Vec<u8>,
    length: usize,
    length_durable: usize,
    /// The writes since the last sync, in order.
    writes: Vec<Write>,
    /// What they overwrote.
    saved: Vec<u8>,
    /// The last version of each sector whose last version is not what a process sees.
    stale: BTreeMap<usize, Box<Sector>>,
}

/// A write that was not synced yet.
#[derive(Clone, Debug)]
struct Write {
    /// The sectors it touched.
    sectors: Range<usize>,
    /// Where in `saved` their previous versions lie, one after another; what is missing is zero.
    saved: Range<usize>,
}

impl Content {
    /// A file that is durable as it is.
    pub(crate) fn durable(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len(), length_durable: bytes.len(), held: bytes, ..Self::default() }
    }

    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// All that a process sees.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Reads what a process sees, and says how much.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let count = buffer.len().min(self.length.saturating_sub(offset));
        let held = self.held.get(offset..).unwrap_or_default();
        let copied = count.min(held.len());
        buffer[..copied].copy_from_slice(&held[..copied]);
        buffer[copied..count].fill(0);
        count
    }

    /// A write to the page cache.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let sectors = sectors(offset, bytes.len());
        let from = self.saved.len();
        self.saved.extend_from_slice(part_of(&self.held, &sectors));
        if !self.stale.is_empty() {
            for sector in sectors.clone() {
                if let Some(last) = self.stale.remove(&sector) {
                    put_sector(&mut self.saved[from..], sector - sectors.start, &last);
                }
            }
        }
        self.writes.push(Write { sectors, saved: from..self.saved.len() });
        self.put(bytes, offset);
    }

    /// A write that a process sees, but that never arrives. A later write to one of its sectors
    /// takes along what this one left there.
    pub(crate) fn write_lost(&mut self, bytes: &[u8], offset: usize) {
        for sector in sectors(offset, bytes.len()) {
            let held = &self.held;
            self.stale
                .entry(sector)
                .or_insert_with(|| Box::new(padded(part_of(held, &(sector..sector + 1)))));
        }
        self.put(bytes, offset);
    }

    /// Makes the file longer, with zeros.
    pub(crate) fn extend(&mut self, length: usize) {
        self.length = self.length.max(length);
    }

    /// A sync.
    pub(crate) fn make_durable(&mut self) {
        self.length_durable = self.length;
        self.writes.clear();
        self.saved.clear();
    }

    /// A failed sync: what was written stays visible, but no later sync makes it durable.
    pub(crate) fn forget_writes(&mut self) {
        // Backwards: of a sector that was written more than once, the oldest version is durable.
        for write in self.writes.iter().rev() {
            for sector in write.sectors.clone() {
                self.stale.insert(sector, Box::new(self.overwritten(write, sector)));
            }
        }
        self.writes.clear();
        self.saved.clear();
    }

    /// Flips bits of a byte in every version of its sector. False if there is no such byte.
    pub(crate) fn rot(&mut self, offset: usize, mask: u8) -> bool {
        if offset >= self.length {
            return false;
        }
        self.held.resize(self.held.len().max(offset + 1), 0);
        self.held[offset] ^= mask;
        let sector = offset / SECTOR_BYTES;
        if let Some(last) = self.stale.get_mut(&sector) {
            last[offset % SECTOR_BYTES] ^= mask;
        }
        for write in self.writes.iter_mut().filter(|write| write.sectors.contains(&sector)) {
            let at = offset - write.sectors.start * SECTOR_BYTES;
            if at >= write.saved.len() {
                // A zero that was not saved: save it all once more, with the zeros.
                let from = self.saved.len();
                self.saved.extend_from_within(write.saved.clone());
                self.saved.resize(from + at + 1, 0);
                write.saved = from..self.saved.len();
            }
            self.saved[write.saved.start + at] ^= mask;
        }
        true
    }

    /// Whether the worst crash may leave less than a process sees.
    pub(crate) fn has_unsynced(&self) -> bool {
        self.length != self.length_durable || !self.writes.is_empty() || !self.stale.is_empty()
    }

    /// The number of possibilities in each question that [`Self::crash`] asks.
    pub(crate) fn crash_ways(&self) -> u64 {
        let length = if self.length == self.length_durable { 1 } else { 2 };
        let saved = self.saved_versions();
        let sectors = by_sector(&saved).map(|versions| wide(versions.len() + 1));
        sectors.fold(length, u64::saturating_mul)
    }

    /// What a loss of power leaves.
    pub(crate) fn crash(&self, choices: &mut Choices) -> Self {
        let is_length_kept = self.length != self.length_durable && choices.pick(2) == 1;
        let length = if is_length_kept { self.length } else { self.length_durable };
        let mut held = self.held.clone();
        for (&sector, last) in &self.stale {
            put_sector(&mut held, sector, last);
        }
        for versions in by_sector(&self.saved_versions()) {
            // All that were saved, and the last one.
            let kept = choices.pick(versions.len() + 1);
            if let Some(&(sector, write)) = versions.get(kept) {
                put_sector(&mut held, sector, &self.overwritten(&self.writes[write], sector));
            }
        }
        held.truncate(length);
        Self { held, length, length_durable: length, ..Self::default() }
    }

    fn put(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        self.extend(end);
        if end > self.held.len() {
            self.held.resize(end, 0);
        }
        self.held[offset..end].copy_from_slice(bytes);
    }

    /// Each sector of each write that waits, with the number of the write; ascending.
    fn saved_versions(&self) -> Vec<(usize, usize)> {
        let writes = self.writes.iter().enumerate();
        let mut versions: Vec<_> = writes
            .flat_map(|(at, write)| write.sectors.clone().map(move |sector| (sector, at)))
            .collect();
        versions.sort_unstable();
        versions
    }

    /// The version of a sector that a write put an end to.
    fn overwritten(&self, write: &Write, sector: usize) -> Sector {
        let at = sector - write.sectors.start;
        padded(part_of(&self.saved[write.saved.clone()], &(at..at + 1)))
    }
}

/// The sectors that bytes at an offset touch.
pub(crate) const fn sectors(offset: usize, length: usize) -> Range<usize> {
    offset / SECTOR_BYTES..(offset + length).div_ceil(SECTOR_BYTES)
}

fn by_sector(versions: &[(usize, usize)]) -> impl Iterator<Item = &[(usize, usize)]> {
    versions.chunk_by(|one, next| one.0 == next.0)
}

/// As much of some sectors as there is.
fn part_of<'a>(bytes: &'a [u8], sectors: &Range<usize>) -> &'a [u8] {
    let place = |sector: usize| bytes.len().min(sector * SECTOR_BYTES);
    &bytes[place(sectors.start)..place(sectors.end)]
}

fn padded(bytes: &[u8]) -> Sector {
    let mut sector = [0; SECTOR_BYTES];
    sector[..bytes.len()].copy_from_slice(bytes);
    sector
}

/// Puts a sector in its place, as far as that reaches; what is cut off is zero.
fn put_sector(bytes: &mut [u8], sector: usize, version: &Sector) {
    let start = bytes.len().min(sector * SECTOR_BYTES);
    let end = bytes.len().min(start + SECTOR_BYTES);
    bytes[start..end].copy_from_slice(&version[..end - start]);
}
