//! Leases: reads that the leader confirms without a message (thesis 6.4.1), off by default.
//!
//! A lease is made of promises. A voter that answers a heartbeat says for how long it supports this
//! leader: so long, by its own clock and from the receipt on, it helps nobody else to be elected,
//! neither with a pre-vote nor with a vote, and does not stand for election itself. The leader
//! counts each promise from the moment when it *sent* the heartbeat answered, which was before the
//! receipt, and a little shorter, by the bound on the drift of clocks. While a quorum's promises
//! last, nobody else can have been elected, so the leader's commit index is the newest there is.
//!
//! What must hold:
//! - A heartbeat's answer names the moment when it was sent, a number of the leader that nobody
//!   else reads; no clock is ever compared with another's.
//! - A promise outlives role, term and connection, and a restart: a member that starts does not
//!   know what it has promised, and keeps the longest promise that it can have made.
//! - A leader that hands over gives its lease up before it says so to anybody, and has none for the
//!   rest of its term: the one who is to take over is excused from the promises, and may come late.
//! - Where time went back, what was measured across that moment counts for nothing.
//!
//! The one assumption is [`LeaseConfig::clock_drift_max`]; docs/raft.md derives the rest from it.

use core::time::Duration;

use crate::common::Core;
use crate::event::Refusal;
use crate::leader::Leader;
use crate::quorum;
use crate::ready::HardState;
use crate::types::{Instant, NodeId, Term};

/// How leases are used. All members of a cluster should have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseConfig {
    /// How long a leader's lease lasts, by its clock, from when the heartbeats were sent that a
    /// quorum answered.
    pub duration: Duration,
    /// How far one member's clock may run ahead of another's at most, in parts per thousand of
    /// `duration`: while one advances by `duration` or less, no other advances by more than so many
    /// thousandths of `duration` beyond that. A clock that jumps counts as one that runs.
    pub clock_drift_max: u32,
}

/// The largest drift that may be configured: one clock runs at twice the rate of the other.
pub(crate) const CLOCK_DRIFT_LIMIT: u32 = 1000;

impl LeaseConfig {
    /// For how long a voter promises its support, by its own clock: long enough to last `duration`
    /// by the slowest clock. Rounded up.
    #[must_use]
    pub fn support(&self) -> Duration {
        self.duration.saturating_add(self.drift())
    }

    /// For how long a leader may count on a promise, by its own clock: never more than `duration`,
    /// and less if the voter promised less than this member would.
    fn usable(&self, promised: Duration) -> Duration {
        self.duration.min(promised.saturating_sub(self.drift()))
    }

    /// How far the fastest clock gets ahead of the slowest. Rounded up.
    fn drift(&self) -> Duration {
        let drift = (self.duration.as_nanos() * u128::from(self.clock_drift_max)).div_ceil(1000);
        Duration::from_nanos(u64::try_from(drift).unwrap_or(u64::MAX))
    }
}

/// What this member owes to a leader. Never shortened; nothing shows it to be kept too long but
/// time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Promise {
    /// Who is excused from it: the leader itself, once it asks, leads no longer. `None` if nobody
    /// is known to be.
    to: Option<NodeId>,
    /// When it ends.
    pub(crate) until: Instant,
}

impl Promise {
    /// What a member owes when it starts: perhaps it made a promise at the last moment of its
    /// earlier life. One whose durable term is zero never answered anybody.
    pub(crate) fn at_start(
        lease: Option<&LeaseConfig>,
        hard_state: HardState,
        now: Instant,
    ) -> Self {
        match lease {
            Some(lease) if Term::ZERO < hard_state.term => {
                Self { to: None, until: now.after(lease.support()) }
            }
            Some(_) | None => Self::default(),
        }
    }
}

impl Core {
    /// Promises `leader` the support that its heartbeat asks for, and says for how long from now.
    pub(crate) fn promise_support(&mut self, leader: NodeId) -> Duration {
        let Some(lease) = &self.config.lease else { return Duration::ZERO };
        let support = lease.support();
        let until = self.promise.until.max(self.now.after(support));
        self.promise = Promise { to: Some(leader), until };
        support
    }

