//! What happened inside the core, for people, counters and transcripts. The core does not log.

use crate::types::{NodeId, Term};

/// An event, with its reason where there is a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This member leads from now on.
    BecameLeader {
        /// The term it leads.
        term: Term,
    },
    /// This member follows, with or without a known leader.
    BecameFollower {
        /// The term.
        term: Term,
        /// The leader, once known.
        leader: Option<NodeId>,
    },
}
