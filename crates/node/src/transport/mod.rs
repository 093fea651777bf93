//! Members talk over gRPC: long-lived streams, made again with growing pauses when they break.
//!
//! The streams follow the membership: those to new members are made, those to removed ones end. A
//! caller that is unknown here may be a member by entries that are still to come, so it is heard,
//! as Raft wants it; who was removed for good is refused, and told so.
//!
//! Each member opens one connection to each other and on it three streams, one an RPC of Raft:
//! `AppendEntries` for what it says as a leader, `RequestVote` as a candidate, `Forward` as a
//! follower with clients. Answers come back on the stream that carried the question. A message that
//! has no stream, or finds its queue full, is dropped: Raft allows for loss, and a slow peer must
//! hold up nobody else.
//!
//! A stream's metadata names the cluster, the sender and the receiver. What does not fit is
//! refused, and both sides say why. The messages are encoded, checked and judged by
//! [`quorate_wire`]: one that was damaged on the way or makes no sense ends the connection it came
//! on, and never reaches the replica.

mod identity;
mod inbound;
pub(crate) mod members;
mod outbound;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use quorate_proto::peer::{
    AppendEntriesRequest, AppendEntriesResponse, ForwardRequest, ForwardResponse,
    RequestVoteRequest, RequestVoteResponse,
};
use quorate_raft::NodeId;
use quorate_replica::{PeerMessage, StateMachine};
use quorate_wire::Outgoing;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config::Peer;
use crate::inbox::{Event, Inbox};
use crate::machine::Machine;

/// Messages that may wait for one stream. The owner gives out entries only while half of it is
/// free.
const QUEUE_MAX: usize = 16;

/// Entries, requests and answers of one kind to one peer; a message larger than this ends the
/// connection. A proposal is far smaller, and so is an append, which ends after about a megabyte.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// HTTP/2 windows: room for what may be under way between two members.
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// Who this member is on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whoami {
    pub(crate) cluster: u64,
    pub(crate) member: NodeId,
}

/// The streams to and from one peer.
#[derive(Debug, Default)]
struct Slot {
    /// Those that this member opened; `None` while there is no connection.
    requests: Mutex<Option<Requests>>,
    /// Those that the peer opened.
    replies: Mutex<Replies>,
    /// The owner found the queue for entries full and wants to hear when it has room again.
    wants_room: AtomicBool,
}

#[derive(Debug)]
struct Requests {
    append: mpsc::Sender<AppendEntriesRequest>,
    vote: mpsc::Sender<RequestVoteRequest>,
    forward: mpsc::Sender<ForwardRequest>,
}

#[derive(Debug, Default)]
struct Replies {
    append: Option<mpsc::Sender<AppendEntriesResponse>>,
    vote: Option<mpsc::Sender<RequestVoteResponse>>,
    forward: Option<mpsc::Sender<ForwardResponse>>,
}

impl Replies {
    fn is_open(&self) -> bool {
        self.append.is_some() || self.vote.is_some() || self.forward.is_some()
    }
}

/// The streams to and from all peers. The owner adds and removes links; callers that this member
/// does not know yet, because its log is behind, get a slot when they call.
#[derive(Debug, Default)]
pub(super) struct Peers {
    slots: RwLock<BTreeMap<NodeId, Arc<Slot>>>,
    /// Who was removed for good, and is told so.
    removed: RwLock<BTreeSet<NodeId>>,
}

type Slots = Arc<Peers>;

/// Peers that are remembered at most: those who come and go, and callers that are not known.
const SLOTS_MAX: usize = 256;

impl Peers {
    fn get(&self, id: NodeId) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The slot of a peer, made if there is none; `None` if there are too many.
    fn admit(&self, id: NodeId) -> Option<Arc<Slot>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(&id) && SLOTS_MAX <= slots.len() {
            return None;
        }
        Some(slots.entry(id).or_default().clone())
    }

    /// Forgets those who neither are peers nor call.
    fn tidy(&self, is_peer: impl Fn(NodeId) -> bool) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|id, slot| is_peer(*id) || lock(&slot.replies).is_open());
    }

    fn is_removed(&self, id: NodeId) -> bool {
        self.removed.read().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}

