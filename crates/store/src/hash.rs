//! A running hash of everything that was applied.
//!
//! Members compare it at equal places of the log: unequal hashes say that their states have parted.
//! It is a chain, so it covers the order of changes too. It is meant to notice accidents, not to
//! withstand somebody who looks for collisions.

/// The hash of all changes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StateHash(u64);

impl StateHash {
    /// The hash of an empty store.
    pub(crate) fn new() -> Self {
        Self(SEEDS[0])
    }

    /// Goes on from a hash that [`value`](Self::value) gave.
    pub(crate) fn from_value(value: u64) -> Self {
        Self(value)
    }

    /// The hash as a number.
    pub(crate) fn value(self) -> u64 {
        self.0
    }

    /// Takes in that `key` was set.
    pub(crate) fn set(&mut self, place: (i64, i64), key: &[u8], value: &[u8], lease: i64) {
        self.number(KIND_SET, place.0);
        self.number(place.1.cast_unsigned(), lease);
        self.bytes(key);
        self.bytes(value);
    }

    /// Takes in that `key` was removed.
    pub(crate) fn remove(&mut self, place: (i64, i64), key: &[u8]) {
        self.number(KIND_REMOVE, place.0);
        self.number(place.1.cast_unsigned(), 0);
        self.bytes(key);
    }

    /// Takes in that history before `revision` was forgotten.
    pub(crate) fn compact(&mut self, revision: i64) {
        self.number(KIND_COMPACT, revision);
    }

    /// Takes in that the revision was moved to `revision` without a change.
    pub(crate) fn advance(&mut self, revision: i64) {
        self.number(KIND_ADVANCE, revision);
    }

    /// Takes in what a version has besides what [`set`](Self::set) takes.
    pub(crate) fn life(&mut self, create_revision: i64, version: i64) {
        self.number(create_revision.cast_unsigned(), version);
    }

    fn number(&mut self, first: u64, second: i64) {
        self.0 = fold(self.0 ^ first ^ SEEDS[1], second.cast_unsigned() ^ SEEDS[2]);
    }

    /// Takes in the bytes and their number, so that neighbours cannot trade bytes. Two lanes, since
    /// one multiplication need not wait for the other.
    fn bytes(&mut self, bytes: &[u8]) {
        let (blocks, rest) = bytes.as_chunks::<32>();
        let (mut left, mut right) = (self.0 ^ SEEDS[3], self.0.rotate_left(32) ^ SEEDS[4]);
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            let word = |at: usize| u64::from_le_bytes(words[at]);
            left = fold(left ^ word(0), word(1) ^ SEEDS[5]);
            right = fold(right ^ word(2), word(3) ^ SEEDS[6]);
        }
        let mut last = [0; 32];
        last[..rest.len()].copy_from_slice(rest);
        let (words, _) = last.as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]);
        left = fold(left ^ word(0), word(1) ^ SEEDS[5]);
        right = fold(right ^ word(2), word(3) ^ SEEDS[6]);
        let length = u64::try_from(bytes.len()).expect("a length fits");
        self.0 = fold(left ^ length, right ^ SEEDS[7]);
    }
}

/// Both halves of the product, one over the other: every bit of either factor reaches every bit.
fn fold(left: u64, right: u64) -> u64 {
    let (low, high) = left.carrying_mul(right, 0);
    low ^ high
}

const KIND_SET: u64 = 1;
const KIND_REMOVE: u64 = 2;
const KIND_COMPACT: u64 = 3;
const KIND_ADVANCE: u64 = 4;

/// The first bits of the fractions of the square roots of 2, 3, 5, 7, 11, 13, 17 and 19, made odd.
const SEEDS: [u64; 8] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn after(change: impl FnOnce(&mut StateHash)) -> u64 {
        let mut hash = StateHash::new();
        change(&mut hash);
        hash.value()
    }

    #[test]
    fn every_part_of_a_change_counts() {
        let hashes = [
            after(|_| ()),
            after(|hash| hash.set((2, 0), b"key", b"value", 0)),
            after(|hash| hash.set((3, 0), b"key", b"value", 0)),
            after(|hash| hash.set((2, 1), b"key", b"value", 0)),
            after(|hash| hash.set((2, 0), b"kex", b"value", 0)),
            after(|hash| hash.set((2, 0), b"key", b"valuf", 0)),
            after(|hash| hash.set((2, 0), b"keyv", b"alue", 0)),
            after(|hash| hash.set((2, 0), b"key", b"value\0", 0)),
            after(|hash| hash.set((2, 0), b"key", b"value", 1)),
            after(|hash| hash.set((2, 0), b"key", b"", 0)),
            after(|hash| hash.remove((2, 0), b"key")),
            after(|hash| hash.compact(2)),
            after(|hash| hash.compact(3)),
            after(|hash| hash.advance(2)),
            after(|hash| hash.advance(3)),
        ];
        assert_eq!(BTreeSet::from(hashes).len(), hashes.len());
    }

    #[test]
    fn every_bit_of_a_long_value_counts() {
        let mut hashes = BTreeSet::new();
        let mut value = [0xa5; 100];
        for bit in 0..value.len() * 8 {
            value[bit / 8] ^= 1 << (bit % 8);
            assert!(hashes.insert(after(|hash| hash.set((2, 0), b"key", &value, 0))));
            value[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn the_order_of_changes_counts() {
        let one = after(|hash| {
            hash.compact(1);
            hash.compact(2);
        });
        let other = after(|hash| {
            hash.compact(2);
            hash.compact(1);
        });
        assert_ne!(one, other);
    }
}
