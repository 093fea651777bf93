//! Changes of membership, as users ask for them.
//!
//! A change is worked out by the leader, from the membership that counts there, so that two at a
//! time never undo each other: the second one waits its turn or is refused. What a learner is for
//! stands in the log beside its addresses: one that is to vote is promoted by whoever leads when it
//! has caught up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use quorate_proto::peer::change_request::Change as Wire;
use quorate_proto::peer::{ChangeRequest, MemberAdd, MemberSet, MemberUpdate};
use quorate_raft::{ChangeError as CoreError, Index, NodeId, Target};
use quorate_replica::{ChangeRefused, Members};
use tokio::sync::oneshot;

use crate::context::Context;

/// A change of membership; see [`crate::Node::change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A member is added, without a vote.
    Add {
        /// Its id: of nobody, now or before.
        id: NodeId,
        /// Where the others reach it, each as `http://host:port`.
        urls: Vec<String>,
        /// It is to get a vote as soon as it has caught up.
        promote: bool,
    },
    /// A learner gets a vote, if it has caught up.
    Promote {
        /// Its id.
        id: NodeId,
    },
    /// A member goes.
    Remove {
        /// Its id.
        id: NodeId,
    },
    /// A member is at other addresses.
    Update {
        /// Its id.
        id: NodeId,
        /// Where the others reach it, each as `http://host:port`.
        urls: Vec<String>,
    },
    /// These are all the members. Who shall vote votes already, or is a learner that has caught up:
    /// several may take the place of several others in one step.
    Set {
        /// Those who vote.
        voters: BTreeSet<NodeId>,
        /// Those who do not.
        learners: BTreeSet<NodeId>,
        /// The membership that this is based on; if another counts by now, nothing changes.
        expected: Option<Index>,
    },
}

/// Why a change of membership was not made, for a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeErrorKind {
    /// There is no such member.
    NotFound,
    /// There is such a member already.
    Exists,
    /// Another member has this address.
    AddressTaken,
    /// The id is that of a member that was removed.
    WasRemoved,
    /// Only a learner can get a vote.
    NotALearner,
    /// The learner has not caught up, or is not heard.
    NotReady,
    /// Too few of the members to come are heard to decide anything.
    Unreachable,
    /// Another change has not ended.
    UnderWay,
    /// There are too many members.
    TooMany,
    /// The change makes no sense.
    Invalid,
    /// There is no leader that could begin it; try again.
    NotLeader,
    /// A disk is full.
    DiskFull,
    /// Whether the change is made is unknown: look at the members.
    Unknown,
    /// This member has stopped.
    Stopped,
}

const KINDS: [ChangeErrorKind; 14] = [
    ChangeErrorKind::NotFound,
    ChangeErrorKind::Exists,
    ChangeErrorKind::AddressTaken,
    ChangeErrorKind::WasRemoved,
    ChangeErrorKind::NotALearner,
    ChangeErrorKind::NotReady,
    ChangeErrorKind::Unreachable,
    ChangeErrorKind::UnderWay,
    ChangeErrorKind::TooMany,
    ChangeErrorKind::Invalid,
    ChangeErrorKind::NotLeader,
    ChangeErrorKind::DiskFull,
    ChangeErrorKind::Unknown,
    ChangeErrorKind::Stopped,
];

impl ChangeErrorKind {
    /// Its number between members: never 0.
    pub(crate) fn number(self) -> u32 {
        let place = KINDS.iter().position(|kind| *kind == self).expect("all kinds are listed");
        1 + u32::try_from(place).expect("kinds are few")
    }

    pub(crate) fn of_number(number: u32) -> Self {
        let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        place.and_then(|place| KINDS.get(place)).copied().unwrap_or(Self::Unknown)
    }
}

/// Why a change of membership was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeError {
    /// For a program.
    pub kind: ChangeErrorKind,
    text: String,
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for ChangeError {}

