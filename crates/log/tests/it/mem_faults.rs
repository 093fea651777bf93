//! What the disk in memory does to those who use it, one story for each fault.

use std::collections::BTreeSet;
use std::io;

use quorate_log::{Choices, Disk, DiskFile, Fault, Log, MemDisk, MemFile, OperationKind};

use crate::model::{Held, block, open, sync};

const SECTOR: usize = MemDisk::SECTOR_BYTES;
const WIDE_SECTOR: u64 = 512;

/// A durable file of some sectors, each filled with its number.
fn disk_with(sectors: u8) -> (MemDisk, MemFile) {
    let disk = MemDisk::unrecorded();
    let file = disk.create("file").unwrap();
    for number in 0..sectors {
        file.write_at(&[number; SECTOR], u64::from(number) * WIDE_SECTOR).unwrap();
    }
    file.sync_data().unwrap();
    disk.sync_dir().unwrap();
    assert!(!disk.unsynced());
    (disk, file)
}

fn write(file: &MemFile, sector: u64, fill: u8, sectors: usize) {
    file.write_at(&vec![fill; sectors * SECTOR], sector * WIDE_SECTOR).unwrap();
}

fn read(file: &MemFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0xaa; length];
    let count = file.read_at(&mut buffer, offset)?;
    buffer.truncate(count);
    Ok(buffer)
}

/// The first byte of each sector, as a process sees it.
fn seen(disk: &MemDisk) -> Vec<u8> {
    disk.content("file").unwrap().chunks(SECTOR).map(|sector| sector[0]).collect()
}

/// The same after the worst crash.
fn durable(disk: &MemDisk) -> Vec<u8> {
    seen(&disk.crash(&mut Choices::first()))
}

/// The same after every possible crash.
fn crashes(disk: &MemDisk) -> BTreeSet<Vec<u8>> {
    let mut choices = Choices::first();
    let mut found = BTreeSet::new();
    loop {
        found.insert(seen(&disk.crash(&mut choices)));
        if !choices.advance() {
            return found;
        }
    }
}

#[test]
fn what_was_synced_survives_every_crash() {
    let (disk, file) = disk_with(3);
    write(&file, 1, 7, 2);
    write(&file, 2, 8, 2);
    file.sync_data().unwrap();
    assert!(!disk.unsynced());
    assert_eq!(disk.crash_ways(), 1);
    for seed in 0..30 {
        let crashed = disk.crash(&mut Choices::seeded(seed));
        assert_eq!(seen(&crashed), [0, 7, 8, 8]);
    }
}

#[test]
fn of_what_was_not_synced_a_crash_leaves_any_version_of_each_sector() {
    let (disk, file) = disk_with(2);
    write(&file, 0, 7, 2);
    write(&file, 0, 8, 1);
    assert!(disk.unsynced());
    assert_eq!(disk.crash_ways(), 6);
    let expected = [[0, 1], [0, 7], [7, 1], [7, 7], [8, 1], [8, 7]];
    assert_eq!(crashes(&disk), expected.map(Vec::from).into());
    assert_eq!(seen(&disk), [8, 7], "a crash leaves the disk it happens to alone");
    // A part of a sector is a version of the whole of it.
    file.sync_data().unwrap();
    file.write_at(&[9; 2], 510).unwrap();
    for crashed in [Choices::first(), Choices::last()].map(|mut choices| disk.crash(&mut choices)) {
        let content = crashed.content("file").unwrap();
        assert!(content[..510].iter().all(|&byte| byte == 8));
        assert!(matches!(content[510..SECTOR], [8, 8] | [9, 9]));
    }
    // So it is with the length; what was never written is zero.
    file.sync_data().unwrap();
    file.allocate(3 * WIDE_SECTOR).unwrap();
    assert!(disk.unsynced());
    assert_eq!(crashes(&disk), [vec![8, 7], vec![8, 7, 0]].into());
}

#[test]
fn a_failed_sync_forgets_what_was_written() {
    let (disk, file) = disk_with(2);
    write(&file, 0, 7, 2);
    disk.fail(OperationKind::SyncData, 0, Fault::Io);
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!((seen(&disk), durable(&disk)), (vec![7, 7], vec![0, 1]));
    assert!(disk.unsynced(), "nothing waits, and yet a crash would lose it");
    // What is written again is kept.
    write(&file, 1, 8, 1);
    assert_eq!(crashes(&disk), [vec![0, 1], vec![0, 8]].into());
    file.sync_data().unwrap();
    assert_eq!((seen(&disk), durable(&disk)), (vec![7, 8], vec![0, 8]));
}

