//! Blocks: what was built is what is read, and no bytes make the parser panic.

use bytes::Bytes;
use proptest::prelude::*;
use quorate_log::{Block, BlockBuilder, EntryKind, Malformed};
use quorate_raft::{EntryId, Index, Term};

type Plain = (EntryKind, u64, u64, Vec<u8>);

fn entries() -> impl Strategy<Value = Vec<Plain>> {
    let kind = prop_oneof![
        Just(EntryKind::NoOp),
        Just(EntryKind::Command),
        Just(EntryKind::Membership),
        Just(EntryKind::Check)
    ];
    let body = prop::collection::vec(any::<u8>(), 0..40);
    prop::collection::vec((kind, any::<u64>(), any::<u64>(), body), 1..20)
}

fn build(entries: &[Plain], first: u64, term: u64) -> Block {
    let mut builder = BlockBuilder::new();
    for (kind, origin, sequence, body) in entries {
        builder.push(*kind, *origin, *sequence, body);
    }
    assert_eq!(u64::from(builder.count()), count(entries));
    builder.finish(Index::new(first), Term::new(term))
}

fn count<T>(entries: &[T]) -> u64 {
    u64::try_from(entries.len()).unwrap()
}

fn plain(block: &Block) -> Vec<Plain> {
    block.entries().map(|e| (e.kind, e.origin, e.sequence, e.body.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_block_holds_what_was_pushed(entries in entries(), first in 1..1000_u64, term in 1..9_u64) {
        let block = build(&entries, first, term);
        prop_assert_eq!(plain(&block), entries.clone());
        let bytes = block.bytes().clone();
        let parsed = Block::parse(block.first(), block.term(), block.count(), bytes);
        prop_assert_eq!(parsed, Ok(block.clone()));
        let last = Index::new(first + count(&entries) - 1);
        prop_assert_eq!(block.last(), EntryId::new(Term::new(term), last));
        for (at, entry) in (first..).zip(block.entries()) {
            prop_assert_eq!(entry.id, EntryId::new(Term::new(term), Index::new(at)));
        }
    }

    #[test]
    fn a_slice_is_that_part(
        entries in entries(),
        cut in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let block = build(&entries, 5, 2);
        let from = cut.0.index(entries.len());
        let to = from + 1 + cut.1.index(entries.len() - from);
        let (first, next) = (u64::try_from(5 + from).unwrap(), u64::try_from(5 + to).unwrap());
        let slice = block.slice(Index::new(first), Index::new(next));
        prop_assert_eq!(slice, build(&entries[from..to], first, 2));
    }

    #[test]
    fn a_prefix_is_the_longest_that_fits(entries in entries(), bytes_max in 0..900_u64) {
        let block = build(&entries, 1, 1);
        let (fitting, bytes) = block.prefix(bytes_max);
        prop_assert!(fitting >= 1);
        prop_assert!(bytes <= bytes_max || fitting == 1);
        let next = Index::new(u64::from(fitting) + 1);
        prop_assert_eq!(block.slice(Index::new(1), next).bytes_len(), bytes);
        if fitting < block.count() {
            let more = block.slice(Index::new(1), next.next());
            prop_assert!(more.bytes_len() > bytes_max);
        }
    }

    #[test]
    fn parsing_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        first in any::<u64>(),
        count in any::<u32>(),
    ) {
        if let Ok(block) = Block::parse(Index::new(first), Term::new(1), count, bytes.into()) {
            prop_assert_eq!(block.entries().count(), usize::try_from(count).unwrap());
        }
    }

    #[test]
    fn a_changed_byte_or_count_never_panics(
        entries in entries(),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        more in 0..3_u32,
    ) {
        let block = build(&entries, 1, 1);
        let mut bytes = block.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let length = bytes.len();
        let count = block.count() - 1 + more;
        if let Ok(block) = Block::parse(Index::new(1), Term::new(1), count, bytes.into()) {
            prop_assert_eq!(block.entries().count(), usize::try_from(count).unwrap());
            let whole: usize = block.entries().map(|e| e.body.len() + 21).sum();
            prop_assert_eq!(whole, length);
        }
    }
}

#[test]
fn malformed_blocks_are_told_apart() {
    let block = build(&[(EntryKind::Command, 1, 2, vec![3])], 1, 1);
    let parse = |first, count, bytes: Vec<u8>| {
        Block::parse(Index::new(first), Term::new(1), count, Bytes::from(bytes)).unwrap_err()
    };
    let bytes = block.bytes().to_vec();
    assert_eq!(parse(1, 0, Vec::new()), Malformed::Empty);
    assert_eq!(parse(u64::MAX, 1, bytes.clone()), Malformed::IndexOverflow);
    assert_eq!(parse(1, 2, bytes.clone()), Malformed::Framing { entry: 1 });
    assert_eq!(parse(1, 1, [&bytes[..], &[0]].concat()), Malformed::Framing { entry: 0 });
    let mut unknown = bytes;
    unknown[4] = 4;
    assert_eq!(parse(1, 1, unknown), Malformed::UnknownKind { entry: 0, kind: 4 });
}

#[test]
fn a_forwarded_block_takes_its_place_from_the_leader() {
    let entries =
        [(EntryKind::Command, 7, 1, b"a".to_vec()), (EntryKind::Command, 7, 2, Vec::new())];
    assert_eq!(build(&entries, 1, 1).at(Index::new(40), Term::new(8)), build(&entries, 40, 8));
}

#[test]
fn the_encoding_is_the_documented_one() {
    let block = build(&[(EntryKind::Membership, 0x0102, 3, b"xy".to_vec())], 1, 1);
    let expected =
        [&[19, 0, 0, 0, 2][..], &[2, 1, 0, 0, 0, 0, 0, 0], &[3, 0, 0, 0, 0, 0, 0, 0], b"xy"];
    assert_eq!(block.bytes()[..], expected.concat());
    let kinds = [EntryKind::NoOp, EntryKind::Command, EntryKind::Membership, EntryKind::Check];
    for (code, kind) in kinds.into_iter().enumerate() {
        let block = build(&[(kind, 0, 0, Vec::new())], 1, 1);
        assert_eq!(usize::from(block.bytes()[4]), code, "{kind:?}");
    }
}
