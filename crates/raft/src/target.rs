//! What may be asked of a change of membership, and what speaks against one.

use alloc::collections::BTreeSet;
use core::fmt;

use crate::types::{Index, NodeId};

/// How many voters a change may ask for. More cost every decision more messages and survive no more
/// faults in practice; and the arithmetic of quorums is quadratic.
pub const VOTERS_MAX: usize = 31;

/// How many members a change may ask for, voters and learners: the leader brings the log to each.
pub const MEMBERS_MAX: usize = 63;

/// The membership that is wished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// All members that shall vote.
    pub voters: BTreeSet<NodeId>,
    /// All members that shall get the log and have no vote.
    pub learners: BTreeSet<NodeId>,
    /// The membership that the wish is based on, by the index of its entry
    /// ([`crate::Raft::membership_index`]): if another counts by now, nothing is changed.
    pub expected: Option<Index>,
}

impl Target {
    /// Whether the wish is one at all, whatever the membership is now.
    pub(crate) fn check(&self) -> Result<(), ChangeError> {
        let Self { voters, learners, expected: _ } = self;
        if voters.is_empty() {
            return Err(ChangeError::NoVoters);
        }
        if let Some(&member) = voters.intersection(learners).next() {
            return Err(ChangeError::Overlap { member });
        }
        if VOTERS_MAX < voters.len() {
            return Err(ChangeError::TooManyVoters { count: voters.len() });
        }
        let count = voters.len() + learners.len();
        if MEMBERS_MAX < count { Err(ChangeError::TooManyMembers { count }) } else { Ok(()) }
    }
}

/// Why a change of membership did not begin. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeError {
    /// This member is not the leader; the one named is, as far as is known.
    NotLeader {
        /// The leader of the current term, if known.
        leader: Option<NodeId>,
    },
    /// This member hands its leadership over.
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// Nothing of this leader's term is committed yet: until then it does not know whether an
    /// earlier change is.
    TermNotCommitted,
    /// An earlier change has not ended.
    UnderWay {
        /// The entry that is to be committed first.
        index: Index,
    },
    /// The membership is another than the one that the change was meant for.
    Unexpected {
        /// The index that was expected.
        expected: Index,
        /// The index of the membership that counts.
        current: Index,
    },
    /// Nobody would vote.
    NoVoters,
    /// A member would be voter and learner at once.
    Overlap {
        /// Which.
        member: NodeId,
    },
    /// More voters than [`VOTERS_MAX`].
    TooManyVoters {
        /// How many.
        count: usize,
    },
    /// More members than [`MEMBERS_MAX`].
    TooManyMembers {
        /// How many.
        count: usize,
    },
    /// Who shall vote is not a learner now.
    NotALearner {
        /// Who.
        member: NodeId,
    },
    /// Who shall vote has not caught up with the log.
    Lagging {
        /// Who.
        member: NodeId,
        /// How many committed entries it lacks, as far as is known.
        missing: u64,
    },
    /// Who shall vote was not heard for an election timeout.
    Silent {
        /// Who.
        member: NodeId,
    },
    /// Too few of those who would vote were heard within an election timeout: the change could not
    /// be committed, and nothing after it.
    QuorumUnreachable,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(leader) } => {
                write!(f, "this member is not the leader; ask member {leader}")
            }
            Self::NotLeader { leader: None } => {
                write!(f, "this member is not the leader and knows none; try again, or elsewhere")
            }
            Self::Transferring { to } => {
                write!(f, "this member hands its leadership over to member {to}; try again")
            }
            Self::TermNotCommitted => {
                write!(f, "this leader was elected a moment ago; try again")
            }
            Self::UnderWay { index } => write!(
                f,
                "the change of membership at index {index} has not ended; try again when it has"
            ),
            Self::Unexpected { expected, current } => write!(
                f,
                "the membership is that of index {current}, not of index {expected}: somebody else \
                 changed it; look at it again"
            ),
            Self::NoVoters => write!(f, "a membership needs a voter; name one at least"),
            Self::Overlap { member } => write!(
                f,
                "member {member} cannot be voter and learner at once; name it in one place"
            ),
            Self::TooManyVoters { count } => write!(
                f,
                "{count} voters are too many; name {VOTERS_MAX} at most, and make the others \
                 learners"
            ),
            Self::TooManyMembers { count } => {
                write!(f, "{count} members are too many; name {MEMBERS_MAX} at most")
            }
            Self::NotALearner { member } => write!(
                f,
                "member {member} is not a learner and so has no log yet; add it as a learner first"
            ),
            Self::Lagging { member, missing } => write!(
                f,
                "learner {member} has not caught up, it lacks {missing} entries or more; try again \
                 later"
            ),
            Self::Silent { member } => write!(
                f,
                "learner {member} was not heard lately; see that it runs and is connected"
            ),
            Self::QuorumUnreachable => write!(
                f,
                "too few of the new voters can be reached to decide anything; see that they run \
                 and are connected, or remove those that do not"
            ),
        }
    }
}

impl core::error::Error for ChangeError {}
