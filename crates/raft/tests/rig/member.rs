//! One member: the core, its disk, and the log with payloads that a replica would keep.

use std::collections::VecDeque;

use quorate_raft::invariants::{Snapshot, check_state, check_step};
use quorate_raft::{
    Config, EntryId, Event, HardState, Index, Input, Installed, Instant, Membership, Message,
    NodeId, Raft, ReadReady, Receipt, Restored, Run, Sizes, Source, Term, WantedSnapshot, Write,
};

use super::Packet;
use super::clock::Clock;

/// An entry: who made it, and what it says. The no-op of a term says 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub term: Term,
    pub payload: u64,
}

/// Memberships with the indexes of their entries.
pub type Memberships = Vec<(Index, Membership)>;

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub hard_state: HardState,
    /// The log; what it has forgotten of its beginning is kept for the checkers.
    pub entries: Vec<Entry>,
    /// How many entries the log has forgotten.
    pub base: usize,
    /// The memberships of those entries that have one, as far back as the log goes.
    pub memberships: Memberships,
    /// The entries that the newest snapshot stands for.
    pub snapshot: Vec<Entry>,
    /// The membership that counts at its end; `None` for the initial one.
    pub snapshot_membership: Option<(Index, Membership)>,
}

impl Disk {
    /// The entry at a place, if it survives a crash: in the snapshot or in the log.
    pub fn durable(&self, place: usize) -> Option<&Entry> {
        self.snapshot.get(place).or_else(|| self.entries.get(place))
    }

    /// A snapshot that the log does not reach, or contradicts, takes its place.
    fn recover(&mut self) {
        let Some(last) = self.snapshot.last() else { return };
        if self.entries.get(self.snapshot.len() - 1) != Some(last) {
            self.entries = self.snapshot.clone();
            self.base = self.snapshot.len();
            self.memberships.clear();
        }
        if self.hard_state.term < last.term {
            self.hard_state = HardState { term: last.term, vote: None };
        }
    }
}

/// The last of some entries that a log begins with.
fn last_of(entries: &[Entry]) -> EntryId {
    let index = Index::new(u64::try_from(entries.len()).expect("logs of tests are small"));
    entries.last().map_or(EntryId::ZERO, |last| EntryId::new(last.term, index))
}

pub struct Member {
    pub config: Config,
    pub membership: Membership,
    pub clock: Clock,
    pub raft: Option<Raft>,
    pub disk: Disk,
    /// The log as the running member sees it, durable or not.
    pub log: Vec<Entry>,
    /// Writes that the disk has not done yet, with their entries and memberships.
    pub queue: VecDeque<(Write, Vec<Entry>, Memberships)>,
}

/// What a member had to say after an input.
#[derive(Default)]
pub struct Output {
    pub writes: Vec<Write>,
    pub packets: Vec<Packet>,
    pub reads: Vec<ReadReady>,
    pub events: Vec<Event>,
    pub wanted: Option<WantedSnapshot>,
}

/// Every entry has ten bytes.
struct TenBytes;

impl Sizes for TenBytes {
    fn fit(&self, _first: Index, count_max: u64, bytes_max: u64) -> (u64, u64) {
        let count = (bytes_max / 10).clamp(1, count_max);
        (count, count * 10)
    }
}

fn place(index: Index) -> usize {
    usize::try_from(index.value()).expect("logs of tests are small")
}

impl Member {
    pub fn new(config: Config, membership: Membership) -> Self {
        Self {
            config,
            membership,
            clock: Clock::exact(),
            raft: None,
            disk: Disk::default(),
            log: Vec::new(),
            queue: VecDeque::new(),
        }
    }

