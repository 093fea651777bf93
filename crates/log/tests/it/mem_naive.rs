//! A disk as naive as can be: two images of each file, and a copy of every version of every sector.

use std::collections::{BTreeMap, BTreeSet};

use quorate_log::{Choices, MemDisk};

const SECTOR: usize = MemDisk::SECTOR_BYTES;

/// What becomes of a write.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Good,
    Lost,
    Astray { by: usize },
    Half,
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct File {
    pub seen: Vec<u8>,
    /// What a crash leaves if it loses everything but the length.
    pub durable: Vec<u8>,
    pub length_durable: usize,
    pub versions: BTreeMap<usize, Vec<Vec<u8>>>,
    pub broken: BTreeSet<usize>,
}

impl File {
    pub fn extend(&mut self, length: usize) {
        let length = length.max(self.seen.len());
        self.seen.resize(length, 0);
        self.durable.resize(length, 0);
    }

    pub fn write(&mut self, bytes: &[u8], offset: usize, fate: Fate) {
        let held = self.seen.len();
        let place = match fate {
            Fate::Good | Fate::Lost => offset,
            Fate::Half => return self.write(&bytes[..bytes.len() / 2], offset, Fate::Good),
            Fate::Astray { by } => place_astray(by, offset, bytes.len(), held).unwrap_or(offset),
        };
        if bytes.is_empty() {
            return;
        }
        self.extend(offset + bytes.len());
        self.seen[place..place + bytes.len()].copy_from_slice(bytes);
        if matches!(fate, Fate::Lost) {
            return;
        }
        for (sector, version) in (0..).zip(self.seen.chunks(SECTOR)) {
            let (start, end) = (sector * SECTOR, (sector + 1) * SECTOR);
            if place < end && start < place + bytes.len() {
                self.versions.entry(sector).or_default().push(version.to_vec());
                self.broken.remove(&sector);
            }
        }
    }

    pub fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.versions) {
            self.keep(sector, versions.last().unwrap());
        }
        self.length_durable = self.durable.len();
    }

    fn keep(&mut self, sector: usize, version: &[u8]) {
        self.durable[sector * SECTOR..][..version.len()].copy_from_slice(version);
    }

    pub fn rot(&mut self, offset: usize, mask: u8) -> bool {
        if offset >= self.seen.len() {
            return false;
        }
        self.seen[offset] ^= mask;
        self.durable[offset] ^= mask;
        for version in self.versions.entry(offset / SECTOR).or_default() {
            if let Some(byte) = version.get_mut(offset % SECTOR) {
                *byte ^= mask;
            }
        }
        self.versions.retain(|_, versions| !versions.is_empty());
        true
    }

    pub fn crash(&mut self, choices: &mut Choices) {
        let is_same = self.seen.len() == self.length_durable;
        let length = match is_same || choices.pick(2) == 1 {
            true => self.seen.len(),
            false => self.length_durable,
        };
        for (sector, versions) in std::mem::take(&mut self.versions) {
            if let Some(kept) = choices.pick(versions.len() + 1).checked_sub(1) {
                self.keep(sector, &versions[kept]);
            }
        }
        self.durable.truncate(length);
        self.length_durable = length;
        self.seen.clone_from(&self.durable);
    }

    pub fn crash_ways(&self) -> u64 {
        let length = if self.seen.len() == self.length_durable { 1 } else { 2 };
        let sectors = self.versions.values().map(|versions| u64::try_from(versions.len() + 1));
        sectors.fold(length, |ways, more| ways.saturating_mul(more.unwrap()))
    }
}

/// Goes from place to place in the file as it was, and not to the right one.
pub fn place_astray(by: usize, offset: usize, bytes: usize, length: usize) -> Option<usize> {
    let places = (offset % SECTOR..).step_by(SECTOR).take_while(|at| at + bytes <= length);
    let places: Vec<usize> = places.collect();
    let further = offset / SECTOR + by.div_ceil(SECTOR).max(1);
    let mut tried = places.iter().cycle().skip(further % places.len().max(1)).take(2);
    tried.find(|&&place| place != offset).copied()
}

/// A changed name: what goes, and what comes.
pub type NameChange = (Option<String>, Option<(String, usize)>);

/// A directory.
#[derive(Clone, Debug, Default)]
pub struct Naive {
    pub files: Vec<File>,
    pub seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
}

impl Naive {
    /// The file of a name; made if there is none.
    pub fn make(&mut self, name: &str) -> usize {
        let new = self.files.len();
        let at = self.find(name).unwrap_or(new);
        if at == new {
            self.files.push(File::default());
            self.change((None, Some((name.to_owned(), at))));
        }
        at
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.seen.get(name).copied()
    }

    pub fn change(&mut self, change: NameChange) {
        apply(&change, &mut self.seen);
        self.changes.push(change);
    }

    pub fn sync_dir(&mut self) {
        self.durable.clone_from(&self.seen);
        self.changes.clear();
    }

    pub fn set_content(&mut self, name: &str, bytes: Vec<u8>) {
        let at = self.make(name);
        let (durable, length_durable) = (bytes.clone(), bytes.len());
        self.files[at] = File { seen: bytes, durable, length_durable, ..File::default() };
        self.durable.insert(name.to_owned(), at);
        self.changes.retain(|(gone, come)| {
            let come = come.as_ref().map(|(come, _)| come.as_str());
            gone.as_deref() != Some(name) && come != Some(name)
        });
    }

    #[must_use]
    pub fn crash(&self, choices: &mut Choices) -> Self {
        let mut crashed = self.clone();
        for change in std::mem::take(&mut crashed.changes) {
            if choices.pick(2) == 1 {
                apply(&change, &mut crashed.durable);
            }
        }
        crashed.seen.clone_from(&crashed.durable);
        crashed.files.iter_mut().for_each(|file| file.crash(choices));
        crashed
    }

    pub fn crash_ways(&self) -> u64 {
        let names = self.changes.iter().map(|_| 2);
        names.chain(self.files.iter().map(File::crash_ways)).fold(1, u64::saturating_mul)
    }

    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.seen.iter().map(|(name, &at)| (name.clone(), self.files[at].seen.clone())).collect()
    }
}

fn apply((gone, come): &NameChange, names: &mut BTreeMap<String, usize>) {
    if let Some(name) = gone {
        names.remove(name);
    }
    names.extend(come.clone());
}
