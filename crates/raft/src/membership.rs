//! Who the members are, in the shape of joint consensus (§6).

use alloc::collections::BTreeSet;

use crate::types::NodeId;

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
