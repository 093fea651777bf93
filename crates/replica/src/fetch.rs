//! Getting a snapshot from a peer, part by part, and taking it in.
//!
//! Whoever needs one asks: for the part from where it has the file, again when no answer comes, and
//! another member when one has none that will do. So the sender keeps nothing, lost messages cost
//! time only, and what was received before a crash is gone on with.
//!
//! **Invariants.** Nothing of a file reaches the state machine before all of it was checked and is
//! durable. An older snapshot never replaces a newer state. What a member's clients wait for is
//! answered, or said to be unknown, once the snapshot tells what became of it.

use quorate_log::{Disk, SnapshotError, SnapshotFile, SnapshotPart};
use quorate_raft::{EntryId, Index, Installed, Instant, NodeId, WantedSnapshot};

use crate::effects::Note;
use crate::job::SnapshotJob;
use crate::machine::StateMachine;
use crate::message::{Body, PeerMessage, SnapshotChunk};
use crate::meta::Meta;
use crate::replica::Replica;
use crate::roster::Roster;

/// A snapshot that is being received.
#[derive(Debug)]
pub(crate) struct Fetch<D: Disk> {
    /// Who is asked.
    from: NodeId,
    /// What it must reach.
    needs: Index,
    state: State<D>,
    /// When it was asked for, last.
    asked_at: Instant,
}

#[derive(Debug)]
enum State<D: Disk> {
    /// For whatever snapshot the other has.
    Asking,
    /// For the next part of this one.
    Receiving(SnapshotPart<D>),
    /// What was received is with a job.
    Busy,
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// When an answer is overdue.
    pub(crate) fn fetch_deadline(&self) -> Option<Instant> {
        match &self.snapshots.fetch {
            Some(Fetch { state: State::Asking | State::Receiving(_), asked_at, .. }) => {
                Some(asked_at.after(self.patience))
            }
            Some(Fetch { state: State::Busy, .. }) => None,
            None => self.lacks_state().then_some(self.snapshots.fetch_after),
        }
    }

    /// Whether the state machine is behind the log's beginning: a snapshot was damaged, and only
    /// another member's helps.
    pub(crate) fn lacks_state(&self) -> bool {
        self.applied.index < self.log.base().index
    }

    /// The leader said that a snapshot is needed.
    pub(crate) fn on_wanted(&mut self, now: Instant, wanted: WantedSnapshot) {
        self.want_snapshot(now, wanted.from, wanted.last.index);
    }

    fn want_snapshot(&mut self, now: Instant, from: NodeId, needs: Index) {
        let snapshots = &mut self.snapshots;
        match &mut snapshots.fetch {
            // What counts is what the present leader says: an earlier one may have forgotten more,
            // and nobody else may ever have a snapshot that reaches as far. If what is under way
            // does not reach, that shows at its end.
            Some(fetch) => fetch.needs = needs,
            None if now < snapshots.fetch_after => {}
            None => {
                snapshots.fetch = Some(Fetch { from, needs, state: State::Asking, asked_at: now });
                self.ask(now);
            }
        }
    }

    /// Begins or goes on, where time or the log's state ask for it.
    pub(crate) fn go_on_fetching(&mut self, now: Instant) {
        if self.lacks_state() {
            let leader = self.raft.leader().filter(|leader| *leader != self.raft.id());
            let Some(from) = leader.or_else(|| self.raft.peers().next()) else { return };
            self.want_snapshot(now, from, self.log.base().index);
        }
        let Some(fetch) = &mut self.snapshots.fetch else { return };
        match fetch.state {
            State::Busy => {}
            // The log has caught up without.
            State::Asking | State::Receiving(_)
                if fetch.needs <= self.raft.commit()
                    && self.log.base().index <= self.applied.index =>
            {
                self.snapshots.fetch = None;
            }
            State::Asking | State::Receiving(_) if fetch.asked_at.after(self.patience) <= now => {
                self.ask_another(now);
            }
            State::Asking | State::Receiving(_) => {}
        }
    }

    /// Asks for the next part.
    fn ask(&mut self, now: Instant) {
        let Some(fetch) = &mut self.snapshots.fetch else { return };
        let (point, offset) = match &fetch.state {
            State::Asking => (EntryId::ZERO, 0),
            State::Receiving(part) => (part.point(), part.received()),
            State::Busy => return,
        };
        fetch.asked_at = now;
        let (from, to, term) = (self.raft.id(), fetch.from, self.raft.term());
        let body = Body::SnapshotRequest { point, offset };
        self.effects.messages.push(PeerMessage { from, to, term, body });
    }

