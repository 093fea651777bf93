//! What follows from an input: the core's wishes are carried out and gathered as effects.

use quorate_log::{Block, BlockBuilder, Disk, EntryKind, Log};
use quorate_raft::{
    Append as CoreAppend, Entries, Envelope, Index, Instant, Message, NodeId, Ready, Run, Sizes,
    Source, Write,
};

use crate::effects::{Effects, Fatal};
use crate::machine::StateMachine;
use crate::membership::Members;
use crate::message::{Append, Body, PeerMessage};
use crate::replica::Replica;

/// No log reaches beyond it: what a peer says about such indexes makes no sense.
const INDEX_MAX: u64 = 1 << 60;

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Carries out what the last inputs led to, and says what the shell has to do.
    ///
    /// # Errors
    /// If the log cannot be read: the member must stop.
    pub fn effects(&mut self, now: Instant) -> Result<Effects<D, M::Reply>, Fatal> {
        self.drain();
        if let Some(wanted) = self.wanted.take() {
            self.on_wanted(now, wanted);
        }
        self.go_on_fetching(now);
        self.maybe_tell_room(now);
        self.place_proposals(now);
        let more = self.apply_committed()?;
        self.go_on_comparing(now);
        // What was applied may have set free what an older term had left undecided.
        self.place_proposals(now);
        self.release_reads();
        self.maybe_take_snapshot();
        self.give_snapshot_jobs();
        let mut effects = std::mem::take(&mut self.effects);
        effects.job = self.log.begin_sync();
        if effects.job.is_none() && std::mem::take(&mut self.wants_space) {
            effects.job = self.log.begin_allocate();
        }
        effects.more = more;
        Ok(effects)
    }

    /// Takes everything that the core has ready.
    pub(crate) fn drain(&mut self) {
        while self.raft.has_ready() {
            let Ready { write, messages, reads, wanted, events } = self.raft.ready();
            if let Some(write) = write {
                self.write(write);
            }
            self.effects.messages.extend(messages.into_iter().map(without_payload));
            self.reads.extend(reads);
            self.wanted = wanted.or(self.wanted);
            self.effects.events.extend(events);
        }
        self.staged.clear();
        self.staged_members.clear();
        if !self.raft.is_leader() && self.raft.leader().is_none() {
            self.rooms.on_no_leader();
            self.pressure.on_no_leader();
        }
    }

    fn write(&mut self, write: Write) {
        let blocks = match write.entries {
            Some(entries) => {
                self.roster.truncate(entries.first);
                self.payloads(&entries)
            }
            None => Vec::new(),
        };
        let sequence = match write.reset {
            None => self.log.append(write.hard_state, &blocks),
            Some(point) => {
                if write.hard_state.is_some() {
                    self.log.append(write.hard_state, []);
                }
                let reset = self.log.reset(point);
                self.reset = Some((reset, point.index));
                if blocks.is_empty() { reset } else { self.log.append(None, &blocks) }
            }
        };
        self.writes.push_back((sequence, write.receipt));
    }

    /// The blocks of `entries`, from what was staged.
    ///
    /// # Panics
    /// If what was staged is not what the core took: a bug of ours.
    fn payloads(&mut self, entries: &Entries) -> Vec<Block> {
        match &entries.source {
            Source::TermStart => {
                let run = entries.runs.first().expect("a term starts with one entry");
                assert_eq!((entries.runs.len(), run.count), (1, 1), "a term starts with one entry");
                let mut builder = BlockBuilder::new();
                builder.push(EntryKind::NoOp, 0, 0, &[]);
                vec![builder.finish(entries.first, run.term)]
            }
            Source::Membership(membership) => {
                let run = entries.runs.first().expect("a membership is one entry");
                let members = self.roster.next(membership);
                let mut builder = BlockBuilder::new();
                builder.push(EntryKind::Membership, 0, 0, &members.encode());
                self.roster.append(entries.first, members);
                vec![builder.finish(entries.first, run.term)]
            }
            Source::Proposal | Source::Received => {
                for (index, members) in self.staged_members.drain(..) {
                    if entries.first <= index {
                        self.roster.append(index, members);
                    }
                }
                let mut blocks = std::mem::take(&mut self.staged);
                // A follower may hold the first of them already.
                blocks.retain(|block| entries.first <= block.last().index);
                if let Some(first) = blocks.first_mut()
                    && first.first() < entries.first
                {
                    *first = first.slice(entries.first, first.last().index.next());
                }
                let staged: u64 = blocks.iter().map(|block| u64::from(block.count())).sum();
                let wanted: u64 = entries.runs.iter().map(|run| run.count).sum();
                assert_eq!(staged, wanted, "the payloads are those the core took");
                assert_eq!(
                    blocks.first().map(Block::first),
                    Some(entries.first),
                    "the payloads are those the core took"
                );
                blocks
            }
        }
    }

    /// Takes an append apart; `None` if it makes no sense.
    pub(crate) fn examine_append(&self, append: Append) -> Option<Examined> {
        if append.previous.index.value() > INDEX_MAX {
            return None;
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut staged = Vec::new();
        let mut next = append.previous.index.next();
        for block in &append.blocks {
            if block.first() != next {
                return None;
            }
            next = block.last().index.next();
            let count = u64::from(block.count());
            match runs.last_mut() {
                Some(run) if run.term == block.term() => run.count += count,
                Some(_) | None => runs.push(Run { term: block.term(), count }),
            }
            for entry in block.entries().filter(|entry| entry.kind == EntryKind::Membership) {
                staged.push((entry.id.index, Members::decode(&entry.body)?));
            }
        }
        let Append { previous, blocks, commit } = append;
        let memberships = staged.iter().map(|(at, members)| (*at, members.membership.clone()));
        let memberships = memberships.collect();
        let core = CoreAppend { previous, runs, memberships, commit };
        Some(Examined { core, blocks, members: staged })
    }

    pub(crate) fn pull_append(
        &mut self,
        now: Instant,
        peer: NodeId,
    ) -> Result<Option<PeerMessage>, Fatal> {
        let Some(envelope) = self.raft.pull(now, peer, &LogSizes(&self.log)) else {
            return Ok(None);
        };
        let Envelope { from, to, term, message } = envelope;
        let Message::Append(append) = message else {
            // Word that a snapshot is needed.
            return Ok(Some(PeerMessage { from, to, term, body: Body::Raft(message) }));
        };
        let first = append.previous.index.next();
        let end = append.last().next();
        let blocks = if first < end { self.log.read(first, end, u64::MAX)? } else { Vec::new() };
        let count: u64 = blocks.iter().map(|block| u64::from(block.count())).sum();
        assert_eq!(count, end.since(first), "the log reads what it was asked for");
        let body =
            Body::Append(Append { previous: append.previous, blocks, commit: append.commit });
        Ok(Some(PeerMessage { from, to, term, body }))
    }
}

/// An append, taken apart.
pub(crate) struct Examined {
    /// What the core looks at.
    pub(crate) core: CoreAppend,
    /// Its payloads.
    pub(crate) blocks: Vec<Block>,
    /// What its membership entries say.
    pub(crate) members: Vec<(Index, Members)>,
}

fn without_payload(envelope: Envelope) -> PeerMessage {
    let Envelope { from, to, term, message } = envelope;
    PeerMessage { from, to, term, body: Body::Raft(message) }
}

/// The log as the core sees it: sizes only.
struct LogSizes<'a, D: Disk>(&'a Log<D>);

impl<D: Disk> Sizes for LogSizes<'_, D> {
    fn fit(&self, first: Index, count_max: u64, bytes_max: u64) -> (u64, u64) {
        self.0.fit(first, count_max, bytes_max)
    }
}
