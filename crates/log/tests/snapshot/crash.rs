//! A crash at any moment leaves complete snapshots under final names, and loses none that was
//! finished; what was begun is begun again, or gone on with.

use std::slice;

use quorate_log::{
    Choices, Disk, Fault, MemDisk, OperationKind, prune, snapshots, sweep_snapshots,
};

use crate::helpers::{
    FOOTER, IDENTITY, LIMIT, PAYLOAD, Story, at, crash_in_many_ways, listed, name, send,
};

/// Runs `work` with the power failing at each of its operations in turn, on a disk that holds
/// `earlier`; lets `check` see what a crash could leave, and whether `work` had succeeded.
fn cut_the_power_everywhere(
    earlier: &[&Story],
    work: impl Fn(&MemDisk) -> bool,
    check: impl Fn(&MemDisk, bool),
) -> u64 {
    let mut crashes = 0;
    for cut in 0.. {
        let disk = MemDisk::new();
        for story in earlier {
            story.write(&disk).unwrap();
        }
        disk.cut_power_after(cut);
        let is_done = work(&disk);
        crashes += crash_in_many_ways(&disk, |crashed| check(crashed, is_done));
        if is_done {
            return crashes;
        }
    }
    unreachable!("it ends")
}

#[test]
fn a_crash_while_writing_leaves_the_earlier_snapshots_and_all_of_the_new_one_or_nothing() {
    for new in [Story::new(9, 300), Story::new(9, 0), Story::new(9, 2 * PAYLOAD + 300)] {
        let (old, older) = (Story::new(5, 200), Story::new(4, 100));
        let crashes = cut_the_power_everywhere(
            &[&older, &old],
            |disk| new.write(disk).is_ok(),
            |crashed, is_done| {
                let found = listed(crashed);
                let without = [old.clone(), older.clone()];
                let with = [new.clone(), old.clone(), older.clone()];
                assert!(found == with || (found == without && !is_done), "{is_done} {found:?}");
                // It goes on, and nothing that was left is in the way.
                sweep_snapshots(crashed).unwrap();
                assert_eq!(crashed.files().len(), found.len());
                new.check(&new.write(crashed).unwrap());
                assert_eq!(listed(&crashed.crash(&mut Choices::first())), with);
            },
        );
        assert!(crashes > 25, "only {crashes} crashes were tried out");
    }
}

#[test]
fn a_crash_while_one_is_written_again_leaves_the_old_or_the_new() {
    let old = Story::new(5, 200);
    let new = Story { body: crate::helpers::body(PAYLOAD + 1, 77), ..old.clone() };
    cut_the_power_everywhere(
        &[&old],
        |disk| new.write(disk).is_ok(),
        |crashed, is_done| {
            let found = listed(crashed);
            let is_old = found == [old.clone()];
            assert!(found == [new.clone()] || (is_old && !is_done), "{is_done}");
        },
    );
}

#[test]
fn what_is_listed_survives_a_crash() {
    // The sync of the directory failed, and the process with it; the next one sees the file.
    let disk = MemDisk::new();
    let story = Story::new(5, 200);
    disk.fail(OperationKind::SyncDir, 0, Fault::Io);
    story.write(&disk).unwrap_err();
    assert_eq!(listed(&disk), slice::from_ref(&story));
    assert_eq!(listed(&disk.crash(&mut Choices::first())), [story]);
}

#[test]
fn a_crash_while_receiving_is_gone_on_from() {
    for (new, piece) in [
        (Story::new(9, 300), 150),
        (Story::new(9, 0), 1000),
        (Story::new(9, 2 * PAYLOAD + 300), 50_000),
    ] {
        let old = Story::new(5, 200);
        // What was being received before is in the way.
        let other = Story::new(8, 50);
        let crashes = cut_the_power_everywhere(
            &[&old],
            |disk| {
                let Ok(mut part) = other.begin(disk) else { return false };
                if send(&mut part, &other.bytes(), 80, 160).is_err() {
                    return false;
                }
                new.receive(disk, piece).is_ok()
            },
            |crashed, is_done| {
                let found = listed(crashed);
                let with = [new.clone(), old.clone()];
                let is_without = found == [old.clone()];
                assert!(found == with || (is_without && !is_done), "{is_done} {found:?}");
                let received = new.begin(crashed).unwrap().received();
                assert!(received <= u64::try_from(new.bytes().len()).unwrap());
                new.check(&new.receive(crashed, 70_000).unwrap());
                assert_eq!(crashed.files().len(), 2);
                assert_eq!(listed(&crashed.crash(&mut Choices::first())), with);
            },
        );
        assert!(crashes > 60, "only {crashes} crashes were tried out");
    }
}

