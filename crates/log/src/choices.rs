//! What a crash takes and leaves: all possibilities in turn, or some by a seed.

/// Answers questions of the kind "which of these n?", for [`crate::MemDisk::crash`].
#[derive(Clone, Debug)]
pub struct Choices {
    source: Source,
    /// The answers given so far, each with the number of possibilities.
    given: Vec<(usize, usize)>,
    /// How many of `given` belong to the current round.
    at: usize,
}

#[derive(Clone, Debug)]
enum Source {
    First,
    Last,
    /// The state of a generator, and how many in 256 answers are the first, or the last.
    Random {
        state: u64,
        first: u64,
        last: u64,
    },
}

impl Choices {
    /// Always the first possibility: a crash loses whatever was not synced. [`Self::advance`] goes
    /// through all the others.
    #[must_use]
    pub const fn first() -> Self {
        Self { source: Source::First, given: Vec::new(), at: 0 }
    }

    /// Always the last possibility: a crash loses nothing.
    #[must_use]
    pub const fn last() -> Self {
        Self { source: Source::Last, given: Vec::new(), at: 0 }
    }

    /// At random. A third of the seeds prefer the first possibility, a third the last.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        let (first, last) = match seed % 3 {
            0 => (0, 0),
            1 => (160, 16),
            _ => (16, 160),
        };
        Self { source: Source::Random { state: seed, first, last }, given: Vec::new(), at: 0 }
    }

    /// One of `0..possibilities`.
    pub fn pick(&mut self, possibilities: usize) -> usize {
        assert!(possibilities > 0, "there is nothing to choose from");
        let answer = match self.given.get(self.at) {
            Some(&(answer, before)) => {
                assert_eq!(before, possibilities, "the same questions lead to the same answers");
                answer
            }
            None => {
                let answer = self.fresh(possibilities);
                self.given.push((answer, possibilities));
                answer
            }
        };
        self.at += 1;
        answer
    }

    /// Begins the next round: the same questions, with answers not given in this order before.
    /// False once every combination was given. Meant for [`Self::first`].
    pub fn advance(&mut self) -> bool {
        self.given.truncate(self.at);
        self.at = 0;
        while let Some((answer, possibilities)) = self.given.pop() {
            if answer + 1 < possibilities {
                self.given.push((answer + 1, possibilities));
                return true;
            }
        }
        false
    }

    fn fresh(&mut self, possibilities: usize) -> usize {
        match &mut self.source {
            Source::First => 0,
            Source::Last => possibilities - 1,
            Source::Random { state, first, last } => {
                let number = random(state);
                let bias = number & 0xff;
                if bias < *first {
                    0
                } else if bias < *first + *last {
                    possibilities - 1
                } else {
                    let range = crate::number::wide(possibilities);
                    crate::number::narrow((number >> 8) % range)
                }
            }
        }
    }
}

/// The next number of the generator SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut number = *state;
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