#[test]
fn rot_is_seen_at_once_and_survives_every_crash() {
    let (disk, file) = disk_with(2);
    write(&file, 1, 7, 1);
    assert!(disk.rot("file", 3, 0x10));
    assert!(disk.rot("file", WIDE_SECTOR, 0x80));
    assert_eq!(read(&file, 2, 3).unwrap(), [0, 0x10, 0]);
    assert_eq!(seen(&disk), [0, 0x87]);
    assert_eq!(crashes(&disk), [vec![0, 0x81], vec![0, 0x87]].into());
    file.sync_data().unwrap();
    assert_eq!(durable(&disk), [0, 0x87]);
    // It is the last thing that happened to the byte, not the last that can.
    write(&file, 1, 9, 1);
    assert_eq!(seen(&disk), [0, 9]);
    // Space that was never written rots too.
    file.allocate(3 * WIDE_SECTOR).unwrap();
    assert!(disk.rot("file", 2 * WIDE_SECTOR, 1));
    file.sync_data().unwrap();
    assert_eq!(durable(&disk), [0, 9, 1]);
    assert!(!disk.rot("file", 3 * WIDE_SECTOR, 1));
    assert!(!disk.rot("file", u64::MAX, 1));
    assert!(!disk.rot("none", 0, 1));
}

#[test]
fn a_broken_sector_cannot_be_read_until_it_is_written() {
    let (disk, file) = disk_with(4);
    disk.break_sector("file", 1);
    disk.break_sector("file", 2);
    disk.break_sector("none", 0);
    assert_eq!(read(&file, 0, SECTOR).unwrap(), [0; SECTOR]);
    assert_eq!(read(&file, 3 * WIDE_SECTOR, 2 * SECTOR).unwrap(), [3; SECTOR]);
    read(&file, WIDE_SECTOR - 1, 2).unwrap_err();
    read(&file, 2 * WIDE_SECTOR + 511, 1).unwrap_err();
    assert_eq!(seen(&disk), [0, 1, 2, 3], "whoever looks from outside sees it");
    // A crash does not help, a write does, and leaves the rest of the sector as it was.
    let crashed = disk.crash(&mut Choices::last());
    let file = crashed.open("file").unwrap();
    read(&file, WIDE_SECTOR, SECTOR).unwrap_err();
    file.write_at(&[9; 2], WIDE_SECTOR).unwrap();
    assert_eq!(read(&file, WIDE_SECTOR, 4).unwrap(), [9, 9, 1, 1]);
    read(&file, WIDE_SECTOR, SECTOR + 1).unwrap_err();
    crashed.recover();
    assert_eq!(read(&file, 2 * WIDE_SECTOR, 2).unwrap(), [2, 2]);
    // The other disk is another disk.
    disk.set_content("file", vec![5; 4 * SECTOR]);
    assert_eq!(read(&disk.open("file").unwrap(), 0, 4 * SECTOR).unwrap(), [5; 4 * SECTOR]);
}

#[test]
fn a_lost_write_leaves_stale_sectors() {
    let (disk, file) = disk_with(4);
    disk.lose_write(1);
    disk.fail(OperationKind::Write, 0, Fault::Io);
    file.write_at(&[6; 2 * SECTOR], 2 * WIDE_SECTOR).unwrap_err();
    write(&file, 3, 7, 1);
    // Neither the failed one nor the first good one, but this.
    write(&file, 0, 8, 5);
    write(&file, 1, 9, 1);
    file.sync_data().unwrap();
    assert_eq!(seen(&disk), [8, 9, 8, 8, 8]);
    // The file is as long as it should be, and what was written before or after is there.
    assert_eq!(crashes(&disk), [vec![0, 9, 6, 7, 0]].into());
    assert!(disk.unsynced());
    // No sync brings it back, only another write.
    file.sync_data().unwrap();
    assert_eq!(durable(&disk), [0, 9, 6, 7, 0]);
    file.write_at(&[1], 100).unwrap();
    file.sync_data().unwrap();
    assert_eq!(durable(&disk), [8, 9, 6, 7, 0]);
    write(&file, 2, 2, 3);
    file.sync_data().unwrap();
    assert!(!disk.unsynced());
}

