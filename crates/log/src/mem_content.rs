//! What a [`crate::MemDisk`] knows of a file and of a change of a name: what a process sees, and
//! what a crash may leave of it.

use std::collections::BTreeMap;

use crate::choices::Choices;
use crate::number::wide;

/// The unit in which a crash keeps or loses what was written.
pub(crate) const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug)]
pub(crate) enum NameChange {
    Set { name: String, id: u64 },
    Rename { from: String, to: String, id: u64 },
    Remove { name: String },
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    durable: Vec<u8>,
    /// The versions of each sector that was written since it was last synced.
    versions: BTreeMap<usize, Vec<Vec<u8>>>,
}

impl Content {
    /// A file that is durable as it is.
    pub(crate) fn durable(bytes: Vec<u8>) -> Self {
        Self { durable: bytes.clone(), bytes, versions: BTreeMap::new() }
    }

    /// In how many ways a crash could leave it.
    pub(crate) fn crash_ways(&self) -> u64 {
        let length = if self.bytes.len() == self.durable.len() { 1 } else { 2 };
        let sectors = self.versions.values().map(|versions| wide(versions.len() + 1));
        sectors.fold(length, u64::saturating_mul)
    }

    /// A failed sync: what was written stays visible, but no later sync makes it durable.
    pub(crate) fn forget_writes(&mut self) {
        self.versions.clear();
    }

    /// A write to the page cache.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if bytes.is_empty() {
            return;
        }
        if end > self.bytes.len() {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let version = sector_of(&self.bytes, sector).to_vec();
            self.versions.entry(sector).or_default().push(version);
        }
    }

    /// A sync.
    pub(crate) fn make_durable(&mut self) {
        // A sector that was only extended has no version; it reads as zeros anyway.
        self.durable.resize(self.bytes.len(), 0);
        for sector in std::mem::take(&mut self.versions).into_keys() {
            let version = sector_of(&self.bytes, sector).to_vec();
            put_sector(&mut self.durable, sector, &version);
        }
    }

    /// A loss of power.
    pub(crate) fn crash(&mut self, choices: &mut Choices) {
        if self.bytes.len() != self.durable.len() && choices.pick(2) == 1 {
            self.durable.resize(self.bytes.len(), 0);
        }
        for (sector, versions) in std::mem::take(&mut self.versions) {
            if let Some(kept) = choices.pick(versions.len() + 1).checked_sub(1) {
                put_sector(&mut self.durable, sector, &versions[kept]);
            }
        }
        self.bytes.clone_from(&self.durable);
    }
}

impl NameChange {
    pub(crate) fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Set { name, id } => {
                names.insert(name.clone(), *id);
            }
            Self::Rename { from, to, id } => {
                names.remove(from);
                names.insert(to.clone(), *id);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }

    pub(crate) fn is_about(&self, name: &str) -> bool {
        match self {
            Self::Set { name: set, .. } | Self::Remove { name: set } => set == name,
            Self::Rename { from, to, .. } => from == name || to == name,
        }
    }
}

fn sector_of(bytes: &[u8], sector: usize) -> &[u8] {
    let start = sector * SECTOR_BYTES;
    &bytes[start..bytes.len().min(start + SECTOR_BYTES)]
}

/// Puts a sector in its place, as far as the file reaches.
fn put_sector(bytes: &mut [u8], sector: usize, version: &[u8]) {
    let start = (sector * SECTOR_BYTES).min(bytes.len());
    let end = bytes.len().min(start + version.len());
    bytes[start..end].copy_from_slice(&version[..end - start]);
}
