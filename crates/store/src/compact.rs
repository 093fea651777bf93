//! The physical half of a compaction: removing what nobody can read any more.
//!
//! The logical half is one number, moved in the apply of the command. The removal goes through all
//! keys in order, a few hundred with each later apply. It is no part of what members agree on:
//! nothing that can be read, and not the hash, depends on how far it came.

use crate::leaf::Removed;
use crate::shared::Shared;

/// How far the removal came.
#[derive(Debug)]
pub(crate) struct Sweep {
    /// What is not readable from this revision on is to go.
    wanted: i64,
    /// What was not readable from this one on is gone.
    done: i64,
    /// A pass through the keys under way: what it removes up to, and the key where it goes on.
    pass: Option<(i64, Box<[u8]>)>,
}

impl Sweep {
    /// There is nothing to remove of a store that this revision was compacted in; -1 for none.
    pub(crate) fn new(compacted: i64) -> Self {
        Self { wanted: compacted, done: compacted, pass: None }
    }

    /// Asks for the removal of what nobody can read since this revision was compacted.
    pub(crate) fn wanted(&mut self, compacted: i64) {
        assert!(self.wanted < compacted, "compactions go forward");
        self.wanted = compacted;
    }

    /// Removes a bounded amount, if there is something to remove that no view may read. Whether
    /// there may be more.
    pub(crate) fn step(&mut self, shared: &Shared) -> bool {
        if self.done == self.wanted {
            return false;
        }
        let (floor, from) = match self.pass.take() {
            Some(pass) => pass,
            None => (shared.floor(self.wanted), Box::default()),
        };
        if floor <= self.done {
            return false;
        }
        let mut versions = shared.write();
        let mut removed = Removed::default();
        let next = versions.tree.forget(&from, floor, &mut removed);
        versions.status.remove(removed);
        drop(versions);
        match next {
            Some(next) => self.pass = Some((floor, next)),
            None => self.done = floor,
        }
        true
    }
}
