//! What was written is read, whatever its length, and lies on the disk as described.

use std::io::{self, Read, Write};

use quorate_log::{
    Disk, MemDisk, RealDisk, SNAPSHOT_META_BYTES_MAX, SnapshotFile, SnapshotWriter, prune,
};

use crate::helpers::{CHUNK_HEADER, FOOTER, HEADER, IDENTITY, PAYLOAD, Story, at, body, name};

#[test]
fn what_was_written_is_read_whatever_its_length() {
    for length in [0, 1, PAYLOAD - 1, PAYLOAD, PAYLOAD + 1, 3 * PAYLOAD, 3 * PAYLOAD + 17] {
        for piece in [1 << 20, 30_011] {
            let disk = MemDisk::new();
            let story = Story::new(7, length);
            let mut writer =
                SnapshotWriter::create(&disk, IDENTITY, story.point, &story.meta).unwrap();
            for piece in story.body.chunks(piece) {
                writer.write_all(piece).unwrap();
                writer.flush().unwrap();
            }
            let written = writer.finish().unwrap();
            story.check(&written);
            assert!(!disk.unsynced(), "what is finished is durable");
            let chunks = length.div_ceil(PAYLOAD);
            let bytes = HEADER + story.meta.len() + chunks * CHUNK_HEADER + length + FOOTER;
            let bytes = u64::try_from(bytes).unwrap();
            assert_eq!(disk.files(), [(story.file(), bytes)]);
            assert_eq!((written.file_bytes(), written.name()), (bytes, &*story.file()));
            let opened = SnapshotFile::open(&disk, IDENTITY, &story.file()).unwrap();
            story.check(&opened);
            assert_eq!(opened.file_bytes(), bytes);
            opened.verify().unwrap();
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_description() {
    let story = Story { point: at(0x1234, 0x56), meta: b"meta".into(), body: b"body!".into() };
    let mut header = Vec::from(*b"\x01\0\0\0");
    header.extend(0xc1_u64.to_le_bytes());
    header.extend(0x1234_u64.to_le_bytes());
    header.extend(0x56_u64.to_le_bytes());
    header.extend(4_u32.to_le_bytes());
    header.extend(crc32c::crc32c(b"meta").to_le_bytes());
    header.extend([0; 80]);
    let header_crc = crc32c::crc32c(&header);
    let chunk_crc = crc32c::crc32c_append(header_crc, b"\0\0\0\0\0\0\0\0\x05\0\0\0body!");
    let mut footer = Vec::from(chunk_crc.to_le_bytes());
    footer.extend(1_u64.to_le_bytes());
    footer.extend(5_u64.to_le_bytes());
    footer.extend((128 + 4 + 16 + 5 + 64_u64).to_le_bytes());
    footer.extend([0; 24]);
    let footer_crc = crc32c::crc32c_append(header_crc, &footer);

    let mut expected = Vec::from(*b"quorsn\r\n");
    expected.extend(header_crc.to_le_bytes());
    expected.extend(header);
    expected.extend(b"meta\0\0\0\0\0\0\0\0\x05\0\0\0");
    expected.extend(chunk_crc.to_le_bytes());
    expected.extend(b"body!quorse\r\n");
    expected.extend(footer_crc.to_le_bytes());
    expected.extend(footer);
    assert_eq!(story.bytes(), expected);
    assert_eq!(story.file(), "snapshot-0000000000001234-0000000000000056.snap");
}

#[test]
fn the_meta_part_has_a_bound() {
    let disk = MemDisk::new();
    for length in [0, 1, SNAPSHOT_META_BYTES_MAX] {
        let story = Story { point: at(3, 1), meta: body(length, 3), body: body(9, 4) };
        story.check(&story.write(&disk).unwrap());
    }
    let before = disk.files();
    let meta = vec![0; SNAPSHOT_META_BYTES_MAX + 1];
    let error = SnapshotWriter::create(&disk, IDENTITY, at(4, 1), &meta).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
    assert_eq!(disk.files(), before);
}

#[test]
fn raw_bytes_are_those_of_the_file() {
    let disk = MemDisk::new();
    let story = Story::new(9, PAYLOAD + 5);
    let file = story.write(&disk).unwrap();
    let mut raw = Vec::new();
    let mut piece = [0; 5000];
    loop {
        let offset = u64::try_from(raw.len()).unwrap();
        match file.read_raw(offset, &mut piece).unwrap() {
            0 => break,
            count => raw.extend_from_slice(&piece[..count]),
        }
    }
    assert_eq!(raw, story.bytes());
    assert_eq!(file.read_raw(u64::MAX, &mut piece).unwrap(), 0);
    assert_eq!(file.read_raw(0, &mut []).unwrap(), 0);
}

#[test]
fn a_snapshot_of_the_same_entry_is_replaced() {
    let disk = MemDisk::new();
    let old = Story::new(5, 100);
    let new = Story { body: body(70_000, 8), ..old.clone() };
    let old_file = old.write(&disk).unwrap();
    new.check(&new.write(&disk).unwrap());
    assert_eq!(disk.files().len(), 1);
    new.check(&SnapshotFile::open(&disk, IDENTITY, &new.file()).unwrap());
    old.check(&old_file);
}

#[test]
fn an_open_snapshot_is_read_on_when_it_is_pruned() {
    let disk = MemDisk::new();
    let (old, new) = (Story::new(5, 70_000), Story::new(6, 10));
    let file = old.write(&disk).unwrap();
    let mut reader = file.reader();
    let mut body = vec![0; 1000];
    reader.read_exact(&mut body).unwrap();
    new.write(&disk).unwrap();
    prune(&disk, new.point).unwrap();
    assert_eq!(disk.files().len(), 1);
    reader.read_to_end(&mut body).unwrap();
    assert_eq!(body, old.body);
}

#[test]
fn a_writer_that_is_given_up_leaves_nothing() {
    let disk = MemDisk::new();
    let story = Story::new(5, 10);
    let mut writer = SnapshotWriter::create(&disk, IDENTITY, story.point, &[]).unwrap();
    writer.write_all(&body(200_000, 1)).unwrap();
    assert_eq!(disk.files().len(), 1);
    drop(writer);
    assert_eq!(disk.files(), []);
}

#[test]
fn what_a_crash_left_is_removed_by_the_next_writer() {
    let disk = MemDisk::new();
    let story = Story::new(5, 10);
    for left in [story.point, at(4, 1), at(6, 3)] {
        disk.set_content(&name(left, "tmp"), vec![1; 100_000]);
    }
    story.check(&story.write(&disk).unwrap());
    assert_eq!(disk.files().len(), 1);
    story.check(&SnapshotFile::open(&disk, IDENTITY, &story.file()).unwrap());
}

#[test]
fn two_writers_at_a_time_put_no_incomplete_file_in_place() {
    // It is against the rule, but no reason to break a promise.
    let disk = MemDisk::new();
    let story = Story::new(5, 10);
    let first = SnapshotWriter::create(&disk, IDENTITY, story.point, &story.meta).unwrap();
    let mut second = SnapshotWriter::create(&disk, IDENTITY, story.point, &story.meta).unwrap();
    let error = first.finish().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    second.write_all(&story.body).unwrap();
    let error = second.finish().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
    assert_eq!(disk.files(), []);
}

#[test]
fn a_full_disk_can_be_cleared_under_a_writer() {
    let disk = MemDisk::new();
    let story = Story::new(5, 300_000);
    let mut writer = SnapshotWriter::create(&disk, IDENTITY, story.point, &story.meta).unwrap();
    disk.limit_space(Some(100_000));
    let mut written = 0;
    let error = loop {
        match writer.write(&story.body[written..]) {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().starts_with("memory/snapshot-"), "{error}");
    disk.limit_space(None);
    writer.write_all(&story.body[written..]).unwrap();
    story.check(&writer.finish().unwrap());
}

#[test]
fn a_directory_of_the_system_serves_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let disk = RealDisk::at(directory.path().join("member")).unwrap();
    let story = Story::new(5, 2 * PAYLOAD + 9);
    let mut writer = SnapshotWriter::create(&disk, IDENTITY, story.point, &story.meta).unwrap();
    writer.write_all(&story.body).unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(disk.list().unwrap(), [story.file()]);
    let opened = SnapshotFile::open(&disk, IDENTITY, &story.file()).unwrap();
    for file in [&written, &opened] {
        let mut body = Vec::new();
        file.reader().read_to_end(&mut body).unwrap();
        assert_eq!((file.point(), file.meta()), (story.point, &*story.meta));
        assert_eq!(body, story.body);
    }
}
