//! Who the members are, in the shape of joint consensus (§6).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::types::{Index, NodeId};

/// A configuration of the cluster. Outside a change `outgoing` is empty; during one, every decision
/// needs a majority of `incoming` *and* one of `outgoing`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The voters, or those of the new configuration during a change.
    pub incoming: BTreeSet<NodeId>,
    /// The voters of the old configuration during a change; empty otherwise.
    pub outgoing: BTreeSet<NodeId>,
    /// Members that get the log and have no vote. Disjoint from both sets of voters.
    pub learners: BTreeSet<NodeId>,
    /// Voters of `outgoing` that become learners when the change ends.
    pub learners_next: BTreeSet<NodeId>,
}

impl Membership {
    /// A membership of voters alone, outside any change.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self { incoming: voters.into_iter().collect(), ..Self::default() }
    }

    /// Whether `node` votes, in either half.
    #[must_use]
    pub fn is_voter(&self, node: NodeId) -> bool {
        self.incoming.contains(&node) || self.outgoing.contains(&node)
    }

    /// Whether `node` gets the log.
    #[must_use]
    pub fn is_member(&self, node: NodeId) -> bool {
        self.is_voter(node) || self.learners.contains(&node)
    }

    /// Everyone who gets the log, in order, each once.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        let voters = self.incoming.union(&self.outgoing);
        let learners = self.learners.iter();
        // Learners are disjoint from voters, so no one comes twice.
        voters.chain(learners).copied()
    }

    /// Whether the sets can stand together: voters exist, and learners are not among them.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        !self.incoming.is_empty()
            && self.learners.iter().all(|&learner| !self.is_voter(learner))
            && self.learners_next.is_subset(&self.outgoing)
            && self.learners_next.is_disjoint(&self.incoming)
    }

    /// Whether this is the membership of a change that has not ended.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// The membership with which the change to these voters and learners begins: a joint one,
    /// unless the voters stay as they are. This one is not joint.
    pub(crate) fn begin_change(
        &self,
        voters: &BTreeSet<NodeId>,
        learners: &BTreeSet<NodeId>,
    ) -> Self {
        assert!(!self.is_joint(), "one change ends before the next begins");
        if *voters == self.incoming {
            let incoming = voters.clone();
            return Self { incoming, learners: learners.clone(), ..Self::default() };
        }
        Self {
            incoming: voters.clone(),
            outgoing: self.incoming.clone(),
            learners: learners.difference(&self.incoming).copied().collect(),
            // Who still votes in the old half is no learner yet.
            learners_next: learners.intersection(&self.incoming).copied().collect(),
        }
    }

    /// The membership with which the change ends that this joint one began.
    pub(crate) fn end_change(&self) -> Self {
        assert!(self.is_joint(), "only a change that has begun can end");
        Self {
            incoming: self.incoming.clone(),
            learners: self.learners.union(&self.learners_next).copied().collect(),
            ..Self::default()
        }
    }
}

/// What a membership means for one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It was a member before, and is none now.
    Removed,
    /// Nothing of the kind.
    None,
}

/// The memberships of a log. A membership counts from the moment its entry is *appended* (§6), and
/// no longer when that entry is truncated.
///
/// Never empty; ordered by index; the first is the initial membership or the one restored.
#[derive(Clone, Debug)]
pub(crate) struct Memberships(Vec<(Index, Membership)>);

impl Memberships {
    /// Takes memberships that were found valid: not empty, ordered by index.
    pub(crate) fn new(memberships: Vec<(Index, Membership)>) -> Self {
        assert!(!memberships.is_empty(), "a member knows at least the initial membership");
        assert!(memberships.is_sorted_by(|a, b| a.0 < b.0), "memberships are ordered by index");
        Self(memberships)
    }

    /// The membership that counts.
    pub(crate) fn current(&self) -> &Membership {
        let (_, membership) = self.0.last().expect("the first membership is never removed");
        membership
    }

    /// The index of the membership that counts.
    pub(crate) fn current_index(&self) -> Index {
        self.0.last().expect("the first membership is never removed").0
    }

    /// The membership that the entry at `index` brought.
    pub(crate) fn at(&self, index: Index) -> Option<&Membership> {
        self.0.iter().find(|&&(at, _)| at == index).map(|(_, membership)| membership)
    }

    /// The membership before the one that counts, if this log knows it.
    pub(crate) fn previous(&self) -> Option<&Membership> {
        self.0.iter().nth_back(1).map(|(_, membership)| membership)
    }

    /// The indexes of the memberships after `before`, up to `last`, each with whether `node` was a
    /// member until then and is none any more.
    pub(crate) fn removals(
        &self,
        before: Index,
        last: Index,
        node: NodeId,
    ) -> Vec<(Index, Removal)> {
        let steps = self.0.windows(2).filter(|step| before < step[1].0 && step[1].0 <= last);
        steps
            .map(|step| {
                let is_removed = step[0].1.is_member(node) && !step[1].1.is_member(node);
                (step[1].0, if is_removed { Removal::Removed } else { Removal::None })
            })
            .collect()
    }

    /// How many memberships stand after `index`.
    pub(crate) fn count_after(&self, index: Index) -> usize {
        self.0.iter().filter(|&&(at, _)| index < at).count()
    }

    /// Takes the membership of an appended entry.
    pub(crate) fn append(&mut self, index: Index, membership: Membership) {
        assert!(self.current_index() < index, "memberships are appended in order");
        self.0.push((index, membership));
    }

    /// Forgets the memberships of entries after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        self.0.retain(|&(index, _)| index <= last);
        assert!(!self.0.is_empty(), "the first membership is never truncated");
    }

    /// Forgets the memberships that no longer count at `base`.
    pub(crate) fn compact(&mut self, base: Index) {
        let gone = self.0.partition_point(|&(index, _)| index <= base).saturating_sub(1);
        self.0.drain(..gone);
    }

    /// The memberships of the entries after `previous`, up to `last`.
    pub(crate) fn between(&self, previous: Index, last: Index) -> Vec<(Index, Membership)> {
        if self.current_index() <= previous {
            return Vec::new();
        }
        self.0.iter().filter(|(index, _)| previous < *index && *index <= last).cloned().collect()
    }
}