/// The streams to all peers, and those who keep them up.
pub(crate) struct Transport<M: StateMachine> {
    whoami: Whoami,
    patience: Patience,
    inbox: Arc<Inbox<M>>,
    slots: Slots,
    links: BTreeMap<NodeId, Link>,
}

/// The connection that this member keeps to a peer.
#[derive(Debug)]
struct Link {
    urls: Vec<String>,
    task: JoinHandle<()>,
}

/// How patient the transport is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a connection to come about, and for a sign of life on one.
    pub(crate) silence_max: Duration,
}

impl<M: Machine> Transport<M> {
    /// Listens for the peers; to be called in the runtime that is to carry the streams.
    pub(crate) fn start(
        whoami: Whoami,
        listener: std::net::TcpListener,
        patience: Patience,
        inbox: &Arc<Inbox<M>>,
    ) -> std::io::Result<Self> {
        let slots = Slots::default();
        inbound::start(whoami, listener, patience, &slots, inbox)?;
        Ok(Self { whoami, patience, inbox: inbox.clone(), slots, links: BTreeMap::new() })
    }

    /// Connects to these peers, and to no others. Without an address, a connection that is there
    /// stays, and none is made.
    pub(crate) fn connect_to(&mut self, peers: &BTreeMap<NodeId, Option<Vec<String>>>) {
        let is_over = |id: &NodeId, link: &Link| match peers.get(id) {
            Some(Some(urls)) => *urls != link.urls,
            Some(None) => false,
            None => true,
        };
        let over: Vec<_> = self.links.extract_if(.., |id, link| is_over(id, link)).collect();
        for (id, link) in over {
            link.task.abort();
            if let Some(slot) = self.slots.get(id)
                && lock(&slot.requests).take().is_some()
            {
                self.inbox.push(Event::Disconnected(id));
            }
        }
        for (&id, urls) in peers {
            let Some(urls) = urls.as_ref().filter(|urls| !urls.is_empty()) else { continue };
            if self.links.contains_key(&id) {
                continue;
            }
            let Some(slot) = self.slots.admit(id) else { continue };
            let (peer, inbox) = (Peer { id, urls: urls.clone() }, &self.inbox);
            let task = outbound::start(self.whoami, peer, self.patience, slot, inbox);
            self.links.insert(id, Link { urls: urls.clone(), task });
        }
        self.slots.tidy(|id| peers.contains_key(&id));
    }

    /// These were removed from the cluster: when they call, they are told.
    pub(crate) fn refuse(&self, removed: impl IntoIterator<Item = NodeId>) {
        let mut known = self.slots.removed.write().unwrap_or_else(PoisonError::into_inner);
        *known = removed.into_iter().collect();
    }

    /// Sends a message, or drops it.
    pub(crate) fn send(&self, message: PeerMessage) {
        let Some(slot) = self.slots.get(message.to) else { return };
        let sent = match quorate_wire::encode(message) {
            Outgoing::Append(m) => offer(lock(&slot.requests).as_ref().map(|r| &r.append), m),
            Outgoing::Vote(m) => offer(lock(&slot.requests).as_ref().map(|r| &r.vote), m),
            Outgoing::Forward(m) => offer(lock(&slot.requests).as_ref().map(|r| &r.forward), m),
            Outgoing::AppendReply(m) => offer(lock(&slot.replies).append.as_ref(), m),
            Outgoing::VoteReply(m) => offer(lock(&slot.replies).vote.as_ref(), m),
            Outgoing::ForwardReply(m) => offer(lock(&slot.replies).forward.as_ref(), m),
        };
        if !sent {
            tracing::trace!("a message was dropped: no connection, or its queue is full");
        }
    }

    /// Whether there is room for more entries to `peer`. If not, and there is a connection, the
    /// inbox hears when there is.
    pub(crate) fn has_room(&self, peer: NodeId) -> bool {
        let Some(slot) = self.slots.get(peer) else { return false };
        let requests = lock(&slot.requests);
        let Some(requests) = requests.as_ref() else { return false };
        let room = requests.append.capacity() > QUEUE_MAX / 2;
        slot.wants_room.store(!room, Ordering::Relaxed);
        room
    }
}

fn offer<T>(stream: Option<&mpsc::Sender<T>>, message: T) -> bool {
    stream.is_some_and(|stream| stream.try_send(message).is_ok())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
