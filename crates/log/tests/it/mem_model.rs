//! The disk in memory against a naive one, which keeps two images of each file and a copy of every
//! version of every sector.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use quorate_log::{Choices, Disk, DiskFile, Fault, MemDisk, MemFile, OperationKind};

const SECTOR: usize = MemDisk::SECTOR_BYTES;

/// Something done to the disk; files are meant by the order in which handles were got.
#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Rename(u8, u8),
    Remove(u8),
    SyncDir { fails: bool },
    Write { file: usize, offset: usize, bytes: usize, fate: Fate },
    Allocate { file: usize, length: usize },
    Sync { file: usize, fails: bool },
    Set { name: u8, length: usize },
    Rot { name: u8, offset: usize, mask: u8 },
    Break { name: u8, sector: usize },
    Recover,
    Crash(u64),
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Good,
    Lost,
    Astray { by: usize },
    Half,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || 0..3_u8;
    let file = || 0..4_usize;
    let fails = || prop::bool::weighted(0.2);
    let offset = || prop_oneof![0..3000_usize, (0..6_usize).prop_map(|sector| sector * SECTOR)];
    let bytes = prop_oneof![0..1500_usize, (1..4_usize).prop_map(|sectors| sectors * SECTOR)];
    let fate = prop_oneof![
        7 => Just(Fate::Good),
        1 => Just(Fate::Lost),
        1 => (0..3000_usize).prop_map(|by| Fate::Astray { by }),
        1 => Just(Fate::Half),
    ];
    let write = (file(), offset(), bytes, fate)
        .prop_map(|(file, offset, bytes, fate)| Step::Write { file, offset, bytes, fate });
    let step = prop_oneof![
        10 => name().prop_map(Step::Create),
        3 => (name(), name()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => name().prop_map(Step::Remove),
        5 => fails().prop_map(|fails| Step::SyncDir { fails }),
        45 => write,
        5 => (file(), 0..4000_usize).prop_map(|(file, length)| Step::Allocate { file, length }),
        10 => (file(), fails()).prop_map(|(file, fails)| Step::Sync { file, fails }),
        2 => (name(), 0..2000_usize).prop_map(|(name, length)| Step::Set { name, length }),
        5 => (name(), offset(), any::<u8>())
            .prop_map(|(name, offset, mask)| Step::Rot { name, offset, mask }),
        3 => (name(), 0..8_usize).prop_map(|(name, sector)| Step::Break { name, sector }),
        2 => Just(Step::Recover),
        5 => any::<u64>().prop_map(Step::Crash),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Clone, Debug, Default)]
struct File {
    seen: Vec<u8>,
    /// What a crash leaves if it loses everything but the length.
    durable: Vec<u8>,
    length_durable: usize,
    versions: BTreeMap<usize, Vec<Vec<u8>>>,
    broken: BTreeSet<usize>,
}

impl File {
    fn extend(&mut self, length: usize) {
        let length = length.max(self.seen.len());
        self.seen.resize(length, 0);
        self.durable.resize(length, 0);
    }

