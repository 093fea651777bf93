//! A naive model of the log, and a workload to run against both.

use quorate_log::{
    Block, BlockBuilder, Disk, EntryKind, Identity, Log, MemDisk, OpenError, Options, Recovered,
};
use quorate_raft::{EntryId, HardState, Index, NodeId, Term};

/// Whose log it is.
pub const IDENTITY: Identity = Identity { cluster: 0xc1, member: 0x11 };

/// Small sizes, so that a few records fill a segment.
pub const SMALL: Options =
    Options { segment_bytes: 2048, cache_bytes: 512, ahead_bytes: 1024, reserve_bytes: 256 };

/// A change of the log: one record on the disk.
#[derive(Clone, Debug)]
pub enum Change {
    /// A term and vote.
    State(HardState),
    /// The log goes on after another entry.
    Reset(EntryId),
    /// Entries.
    Entries(Block),
}

/// What a log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The term and vote.
    pub hard_state: HardState,
    /// The entry before the first one.
    pub base: EntryId,
    /// The entries after it.
    pub entries: Vec<(EntryId, EntryKind, u64, u64, Vec<u8>)>,
}

impl Held {
    /// What a log holds after some changes.
    pub fn after(changes: &[Change]) -> Self {
        let mut held = Self::default();
        for change in changes {
            held.apply(change);
        }
        held
    }

    /// Makes a change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::State(state) => self.hard_state = *state,
            Change::Reset(base) => {
                self.base = *base;
                self.entries.clear();
            }
            Change::Entries(block) => {
                let kept = block.first().previous().since(self.base.index);
                self.entries.truncate(usize::try_from(kept).unwrap());
                self.add(block);
            }
        }
    }

    /// The same without the entries up to `base`; none if it has no such entry.
    pub fn begun_after(&self, base: EntryId) -> Option<Self> {
        if base == self.base {
            return Some(self.clone());
        }
        let at = self.entries.iter().position(|entry| entry.0 == base)?;
        Some(Self { base, entries: self.entries[at + 1..].to_vec(), ..*self })
    }

    /// All that can be read of a log, in parts of `bytes_max`.
    pub fn of<D: Disk>(log: &Log<D>, bytes_max: u64) -> Self {
        let base = log.base();
        let mut held = Self { hard_state: log.hard_state(), base, entries: Vec::new() };
        let mut next = base.index.next();
        while next <= log.last().index {
            let blocks = log.read(next, log.last().index.next(), bytes_max).expect("sound");
            assert!(!blocks.is_empty(), "a read returns something");
            for block in &blocks {
                assert_eq!(block.first(), next, "blocks follow one another");
                held.add(block);
                next = block.next();
            }
        }
        held
    }

    fn add(&mut self, block: &Block) {
        for entry in block.entries() {
            let body = entry.body.to_vec();
            self.entries.push((entry.id, entry.kind, entry.origin, entry.sequence, body));
        }
    }
}

/// A block of `count` entries whose bodies are `length` long and tell `number`.
pub fn block(first: u64, term: u64, count: u64, length: usize, number: u64) -> Block {
    let mut builder = BlockBuilder::new();
    for at in 0..count {
        let mut body = vec![u8::try_from(number % 251).unwrap(); length];
        let tag = (number << 8 | at).to_le_bytes();
        let tagged = body.len().min(tag.len());
        body[..tagged].copy_from_slice(&tag[..tagged]);
        let kind = match (number + at) % 5 {
            0 => EntryKind::NoOp,
            1 => EntryKind::Membership,
            _ => EntryKind::Command,
        };
        builder.push(kind, number, at, &body);
    }
    builder.finish(Index::new(first), Term::new(term))
}

/// A term, with a vote for member `vote` unless that is 0.
pub fn state(term: u64, vote: u64) -> HardState {
    HardState { term: Term::new(term), vote: (vote > 0).then_some(NodeId::new(vote)) }
}

/// A step of a workload.
#[derive(Clone, Debug)]
pub enum Step {
    /// One append with these changes: at most one state, then at most one reset, then entries.
    Append(Vec<Change>),
    /// What was synced is forgotten up to an index.
    Compact(u64),
    /// Everything that waits becomes durable.
    Sync,
    /// The log is dropped and opened again; what was not synced is still in the page cache.
    Reopen,
    /// The log is closed in order and opened again.
    Close,
}

