//! When a member takes a snapshot, and what goes then: log and older snapshots.
//!
//! **Invariants.** The log forgets only what a durable snapshot covers, and keeps some of that for
//! members that are a little behind. An older snapshot goes once the log no longer reaches back to
//! it. What was forgotten here is never needed here again: a start takes up from the snapshot.

use std::collections::VecDeque;
use std::sync::Arc;

use quorate_log::{Disk, Identity, SnapshotFile};
use quorate_raft::{EntryId, Index, Instant, NodeId};

use crate::effects::Note;
use crate::fetch::Fetch;
use crate::job::{SnapshotDone, SnapshotJob};
use crate::machine::StateMachine;
use crate::message::{Body, PeerMessage, SnapshotChunk};
use crate::meta::Meta;
use crate::replica::Replica;

/// When a snapshot is taken, and how much of the log stays behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPolicy {
    /// A snapshot is due when so many bytes of entries are applied since the last one, or half as
    /// many as that one is long, whichever is more: so most of what is written is not snapshots.
    pub log_bytes: u64,
    /// So many bytes of entries before a snapshot stay in the log, so that a member that is a
    /// little behind needs no snapshot.
    pub trailing_bytes: u64,
}

impl Default for SnapshotPolicy {
    fn default() -> Self {
        Self { log_bytes: 64 << 20, trailing_bytes: 16 << 20 }
    }
}

/// A member's snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots<D: Disk> {
    pub(crate) disk: D,
    pub(crate) identity: Identity,
    policy: SnapshotPolicy,
    /// The newest that is complete.
    newest: Option<Arc<SnapshotFile<D>>>,
    /// The bytes of entries that were applied in this life.
    applied_bytes: u64,
    /// Those when the newest snapshot, or the one that is being written, was taken.
    taken_bytes: u64,
    /// Some indexes that were applied, with the bytes up to there; the last are the newest.
    marks: VecDeque<(Index, u64)>,
    /// A snapshot is being written; the log may forget so much once it is.
    pub(crate) writing: Option<Index>,
    /// Older snapshots are to go once the log does not need them.
    prune_before: Option<EntryId>,
    /// Short jobs that wait, and whether one is out.
    pub(crate) jobs: VecDeque<SnapshotJob<D>>,
    is_job_out: bool,
    /// The snapshot that is being received.
    pub(crate) fetch: Option<Fetch<D>>,
    /// After a failure, none is asked for before this.
    pub(crate) fetch_after: Instant,
}

impl<D: Disk> Snapshots<D> {
    pub(crate) fn new(
        disk: D,
        identity: Identity,
        policy: SnapshotPolicy,
        newest: Option<SnapshotFile<D>>,
    ) -> Self {
        Self {
            disk,
            identity,
            policy,
            newest: newest.map(Arc::new),
            applied_bytes: 0,
            taken_bytes: 0,
            marks: VecDeque::new(),
            writing: None,
            prune_before: None,
            jobs: VecDeque::new(),
            is_job_out: false,
            fetch: None,
            fetch_after: Instant::default(),
        }
    }

    /// The last entry of the newest snapshot.
    pub(crate) fn point(&self) -> EntryId {
        self.newest.as_ref().map_or(EntryId::ZERO, |file| file.point())
    }

    /// Entries up to `index` were applied.
    pub(crate) fn on_applied(&mut self, index: Index, bytes: u64) {
        self.applied_bytes += bytes;
        let step = (self.policy.trailing_bytes / 8).max(1);
        let last = self.marks.back().map_or(0, |(_, bytes)| *bytes);
        if last + step <= self.applied_bytes {
            self.marks.push_back((index, self.applied_bytes));
        }
    }

    fn is_due(&self) -> bool {
        let last = self.newest.as_ref().map_or(0, |file| file.file_bytes());
        let enough = self.policy.log_bytes.max(last / 2);
        self.writing.is_none() && enough <= self.applied_bytes - self.taken_bytes
    }

    /// How much the log may forget after a snapshot of `applied`. Older marks are of no use then.
    fn cut(&mut self, applied: Index) -> Index {
        let enough = self.applied_bytes.saturating_sub(self.policy.trailing_bytes);
        if self.policy.trailing_bytes == 0 {
            self.marks.clear();
            return applied;
        }
        let old = self.marks.partition_point(|(_, bytes)| *bytes <= enough);
        self.marks.drain(..old).next_back().map_or(Index::ZERO, |(index, _)| index)
    }

    /// A complete snapshot is here that is newer than all others.
    pub(crate) fn take_in(&mut self, file: SnapshotFile<D>) {
        self.prune_before = Some(file.point());
        self.newest = Some(Arc::new(file));
    }

    /// There are older snapshots, from an earlier life.
    pub(crate) fn prune_at_start(&mut self) {
        self.prune_before = Some(self.point());
    }

    /// All that was applied is in a snapshot that was received.
    pub(crate) fn begin_anew(&mut self) {
        self.taken_bytes = self.applied_bytes;
        self.marks.clear();
    }
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Takes a snapshot now, unless one is being written or there is nothing new.
    pub fn take_snapshot(&mut self) {
        let applied = self.applied;
        let snapshots = &mut self.snapshots;
        if snapshots.writing.is_some() || applied.index <= snapshots.point().index {
            return;
        }
        if applied.index < self.log.base().index {
            // The state is not here yet.
            return;
        }
        snapshots.writing = Some(snapshots.cut(applied.index));
        snapshots.taken_bytes = snapshots.applied_bytes;
        let meta = Meta { membership: self.membership.clone(), decided: self.decided.clone() };
        self.effects.snapshot_jobs.push(SnapshotJob::Write {
            disk: snapshots.disk.clone(),
            identity: snapshots.identity,
            point: applied,
            meta: meta.encode(),
            body: self.machine.snapshot(),
        });
    }

