//! The bytes of a file without the file: a sink writes what a writer does, a source reads it and
//! refuses everything else.

use std::io::{self, Read, Write};

use quorate_log::{SNAPSHOT_META_BYTES_MAX, SnapshotError, SnapshotSink, SnapshotSource};

use crate::helpers::{IDENTITY, PAYLOAD, Story};

fn sink(story: &Story, piece: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut sink =
        SnapshotSink::create(&mut bytes, IDENTITY.cluster, story.point, &story.meta).unwrap();
    for piece in story.body.chunks(piece) {
        sink.write_all(piece).unwrap();
    }
    let (_, length) = sink.finish().unwrap();
    assert_eq!(length, u64::try_from(bytes.len()).unwrap());
    bytes
}

/// Reads a file, and what is behind it in the source.
fn source(bytes: &[u8], length: usize) -> Result<(Story, Vec<u8>), SnapshotError> {
    let length = u64::try_from(length).unwrap();
    let mut source = SnapshotSource::open(bytes, "a file", length)?;
    assert_eq!(source.cluster(), IDENTITY.cluster);
    let mut body = Vec::new();
    let mut piece = [0; 10_007];
    loop {
        match source.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => body.extend_from_slice(&piece[..count]),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                return Err(*error.into_inner().unwrap().downcast().unwrap());
            }
        }
    }
    assert_eq!(source.read(&mut piece).unwrap(), 0, "the end stays the end");
    let story = Story { point: source.point(), meta: source.meta().to_vec(), body };
    Ok((story, source.into_inner().to_vec()))
}

#[test]
fn a_sink_writes_what_a_writer_does_and_a_source_reads_it() {
    for body in [0, 1, PAYLOAD - 1, PAYLOAD, PAYLOAD + 1, 3 * PAYLOAD, 3 * PAYLOAD + 7] {
        let story = Story::new(9, body);
        let bytes = story.bytes();
        for piece in [PAYLOAD / 3, 2 * PAYLOAD + 1] {
            assert!(sink(&story, piece) == bytes, "{body} bytes in pieces of {piece}");
        }
        let followed = [&bytes[..], b"more"].concat();
        assert_eq!(source(&followed, bytes.len()).unwrap(), (story, b"more".to_vec()));
    }
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let story = Story::new(7, 40);
    let sound = story.bytes();
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        let error = source(&bytes, bytes.len()).unwrap_err();
        assert!(matches!(error, SnapshotError::Damaged { .. }), "byte {at}: {error}");
        let error = source(&sound[..at], sound.len()).unwrap_err().to_string();
        assert!(error.contains(&format!("offset {at} (the file ends early)")), "{error}");
    }
    for length in [sound.len() - 1, sound.len() + 1, 191, 0] {
        let error = source(&sound, length).unwrap_err();
        assert!(matches!(error, SnapshotError::Damaged { .. }), "length {length}: {error}");
    }
}

#[test]
fn a_later_version_is_told_from_damage() {
    let mut bytes = Story::new(7, 40).bytes();
    bytes[12] = 2;
    let crc = crc32c::crc32c(&bytes[12..128]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    let error = source(&bytes, bytes.len()).unwrap_err();
    assert!(matches!(error, SnapshotError::Newer { version: 2, .. }), "{error}");
}

#[test]
fn a_meta_part_that_is_too_long_is_refused() {
    let meta = vec![0; SNAPSHOT_META_BYTES_MAX + 1];
    let error = SnapshotSink::create(io::sink(), 1, Story::new(1, 0).point, &meta).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
