//! The end of a run: a quorum is healed, all other faults stay as they are, and everything must
//! come right.
//!
//! Safety is looked after all the time; this is for liveness. A random majority of the members
//! whose disks kept what was synced gets sound disks, right clocks and open links among each other.
//! The others stay as they are: down, standing still, cut off, or talking nonsense. Then there must
//! be a leader within ten election timeouts, writes must be served, and the quorum must come to the
//! same state within a minute.

use quorate_raft::NodeId;
use quorate_replica::StateMachine;

use crate::marks::Mark;
use crate::member::Fitness;
use crate::queue::Time;
use crate::real_time;
use crate::replay::Replay;
use crate::violation::{Checker, demand, violated};
use crate::workload::{History, Operation, Outcome, Request, Workload};
use crate::world::{Event, World};

/// How long the quorum has to come to the same state.
const CONVERGENCE_MAX: Time = 60_000_000;

/// How many of the longest election timeouts it has to elect a leader.
const ELECTION_TIMEOUTS_MAX: Time = 10;

/// Writes that must be served before the clients are told to stop.
const WRITES_MIN: u64 = 3;

/// The healing, once it has begun.
#[derive(Debug)]
pub(crate) struct Healing {
    members: Vec<usize>,
    since: Time,
    /// When there was a leader, and how many writes had been answered by then.
    led: Option<(Time, u64)>,
}

impl<W: Workload> World<W> {
    /// The faults are over for a random quorum.
    pub(crate) fn heal(&mut self) {
        let members = self.choose_quorum();
        if members.len() < self.members.len() {
            self.marks.hit(Mark::HealedMinority);
        }
        if self.agreed_leader(&members).is_none() {
            self.marks.hit(Mark::HealedWithoutLeader);
        }
        self.network.heal(&members);
        self.keep_out(&members);
        self.clients.stay_with(&members);
        for member in &members {
            self.heal_member(*member);
        }
        // Connections may have been there all the time: then nobody is told of one, and everything
        // must come right by itself.
        let is_announced = self.random.below(2) == 0;
        for one in members.iter().filter(|_| is_announced) {
            for other in members.iter().filter(|other| *other != one) {
                let at = self.now + self.network.latency() * 2;
                let life = self.members[*one].life;
                self.queue.push(at, Event::Connected { member: *one, peer: *other, life });
            }
        }
        self.healing = Some(Healing { members, since: self.now, led: None });
        self.queue.push(self.now, Event::CheckHealing);
    }

    /// A majority of those whose disks can be relied on, and sometimes more.
    fn choose_quorum(&mut self) -> Vec<usize> {
        let quorum = self.members.len() / 2 + 1;
        let mut sound: Vec<usize> = (0..self.members.len())
            .filter(|member| self.members[*member].fitness == Fitness::Sound)
            .collect();
        demand!(
            sound.len() >= quorum,
            Liveness,
            "only {} of {} members are left, by the schedule's own faults",
            sound.len(),
            self.members.len()
        );
        let extra = self.random.place(sound.len() - quorum + 1);
        while sound.len() > quorum + extra {
            let place = self.random.place(sound.len());
            sound.remove(place);
        }
        sound
    }

    /// The members that were not healed are not heard any more, or hear nothing, or both. A leader
    /// among them whose links, disk or clock are bad, but not bad enough to depose it, would serve
    /// a majority for ever as badly as it does: that is how Raft is, and not what is looked at
    /// here.
    fn keep_out(&mut self, members: &[usize]) {
        for outsider in (0..self.members.len()).filter(|member| !members.contains(member)) {
            let (is_deaf, is_dumb) = match self.random.below(3) {
                0 => (true, true),
                1 => (true, false),
                _ => (false, true),
            };
            for member in members {
                if is_deaf {
                    self.network.cut(*member, outsider);
                }
                if is_dumb {
                    self.network.cut(outsider, *member);
                }
            }
        }
    }

    fn heal_member(&mut self, member: usize) {
        let (now, latency) = (self.now, self.schedule.settings.disk);
        let here = &mut self.members[member];
        here.disk.recover();
        here.disk_factor = 1;
        here.space = None;
        here.fails_next = None;
        here.crash_in = None;
        here.clock.heal(now);
        here.paused_until = 0;
        here.down_until = 0;
        if let Some(job) = &here.job {
            let number = job.number;
            self.queue.push(now + latency, Event::Synced { member, number });
        }
        for job in &here.shelf {
            let number = job.number;
            self.queue.push(now + latency, Event::SnapshotDone { member, number });
        }
        if here.is_up() {
            self.reset_timer(member);
        } else {
            self.start_later(member, 1000);
        }
    }

    /// The leader that all of these members agree on, if there is one.
    fn agreed_leader(&self, members: &[usize]) -> Option<NodeId> {
        let mut views = members.iter().map(|member| {
            let raft = self.members[*member].replica.as_ref()?.raft();
            Some((raft.term(), raft.leader()?))
        });
        let first = views.next()??;
        views.all(|view| view == Some(first)).then_some(first.1)
    }

