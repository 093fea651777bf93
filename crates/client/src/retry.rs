//! Which failures are tried again, where, and until when.
//!
//! **Invariant:** once a write was handed to a connection and its outcome is open, it is handed on
//! only if all its attempts carry one number and go to members that know sessions, so that it is
//! applied once. Without a number, whatever happens after the first is reported.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::transport::Channel;
use tonic::{Code, ConnectError, Response, Status};

use crate::error::{Attempt, Error};
use crate::pool::{Pool, Slot, innermost};
use crate::session::{self, Decision, Stamp, Ticket};

/// The pause after all endpoints have failed a read once; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// How often a first attempt may name too old an index at one endpoint. After the first time it has
/// the log's own, and only that many new clients at once could make it too old again.
const RENEWALS_MAX: u32 = 3;

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
    /// The write may have been applied, and another member can tell.
    AskNext,
    /// The only attempt was refused because it named too old an index.
    Renew,
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

/// Judges a failed attempt of a write that has a number. `is_unsure` says whether an earlier
/// attempt may have been applied: then only what the log has decided is an answer.
fn judge_numbered(is_unsure: bool, status: &Status) -> Verdict {
    if is_connect_error(status) {
        return Verdict::NeverSent;
    }
    match session::decision(status) {
        Some(Decision::Expired) if is_unsure => Verdict::Unknown,
        Some(Decision::Expired) => Verdict::Renew,
        Some(Decision::ReplyLost) => Verdict::Unknown,
        Some(Decision::Full) if is_unsure => Verdict::AskNext,
        Some(Decision::Full | Decision::Final) => Verdict::Refused,
        None if is_unsure => Verdict::AskNext,
        None => {
            let verdict = judge(Kind::Write, status);
            if verdict == Verdict::Unknown { Verdict::AskNext } else { verdict }
        }
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
    /// The number of a write, if it has one.
    ticket: Option<Ticket>,
    /// A write was sent, and may have been applied.
    is_unsure: bool,
    /// Connections that failed since the last one that was made.
    unconnected: Vec<Attempt>,
    /// The last answer that was none.
    unanswered: Option<Error>,
}

/// Runs `request` at one endpoint after another, as the rules of the crate's documentation say.
pub(crate) async fn run<T, F, Fut>(pool: &Pool, kind: Kind, request: F) -> Result<T, Error>
where
    F: Fn(Channel, Stamp) -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let is_numbered = kind == Kind::Write && pool.options().sessions;
    run_as(pool, kind, is_numbered, request).await
}

/// Runs a request that changes something and cannot be told from another of its kind: once it was
/// sent, it is not sent again.
pub(crate) async fn run_once<T, F, Fut>(pool: &Pool, request: F) -> Result<T, Error>
where
    F: Fn(Channel, Stamp) -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    run_as(pool, Kind::Write, false, request).await
}

async fn run_as<T, F, Fut>(
    pool: &Pool,
    kind: Kind,
    is_numbered: bool,
    request: F,
) -> Result<T, Error>
where
    F: Fn(Channel, Stamp) -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let deadline = Instant::now() + pool.options().request_timeout;
    let ticket = is_numbered.then(|| pool.sessions().ticket());
    let mut journey = Journey { ticket, ..Journey::new(pool, kind, deadline) };
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
    F: Fn(Channel, Stamp) -> Fut,
    Fut: Future<Output = Result<Response<T>, Status>>,
{
    let deadline = Instant::now() + pool.options().request_timeout;
    let mut journey = Journey::new(pool, Kind::Read, deadline);
    match journey.attempt(slot, true, &request).await {
        Some(result) => result,
        None => Err(journey.into_error()),
    }
}

impl<'a> Journey<'a> {
    fn new(pool: &'a Pool, kind: Kind, deadline: Instant) -> Self {
        let (ticket, unconnected, unanswered) = (None, Vec::new(), None);
        Self { pool, kind, deadline, ticket, is_unsure: false, unconnected, unanswered }
    }

