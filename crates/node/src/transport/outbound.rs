//! The connection that this member opens to a peer, and its three streams.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use quorate_proto::peer::raft_client::RaftClient;
use quorate_raft::NodeId;
use quorate_replica::StateMachine;
use quorate_wire::{Incoming, Route};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::identity::Hex;
use super::{
    CONNECTION_WINDOW, MESSAGE_BYTES_MAX, Patience, QUEUE_MAX, Requests, STREAM_WINDOW, Slot,
    Whoami, identity, lock,
};
use crate::config::Peer;
use crate::inbox::{Event, Inbox};
use crate::machine::Machine;

/// The pause after a failed attempt grows from the first to the second.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The pause after the peer refused us: somebody has to mend a setting.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);

/// Keeps a connection to `peer` for as long as the task lives.
pub(super) fn start<M: Machine>(
    whoami: Whoami,
    peer: Peer,
    patience: Patience,
    slot: Arc<Slot>,
    inbox: &Arc<Inbox<M>>,
) -> JoinHandle<()> {
    let link = Link { whoami, id: peer.id, slot, inbox: inbox.clone() };
    tokio::spawn(link.keep(peer.urls, patience))
}

struct Link<M: StateMachine> {
    whoami: Whoami,
    id: NodeId,
    slot: Arc<Slot>,
    inbox: Arc<Inbox<M>>,
}

/// How a connection ended.
enum End {
    /// It was up and broke, or never came about.
    Broken(Status),
    /// The peer did not want it.
    Refused(Status),
}

impl<M: Machine> Link<M> {
    async fn keep(self, urls: Vec<String>, patience: Patience) {
        let mut pause = PAUSE_MIN;
        let mut said = None;
        for url in urls.iter().cycle() {
            let endpoint = match endpoint(url, patience) {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    let peer = Hex(self.id);
                    tracing::error!(%peer, url, %error, "the peer URL cannot be used");
                    tokio::time::sleep(PAUSE_REFUSED).await;
                    continue;
                }
            };
            let end = match endpoint.connect().await {
                Ok(channel) => {
                    let end = self.talk(channel, &mut pause).await;
                    *lock(&self.slot.requests) = None;
                    end
                }
                Err(error) => End::Broken(Status::unavailable(causes(&error))),
            };
            match end {
                End::Broken(status) => {
                    let reason = status.message().to_owned();
                    if said.as_ref() != Some(&reason) {
                        let peer = Hex(self.id);
                        tracing::info!(%peer, url, reason, "no connection to a peer");
                        said = Some(reason);
                    }
                }
                End::Refused(status) => {
                    if identity::says_removed(&status) {
                        self.inbox.push(Event::Removed);
                    }
                    let (peer, reason) = (Hex(self.id), status.message());
                    tracing::error!(%peer, url, reason, "a peer refused this member");
                    pause = PAUSE_REFUSED;
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        }
    }

    /// Opens the streams and serves them until one of them ends.
    async fn talk(&self, channel: Channel, pause: &mut Duration) -> End {
        let client = RaftClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let (append, appends) = mpsc::channel(QUEUE_MAX);
        let (vote, votes) = mpsc::channel(QUEUE_MAX);
        let (forward, forwards) = mpsc::channel(QUEUE_MAX);
        let appends = Signalling { queue: appends, link: self.signal() };
        let votes = Signalling { queue: votes, link: self.signal() };
        let forwards = Signalling { queue: forwards, link: self.signal() };
        let (mut client_a, mut client_v, mut client_f) = (client.clone(), client.clone(), client);
        let opened = tokio::try_join!(
            client_a.append_entries(self.request(appends)),
            client_v.request_vote(self.request(votes)),
            client_f.forward(self.request(forwards)),
        );
        let (append_replies, vote_replies, forward_replies) = match opened {
            Ok(opened) => opened,
            Err(status) if refused(&status) => return End::Refused(status),
            Err(status) => return End::Broken(status),
        };
        *lock(&self.slot.requests) = Some(Requests { append, vote, forward });
        *pause = PAUSE_MIN;
        tracing::debug!(peer = %Hex(self.id), "connected");
        self.inbox.push(Event::Connected(self.id));
        let ended = tokio::select! {
            ended = self.hear(append_replies.into_inner()) => ended,
            ended = self.hear(vote_replies.into_inner()) => ended,
            ended = self.hear(forward_replies.into_inner()) => ended,
        };
        *lock(&self.slot.requests) = None;
        self.inbox.push(Event::Disconnected(self.id));
        End::Broken(ended)
    }

    async fn hear<T: Incoming>(&self, mut replies: Streaming<T>) -> Status {
        let route = Route { from: self.id, to: self.whoami.member };
        loop {
            match replies.message().await {
                Ok(Some(reply)) => match reply.decode(route) {
                    Ok(message) => self.inbox.push(Event::Message(message)),
                    Err(malformed) => {
                        tracing::warn!(peer = %Hex(self.id), %malformed, "connection ended");
                        return Status::invalid_argument(malformed.to_string());
                    }
                },
                Ok(None) => return Status::unavailable("the peer closed the connection"),
                Err(status) => return status,
            }
        }
    }

    fn request<T>(&self, stream: T) -> Request<T> {
        let mut request = Request::new(stream);
        identity::introduce(&mut request, self.whoami, self.id);
        request
    }

    fn signal(&self) -> Signal<M> {
        Signal { slot: self.slot.clone(), inbox: self.inbox.clone() }
    }
}

pub(super) fn endpoint(url: &str, patience: Patience) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(url.to_owned())?
        .tcp_nodelay(true)
        .connect_timeout(patience.silence_max)
        .http2_keep_alive_interval(patience.silence_max)
        .keep_alive_timeout(patience.silence_max)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW))
}

/// Whether an answer means that asking again will not help.
fn refused(status: &Status) -> bool {
    matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument | Code::Unimplemented)
}

/// An error with all that led to it, in one line.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Tells the owner when a queue it found full has room.
struct Signal<M: StateMachine> {
    slot: Arc<Slot>,
    inbox: Arc<Inbox<M>>,
}

/// A queue as the stream that tonic sends.
struct Signalling<T, M: StateMachine> {
    queue: mpsc::Receiver<T>,
    link: Signal<M>,
}

impl<T, M: Machine> Stream for Signalling<T, M> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let next = self.queue.poll_recv(context);
        if next.is_ready() && self.link.slot.wants_room.swap(false, Ordering::Relaxed) {
            self.link.inbox.poke();
        }
        next
    }
}
