//! The node as its users see it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::NodeId;
use quorate_replica::StateMachine;
use tokio::sync::{oneshot, watch};

use crate::board::{Board, NodeStatus};
use crate::config::NodeConfig;
use crate::error::{Error, Halted, HandOverError, StartError};
use crate::inbox::{Event, Inbox};
use crate::owner;
use crate::replies::Outbox;

/// A running member with the state machine's replies as `R`. Clones are handles to the same node.
#[derive(Debug)]
pub struct Node<R> {
    inner: Arc<Inner<R>>,
}

// By hand, since a derived one would ask `Clone` of the replies.
impl<R> Clone for Node<R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

#[derive(Debug)]
struct Inner<R> {
    inbox: Arc<Inbox<R>>,
    board: Arc<Board>,
    halted: watch::Receiver<Option<Halted>>,
}

impl<R> Drop for Inner<R> {
    fn drop(&mut self) {
        self.inbox.push(Event::Stop);
    }
}

impl<R: Send + 'static> Node<R> {
    /// Opens the member's log and starts it. To be called in the runtime whose tasks use the node.
    ///
    /// # Errors
    /// If the log cannot be opened or a thread cannot be made.
    pub async fn start<M>(config: NodeConfig, machine: M) -> Result<Self, StartError>
    where
        M: StateMachine<Reply = R> + Send + 'static,
    {
        let inbox = Arc::new(Inbox::new());
        let board = Arc::new(Board::default());
        let (halt, halted) = watch::channel(None);
        let outbox = Outbox::start();
        let parts = owner::Parts { inbox: inbox.clone(), outbox, board: board.clone(), halt };
        owner::start(config, machine, parts).await?;
        Ok(Self { inner: Arc::new(Inner { inbox, board, halted }) })
    }

    /// Has a command agreed on and applied, and gives the state machine's reply. It waits while
    /// there is no leader; dropping the future gives up the reply, not the command.
    ///
    /// # Errors
    /// If the command was refused, or the node stops.
    pub async fn propose(&self, command: Bytes) -> Result<R, Error> {
        let (waiter, reply) = oneshot::channel();
        self.inner.inbox.push(Event::Propose(command, waiter));
        reply.await.unwrap_or(Err(Error::Stopped))
    }

    /// Returns once everything that was answered before this call, on any member, is applied here:
    /// a read of the state after it is linearizable (thesis 6.4). It waits while there is no
    /// leader.
    ///
    /// # Errors
    /// If the node stops.
    pub async fn linearize(&self) -> Result<(), Error> {
        let (waiter, confirmed) = oneshot::channel();
        self.inner.inbox.push(Event::Read(waiter));
        confirmed.await.unwrap_or(Err(Error::Stopped))
    }

    /// Returns once everything that was answered up to `staleness` before this call, on any member,
    /// is applied here. Often that is known already, and then no message is sent: about one in
    /// `staleness` asks the leader, whatever the load. Otherwise as [`Self::linearize`].
    ///
    /// # Errors
    /// If the node stops.
    pub async fn linearize_within(&self, staleness: Duration) -> Result<(), Error> {
        let (waiter, confirmed) = oneshot::channel();
        self.inner.inbox.push(Event::ReadWithin(staleness, waiter));
        confirmed.await.unwrap_or(Err(Error::Stopped))
    }

    /// Hands the leadership over (thesis 3.10): to a voting member, or to the one that can take
    /// over soonest. Proposals wait meanwhile, none is lost. Returns whom, once that member leads.
    ///
    /// # Errors
    /// If this member does not lead, or the other did not take over within an election timeout.
    pub async fn transfer_leadership(&self, to: Option<NodeId>) -> Result<NodeId, HandOverError> {
        let (waiter, taken) = oneshot::channel();
        self.inner.inbox.push(Event::HandOver(to, waiter));
        taken.await.unwrap_or(Err(HandOverError::Stopped))
    }

    /// Returns once everything that was proposed here before this call is answered, or the node has
    /// stopped. It waits while there is no leader.
    pub async fn flush(&self) {
        let (waiter, flushed) = oneshot::channel();
        self.inner.inbox.push(Event::Flush(waiter));
        flushed.await.ok();
    }

    /// What can be seen of the node.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.inner.board.read()
    }

    /// Stops the node in order: what is under way is made durable, the log is closed.
    pub async fn stop(&self) -> Halted {
        self.inner.inbox.push(Event::Stop);
        self.stopped().await
    }

    /// Waits until the node has stopped, and says why.
    pub async fn stopped(&self) -> Halted {
        let mut halted = self.inner.halted.clone();
        match halted.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(Halted::Asked),
            Err(_) => Halted::Failed("the member's thread ended without a word".into()),
        }
    }
}
