//! Chance from a seed, and the name of a seed that fails.

use quorate_raft::NodeId;

/// SplitMix64, as in the core.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(sides).expect("few sides")).expect("few sides")
    }

    /// From 1 to `most`.
    pub fn count(&mut self, most: usize) -> u64 {
        u64::try_from(1 + self.roll(most)).expect("few sides")
    }

    pub fn pick(&mut self, ids: &[NodeId]) -> NodeId {
        ids[self.roll(ids.len())]
    }
}

/// Names the seed of a failing run.
pub struct Seed(pub u64);

impl Drop for Seed {
    #[expect(clippy::print_stderr, reason = "a failure names its seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing seed is {}", self.0);
        }
    }
}
