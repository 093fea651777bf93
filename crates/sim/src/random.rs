//! The randomness of a run: one seed, many independent streams.
//!
//! Each use draws from a stream of its own, so that taking one fault out of a schedule leaves what
//! the others do as it was, as far as that can be. No floating point: the same numbers everywhere.

/// A stream of numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// One in a million, the unit of chances.
pub(crate) const MILLION: u32 = 1_000_000;

impl Random {
    /// The stream `stream` of `seed`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream)))
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`; 0 if that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let (_, high) = self.next().carrying_mul(bound, 0);
        high
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// A place in something of `length` places; 0 if it has none.
    ///
    /// # Panics
    /// Never: it is below a length.
    pub fn place(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).expect("lengths fit into 64 bits");
        usize::try_from(self.below(bound)).expect("it is below a length")
    }

    /// True with so many chances in a million.
    pub fn chance(&mut self, in_a_million: u32) -> bool {
        in_a_million > 0 && self.below(u64::from(MILLION)) < u64::from(in_a_million)
    }

    /// A waiting time that is distributed nearly exponentially around `mean`.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        // -log2 of a number in (0, 1]: the leading zeros, and the rest as if it were linear.
        let number = self.next() | 1;
        let zeros = number.leading_zeros();
        let rest = (number << zeros) >> 54;
        let log = (u64::from(zeros) << 9) + (1024 - rest);
        // ln 2 is 710 / 1024.
        mean.saturating_mul(log) / 512 * 710 / 1024
    }

    /// A number from `first` to `last` whose order of magnitude is drawn first.
    pub fn magnitude(&mut self, first: u64, last: u64) -> u64 {
        let doublings = (last / first.max(1)).max(1).ilog2();
        let low = first << self.below(u64::from(doublings) + 1);
        self.between(low.min(last), (low * 2).min(last))
    }
}

/// The finisher of SplitMix64: every bit of the input reaches every bit.
pub(crate) const fn mix(mut number: u64) -> u64 {
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times_have_their_mean_and_a_tail() {
        let mut random = Random::new(1, 1);
        let times: Vec<u64> = (0..100_000).map(|_| random.exponential(1000)).collect();
        let mean = times.iter().sum::<u64>() / 100_000;
        assert!((900..1150).contains(&mean), "{mean}");
        assert!(times.iter().filter(|time| **time > 3000).count() > 2000);
        assert!(times.iter().any(|time| *time < 50));
    }

    #[test]
    fn magnitudes_stay_in_their_range() {
        let mut random = Random::new(1, 2);
        let numbers: Vec<u64> = (0..10_000).map(|_| random.magnitude(100, 30_000)).collect();
        assert!(numbers.iter().all(|number| (100..=30_000).contains(number)));
        assert!(numbers.iter().filter(|number| **number < 1000).count() > 2000);
    }

    #[test]
    fn chances_are_what_they_say() {
        let mut random = Random::new(1, 3);
        let hits = (0..100_000).filter(|_| random.chance(MILLION / 10)).count();
        assert!((9500..10_500).contains(&hits), "{hits}");
        assert!(!random.chance(0));
    }

    #[test]
    fn streams_differ() {
        assert_ne!(Random::new(1, 1).next(), Random::new(1, 2).next());
        assert_ne!(Random::new(1, 1).next(), Random::new(2, 1).next());
    }
}
