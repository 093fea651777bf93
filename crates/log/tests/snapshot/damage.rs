//! Damage is noticed, whatever it is, and never read as if it was the state.

use std::io;

use proptest::prelude::{Strategy, any, prop, proptest};
use quorate_log::{Identity, MemDisk, SnapshotDamage, SnapshotError, SnapshotFile};

use crate::helpers::{CHUNK_HEADER, FOOTER, HEADER, IDENTITY, PAYLOAD, Story, at, read};

/// The file with other bytes in it.
fn open(story: &Story, bytes: Vec<u8>) -> Result<SnapshotFile<MemDisk>, SnapshotError> {
    let disk = MemDisk::new();
    disk.set_content(&story.file(), bytes);
    SnapshotFile::open(&disk, IDENTITY, &story.file())
}

/// Opens and reads a file that is not as it was, and returns what is said of it.
fn expect_damage(story: &Story, bytes: Vec<u8>, what: &str) -> SnapshotDamage {
    let length = u64::try_from(bytes.len()).unwrap();
    let error = match open(story, bytes) {
        Ok(file) => {
            let error = read(&file).expect_err(what);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{what}: {error}");
            error.into_inner().unwrap().downcast::<SnapshotError>().map(|error| *error).unwrap()
        }
        Err(error) => error,
    };
    let message = error.to_string();
    assert!(message.starts_with(&format!("memory/{}", story.file())), "{what}: {message}");
    let SnapshotError::Damaged { offset, what: damage, is_removed: false, .. } = error else {
        panic!("{what}: {message}");
    };
    assert!(message.contains(&format!("offset {offset} ")), "{what}: {message}");
    assert!(offset <= length, "{what}: {message}");
    damage
}

#[test]
fn every_flipped_bit_of_a_small_file_is_noticed() {
    let story = Story::new(7, 40);
    let sound = story.bytes();
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            let damage = expect_damage(&story, bytes, &format!("bit {bit} of byte {at}"));
            let chunk = HEADER + story.meta.len();
            let is_right = match damage {
                SnapshotDamage::Magic => at < 8,
                SnapshotDamage::Checksum => (8..HEADER).contains(&at),
                SnapshotDamage::Meta => (HEADER..chunk).contains(&at),
                SnapshotDamage::Chunk { number: 0 } => (chunk..sound.len() - FOOTER).contains(&at),
                SnapshotDamage::Footer => at >= sound.len() - FOOTER,
                SnapshotDamage::Chunk { .. } | SnapshotDamage::Cut | SnapshotDamage::Length => {
                    false
                }
            };
            assert!(is_right, "byte {at}: {damage}");
        }
    }
}

#[test]
fn flipped_bytes_of_a_file_of_many_chunks_are_noticed_before_they_are_given_out() {
    let story = Story::new(7, 3 * PAYLOAD + 100);
    let sound = story.bytes();
    for at in (0..sound.len()).step_by(3001) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x40;
        expect_damage(&story, bytes.clone(), &format!("byte {at}"));
        let Ok(file) = open(&story, bytes) else { continue };
        let mut given = Vec::new();
        let read = io::Read::read_to_end(&mut file.reader(), &mut given);
        read.unwrap_err();
        assert!(story.body.starts_with(&given), "byte {at}");
        assert_eq!(given.len() % PAYLOAD, 0, "whole chunks only");
    }
}

#[test]
fn a_reader_does_not_get_over_damage() {
    let story = Story::new(7, 3 * PAYLOAD);
    let mut bytes = story.bytes();
    bytes[HEADER + story.meta.len() + CHUNK_HEADER + PAYLOAD + 500] ^= 1;
    let file = open(&story, bytes).unwrap();
    let mut reader = file.reader();
    let mut first = vec![0; PAYLOAD];
    io::Read::read_exact(&mut reader, &mut first).unwrap();
    for _ in 0..3 {
        let error = io::Read::read(&mut reader, &mut first).unwrap_err();
        assert!(error.to_string().contains("chunk 1 is not"), "{error}");
    }
    assert!(matches!(file.verify(), Err(SnapshotError::Damaged { .. })));
}

#[test]
fn a_file_of_any_other_length_is_noticed() {
    for body_bytes in [0, 40] {
        let story = Story::new(7, body_bytes);
        let sound = story.bytes();
        for length in 0..sound.len() {
            expect_damage(&story, sound[..length].to_vec(), &format!("cut to {length}"));
        }
        for more in (1..200).chain(PAYLOAD..PAYLOAD + 20) {
            let mut bytes = sound.clone();
            bytes.resize(sound.len() + more, 0);
            expect_damage(&story, bytes, &format!("{more} zeros more"));
        }
        for more in 1..=sound.len() {
            let bytes = [&sound[..], &sound[sound.len() - more..]].concat();
            expect_damage(&story, bytes, &format!("{more} of its own bytes more"));
        }
    }
    let story = Story::new(7, 2 * PAYLOAD + 100);
    let sound = story.bytes();
    for length in (0..sound.len()).step_by(1009) {
        expect_damage(&story, sound[..length].to_vec(), &format!("cut to {length}"));
    }
}

