//! Errors as clients see them: etcd's codes and texts, since clients match both.

use quorate_node::{ChangeError, ChangeErrorKind, Error as NodeError, HandOverError};
use quorate_raft::TransferError;
use quorate_replica::Refused;
use tonic::{Code, Status};

/// An error of the store.
pub(crate) fn of_store(error: quorate_store::Error) -> Status {
    Status::new(Code::from_i32(error.code().number()), error.to_string())
}

/// An error of the node.
pub(crate) fn of_node(error: NodeError) -> Status {
    match error {
        NodeError::Refused(Refused::Overloaded) => too_many_requests(),
        NodeError::Refused(Refused::DiskFull) => {
            Status::resource_exhausted("etcdserver: mvcc: database space exceeded")
        }
        NodeError::Unknown => timed_out(),
        NodeError::TooLarge { .. } => too_large(),
        NodeError::Stopped => Status::unavailable("etcdserver: server stopped"),
    }
}

/// Why the leadership was not handed over.
pub(crate) fn of_hand_over(error: HandOverError) -> Status {
    match error {
        HandOverError::Refused(TransferError::NotLeader { .. }) => {
            Status::failed_precondition("etcdserver: not leader")
        }
        HandOverError::Refused(TransferError::NotAVoter | TransferError::NobodyElse) => {
            Status::failed_precondition("etcdserver: bad leader transferee")
        }
        HandOverError::Refused(error @ TransferError::UnderWay { .. }) => {
            Status::unavailable(error.to_string())
        }
        HandOverError::NotTaken { .. } => {
            Status::unavailable("etcdserver: request timed out, leader transfer took too long")
        }
        HandOverError::Stopped => of_node(NodeError::Stopped),
    }
}

/// Why the membership was not changed.
pub(crate) fn of_change(error: &ChangeError, is_removal: bool) -> Status {
    let too_few = "etcdserver: re-configuration failed due to not enough started members";
    match error.kind {
        ChangeErrorKind::NotFound => Status::not_found("etcdserver: member not found"),
        ChangeErrorKind::Exists | ChangeErrorKind::WasRemoved => {
            Status::failed_precondition("etcdserver: member ID already exist")
        }
        ChangeErrorKind::AddressTaken => {
            Status::failed_precondition("etcdserver: Peer URLs already exists")
        }
        ChangeErrorKind::NotALearner => {
            Status::failed_precondition("etcdserver: can only promote a learner member")
        }
        ChangeErrorKind::NotReady => Status::failed_precondition(
            "etcdserver: can only promote a learner member which is in sync with leader",
        ),
        ChangeErrorKind::Unreachable => Status::unavailable("etcdserver: unhealthy cluster"),
        ChangeErrorKind::TooMany => {
            Status::failed_precondition("etcdserver: too many learner members in cluster")
        }
        // The last member goes.
        ChangeErrorKind::Invalid if is_removal => Status::failed_precondition(too_few),
        ChangeErrorKind::Invalid => bad_urls(),
        ChangeErrorKind::UnderWay => Status::unavailable(format!("quorate: {error}")),
        ChangeErrorKind::DiskFull => of_node(NodeError::Refused(Refused::DiskFull)),
        ChangeErrorKind::NotLeader | ChangeErrorKind::Unknown => timed_out(),
        ChangeErrorKind::Stopped => of_node(NodeError::Stopped),
    }
}

/// What shall be a member's URLs are none.
pub(crate) fn bad_urls() -> Status {
    Status::invalid_argument("etcdserver: given member URLs are invalid")
}

/// The request took too long. What it proposed may still be applied.
pub(crate) fn timed_out() -> Status {
    Status::unavailable("etcdserver: request timed out")
}

/// A snapshot ended early: its client took nothing for too long.
pub(crate) fn given_up() -> Status {
    Status::aborted("quorate: the snapshot was given up: its client took nothing for too long")
}

/// As many of the kind are under way as may be.
pub(crate) fn too_many_requests() -> Status {
    Status::resource_exhausted("etcdserver: too many requests")
}

/// The request has too many bytes.
pub(crate) fn too_large() -> Status {
    Status::invalid_argument("etcdserver: request is too large")
}

/// There is no leader, and the caller would not wait for one.
pub(crate) fn no_leader() -> Status {
    Status::unavailable("etcdserver: no leader")
}

/// A reply of another kind than the command: a bug of ours.
pub(crate) fn mismatch() -> Status {
    Status::internal("the reply is of another kind than the request; please report this")
}
