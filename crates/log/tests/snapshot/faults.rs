//! Full disks and failing ones: what was complete stays so, and what failed can be tried again.

use std::io;

use quorate_log::{
    Choices, Fault, MemDisk, OperationKind, SnapshotError, prune, snapshots, sweep_snapshots,
};

use crate::helpers::{IDENTITY, PAYLOAD, Story, listed, read, send};

const KINDS: [OperationKind; 7] = [
    OperationKind::Read,
    OperationKind::Create,
    OperationKind::Write,
    OperationKind::SyncData,
    OperationKind::Rename,
    OperationKind::Remove,
    OperationKind::SyncDir,
];

/// Lets each operation of `work` fail in turn, on a disk that holds `old`. Nothing that fails is
/// said to have succeeded, and the old snapshot stays; once the disk is sound, `work` succeeds.
/// Returns how many operations failed.
fn fail_everywhere(
    kinds: &[OperationKind],
    fault: Fault,
    old: &Story,
    prepare: impl Fn(&MemDisk),
    work: impl Fn(&MemDisk) -> Result<(), String>,
) -> u32 {
    let mut failures = 0;
    for &kind in kinds {
        let (mut skip, mut successes) = (0, 0);
        // A fault in the right place may do no harm, so the first success is not the end.
        while successes < 4 {
            let disk = MemDisk::new();
            old.write(&disk).unwrap();
            prepare(&disk);
            disk.fail(kind, skip, fault);
            let failed = work(&disk);
            disk.recover();
            for disk in [&disk, &disk.crash(&mut Choices::first())] {
                assert!(listed(disk).contains(old), "{kind:?} {skip}: {failed:?}");
            }
            if let Err(error) = failed {
                assert!(error.contains("memory/"), "{error}");
                failures += 1;
                work(&disk).unwrap();
            } else {
                successes += 1;
            }
            skip += 1;
        }
    }
    failures
}

#[test]
fn a_failing_disk_under_a_writer_harms_no_other_snapshot() {
    let (old, new) = (Story::new(5, 100), Story::new(6, PAYLOAD + 100));
    let prepare = |disk: &MemDisk| {
        disk.set_content(&crate::helpers::name(new.point, "tmp"), vec![1; 600]);
    };
    for fault in [Fault::Io, Fault::Full, Fault::Quota] {
        let failures = fail_everywhere(&KINDS, fault, &old, prepare, |disk| {
            let written = new.write(disk).map_err(|error| error.to_string())?;
            disk.recover();
            new.check(&written);
            let found = listed(&disk.crash(&mut Choices::first()));
            assert_eq!(found, [new.clone(), old.clone()]);
            Ok(())
        });
        // Header, two chunks and footer; the left-over is removed, the directory synced twice.
        assert!(failures >= 4 + 1 + 1 + 1 + 1 + 2, "{failures}");
    }
}

#[test]
fn a_writer_that_failed_leaves_no_file_that_fills_the_disk() {
    let new = Story::new(6, PAYLOAD + 100);
    for kind in [OperationKind::Write, OperationKind::SyncData, OperationKind::Rename] {
        let disk = MemDisk::new();
        disk.fail(kind, 0, Fault::Full);
        let error = new.write(&disk).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(disk.files(), [], "{kind:?}");
    }
}

#[test]
fn a_failing_disk_under_a_receiver_harms_no_other_snapshot() {
    let (old, new, other) = (Story::new(5, 100), Story::new(6, 2 * PAYLOAD), Story::new(7, 100));
    for fault in [Fault::Io, Fault::Full, Fault::Quota] {
        // Over what is here of another snapshot, and over what is here of this one.
        for before in [&other, &new] {
            let prepare = |disk: &MemDisk| {
                let mut part = before.begin(disk).unwrap();
                send(&mut part, &before.bytes(), 100_000, 100).unwrap();
            };
            let failures = fail_everywhere(&KINDS, fault, &old, prepare, |disk| {
                let received = match new.receive(disk, 50_000) {
                    Err(error @ SnapshotError::Io { .. }) => return Err(error.to_string()),
                    received => received.unwrap(),
                };
                disk.recover();
                new.check(&received);
                let found = listed(&disk.crash(&mut Choices::first()));
                assert_eq!(found, [new.clone(), old.clone()]);
                Ok(())
            });
            assert!(failures >= 5, "{failures}");
        }
    }
}