    pub fn start(&mut self, now: Instant) {
        assert!(self.raft.is_none(), "a member is started once");
        // A new seed for each life, as the settings demand.
        self.config.seed = self.config.seed.wrapping_add(1_000_000_007);
        self.disk.recover();
        let mut runs: Vec<Run> = Vec::new();
        for entry in &self.disk.entries[self.disk.base..] {
            match runs.last_mut() {
                Some(run) if run.term == entry.term => run.count += 1,
                _ => runs.push(Run { term: entry.term, count: 1 }),
            }
        }
        let base = last_of(&self.disk.entries[..self.disk.base]);
        // What the snapshot says counts as far back as the log goes: nothing before it is undone.
        let (index, membership) = self.snapshot_membership();
        let mut memberships = vec![(index.min(base.index), membership)];
        let of_log = self.disk.memberships.iter().filter(|(index, _)| base.index < *index);
        memberships.extend(of_log.cloned());
        let restored = Restored {
            hard_state: self.disk.hard_state,
            base,
            runs,
            memberships,
            commit: last_of(&self.disk.snapshot).index,
        };
        self.log = self.disk.entries.clone();
        let raft = Raft::new(self.config.clone(), restored, now);
        self.raft = Some(raft.expect("a disk of this rig is sound"));
    }

    /// Takes a snapshot of all that is committed, and forgets the log up to `base`, if that is
    /// committed and durable.
    pub fn compact(&mut self, base: usize) {
        let raft = self.raft.as_mut().expect("the member runs");
        let commit = place(raft.commit());
        self.disk.snapshot = self.log[..commit].to_vec();
        let newest = (1..=commit).rev().find_map(|index| {
            let index = Index::new(u64::try_from(index).expect("small"));
            Some((index, raft.membership_at(index)?.clone()))
        });
        self.disk.snapshot_membership = newest.or(self.disk.snapshot_membership.take());
        let base = base.min(commit).min(place(raft.status().durable));
        // After a snapshot was installed, the log may not say so yet.
        let is_logged = self.disk.entries.get(..base) == Some(&self.log[..base]);
        if self.disk.base < base && is_logged {
            self.disk.base = base;
            raft.compact(last_of(&self.log[..base]));
        }
    }

    /// The membership that counts at the end of the snapshot, if there is one.
    pub fn snapshot_membership(&self) -> (Index, Membership) {
        let initial = || (Index::ZERO, self.membership.clone());
        self.disk.snapshot_membership.clone().unwrap_or_else(initial)
    }

    /// Takes in the snapshot of another member.
    pub fn install(
        &mut self,
        now: Instant,
        snapshot: &[Entry],
        membership: (Index, Membership),
    ) -> Installed {
        let raft = self.raft.as_mut().expect("the member runs");
        let point = last_of(snapshot);
        if raft.would_install(point) {
            self.disk.snapshot = snapshot.to_vec();
            self.disk.snapshot_membership = Some(membership.clone());
        }
        let installed = raft.install(now, point, membership);
        if installed == Installed::Reset {
            self.log = snapshot.to_vec();
        }
        installed
    }

    /// The first `writes_kept` of the waiting writes reach the disk, unconfirmed; the rest is lost.
    pub fn crash(&mut self, writes_kept: usize) {
        self.persist(writes_kept);
        self.queue.clear();
        self.raft = None;
    }

    pub fn step(&mut self, now: Instant, input: Input) {
        self.raft.as_mut().expect("the member runs").step(now, input);
    }

    pub fn snapshot(&self) -> Option<Snapshot> {
        self.raft.as_ref().map(Snapshot::of)
    }

    pub fn check(&self, before: &Snapshot) {
        let raft = self.raft.as_ref().expect("the member runs");
        check_state(raft);
        check_step(before, raft);
    }