    /// Looks whether the healing has led to what it must, and comes back until it has.
    pub(crate) fn check_healing(&mut self) {
        let Some(Healing { members, since, led }) = self.healing.take() else { return };
        let led = led.or_else(|| {
            self.agreed_leader(&members).map(|_| (self.now, self.clients.commands_answered))
        });
        let elapsed = self.now - since;
        let longest = self.schedule.settings.election_timeout * 2;
        demand!(
            led.is_some() || elapsed <= ELECTION_TIMEOUTS_MAX * longest,
            Liveness,
            "{}.{:03} s after members {} were healed they have no leader; an election timeout is \
             at most {longest} us",
            elapsed / 1_000_000,
            elapsed / 1000 % 1000,
            names(&members)
        );
        let writes = led.map_or(0, |(_, before)| self.clients.commands_answered - before);
        let has_clients = self.clients.count() > 0;
        if led.is_some() && (writes >= WRITES_MIN || !has_clients) {
            self.is_closing = true;
        }
        let is_done = self.is_closing
            && self.clients.outstanding() == 0
            && self.agree(&members)
            && self.proposals_left(&members) == 0;
        demand!(
            is_done || elapsed <= CONVERGENCE_MAX,
            Liveness,
            "a minute after members {} were healed, {writes} writes were answered since there was \
             a leader, {} operations and {} proposals wait, and they stand at {}",
            names(&members),
            self.clients.outstanding(),
            self.proposals_left(&members),
            self.places(&members)
        );
        self.is_over = is_done;
        self.healing = Some(Healing { members, since, led });
        self.queue.push(self.now + 50_000, Event::CheckHealing);
    }

    /// Whether these members have the same log and have applied all of it.
    fn agree(&self, members: &[usize]) -> bool {
        let mut states = members.iter().map(|member| {
            let replica = self.members[*member].replica.as_ref()?;
            let (last, applied) = (replica.raft().last(), replica.applied());
            (last == applied).then(|| (last, replica.machine().digest()))
        });
        let Some(Some(first)) = states.next() else { return false };
        states.all(|state| state == Some(first))
    }

    /// What these members were asked to propose and have not answered: whether its client still
    /// waits or not, it is done in the end.
    fn proposals_left(&self, members: &[usize]) -> u64 {
        let replicas = members.iter().filter_map(|member| self.members[*member].replica.as_ref());
        replicas.map(|replica| replica.proposals_left()).sum()
    }

    fn places(&self, members: &[usize]) -> String {
        let place = |member: &usize| {
            self.members[*member].replica.as_ref().map_or_else(
                || "nowhere".to_owned(),
                |replica| format!("{} of {}", replica.applied(), replica.raft().last()),
            )
        };
        members.iter().map(place).collect::<Vec<_>>().join(", ")
    }

    /// The last checks.
    pub(crate) fn finish(&mut self) {
        let Some(Healing { members, .. }) = self.healing.take() else { return };
        for member in &members {
            self.check_disk(*member);
        }
        self.check_acknowledged(&members);
        let steps: Vec<_> = self.canon.borrow().applied().collect();
        let mut operations = self.clients.take_history();
        let workload = self.clients.workload();
        Replay::new(workload, &mut operations, &steps, self.schedule.seed).run();
        real_time::check(&operations);
        for mark in operations.iter().filter_map(unknown) {
            self.marks.hit(mark);
        }
        let number = |operation| usize::try_from(operation).expect("operations are few");
        let applied = steps.iter().map(|(_, applied)| number(applied.operation)).collect();
        if let Err(what) = workload.check(History { operations, applied }) {
            violated(Checker::Workload, what);
        }
    }

    /// No acknowledged command is lost: each has its place in the log that the quorum has applied.
    fn check_acknowledged(&self, members: &[usize]) {
        let applied = members.iter().filter_map(|member| self.members[*member].replica.as_ref());
        let Some(applied) = applied.map(|replica| replica.applied().index.value()).min() else {
            return;
        };
        let canon = self.canon.borrow();
        for (number, operation) in self.clients.history().iter().enumerate() {
            let (Request::Command(_), Outcome::Returned { .. }) =
                (&operation.request, &operation.outcome)
            else {
                continue;
            };
            let place = canon.place_of(number);
            demand!(
                place.is_some_and(|place| place <= applied),
                Durability,
                "operation {number} was answered, but the quorum has applied up to {applied}, and \
                 it is at {place:?}: an acknowledged command is lost"
            );
        }
    }
}

/// The mark of a command whose client does not know what became of it.
fn unknown<W: Workload>(operation: &Operation<W>) -> Option<Mark> {
    match (&operation.request, &operation.outcome) {
        (Request::Command(_), Outcome::Unknown { reply: Some(_) }) => Some(Mark::UnknownDone),
        (Request::Command(_), Outcome::Unknown { reply: None }) => Some(Mark::UnknownNotDone),
        (Request::Command(_) | Request::Query(_) | Request::LocalQuery(_), _) => None,
    }
}

fn names(members: &[usize]) -> String {
    members.iter().map(|member| (member + 1).to_string()).collect::<Vec<_>>().join(", ")
}