#[test]
fn bytes_that_could_not_be_written_are_taken_the_next_time() {
    let disk = MemDisk::new();
    let story = Story::new(6, 1000);
    let bytes = story.bytes();
    let mut part = story.begin(&disk).unwrap();
    disk.limit_space(Some(500));
    let error = send(&mut part, &bytes, 100, u64::MAX).unwrap_err();
    let SnapshotError::Io { offset: 500, error, .. } = error else { panic!("{error}") };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert_eq!(part.received(), 500);
    disk.limit_space(None);
    send(&mut part, &bytes, 100, u64::MAX).unwrap();
    story.check(&part.finish(IDENTITY).unwrap());
}

#[test]
fn a_part_whose_sync_failed_is_received_again() {
    let disk = MemDisk::new();
    let story = Story::new(6, PAYLOAD + 9);
    disk.fail(OperationKind::SyncData, 0, Fault::Io);
    let error = story.receive(&disk, 10_000).unwrap_err();
    assert!(matches!(error, SnapshotError::Io { .. }), "{error}");
    assert_eq!(disk.files(), []);
    story.receive(&disk, 10_000).unwrap();
    assert_eq!(listed(&disk.crash(&mut Choices::first())), [story]);
}

#[test]
fn a_part_with_a_sector_that_cannot_be_read_begins_anew() {
    let story = Story::new(6, PAYLOAD + 9);
    for sector in [0, 3, 128] {
        let disk = MemDisk::new();
        send(&mut story.begin(&disk).unwrap(), &story.bytes(), 10_000, u64::MAX).unwrap();
        disk.break_sector(&story.part(), sector);
        assert_eq!(story.begin(&disk).unwrap().received(), 0);
        story.check(&story.receive(&disk, 10_000).unwrap());
    }
}

#[test]
fn a_failing_disk_under_pruning_and_sweeping_harms_nothing() {
    let old = Story::new(5, 100);
    let prepare = |disk: &MemDisk| {
        for index in [3, 4] {
            Story::new(index, 9).write(disk).unwrap();
        }
        Story::new(4, 10).begin(disk).unwrap();
        disk.set_content(&crate::helpers::name(old.point, "tmp"), vec![1; 600]);
    };
    let failures = fail_everywhere(&KINDS, Fault::Io, &old, prepare, |disk| {
        sweep_snapshots(disk).map_err(|error| error.to_string())?;
        prune(disk, old.point).map_err(|error| error.to_string())
    });
    assert_eq!(failures, 4 + 2, "four files, and the directory twice");
}

#[test]
fn a_read_that_fails_is_told_and_passes() {
    let disk = MemDisk::new();
    let story = Story::new(6, PAYLOAD + 9);
    let file = story.write(&disk).unwrap();
    for skip in 0..2 {
        disk.fail(OperationKind::Read, skip, Fault::Io);
        let error = read(&file).unwrap_err();
        assert_ne!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains(&story.file()), "{error}");
    }
    disk.fail(OperationKind::Read, 0, Fault::Io);
    let error = file.read_raw(7, &mut [0; 100]).unwrap_err();
    assert!(error.to_string().contains("offset 7 "), "{error}");
    story.check(&file);
    // A listing says it of the file, and goes on with the others.
    let old = Story::new(5, 9);
    old.write(&disk).unwrap();
    disk.fail(OperationKind::Read, 0, Fault::Io);
    let found = snapshots(&disk, IDENTITY).unwrap();
    assert!(matches!(found[0].file, Err(SnapshotError::Io { .. })));
    old.check(found[1].file.as_ref().unwrap());
}
