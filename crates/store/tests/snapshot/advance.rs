//! A store that goes on from a backup, at a later revision.

use quorate_store::Error;

use super::bytes::{bytes, restored, state};
use crate::bench::Bench;

fn story() -> Bench {
    let mut bench = Bench::with(&[("a", "1"), ("b", "1"), ("a", "2"), ("c", "1")]);
    bench.delete("b", "");
    bench
}

#[test]
fn what_lives_stays_as_it_was_and_what_is_past_is_compacted() {
    let mut bench = story();
    bench.store.advance(1_000).unwrap();
    let status = bench.store.status();
    assert_eq!((status.revision, status.compacted, status.keys), (1_006, 1_006, 2));
    let pair = bench.get("a").unwrap();
    assert_eq!((pair.create_revision, pair.mod_revision, pair.version), (2, 4, 2));
    assert_eq!(bench.get("b"), None);
    for revision in [2, 6, 1_005] {
        assert_eq!(bench.get_at("a", revision), Err(Error::Compacted));
    }
    assert_eq!(bench.get_at("a", 1_006).unwrap(), Some(pair));
    assert_eq!(bench.get_at("a", 1_007), Err(Error::FutureRevision));
    assert_eq!(bench.compact(1_006), Err(Error::Compacted));
    assert_eq!(bench.put("a", "3"), 1_007);
    assert_eq!(bench.get("a").unwrap().version, 3);
    assert_eq!(bench.compact(1_007), Ok(1_007));
    assert_eq!(bench.store.status().versions, 2, "nothing is left behind");
}

#[test]
fn members_that_are_moved_alike_are_equal() {
    let (mut one, mut other) = (story(), story());
    let before = one.store.state_hash();
    one.store.advance(7).unwrap();
    assert_ne!(one.store.state_hash(), before);
    assert_ne!(state(&one.store), state(&other.store));
    other.store.advance(7).unwrap();
    assert_eq!(state(&one.store), state(&other.store));
    other.store.advance(1).unwrap();
    assert_ne!(one.store.state_hash(), other.store.state_hash());
}

#[test]
fn a_store_that_was_moved_can_be_written_and_restored() {
    let mut bench = story();
    bench.store.advance(1_000_000_000).unwrap();
    let copy = restored(&bytes(&bench.store)).unwrap();
    assert_eq!(state(&copy), state(&bench.store));
    assert_eq!(copy.status().versions, 2, "only what lives");
    assert_eq!(copy.status().revision, 1_000_000_006);
}

#[test]
fn a_revision_is_not_moved_back_nor_beyond_what_a_snapshot_may_have() {
    let mut bench = story();
    let before = state(&bench.store);
    for by in [0, -1, i64::MIN, i64::MAX, 1 << 59] {
        let error = bench.store.advance(by).unwrap_err().to_string();
        let most = (1_i64 << 59) - 6;
        let expected =
            format!("revision 6 cannot be moved forward by {by}; take a number from 1 to {most}");
        assert_eq!(error, expected);
        assert_eq!(state(&bench.store), before);
    }
    bench.store.advance((1 << 59) - 6).unwrap();
    assert_eq!(restored(&bytes(&bench.store)).unwrap().status().revision, 1 << 59);
}