#[test]
fn chunks_elsewhere_and_of_elsewhere_are_noticed() {
    let story = Story::new(7, 4 * PAYLOAD);
    let sound = story.bytes();
    let place = |number: usize| {
        let start = HEADER + story.meta.len() + number * (CHUNK_HEADER + PAYLOAD);
        start..start + CHUNK_HEADER + PAYLOAD
    };
    let check = |bytes: Vec<u8>, number: usize, what: &str| {
        assert_ne!(bytes, sound, "{what}");
        let number = u64::try_from(number).unwrap();
        assert_eq!(expect_damage(&story, bytes, what), SnapshotDamage::Chunk { number }, "{what}");
    };
    for one in 0..4 {
        for two in one + 1..4 {
            let mut swapped = sound.clone();
            swapped[place(one)].copy_from_slice(&sound[place(two)]);
            swapped[place(two)].copy_from_slice(&sound[place(one)]);
            check(swapped, one, "swapped");
            let mut repeated = sound.clone();
            repeated.copy_within(place(one), place(two).start);
            check(repeated, two, "repeated");
        }
        // A write that never came: zeros, or what the file or another held there before.
        let mut blank = sound.clone();
        blank[place(one)].fill(0);
        check(blank, one, "blank");
        let other_state = Story { body: crate::helpers::body(4 * PAYLOAD, 99), ..story.clone() };
        let other_point = Story { point: at(6, 2), ..story.clone() };
        let other_meta = Story { meta: b"Members at 7".to_vec(), ..story.clone() };
        for other in [other_point, other_meta, other_state] {
            let mut stale = sound.clone();
            stale[place(one)].copy_from_slice(&other.bytes()[place(one)]);
            // The first chunk behind the same header could be the right one; the next tells.
            let is_first = one == 0 && other.bytes()[..HEADER] == sound[..HEADER];
            check(stale, if is_first { 1 } else { one }, "stale");
        }
    }
    // One chunk less: the footer tells.
    let mut short = sound.clone();
    short.drain(place(2));
    assert_eq!(expect_damage(&story, short, "a chunk less"), SnapshotDamage::Length);
}

#[test]
fn the_parts_of_two_files_are_none() {
    let one = Story::new(7, 100);
    let others = [
        Story { point: at(6, 2), ..one.clone() },
        Story { meta: b"Members at 7".to_vec(), ..one.clone() },
        Story { body: crate::helpers::body(100, 99), ..one.clone() },
    ];
    let sound = one.bytes();
    for other in others {
        let other = other.bytes();
        let end = sound.len() - FOOTER;
        let mixed = [&sound[..end], &other[end..]].concat();
        assert_eq!(expect_damage(&one, mixed, "a footer"), SnapshotDamage::Footer);
        if other[..HEADER] != sound[..HEADER] {
            let mixed = [&other[..HEADER], &sound[HEADER..]].concat();
            let error = open(&one, mixed).unwrap_err();
            assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
        }
    }
}

#[test]
fn another_cluster_another_entry_and_a_later_version_are_told_from_damage() {
    let story = Story::new(7, 100);
    let disk = MemDisk::new();
    story.write(&disk).unwrap();
    let stranger = Identity { cluster: 0xc2, member: 1 };
    let error = SnapshotFile::open(&disk, stranger, &story.file()).unwrap_err();
    let SnapshotError::Foreign { found: 0xc1, expected: 0xc2, .. } = error else {
        panic!("{error}");
    };
    // Files travel between members.
    let peer = Identity { cluster: IDENTITY.cluster, member: 9 };
    story.check(&SnapshotFile::open(&disk, peer, &story.file()).unwrap());

    let renamed = Story { point: at(8, 2), ..story.clone() };
    let error = open(&renamed, story.bytes()).unwrap_err();
    let SnapshotError::Mismatch { found, expected, .. } = error else { panic!("{error}") };
    assert_eq!((found, expected), (story.point, renamed.point));

    let mut later = story.bytes();
    later[12] = 2;
    expect_damage(&story, later.clone(), "another version by a flipped bit");
    let crc = crc32c::crc32c(&later[12..HEADER]);
    later[8..12].copy_from_slice(&crc.to_le_bytes());
    let error = open(&story, later).unwrap_err();
    assert!(matches!(error, SnapshotError::Newer { version: 2, .. }), "{error}");
}