impl ChangeError {
    pub(crate) fn new(kind: ChangeErrorKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    pub(crate) fn not_leader() -> Self {
        let text = "there is no leader that can be reached; try again";
        Self::new(ChangeErrorKind::NotLeader, text)
    }

    pub(crate) fn stopped() -> Self {
        Self::new(ChangeErrorKind::Stopped, "the member has stopped")
    }

    fn not_found(id: NodeId) -> Self {
        let text = format!("there is no member {:x}; look at the list of members", id.value());
        Self::new(ChangeErrorKind::NotFound, text)
    }
}

impl From<ChangeRefused> for ChangeError {
    fn from(refused: ChangeRefused) -> Self {
        let kind = match &refused {
            ChangeRefused::Core(error) => match error {
                CoreError::NotLeader { .. }
                | CoreError::Transferring { .. }
                | CoreError::TermNotCommitted => ChangeErrorKind::NotLeader,
                CoreError::UnderWay { .. } | CoreError::Unexpected { .. } => {
                    ChangeErrorKind::UnderWay
                }
                CoreError::NoVoters | CoreError::Overlap { .. } => ChangeErrorKind::Invalid,
                CoreError::TooManyVoters { .. } | CoreError::TooManyMembers { .. } => {
                    ChangeErrorKind::TooMany
                }
                CoreError::NotALearner { .. } => ChangeErrorKind::NotALearner,
                CoreError::Lagging { .. } | CoreError::Silent { .. } => ChangeErrorKind::NotReady,
                CoreError::QuorumUnreachable => ChangeErrorKind::Unreachable,
            },
            ChangeRefused::WasRemoved { .. } => ChangeErrorKind::WasRemoved,
            ChangeRefused::ContextTooLarge { .. } | ChangeRefused::NotAMember { .. } => {
                ChangeErrorKind::Invalid
            }
            ChangeRefused::DiskFull => ChangeErrorKind::DiskFull,
        };
        Self::new(kind, refused.to_string())
    }
}

/// What became of a change that was asked of this member.
#[derive(Debug)]
pub(crate) enum Changed {
    /// It has ended.
    Done,
    /// Another member leads, perhaps; it is reached there.
    Elsewhere(Option<(NodeId, Vec<String>)>),
    /// It was not made.
    Not(ChangeError),
}

/// Somebody waits for a change.
pub(crate) type ChangeWaiter = oneshot::Sender<Changed>;

/// What the core is asked for, and what is to be known about members.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) contexts: BTreeMap<NodeId, Bytes>,
}

impl Change {
    /// What it comes to, with the members as they are.
    pub(crate) fn plan(&self, members: &Members) -> Result<Plan, ChangeError> {
        let now = &members.membership;
        let mut target = Target {
            voters: now.incoming.clone(),
            learners: now.learners.union(&now.learners_next).copied().collect(),
            expected: None,
        };
        let mut contexts = BTreeMap::new();
        match self {
            Self::Add { id, urls, promote } => {
                if now.is_member(*id) {
                    let text = format!("member {:x} is there already", id.value());
                    return Err(ChangeError::new(ChangeErrorKind::Exists, text));
                }
                check_urls(members, *id, urls)?;
                target.learners.insert(*id);
                let context = Context { urls: urls.clone(), is_to_vote: *promote };
                contexts.insert(*id, context.encode());
            }
            Self::Promote { id } => {
                if !target.learners.remove(id) {
                    if !now.is_member(*id) {
                        return Err(ChangeError::not_found(*id));
                    }
                    let text = format!("member {:x} votes already", id.value());
                    return Err(ChangeError::new(ChangeErrorKind::NotALearner, text));
                }
                target.voters.insert(*id);
                let known = members.contexts.get(id).and_then(|known| Context::decode(known));
                if let Some(known) = known {
                    contexts.insert(*id, Context { is_to_vote: false, ..known }.encode());
                }
            }
            Self::Remove { id } => {
                if !target.voters.remove(id) && !target.learners.remove(id) {
                    return Err(ChangeError::not_found(*id));
                }
            }
            Self::Update { id, urls } => {
                if !now.is_member(*id) {
                    return Err(ChangeError::not_found(*id));
                }
                check_urls(members, *id, urls)?;
                let known = members.contexts.get(id).and_then(|known| Context::decode(known));
                let known = known.unwrap_or_default();
                contexts.insert(*id, Context { urls: urls.clone(), ..known }.encode());
            }
            Self::Set { voters, learners, expected } => {
                target = Target {
                    voters: voters.clone(),
                    learners: learners.clone(),
                    expected: *expected,
                };
            }
        }
        Ok(Plan { target, contexts })
    }

    pub(crate) fn to_request(&self) -> ChangeRequest {
        let values = |ids: &BTreeSet<NodeId>| ids.iter().map(|id| id.value()).collect();
        let change = match self {
            Self::Add { id, urls, promote } => {
                Wire::Add(MemberAdd { id: id.value(), urls: urls.clone(), promote: *promote })
            }
            Self::Promote { id } => Wire::Promote(id.value()),
            Self::Remove { id } => Wire::Remove(id.value()),
            Self::Update { id, urls } => {
                Wire::Update(MemberUpdate { id: id.value(), urls: urls.clone() })
            }
            Self::Set { voters, learners, expected } => Wire::Set(MemberSet {
                voters: values(voters),
                learners: values(learners),
                expected: expected.map(Index::value),
            }),
        };
        ChangeRequest { change: Some(change) }
    }