    /// Asks the leader, or whoever comes after the one asked last.
    fn ask_another(&mut self, now: Instant) {
        let own = self.raft.id();
        let Some(fetch) = &mut self.snapshots.fetch else { return };
        let leader = self.raft.leader().filter(|leader| *leader != own && *leader != fetch.from);
        let last = fetch.from;
        let next = self.raft.peers().find(|peer| last < *peer).or_else(|| self.raft.peers().next());
        if let Some(other) = leader.or(next) {
            fetch.from = other;
        }
        self.ask(now);
    }

    /// A part of a snapshot came.
    pub(crate) fn on_snapshot_chunk(&mut self, from: NodeId, chunk: SnapshotChunk) {
        let SnapshotChunk { point, file_bytes, offset, bytes } = chunk;
        let snapshots = &mut self.snapshots;
        let Some(fetch) = &mut snapshots.fetch else { return };
        if fetch.from != from {
            return;
        }
        if point.index < fetch.needs {
            // Another is asked in a while, as if this one had said nothing.
            if let State::Receiving(_) = fetch.state {
                fetch.state = State::Asking;
            }
            return;
        }
        match std::mem::replace(&mut fetch.state, State::Busy) {
            State::Busy => {}
            State::Receiving(part) if part.point() == point && part.file_bytes() == file_bytes => {
                if offset == part.received() {
                    snapshots.jobs.push_back(SnapshotJob::Take { part, offset, bytes });
                } else {
                    // A message that came twice.
                    fetch.state = State::Receiving(part);
                }
            }
            // What is there of another is dropped: its sender no longer has it.
            State::Asking | State::Receiving(_) => {
                let disk = snapshots.disk.clone();
                snapshots.jobs.push_back(SnapshotJob::Begin { disk, point, file_bytes });
            }
        }
    }

    /// What was received is on the disk, or the disk failed.
    pub(crate) fn on_part_kept(
        &mut self,
        now: Instant,
        part: Result<SnapshotPart<D>, SnapshotError>,
    ) {
        let part = match part {
            Ok(part) => part,
            Err(error) => return self.give_up_fetch(now, error),
        };
        let Some(fetch) = &mut self.snapshots.fetch else { return };
        if part.is_complete() {
            let identity = self.snapshots.identity;
            self.snapshots.jobs.push_back(SnapshotJob::Finish { part, identity });
        } else {
            fetch.state = State::Receiving(part);
            self.ask(now);
        }
    }

    fn give_up_fetch(&mut self, now: Instant, error: SnapshotError) {
        self.snapshots.fetch = None;
        self.snapshots.fetch_after = now.after(self.patience);
        self.effects.notes.push(Note::NotReceived { error });
    }

    /// A snapshot is here, checked and durable.
    pub(crate) fn on_received(
        &mut self,
        now: Instant,
        file: Result<SnapshotFile<D>, SnapshotError>,
    ) {
        match file {
            Ok(file) => self.install(now, file),
            Err(error) => self.give_up_fetch(now, error),
        }
    }

    /// Takes in a snapshot, unless it says nothing new.
    fn install(&mut self, now: Instant, file: SnapshotFile<D>) {
        self.snapshots.fetch = None;
        let point = file.point();
        let mends = self.lacks_state() && self.log.base().index <= point.index;
        if !mends && !self.raft.would_install(point) {
            // The log was quicker. The file goes when the next snapshot comes.
            return;
        }
        let Some(meta) = Meta::decode(file.meta()).filter(|meta| meta.membership.0 <= point.index)
        else {
            self.snapshots.fetch_after = now.after(self.patience);
            self.effects.notes.push(Note::NotUnderstood { point });
            return;
        };
        if let Err(error) = self.machine.restore(&mut file.reader()) {
            self.snapshots.fetch_after = now.after(self.patience);
            self.effects.notes.push(Note::NotRestored { point, error });
            return;
        }
        let (index, members) = &meta.membership;
        let installed = self.raft.install(now, point, (*index, members.membership.clone()));
        match installed {
            Installed::Reset => self.roster = Roster::new([meta.membership.clone()]),
            // The log knows them.
            Installed::Kept | Installed::Nothing => self.roster.settle(point.index),
        }
        self.applied = point;
        self.membership = meta.membership;
        self.decided = meta.decided;
        let fate = self.decided.of(self.own.origin());
        let unanswered = self.own.on_snapshot(fate, point.term);
        self.effects.unanswered = self.effects.unanswered.max(unanswered);
        self.snapshots.begin_anew();
        self.checks.on_snapshot();
        if self.snapshots.point().index < point.index {
            self.snapshots.take_in(file);
        }
        self.effects.notes.push(Note::Installed { point });
        self.drain();
    }
}

#[cfg(test)]
mod tests;
