//! The youngest blocks, in memory.
//!
//! **Invariants.** The blocks are consecutive and end with the log's last entry; only the oldest
//! are given up, compacted or not; a reset forgets all. A block that is not durable yet is never
//! given up, since it can be read from nowhere else.

use std::collections::VecDeque;

use quorate_raft::Index;

use crate::block::Block;
use crate::log::Sequence;

/// The youngest blocks of a log.
#[derive(Debug)]
pub(crate) struct Cache {
    blocks: VecDeque<(Sequence, Block)>,
    bytes: u64,
    bytes_max: u64,
}

impl Cache {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { blocks: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Adds a block; whatever was at its first index and beyond is forgotten.
    pub(crate) fn push(&mut self, sequence: Sequence, block: Block) {
        self.truncate(block.first());
        self.bytes += block.bytes_len();
        self.blocks.push_back((sequence, block));
    }

    /// Gives up the oldest blocks that are durable, until the rest fits.
    pub(crate) fn shrink(&mut self, durable: Sequence) {
        while self.bytes > self.bytes_max
            && self.blocks.front().is_some_and(|&(sequence, _)| sequence <= durable)
        {
            let (_, block) = self.blocks.pop_front().expect("there is a first one");
            self.bytes -= block.bytes_len();
        }
    }

    /// Forgets everything: none of it counts any more.
    pub(crate) fn clear(&mut self) {
        self.blocks.clear();
        self.bytes = 0;
    }

    /// The first index that is here, if any is.
    pub(crate) fn first(&self) -> Option<Index> {
        self.blocks.front().map(|(_, block)| block.first())
    }

    /// The block that holds an index, and all after it; none if the index was given up.
    pub(crate) fn from(&self, index: Index) -> impl Iterator<Item = &Block> {
        let held = self.first().is_some_and(|first| first <= index);
        let start = if held {
            self.blocks.partition_point(|(_, block)| block.next() <= index)
        } else {
            self.blocks.len()
        };
        self.blocks.range(start..).map(|(_, block)| block)
    }

    fn truncate(&mut self, from: Index) {
        while let Some((sequence, block)) = self.blocks.pop_back() {
            self.bytes -= block.bytes_len();
            if block.first() < from {
                let kept =
                    if block.next() > from { block.slice(block.first(), from) } else { block };
                self.bytes += kept.bytes_len();
                self.blocks.push_back((sequence, kept));
                return;
            }
        }
    }
}
