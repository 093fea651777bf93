//! The node as its users see it.

use std::fmt;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::{Membership, NodeId};
use quorate_replica::StateMachine;
use tokio::sync::{oneshot, watch};

use crate::board::{Board, NodeStatus};
use crate::builder::NodeBuilder;
use crate::change::{Change, ChangeError, ChangeErrorKind, Changed};
use crate::config::NodeConfig;
use crate::context::Context;
use crate::error::{Error, Halted, HandOverError, StartError};
use crate::inbox::{Event, Freshness, Inbox};
use crate::owner;
use crate::query::query;
use crate::replies::Outbox;
use crate::transport::{Patience, Whoami, members};

/// The bytes of a command at most: one must fit into a message between members.
pub const COMMAND_BYTES_MAX: usize = 48 * 1024 * 1024;

/// The pause before a change is asked for again, while there is no leader.
const CHANGE_PAUSE: Duration = Duration::from_millis(100);

/// A member, as the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberInfo {
    /// Its id.
    pub id: NodeId,
    /// Where the other members reach it, each as `http://host:port`.
    pub urls: Vec<String>,
    /// Whether it votes; a learner does not.
    pub is_voter: bool,
}

/// A running member with the state machine `M`. Clones are handles to the same node; when the last
/// one is dropped, the node stops in order.
pub struct Node<M: StateMachine> {
    inner: Arc<Inner<M>>,
}

// By hand, since a derived one would ask `Clone` of the machine.
impl<M: StateMachine> Clone for Node<M> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<M: StateMachine> fmt::Debug for Node<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("status", &self.inner.board.read())
            .field("halted", &*self.inner.halted.borrow())
            .finish()
    }
}

struct Inner<M: StateMachine> {
    inbox: Arc<Inbox<M>>,
    board: Arc<Board>,
    halted: watch::Receiver<Option<Halted>>,
    whoami: Whoami,
    patience: Patience,
}

impl<M: StateMachine> Drop for Inner<M> {
    fn drop(&mut self) {
        self.inbox.push(Event::Stop);
    }
}

