//! Faults that wait for their moment: who they strike is known only when it comes.
//!
//! A crash at a random time seldom falls between a vote and its sync, or between the election of a
//! leader and its first commit. These faults wait for just that.

use crate::fault::What;
use crate::marks::Mark;
use crate::member::Crash;
use crate::queue::Time;
use crate::random::Random;
use crate::workload::Workload;
use crate::world::World;

/// The faults that wait.
#[derive(Debug, Default)]
pub(crate) struct Ambush {
    /// The fault that strikes leaders, and how many it has struck.
    pub(crate) elected: Option<(usize, u32)>,
    /// The fault that strikes voters, and until when.
    pub(crate) voters: Option<(usize, Time)>,
    /// The faults that hold leaders cut off, and which.
    pub(crate) cut: Vec<(usize, usize)>,
}

impl<W: Workload> World<W> {
    /// The leader of the highest term.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leaders = (0..self.members.len()).filter(|member| self.members[*member].is_leader());
        leaders.max_by_key(|member| self.watch.seen[*member].term)
    }

    /// A member was elected.
    pub(crate) fn on_elected(&mut self, member: usize) {
        let Some((number, struck)) = self.ambush.elected else { return };
        let What::CrashElected { times, steps, down, salt } = self.schedule.faults[number].what
        else {
            return;
        };
        if self.healing.is_some() || struck == times {
            self.ambush.elected = None;
            return;
        }
        self.ambush.elected = Some((number, struck + 1));
        let mut random = Random::new(u64::from(salt) << 32 | u64::from(struck), 8);
        let steps = u32::try_from(random.below(u64::from(steps) + 1)).expect("it is below 32 bits");
        let salt = salt.wrapping_add(struck);
        let crash = Crash { steps, down: random.between(1, down.max(1)), salt };
        self.members[member].crash_in.get_or_insert(crash);
    }

    /// A member's vote has left it, for itself or another.
    pub(crate) fn on_voted(&mut self, member: usize) {
        let Some((number, until)) = self.ambush.voters else { return };
        if self.healing.is_some() || until < self.now {
            self.ambush.voters = None;
        } else if self.random.below(2) == 0 {
            self.marks.hit(Mark::CrashedVoter);
            self.spring(number, member);
        }
    }

    /// A member's disk is given a new term and entries with it.
    pub(crate) fn on_new_term(&mut self, member: usize) {
        if let Some((number, until)) = self.ambush.voters
            && self.healing.is_none()
            && self.now <= until
            && self.random.below(2) == 0
        {
            self.spring(number, member);
        }
    }

    /// A member dies at its next step.
    pub(crate) fn spring(&mut self, number: usize, member: usize) {
        let What::CrashVoters { down, salt, .. } = self.schedule.faults[number].what else {
            return;
        };
        let down = self.random.between(1, down.max(1));
        let salt = salt.wrapping_add(self.members[member].life);
        self.members[member].crash_in.get_or_insert(Crash { steps: 0, down, salt });
    }

    /// A leader that was cut off is back with what it took in meanwhile: whoever leads now often
    /// crashes, so that the two logs meet in an election.
    pub(crate) fn strike_successor(&mut self, leader: usize) {
        let Some(successor) = self.leader().filter(|successor| *successor != leader) else {
            return;
        };
        if self.random.below(2) == 0 {
            let down = self.random.between(1, 4 * self.schedule.settings.election_timeout);
            let salt = u32::try_from(self.random.below(1 << 32)).expect("32 bits");
            self.crash(successor, Crash { steps: 0, down, salt });
        }
    }

    /// A leader hears nobody, is heard by nobody, or both. What is held back until a time instead
    /// of being cut off reaches it then, when it is no longer true.
    pub(crate) fn cut_leader(
        &mut self,
        leader: usize,
        deaf: bool,
        dumb: bool,
        held_until: Option<Time>,
    ) {
        for other in (0..self.members.len()).filter(|other| *other != leader) {
            if let Some(until) = held_until {
                self.network.clog(other, leader, until);
            } else if deaf {
                self.network.cut(other, leader);
            }
            if dumb {
                self.network.cut(leader, other);
            }
        }
    }

    pub(crate) fn mend_leader(&mut self, leader: usize, deaf: bool, dumb: bool) {
        for other in (0..self.members.len()).filter(|other| *other != leader) {
            if deaf {
                self.network.mend(other, leader);
            }
            if dumb {
                self.network.mend(leader, other);
            }
        }
    }
}
