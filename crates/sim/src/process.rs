//! The life of a process: it starts, is stopped, dies, and what the others notice of it.
//!
//! A crash may come in the middle of a write to the disk, and leaves of it what a disk may leave.

use std::rc::Rc;

use quorate_log::{Choices, OpenError};
use quorate_raft::Index;
use quorate_replica::{Note, Replica};

use crate::inflict::fail;
use crate::machine::Machine;
use crate::marks::Mark;
use crate::member::{Crash, Fitness, Job, setup};
use crate::queue::Time;
use crate::random::{Random, mix};
use crate::violation::demand;
use crate::watch::{Durable, Watch};
use crate::workload::Workload;
use crate::world::{Event, World};

/// After how long a job tries again on a full disk, and a process that could not start.
pub(crate) const RETRY: Time = 200_000;

/// After how long a process that died of its disk is started again.
pub(crate) const RESTART: Time = 500_000;

impl<W: Workload> World<W> {
    /// A process starts, if the member can have one.
    pub(crate) fn start(&mut self, member: usize, life: u32) {
        let (now, local) = (self.now, self.local(member));
        let here = &mut self.members[member];
        if here.is_up() || here.life != life || here.fitness == Fitness::Gone {
            return;
        }
        if now < here.down_until {
            let until = here.down_until;
            self.queue.push(until, Event::Start { member, life });
            return;
        }
        here.life += 1;
        let setup = setup(&self.schedule.settings, self.schedule.seed, member, here.life);
        let machine =
            Machine::new(member + 1, self.clients.workload().machine(), Rc::clone(&self.canon));
        here.disk.limit_space(here.space);
        here.is_fresh = true;
        if let Some(salt) = here.fails_next.take() {
            fail(&here.disk, 3, &mut Random::new(u64::from(salt), 9));
        }
        match Replica::open(setup, here.disk.clone(), machine, local) {
            Ok((replica, notes)) => {
                self.members[member].replica = Some(replica);
                self.on_started(member, &notes);
            }
            Err(quorate_replica::OpenError::Log(error)) => self.on_refused(member, &error),
            // Of a sound disk that failed just now.
            Err(
                quorate_replica::OpenError::Snapshots(_) | quorate_replica::OpenError::Reset { .. },
            ) if self.members[member].fitness == Fitness::Sound => self.on_open_failed(member),
            Err(error) => self.on_unusable(member, &error.to_string()),
        }
    }

    fn on_started(&mut self, member: usize, notes: &[Note]) {
        for note in notes {
            self.on_note(member, note);
        }
        let here = &self.members[member];
        let segments = here.disk.files().iter().filter(|(name, _)| name.ends_with(".seg")).count();
        if segments > 2 {
            self.marks.hit(Mark::ManySegments);
        }
        let replica = here.replica.as_ref().expect("it was started just now");
        let raft = replica.raft();
        if raft.commit() > Index::ZERO {
            self.marks.hit(Mark::StartedFromSnapshot);
        }
        let durable = self.watch.seen[member].durable;
        if durable.last < raft.last() {
            self.marks.hit(Mark::UnsyncedKept);
        }
        if here.fitness == Fitness::Damaged && !Watch::has(durable, raft) {
            // Damage to the last job, with nothing behind it to tell, looks like a write that was
            // under way (docs/log-format.md). An operator would have to know.
            // Several damages may have taken several jobs.
            demand!(
                here.damages > 1 || Watch::has(self.watch.seen[member].durable_before, raft),
                Durability,
                "member {} starts with a log up to {}, but {} was synced, and more behind it: \
                 damage was taken for a torn write",
                member + 1,
                raft.last(),
                durable.last
            );
            self.marks.hit(Mark::NotNoticeable);
            self.members[member].forget();
            self.members[member].fitness = Fitness::Gone;
            return;
        }
        self.watch.on_start(member, raft);
        // What recovery accepted it has also made durable.
        let durable = Durable { last: raft.last(), hard_state: replica.log().hard_state() };
        self.watch.on_synced(member, durable);
        self.connect(member);
        let local = self.local(member);
        let here = &mut self.members[member];
        here.catching_up = here.replica.as_mut().map(|replica| replica.read(local));
        self.settle(member);
    }

    /// Connections to and from a member are made.
    fn connect(&mut self, member: usize) {
        for peer in 0..self.members.len() {
            if peer == member {
                continue;
            }
            for (one, other) in [(member, peer), (peer, member)] {
                if self.network.is_open(one, other) && self.members[one].is_up() {
                    let at = self.now + self.network.latency() * 2 + self.random.below(1000);
                    let life = self.members[one].life;
                    self.queue.push(at, Event::Connected { member: one, peer: other, life });
                }
            }
        }
    }

    /// The log does not open.
    fn on_refused(&mut self, member: usize, error: &OpenError) {
        let here = &mut self.members[member];
        match error {
            OpenError::Full { .. } => {
                self.marks.hit(Mark::OpenFull);
                self.start_later(member, RETRY);
            }
            OpenError::Io { .. } if here.fitness == Fitness::Sound => self.on_open_failed(member),
            OpenError::Io { .. }
            | OpenError::Damaged { .. }
            | OpenError::Foreign { .. }
            | OpenError::Newer { .. }
            | OpenError::Locked { .. } => self.on_unusable(member, &error.to_string()),
        }
    }

