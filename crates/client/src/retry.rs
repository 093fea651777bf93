//! Which failures are tried again, where, and until when.
//!
//! **Invariant:** a write is handed to at most one connection. Whatever happens after that is
//! reported, never tried again: the server may have applied it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::transport::Channel;
use tonic::{Code, ConnectError, Response, Status};

use crate::error::{Attempt, Error};
use crate::pool::{Pool, Slot, innermost};

/// The pause after all endpoints have failed a read once; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// What a request may do to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing: trying it again does no harm.
    Read,
    /// Something: it must not be applied twice.
    Write,
}

/// What a failed attempt means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing was sent: the next endpoint may be tried.
    NeverSent,
    /// This member cannot serve the read now, another may.
    TryNext,
    /// The server has decided.
    Refused,
    /// The write may have been applied.
    Unknown,
}

/// Texts with which a server refuses a write before anything could come of it, although the
/// code would leave that open.
const REFUSALS: [&str; 5] = [
    "etcdserver: no leader",
    "etcdserver: not capable",
    "etcdserver: rpc not supported for learner",
    "etcdserver: too many requests",
    "etcdserver: re-configuration failed due to not enough started members",
];

/// Judges a failed attempt.
fn judge(kind: Kind, status: &Status) -> Verdict {
    if is_connect_error(status) {
        return Verdict::NeverSent;
    }
    // A status that has a source was made on this side, of a broken connection.
    let is_local = std::error::Error::source(status).is_some();
    match (kind, is_local) {
        (Kind::Read, true) => Verdict::TryNext,
        (Kind::Write, true) => Verdict::Unknown,
        (Kind::Read, false) if status.code() == Code::Unavailable => Verdict::TryNext,
        (Kind::Read, false) => Verdict::Refused,
        (Kind::Write, false) if REFUSALS.contains(&status.message()) => Verdict::Refused,
        (Kind::Write, false) if leaves_open(status.code()) => Verdict::Unknown,
        (Kind::Write, false) => Verdict::Refused,
    }
}

/// Whether a server may answer a write so and yet have applied it, or apply it later.
fn leaves_open(code: Code) -> bool {
    match code {
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => true,
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

fn is_connect_error(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// One request on its way through the endpoints.
struct Journey<'a> {
    pool: &'a Pool,
    kind: Kind,
    deadline: Instant,
    /// Connections that failed since the last one that was made.
    unconnected: Vec<Attempt>,
    /// The last answer that was none.
    unanswered: Option<Error>,
}

/// Runs `request` at one endpoint after another, as the rules of the crate's documentation say.
pub(crate) async fn run<T, F, Fut>(pool: &Pool, kind: Kind, request: F) -> Result<T, Error>
where
    F: Fn(Channel) -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let deadline = Instant::now() + pool.options().request_timeout;
    let mut journey = Journey { pool, kind, deadline, unconnected: Vec::new(), unanswered: None };
    let slots = pool.order();
    let mut pause = PAUSE_MIN;
    loop {
        for (position, slot) in slots.iter().enumerate() {
            let is_last = position + 1 == slots.len();
            if let Some(result) = journey.attempt(slot, is_last, &request).await {
                return result;
            }
            if Instant::now() >= deadline {
                return Err(journey.into_error());
            }
        }
        // Nobody is there at all, or the write has nowhere left to go.
        if journey.unanswered.is_none() {
            return Err(journey.into_error());
        }
        let wake = Instant::now() + pause;
        if wake >= deadline {
            return Err(journey.into_error());
        }
        sleep_until(wake).await;
        pause = PAUSE_MAX.min(pause * 2);
        journey.unconnected.clear();
    }
}

/// Runs `request` at one endpoint that need not be of the pool, once.
pub(crate) async fn run_at<T, F, Fut>(pool: &Pool, slot: &Slot, request: F) -> Result<T, Error>
where
    F: Fn(Channel) -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let deadline = Instant::now() + pool.options().request_timeout;
    let mut journey =
        Journey { pool, kind: Kind::Read, deadline, unconnected: Vec::new(), unanswered: None };
    match journey.attempt(slot, true, &request).await {
        Some(result) => result,
        None => Err(journey.into_error()),
    }
}

