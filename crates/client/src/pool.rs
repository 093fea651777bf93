//! The connections: one a member, made when first needed, and which member to ask first.

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_proto::etcdserverpb::StatusRequest;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Channel;

use crate::endpoint::{Endpoint, EndpointError};
use crate::options::{Choice, Options};
use crate::session::{self, Sessions};

/// How long an idle connection stays unproved; etcd's servers refuse to be asked more often
/// than every 5 s.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long the proof may take.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// All members that the client knows.
///
/// **Invariant:** there is at least one.
#[derive(Debug)]
pub(crate) struct Pool {
    slots: Vec<Slot>,
    options: Options,
    /// The slot that answered last, or whose turn it is; modulo the number of slots.
    current: AtomicUsize,
    sessions: Sessions,
}

impl Pool {
    pub(crate) fn new(endpoints: Vec<Endpoint>, options: Options) -> Result<Self, EndpointError> {
        let mut slots: Vec<Slot> = Vec::with_capacity(endpoints.len());
        for endpoint in endpoints {
            if slots.iter().all(|slot| slot.endpoint.authority() != endpoint.authority()) {
                slots.push(Slot::new(endpoint));
            }
        }
        if slots.is_empty() {
            return Err(EndpointError::none());
        }
        Ok(Self { slots, options, current: AtomicUsize::new(0), sessions: Sessions::new() })
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.slots.iter().map(|slot| &slot.endpoint)
    }

    pub(crate) fn find(&self, endpoint: &Endpoint) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.endpoint.authority() == endpoint.authority())
    }

    /// All slots in the order in which a request should try them.
    pub(crate) fn order(&self) -> Vec<&Slot> {
        let first = match self.options.choice {
            Choice::Sticky => self.current.load(Ordering::Relaxed),
            Choice::RoundRobin => self.current.fetch_add(1, Ordering::Relaxed),
        };
        let (before, from) = self.slots.split_at(first % self.slots.len());
        from.iter().chain(before).collect()
    }

    /// Remembers who answered, so that the next request begins there.
    pub(crate) fn answered(&self, slot: &Slot) {
        if self.options.choice == Choice::Sticky {
            let found = self.slots.iter().position(|other| std::ptr::eq(other, slot));
            if let Some(position) = found {
                self.current.store(position, Ordering::Relaxed);
            }
        }
    }
}

/// One member and the connection to it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) endpoint: Endpoint,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The connection; it mends itself when it breaks. None before the first and after
    /// [`Slot::forget`].
    channel: Option<Channel>,
    /// What the member told of sessions on this connection: an index, or that it knows none. None
    /// before it was asked.
    knows: Option<Option<u64>>,
    /// The end of the last try that failed, and why it did.
    failed: Option<(Instant, String)>,
}

impl Slot {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, state: Mutex::default() }
    }

    /// The connection, made if there is none; an error is why that failed.
    ///
    /// Requests that wait here together share one try, so that a dead member costs them one
    /// timeout and not one after another.
    pub(crate) async fn channel(&self, timeout: Duration) -> Result<Channel, String> {
        let asked = Instant::now();
        self.connected(&mut *self.state.lock().await, asked, timeout).await
    }

    /// The same for a write in a session, with an index that the member told; none if it knows no
    /// sessions. A member is asked once a connection.
    pub(crate) async fn channel_and_index(
        &self,
        timeout: Duration,
    ) -> Result<(Channel, Option<u64>), String> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        let channel = self.connected(&mut state, asked, timeout).await?;
        if let Some(index) = state.knows {
            return Ok((channel, index));
        }
        match ask_for_sessions(channel.clone(), timeout).await {
            Ok(index) => {
                state.knows = Some(index);
                Ok((channel, index))
            }
            Err(cause) => {
                state.channel = None;
                state.failed = Some((Instant::now(), cause.clone()));
                Err(cause)
            }
        }
    }

    async fn connected(
        &self,
        state: &mut State,
        asked: Instant,
        timeout: Duration,
    ) -> Result<Channel, String> {
        if let Some(channel) = &state.channel {
            return Ok(channel.clone());
        }
        if let Some((when, cause)) = &state.failed
            && *when > asked
        {
            return Err(cause.clone());
        }
        match connect(&self.endpoint, timeout).await {
            Ok(channel) => {
                state.channel = Some(channel.clone());
                state.knows = None;
                Ok(channel)
            }
            Err(cause) => {
                state.failed = Some((Instant::now(), cause.clone()));
                Err(cause)
            }
        }
    }

    /// Drops the connection: it may be half open, and only a new one can tell.
    ///
    /// It does not wait: whoever holds the lock has no connection or is about to make one.
    pub(crate) fn forget(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            state.channel = None;
        }
    }
}

async fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Channel, String> {
    let transport = tonic::transport::Endpoint::from_shared(endpoint.url())
        .map_err(|error| innermost(&error))?
        .connect_timeout(timeout)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    // The transport's own timeout guards later connections; this one also covers the first
    // exchange after it.
    match tokio::time::timeout(timeout, transport.connect()).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(error)) => Err(innermost(&error)),
        Err(_) => Err(format!("no connection within {timeout:?}")),
    }
}

/// Asks a member for its state, which it answers alone and at once; one that knows sessions names
/// an index with it. An error means that it is not there, or not able to answer now.
async fn ask_for_sessions(channel: Channel, timeout: Duration) -> Result<Option<u64>, String> {
    let status = async move { MaintenanceClient::new(channel).status(StatusRequest {}).await };
    let error = match tokio::time::timeout(timeout, status).await {
        Ok(Ok(answer)) => return Ok(session::index(answer.metadata())),
        Ok(Err(error)) => error,
        Err(_) => return Err(format!("no answer within {timeout:?}")),
    };
    // A status that has a source was made on this side, of a broken connection.
    if let Some(source) = error.source() {
        return Err(innermost(source));
    }
    match error.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted => {
            Err(error.message().to_owned())
        }
        // Somebody who has no such call, or does not let us make it, is none of ours.
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => Ok(None),
    }
}

/// The cause at the bottom of an error, which is the one that says something.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut bottom = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    bottom.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(endpoints: &[&str], choice: Choice) -> Pool {
        let endpoints = endpoints.iter().map(|text| text.parse().unwrap()).collect();
        Pool::new(endpoints, Options::new().choice(choice)).unwrap()
    }

    fn order(pool: &Pool) -> Vec<String> {
        pool.order().iter().map(|slot| slot.endpoint.to_string()).collect()
    }

    #[test]
    fn sticky_stays_with_who_answered() {
        let pool = pool(&["a:1", "b:1", "c:1"], Choice::Sticky);
        assert_eq!(order(&pool), ["a:1", "b:1", "c:1"]);
        pool.answered(pool.order()[1]);
        assert_eq!(order(&pool), ["b:1", "c:1", "a:1"]);
        assert_eq!(order(&pool), ["b:1", "c:1", "a:1"]);
    }

    #[test]
    fn round_robin_gives_each_its_turn() {
        let pool = pool(&["a:1", "b:1"], Choice::RoundRobin);
        assert_eq!(order(&pool), ["a:1", "b:1"]);
        pool.answered(pool.order()[0]);
        assert_eq!(order(&pool), ["a:1", "b:1"]);
        assert_eq!(order(&pool), ["b:1", "a:1"]);
    }

    #[test]
    fn the_same_endpoint_twice_is_one() {
        let pool = pool(&["a:1", "http://a:1/", "b:1"], Choice::Sticky);
        assert_eq!(order(&pool), ["a:1", "b:1"]);
        assert!(Pool::new(Vec::new(), Options::new()).is_err());
    }
}
