//! The faults of the schedule: what each does, and how it ends.

use quorate_log::{Fault as DiskFault, MemDisk, OperationKind};

use crate::clock::RIGHT;
use crate::fault::What;
use crate::marks::Mark;
use crate::member::{Crash, Fitness, id};
use crate::network::place;
use crate::queue::Time;
use crate::random::Random;
use crate::watch::Seen;
use crate::workload::Workload;
use crate::world::{Event, World};

/// More than a day: no drift explains it.
const DAY: u64 = 24 * 3600 * 1_000_000;

impl<W: Workload> World<W> {
    /// A fault of the schedule happens.
    pub(crate) fn inflict(&mut self, number: usize) {
        if self.healing.is_some() {
            return;
        }
        let now = self.now;
        match self.schedule.faults[number].what.clone() {
            What::Crash { member, steps, down, salt } => {
                self.crash_soon(member - 1, Crash { steps, down, salt });
            }
            What::CrashAll { down, salt } => self.crash_all(down, salt),
            What::CrashElected { .. } => self.ambush.elected = Some((number, 0)),
            What::CrashVoters { lasting, salt, .. } => {
                self.ambush.voters = Some((number, now + lasting));
                match self.leader() {
                    // It comes back to members of which some have been in a later term.
                    Some(leader) if salt % 2 == 0 => self.pause(leader, lasting / 2),
                    Some(leader) => self.spring(number, leader),
                    None => {}
                }
            }
            What::CutLeader { deaf, dumb, late, stopped, lasting } => {
                if let Some(leader) = self.leader() {
                    self.cut_leader(leader, deaf, dumb, late.then_some(now + lasting));
                    if stopped {
                        self.members[leader].clock.run_at(now, 0);
                        self.reset_timer(leader);
                    }
                    self.ambush.cut.push((number, leader));
                    self.ends(number, lasting);
                }
            }
            What::Restart { member, down } => self.stop(member - 1, down),
            What::Transfer { to, lasting } => {
                if lasting > 0 {
                    self.ends(number, lasting);
                }
                self.transfer(to, now + lasting);
            }
            What::Pause { member, lasting } => self.pause(member - 1, lasting),
            What::Wipe { member } => self.wipe(member - 1),
            What::Cut { links, lasting } => {
                for (from, to) in links {
                    self.network.cut(from - 1, to - 1);
                }
                self.ends(number, lasting);
            }
            What::Clog { from, to, lasting } => self.network.clog(from - 1, to - 1, now + lasting),
            What::Reset { from, to } => {
                if from != to {
                    self.reset(from - 1, to - 1);
                }
            }
            What::Rot { member, salt } => self.damage(member - 1, salt, rot),
            What::Unreadable { member, salt } => self.damage(member - 1, salt, unreadable),
            What::Misdirect { member, salt } => self.damage(member - 1, salt, misdirect),
            What::LostWrite { member, salt } => {
                self.damage(member - 1, salt, |disk, random| {
                    disk.lose_write(random.magnitude(1, 20) - 1)
                });
            }
            What::SyncError { member, salt } => {
                let here = &mut self.members[member - 1];
                let mut random = Random::new(u64::from(salt), 5);
                fail(&here.disk, 8, &mut random);
                here.fails_next = (random.below(3) == 0).then_some(salt);
            }
            What::DiskFull { member, left, lasting } => {
                let here = &mut self.members[member - 1];
                here.space = Some(left);
                here.disk.limit_space(here.space);
                self.ends(number, lasting);
            }
            What::SlowDisk { member, factor, lasting } => {
                let here = &mut self.members[member - 1];
                here.disk_factor = factor;
                here.disk_until = now + lasting;
                if factor == 0 {
                    self.marks.hit(Mark::Stalled);
                }
                self.ends(number, lasting);
            }
            What::ClockJump { member, by } => {
                if by < 0 {
                    self.marks.hit(Mark::ClockBack);
                }
                if by.unsigned_abs() > DAY {
                    self.marks.hit(Mark::ClockYear);
                }
                self.members[member - 1].clock.jump(now, by);
                self.reset_timer(member - 1);
            }
            What::ClockRate { member, rate, lasting } => {
                if rate == 0 && self.members[member - 1].is_leader() {
                    self.marks.hit(Mark::ClockStoodLeader);
                }
                self.members[member - 1].clock.run_at(now, rate);
                self.reset_timer(member - 1);
                self.ends(number, lasting);
            }
        }
    }

    fn ends(&mut self, number: usize, lasting: Time) {
        self.queue.push(self.now + lasting, Event::FaultEnds { number });
    }

