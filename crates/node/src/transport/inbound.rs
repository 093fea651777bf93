//! What peers open to this member: the service behind the peer URL.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use quorate_proto::peer::raft_server::{Raft, RaftServer};
use quorate_proto::peer::{
    AppendEntriesRequest, AppendEntriesResponse, ForwardRequest, ForwardResponse,
    RequestVoteRequest, RequestVoteResponse,
};
use quorate_raft::NodeId;
use tokio::sync::mpsc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::identity::Hex;
use super::wire::{Incoming, Route};
use super::{
    CONNECTION_WINDOW, MESSAGE_BYTES_MAX, Patience, QUEUE_MAX, Replies, STREAM_WINDOW, Slots,
    Whoami, identity, lock,
};
use crate::inbox::{Event, Inbox};

/// Serves the peers for as long as the runtime lives.
pub(super) fn start<R: Send + 'static>(
    whoami: Whoami,
    listener: std::net::TcpListener,
    patience: Patience,
    slots: &Slots,
    inbox: &Arc<Inbox<R>>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let service = Service { whoami, slots: slots.clone(), inbox: inbox.clone() };
    let service = RaftServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let server = Server::builder()
        .http2_keepalive_interval(Some(patience.silence_max))
        .http2_keepalive_timeout(Some(patience.silence_max))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(service);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move {
        let ended = server.serve_with_incoming_shutdown(incoming, pending()).await;
        if let Err(error) = ended {
            tracing::error!(%error, "the peer URL is no longer served");
        }
    });
    Ok(())
}

struct Service<R> {
    whoami: Whoami,
    slots: Slots,
    inbox: Arc<Inbox<R>>,
}

impl<R: Send + 'static> Service<R> {
    /// Judges the caller; takes over its stream if it is a peer. `ended` is what the owner hears
    /// when the stream has ended and no newer one has taken its place.
    fn open<Q: Incoming + Send + 'static, A: Send + 'static>(
        &self,
        request: Request<Streaming<Q>>,
        place: fn(&mut Replies) -> &mut Option<mpsc::Sender<A>>,
        ended: fn(NodeId) -> Option<Event<R>>,
    ) -> Result<Response<Answers<A>>, Status> {
        let is_peer = |id| self.slots.contains_key(&id);
        let route =
            identity::admit(request.metadata(), self.whoami, is_peer).inspect_err(|status| {
                let caller = request.remote_addr().map(|address| address.to_string());
                let reason = status.message();
                tracing::error!(caller, reason, "a caller at the peer URL was refused");
            })?;
        let (sender, answers) = mpsc::channel(QUEUE_MAX);
        let slot = self.slots.get(&route.from).expect("only peers are admitted");
        *place(&mut lock(&slot.replies)) = Some(sender.clone());
        let (slots, inbox) = (self.slots.clone(), self.inbox.clone());
        tokio::spawn(async move {
            hear(request.into_inner(), route, &inbox).await;
            let slot = slots.get(&route.from).expect("only peers are admitted");
            let mut replies = lock(&slot.replies);
            let current = place(&mut replies);
            if current.as_ref().is_some_and(|current| current.same_channel(&sender)) {
                *current = None;
                if let Some(event) = ended(route.from) {
                    inbox.push(event);
                }
            }
        });
        Ok(Response::new(Answers(answers)))
    }
}

async fn hear<Q: Incoming, R>(mut requests: Streaming<Q>, route: Route, inbox: &Inbox<R>) {
    loop {
        match requests.message().await {
            Ok(Some(request)) => match request.decode(route) {
                Ok(message) => inbox.push(Event::Message(message)),
                Err(malformed) => {
                    tracing::warn!(peer = %Hex(route.from), %malformed, "connection ended");
                    return;
                }
            },
            Ok(None) => return,
            Err(status) => {
                let reason = status.message();
                tracing::debug!(peer = %Hex(route.from), reason, "a peer's stream ended");
                return;
            }
        }
    }
}

#[tonic::async_trait]
impl<R: Send + 'static> Raft for Service<R> {
    type AppendEntriesStream = Answers<AppendEntriesResponse>;
    type RequestVoteStream = Answers<RequestVoteResponse>;
    type ForwardStream = Answers<ForwardResponse>;

    async fn append_entries(
        &self,
        request: Request<Streaming<AppendEntriesRequest>>,
    ) -> Result<Response<Self::AppendEntriesStream>, Status> {
        // Said after all that came on it: what is left of a connection that broke must not pass for
        // a sign of life.
        self.open(request, |replies| &mut replies.append, |peer| Some(Event::Disconnected(peer)))
    }

    async fn request_vote(
        &self,
        request: Request<Streaming<RequestVoteRequest>>,
    ) -> Result<Response<Self::RequestVoteStream>, Status> {
        self.open(request, |replies| &mut replies.vote, |_| None)
    }

    async fn forward(
        &self,
        request: Request<Streaming<ForwardRequest>>,
    ) -> Result<Response<Self::ForwardStream>, Status> {
        self.open(request, |replies| &mut replies.forward, |_| None)
    }
}

/// Answers as the stream that tonic sends.
struct Answers<A>(mpsc::Receiver<A>);

impl<A> Stream for Answers<A> {
    type Item = Result<A, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|answer| answer.map(Ok))
    }
}
