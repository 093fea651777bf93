//! Receiving a snapshot: in order, over restarts, and with every byte checked.

use std::{fs, slice};

use quorate_log::{
    Choices, Disk, Identity, MemDisk, RealDisk, Received, SnapshotDamage, SnapshotError,
    SnapshotPart, SnapshotWriter,
};

use crate::helpers::{
    CHUNK_HEADER, FOOTER, HEADER, IDENTITY, LIMIT, PAYLOAD, Story, at, listed, send,
};

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

#[test]
fn what_was_sent_is_there() {
    for body_bytes in [0, 1, PAYLOAD, 2 * PAYLOAD + 5] {
        let story = Story::new(7, body_bytes);
        let sender = MemDisk::new();
        let sent = story.write(&sender).unwrap();
        for piece in [1 << 20, 4096, 700] {
            let disk = MemDisk::new();
            let begun = SnapshotPart::begin(&disk, sent.point(), sent.file_bytes(), LIMIT);
            let mut part = begun.unwrap();
            let mut buffer = vec![0; piece];
            while !part.is_complete() {
                let count = sent.read_raw(part.received(), &mut buffer).unwrap();
                let received = part.received();
                part.write_at(received, &buffer[..count]).unwrap();
            }
            assert_eq!(part.received(), part.file_bytes());
            assert_eq!(part.point(), story.point);
            let peer = Identity { cluster: IDENTITY.cluster, member: 2 };
            let file = part.finish(peer).unwrap();
            story.check(&file);
            assert_eq!(file.name(), story.file());
            assert!(!disk.unsynced(), "what is finished is durable");
            assert_eq!(disk.files(), sender.files());
            assert_eq!(disk.content(&story.file()), sender.content(&story.file()));
        }
    }
}

#[test]
fn only_the_next_bytes_are_taken() {
    let disk = MemDisk::new();
    let story = Story::new(7, 500);
    let bytes = story.bytes();
    let mut part = story.begin(&disk).unwrap();
    assert_eq!(part.write_at(1, &bytes[1..100]).unwrap(), Received::Gap { wanted: 0 });
    assert_eq!(part.write_at(0, &bytes[..100]).unwrap(), Received::Taken);
    assert_eq!(part.write_at(100, &[]).unwrap(), Received::Taken);
    // A message that comes twice, or late and with other bytes.
    assert_eq!(part.write_at(0, &bytes[..100]).unwrap(), Received::Known);
    assert_eq!(part.write_at(50, &[0xff; 100]).unwrap(), Received::Known);
    assert_eq!(part.write_at(101, &bytes[101..]).unwrap(), Received::Gap { wanted: 100 });
    assert_eq!(part.write_at(u64::MAX, &bytes).unwrap(), Received::Gap { wanted: 100 });
    assert_eq!(part.received(), 100);
    send(&mut part, &bytes, 7, u64::MAX).unwrap();
    assert_eq!(part.write_at(0, &bytes).unwrap(), Received::Known);
    story.check(&part.finish(IDENTITY).unwrap());
}

#[test]
fn what_is_too_long_is_refused_before_anything_is_touched() {
    let disk = MemDisk::new();
    let other = Story::new(6, 300);
    send(&mut other.begin(&disk).unwrap(), &other.bytes(), 100, 200).unwrap();
    let (files, operations) = (disk.files(), disk.operations().len());
    let error = SnapshotPart::begin(&disk, at(7, 2), 1001, 1000).unwrap_err();
    let SnapshotError::TooLarge { bytes: 1001, bytes_max: 1000, .. } = error else {
        panic!("{error}");
    };
    // No snapshot is that short.
    let error = SnapshotPart::begin(&disk, at(7, 2), 191, 1000).unwrap_err();
    assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
    assert_eq!((disk.files(), disk.operations().len()), (files, operations));
    SnapshotPart::begin(&disk, at(7, 2), 1000, 1000).unwrap();
    SnapshotPart::begin(&disk, at(7, 2), u64::MAX, u64::MAX).unwrap();
}

#[test]
fn more_than_was_announced_is_refused() {
    let disk = MemDisk::new();
    let story = Story::new(7, 300);
    let bytes = story.bytes();
    let mut part = story.begin(&disk).unwrap();
    let more = [&bytes[..], &[0]].concat();
    let error = part.write_at(0, &more).unwrap_err();
    assert!(matches!(error, SnapshotError::TooLarge { .. }), "{error}");
    assert_eq!(part.received(), 0);
    send(&mut part, &bytes, 100, u64::MAX).unwrap();
    part.write_at(length(&bytes), &[0]).unwrap_err();
    story.check(&part.finish(IDENTITY).unwrap());
}

