//! Damage of what was durable is noticed: a log opens with all that was in it, or it refuses and
//! names file and offset. Wrong data is never returned, nor less than there was.

use crate::model::{Held, IDENTITY, SMALL, block, open, run, state, sync, workload};
use quorate_log::{
    Choices, Disk, Fault, Identity, Log, MemDisk, Note, OpenError, OperationKind, Options,
    ReadError,
};
use quorate_raft::{EntryId, Index};

#[test]
fn every_flipped_byte_of_a_small_log_is_noticed() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(Some(state(2, 1)), &[block(1, 1, 2, 9, 1), block(3, 2, 1, 0, 2)]);
    assert!(sync(&mut log));
    log.append(None, &[block(3, 2, 2, 30, 3)]);
    let held = Held::of(&log, u64::MAX);
    log.close().unwrap();
    flip_bytes(&disk, &held, 1);
}

#[test]
fn flipped_bytes_of_a_log_of_many_segments_are_noticed() {
    let (disk, held) = closed_log();
    flip_bytes(&disk, &held, 11);
}

/// Flips every `stride`th byte of every file, each in a disk of its own.
pub fn flip_bytes(disk: &MemDisk, held: &Held, stride: usize) {
    let mut refused = 0;
    for name in disk.list().unwrap() {
        let sound = disk.content(&name).unwrap();
        for at in (0..sound.len()).step_by(stride) {
            let rotten = copy(disk);
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            rotten.set_content(&name, bytes);
            refused += u32::from(expect_all_or_refusal(&rotten, held, &format!("{name}:{at}")));
        }
    }
    assert!(refused > 100, "only {refused} flips were refused");
}