#[test]
fn a_crash_while_going_on_is_gone_on_from() {
    let story = Story::new(9, 2 * PAYLOAD + 300);
    let begun = MemDisk::new();
    send(&mut story.begin(&begun).unwrap(), &story.bytes(), 30_000, 140_000).unwrap();
    for seed in 0..12 {
        for cut in 0.. {
            let disk = begun.crash(&mut Choices::seeded(seed));
            disk.cut_power_after(cut);
            let is_done = story.receive(&disk, 30_000).is_ok();
            let again = disk.crash(&mut Choices::seeded(seed ^ cut));
            let is_there = listed(&again) == [story.clone()];
            assert!(is_there || !is_done);
            story.check(&story.receive(&again, 30_000).unwrap());
            if is_done {
                break;
            }
        }
    }
}

#[test]
fn a_crash_while_pruning_leaves_what_is_to_be_kept() {
    let stories = [3, 4, 5, 9].map(|index| Story::new(index, 100));
    let [_, _, kept, newer] = &stories;
    let leave = |disk: &MemDisk, at_index, ending| {
        disk.set_content(&name(at(at_index, 2), ending), vec![1; 600]);
    };
    let crashes = cut_the_power_everywhere(
        &stories.each_ref(),
        |disk| {
            leave(disk, 3, "part");
            leave(disk, 5, "tmp");
            leave(disk, 10, "part");
            prune(disk, kept.point).is_ok()
        },
        |crashed, is_done| {
            let found = listed(crashed);
            assert_eq!(found[..2], [newer.clone(), kept.clone()]);
            assert!(!is_done || found.len() == 2);
            prune(crashed, kept.point).unwrap();
            let names = crashed.crash(&mut Choices::first()).list().unwrap();
            assert_eq!(names, [kept.file(), newer.file(), name(at(10, 2), "part")]);
        },
    );
    assert!(crashes > 10, "only {crashes} crashes were tried out");
}

#[test]
fn what_a_failed_sync_forgot_is_written_again_when_it_is_gone_on_with() {
    // The system shows what the disk does not have, and the next sync succeeds without it.
    let disk = MemDisk::new();
    // The header, the footer, and the chunks between them have sectors of their own.
    let story = Story { meta: vec![7; 1588], ..Story::new(9, PAYLOAD + 300) };
    assert_eq!((story.bytes().len() - FOOTER) % MemDisk::SECTOR_BYTES, 0);
    disk.fail(OperationKind::SyncData, 0, Fault::Io);
    disk.fail(OperationKind::Remove, 0, Fault::Io);
    story.receive(&disk, 20_000).unwrap_err();
    assert_eq!(disk.list().unwrap(), [story.part()]);
    let part = story.begin(&disk).unwrap();
    assert!(part.is_complete(), "all of it is right, as far as one can see");
    part.finish(IDENTITY).unwrap();
    assert_eq!(listed(&disk.crash(&mut Choices::first())), [story]);
}

#[test]
fn nothing_that_a_crash_leaves_of_a_part_is_taken_unchecked() {
    // An older attempt for the same entry was longer and had another body; of both, sectors are
    // on the disk.
    let old = Story { body: crate::helpers::body(2 * PAYLOAD, 1), ..Story::new(9, 0) };
    let new = Story { body: crate::helpers::body(2 * PAYLOAD, 2), ..Story::new(9, 0) };
    let disk = MemDisk::new();
    disk.set_content(&new.part(), old.bytes());
    let file = disk.open(&new.part()).unwrap();
    let bytes = new.bytes();
    for (number, sector) in bytes.chunks(MemDisk::SECTOR_BYTES).enumerate() {
        let offset = u64::try_from(number * MemDisk::SECTOR_BYTES).unwrap();
        quorate_log::DiskFile::write_at(&file, sector, offset).unwrap();
    }
    for seed in 0..40 {
        let crashed = disk.crash(&mut Choices::seeded(seed));
        let length = u64::try_from(bytes.len()).unwrap();
        let begin = || quorate_log::SnapshotPart::begin(&crashed, new.point, length, LIMIT);
        let mut part = begin().unwrap();
        send(&mut part, &bytes, 10_000, u64::MAX).unwrap();
        match part.finish(IDENTITY) {
            Ok(file) => new.check(&file),
            // The beginning was that of the old file, and right; it is asked for again.
            Err(_) => assert_eq!(begin().unwrap().received(), 0),
        }
        for found in snapshots(&crashed, IDENTITY).unwrap() {
            new.check(&found.file.unwrap());
        }
    }
}
