//! The only randomness of the core: SplitMix64, seeded by the configuration.
//!
//! Good enough to keep election timeouts apart, and the same everywhere for the same seed, so that
//! a run is a seed and a list of inputs. Not for secrets.

use core::time::Duration;

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A generator whose numbers depend on `seed` alone.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration from `least` to `most`, both included. The slight preference of `%` for small
    /// numbers does not matter here.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let width = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
        let extra = self.next() % width.saturating_add(1).max(1);
        least.saturating_add(Duration::from_nanos(extra))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_cover_the_range_and_stay_within() {
        let (least, most) = (Duration::from_nanos(3), Duration::from_nanos(6));
        let mut rng = Rng::new(1);
        let mut seen = [0_u32; 8];
        for _ in 0..1_000 {
            let drawn = rng.between(least, most);
            seen[usize::try_from(drawn.as_nanos()).unwrap()] += 1;
        }
        assert_eq!([seen[0], seen[1], seen[2], seen[7]], [0; 4]);
        assert!(seen[3..=6].iter().all(|&count| 150 < count), "all alike: {seen:?}");
    }

    #[test]
    fn an_empty_range_gives_its_only_value() {
        let only = Duration::from_millis(5);
        assert_eq!(Rng::new(7).between(only, only), only);
    }
}