    /// Takes all that is ready, then an append for every peer that has room.
    pub fn drain(&mut self, now: Instant, payloads: &[u64]) -> Output {
        let mut raft = self.raft.take().expect("the member runs");
        let mut output = Output::default();
        let mut payloads = payloads;
        while raft.has_ready() {
            let ready = raft.ready();
            if let Some(write) = ready.write {
                payloads = self.take_write(&raft, &write, payloads);
                output.writes.push(write);
            }
            output.reads.extend(ready.reads);
            output.events.extend(ready.events);
            output.wanted = ready.wanted.or(output.wanted);
            let packets = ready.messages.into_iter();
            output.packets.extend(packets.map(|envelope| Packet { envelope, payloads: vec![] }));
        }
        let peers: Vec<NodeId> = raft.peers().collect();
        for peer in peers {
            while let Some(envelope) = raft.pull(now, peer, &TenBytes) {
                let entries = if let Message::Append(append) = &envelope.message {
                    place(append.previous.index)..place(append.last())
                } else {
                    let is_word = matches!(envelope.message, Message::InstallSnapshot { .. });
                    assert!(is_word, "only entries, or word of a snapshot, are pulled");
                    self.log.len()..self.log.len()
                };
                assert!(self.disk.base <= entries.start, "what is sent is in the log");
                let payloads = self.log[entries].iter().map(|entry| entry.payload).collect();
                output.packets.push(Packet { envelope, payloads });
            }
        }
        check_state(&raft);
        self.raft = Some(raft);
        output
    }

    /// The log as it is after a write. `payloads` are those that the input brought, whose last
    /// belongs to the last entry.
    fn take_write<'a>(&mut self, raft: &Raft, write: &Write, payloads: &'a [u64]) -> &'a [u64] {
        let Some(entries) = &write.entries else {
            self.queue.push_back((write.clone(), Vec::new(), Vec::new()));
            return payloads;
        };
        let count: u64 = entries.runs.iter().map(|run| run.count).sum();
        let count = usize::try_from(count).expect("small");
        let of_change =
            [7_000_000_000 + 1000 * entries.runs[0].term.value() + entries.first.value()];
        let own = match &entries.source {
            Source::TermStart => &[0][..],
            Source::Membership(membership) => {
                assert_eq!(raft.membership_at(entries.first), Some(membership));
                &of_change[..]
            }
            Source::Proposal | Source::Received => &payloads[payloads.len() - count..],
        };
        assert_eq!(own.len(), count, "every entry has its payload");
        let terms = entries.runs.iter().flat_map(|run| (0..run.count).map(|_| run.term));
        let new: Vec<Entry> =
            terms.zip(own).map(|(term, &payload)| Entry { term, payload }).collect();
        self.log.truncate(place(entries.first) - 1);
        assert_eq!(self.log.len() + 1, place(entries.first), "no hole in the log");
        self.log.extend(&new);
        let indexes = place(entries.first)..=self.log.len();
        let memberships = indexes.filter_map(|index| {
            let index = Index::new(u64::try_from(index).expect("small"));
            Some((index, raft.membership_at(index)?.clone()))
        });
        self.queue.push_back((write.clone(), new, memberships.collect()));
        match &entries.source {
            Source::TermStart | Source::Membership(_) => payloads,
            Source::Proposal | Source::Received => &[],
        }
    }

    /// The oldest `count` writes reach the disk; the receipt of the last of them.
    pub fn persist(&mut self, count: usize) -> Option<Receipt> {
        let mut receipt = None;
        for _ in 0..count {
            let Some((write, new, memberships)) = self.queue.pop_front() else { break };
            if let Some(hard_state) = write.hard_state {
                self.disk.hard_state = hard_state;
            }
            if let Some(point) = write.reset {
                self.disk.base = place(point.index);
                self.disk.entries = self.disk.snapshot[..self.disk.base].to_vec();
                self.disk.memberships.clear();
            }
            if let Some(entries) = &write.entries {
                self.disk.entries.truncate(place(entries.first) - 1);
                self.disk.entries.extend(new);
                self.disk.memberships.retain(|&(index, _)| index < entries.first);
                self.disk.memberships.extend(memberships);
            }
            receipt = Some(write.receipt);
        }
        receipt
    }
}