    /// A fault of the schedule ends. What still stands when the healing begins stays for ever.
    pub(crate) fn relieve(&mut self, number: usize) {
        if self.healing.is_some() {
            return;
        }
        let now = self.now;
        match self.schedule.faults[number].what.clone() {
            What::Cut { links, .. } => {
                for (from, to) in links {
                    self.network.mend(from - 1, to - 1);
                }
            }
            What::CutLeader { deaf, dumb, late, stopped, .. } => {
                let place = self.ambush.cut.iter().position(|(cut, _)| *cut == number);
                if let Some((_, leader)) = place.map(|place| self.ambush.cut.swap_remove(place)) {
                    self.mend_leader(leader, deaf && !late, dumb);
                    self.strike_successor(leader);
                    if stopped {
                        self.members[leader].clock.run_at(now, RIGHT);
                        self.reset_timer(leader);
                    }
                }
            }
            // The word is out now, or on its way.
            What::Transfer { .. } => {
                if self.random.below(2) == 0 {
                    self.transfer(0, now);
                }
            }
            What::DiskFull { member, .. } => {
                let here = &mut self.members[member - 1];
                here.space = None;
                here.disk.limit_space(None);
            }
            What::SlowDisk { member, .. } => {
                let here = &mut self.members[member - 1];
                if here.disk_until <= now {
                    here.disk_factor = 1;
                }
            }
            What::ClockRate { member, .. } => {
                self.members[member - 1].clock.run_at(now, RIGHT);
                self.reset_timer(member - 1);
            }
            What::Crash { .. }
            | What::CrashAll { .. }
            | What::CrashElected { .. }
            | What::CrashVoters { .. }
            | What::Restart { .. }
            | What::Pause { .. }
            | What::Wipe { .. }
            | What::Clog { .. }
            | What::Reset { .. }
            | What::Rot { .. }
            | What::Unreadable { .. }
            | What::Misdirect { .. }
            | What::LostWrite { .. }
            | What::SyncError { .. }
            | What::ClockJump { .. } => {}
        }
    }

    /// A member crashes now, or so many steps later.
    fn crash_soon(&mut self, member: usize, crash: Crash) {
        let here = &mut self.members[member];
        if !here.is_up() || here.crash_in.is_some() {
            return;
        }
        if crash.steps == 0 {
            self.crash(member, crash);
        } else {
            here.crash_in = Some(crash);
        }
    }

    fn crash_all(&mut self, down: Time, salt: u32) {
        let mut random = Random::new(u64::from(salt), 6);
        for member in 0..self.members.len() {
            let salt = salt.wrapping_add(u32::try_from(random.below(1000)).expect("small"));
            self.crash(member, Crash { steps: 0, down: random.between(1, down.max(1)), salt });
        }
    }

    /// The leader hands over, to anybody if `to` is 0, who hears nothing of it before `held_until`.
    fn transfer(&mut self, to: usize, held_until: Time) {
        let Some(leader) = self.leader() else { return };
        let now = self.local(leader);
        let Some(replica) = &mut self.members[leader].replica else { return };
        let to = to.checked_sub(1).map(id);
        // Nobody else may have been heard, or another transfer may be under way.
        let to = replica.transfer(now, to);
        if let Ok(to) = to {
            self.network.clog(leader, place(to.value()), held_until);
        }
        self.settle(leader);
    }

    fn pause(&mut self, member: usize, lasting: Time) {
        let here = &mut self.members[member];
        if here.is_up() {
            here.paused_until = here.paused_until.max(self.now + lasting);
            if here.is_leader() {
                self.marks.hit(Mark::PausedLeader);
            }
        }
    }

    fn wipe(&mut self, member: usize) {
        let down = self.schedule.settings.election_timeout;
        self.crash(member, Crash { steps: 0, down, salt: 0 });
        let here = &mut self.members[member];
        here.disk = MemDisk::unrecorded();
        self.marks.hit(Mark::Wiped);
        if self.schedule.settings.wiped_return {
            self.watch.seen[member] = Seen::default();
        } else {
            here.fitness = Fitness::Gone;
        }
    }

    /// A disk loses something that was synced, or may do so.
    fn damage(&mut self, member: usize, salt: u32, how: impl Fn(&MemDisk, &mut Random)) {
        let here = &mut self.members[member];
        if here.fitness != Fitness::Gone {
            here.fitness = Fitness::Damaged;
            here.damages += 1;
            how(&here.disk, &mut Random::new(u64::from(salt), 7));
        }
    }

    /// A clock changed: the timer is due at another time.
    pub(crate) fn reset_timer(&mut self, member: usize) {
        self.members[member].timer_at = None;
        self.set_timer(member);
    }
}

/// A file, and how long it is.
fn a_file(disk: &MemDisk, random: &mut Random) -> Option<(String, u64)> {
    let files: Vec<_> = disk.files().into_iter().filter(|(_, length)| *length > 0).collect();
    if files.is_empty() { None } else { Some(files[random.place(files.len())].clone()) }
}

fn rot(disk: &MemDisk, random: &mut Random) {
    let Some((name, length)) = a_file(disk, random) else { return };
    // The end of a file is often space that was never written.
    let length = if random.below(2) == 0 { length } else { length.min(4096) };
    let mask = 1 << random.below(8);
    disk.rot(&name, random.below(length), mask);
}

fn unreadable(disk: &MemDisk, random: &mut Random) {
    let Some((name, length)) = a_file(disk, random) else { return };
    disk.break_sector(&name, random.below(length.div_ceil(512)));
}

fn misdirect(disk: &MemDisk, random: &mut Random) {
    disk.misdirect_write(random.magnitude(1, 20) - 1, random.magnitude(512, 64 << 10));
}

/// An operation fails, one of the next `soon` of its kind, once or from now on.
pub(crate) fn fail(disk: &MemDisk, soon: u64, random: &mut Random) {
    let kinds = [
        OperationKind::SyncData,
        OperationKind::SyncData,
        OperationKind::SyncData,
        OperationKind::Write,
        OperationKind::SyncDir,
        OperationKind::Allocate,
        OperationKind::Create,
    ];
    let kind = kinds[random.place(kinds.len())];
    if random.below(4) == 0 {
        disk.fail_always(kind, DiskFault::Io);
    } else {
        disk.fail(kind, random.below(soon), DiskFault::Io);
    }
}
