//! The client's side of sessions: its id, the numbers of its requests, and what it acknowledges.
//!
//! **Invariants:** all attempts of a request carry the same client, sequence and `since`; a
//! sequence is acknowledged only when its request has ended here and is never sent again.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tonic::metadata::{AsciiMetadataValue, MetadataMap, MetadataValue};
use tonic::{Request, Status};

/// The metadata of requests.
const CLIENT_ID: &str = "quorate-client-id";
const SEQUENCE: &str = "quorate-sequence";
const ACKNOWLEDGED: &str = "quorate-acknowledged";
const SINCE: &str = "quorate-since";
/// The metadata of answers.
const INDEX: &str = "quorate-index";
const OUTCOME: &str = "quorate-session";

/// How far the numbers may run ahead of the oldest request under way. A server keeps 1024 replies
/// of a session; one slow request must not hold up those behind it, so a new session begins
/// earlier.
const SPAN_MAX: u64 = 512;

/// The sessions of one client: the current one, and older ones that still have requests under way.
#[derive(Debug)]
pub(crate) struct Sessions {
    current: Mutex<Arc<Session>>,
    /// The highest index that a member has told.
    index: AtomicU64,
}

/// One client, as servers see it.
#[derive(Debug)]
struct Session {
    name: AsciiMetadataValue,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    last: u64,
    under_way: BTreeSet<u64>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self { current: Mutex::new(Session::begin()), index: AtomicU64::new(0) }
    }

    /// The number of a new request.
    pub(crate) fn ticket(&self) -> Ticket {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.span() >= SPAN_MAX {
            *current = Session::begin();
        }
        let session = Arc::clone(&current);
        drop(current);
        let mut numbers = session.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.last += 1;
        let sequence = numbers.last;
        numbers.under_way.insert(sequence);
        let acknowledged = numbers.under_way.first().map_or(0, |lowest| lowest - 1);
        drop(numbers);
        Ticket { session, sequence, acknowledged, since: None }
    }

    /// A member has told an index.
    pub(crate) fn learn(&self, index: u64) {
        self.index.fetch_max(index, Ordering::Relaxed);
    }

    fn index(&self) -> u64 {
        self.index.load(Ordering::Relaxed)
    }
}

impl Session {
    fn begin() -> Arc<Self> {
        let name = MetadataValue::try_from(format!("{:032x}", random()));
        let name = name.expect("digits are ASCII");
        Arc::new(Self { name, numbers: Mutex::default() })
    }

    /// How far the numbers have run ahead of the oldest request under way.
    fn span(&self) -> u64 {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.under_way.first().map_or(0, |lowest| numbers.last - lowest)
    }
}

/// The number of a request, from its first attempt to its end.
#[derive(Debug)]
pub(crate) struct Ticket {
    session: Arc<Session>,
    sequence: u64,
    acknowledged: u64,
    /// Set by the first attempt.
    since: Option<u64>,
}

impl Ticket {
    /// What an attempt carries.
    pub(crate) fn stamp(&mut self, sessions: &Sessions) -> Stamp {
        let since = *self.since.get_or_insert_with(|| sessions.index());
        let Self { session, sequence, acknowledged, .. } = self;
        let client = session.name.clone();
        Stamp(Some(Numbered { client, sequence: *sequence, acknowledged: *acknowledged, since }))
    }

    /// The only attempt so far was refused for its `since`: the next one names a later index.
    pub(crate) fn renew(&mut self) {
        self.since = None;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut numbers = self.session.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.under_way.remove(&self.sequence);
    }
}

/// What one attempt of a request carries; nothing if it belongs to no session.
#[derive(Clone, Debug)]
pub(crate) struct Stamp(Option<Numbered>);

#[derive(Clone, Debug)]
struct Numbered {
    client: AsciiMetadataValue,
    sequence: u64,
    acknowledged: u64,
    since: u64,
}

impl Stamp {
    pub(crate) const NONE: Self = Self(None);

    /// The request with it.
    pub(crate) fn request<T>(self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Self(Some(Numbered { client, sequence, acknowledged, since })) = self {
            let metadata = request.metadata_mut();
            metadata.insert(CLIENT_ID, client);
            metadata.insert(SEQUENCE, sequence.into());
            metadata.insert(ACKNOWLEDGED, acknowledged.into());
            metadata.insert(SINCE, since.into());
        }
        request
    }
}

/// The index that a member told; a member that knows no sessions tells none.
pub(crate) fn index(metadata: &MetadataMap) -> Option<u64> {
    metadata.get(INDEX)?.to_str().ok()?.parse().ok()
}

/// How the log decided a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is unknown whether an earlier attempt was applied; this one was not.
    Expired,
    /// An attempt was applied; its reply is lost.
    ReplyLost,
    /// This attempt was not applied, and a later one may be.
    Full,
    /// This is the answer.
    Final,
}

/// How the log decided, if it did.
pub(crate) fn decision(status: &Status) -> Option<Decision> {
    let outcome = status.metadata().get(OUTCOME)?;
    Some(match outcome.as_bytes() {
        b"expired" => Decision::Expired,
        b"reply-too-large" => Decision::ReplyLost,
        b"full" => Decision::Full,
        _ => Decision::Final,
    })
}

/// A number that nobody else draws: the standard library has keys from the operating system.
fn random() -> u128 {
    let keys = RandomState::new();
    let now = std::time::SystemTime::now();
    let half = |part: u8| u128::from(keys.hash_one((part, now, std::process::id())));
    half(0) << 64 | half(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acknowledged(ticket: &Ticket) -> (u64, u64) {
        (ticket.sequence, ticket.acknowledged)
    }

    #[test]
    fn what_has_ended_is_acknowledged() {
        let sessions = Sessions::new();
        let one = sessions.ticket();
        let two = sessions.ticket();
        assert_eq!(acknowledged(&one), (1, 0));
        assert_eq!(acknowledged(&two), (2, 0));
        drop(two);
        let three = sessions.ticket();
        assert_eq!(acknowledged(&three), (3, 0));
        drop(one);
        assert_eq!(acknowledged(&sessions.ticket()), (4, 2));
        drop(three);
        assert_eq!(acknowledged(&sessions.ticket()), (5, 4));
    }

    #[test]
    fn a_slow_request_does_not_hold_up_the_others() {
        let sessions = Sessions::new();
        let slow = sessions.ticket();
        for _ in 0..SPAN_MAX {
            sessions.ticket();
        }
        let other = sessions.ticket();
        assert_eq!(acknowledged(&other), (1, 0));
        assert_ne!(other.session.name, slow.session.name);
    }

    #[test]
    fn all_attempts_carry_the_same() {
        let sessions = Sessions::new();
        sessions.learn(7);
        let mut ticket = sessions.ticket();
        let first = ticket.stamp(&sessions).request(());
        sessions.learn(9);
        sessions.learn(8);
        let second = ticket.stamp(&sessions).request(());
        assert_eq!(first.metadata().get(SINCE).unwrap(), "7");
        for name in [CLIENT_ID, SEQUENCE, ACKNOWLEDGED, SINCE] {
            assert_eq!(first.metadata().get(name), second.metadata().get(name));
        }
        ticket.renew();
        let third = ticket.stamp(&sessions).request(());
        assert_eq!(third.metadata().get(SINCE).unwrap(), "9");
        assert!(Stamp::NONE.request(()).metadata().is_empty());
    }

    #[test]
    fn ids_differ() {
        assert_ne!(random(), random());
        assert_ne!(Session::begin().name, Session::begin().name);
    }
}
