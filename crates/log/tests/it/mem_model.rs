//! The disk in memory against a naive one, through everything that can be done to both.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_log::{Choices, Disk, DiskFile, Fault, MemDisk, MemFile, OperationKind};

use crate::mem_naive::{Fate, Naive, place_astray};

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

fn name_of(number: u8) -> String {
    format!("file-{number}")
}

fn wide(number: usize) -> u64 {
    number.try_into().unwrap()
}

/// The disk, the naive one, and the handles of both.
#[derive(Default)]
struct Both {
    disk: MemDisk,
    naive: Naive,
    handles: Vec<(MemFile, usize)>,
    writes: u8,
}

impl Both {
    fn step(&mut self, step: &Step) {
        let Self { disk, naive, handles, writes: _ } = self;
        match *step {
            Step::Create(name) => {
                let name = name_of(name);
                handles.push((disk.create(&name).unwrap(), naive.make(&name)));
            }
            Step::Rename(from, to) => {
                let (from, to) = (name_of(from), name_of(to));
                let file = naive.find(&from);
                assert_eq!(disk.rename(&from, &to).is_ok(), file.is_some());
                if let Some(file) = file {
                    naive.change((Some(from), Some((to, file))));
                }
            }
            Step::Remove(name) => {
                let name = name_of(name);
                let file = naive.find(&name);
                assert_eq!(disk.remove(&name).is_ok(), file.is_some());
                if file.is_some() {
                    naive.change((Some(name), None));
                }
            }
            Step::SyncDir { fails: false } => {
                disk.sync_dir().unwrap();
                naive.sync_dir();
            }
            Step::SyncDir { fails: true } => {
                disk.fail(OperationKind::SyncDir, 0, Fault::Io);
                disk.sync_dir().unwrap_err();
            }
            Step::Write { file, offset, bytes, fate } => self.write(file, offset, bytes, fate),
            Step::Allocate { file, length } => {
                let Some((handle, at)) = pick(handles, file) else { return };
                handle.allocate(wide(length)).unwrap();
                naive.files[*at].extend(length);
            }
            Step::Sync { file, fails } => {
                let Some((handle, at)) = pick(handles, file) else { return };
                if fails {
                    disk.fail(OperationKind::SyncData, 0, Fault::Io);
                    naive.files[*at].versions.clear();
                } else {
                    naive.files[*at].sync();
                }
                assert_eq!(handle.sync_data().is_err(), fails);
            }
            Step::Set { name, length } => {
                disk.set_content(&name_of(name), vec![0xee; length]);
                naive.set_content(&name_of(name), vec![0xee; length]);
            }
            Step::Rot { name, offset, mask } => {
                let file = naive.find(&name_of(name));
                let is_there = file.is_some_and(|at| naive.files[at].rot(offset, mask));
                assert_eq!(disk.rot(&name_of(name), wide(offset), mask), is_there);
            }
            Step::Break { name, sector } => {
                disk.break_sector(&name_of(name), wide(sector));
                if let Some(at) = naive.find(&name_of(name)) {
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

    fn write(&mut self, file: usize, offset: usize, bytes: usize, fate: Fate) {
        let Some((handle, at)) = pick(&self.handles, file) else { return };
        let file = &mut self.naive.files[*at];
        self.writes = self.writes.wrapping_add(1);
        let bytes = vec![self.writes; bytes];
        match fate {
            Fate::Half => self.disk.fail(OperationKind::Write, 0, Fault::Io),
            Fate::Lost if !bytes.is_empty() => self.disk.lose_write(0),
            Fate::Astray { by }
                if !bytes.is_empty()
                    && place_astray(by, offset, bytes.len(), file.seen.len()).is_some() =>
            {
                self.disk.misdirect_write(0, wide(by));
            }
            // The disk would keep the fault for the next write.
            Fate::Good | Fate::Lost | Fate::Astray { .. } => {}
        }
        let result = handle.write_at(&bytes, wide(offset));
        assert_eq!(result.is_err(), matches!(fate, Fate::Half));
        file.write(&bytes, offset, fate);
    }

    fn check(&self, seed: u64) {
        let Self { disk, naive, handles, writes: _ } = self;
        assert_eq!(contents(disk), naive.contents());
        assert_eq!(disk.crash_ways(), naive.crash_ways());
        for (handle, at) in handles {
            let file = &naive.files[*at];
            for (sector, bytes) in (0..).zip(file.seen.chunks(MemDisk::SECTOR_BYTES)) {
                let mut buffer = [0xaa; MemDisk::SECTOR_BYTES];
                let read = handle.read_at(&mut buffer, wide(sector * MemDisk::SECTOR_BYTES));
                assert_eq!(read.is_err(), file.broken.contains(&sector));
                assert!(read.is_err() || buffer[..read.unwrap()] == *bytes);
            }
        }
        let fork = disk.fork();
        let choices = [Choices::first(), Choices::last(), Choices::seeded(seed)];
        for mut choices in choices {
            let expected = naive.crash(&mut choices.clone()).contents();
            assert_eq!(contents(&fork.crash(&mut choices.clone())), expected);
            assert_eq!(contents(&disk.crash(&mut choices)), expected);
            assert!(disk.unsynced() || expected == naive.contents());
        }
    }
}

fn pick(handles: &[(MemFile, usize)], file: usize) -> Option<&(MemFile, usize)> {
    (!handles.is_empty()).then(|| &handles[file % handles.len()])
}

fn contents(disk: &MemDisk) -> BTreeMap<String, Vec<u8>> {
    let files = disk.files().into_iter();
    let contents = files.map(|(name, length)| {
        let content = disk.content(&name).unwrap();
        assert_eq!(wide(content.len()), length);
        (name, content)
    });
    contents.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_disk_in_memory_is_like_the_naive_one(steps in steps(), seed in 0..u64::MAX / 2) {
        let mut both = Both::default();
        for (seed, step) in (seed..).zip(&steps) {
            both.step(step);
            both.check(seed);
        }
    }
}