#[test]
fn a_misdirected_write_lands_elsewhere() {
    let (disk, file) = disk_with(4);
    disk.misdirect_write(1, 700);
    write(&file, 0, 7, 1);
    file.write_at(&[9; SECTOR], 256).unwrap();
    file.sync_data().unwrap();
    assert!(!disk.unsynced());
    let content = disk.content("file").unwrap();
    assert_eq!(disk.crash(&mut Choices::first()).content("file").unwrap(), content);
    // Two sectors further, and cut in the same way.
    let expected = [[7; 512], [1; 512], [2; 512], [3; 512]].concat();
    assert_eq!(content[..1280], expected[..1280]);
    assert_eq!(content[1280..1792], [9; 512]);
    assert_eq!(content[1792..], expected[1792..]);
}

#[test]
fn a_misdirected_write_stays_in_the_file() {
    let (disk, file) = disk_with(4);
    disk.misdirect_write(0, WIDE_SECTOR);
    write(&file, 3, 7, 1);
    assert_eq!(seen(&disk), [7, 1, 2, 3]);
    // The right place is not a wrong one.
    disk.misdirect_write(0, 4 * WIDE_SECTOR);
    write(&file, 3, 8, 1);
    assert_eq!(seen(&disk), [8, 1, 2, 3]);
    // What makes the file longer lands in what there was, and makes it longer all the same.
    disk.misdirect_write(0, 3 * WIDE_SECTOR);
    write(&file, 4, 9, 2);
    assert_eq!(seen(&disk), [8, 9, 9, 3, 0, 0]);
    // Where there is no other place, another write goes astray.
    disk.misdirect_write(0, WIDE_SECTOR);
    write(&file, 0, 5, 6);
    write(&file, 0, 6, 1);
    assert_eq!(seen(&disk), [5, 6, 5, 5, 5, 5]);
}

#[test]
fn what_always_fails_fails_until_the_recovery() {
    let (disk, file) = disk_with(2);
    disk.fail_always(OperationKind::SyncData, Fault::Io);
    for _ in 0..5 {
        write(&file, 0, 7, 1);
        file.sync_data().unwrap_err();
    }
    disk.fail_always(OperationKind::Write, Fault::Full);
    let error = file.write_at(&[8; 2 * SECTOR], WIDE_SECTOR).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(seen(&disk), [7, 8], "half of it was written");
    assert_eq!(read(&file, 0, 1).unwrap(), [7]);
    disk.recover();
    file.sync_data().unwrap();
    assert_eq!(durable(&disk), [0, 8], "the syncs that failed forgot the first sector");
    write(&file, 0, 9, 1);
    file.sync_data().unwrap();
    assert_eq!(durable(&disk), [9, 8]);
    // Power that always fails fails once and for all.
    disk.fail_always(OperationKind::Read, Fault::Power);
    read(&file, 0, 1).unwrap_err();
    file.sync_data().unwrap_err();
}

#[test]
fn a_recovery_ends_all_faults_and_keeps_the_content() {
    let (disk, file) = disk_with(2);
    disk.fail(OperationKind::Write, 1, Fault::Io);
    disk.fail_always(OperationKind::Read, Fault::Io);
    disk.lose_write(0);
    disk.misdirect_write(0, 0);
    disk.break_sector("file", 0);
    disk.limit_space(Some(0));
    disk.cut_power_after(100);
    write(&file, 0, 7, 1);
    disk.recover();
    for sector in 0..3 {
        write(&file, sector + 1, 8, 1);
    }
    assert_eq!(read(&file, 0, 1).unwrap(), [7]);
    file.sync_data().unwrap();
    assert_eq!(seen(&disk), [7, 8, 8, 8]);
    assert_eq!(durable(&disk), [0, 8, 8, 8], "what was lost stays lost");
    // Only a crash ends a power failure.
    disk.cut_power_after(0);
    disk.recover();
    file.sync_data().unwrap_err();
    disk.crash(&mut Choices::last()).sync_dir().unwrap();
}

#[test]
fn a_crash_ends_the_faults_of_a_running_machine() {
    let (disk, _) = disk_with(1);
    for kind in [OperationKind::Write, OperationKind::Read] {
        disk.fail(kind, 0, Fault::Io);
        disk.fail_always(kind, Fault::Io);
    }
    disk.lose_write(0);
    disk.misdirect_write(0, 0);
    disk.limit_space(Some(0));
    disk.cut_power_after(0);
    let crashed = disk.crash(&mut Choices::last());
    let file = crashed.open("file").unwrap();
    write(&file, 0, 7, 3);
    file.sync_data().unwrap();
    assert_eq!(durable(&crashed), [7, 7, 7]);
    assert_eq!(read(&file, 0, 1).unwrap(), [7]);
}

