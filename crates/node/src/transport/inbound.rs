//! What peers open to this member: the service behind the peer URL.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use quorate_proto::peer::members_server::MembersServer;
use quorate_proto::peer::raft_server::{Raft, RaftServer};
use quorate_proto::peer::{
    AppendEntriesRequest, AppendEntriesResponse, ForwardRequest, ForwardResponse,
    RequestVoteRequest, RequestVoteResponse,
};
use quorate_raft::NodeId;
use quorate_replica::StateMachine;
use quorate_wire::{Incoming, Route};
use tokio::sync::mpsc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::identity::Hex;
use super::members::MembersService;
use super::{
    CONNECTION_WINDOW, MESSAGE_BYTES_MAX, Patience, QUEUE_MAX, Replies, STREAM_WINDOW, Slots,
    Whoami, identity, lock,
};
use crate::inbox::{Event, Inbox};
use crate::machine::Machine;

/// Serves the peers for as long as the runtime lives.
pub(super) fn start<M: Machine>(
    whoami: Whoami,
    listener: std::net::TcpListener,
    patience: Patience,
    slots: &Slots,
    inbox: &Arc<Inbox<M>>,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let members = MembersService::new(whoami, slots.clone(), inbox.clone());
    let service = Service { whoami, slots: slots.clone(), inbox: inbox.clone() };
    let service = RaftServer::new(service).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let server = Server::builder()
        .http2_keepalive_interval(Some(patience.silence_max))
        .http2_keepalive_timeout(Some(patience.silence_max))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(service)
        .add_service(MembersServer::new(members));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    tokio::spawn(async move {
        let ended = server.serve_with_incoming_shutdown(incoming, pending()).await;
        if let Err(error) = ended {
            tracing::error!(%error, "the peer URL is no longer served");
        }
    });
    Ok(())
}

struct Service<M: StateMachine> {
    whoami: Whoami,
    slots: Slots,
    inbox: Arc<Inbox<M>>,
}

impl<M: Machine> Service<M> {
    /// Judges the caller; takes over its stream if it is a peer. `ended` is what the owner hears
    /// when the stream has ended and no newer one has taken its place.
    fn open<Q: Incoming + Send + 'static, A: Send + 'static>(
        &self,
        request: Request<Streaming<Q>>,
        place: fn(&mut Replies) -> &mut Option<mpsc::Sender<A>>,
        ended: fn(NodeId) -> Option<Event<M>>,
    ) -> Result<Response<Answers<A>>, Status> {
        let is_removed = |id| self.slots.is_removed(id);
        let route =
            identity::admit(request.metadata(), self.whoami, is_removed).inspect_err(|status| {
                let caller = request.remote_addr().map(|address| address.to_string());
                let reason = status.message();
                tracing::error!(caller, reason, "a caller at the peer URL was refused");
            })?;
        let (sender, answers) = mpsc::channel(QUEUE_MAX);
        let slot = self.slots.admit(route.from).ok_or_else(|| {
            Status::resource_exhausted("too many callers that are no members: see who they are")
        })?;
        *place(&mut lock(&slot.replies)) = Some(sender.clone());
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            hear(request.into_inner(), route, &inbox).await;
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

async fn hear<Q: Incoming, M: Machine>(mut requests: Streaming<Q>, route: Route, inbox: &Inbox<M>) {
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
impl<M: Machine> Raft for Service<M> {
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

#[cfg(test)]
mod tests {
    use std::io::{self, Read};
    use std::time::Duration;

    use quorate_proto::peer::raft_client::RaftClient;
    use quorate_raft::{Index, Instant, Message, Term};
    use quorate_replica::{Body, Command, PeerMessage, WriteOut};
    use quorate_wire::{Outgoing, encode};
    use tonic::transport::Endpoint;

    use super::*;

    const ME: NodeId = NodeId::new(1);
    const PEER: NodeId = NodeId::new(2);
    const PATIENCE: Duration = Duration::from_secs(30);

    /// No state, for a node that applies nothing.
    struct Nothing;

    impl StateMachine for Nothing {
        type Reply = ();

        fn apply(&mut self, _: &[Command], _: &mut Vec<()>) {}

        fn snapshot(&self) -> WriteOut {
            Box::new(|_| Ok(()))
        }

        fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a peer sends, and then nothing more, though the stream goes on.
    struct Frames(std::vec::IntoIter<AppendEntriesRequest>);

    impl Stream for Frames {
        type Item = AppendEntriesRequest;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.0.next().map_or(Poll::Pending, |frame| Poll::Ready(Some(frame)))
        }
    }

    fn heartbeat(round: u64) -> AppendEntriesRequest {
        let (commit, sent_at) = (Index::new(1), Instant::default());
        let body = Body::Raft(Message::Heartbeat { commit, round, sent_at });
        let message = PeerMessage { from: PEER, to: ME, term: Term::new(1), body };
        let Outgoing::Append(frame) = encode(message) else { panic!("a leader sends heartbeats") };
        frame
    }

    #[tokio::test]
    async fn a_damaged_frame_ends_its_stream_and_never_reaches_the_replica() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let slots = Slots::default();
        let inbox: Arc<Inbox<Nothing>> = Arc::new(Inbox::new());
        let patience = Patience { silence_max: PATIENCE };
        start(Whoami { cluster: 1, member: ME }, listener, patience, &slots, &inbox).unwrap();

        let damaged = AppendEntriesRequest { term: 3, ..heartbeat(2) };
        let frames = Frames(vec![heartbeat(1), damaged, heartbeat(3)].into_iter());
        let mut request = Request::new(frames);
        identity::introduce(&mut request, Whoami { cluster: 1, member: PEER }, ME);
        let channel = Endpoint::from_shared(url).unwrap().connect().await.unwrap();
        let mut client = RaftClient::new(channel);
        let mut answers = client.append_entries(request).await.unwrap().into_inner();
        let ended = tokio::time::timeout(PATIENCE, answers.message()).await;
        assert!(ended.expect("the stream ends").expect("in order").is_none());

        let mut events = Vec::new();
        inbox.take(&mut events);
        let [Event::Message(message), Event::Disconnected(PEER)] = &events[..] else {
            panic!("{} events came, not the first message and the end", events.len());
        };
        let Body::Raft(Message::Heartbeat { round, .. }) = message.body else {
            panic!("a heartbeat was sent: {message:?}");
        };
        assert_eq!(round, 1);
    }
}
