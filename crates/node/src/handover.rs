//! Those who wait: for the leadership to be handed over, and for what came before them.

use quorate_raft::{NodeId, Status, TransferError};
use tokio::sync::oneshot;

use crate::error::HandOverError;

/// Somebody waits for the leadership to be handed over.
pub(crate) type HandOverWaiter = oneshot::Sender<Result<NodeId, HandOverError>>;

/// All who wait for it, each with whom it goes to.
#[derive(Debug, Default)]
pub(crate) struct HandOvers(Vec<(NodeId, HandOverWaiter)>);

impl HandOvers {
    /// A transfer has begun, or was refused.
    pub(crate) fn add(&mut self, begun: Result<NodeId, TransferError>, waiter: HandOverWaiter) {
        match begun {
            Ok(to) => self.0.push((to, waiter)),
            Err(refused) => {
                waiter.send(Err(HandOverError::Refused(refused))).ok();
            }
        }
    }

    /// Answers those whose transfer is over: `transferring` is to whom the leadership goes now.
    pub(crate) fn answer(&mut self, status: &Status, transferring: Option<NodeId>) {
        for (to, waiter) in self.0.extract_if(.., |(to, _)| is_over(*to, status, transferring)) {
            let outcome = match status.leader {
                Some(leader) if leader == to => Ok(to),
                Some(_) | None => Err(HandOverError::NotTaken { to }),
            };
            waiter.send(outcome).ok();
        }
    }
}

/// While there is no leader, the election goes on.
fn is_over(to: NodeId, status: &Status, transferring: Option<NodeId>) -> bool {
    match status.leader {
        Some(leader) if leader == to => true,
        Some(leader) if leader == status.id => transferring != Some(to),
        Some(_) => true,
        None => false,
    }
}
