//! Members talk over gRPC: long-lived streams, made again with growing pauses when they break.
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
mod outbound;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_proto::peer::{
    AppendEntriesRequest, AppendEntriesResponse, ForwardRequest, ForwardResponse,
    RequestVoteRequest, RequestVoteResponse,
};
use quorate_raft::NodeId;
use quorate_replica::PeerMessage;
use quorate_wire::Outgoing;
use tokio::sync::mpsc;

use crate::config::Peer;
use crate::inbox::Inbox;
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

type Slots = Arc<BTreeMap<NodeId, Slot>>;

/// The streams to all peers.
#[derive(Debug)]
pub(crate) struct Transport {
    slots: Slots,
}

/// How patient the transport is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a connection to come about, and for a sign of life on one.
    pub(crate) silence_max: Duration,
}

impl Transport {
    /// Listens for the peers and connects to them; to be called in the runtime that is to carry the
    /// streams.
    pub(crate) fn start<M: Machine>(
        whoami: Whoami,
        peers: Vec<Peer>,
        listener: std::net::TcpListener,
        patience: Patience,
        inbox: &Arc<Inbox<M>>,
    ) -> std::io::Result<Self> {
        let slots = peers.iter().map(|peer| (peer.id, Slot::default())).collect();
        let slots: Slots = Arc::new(slots);
        inbound::start(whoami, listener, patience, &slots, inbox)?;
        for peer in peers {
            outbound::start(whoami, peer, patience, &slots, inbox);
        }
        Ok(Self { slots })
    }

    /// Sends a message, or drops it.
    pub(crate) fn send(&self, message: PeerMessage) {
        let Some(slot) = self.slots.get(&message.to) else { return };
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
        let Some(slot) = self.slots.get(&peer) else { return false };
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