#[test]
fn a_write_that_finds_no_space_takes_none() {
    let (disk, file) = disk_with(1);
    disk.limit_space(Some(600));
    let error = file.write_at(&[7; 10], 2000).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(disk.files(), [("file".to_owned(), 512)]);
    file.write_at(&[0; 100], 500).unwrap();
    file.allocate(1112).unwrap();
    file.allocate(1113).unwrap_err();
    file.write_at(&[7; 20], 1102).unwrap_err();
    assert_eq!(read(&file, 1101, 20).unwrap(), [[0; 1].as_slice(), &[7; 10]].concat());
}

#[test]
fn whatever_a_crash_could_lose_is_unsynced() {
    let (disk, file) = disk_with(1);
    disk.create("other").unwrap();
    assert!(disk.unsynced());
    disk.sync_dir().unwrap();
    assert!(!disk.unsynced());
    disk.rename("other", "another").unwrap();
    assert!(disk.unsynced());
    disk.fail(OperationKind::SyncDir, 0, Fault::Io);
    disk.sync_dir().unwrap_err();
    assert!(disk.unsynced());
    disk.sync_dir().unwrap();
    file.allocate(100).unwrap();
    assert!(!disk.unsynced(), "it is longer already");
    file.allocate(1000).unwrap();
    assert!(disk.unsynced());
    file.sync_data().unwrap();
    write(&file, 0, 7, 1);
    assert!(disk.unsynced());
    // What has no name any more is lost for good.
    disk.remove("file").unwrap();
    disk.sync_dir().unwrap();
    assert!(!disk.unsynced());
    assert_eq!(disk.files(), [("another".to_owned(), 0)]);
}

#[test]
fn a_fork_goes_its_own_way() {
    let (disk, file) = disk_with(2);
    let _lock = disk.lock().unwrap();
    write(&file, 1, 7, 1);
    disk.break_sector("file", 0);
    disk.fail_always(OperationKind::Write, Fault::Io);
    let fork = disk.fork();
    assert!(fork.unsynced());
    assert_eq!(crashes(&fork), crashes(&disk));
    let _other_lock = fork.lock().unwrap();
    let forked = fork.open("file").unwrap();
    assert_eq!(read(&forked, 0, 1).unwrap(), [0]);
    write(&forked, 0, 9, 1);
    forked.sync_data().unwrap();
    assert_eq!(durable(&fork), [9, 7]);
    assert_eq!((seen(&disk), durable(&disk)), (vec![0, 7], vec![0, 1]));
    file.write_at(&[1], 0).unwrap_err();
}

#[test]
fn only_a_recorded_disk_remembers_what_was_done() {
    for disk in [MemDisk::new(), MemDisk::default()] {
        disk.create("file").unwrap();
        assert_eq!(disk.operations().len(), 1);
        for other in [disk.crash(&mut Choices::first()), disk.fork()] {
            assert_eq!(other.operations(), []);
            other.sync_dir().unwrap();
            assert_eq!(other.operations()[0].kind, OperationKind::SyncDir);
        }
    }
    let disk = MemDisk::unrecorded();
    for disk in [disk.crash(&mut Choices::first()), disk.fork(), disk] {
        disk.create("file").unwrap();
        assert_eq!(disk.operations(), []);
    }
}

#[test]
fn a_log_notices_that_its_disk_lost_a_write() {
    let disk = MemDisk::unrecorded();
    let (mut log, _) = open(&disk).unwrap();
    log.append(None, &[block(1, 1, 1, 600, 1)]);
    assert!(sync(&mut log));
    disk.lose_write(0);
    log.append(None, &[block(2, 1, 1, 600, 2)]);
    assert!(sync(&mut log), "the disk says that all is well");
    log.append(None, &[block(3, 1, 1, 600, 3)]);
    assert!(sync(&mut log));
    assert_eq!(Held::of(&log, u64::MAX).entries.len(), 3);
    drop(log);
    let crashed = disk.crash(&mut Choices::first());
    let error = open(&crashed).map(|(log, _): (Log<MemDisk>, _)| log.last()).unwrap_err();
    assert!(error.to_string().contains("memory/log-"), "{error}");
}