    /// One attempt; `None` means that the next endpoint may be tried.
    async fn attempt<T, F, Fut>(
        &mut self,
        slot: &Slot,
        is_last: bool,
        request: &F,
    ) -> Option<Result<T, Error>>
    where
        F: Fn(Channel, Stamp) -> Fut,
        Fut: Future<Output = Result<Response<T>, Status>>,
    {
        let (channel, knows_sessions) = match timeout_at(self.deadline, self.channel(slot)).await {
            Ok(Ok(connected)) => connected,
            Ok(Err(cause)) => return self.not_connected(slot, cause),
            Err(_) => return self.not_connected(slot, self.out_of_time()),
        };
        if self.is_unsure && !knows_sessions {
            // This one would apply it once more.
            return None;
        }
        for _ in 0..RENEWALS_MAX {
            let numbered = self.ticket.as_mut().filter(|_| knows_sessions);
            let may_go_on = self.kind == Kind::Read || numbered.is_some();
            let stamp = numbered.map_or(Stamp::NONE, |ticket| ticket.stamp(self.pool.sessions()));
            let until = self.attempt_deadline(is_last || !may_go_on);
            let status = match timeout_at(until, request(channel.clone(), stamp)).await {
                Ok(Ok(response)) => {
                    self.pool.answered(slot);
                    return Some(Ok(response.into_inner()));
                }
                Ok(Err(status)) => status,
                Err(_) => {
                    slot.forget();
                    return self.unanswered(slot, may_go_on);
                }
            };
            let verdict = match (self.kind, may_go_on) {
                (Kind::Write, true) => judge_numbered(self.is_unsure, &status),
                (Kind::Read | Kind::Write, _) => judge(self.kind, &status),
            };
            if verdict != Verdict::Renew {
                return self.failed(slot, &status, verdict);
            }
            if let (Some(ticket), Some(index)) =
                (&mut self.ticket, session::index(status.metadata()))
            {
                self.pool.sessions().learn(index);
                ticket.renew();
            }
            self.unanswered = Some(no_answer(slot, &status));
        }
        None
    }

    /// The connection, and whether the member knows sessions, if that matters.
    async fn channel(&self, slot: &Slot) -> Result<(Channel, bool), String> {
        let timeout = self.pool.options().connect_timeout;
        if self.ticket.is_none() {
            return Ok((slot.channel(timeout).await?, false));
        }
        let (channel, index) = slot.channel_and_index(timeout).await?;
        index.inspect(|index| self.pool.sessions().learn(*index));
        Ok((channel, index.is_some()))
    }

    /// When to give up on one endpoint: some time is kept for others, if there is another to go to.
    fn attempt_deadline(&self, is_last: bool) -> Instant {
        match is_last {
            true => self.deadline,
            false => {
                let now = Instant::now();
                now + self.deadline.saturating_duration_since(now) / 2
            }
        }
    }

    /// No answer came in time.
    fn unanswered<T>(&mut self, slot: &Slot, may_go_on: bool) -> Option<Result<T, Error>> {
        let status = Status::deadline_exceeded(self.out_of_time());
        let verdict = match (self.kind, may_go_on) {
            (Kind::Read, _) => Verdict::TryNext,
            (Kind::Write, true) => Verdict::AskNext,
            (Kind::Write, false) => Verdict::Unknown,
        };
        self.failed(slot, &status, verdict)
    }

    fn failed<T>(
        &mut self,
        slot: &Slot,
        status: &Status,
        verdict: Verdict,
    ) -> Option<Result<T, Error>> {
        match verdict {
            Verdict::NeverSent => self.not_connected(slot, text(status)),
            Verdict::TryNext | Verdict::Renew => {
                self.unanswered = Some(no_answer(slot, status));
                None
            }
            Verdict::AskNext => {
                self.is_unsure = true;
                self.unanswered = Some(outcome_unknown(slot, status));
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

    /// A status as a member makes it of what the log has decided.
    fn decided(outcome: &'static str) -> Status {
        let mut status = Status::failed_precondition("quorate: session");
        let outcome = tonic::metadata::MetadataValue::from_static(outcome);
        status.metadata_mut().insert("quorate-session", outcome);
        status
    }

    #[test]
    fn numbered_writes_go_on_until_the_log_has_decided() {
        for is_unsure in [false, true] {
            let judge = |status| judge_numbered(is_unsure, &status);
            assert_eq!(judge(unconnected()), Verdict::NeverSent);
            assert_eq!(judge(broken()), Verdict::AskNext);
            assert_eq!(judge(Status::unavailable("etcdserver: leader changed")), Verdict::AskNext);
            assert_eq!(judge(decided("decided")), Verdict::Refused);
            assert_eq!(judge(decided("went-back")), Verdict::Refused);
            assert_eq!(judge(decided("reply-too-large")), Verdict::Unknown);
        }
        // What a member refuses by itself says nothing of the attempt before.
        let busy = || Status::unknown("etcdserver: too many requests");
        assert_eq!(judge_numbered(false, &busy()), Verdict::Refused);
        assert_eq!(judge_numbered(true, &busy()), Verdict::AskNext);
        assert_eq!(judge_numbered(false, &decided("full")), Verdict::Refused);
        assert_eq!(judge_numbered(true, &decided("full")), Verdict::AskNext);
        assert_eq!(judge_numbered(false, &decided("expired")), Verdict::Renew);
        assert_eq!(judge_numbered(true, &decided("expired")), Verdict::Unknown);
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
