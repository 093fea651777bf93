//! Damage of a log that begins later is noticed as that of a whole one.

use quorate_log::{Disk, Identity, Log, MemDisk, OpenError};
use quorate_raft::{EntryId, Index, Term};

use crate::model::{Held, IDENTITY, SMALL, block, open, state, sync};
use crate::rot::{copy, expect_all_or_refusal, expect_loss_noticed, flip_bytes, segments};

/// A log that was reset, compacted and closed in order: segments 6 to 8. The first begins after
/// entry 10, holds entry 11, and goes on after entry 9.
fn compacted() -> (MemDisk, Held) {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    for index in 1..=11 {
        log.append(Some(state(index, 1)), [&block(index, index, 1, 700, index)]);
        assert!(sync(&mut log));
    }
    log.reset(EntryId::new(Term::new(9), Index::new(9)));
    for index in 10..=13 {
        log.append(None, [&block(index, 10, 1, 700, index)]);
        assert!(sync(&mut log));
    }
    log.compact(Index::new(9));
    assert!(sync(&mut log));
    let held = Held::of(&log, u64::MAX);
    log.close().unwrap();
    let mut names = segments(&disk);
    names.retain(|name| disk.content(name).unwrap().iter().any(|&byte| byte != 0));
    assert_eq!(names[0], "log-0000000000000006.seg");
    assert_eq!(names.len(), 3);
    (disk, held)
}

#[test]
fn every_flipped_byte_of_a_compacted_log_is_noticed() {
    let (disk, held) = compacted();
    flip_bytes(&disk, &held, 3);
}

#[test]
fn lost_and_cut_segments_of_a_compacted_log_are_noticed() {
    let (disk, held) = compacted();
    let mut names = segments(&disk);
    names.retain(|name| disk.content(name).unwrap().iter().any(|&byte| byte != 0));
    for (at, name) in names.iter().enumerate() {
        let lost = copy(&disk);
        lost.remove(name).unwrap();
        expect_loss_noticed(&lost, &held, name, at == 0);
        let sound = disk.content(name).unwrap();
        for length in [0, 64, 100, 128, 192, 200, 512] {
            let cut = copy(&disk);
            cut.set_content(name, sound[..length].to_vec());
            let what = format!("{name} cut to {length}");
            assert!(expect_all_or_refusal(&cut, &held, &what), "{what}");
            cut.set_content(name, vec![0; sound.len()]);
            assert!(expect_all_or_refusal(&cut, &held, &what), "{what}, wiped");
        }
    }
}

#[test]
fn a_first_segment_without_any_record_is_damage() {
    // Nothing behind it proves it, but it is only ever first when it holds something.
    let (disk, _) = compacted();
    let names = segments(&disk);
    for name in &names[1..] {
        disk.remove(name).unwrap();
    }
    disk.remove("sealed").unwrap();
    let mut bytes = disk.content(&names[0]).unwrap();
    bytes.truncate(128);
    disk.set_content(&names[0], bytes);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { offset: 128, .. }), "{error}");
    disk.remove(&names[0]).unwrap();
    let error = open(&disk).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("log-0000000000000001.seg") && text.contains("missing"), "{text}");
}

#[test]
fn a_compacted_log_is_not_made_up_again_without_its_identity() {
    let (disk, _) = compacted();
    disk.remove("identity").unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    // Nor if all that is left is a reset in the first segment.
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.reset(EntryId::new(Term::new(9), Index::new(9)));
    log.close().unwrap();
    disk.remove("identity").unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_first_segment_of_another_member_is_refused() {
    let (disk, _) = compacted();
    let name = segments(&disk).remove(0);
    change(&disk, &name, 0, 128, |bytes| bytes[24] ^= 1);
    let other = Identity { member: IDENTITY.member ^ 1, ..IDENTITY };
    let error = open(&disk).unwrap_err();
    assert!(matches!(&error, OpenError::Foreign { found, .. } if *found == other), "{error}");
}

#[test]
fn a_first_segment_that_follows_nothing_is_damage() {
    // The end of the segment before: in another segment, or where no record can end.
    for (offset, value) in [(44, 4), (44, 6), (44, 0), (40, 0)] {
        let (disk, _) = compacted();
        let name = segments(&disk).remove(0);
        change(&disk, &name, 0, 128, |bytes| {
            bytes[offset] = value;
            bytes[41] = if offset == 40 { 0 } else { bytes[41] };
        });
        let error = open(&disk).unwrap_err();
        assert!(matches!(error, OpenError::Damaged { offset: 0, .. }), "{error}");
        assert!(error.to_string().contains(&name), "{error}");
    }
}

#[test]
fn a_reset_that_makes_no_sense_is_damage_and_an_unknown_kind_is_later() {
    for (what, kind, index) in [("does not continue", 5, 0), ("later version", 6, 9)] {
        let disk = MemDisk::new();
        let (mut log, _) = Log::open(disk.clone(), IDENTITY, SMALL).unwrap();
        log.reset(EntryId::new(Term::new(9), Index::new(9)));
        log.close().unwrap();
        let name = segments(&disk).remove(0);
        // Behind the segment's header and the record of the opening.
        change(&disk, &name, 192, 64, |bytes| {
            assert_eq!(bytes[8], 5);
            assert_eq!(bytes[48..64], [9, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
            (bytes[8], bytes[48]) = (kind, index);
        });
        let error = open(&disk).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[test]
fn a_block_before_the_base_of_a_reset_is_damage() {
    let disk = MemDisk::new();
    let (mut log, _) = open(&disk).unwrap();
    log.reset(EntryId::new(Term::new(9), Index::new(9)));
    log.append(None, [&block(10, 9, 2, 8, 1)]);
    log.close().unwrap();
    let name = segments(&disk).remove(0);
    // The segment's header, the record of the opening, the reset.
    change(&disk, &name, 256, 64, |bytes| bytes[48] = 9);
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { offset: 256, .. }), "{error}");
    assert!(error.to_string().contains("does not continue"), "{error}");
}

/// Changes a header of `length` bytes and makes its checksum right.
fn change(disk: &MemDisk, name: &str, at: usize, length: usize, edit: impl FnOnce(&mut [u8])) {
    let mut bytes = disk.content(name).unwrap();
    let header = &mut bytes[at..at + length];
    edit(header);
    // Where the checksum is, and where what it covers begins.
    let (crc, from) = if length == 64 { (4, 8) } else { (8, 12) };
    let sum = crc32c::crc32c(&header[from..]);
    header[crc..crc + 4].copy_from_slice(&sum.to_le_bytes());
    disk.set_content(name, bytes);
}