    /// Whether this member has promised not to stand for election now.
    pub(crate) fn is_promised(&self) -> bool {
        self.now < self.promise.until
    }

    /// Why `candidate` gets no vote and no pre-vote, if it is for a promise.
    pub(crate) fn refuse_for_promise(&self, candidate: NodeId) -> Option<Refusal> {
        let leader = self.promise.to;
        (self.is_promised() && leader != Some(candidate)).then_some(Refusal::Promised { leader })
    }

    /// When a member that waits for the end of its promise campaigns: soon after.
    pub(crate) fn draw_promise_over(&mut self) -> Instant {
        let delay = self.rng.between(Duration::ZERO, self.config.heartbeat_interval);
        self.promise.until.max(self.now).after(delay)
    }

    /// The time that an input brought. One that is earlier than the last shows a clock that cannot
    /// be trusted: until it has caught up, time stands still here, and what is measured from before
    /// that moment would seem shorter than it is.
    pub(crate) fn advance(&mut self, now: Instant) {
        if now < self.now {
            self.time_fell_at = Some(self.now);
        }
        self.now = self.now.max(now);
    }
}

/// What a leader knows of one peer's promises.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Support {
    /// When the newest heartbeat left that the peer answered.
    sent_at: Instant,
    /// Until when the peer supports this leader, by this leader's clock.
    until: Instant,
}

/// Whether a leader may use leases in its term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeaseUse {
    /// As long as a quorum's promises last.
    Allowed,
    /// Never again in this term: it told another to take over, or may have.
    GivenUp,
}

impl Support {
    /// The peer answered the heartbeat that left at `sent_at`.
    pub(crate) fn on_promised(&mut self, core: &Core, sent_at: Instant, promised: Duration) {
        let Some(lease) = &core.config.lease else { return };
        if self.sent_at <= sent_at {
            self.sent_at = sent_at;
            self.until = sent_at.after(lease.usable(promised));
        }
    }

    /// Until when the peer supports this leader: not at all, if time went back since.
    fn until(&self, core: &Core) -> Instant {
        match core.time_fell_at {
            Some(fell_at) if self.sent_at <= fell_at => Instant::default(),
            Some(_) | None => self.until,
        }
    }
}

impl Leader {
    /// Whether a quorum, this member included, supports nobody else now.
    pub(crate) fn has_lease(&self, core: &Core) -> bool {
        if core.config.lease.is_none() || self.lease_use == LeaseUse::GivenUp {
            return false;
        }
        let until = quorum::reached(core.membership(), |id| match self.place(id) {
            Some(place) => self.peers[place].support.until(core),
            None if id == core.id() => Instant::NEVER,
            None => Instant::default(),
        });
        until.is_some_and(|until| core.now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_lasts_for_the_lease_by_the_slowest_clock() {
        for (duration, drift, support) in [(800, 100, 880), (1, 0, 1), (900, 1000, 1800)] {
            let lease =
                LeaseConfig { duration: Duration::from_millis(duration), clock_drift_max: drift };
            assert_eq!(lease.support(), Duration::from_millis(support));
            assert_eq!(lease.usable(lease.support()), lease.duration);
        }
        let odd = LeaseConfig { duration: Duration::from_nanos(3), clock_drift_max: 1 };
        assert_eq!(odd.support(), Duration::from_nanos(4), "rounded in the voter's disfavour");
        assert_eq!(odd.usable(Duration::from_nanos(3)), Duration::from_nanos(2));
    }

    #[test]
    fn a_leader_counts_on_no_more_than_was_promised_nor_on_more_than_its_own_duration() {
        let lease = LeaseConfig { duration: Duration::from_millis(800), clock_drift_max: 100 };
        assert_eq!(lease.usable(Duration::ZERO), Duration::ZERO);
        assert_eq!(lease.usable(Duration::from_millis(440)), Duration::from_millis(360));
        assert_eq!(lease.usable(Duration::from_millis(79)), Duration::ZERO);
        assert_eq!(lease.usable(Duration::MAX), lease.duration);
    }
}