    pub(crate) fn maybe_take_snapshot(&mut self) {
        if self.snapshots.is_due() {
            self.take_snapshot();
        }
    }

    /// Gives out the short jobs, one at a time.
    pub(crate) fn give_snapshot_jobs(&mut self) {
        let snapshots = &mut self.snapshots;
        if snapshots.jobs.is_empty()
            && !self.log.has_leftovers()
            && let Some(keep) = snapshots.prune_before.take()
        {
            snapshots.jobs.push_back(SnapshotJob::Prune { disk: snapshots.disk.clone(), keep });
        }
        if !snapshots.is_job_out
            && let Some(job) = snapshots.jobs.pop_front()
        {
            snapshots.is_job_out = true;
            self.effects.snapshot_jobs.push(job);
        }
    }

    /// A job of [`crate::Effects::snapshot_jobs`] is done.
    pub fn snapshot_done(&mut self, now: Instant, done: SnapshotDone<D>) {
        match done {
            SnapshotDone::Written(written) => return self.on_written(written),
            SnapshotDone::Begun(part) | SnapshotDone::Taken(part) => self.on_part_kept(now, part),
            SnapshotDone::Finished(file) => self.on_received(now, file),
            SnapshotDone::Read { to, file, offset, bytes } => match bytes {
                Ok(bytes) => {
                    let (point, file_bytes) = (file.point(), file.file_bytes());
                    let chunk = SnapshotChunk { point, file_bytes, offset, bytes };
                    let (from, term) = (self.raft.id(), self.raft.term());
                    let body = Body::SnapshotChunk(chunk);
                    self.effects.messages.push(PeerMessage { from, to, term, body });
                }
                Err(error) => self.effects.notes.push(Note::NotServed { error }),
            },
            SnapshotDone::Pruned(Ok(())) => {}
            SnapshotDone::Pruned(Err(error)) => self.effects.notes.push(Note::NotPruned { error }),
        }
        self.snapshots.is_job_out = false;
    }

    fn on_written(&mut self, written: std::io::Result<SnapshotFile<D>>) {
        let cut = self.snapshots.writing.take().expect("a snapshot is being written");
        let file = match written {
            Ok(file) => file,
            Err(error) => {
                // The next try comes when as much again is applied.
                self.effects.notes.push(Note::NotTaken { error });
                return;
            }
        };
        let (point, bytes) = (file.point(), file.file_bytes());
        self.effects.notes.push(Note::Taken { point, bytes });
        if point.index <= self.snapshots.point().index {
            // One that was received is newer.
            return;
        }
        self.snapshots.take_in(file);
        // A leader may have applied what its own disk does not have yet.
        let cut = cut.min(point.index).min(self.raft.status().durable);
        self.compact(cut);
    }

    /// The log forgets what it may of the entries up to `through`.
    pub(crate) fn compact(&mut self, through: Index) {
        // Until the log's new beginning is durable it still needs the old one.
        let is_begun = self.reset.is_none();
        if is_begun && self.log.base().index <= through && Index::ZERO < through {
            self.log.compact(through);
            self.raft.compact(self.log.base());
        }
    }

    /// A peer wants a part of a snapshot: of the newest, if it wants another.
    pub(crate) fn on_snapshot_request(&mut self, from: NodeId, point: EntryId, offset: u64) {
        let snapshots = &mut self.snapshots;
        let Some(file) = &snapshots.newest else { return };
        let is_waiting =
            |job: &SnapshotJob<D>| matches!(job, SnapshotJob::Read { to, .. } if *to == from);
        if snapshots.jobs.iter().any(is_waiting) {
            return;
        }
        let offset = if file.point() == point { offset } else { 0 };
        if offset < file.file_bytes() {
            let file = file.clone();
            snapshots.jobs.push_back(SnapshotJob::Read { file, to: from, offset });
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_log::MemDisk;

    use super::*;

    /// A hundred entries of ten bytes are applied.
    fn applied(trailing_bytes: u64) -> Snapshots<MemDisk> {
        let identity = Identity { cluster: 7, member: 1 };
        let policy = SnapshotPolicy { log_bytes: 1000, trailing_bytes };
        let mut snapshots = Snapshots::new(MemDisk::new(), identity, policy, None);
        for index in 1..=100 {
            assert!(!snapshots.is_due());
            snapshots.on_applied(Index::new(index), 10);
        }
        snapshots
    }

    #[test]
    fn so_much_stays_behind_a_snapshot_as_the_policy_says() {
        let cut = |trailing_bytes| applied(trailing_bytes).cut(Index::new(100)).value();
        assert_eq!(cut(0), 100);
        assert_eq!(cut(80), 92);
        assert_eq!(cut(500), 49, "about as much, and not less");
        assert_eq!(cut(2000), 0, "nothing is forgotten");
    }

    #[test]
    fn a_snapshot_is_due_when_enough_is_applied() {
        let mut snapshots = applied(0);
        assert!(snapshots.is_due());
        snapshots.writing = Some(Index::new(100));
        assert!(!snapshots.is_due(), "one at a time");
        snapshots.writing = None;
        snapshots.taken_bytes = snapshots.applied_bytes;
        assert!(!snapshots.is_due(), "it was taken");
    }
}