#[test]
fn after_a_restart_it_goes_on_behind_the_last_whole_chunk() {
    let story = Story::new(7, 2 * PAYLOAD + 300);
    let bytes = story.bytes();
    let head = HEADER + story.meta.len();
    let full = CHUNK_HEADER + PAYLOAD;
    let (end, footer) = (bytes.len(), bytes.len() - FOOTER);
    for (sent, kept) in [
        (0, 0),
        (1, 0),
        (HEADER, 0),
        (head - 1, 0),
        (head, head),
        (head + full - 1, head),
        (head + full, head + full),
        (head + 2 * full + 100, head + 2 * full),
        (footer - 1, head + 2 * full),
        (footer, footer),
        (end - 1, footer),
        (end, end),
    ] {
        let disk = MemDisk::new();
        let mut part = story.begin(&disk).unwrap();
        let sent = u64::try_from(sent).unwrap();
        part.write_at(0, &bytes[..usize::try_from(sent).unwrap()]).unwrap();
        drop(part);
        let mut part = story.begin(&disk).unwrap();
        let received = part.received();
        let kept = u64::try_from(kept).unwrap();
        // The header alone is right, but there is nothing to be gained from it.
        assert!(received == kept || (received == 0 && kept == length(&bytes[..head])), "{sent}");
        send(&mut part, &bytes, 9999, u64::MAX).unwrap();
        story.check(&part.finish(IDENTITY).unwrap());
        assert_eq!(disk.files().len(), 1);
    }
}

#[test]
fn after_a_restart_nothing_damaged_is_gone_on_from() {
    let story = Story::new(7, PAYLOAD + 40);
    let bytes = story.bytes();
    for flipped in (0..HEADER + 50).chain((200..bytes.len()).step_by(997)) {
        let disk = MemDisk::new();
        let mut part = story.begin(&disk).unwrap();
        send(&mut part, &bytes, 20_000, u64::MAX).unwrap();
        drop(part);
        assert!(disk.rot(&story.part(), u64::try_from(flipped).unwrap(), 4));
        let part = story.begin(&disk).unwrap();
        assert!(part.received() <= u64::try_from(flipped).unwrap(), "{flipped}");
        drop(part);
        story.check(&story.receive(&disk, 30_000).unwrap());
    }
}

#[test]
fn the_part_of_another_snapshot_is_dropped() {
    let disk = MemDisk::new();
    let old = Story::new(6, 300);
    old.write(&disk).unwrap();
    for (index, term) in [(8, 2), (9, 2), (9, 3), (7, 4)] {
        let story = Story { point: at(index, term), ..Story::new(7, 500) };
        let mut part = story.begin(&disk).unwrap();
        assert_eq!(part.received(), 0);
        send(&mut part, &story.bytes(), 100, 300).unwrap();
        assert_eq!(disk.list().unwrap(), [old.file(), story.part()]);
    }
    assert_eq!(listed(&disk), [old]);
}

#[test]
fn a_part_of_another_length_is_gone_on_from_only_as_far_as_it_fits() {
    // Two leaders wrote the same state in different ways.
    let one = Story::new(7, 2 * PAYLOAD);
    for other in [
        Story { body: one.body[..PAYLOAD].to_vec(), ..one.clone() },
        Story { body: one.body[..PAYLOAD + 9].to_vec(), ..one.clone() },
        Story { body: [&one.body[..], b"more"].concat(), ..one.clone() },
        Story { body: crate::helpers::body(2 * PAYLOAD, 5), ..one.clone() },
        Story { meta: b"another meta part".into(), ..one.clone() },
        Story { meta: Vec::new(), body: Vec::new(), ..one.clone() },
    ] {
        for until in [HEADER, HEADER + PAYLOAD, one.bytes().len()] {
            let disk = MemDisk::new();
            let until = u64::try_from(until).unwrap();
            send(&mut one.begin(&disk).unwrap(), &one.bytes(), 5000, until).unwrap();
            // At worst it is asked for once more.
            if other.receive(&disk, 5000).is_err() {
                assert_eq!(disk.files(), []);
                other.receive(&disk, 5000).unwrap();
            }
            // Of two files of one length, the one that is all here is as good as the other.
            let is_all_here = until == u64::try_from(other.bytes().len()).unwrap();
            let expected = if is_all_here { &one } else { &other };
            assert_eq!(listed(&disk), slice::from_ref(expected));
        }
    }
}

#[test]
fn nothing_is_gone_on_from_that_would_have_to_be_sent_again() {
    let story = Story::new(7, 2 * PAYLOAD);
    let bytes = story.bytes();
    let end = bytes.len() - FOOTER;
    let longer = [&bytes[..], &[0]].concat();
    let moved = Story { point: at(6, 2), ..story.clone() }.bytes();
    let other = Story { body: crate::helpers::body(2 * PAYLOAD, 5), ..story.clone() }.bytes();
    let mixed = [&bytes[..end], &other[end..]].concat();
    for (part, received) in [(longer, 0), (moved, 0), (mixed, end), (bytes, end + FOOTER)] {
        let disk = MemDisk::new();
        disk.set_content(&story.part(), part);
        let part = story.begin(&disk).unwrap();
        assert_eq!(part.received(), u64::try_from(received).unwrap());
        drop(part);
        story.check(&story.receive(&disk, 9999).unwrap());
    }
}