    fn on_open_failed(&mut self, member: usize) {
        self.marks.hit(Mark::OpenFailed);
        // The disk is looked after before the next try.
        self.members[member].disk.recover();
        self.start_later(member, RETRY);
    }

    fn on_unusable(&mut self, member: usize, error: &str) {
        let here = &mut self.members[member];
        demand!(
            here.fitness == Fitness::Damaged,
            Durability,
            "member {} does not start, though its disk keeps what it is told to: {error}",
            member + 1
        );
        here.fitness = Fitness::Gone;
        self.marks.hit(Mark::Refused);
        self.trace.say(format_args!(" refused: {error}"));
    }

    pub(crate) fn start_later(&mut self, member: usize, delay: Time) {
        let life = self.members[member].life;
        self.queue.push(self.now + delay, Event::Start { member, life });
    }

    /// Sets a member's timer to when it wants to be called.
    pub(crate) fn set_timer(&mut self, member: usize) {
        let now = self.now;
        let here = &mut self.members[member];
        let Some(replica) = &here.replica else { return };
        let Some(at) = here.clock.when(now, replica.deadline()) else { return };
        if here.timer_at.is_none_or(|set| at < set) {
            here.timer_at = Some(at);
            self.queue.push(at, Event::Timer { member });
        }
    }

    /// A process stops by itself: its disk keeps what the operating system has of it.
    pub(crate) fn die(&mut self, member: usize, down: Time) {
        self.on_leaving(member);
        self.members[member].forget();
        // Whoever starts it again sees to its disk first.
        if self.members[member].fitness == Fitness::Sound {
            self.members[member].disk.recover();
        }
        self.after_death(member, down);
    }

    /// A crash, of the process or of the whole machine.
    pub(crate) fn crash(&mut self, member: usize, crash: Crash) {
        let Crash { down, salt, steps: _ } = crash;
        if !self.members[member].is_up() {
            return;
        }
        self.marks.hit(Mark::Crashed);
        self.on_leaving(member);
        let here = &mut self.members[member];
        if here.catching_up.is_some() {
            self.marks.hit(Mark::CrashedStarting);
        }
        let (job, shelf) = (here.job.take(), std::mem::take(&mut here.shelf));
        if job.is_some() || !shelf.is_empty() {
            here.disk.cut_power_after(u64::from(salt % 13));
        }
        // They fail in the middle or not at all; nobody hears of it in either case.
        if salt.is_multiple_of(2) {
            for job in shelf {
                self.marks.hit(Mark::CrashedMidSnapshot);
                drop(job.job.run());
            }
        }
        if let Some(Job { job, .. }) = job {
            self.marks.hit(Mark::CrashedMidJob);
            drop(job.run());
        }
        here.forget();
        if salt.is_multiple_of(4) {
            // The process alone was killed: what it wrote is still on its way to the disk.
            self.marks.hit(Mark::Killed);
            here.disk = here.disk.fork();
        } else {
            let mut choices = Choices::seeded(mix(u64::from(salt)));
            here.disk = here.disk.crash(&mut choices);
        }
        if here.fitness == Fitness::Sound {
            here.disk.recover();
        }
        self.after_death(member, down);
    }

    /// What is to be remembered of a process that is about to end.
    fn on_leaving(&mut self, member: usize) {
        if self.members[member].is_leader() {
            self.marks.hit(Mark::CrashedLeader);
        }
    }

    fn after_death(&mut self, member: usize, down: Time) {
        let until = self.now + down;
        self.members[member].down_until = until;
        self.watch.seen[member].is_leader = false;
        self.start_later(member, down);
        if self.schedule.settings.death_is_noticed {
            self.break_connections(member);
        }
        if self.members.iter().all(|member| !member.is_up()) {
            self.marks.hit(Mark::AllDown);
        }
    }

    /// The others notice that the connections to a member broke.
    fn break_connections(&mut self, member: usize) {
        for peer in 0..self.members.len() {
            if peer != member && self.members[peer].is_up() {
                let at = self.now + self.network.latency() + self.random.below(1000);
                let life = self.members[peer].life;
                let event = Event::Disconnected { member: peer, peer: member, life };
                self.queue.push(at, event);
            }
        }
    }

    /// A connection breaks, and is made anew a moment later.
    pub(crate) fn reset(&mut self, one: usize, other: usize) {
        self.network.reset(one, other);
        self.marks.hit(Mark::ResetUnderWay);
        for (member, peer) in [(one, other), (other, one)] {
            let life = self.members[member].life;
            let at = self.now + self.random.below(self.network.latency());
            self.queue.push(at, Event::Disconnected { member, peer, life });
            let at = at + self.network.latency() * 3;
            self.queue.push(at, Event::Connected { member, peer, life });
        }
    }

    /// A process is stopped in order.
    pub(crate) fn stop(&mut self, member: usize, down: Time) {
        let local = self.local(member);
        let here = &mut self.members[member];
        let Some(mut replica) = here.replica.take() else { return };
        if let Some(Job { job, covers, .. }) = here.job.take()
            && let Ok(synced) = job.run()
        {
            replica.synced(local, synced);
            here.replica = Some(replica);
            self.on_durable(member, covers);
            replica = self.members[member].replica.take().expect("it was put there just now");
        }
        // If it cannot be closed in order, it opens all the same.
        if replica.into_log().close().is_ok() {
            self.marks.hit(Mark::RestartedInOrder);
        }
        self.members[member].forget();
        self.after_death(member, down);
    }
}
