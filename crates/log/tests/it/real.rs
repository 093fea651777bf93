//! The log on the file system of the operating system.
#![expect(clippy::disallowed_methods, reason = "looks at the files from outside")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use quorate_log::{Disk, Identity, Log, OpenError, Options, RealDisk, Recovered};
use quorate_raft::Index;

use crate::model::{Held, IDENTITY, SMALL, append, block, state, sync, workload};

type Opened = Result<(Log<RealDisk>, Recovered), OpenError>;

fn open(path: &Path, identity: Identity) -> Opened {
    Log::open(RealDisk::at(path).unwrap(), identity, SMALL)
}

#[test]
fn a_log_lives_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    let (mut log, recovered) = open(&path, IDENTITY).unwrap();
    assert!(recovered.created);
    for step in workload() {
        if let crate::model::Step::Append(changes) = step {
            append(&mut log, &changes);
            assert!(sync(&mut log));
        }
    }
    let held = Held::of(&log, u64::MAX);
    drop(log);
    for incarnation in 2..5 {
        let (log, recovered) = open(&path, IDENTITY).unwrap();
        assert_eq!(recovered.incarnation, incarnation);
        assert!(recovered.notes.is_empty());
        assert_eq!(Held::of(&log, 300), held);
        if incarnation % 2 == 0 {
            log.close().unwrap();
        }
    }
    let segments = RealDisk::at(&path).unwrap().list().unwrap();
    assert!(segments.iter().filter(|name| name.ends_with(".seg")).count() > 3, "{segments:?}");
}

#[test]
fn a_log_with_default_sizes_lives_on() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::at(directory.path().join("data")).unwrap();
    let (mut log, _) = Log::open(disk.clone(), IDENTITY, Options::default()).unwrap();
    let large = block(2, 1, 40, 100_000, 2);
    log.append(Some(state(1, 1)), &[block(1, 1, 1, 9, 1), large.clone()]);
    assert!(sync(&mut log));
    log.close().unwrap();
    let (log, _) = Log::open(disk, IDENTITY, Options::default()).unwrap();
    assert_eq!(log.read(Index::new(2), Index::new(42), u64::MAX).unwrap(), [large]);
}

#[test]
fn what_is_compacted_gives_its_space_back() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { cache_bytes: 0, ..SMALL };
    let disk = RealDisk::at(directory.path()).unwrap();
    let (mut log, _) = Log::open(disk, IDENTITY, options).unwrap();
    for index in 1..=9 {
        log.append(None, [&block(index, 1, 1, 800, index)]);
        assert!(sync(&mut log));
    }
    let held = Held::of(&log, 1000);
    // Files that have no name any more, but are open.
    let open_files = || {
        let links = fs::read_dir("/proc/self/fd").unwrap();
        let targets = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
        let ours = targets.filter(|target| target.starts_with(directory.path()));
        ours.map(|target| target.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(open_files().len() > 5, "the reads opened every segment");
    log.compact(Index::new(7));
    assert!(sync(&mut log));
    let base = log.base();
    assert_eq!(Some(Held::of(&log, 1000)), held.begun_after(base));
    let files = open_files();
    assert!(files.iter().all(|name| !name.contains("deleted")), "{files:?}");
    let left = fs::read_dir(directory.path())
        .unwrap()
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|end| end == "seg"));
    assert!(left.count() <= 3, "two that hold something, and the one ahead");
    log.close().unwrap();
    let (log, recovered) = open(directory.path(), IDENTITY).unwrap();
    assert_eq!(recovered.base, base);
    assert_eq!(Some(Held::of(&log, 1000)), held.begun_after(base));
}

#[test]
fn the_files_are_private() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    drop(open(&path, IDENTITY).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert!(files >= 3, "identity, lock and a segment");
}

#[test]
fn a_directory_in_use_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (log, _) = open(directory.path(), IDENTITY).unwrap();
    let error = open(directory.path(), IDENTITY).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(directory.path().to_str().unwrap()), "{text}");
    drop(log);
    open(directory.path(), IDENTITY).unwrap();
}

#[test]
fn another_members_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), IDENTITY).unwrap());
    for other in [Identity { member: 0x99, ..IDENTITY }, Identity { cluster: 0x99, ..IDENTITY }] {
        let error = open(directory.path(), other).unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("member 11 of cluster c1") && text.contains("99"), "{text}");
    }
    open(directory.path(), IDENTITY).unwrap();
}

#[test]
fn a_later_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), IDENTITY).unwrap());
    let segment = "log-0000000000000001.seg";
    for (name, length) in [("identity", 64), (segment, 128)] {
        let path = directory.path().join(name);
        let sound = fs::read(&path).unwrap();
        let mut bytes = sound.clone();
        bytes[12] = 2;
        let crc = crc32c::crc32c(&bytes[12..length]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, &bytes).unwrap();
        let error = open(directory.path(), IDENTITY).unwrap_err();
        assert!(matches!(error, OpenError::Newer { .. }), "{error}");
        assert!(error.to_string().contains("format version 2"), "{error}");
        fs::write(&path, sound).unwrap();
    }
    open(directory.path(), IDENTITY).unwrap();
}

#[test]
fn a_missing_parent_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    assert!(RealDisk::at(directory.path().join("no/data")).is_err());
}