#[test]
fn damage_on_the_way_is_noticed_and_the_file_asked_for_again() {
    let story = Story::new(7, 40);
    let old = Story::new(6, 10);
    let sound = story.bytes();
    for at in 0..sound.len() {
        let disk = MemDisk::new();
        old.write(&disk).unwrap();
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        let mut part = story.begin(&disk).unwrap();
        send(&mut part, &bytes, 64, u64::MAX).unwrap();
        let error = part.finish(IDENTITY).unwrap_err();
        let SnapshotError::Damaged { is_removed: true, .. } = error else { panic!("{error}") };
        assert!(error.to_string().ends_with("is to be asked for again"), "{error}");
        assert_eq!(disk.list().unwrap(), [old.file()]);
        let part = story.begin(&disk).unwrap();
        assert_eq!(part.received(), 0);
        drop(part);
        story.check(&story.receive(&disk, 64).unwrap());
        assert_eq!(listed(&disk), [story.clone(), old.clone()]);
    }
}

#[test]
fn what_is_not_what_was_announced_is_refused() {
    let story = Story::new(7, 100);
    let bytes = story.bytes();
    let receive = |point, bytes: &[u8], identity| {
        let disk = MemDisk::new();
        let mut part = SnapshotPart::begin(&disk, point, length(bytes), LIMIT).unwrap();
        send(&mut part, bytes, 64, u64::MAX).unwrap();
        let error = part.finish(identity).unwrap_err();
        assert_eq!(disk.files(), [], "{error}");
        error
    };
    let error = receive(at(7, 3), &bytes, IDENTITY);
    let SnapshotError::Mismatch { found, expected, .. } = error else { panic!("{error}") };
    assert_eq!((found, expected), (story.point, at(7, 3)));

    let error = receive(story.point, &bytes, Identity { cluster: 5, member: 1 });
    assert!(matches!(error, SnapshotError::Foreign { found: 0xc1, expected: 5, .. }), "{error}");

    let mut later = bytes.clone();
    later[12] = 2;
    let crc = crc32c::crc32c(&later[12..HEADER]);
    later[8..12].copy_from_slice(&crc.to_le_bytes());
    let error = receive(story.point, &later, IDENTITY);
    assert!(matches!(error, SnapshotError::Newer { version: 2, .. }), "{error}");

    // A file that is shorter than announced, made up with zeros.
    let longer = [&bytes[..], &[0; 100]].concat();
    let error = receive(story.point, &longer, IDENTITY);
    assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
}

#[test]
fn what_is_finished_too_early_is_not_put_in_place() {
    let disk = MemDisk::new();
    let story = Story::new(7, 100);
    let bytes = story.bytes();
    let mut part = story.begin(&disk).unwrap();
    send(&mut part, &bytes, 1, length(&bytes) - 1).unwrap();
    let error = part.finish(IDENTITY).unwrap_err();
    let SnapshotError::Damaged { offset, what: SnapshotDamage::Cut, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(offset, length(&bytes) - 1);
    assert_eq!(disk.files(), []);
}

#[test]
fn a_part_that_is_given_up_leaves_nothing() {
    let disk = MemDisk::new();
    let story = Story::new(7, 1000);
    let mut part = story.begin(&disk).unwrap();
    send(&mut part, &story.bytes(), 100, 700).unwrap();
    part.discard().unwrap();
    assert_eq!(disk.files(), []);
}

#[test]
fn writing_and_receiving_do_not_disturb_each_other() {
    let disk = MemDisk::new();
    let (written, received) = (Story::new(6, 200), Story::new(7, 300));
    let mut part = received.begin(&disk).unwrap();
    send(&mut part, &received.bytes(), 100, 200).unwrap();
    let begun = SnapshotWriter::create(&disk, IDENTITY, written.point, &written.meta);
    let mut writer = begun.unwrap();
    send(&mut part, &received.bytes(), 100, u64::MAX).unwrap();
    part.finish(IDENTITY).unwrap();
    std::io::Write::write_all(&mut writer, &written.body).unwrap();
    writer.finish().unwrap();
    assert_eq!(listed(&disk.crash(&mut Choices::first())), [received, written]);
}

#[test]
fn a_directory_of_the_system_receives_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("member");
    let disk = RealDisk::at(&path).unwrap();
    let story = Story::new(7, 2 * PAYLOAD);
    let bytes = story.bytes();
    let begin = || SnapshotPart::begin(&disk, story.point, length(&bytes), LIMIT).unwrap();
    let mut part = begin();
    part.write_at(0, &bytes[..PAYLOAD + 500]).unwrap();
    drop(part);
    let mut part = begin();
    let received = usize::try_from(part.received()).unwrap();
    assert_eq!(received, HEADER + story.meta.len() + CHUNK_HEADER + PAYLOAD);
    part.write_at(part.received(), &bytes[received..]).unwrap();
    let file = part.finish(IDENTITY).unwrap();
    assert_eq!(file.body_bytes(), length(&story.body));
    assert_eq!(disk.list().unwrap(), [story.file()]);
    #[expect(clippy::disallowed_methods, reason = "the test looks at what the system has")]
    let content = fs::read(path.join(story.file())).unwrap();
    assert_eq!(content, bytes);
}