/// What was done to a log until the power failed.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// All changes appended.
    pub changes: Vec<Change>,
    /// How many of them are reported durable.
    pub acknowledged: usize,
    /// Up to where the log was told that a snapshot has the entries.
    pub covered: Index,
}

/// Opens the log of `IDENTITY`.
pub fn open(disk: &MemDisk) -> Result<(Log<MemDisk>, Recovered), OpenError> {
    Log::open(disk.clone(), IDENTITY, SMALL)
}

/// Appends changes.
pub fn append<D: Disk>(log: &mut Log<D>, changes: &[Change]) {
    let mut hard_state = None;
    let mut reset = None;
    let mut blocks = Vec::new();
    for change in changes {
        match change {
            Change::State(state) => hard_state = Some(*state),
            Change::Reset(base) => reset = Some(*base),
            Change::Entries(block) => blocks.push(block),
        }
    }
    if let Some(base) = reset {
        log.append(hard_state, []);
        log.reset(base);
        log.append(None, blocks);
    } else {
        log.append(hard_state, blocks);
    }
}

/// Makes everything durable that waits; false if the disk fails.
pub fn sync<D: Disk>(log: &mut Log<D>) -> bool {
    let Some(job) = log.begin_sync() else { return true };
    let sequence = job.sequence();
    let Ok(synced) = job.run() else { return false };
    assert_eq!(log.finish_sync(synced), sequence, "a job makes durable what it took");
    true
}

/// Runs a workload on a disk until it ends or the power fails.
pub fn run(disk: &MemDisk, steps: &[Step]) -> History {
    let mut history = History::default();
    let Ok((mut log, _)) = open(disk) else { return history };
    for step in steps {
        match step {
            Step::Append(changes) => {
                append(&mut log, changes);
                history.changes.extend_from_slice(changes);
                for change in changes {
                    if let Change::Reset(base) = change {
                        history.covered = history.covered.max(base.index);
                    }
                }
            }
            Step::Compact(through) => {
                history.covered = history.covered.max(Index::new(*through));
                log.compact(Index::new(*through));
            }
            Step::Sync => {
                if !sync(&mut log) {
                    return history;
                }
                history.acknowledged = history.changes.len();
            }
            Step::Reopen | Step::Close => {
                if matches!(step, Step::Close) {
                    if log.close().is_err() {
                        return history;
                    }
                    history.acknowledged = history.changes.len();
                } else {
                    drop(log);
                    // What was never begun to be written is gone with the process.
                    history.changes.truncate(history.acknowledged);
                }
                match open(disk) {
                    Ok((opened, _)) => log = opened,
                    Err(_) => return history,
                }
            }
        }
    }
    history
}

/// Conflicts, rotations, small and large blocks, several openings.
pub fn workload() -> Vec<Step> {
    use Step::{Append, Close, Reopen, Sync};
    let entries = |first, term, count, length, number| {
        Change::Entries(block(first, term, count, length, number))
    };
    vec![
        Append(vec![Change::State(state(1, 1))]),
        Sync,
        Append(vec![Change::State(state(1, 2)), entries(1, 1, 1, 0, 1)]),
        Append(vec![entries(2, 1, 3, 40, 2)]),
        Sync,
        // Replaces the end of a block, then the middle of another.
        Append(vec![Change::State(state(2, 0)), entries(4, 2, 2, 100, 3)]),
        Append(vec![entries(6, 2, 4, 50, 4)]),
        Append(vec![Change::State(state(3, 3)), entries(7, 3, 1, 10, 5)]),
        Sync,
        Reopen,
        // Larger than a sector, then over the end of the segment.
        Append(vec![entries(8, 3, 2, 500, 6)]),
        Sync,
        Append(vec![entries(10, 3, 1, 300, 7), entries(11, 3, 1, 300, 8)]),
        Append(vec![entries(12, 3, 1, 900, 9)]),
        Sync,
        Close,
        Append(vec![Change::State(state(5, 1)), entries(3, 5, 1, 5, 10)]),
        Sync,
        // Larger than a segment.
        Append(vec![entries(4, 5, 3, 800, 11)]),
        Sync,
        Append(vec![entries(7, 5, 1, 20, 12)]),
        Append(vec![Change::State(state(6, 0))]),
        Sync,
        Append(vec![entries(8, 6, 1, 20, 13), entries(9, 6, 1, 20, 14), entries(9, 6, 2, 9, 15)]),
    ]
}
