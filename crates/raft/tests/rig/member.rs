//! One member: the core, its disk, and the log with payloads that a replica would keep.

use std::collections::VecDeque;

use quorate_raft::invariants::{Snapshot, check_state, check_step};
use quorate_raft::{
    Config, Event, HardState, Index, Input, Instant, Membership, Message, NodeId, Raft, ReadReady,
    Receipt, Restored, Run, Sizes, Source, Term, Write,
};

use super::Packet;
use super::clock::Clock;

/// An entry: who made it, and what it says. The no-op of a term says 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub term: Term,
    pub payload: u64,
}

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub hard_state: HardState,
    pub entries: Vec<Entry>,
}

pub struct Member {
    pub config: Config,
    pub membership: Membership,
    pub clock: Clock,
    pub raft: Option<Raft>,
    pub disk: Disk,
    /// The log as the running member sees it, durable or not.
    pub log: Vec<Entry>,
    /// Writes that the disk has not done yet, with their entries.
    pub queue: VecDeque<(Write, Vec<Entry>)>,
}

/// What a member had to say after an input.
#[derive(Default)]
pub struct Output {
    pub writes: Vec<Write>,
    pub packets: Vec<Packet>,
    pub reads: Vec<ReadReady>,
    pub events: Vec<Event>,
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
        let mut runs: Vec<Run> = Vec::new();
        for entry in &self.disk.entries {
            match runs.last_mut() {
                Some(run) if run.term == entry.term => run.count += 1,
                _ => runs.push(Run { term: entry.term, count: 1 }),
            }
        }
        let restored = Restored {
            hard_state: self.disk.hard_state,
            runs,
            memberships: vec![(Index::ZERO, self.membership.clone())],
        };
        self.log = self.disk.entries.clone();
        let raft = Raft::new(self.config.clone(), restored, now);
        self.raft = Some(raft.expect("a disk of this rig is sound"));
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
                payloads = self.take_write(&write, payloads);
                output.writes.push(write);
            }
            output.reads.extend(ready.reads);
            output.events.extend(ready.events);
            let packets = ready.messages.into_iter();
            output.packets.extend(packets.map(|envelope| Packet { envelope, payloads: vec![] }));
        }
        let peers: Vec<NodeId> = raft.peers().collect();
        for peer in peers {
            while let Some(envelope) = raft.pull(now, peer, &TenBytes) {
                let Message::Append(append) = &envelope.message else {
                    panic!("only appends are pulled")
                };
                let entries = place(append.previous.index)..place(append.last());
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
    fn take_write<'a>(&mut self, write: &Write, payloads: &'a [u64]) -> &'a [u64] {
        let Some(entries) = &write.entries else {
            self.queue.push_back((write.clone(), Vec::new()));
            return payloads;
        };
        let count: u64 = entries.runs.iter().map(|run| run.count).sum();
        let count = usize::try_from(count).expect("small");
        let own = match entries.source {
            Source::TermStart => &[0][..],
            Source::Proposal | Source::Received => &payloads[payloads.len() - count..],
        };
        assert_eq!(own.len(), count, "every entry has its payload");
        let terms = entries.runs.iter().flat_map(|run| (0..run.count).map(|_| run.term));
        let new: Vec<Entry> =
            terms.zip(own).map(|(term, &payload)| Entry { term, payload }).collect();
        self.log.truncate(place(entries.first) - 1);
        assert_eq!(self.log.len() + 1, place(entries.first), "no hole in the log");
        self.log.extend(&new);
        self.queue.push_back((write.clone(), new));
        if entries.source == Source::TermStart { payloads } else { &[] }
    }

    /// The oldest `count` writes reach the disk; the receipt of the last of them.
    pub fn persist(&mut self, count: usize) -> Option<Receipt> {
        let mut receipt = None;
        for _ in 0..count {
            let Some((write, new)) = self.queue.pop_front() else { break };
            if let Some(hard_state) = write.hard_state {
                self.disk.hard_state = hard_state;
            }
            if let Some(entries) = &write.entries {
                self.disk.entries.truncate(place(entries.first) - 1);
                self.disk.entries.extend(new);
            }
            receipt = Some(write.receipt);
        }
        receipt
    }
}