#[test]
fn a_damaged_record_below_the_cache_is_never_returned() {
    let options = Options { cache_bytes: 0, ..SMALL };
    let disk = MemDisk::new();
    let (mut log, _) = Log::open(disk.clone(), IDENTITY, options).unwrap();
    log.append(None, &[block(1, 1, 3, 50, 1), block(4, 1, 1, 0, 2)]);
    log.append(None, &[block(3, 2, 2, 70, 3)]);
    assert!(sync(&mut log));
    let held = Held::of(&log, u64::MAX);
    let name = disk.list().unwrap().into_iter().find(|name| name.ends_with(".seg")).unwrap();
    let sound = disk.content(&name).unwrap();
    let mut damaged = 0;
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        disk.set_content(&name, bytes);
        for index in 1..=4_u64 {
            let index = Index::new(index);
            match Log::read(&log, index, index.next(), 0) {
                Ok(blocks) => {
                    let place = usize::try_from(index.value() - 1).unwrap();
                    let entry = blocks[0].entries().next().unwrap();
                    assert_eq!(entry.id, held.entries[place].0);
                    assert_eq!(entry.body, held.entries[place].4);
                }
                Err(ReadError::Damaged { file, offset, .. }) => {
                    assert!(file.ends_with(&name));
                    assert!(offset <= u64::try_from(at).unwrap());
                    damaged += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        disk.set_content(&name, sound.clone());
    }
    assert!(damaged > 100, "only {damaged} reads were refused");
}

#[test]
fn stale_and_misdirected_sectors_are_noticed() {
    const SECTOR: usize = MemDisk::SECTOR_BYTES;
    // Every state in which a sync left the disk.
    let steps = workload();
    let versions: Vec<MemDisk> = (0..steps.len())
        .map(|count| {
            let disk = MemDisk::new();
            run(&disk, &steps[..count]);
            disk
        })
        .collect();
    let (disk, held) = closed_log();
    let mut refused = 0;
    for name in disk.list().unwrap() {
        let sound = disk.content(&name).unwrap();
        for start in (0..sound.len()).step_by(SECTOR) {
            let end = sound.len().min(start + SECTOR);
            let mut replacements: Vec<Vec<u8>> = Vec::new();
            for version in &versions {
                let mut old = version.content(&name).unwrap_or_default();
                old.resize(old.len().max(end), 0);
                replacements.push(old[start..end].to_vec());
            }
            // The next sector, the one before, and those of the first segment.
            for from in [start + SECTOR, start.saturating_sub(SECTOR), 0, SECTOR] {
                if let Some(other) = sound.get(from..from + (end - start)) {
                    replacements.push(other.to_vec());
                }
            }
            replacements.sort();
            replacements.dedup();
            for replacement in replacements {
                let rotten = copy(&disk);
                let mut bytes = sound.clone();
                bytes[start..end].copy_from_slice(&replacement);
                rotten.set_content(&name, bytes);
                let what = format!("{name}:{start}");
                refused += u32::from(expect_all_or_refusal(&rotten, &held, &what));
            }
        }
    }
    assert!(refused > 50, "only {refused} sectors were refused");
}

#[test]
fn lost_cut_and_swapped_segments_are_noticed() {
    let (disk, held) = closed_log();
    let mut segments = segments(&disk);
    // The last may be a spare that holds nothing yet.
    segments.retain(|name| disk.content(name).unwrap().iter().any(|&byte| byte != 0));
    assert!(segments.len() > 3);
    for (at, name) in segments.iter().enumerate() {
        let sound = disk.content(name).unwrap();
        let lost = copy(&disk);
        lost.remove(name).unwrap();
        expect_loss_noticed(&lost, &held, name, at == 0);
        for length in [0, 100, 128, 200, 512] {
            let cut = copy(&disk);
            cut.set_content(name, sound[..length].to_vec());
            assert!(
                expect_all_or_refusal(&cut, &held, &format!("{name} cut to {length}")),
                "{name} cut to {length}"
            );
        }
        let wiped = copy(&disk);
        wiped.set_content(name, vec![0; sound.len()]);
        assert!(expect_all_or_refusal(&wiped, &held, &format!("{name} wiped")), "{name} wiped");
        let other = &segments[(at + 1) % segments.len()];
        let swapped = copy(&disk);
        swapped.set_content(name, disk.content(other).unwrap());
        swapped.set_content(other, sound);
        assert!(
            expect_all_or_refusal(&swapped, &held, &format!("{name} swapped")),
            "{name} swapped"
        );
    }
}

#[test]
fn a_lost_segment_is_noticed_without_closing_in_order() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    for index in 1..10 {
        log.append(None, &[block(index, 1, 1, 500, index)]);
        assert!(sync(&mut log));
    }
    drop(log);
    let held = Held::of(&open(&copy(&disk)).unwrap().0, u64::MAX);
    let mut names = segments(&disk);
    names.retain(|name| disk.content(name).unwrap().iter().any(|&byte| byte != 0));
    for (at, name) in names.iter().enumerate() {
        let lost = copy(&disk);
        lost.remove(name).unwrap();
        expect_loss_noticed(&lost, &held, name, at == 0);
    }
}

/// A log without its first segment cannot know that it was not compacted, but says where it begins:
/// the owner has no snapshot up to there. A log without another segment does not open.
pub fn expect_loss_noticed(lost: &MemDisk, held: &Held, name: &str, is_first: bool) {
    if is_first {
        let (log, recovered) = open(lost).unwrap();
        assert_ne!(recovered.base, held.base, "{name} lost");
        let rest = held.begun_after(recovered.base);
        assert_eq!(rest, Some(Held::of(&log, u64::MAX)), "{name} lost");
    } else {
        assert!(expect_all_or_refusal(lost, held, &format!("{name} lost")), "{name} lost");
    }
}

#[test]
fn a_vote_written_to_the_wrong_place_is_noticed() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    for vote in [0, 2] {
        log.append(Some(state(1, vote)), &[]);
        assert!(sync(&mut log));
    }
    drop(log);
    let name = segments(&disk).remove(0);
    let mut bytes = disk.content(&name).unwrap();
    // The record without a vote lies behind the segment's header and the record of the opening.
    bytes.copy_within(192..256, 256);
    disk.set_content(&name, bytes);
    let error = open(&disk).unwrap_err();
    assert!(error.to_string().contains("at offset 256 (the record belongs"), "{error}");
}

#[test]
fn another_members_segment_is_refused() {
    let disk = MemDisk::new();
    let other = Identity { member: 0x12, ..IDENTITY };
    drop(Log::open(disk.clone(), other, SMALL).unwrap());
    let (mine, _) = closed_log();
    let name = segments(&mine).remove(0);
    mine.set_content(&name, disk.content(&name).unwrap());
    let error = open(&mine).unwrap_err();
    assert!(matches!(&error, OpenError::Foreign { found, .. } if *found == other), "{error}");
}