#[test]
fn a_file_that_is_not_there_or_no_snapshot_is_an_error_of_the_disk() {
    let disk = MemDisk::new();
    disk.set_content("identity", vec![1; 64]);
    let missing = Story::new(7, 0).file();
    for (name, kind) in [
        (&*missing, io::ErrorKind::NotFound),
        ("identity", io::ErrorKind::InvalidInput),
        ("", io::ErrorKind::InvalidInput),
    ] {
        let error = SnapshotFile::open(&disk, IDENTITY, name).unwrap_err();
        let SnapshotError::Io { error, .. } = error else { panic!("{error}") };
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn a_length_that_only_a_liar_writes_is_not_believed() {
    let story = Story::new(7, 100);
    for meta_bytes in [13, 1 << 20, (1 << 20) + 1, u32::MAX] {
        let mut bytes = story.bytes();
        bytes[40..44].copy_from_slice(&u32::to_le_bytes(meta_bytes));
        let crc = crc32c::crc32c(&bytes[12..HEADER]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        expect_damage(&story, bytes, "a meta part of another length");
    }
}

#[test]
fn what_no_writer_writes_is_damage_whatever_its_checksums() {
    let story = Story::new(7, 0);
    let meta = &*story.meta;
    let (full, short) = (&[1; PAYLOAD][..], &[2; 9][..]);
    let read = |meta: &[u8], chunks: &[(u64, usize, &[u8])]| {
        open(&story, forge(meta, chunks)).and_then(|file| file.verify())
    };
    read(meta, &[(0, PAYLOAD, full), (1, 9, short)]).unwrap();
    read(&vec![3; 1 << 20], &[]).unwrap();
    for (meta, chunks, damage) in [
        (&vec![3; (1 << 20) + 1][..], &[][..], SnapshotDamage::Meta),
        (meta, &[(1, 9, short)], SnapshotDamage::Chunk { number: 0 }),
        (meta, &[(0, 8, short)], SnapshotDamage::Chunk { number: 0 }),
        (meta, &[(0, PAYLOAD, full), (0, 9, short)], SnapshotDamage::Chunk { number: 1 }),
        (meta, &[(0, 9, short), (1, PAYLOAD, full)], SnapshotDamage::Chunk { number: 0 }),
        (meta, &[(0, 0, &[])], SnapshotDamage::Length),
    ] {
        let error = read(meta, chunks).unwrap_err();
        let SnapshotError::Damaged { what, .. } = error else { panic!("{error}") };
        assert_eq!(what, damage);
    }
}

/// A file at 7@2 with right checksums, of any meta part and chunks: number, length and payload.
fn forge(meta: &[u8], chunks: &[(u64, usize, &[u8])]) -> Vec<u8> {
    let field = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut bytes = Story::new(7, 0).bytes()[..HEADER].to_vec();
    bytes[40..44].copy_from_slice(&field(meta.len()));
    bytes[44..48].copy_from_slice(&crc32c::crc32c(meta).to_le_bytes());
    let header_crc = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&header_crc.to_le_bytes());
    bytes.extend(meta);
    let mut crc = header_crc;
    for (number, length, payload) in chunks {
        let head = [&number.to_le_bytes()[..], &field(*length)].concat();
        crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, &head), payload);
        bytes.extend([&head[..], &crc.to_le_bytes(), payload].concat());
    }
    let mut footer = crc.to_le_bytes().to_vec();
    let body_bytes: usize = chunks.iter().map(|chunk| chunk.2.len()).sum();
    for number in [chunks.len(), body_bytes, bytes.len() + FOOTER, 0, 0, 0] {
        footer.extend(u64::try_from(number).unwrap().to_le_bytes());
    }
    bytes.extend(b"quorse\r\n");
    bytes.extend(crc32c::crc32c_append(header_crc, &footer).to_le_bytes());
    bytes.extend(footer);
    bytes
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let error = open(&Story::new(7, 0), bytes).unwrap_err();
        assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
    }

    #[test]
    fn no_mixture_of_pieces_is_taken_for_the_file(cuts in pieces()) {
        let story = Story::new(7, 300);
        let sound = story.bytes();
        let piece = |&(from, to): &(usize, usize)| &sound[from.min(to)..from.max(to)];
        let mixed: Vec<u8> = cuts.iter().flat_map(piece).copied().collect();
        if mixed != sound {
            expect_damage(&story, mixed, "a mixture");
        }
    }
}

/// Pieces of a file, the first of which is its beginning.
fn pieces() -> impl Strategy<Value = Vec<(usize, usize)>> {
    let length = HEADER + 12 + CHUNK_HEADER + 300 + FOOTER;
    prop::collection::vec((0..=length, 0..=length), 1..5).prop_map(|mut cuts| {
        cuts[0].0 = 0;
        cuts
    })
}