impl<M> Node<M>
where
    M: StateMachine<Reply: Send + 'static> + Send + 'static,
{
    /// Begins the settings of member `id`, a number from 1 on, which keeps its log in `data_dir`.
    /// `machine` is in its initial state: the log is applied to it.
    ///
    /// The same directory belongs to the same id for ever. A member whose directory was lost has
    /// forgotten its votes and must not come back under its id.
    pub fn builder(id: u64, data_dir: impl Into<PathBuf>, machine: M) -> NodeBuilder<M> {
        NodeBuilder::new(id, data_dir.into(), machine)
    }

    /// Opens the member's log and starts it. To be called in the runtime whose tasks use the node.
    ///
    /// # Errors
    /// If the settings cannot work, the log cannot be opened or a thread cannot be made.
    pub async fn start(config: NodeConfig, machine: M) -> Result<Self, StartError> {
        config.check()?;
        let inbox = Arc::new(Inbox::new());
        let board = Arc::new(Board::default());
        let (halt, halted) = watch::channel(None);
        let outbox = Outbox::start();
        let parts = owner::Parts { inbox: inbox.clone(), outbox, board: board.clone(), halt };
        let whoami = Whoami { cluster: config.cluster, member: config.member };
        let patience = Patience { silence_max: config.timing.election_timeout * 2 };
        owner::start(config, machine, parts).await?;
        Ok(Self { inner: Arc::new(Inner { inbox, board, halted, whoami, patience }) })
    }

    /// Has a command agreed on and applied, and gives the state machine's reply. Any member takes
    /// commands, whoever leads. When this returns, the command is synced on a majority of the
    /// members and applied here.
    ///
    /// Commands that are proposed at the same time are batched, so many callers at once are served
    /// as fast as a few. It waits while there is no leader, for as long as it takes: put a timeout
    /// around it. Dropping the future gives up the reply, not the command; whether that is applied
    /// is unknown then.
    ///
    /// # Errors
    /// If the command was refused, and then it will never be applied, or the node stops, and then
    /// it may be.
    pub async fn propose(&self, command: impl Into<Bytes>) -> Result<M::Reply, Error> {
        let command = command.into();
        if command.len() > COMMAND_BYTES_MAX {
            return Err(Error::TooLarge { bytes: command.len() });
        }
        let (waiter, reply) = oneshot::channel();
        self.inner.inbox.push(Event::Propose(command, waiter));
        reply.await.unwrap_or(Err(Error::Stopped))
    }

    /// Looks at the state machine, linearizably (§8, thesis 6.4): it holds every command that was
    /// answered before this call, on any member. Nothing is written for it, and all reads that wait
    /// share one round of messages.
    ///
    /// `look` runs on the thread that applies commands and carries this member's messages, so it
    /// must be short: copy what is needed, work on it outside. A machine that can share its state
    /// is read for longer with [`Self::linearize`]. When `look` panics, so does the caller.
    ///
    /// It waits while there is no leader: put a timeout around it.
    ///
    /// # Errors
    /// If too many reads wait, or the node stops.
    pub async fn read<T, F>(&self, look: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&M) -> T + Send + 'static,
    {
        self.look(look, Freshness::Linearizable).await
    }

    /// Looks at the state machine as it is on this member, which may be behind the others for as
    /// long as it hears nothing from them. What it holds was agreed on and never goes back while
    /// the member runs; after a start it begins with nothing, and follows the log.
    ///
    /// `look` must be short, as in [`Self::read`].
    ///
    /// # Errors
    /// If the node stops.
    pub async fn stale_read<T, F>(&self, look: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&M) -> T + Send + 'static,
    {
        self.look(look, Freshness::Local).await
    }

    async fn look<T, F>(&self, look: F, freshness: Freshness) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&M) -> T + Send + 'static,
    {
        let (query, found) = query(look);
        self.inner.inbox.push(Event::Query(query, freshness));
        match found.await {
            Ok(Ok(found)) => found,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Error::Stopped),
        }
    }

    /// Returns once everything that was answered before this call, on any member, is applied here:
    /// a read of the state after it is linearizable (thesis 6.4), for machines that share their
    /// state with readers elsewhere. It waits while there is no leader.
    ///
    /// # Errors
    /// If too many reads wait, or the node stops.
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

    /// Who the members are, as far as this one knows.
    ///
    /// # Errors
    /// If the node stops.
    pub async fn membership(&self) -> Result<Membership, Error> {
        let (waiter, membership) = oneshot::channel();
        self.inner.inbox.push(Event::Membership(waiter));
        membership.await.map_err(|_| Error::Stopped)
    }

    /// All about the members, as far as this one knows; a change that has begun counts.
    ///
    /// # Errors
    /// If the node stops.
    pub async fn members(&self) -> Result<Vec<MemberInfo>, Error> {
        let (waiter, members) = oneshot::channel();
        self.inner.inbox.push(Event::Members(waiter));
        let members = members.await.map_err(|_| Error::Stopped)?.current;
        let info = |id: NodeId| {
            let context = members.contexts.get(&id).and_then(|known| Context::decode(known));
            MemberInfo {
                id,
                urls: context.unwrap_or_default().urls,
                is_voter: members.membership.is_voter(id),
            }
        };
        Ok(members.membership.members().map(info).collect())
    }

    /// Changes the membership while the cluster serves (§6, thesis 4). At any member: the leader is
    /// asked. Returns once the change is committed and has ended. It waits while there is no
    /// leader: put a timeout around it. Dropping the future gives up the answer, not the change.
    ///
    /// # Errors
    /// What speaks against it. Nothing has changed then, unless the error's kind is
    /// [`ChangeErrorKind::Unknown`] or [`ChangeErrorKind::Stopped`].
    pub async fn change(&self, change: Change) -> Result<(), ChangeError> {
        let whoami = self.inner.whoami;
        loop {
            let (waiter, changed) = oneshot::channel();
            self.inner.inbox.push(Event::Change(change.clone(), waiter));
            let error = match changed.await.map_err(|_| ChangeError::stopped())? {
                Changed::Done => return Ok(()),
                Changed::Elsewhere(None) => ChangeError::not_leader(),
                Changed::Elsewhere(Some((leader, urls))) => {
                    let patience = self.inner.patience;
                    match members::forward(whoami, leader, &urls, patience, &change).await {
                        Ok(()) => return Ok(()),
                        Err(error) => error,
                    }
                }
                Changed::Not(error) => error,
            };
            if error.kind != ChangeErrorKind::NotLeader {
                return Err(error);
            }
            tokio::time::sleep(CHANGE_PAUSE).await;
        }
    }

    /// Adds a learner: it gets the log, and has no vote. Its id is nobody's, now or before; it is
    /// started with [`NodeBuilder::join`].
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn add_learner(&self, id: u64, address: &str) -> Result<(), ChangeError> {
        let (id, urls) = (NodeId::new(id), vec![format!("http://{address}")]);
        self.change(Change::Add { id, urls, promote: false }).await
    }

    /// Gives a learner a vote, if it has caught up.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn promote(&self, id: u64) -> Result<(), ChangeError> {
        self.change(Change::Promote { id: NodeId::new(id) }).await
    }

    /// Removes a member, which stops by itself when it learns of it ([`Halted::Removed`]).
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn remove(&self, id: u64) -> Result<(), ChangeError> {
        self.change(Change::Remove { id: NodeId::new(id) }).await
    }

    /// Says that a member is at another address.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn update(&self, id: u64, address: &str) -> Result<(), ChangeError> {
        let (id, urls) = (NodeId::new(id), vec![format!("http://{address}")]);
        self.change(Change::Update { id, urls }).await
    }

    /// Returns once everything that was proposed here before this call is answered, or the node has
    /// stopped. It waits while there is no leader.
    pub async fn flush(&self) {
        let (waiter, flushed) = oneshot::channel();
        self.inner.inbox.push(Event::Flush(waiter));
        flushed.await.ok();
    }

    /// What can be seen of the node, without asking its thread.
    #[must_use]
    pub fn status(&self) -> NodeStatus {
        self.inner.board.read()
    }

    /// Why the node has stopped, if it has.
    #[must_use]
    pub fn halted(&self) -> Option<Halted> {
        let reason = self.inner.halted.borrow().clone();
        let is_gone = || self.inner.halted.has_changed().is_err();
        reason.or_else(|| is_gone().then(panicked))
    }

    /// Stops the node in order: what is under way is made durable, the log is closed. Whoever waits
    /// for an answer gets [`Error::Stopped`]; to have all of them answered, [`Self::flush`] before.
    /// A leader spares the others an election timeout by [`Self::transfer_leadership`] before.
    pub async fn stop(&self) -> Halted {
        self.inner.inbox.push(Event::Stop);
        self.stopped().await
    }

    /// Waits until the node has stopped, and says why.
    pub async fn stopped(&self) -> Halted {
        let mut halted = self.inner.halted.clone();
        match halted.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(Halted::Asked),
            Err(_) => panicked(),
        }
    }
}

/// Why a node has stopped whose thread left no reason.
fn panicked() -> Halted {
    Halted::Failed(
        "the member's thread panicked, in the state machine or in the library; the panic's message \
         says where"
            .into(),
    )
}
