//! A member's clock: it runs at a rate of its own, and may jump.

use std::time::Duration;

use quorate_raft::Instant;

/// From the time of the cluster to that of a member.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// When the rate was set, or the clock last jumped, by the time of the cluster.
    since: Instant,
    /// What this clock showed then.
    shown: Instant,
    /// By how much it advances while the cluster's time advances by 1000.
    rate: u128,
}

fn scaled(duration: Duration, by: u128, of: u128) -> Duration {
    let scaled = (duration.as_nanos() * by).div_ceil(of);
    Duration::from_nanos(u64::try_from(scaled).expect("runs of tests are short"))
}

impl Clock {
    /// A clock that shows the cluster's time.
    pub fn exact() -> Self {
        Self { since: Instant::default(), shown: Instant::default(), rate: 1000 }
    }

    /// What this clock shows.
    pub fn at(&self, now: Instant) -> Instant {
        self.shown.after(scaled(now.since(self.since), self.rate, 1000))
    }

    /// When this clock shows `shown`, at the earliest.
    pub fn when(&self, shown: Instant) -> Instant {
        self.since.after(scaled(shown.since(self.shown), 1000, self.rate))
    }

    /// From now on it runs at another rate.
    pub fn run_at(&mut self, now: Instant, rate: u64) {
        *self = Self { since: now, shown: self.at(now), rate: u128::from(rate) };
    }

    /// It jumps ahead.
    pub fn leap(&mut self, now: Instant, ahead: Duration) {
        *self = Self { since: now, shown: self.at(now).after(ahead), rate: self.rate };
    }

    /// It jumps back.
    pub fn fall(&mut self, now: Instant, back: Duration) {
        let shown = self.at(now).since_origin().saturating_sub(back);
        *self = Self { since: now, shown: Instant::new(shown), rate: self.rate };
    }
}
