//! A running hash of what the sessions did, and the fingerprint of a request.
//!
//! Both are to notice accidents, not to withstand somebody who looks for collisions.

use quorate_raft::Index;

use super::envelope::Head;

/// The hash of a table to which nothing has happened.
pub(super) const EMPTY: u64 = SEEDS[0];

/// What a command of a session came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It was applied, and its reply counts so many bytes.
    Applied { bytes: u64 },
    /// It got the reply that was kept.
    Repeated,
    /// It was refused.
    Refused,
}

/// Takes in what happened to a command.
pub(super) fn step(hash: u64, at: Index, head: &Head, step: Step) -> u64 {
    let client = halves(head.client.value());
    let (kind, bytes) = match step {
        Step::Applied { bytes } => (1, bytes),
        Step::Repeated => (2, 0),
        Step::Refused => (3, 0),
    };
    let hash = fold(hash ^ client[0] ^ SEEDS[1], client[1] ^ SEEDS[2]);
    let hash = fold(hash ^ at.value() ^ SEEDS[3], head.sequence ^ SEEDS[4]);
    fold(hash ^ kind ^ SEEDS[5], bytes ^ head.acknowledged.rotate_left(32) ^ SEEDS[6])
}

/// Takes in that the session last used at `at` was forgotten.
pub(super) fn evicted(hash: u64, at: Index) -> u64 {
    fold(hash ^ SEEDS[7], at.value() ^ SEEDS[1])
}

/// One number for the table and the machine in it.
pub(super) fn both(table: u64, machine: u64) -> u64 {
    fold(table ^ SEEDS[2], machine ^ SEEDS[3])
}

/// A number in whose bits all bits of `number` have a say.
pub(super) fn spread(number: u128) -> u64 {
    let [low, high] = halves(number);
    fold(low ^ SEEDS[1], high ^ SEEDS[2])
}

/// What tells two requests of one sequence apart.
pub(super) fn fingerprint(body: &[u8]) -> u64 {
    let (blocks, rest) = body.as_chunks::<16>();
    let mut hash = SEEDS[0];
    let mut block = |bytes: &[u8; 16]| {
        let [left, right] = halves(u128::from_le_bytes(*bytes));
        hash = fold(hash ^ left, right ^ SEEDS[1]);
    };
    blocks.iter().for_each(&mut block);
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    block(&last);
    fold(hash ^ number(body.len()), SEEDS[2])
}

/// A length as a number.
pub(super) fn number(length: usize) -> u64 {
    u64::try_from(length).expect("a length fits")
}

fn halves(number: u128) -> [u64; 2] {
    let bytes = number.to_le_bytes();
    let (words, _) = bytes.as_chunks::<8>();
    [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]
}

/// Both halves of the product, one over the other.
fn fold(left: u64, right: u64) -> u64 {
    let (low, high) = left.carrying_mul(right, 0);
    low ^ high
}

/// The first bits of the fractions of the square roots of the primes from 23 on, made odd.
const SEEDS: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed9,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa5,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_the_length_count() {
        let mut seen = std::collections::BTreeSet::new();
        let mut body = [0x5a; 40];
        for length in 0..body.len() {
            assert!(seen.insert(fingerprint(&body[..length])));
        }
        for bit in 0..body.len() * 8 {
            body[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(fingerprint(&body)));
            body[bit / 8] ^= 1 << (bit % 8);
        }
        assert_ne!(fingerprint(b"a"), fingerprint(b"a\0"));
    }
}
