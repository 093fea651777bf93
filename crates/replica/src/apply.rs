//! Committed entries go to the state machine; what waited for them is released.

use quorate_log::{Block, Disk, EntryKind};

use crate::effects::Fatal;
use crate::machine::{Command, StateMachine, Wants};
use crate::membership::Members;
use crate::replica::Replica;

/// Payload bytes applied in one call: what a member may be busy with before it looks at its
/// messages and timers again.
const APPLY_BYTES_MAX: u64 = 1024 * 1024;

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Applies what is committed, up to a bound. Returns whether there is more.
    pub(crate) fn apply_committed(&mut self) -> Result<bool, Fatal> {
        let commit = self.raft.commit();
        assert!(self.applied.index <= commit, "what is applied is committed");
        if self.applied.index == commit || self.lacks_state() {
            return Ok(false);
        }
        let blocks = self.log.read(self.applied.index.next(), commit.next(), APPLY_BYTES_MAX)?;
        assert!(!blocks.is_empty(), "committed entries are in the log");
        for block in &blocks {
            self.apply_block(block)?;
        }
        Ok(self.applied.index < commit)
    }

    fn apply_block(&mut self, block: &Block) -> Result<(), Fatal> {
        assert_eq!(block.first(), self.applied.index.next(), "entries are applied in order");
        if self.applied.term < block.term() {
            self.own.on_term_applied(block.term());
        }
        self.commands.clear();
        self.sequences.clear();
        // Entries of one origin mostly come in a row.
        let mut line: Option<(u64, u64)> = None;
        for entry in block.entries() {
            match entry.kind {
                EntryKind::Command => {
                    if let Some((origin, sequence)) = line
                        && origin != entry.origin
                    {
                        self.decided.note(origin, sequence, block.last().index);
                    }
                    line = Some((entry.origin, entry.sequence));
                    let own = self.own.on_applied(entry.origin, entry.sequence);
                    if own {
                        self.sequences.push(entry.sequence);
                    }
                    let wants = if own { Wants::Reply } else { Wants::Nothing };
                    self.checks.on_command(entry.body.len());
                    self.commands.push(Command { index: entry.id.index, body: entry.body, wants });
                }
                EntryKind::Membership => {
                    let members = Members::decode(&entry.body);
                    let members = members.expect("memberships were decoded when appended");
                    self.membership = (entry.id.index, members);
                    self.roster.settle(entry.id.index);
                }
                EntryKind::Check => {
                    // The state must be the one that all before this entry make, and no more.
                    self.apply_commands();
                    self.on_check(entry.id.index, &entry.body)?;
                }
                EntryKind::NoOp => {}
            }
        }
        if let Some((origin, sequence)) = line {
            self.decided.note(origin, sequence, block.last().index);
        }
        self.apply_commands();
        self.applied = block.last();
        self.snapshots.on_applied(self.applied.index, block.bytes_len());
        Ok(())
    }

    /// Has the machine apply the commands that were gathered.
    fn apply_commands(&mut self) {
        self.machine.apply(&self.commands, &mut self.replies);
        assert_eq!(self.replies.len(), self.sequences.len(), "one reply to each who waits");
        self.effects.replies.extend(self.sequences.drain(..).zip(self.replies.drain(..)));
        self.commands.clear();
    }

    /// Lets go the reads whose index is applied.
    pub(crate) fn release_reads(&mut self) {
        let applied = self.applied.index;
        while let Some(read) = self.reads.pop_front_if(|read| read.index <= applied) {
            self.effects.reads = self.effects.reads.max(Some(read.ticket));
            self.fresh.on_released(read.ticket);
        }
    }
}
