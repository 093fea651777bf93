//! What a directory is said to hold, and what is removed from it.

use std::io;

use quorate_log::{
    Disk, Identity, Log, MemDisk, Options, SnapshotError, SnapshotWriter, prune, snapshots,
    sweep_snapshots,
};

use crate::helpers::{IDENTITY, Story, at, listed, name};

#[test]
fn snapshots_are_listed_with_the_newest_first() {
    let disk = MemDisk::new();
    assert_eq!(listed(&disk), []);
    let points = [(10, 2), (9, 2), (0x100, 7), (2, 1), (10, 3), (11, 1)];
    for (index, term) in points {
        let story = Story { point: at(index, term), ..Story::new(index, 30) };
        story.write(&disk).unwrap();
    }
    let found: Vec<_> = listed(&disk).iter().map(|story| story.point).collect();
    assert_eq!(found, [at(0x100, 7), at(11, 1), at(10, 3), at(10, 2), at(9, 2), at(2, 1)]);
}

#[test]
fn what_is_of_no_use_is_listed_with_the_reason_and_left() {
    let disk = MemDisk::new();
    let [foreign, damaged, sound, moved] = [9, 8, 7, 6].map(|index| Story::new(index, 30));
    let stranger = Identity { cluster: 0xbad, member: 1 };
    SnapshotWriter::create(&disk, stranger, foreign.point, &[]).unwrap().finish().unwrap();
    damaged.write(&disk).unwrap();
    disk.rot(&damaged.file(), 3, 1);
    sound.write(&disk).unwrap();
    disk.set_content(&moved.file(), sound.bytes());
    for other in ["log-0000000000000001.seg", "snapshot-1-1.snap", "snapshot.snap", "lock"] {
        disk.set_content(other, vec![0; 10]);
    }
    let files = disk.files();

    let found = snapshots(&disk, IDENTITY).unwrap();
    let names: Vec<_> = found.iter().map(|found| (found.name.clone(), found.point)).collect();
    let all = [&foreign, &damaged, &sound, &moved];
    assert_eq!(names, all.map(|story| (story.file(), story.point)));
    let error = |at: usize| found[at].file.as_ref().unwrap_err();
    assert!(matches!(error(0), SnapshotError::Foreign { found: 0xbad, .. }), "{}", error(0));
    assert!(matches!(error(1), SnapshotError::Damaged { offset: 0, .. }), "{}", error(1));
    sound.check(found[2].file.as_ref().unwrap());
    assert!(matches!(error(3), SnapshotError::Mismatch { .. }), "{}", error(3));
    for (at, story) in all.into_iter().enumerate().filter(|(at, _)| *at != 2) {
        assert!(error(at).to_string().contains(&story.file()), "{}", error(at));
        assert!(!error(at).to_string().contains('\n'));
    }
    assert_eq!(disk.files(), files);
}

#[test]
fn pruning_removes_what_is_older_and_what_came_to_nothing() {
    let disk = MemDisk::new();
    let stories = [3, 4, 5, 9].map(|index| Story::new(index, 100));
    for story in &stories {
        story.write(&disk).unwrap();
    }
    let left = [(4, "tmp"), (5, "part"), (6, "tmp"), (6, "part")];
    for (index, ending) in left {
        disk.set_content(&name(at(index, 2), ending), vec![1; 600]);
    }
    disk.set_content("log-0000000000000001.seg", vec![1; 600]);
    let before = disk.operations().len();
    prune(&disk, at(5, 2)).unwrap();
    let [_, _, kept, newer] = stories;
    let newer_left = [name(at(6, 2), "part"), name(at(6, 2), "tmp")];
    let mut expected = vec!["log-0000000000000001.seg".to_owned(), kept.file()];
    expected.extend(newer_left);
    expected.push(newer.file());
    assert_eq!(disk.list().unwrap(), expected);
    assert!(!disk.unsynced());
    // The oldest first, and one sync.
    let operations = disk.operations();
    let removed: Vec<_> = operations[before..].iter().map(|operation| &*operation.name).collect();
    let oldest_first = [(3, "snap"), (4, "snap"), (4, "tmp"), (5, "part")];
    let mut expected = oldest_first.map(|(index, ending)| name(at(index, 2), ending)).to_vec();
    expected.push(String::new());
    assert_eq!(removed, expected);

    // Where there is nothing to do, nothing is done.
    prune(&disk, at(5, 2)).unwrap();
    assert_eq!(disk.operations().len(), operations.len());
}

#[test]
fn pruning_never_leaves_a_directory_without_a_snapshot_to_start_from() {
    let disk = MemDisk::new();
    prune(&disk, at(5, 2)).unwrap();
    let story = Story::new(4, 100);
    story.write(&disk).unwrap();
    for keep in [at(5, 2), at(4, 3)] {
        let error = prune(&disk, keep).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    }
    assert_eq!(listed(&disk), [story]);
    prune(&disk, at(4, 1)).unwrap();
    assert_eq!(disk.files().len(), 1);
}

#[test]
fn sweeping_leaves_what_is_being_received() {
    let disk = MemDisk::new();
    let story = Story::new(4, 100);
    story.write(&disk).unwrap();
    disk.set_content(&name(at(9, 2), "tmp"), vec![1; 600]);
    disk.set_content(&name(at(8, 2), "part"), vec![1; 600]);
    sweep_snapshots(&disk).unwrap();
    assert_eq!(disk.list().unwrap(), [story.file(), name(at(8, 2), "part")]);
    assert!(!disk.unsynced());
}

#[test]
fn snapshots_lie_beside_a_log() {
    let disk = MemDisk::new();
    let open = || Log::open(disk.clone(), IDENTITY, Options::default()).unwrap();
    drop(open());
    let story = Story::new(4, 100);
    story.write(&disk).unwrap();
    disk.set_content(&name(at(9, 2), "tmp"), vec![1; 600]);
    disk.set_content(&name(at(8, 2), "part"), vec![1; 600]);
    let (_, recovered) = open();
    assert!(!recovered.created);
    assert_eq!(listed(&disk), [story]);
}
