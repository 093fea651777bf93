//! Reads of a bounded age: how fresh the state machine here is known to be, without asking anybody.
//!
//! *The rule.* When this member asks for a linearizable read, it notes the moment, by its own
//! clock. Once that read may be served, the state here is as fresh as that moment, and stays so. A
//! read that allows a staleness of `s` is served at once, without a message, if that moment is at
//! most `s` ago. Else it becomes a linearizable read itself, and so the next reads find a newer
//! moment: whatever the load, a member asks about once in `s`.
//!
//! *What is promised:* the answer shows everything that was acknowledged, by any member, up to `s`
//! before the read came here.
//!
//! *Why it holds.* Let a ticket be asked for at the moment `a`. It is confirmed at an index that
//! covers all that was acknowledged before `a` (thesis 6.4: the leader takes its commit index after
//! the request was made, hence after `a`, and then shows that it still led). The ticket is released
//! when that index is applied here; what is applied never goes away. So from then on the state
//! covers all that was acknowledged before `a`. A read that comes at `t`, with `t - a <= s`, thus
//! sees all that was acknowledged before `t - s`. Both `a` and `t` are read from one clock, that of
//! this member, within one life; other clocks do not matter, nor how long messages took.
//!
//! What must hold in the shell: `now` is read from the clock once the read is there, as for
//! [`crate::Replica::read`]. An `a` that is too early does no harm; a `t` that is too early does.
//!
//! Left out: freshness learned from heartbeats. They do not say that their sender still leads.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_raft::{Instant, ReadTicket};

/// How many tickets are noted at most. Without a leader they pile up, and only the newest of them
/// is worth much.
const NOTED_MAX: usize = 64;

/// How a read of a bounded age goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The state machine is fresh enough as it is.
    Fresh,
    /// It is served with this ticket, as any linearizable read.
    Ticket(ReadTicket),
}

/// What is known about the age of the state here.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fresh {
    /// The tickets that were asked for and not released, with the moment of each; rising in both.
    asked: VecDeque<(ReadTicket, Instant)>,
    /// The state covers all that was acknowledged before this moment.
    since: Option<Instant>,
}

impl Fresh {
    /// A ticket was asked for.
    pub(crate) fn on_asked(&mut self, ticket: ReadTicket, now: Instant) {
        if self.asked.len() == NOTED_MAX {
            // Instead of the last one: the newest ticket is the one that a leader is asked for.
            self.asked.pop_back();
        }
        self.asked.push_back((ticket, now));
    }

    /// The reads up to `ticket` may be served.
    pub(crate) fn on_released(&mut self, ticket: ReadTicket) {
        while let Some((_, at)) = self.asked.pop_front_if(|(asked, _)| *asked <= ticket) {
            self.since = self.since.max(Some(at));
        }
    }

    /// Whether the state covers all that was acknowledged up to `staleness` before `now`. A clock
    /// that went back shows nothing.
    pub(crate) fn is_within(&self, now: Instant, staleness: Duration) -> bool {
        self.since.is_some_and(|since| since <= now && now.since(since) <= staleness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::new(Duration::from_millis(milliseconds))
    }

    fn within(fresh: &Fresh, now: u64, staleness: u64) -> bool {
        fresh.is_within(at(now), Duration::from_millis(staleness))
    }

    #[test]
    fn the_age_counts_from_the_asking_and_not_from_the_answer() {
        let mut fresh = Fresh::default();
        assert!(!within(&fresh, 0, 1_000_000), "nothing is known yet");
        fresh.on_asked(ReadTicket(1), at(100));
        assert!(!within(&fresh, 100, 1_000_000), "it was not answered");
        fresh.on_asked(ReadTicket(2), at(200));
        fresh.on_released(ReadTicket(1));
        assert!(within(&fresh, 300, 200), "the first was asked for 200 ms ago");
        assert!(!within(&fresh, 301, 200));
        fresh.on_released(ReadTicket(2));
        assert!(within(&fresh, 400, 200));
    }

    #[test]
    fn a_clock_that_went_back_shows_nothing() {
        let mut fresh = Fresh::default();
        fresh.on_asked(ReadTicket(1), at(100));
        fresh.on_released(ReadTicket(1));
        assert!(!within(&fresh, 99, 1_000));
    }

    #[test]
    fn tickets_that_pile_up_take_bounded_room_and_lose_no_moment_that_counts() {
        let mut fresh = Fresh::default();
        for ticket in 1..=1_000 {
            fresh.on_asked(ReadTicket(ticket), at(ticket));
        }
        assert_eq!(fresh.asked.len(), NOTED_MAX);
        fresh.on_released(ReadTicket(999));
        assert!(within(&fresh, 63, 0) && !within(&fresh, 64, 0), "older than it is, never fresher");
        fresh.on_released(ReadTicket(1_000));
        assert!(within(&fresh, 1_000, 0));
    }
}
