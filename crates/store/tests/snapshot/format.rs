//! The bytes, one by one: a later version has to read them.

use quorate_store::RestoreError;

use super::bytes::{bytes, restored, state};
use crate::bench::Bench;

#[test]
fn every_byte_is_as_described() {
    let mut bench = Bench::with(&[("a", "1"), ("a", "2"), ("bb", "x"), ("a", "3")]);
    bench.delete("bb", "");
    bench.put("bb", "");
    bench.compact(3).unwrap();
    let hash = bench.store.state_hash().to_le_bytes();
    let head: &[&[u8]] = &[
        b"quorst\r\n",
        &[1, 0, 0, 0],
        &[7, 0, 0, 0, 0, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &hash,
    ];
    let body: &[&[u8]] = &[
        // Two versions of a: at 3, its second since revision 2; and two revisions later.
        &[2, 1, b'a'],
        &[3 << 1, 0, 1, 1, 0, 1, b'2'],
        &[2 << 1, 0, 0, 1, b'3'],
        // Three of bb: at 4, its first; removed two revisions later; and set anew.
        &[3, 2, b'b', b'b'],
        &[4 << 1, 0, 0, 0, 1, b'x'],
        &[2 << 1 | 1, 0],
        &[1 << 1, 0, 0, 0],
        // Two keys, five versions, two live keys.
        &[0, 2, 5, 2],
    ];
    assert_eq!(bytes(&bench.store), [head.concat(), body.concat()].concat());
}

/// This is version 1, for ever.
#[test]
fn bytes_of_the_first_version_are_read() {
    let bytes = b"quorst\r\n\x01\0\0\0\x03\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
        \x01\x02\x03\x04\x05\x06\x07\x08\x02\x03key\x04\0\0\0\x05value\x02\0\0\0\0\x01\x02\x01";
    let store = restored(bytes).unwrap();
    assert_eq!(store.state_hash(), 0x0807_0605_0403_0201);
    let status = store.status();
    assert_eq!((status.revision, status.compacted), (3, -1));
    let (_, _, history) = state(&store);
    let first = &history[2].as_ref().unwrap().kvs[0];
    assert_eq!((&first.key[..], &first.value[..]), (&b"key"[..], &b"value"[..]));
    assert!(history[3].as_ref().unwrap().kvs[0].value.is_empty());
}

#[test]
fn a_later_version_is_told_whatever_follows() {
    let mut later = bytes(&Bench::with(&[("a", "1")]).store);
    later[8..12].copy_from_slice(&7_u32.to_le_bytes());
    for length in [12, 20, later.len()] {
        let error = restored(&later[..length]).unwrap_err();
        assert!(matches!(error, RestoreError::Newer { found: 7, known: 1 }), "{error:?}");
        let expected = "the snapshot has format 7, known is 1: start a later version of quorate";
        assert_eq!(error.to_string(), expected);
    }
}