    pub(crate) fn of_request(request: ChangeRequest) -> Option<Self> {
        let ids = |ids: Vec<u64>| ids.into_iter().map(NodeId::new).collect();
        Some(match request.change? {
            Wire::Add(MemberAdd { id, urls, promote }) => {
                Self::Add { id: NodeId::new(id), urls, promote }
            }
            Wire::Promote(id) => Self::Promote { id: NodeId::new(id) },
            Wire::Remove(id) => Self::Remove { id: NodeId::new(id) },
            Wire::Update(MemberUpdate { id, urls }) => Self::Update { id: NodeId::new(id), urls },
            Wire::Set(MemberSet { voters, learners, expected }) => Self::Set {
                voters: ids(voters),
                learners: ids(learners),
                expected: expected.map(Index::new),
            },
        })
    }
}

/// Whether a member can be at these addresses.
fn check_urls(members: &Members, id: NodeId, urls: &[String]) -> Result<(), ChangeError> {
    if id == NodeId::ZERO {
        let text = "a member's id is not 0; ids count from 1";
        return Err(ChangeError::new(ChangeErrorKind::Invalid, text));
    }
    crate::config::check_urls(id, urls)
        .map_err(|error| ChangeError::new(ChangeErrorKind::Invalid, error.to_string()))?;
    for (other, context) in members.contexts.iter().filter(|(other, _)| **other != id) {
        let known = Context::decode(context).unwrap_or_default();
        if let Some(url) = urls.iter().find(|url| known.urls.contains(url)) {
            let text = format!("{url} is the address of member {:x} already", other.value());
            return Err(ChangeError::new(ChangeErrorKind::AddressTaken, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use quorate_raft::Membership;

    use super::*;

    const ONE: NodeId = NodeId::new(1);
    const TWO: NodeId = NodeId::new(2);

    fn members() -> Members {
        let membership = Membership { learners: [TWO].into(), ..Membership::of_voters([ONE]) };
        let context = |url: &str| Context { urls: vec![url.to_owned()], is_to_vote: true }.encode();
        let contexts = [(ONE, context("http://h:1")), (TWO, context("http://h:2"))].into();
        Members { contexts, ..membership.into() }
    }

    fn refusal(change: &Change) -> ChangeErrorKind {
        change.plan(&members()).expect_err("it is wrong").kind
    }

    #[test]
    fn a_change_is_worked_out_from_what_is_there() {
        let plan = Change::Promote { id: TWO }.plan(&members()).unwrap();
        assert_eq!(plan.target.voters, [ONE, TWO].into());
        assert_eq!(plan.target.learners, [].into());
        let context = Context::decode(&plan.contexts[&TWO]).unwrap();
        assert_eq!((context.urls.len(), context.is_to_vote), (1, false));
        let plan = Change::Remove { id: TWO }.plan(&members()).unwrap();
        assert_eq!(plan.target.learners, [].into());
    }

    #[test]
    fn what_contradicts_the_members_is_refused() {
        let urls = |url: &str| vec![url.to_owned()];
        let add = |id, url| Change::Add { id, urls: urls(url), promote: false };
        let three = NodeId::new(3);
        assert_eq!(refusal(&add(ONE, "http://h:3")), ChangeErrorKind::Exists);
        assert_eq!(refusal(&add(three, "http://h:2")), ChangeErrorKind::AddressTaken);
        assert_eq!(refusal(&add(three, "h:3")), ChangeErrorKind::Invalid);
        assert_eq!(refusal(&add(NodeId::ZERO, "http://h:3")), ChangeErrorKind::Invalid);
        assert_eq!(refusal(&Change::Promote { id: ONE }), ChangeErrorKind::NotALearner);
        assert_eq!(refusal(&Change::Promote { id: three }), ChangeErrorKind::NotFound);
        assert_eq!(refusal(&Change::Remove { id: three }), ChangeErrorKind::NotFound);
        let update = Change::Update { id: ONE, urls: urls("http://h:2") };
        assert_eq!(refusal(&update), ChangeErrorKind::AddressTaken);
    }

    #[test]
    fn changes_and_errors_survive_the_way_to_the_leader() {
        let urls = vec!["http://h:1".to_owned()];
        let (voters, learners) = ([ONE].into(), [TWO].into());
        for change in [
            Change::Add { id: ONE, urls: urls.clone(), promote: true },
            Change::Promote { id: ONE },
            Change::Remove { id: ONE },
            Change::Update { id: ONE, urls },
            Change::Set { voters, learners, expected: Some(Index::new(7)) },
        ] {
            assert_eq!(Change::of_request(change.to_request()), Some(change));
        }
        for kind in KINDS {
            assert_eq!(ChangeErrorKind::of_number(kind.number()), kind);
        }
    }
}
