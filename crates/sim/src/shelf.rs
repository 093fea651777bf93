//! The snapshots of a member: work on their files takes simulated time, may be cut short by a
//! crash, and meets the same disks as the log does.

use quorate_log::{Disk, snapshots};
use quorate_raft::{EntryId, Index, NodeId};
use quorate_replica::{Note, SnapshotDone, SnapshotJob};

use crate::marks::Mark;
use crate::member::{Fitness, ShelfJob, setup};
use crate::violation::{Checker, demand, violated};
use crate::workload::Workload;
use crate::world::{Event, World};

/// How many times as long as one write of the log it takes to write a whole snapshot.
const WRITE_FACTOR: u64 = 20;

impl<W: Workload> World<W> {
    /// A member's disk gets something to do about snapshots.
    pub(crate) fn begin_snapshot_job(
        &mut self,
        member: usize,
        job: SnapshotJob<quorate_log::MemDisk>,
    ) {
        let latency = self.schedule.settings.disk;
        let is_long = job.is_long();
        let (long, short) = (self.random.between(1, WRITE_FACTOR), self.random.between(1, 2));
        let here = &mut self.members[member];
        demand!(
            here.shelf.iter().all(|other| other.job.is_long() != is_long),
            Assertion,
            "member {} has two snapshot jobs of a kind",
            member + 1
        );
        here.jobs += 1;
        let number = here.jobs;
        here.shelf.push(ShelfJob { job, number });
        let usual = latency * if is_long { long } else { short };
        let at = match here.disk_factor {
            0 => here.disk_until.max(self.now) + usual,
            factor => self.now + usual * factor,
        };
        self.queue.push(at, Event::SnapshotDone { member, number });
    }

    /// A member's disk is done with something about snapshots.
    pub(crate) fn on_snapshot_done(&mut self, member: usize, number: u64) {
        let local = self.local(member);
        let here = &mut self.members[member];
        let Some(place) = here.shelf.iter().position(|job| job.number == number) else { return };
        let done = here.shelf.remove(place).job.run();
        match &done {
            SnapshotDone::Read { .. } => self.marks.hit(Mark::SnapshotServed),
            SnapshotDone::Begun(Ok(part)) if part.received() > 0 => {
                self.marks.hit(Mark::SnapshotResumed);
            }
            SnapshotDone::Written(_)
            | SnapshotDone::Begun(_)
            | SnapshotDone::Taken(_)
            | SnapshotDone::Finished(_)
            | SnapshotDone::Pruned(_) => {}
        }
        let Some(replica) = &mut self.members[member].replica else { return };
        replica.snapshot_done(local, done);
        self.settle(member);
    }

    /// What a member says of its snapshots.
    pub(crate) fn on_note(&mut self, member: usize, note: &Note) {
        if self.trace.is_spoken() {
            self.trace.say(format_args!(" ({note})"));
        }
        let mark = match note {
            Note::Taken { .. } => Mark::SnapshotTaken,
            Note::Installed { .. } => Mark::SnapshotTakenIn,
            Note::NotTaken { .. } => Mark::SnapshotNotWritten,
            Note::NotReceived { .. } => Mark::SnapshotNotReceived,
            Note::SnapshotUnusable { .. } => Mark::SnapshotUnusable,
            Note::StateMissing { .. } => Mark::StateMissing,
            Note::Log(quorate_log::Note::TornTail { .. }) => Mark::TornTail,
            Note::NotServed { .. } | Note::NotPruned { .. } => return,
            Note::Differ { .. } => violated(
                Checker::StateMachineSafety,
                format!("members compared their states, and member {} says: {note}", member + 1),
            ),
            Note::NotUnderstood { .. } | Note::NotRestored { .. } => {
                demand!(
                    self.members[member].fitness != Fitness::Sound,
                    StateMachineSafety,
                    "member {} received a snapshot whole, and cannot use it: {note}",
                    member + 1
                );
                return;
            }
        };
        self.marks.hit(mark);
    }

    /// A snapshot has taken the place of a member's log: what was on its way to the disk no longer
    /// counts, and what it covers is durable.
    pub(crate) fn on_reset(&mut self, member: usize, point: EntryId) {
        self.marks.hit(Mark::LogReset);
        self.watch.on_reset(member, point);
        if let Some(job) = &mut self.members[member].job {
            job.covers.last = point;
        }
    }

    /// On the disk of a member, as a crash would leave it, is a snapshot that its log begins with.
    pub(crate) fn check_snapshots(&self, member: usize, disk: &impl Disk, base: Index) {
        let identity = setup(&self.schedule.settings, 0, member, 0).identity;
        let found = snapshots(disk, identity);
        let newest = found.ok().and_then(|found| {
            found.into_iter().find(|found| found.file.as_ref().is_ok_and(|f| f.verify().is_ok()))
        });
        let point = newest.map_or(Index::ZERO, |found| found.point.index);
        demand!(
            base <= point,
            Durability,
            "the log of member {} begins after {base}, and its newest sound snapshot ends with \
             {point}",
            NodeId::new(u64::try_from(member + 1).expect("members are few"))
        );
    }
}