    fn write(&mut self, bytes: &[u8], offset: usize, fate: Fate) {
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

    fn sync(&mut self) {
        for (sector, versions) in std::mem::take(&mut self.versions) {
            self.keep(sector, versions.last().unwrap());
        }
        self.length_durable = self.durable.len();
    }

    fn keep(&mut self, sector: usize, version: &[u8]) {
        self.durable[sector * SECTOR..][..version.len()].copy_from_slice(version);
    }

    fn rot(&mut self, offset: usize, mask: u8) -> bool {
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

    fn crash(&mut self, choices: &mut Choices) {
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

    fn crash_ways(&self) -> u64 {
        let length = if self.seen.len() == self.length_durable { 1 } else { 2 };
        let sectors = self.versions.values().map(|versions| u64::try_from(versions.len() + 1));
        sectors.fold(length, |ways, more| ways.saturating_mul(more.unwrap()))
    }
}

/// Steps from place to place in the file as it was, without the right one.
fn place_astray(by: usize, offset: usize, bytes: usize, length: usize) -> Option<usize> {
    let places: Vec<usize> =
        (offset % SECTOR..).step_by(SECTOR).take_while(|at| at + bytes <= length).collect();
    let place = |sectors: usize| places[(offset / SECTOR + sectors) % places.len()];
    let further = by.div_ceil(SECTOR).max(1);
    let others = places.iter().filter(|&&place| place != offset).count();
    (others > 0).then(|| [place(further), place(further + 1)])?.into_iter().find(|&at| at != offset)
}

/// A changed name: what goes, and what comes.
type NameChange = (Option<String>, Option<(String, usize)>);

#[derive(Clone, Debug, Default)]
struct Naive {
    files: Vec<File>,
    seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
}

impl Naive {
    fn change(&mut self, change: NameChange) {
        apply(&change, &mut self.seen);
        self.changes.push(change);
    }

    fn crash(&self, choices: &mut Choices) -> Self {
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

    fn crash_ways(&self) -> u64 {
        let names = self.changes.iter().map(|_| 2);
        names.chain(self.files.iter().map(File::crash_ways)).fold(1, u64::saturating_mul)
    }

    fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.seen.iter().map(|(name, &at)| (name.clone(), self.files[at].seen.clone())).collect()
    }
}

fn apply((gone, come): &NameChange, names: &mut BTreeMap<String, usize>) {
    if let Some(name) = gone {
        names.remove(name);
    }
    names.extend(come.clone());
}

fn name_of(number: u8) -> String {
    format!("file-{number}")
}

/// The disk, the naive one, and the handles of both.
struct Both {
    disk: MemDisk,
    naive: Naive,
    handles: Vec<(MemFile, usize)>,
    writes: u8,
}

impl Both {
    fn step(&mut self, step: &Step) {
        let Self { disk, naive, handles, writes } = self;
        let handle = |file: usize| (!handles.is_empty()).then(|| &handles[file % handles.len()]);
        match *step {
            Step::Create(name) => {
                let name = name_of(name);
                let at = naive.seen.get(&name).copied().unwrap_or(naive.files.len());
                if at == naive.files.len() {
                    naive.files.push(File::default());
                    naive.change((None, Some((name.clone(), at))));
                }
                handles.push((disk.create(&name).unwrap(), at));
            }
            Step::Rename(from, to) => {
                let (from, to) = (name_of(from), name_of(to));
                let file = naive.seen.get(&from).copied();
                assert_eq!(disk.rename(&from, &to).is_ok(), file.is_some());
                if let Some(file) = file {
                    naive.change((Some(from), Some((to, file))));
                }
            }
            Step::Remove(name) => {
                let name = name_of(name);
                let is_there = naive.seen.contains_key(&name);
                assert_eq!(disk.remove(&name).is_ok(), is_there);
                if is_there {
                    naive.change((Some(name), None));
                }
            }
            Step::SyncDir { fails } => {
                if fails {
                    disk.fail(OperationKind::SyncDir, 0, Fault::Io);
                } else {
                    naive.durable.clone_from(&naive.seen);
                    naive.changes.clear();
                }
                assert_eq!(disk.sync_dir().is_err(), fails);
            }
            Step::Write { file, offset, bytes, fate } => {
                let Some((handle, file)) = handle(file) else { return };
                match fate {
                    Fate::Good => {}
                    Fate::Lost => disk.lose_write(0),
                    Fate::Astray { by } => disk.misdirect_write(0, by.try_into().unwrap()),
                    Fate::Half => disk.fail(OperationKind::Write, 0, Fault::Io),
                }
                *writes = writes.wrapping_add(1);
                let bytes = vec![*writes; bytes];
                let result = handle.write_at(&bytes, offset.try_into().unwrap());
                assert_eq!(result.is_err(), matches!(fate, Fate::Half));
                naive.files[*file].write(&bytes, offset, fate);
                forget_pending(disk, naive);
            }
            Step::Allocate { file, length } => {
                let Some((handle, file)) = handle(file) else { return };
                handle.allocate(length.try_into().unwrap()).unwrap();
                naive.files[*file].extend(length);
            }
            Step::Sync { file, fails } => {
                let Some((handle, file)) = handle(file) else { return };
                if fails {
                    disk.fail(OperationKind::SyncData, 0, Fault::Io);
                    naive.files[*file].versions.clear();
                } else {
                    naive.files[*file].sync();
                }
                assert_eq!(handle.sync_data().is_err(), fails);
            }
            Step::Set { name, length } => {
                let name = name_of(name);
                let at = naive.seen.get(&name).copied().unwrap_or(naive.files.len());
                let bytes = vec![0xee; length];
                disk.set_content(&name, bytes.clone());
                naive.files.resize(naive.files.len().max(at + 1), File::default());
                let (durable, length_durable) = (bytes.clone(), length);
                naive.files[at] =
                    File { seen: bytes, durable, length_durable, ..File::default() };
                naive.changes.retain(|(gone, come)| {
                    let come = come.as_ref().map(|(name, _)| name);
                    gone.as_ref() != Some(&name) && come != Some(&name)
                });
                naive.seen.insert(name.clone(), at);
                naive.durable.insert(name, at);
            }
            Step::Rot { name, offset, mask } => {
                let name = name_of(name);
                let file = naive.seen.get(&name);
                let is_there = file.is_some_and(|&at| naive.files[at].rot(offset, mask));
                assert_eq!(disk.rot(&name, offset.try_into().unwrap(), mask), is_there);
            }
            Step::Break { name, sector } => {
                let name = name_of(name);
                disk.break_sector(&name, sector.try_into().unwrap());
                if let Some(&at) = naive.seen.get(&name) {
                    naive.files[at].broken.insert(sector);
                }
            }
            Step::Recover => {
                disk.recover();
                naive.files.iter_mut().for_each(|file| file.broken.clear());
            }
            Step::Crash(seed) => {
                *disk = disk.crash(&mut Choices::seeded(seed));
                *naive = naive.crash(&mut Choices::seeded(seed));
                handles.clear();
            }
        }
    }
}
