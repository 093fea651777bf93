//! How far each member's proposals are applied, so that who takes in a snapshot learns what became
//! of its own.
//!
//! A member that applies entry by entry sees its own proposals go by. One that takes in a snapshot
//! does not: this table, kept beside every snapshot, says which of them are in it. It is for the
//! members only, and no part of what is compared between them.
//!
//! **Invariant.** Proposals of one origin are applied in order and without gaps, so a number is
//! enough. An origin is a life of a member; those that were quiet for longest are forgotten, and
//! then it is known that something was.

use std::collections::BTreeMap;

use quorate_raft::Index;

/// Lives of members that are remembered.
const ORIGINS_MAX: usize = 1024;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    /// For each origin: the last sequence applied, and where.
    pub(crate) origins: BTreeMap<u64, (u64, Index)>,
    /// Up to where something was forgotten; zero if nothing was.
    pub(crate) forgotten: Index,
}

/// What became of an origin's proposals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Those up to this sequence are applied, and no others; 0 for none.
    AppliedThrough(u64),
    /// It was forgotten.
    Unknown,
}

impl Decided {
    /// The proposal `sequence` of `origin`, and all before it, are applied at `index` or before.
    pub(crate) fn note(&mut self, origin: u64, sequence: u64, index: Index) {
        self.origins.insert(origin, (sequence, index));
        if self.origins.len() > ORIGINS_MAX {
            let oldest = self.origins.iter().min_by_key(|(_, (_, index))| *index);
            let (&origin, &(_, index)) = oldest.expect("there are more than enough");
            self.origins.remove(&origin);
            self.forgotten = self.forgotten.max(index);
        }
    }

    /// What became of the proposals of `origin`.
    pub(crate) fn of(&self, origin: u64) -> Fate {
        match self.origins.get(&origin) {
            Some(&(sequence, _)) => Fate::AppliedThrough(sequence),
            None if self.forgotten == Index::ZERO => Fate::AppliedThrough(0),
            None => Fate::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_quiet_for_longest_is_forgotten_and_that_is_known() {
        let mut decided = Decided::default();
        assert_eq!(decided.of(7), Fate::AppliedThrough(0));
        for origin in 0..1024 {
            decided.note(origin, 1, Index::new(origin + 1));
        }
        decided.note(0, 2, Index::new(2000));
        assert_eq!(decided.of(5000), Fate::AppliedThrough(0), "nobody was forgotten yet");
        decided.note(5000, 1, Index::new(2001));
        assert_eq!(decided.of(0), Fate::AppliedThrough(2));
        assert_eq!(decided.of(1), Fate::Unknown);
        assert_eq!(decided.forgotten, Index::new(2));
    }
}
