//! The clock of a member: what it takes for the time.
//!
//! The world's time passes evenly. A member's clock may run slow or fast, stop, and jump, also
//! backwards: the core must be safe whatever it is told.

use std::time::Duration;

use quorate_raft::Instant;

use crate::queue::Time;

/// A thousand thousandths: a clock that is right.
pub(crate) const RIGHT: u64 = 1000;

/// What a clock shows: `local` at the world's time `at`, and `rate` thousandths from there on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at: Time,
    local: Time,
    rate: u64,
    /// The latest that it ever showed.
    latest: Time,
}

impl Clock {
    pub(crate) const fn new() -> Self {
        // Far from zero, so that a jump backwards has somewhere to go.
        const START: Time = 400 * 24 * 3600 * 1_000_000;
        Self { at: 0, local: START, rate: RIGHT, latest: START }
    }

    fn show(&self, now: Time) -> Time {
        self.local + (now - self.at) * self.rate / RIGHT
    }

    /// What it shows.
    pub(crate) fn now(&self, now: Time) -> Instant {
        Instant::new(Duration::from_micros(self.show(now)))
    }

    /// When it will show `deadline`: at once if it has, never if it stands.
    pub(crate) fn when(&self, now: Time, deadline: Instant) -> Option<Time> {
        let deadline = u64::try_from(deadline.since_origin().as_nanos().div_ceil(1000)).ok()?;
        let left = deadline.saturating_sub(self.local);
        if self.show(now) >= deadline {
            return Some(now);
        }
        let wait = left.checked_mul(RIGHT)?.checked_add(self.rate.saturating_sub(1))?;
        Some(now.max(self.at.checked_add(wait.checked_div(self.rate)?)?))
    }

    /// Jumps; never before the beginning of time.
    pub(crate) fn jump(&mut self, now: Time, by: i64) {
        self.run_at(now, self.rate);
        self.local = self.local.saturating_add_signed(by);
        self.latest = self.latest.max(self.local);
    }

    /// Runs at another rate from now on.
    pub(crate) fn run_at(&mut self, now: Time, rate: u64) {
        self.local = self.show(now);
        self.latest = self.latest.max(self.local);
        self.at = now;
        self.rate = rate;
    }

    /// Is right again, and not before what it ever showed.
    pub(crate) fn heal(&mut self, now: Time) {
        self.run_at(now, RIGHT);
        self.local = self.latest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_when_the_clock_shows_it() {
        let mut clock = Clock::new();
        for rate in [500, 1000, 1999, 3] {
            clock.run_at(1_000_000, rate);
            let deadline = clock.now(1_000_000).after(Duration::from_millis(7));
            let at = clock.when(1_000_000, deadline).expect("the clock runs");
            assert!(clock.now(at) >= deadline, "{rate}");
            assert!(clock.now(at - 1) < deadline, "{rate}");
        }
    }

    #[test]
    fn a_clock_that_stands_keeps_nobody_waiting_but_its_own() {
        let mut clock = Clock::new();
        clock.run_at(50, 0);
        let shown = clock.now(50);
        assert_eq!(clock.now(9_999_999), shown);
        assert_eq!(clock.when(100, shown.after(Duration::from_micros(1))), None);
        assert_eq!(clock.when(100, shown), Some(100));
        assert_eq!(clock.when(100, Instant::NEVER), None);
    }

    #[test]
    fn a_healed_clock_shows_nothing_twice() {
        let mut clock = Clock::new();
        clock.jump(10, 5_000_000);
        let shown = clock.now(20);
        clock.jump(20, -9_000_000);
        assert!(clock.now(20) < shown);
        clock.heal(30);
        assert!(clock.now(30) >= shown);
    }
}
