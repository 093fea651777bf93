//! The node as its users see it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use quorate_raft::{NodeId, Status};
use quorate_replica::{OpenError, Refused, StateMachine};
use tokio::sync::{oneshot, watch};

use crate::config::NodeConfig;
use crate::inbox::{Event, Inbox};
use crate::owner;
use crate::replies::Outbox;

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command was not taken; it will not be applied.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The node has stopped. Whether the command will be applied is unknown.
    #[error("the member has stopped")]
    Stopped,
}

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The replica could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The operating system denied something.
    #[error("{what}: {error}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// What it said.
        error: std::io::Error,
    },
}

/// Why a node stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halted {
    /// It was told to.
    Asked,
    /// It could not go on; the text says why and what to do.
    Failed(String),
}

impl fmt::Display for Halted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => f.write_str("the member was stopped"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

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

/// What the owner shows of the replica, for anyone to read at any time.
#[derive(Debug, Default)]
pub(crate) struct Board {
    term: AtomicU64,
    leader: AtomicU64,
    commit: AtomicU64,
    applied: AtomicU64,
    disk_full: AtomicBool,
}

/// The leader's id while there is none.
const NO_LEADER: u64 = 0;

impl Board {
    pub(crate) fn show(&self, status: &Status, applied: u64, disk_full: bool) {
        self.term.store(status.term.value(), Ordering::Relaxed);
        let leader = status.leader.map_or(NO_LEADER, NodeId::value);
        self.leader.store(leader, Ordering::Relaxed);
        self.commit.store(status.commit.value(), Ordering::Relaxed);
        self.applied.store(applied, Ordering::Relaxed);
        self.disk_full.store(disk_full, Ordering::Relaxed);
    }
}

/// What can be seen of a node; the parts may be of slightly different moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Its term.
    pub term: u64,
    /// The leader it follows or is.
    pub leader: Option<NodeId>,
    /// The last index it knows to be committed.
    pub commit: u64,
    /// The last index it applied.
    pub applied: u64,
    /// Its disk has no space for more proposals.
    pub disk_full: bool,
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

    /// What can be seen of the node.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        let board = &self.inner.board;
        let leader = board.leader.load(Ordering::Relaxed);
        NodeStatus {
            term: board.term.load(Ordering::Relaxed),
            leader: (leader != NO_LEADER).then(|| NodeId::new(leader)),
            commit: board.commit.load(Ordering::Relaxed),
            applied: board.applied.load(Ordering::Relaxed),
            disk_full: board.disk_full.load(Ordering::Relaxed),
        }
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
