//! Who the members are, and changes of that while serving.
//!
//! The core knows ids; what the shell keeps about members (their *contexts*) stands in the same
//! entries and follows the same rules: it counts from the append on, and no more when the entry is
//! truncated. The entry with which the core ends a change by itself takes over what was known
//! before.
//!
//! **Invariants.** The roster has the members of every membership that the core may go back to. An
//! id that was removed is never a member again, as far back as removals are remembered.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_log::Disk;
use quorate_raft::{ChangeError, EntryId, Index, Instant, Membership, NodeId, Target};

use crate::machine::StateMachine;
use crate::membership::{CONTEXT_BYTES_MAX, Members};
use crate::replica::Replica;

/// The members after each membership entry of the log.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    /// By the index of the entry; never empty.
    known: BTreeMap<Index, Members>,
    /// What the change that is being proposed says of members.
    news: BTreeMap<NodeId, Bytes>,
}

impl Roster {
    pub(crate) fn new(known: impl IntoIterator<Item = (Index, Members)>) -> Self {
        Self { known: known.into_iter().collect(), news: BTreeMap::new() }
    }

    /// The members that count.
    pub(crate) fn current(&self) -> &Members {
        let (_, members) = self.known.last_key_value().expect("there is always a membership");
        members
    }

    /// Entries from `first` on take the place of what was there.
    pub(crate) fn truncate(&mut self, first: Index) {
        if self.known.last_key_value().is_some_and(|(last, _)| first <= *last) {
            self.known.retain(|index, _| *index < first);
        }
    }

    pub(crate) fn append(&mut self, index: Index, members: Members) {
        self.known.insert(index, members);
    }

    /// The members after a membership that the core appends.
    pub(crate) fn next(&mut self, membership: &Membership) -> Members {
        let news = std::mem::take(&mut self.news);
        self.current().followed_by(membership.clone(), &news)
    }

    /// The entries up to `applied` cannot be undone.
    pub(crate) fn settle(&mut self, applied: Index) {
        if let Some((&counts, _)) = self.known.range(..=applied).next_back() {
            self.known = self.known.split_off(&counts);
        }
    }
}

/// Why a change of membership was not begun. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// The core says why.
    #[error(transparent)]
    Core(#[from] ChangeError),
    /// A removed member's id would be used again.
    #[error(
        "member {:x} was removed before, and ids are not used again; add it with another id and \
         an empty data directory",
        member.value()
    )]
    WasRemoved {
        /// Whose.
        member: NodeId,
    },
    /// What is to be kept about a member is too long.
    #[error(
        "what is to be known about member {:x} has {bytes} bytes; give at most \
         {CONTEXT_BYTES_MAX}, such as fewer or shorter addresses",
        member.value()
    )]
    ContextTooLarge {
        /// Whose.
        member: NodeId,
        /// How long it is.
        bytes: usize,
    },
    /// Something is said about who would be no member.
    #[error("member {:x} is none, before or after the change", member.value())]
    NotAMember {
        /// Who.
        member: NodeId,
    },
    /// The disk of this member or those of a majority are full.
    #[error("the disk is full; free space on the members' disks")]
    DiskFull,
}

/// What became of a change of membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It is not decided.
    Pending,
    /// It is committed, and so is the entry that ends it.
    Done,
    /// Another leader's entries took its place: nothing has changed.
    Lost,
    /// It was decided long ago, and nothing here tells how.
    Unknown,
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// Begins a change of membership, if this member leads. `contexts` are of new members and of
    /// those of whom something else is to be known. The new membership counts from now on;
    /// [`Self::change_outcome`] tells when the change has ended, which it does by itself. See
    /// [`quorate_raft::Raft::change_membership`].
    ///
    /// # Errors
    /// What speaks against the change.
    pub fn change_membership(
        &mut self,
        now: Instant,
        target: &Target,
        contexts: BTreeMap<NodeId, Bytes>,
    ) -> Result<EntryId, ChangeRefused> {
        let current = self.roster.current();
        let wished = || target.voters.iter().chain(&target.learners).copied();
        let is_new = |id: &NodeId| !current.membership.is_member(*id);
        if let Some(member) = wished().find(|id| is_new(id) && current.removed.contains(id)) {
            return Err(ChangeRefused::WasRemoved { member });
        }
        for (&member, context) in &contexts {
            if CONTEXT_BYTES_MAX < context.len() {
                return Err(ChangeRefused::ContextTooLarge { member, bytes: context.len() });
            }
            if !wished().any(|id| id == member) {
                return Err(ChangeRefused::NotAMember { member });
            }
        }
        if self.raft.is_leader() && !self.has_room(now) {
            self.wants_space = true;
            return Err(ChangeRefused::DiskFull);
        }
        let proposed = self.raft.change_membership(now, target)?;
        self.roster.news = contexts;
        self.drain();
        Ok(proposed.first)
    }

    /// What became of the change that began with `entry` at this member.
    #[must_use]
    pub fn change_outcome(&self, entry: EntryId) -> ChangeOutcome {
        match self.raft.term_at(entry.index) {
            Some(term) if term != entry.term => ChangeOutcome::Lost,
            Some(_) if self.raft.commit() < entry.index => ChangeOutcome::Pending,
            Some(_) if self.raft.is_change_pending() => ChangeOutcome::Pending,
            Some(_) => ChangeOutcome::Done,
            // Truncated, and nothing has come in its place yet.
            None if self.raft.last().index < entry.index => ChangeOutcome::Pending,
            None => ChangeOutcome::Unknown,
        }
    }

    /// The members that count, committed or not.
    #[must_use]
    pub fn members(&self) -> &Members {
        self.roster.current()
    }

    /// The members by all that is applied here: this is not undone.
    #[must_use]
    pub fn members_applied(&self) -> &Members {
        &self.membership.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(id: u64, context: &'static str) -> Members {
        let contexts = [(NodeId::new(id), Bytes::from(context))].into();
        Members { contexts, ..Members::from(Membership::of_voters([NodeId::new(id)])) }
    }

    #[test]
    fn what_is_truncated_is_forgotten_and_what_is_applied_is_not() {
        let at = Index::new;
        let mut roster = Roster::new([(at(0), named(1, "a")), (at(4), named(1, "b"))]);
        roster.append(at(6), named(1, "c"));
        assert_eq!(roster.current(), &named(1, "c"));
        roster.truncate(at(7));
        assert_eq!(roster.current(), &named(1, "c"));
        roster.truncate(at(5));
        assert_eq!(roster.current(), &named(1, "b"));
        roster.settle(at(5));
        assert_eq!(roster.known.len(), 1);
        assert_eq!(roster.current(), &named(1, "b"));
    }
}