impl Journey<'_> {
    /// One attempt; `None` means that the next endpoint may be tried.
    async fn attempt<T, F, Fut>(
        &mut self,
        slot: &Slot,
        is_last: bool,
        request: &F,
    ) -> Option<Result<T, Error>>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let connect_timeout = self.pool.options().connect_timeout;
        let channel = match timeout_at(self.deadline, slot.channel(connect_timeout)).await {
            Ok(Ok(channel)) => channel,
            Ok(Err(cause)) => return self.not_connected(slot, cause),
            Err(_) => return self.not_connected(slot, self.out_of_time()),
        };
        let until = self.attempt_deadline(is_last);
        match timeout_at(until, request(channel)).await {
            Ok(Ok(response)) => {
                self.pool.answered(slot);
                Some(Ok(response.into_inner()))
            }
            Ok(Err(status)) => self.failed(slot, &status),
            Err(_) => {
                slot.forget();
                let status = Status::deadline_exceeded(self.out_of_time());
                match self.kind {
                    Kind::Read => {
                        self.unanswered = Some(no_answer(slot, &status));
                        None
                    }
                    Kind::Write => Some(Err(outcome_unknown(slot, &status))),
                }
            }
        }
    }

    /// When to give up on one endpoint. A read keeps half of its time for the others; a write
    /// cannot go anywhere else.
    fn attempt_deadline(&self, is_last: bool) -> Instant {
        match self.kind {
            Kind::Read if !is_last => {
                let now = Instant::now();
                now + self.deadline.saturating_duration_since(now) / 2
            }
            Kind::Read | Kind::Write => self.deadline,
        }
    }

    fn failed<T>(&mut self, slot: &Slot, status: &Status) -> Option<Result<T, Error>> {
        match judge(self.kind, status) {
            Verdict::NeverSent => self.not_connected(slot, text(status)),
            Verdict::TryNext => {
                self.unanswered = Some(no_answer(slot, status));
                None
            }
            Verdict::Refused => {
                self.pool.answered(slot);
                let (endpoint, code) = (slot.endpoint.clone(), status.code());
                Some(Err(Error::Refused { endpoint, code, message: text(status) }))
            }
            Verdict::Unknown => Some(Err(outcome_unknown(slot, status))),
        }
    }

    fn not_connected<T>(&mut self, slot: &Slot, cause: String) -> Option<T> {
        self.unconnected.push(Attempt { endpoint: slot.endpoint.clone(), cause });
        None
    }

    fn out_of_time(&self) -> String {
        format!("no answer within {:?}", self.pool.options().request_timeout)
    }

    fn into_error(self) -> Error {
        self.unanswered.unwrap_or(Error::NotConnected { attempts: self.unconnected })
    }
}

fn no_answer(slot: &Slot, status: &Status) -> Error {
    let (endpoint, code) = (slot.endpoint.clone(), status.code());
    Error::NoAnswer { endpoint, code, message: text(status) }
}

fn outcome_unknown(slot: &Slot, status: &Status) -> Error {
    let (endpoint, code) = (slot.endpoint.clone(), status.code());
    Error::OutcomeUnknown { endpoint, code, message: text(status) }
}

/// What a status says: the server's text, or the transport's innermost cause.
fn text(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => innermost(source),
        None => status.message().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A status as the transport makes it when a connection breaks.
    fn broken() -> Status {
        let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let mut status = Status::unknown("transport error");
        status.set_source(std::sync::Arc::new(error));
        status
    }

    /// A status as the transport makes it when it cannot connect.
    fn unconnected() -> Status {
        Status::from_error(Box::new(ConnectError("connection refused".into())))
    }

    #[test]
    fn reads_go_on_where_another_member_may_help() {
        let judge = |status| judge(Kind::Read, &status);
        assert_eq!(judge(Status::unavailable("etcdserver: leader changed")), Verdict::TryNext);
        assert_eq!(judge(broken()), Verdict::TryNext);
        assert_eq!(judge(unconnected()), Verdict::NeverSent);
        let compacted = "etcdserver: mvcc: required revision has been compacted";
        assert_eq!(judge(Status::out_of_range(compacted)), Verdict::Refused);
    }

    #[test]
    fn writes_go_on_only_if_nothing_was_sent() {
        let judge = |status| judge(Kind::Write, &status);
        assert_eq!(judge(unconnected()), Verdict::NeverSent);
        assert_eq!(judge(broken()), Verdict::Unknown);
        assert_eq!(judge(Status::unavailable("etcdserver: leader changed")), Verdict::Unknown);
        assert_eq!(judge(Status::unavailable("etcdserver: request timed out")), Verdict::Unknown);
        assert_eq!(judge(Status::deadline_exceeded("context deadline")), Verdict::Unknown);
        assert_eq!(judge(Status::unknown("raft: stopped")), Verdict::Unknown);
    }

    #[test]
    fn a_refused_write_is_known_to_be_refused() {
        let judge = |status| judge(Kind::Write, &status);
        assert_eq!(judge(Status::invalid_argument("etcdserver: key")), Verdict::Refused);
        assert_eq!(judge(Status::resource_exhausted("etcdserver: space")), Verdict::Refused);
        assert_eq!(judge(Status::unavailable("etcdserver: no leader")), Verdict::Refused);
        assert_eq!(judge(Status::unknown("etcdserver: too many requests")), Verdict::Refused);
    }
}