#[test]
fn a_lost_identity_is_not_made_up_again() {
    let (disk, _) = closed_log();
    disk.remove("identity").unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    // Even if there is only one segment.
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(Some(state(1, 1)), &[]);
    log.close().unwrap();
    disk.remove("identity").unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn no_log_is_made_up_where_snapshots_lie() {
    let name = "snapshot-0000000000000010-0000000000000002";
    for ending in [".snap", ".part", ".tmp"] {
        let disk = MemDisk::new();
        disk.set_content(&format!("{name}{ending}"), b"whatever".to_vec());
        let error = open(&disk).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, OpenError::Damaged { .. }), "{text}");
        assert!(text.contains("identity") && text.contains("missing"), "{text}");
        let files: Vec<_> = disk.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(files, [format!("{name}{ending}")], "nothing was made");
    }
    // What others put there is no reason to refuse.
    let disk = MemDisk::new();
    for name in ["notes.snap", "snapshot-10-2.snap", "lost+found"] {
        disk.set_content(name, b"whatever".to_vec());
    }
    open(&disk).unwrap();
}

#[test]
fn a_read_error_is_not_taken_for_the_end() {
    let (disk, _) = closed_log();
    let mut reads = 0;
    loop {
        let failing = copy(&disk);
        failing.fail(OperationKind::Read, reads, Fault::Io);
        match open(&failing) {
            Err(error) => assert!(matches!(error, OpenError::Io { .. }), "{error}"),
            Ok(_) => break,
        }
        reads += 1;
    }
    assert!(reads > 5, "only {reads} reads");
}

#[test]
fn the_last_write_is_proven_as_soon_as_its_marker_is_there() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.append(None, &[block(1, 1, 1, 10, 1)]);
    assert!(sync(&mut log));
    drop(log);
    let name = segments(&disk).remove(0);
    // The system wrote the marker by itself.
    expect_last_damaged(&disk.crash(&mut Choices::last()), &name, |result| {
        assert!(matches!(result, Err(OpenError::Damaged { .. })), "{result:?}");
    });
    // The documented window: a power failure before that, and damage to the very last write.
    expect_last_damaged(&disk.crash(&mut Choices::first()), &name, |result| {
        let (log, recovered) = result.unwrap();
        assert_eq!(log.last(), EntryId::ZERO);
        assert!(matches!(recovered.notes[..], [Note::TornTail { .. }]));
        assert!(recovered.notes[0].to_string().contains("at offset 192"));
    });
}

type Opened = Result<(Log<MemDisk>, quorate_log::Recovered), OpenError>;

/// Flips a bit of the first block and opens.
fn expect_last_damaged(disk: &MemDisk, name: &str, check: impl FnOnce(Opened)) {
    let mut bytes = disk.content(name).unwrap();
    // Header of the segment, record of the opening, header of the record.
    bytes[128 + 64 + 64] ^= 1;
    disk.set_content(name, bytes);
    check(open(disk));
}

/// A log with all that the workload leaves, closed in order.
fn closed_log() -> (MemDisk, Held) {
    let disk = MemDisk::new();
    run(&disk, &workload());
    let (mut log, _) = open(&disk).unwrap();
    let next = log.last().index.next().value();
    log.append(Some(state(7, 1)), &[block(next, 7, 2, 200, 99)]);
    assert!(sync(&mut log));
    let held = Held::of(&log, u64::MAX);
    log.close().unwrap();
    (disk, held)
}

/// A disk with the same files.
pub fn copy(disk: &MemDisk) -> MemDisk {
    let copy = MemDisk::new();
    for name in disk.list().unwrap() {
        copy.set_content(&name, disk.content(&name).unwrap());
    }
    copy
}

/// The segments, in order.
pub fn segments(disk: &MemDisk) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.ends_with(".seg")).collect()
}

/// Whether the log refuses to open; if not, it must hold everything.
pub fn expect_all_or_refusal(disk: &MemDisk, held: &Held, what: &str) -> bool {
    match open(disk) {
        Ok((log, _)) => {
            // Not `assert_eq`: it would print every byte.
            assert!(Held::of(&log, u64::MAX) == *held, "{what}: entries went missing");
            false
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("memory/"), "{what}: names no file: {text}");
            assert!(!matches!(error, OpenError::Io { .. } | OpenError::Full { .. }), "{text}");
            let names_offset =
                text.contains("offset") || matches!(error, OpenError::Foreign { .. });
            assert!(names_offset, "{what}: names no offset: {text}");
            true
        }
    }
}
