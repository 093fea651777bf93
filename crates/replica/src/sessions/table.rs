//! What is remembered of the clients, and when it is forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quorate_raft::Index;

use super::digest::{self, Step, number};
use super::envelope::{ClientId, Head};
use super::error::SessionError;
use super::saved::SavedReply;

/// The bounds of the table. They decide what is forgotten, so they are part of the state machine:
/// all members have the same, and keep them for as long as their log lives. A snapshot names them,
/// and is refused by a machine with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at most; at least 1.
    pub sessions_max: u64,
    /// Replies kept for one client; further requests are refused until it acknowledges some.
    pub client_replies_max: u64,
    /// The same in bytes; the last reply may go beyond.
    pub client_bytes_max: u64,
    /// The bytes of all kept replies. Each counts [`Self::REPLY_OVERHEAD`] more than it has.
    pub bytes_max: u64,
    /// A larger reply is not kept, only that there was one.
    pub reply_bytes_max: u64,
}

impl Limits {
    /// What a kept reply counts beside its bytes.
    pub const REPLY_OVERHEAD: u64 = 256;

    /// Ten thousand sessions, 64 MiB of replies, of which 8 MiB and 1024 for one client.
    pub const STANDARD: Self = Self {
        sessions_max: 10_000,
        client_replies_max: 1024,
        client_bytes_max: 8 << 20,
        bytes_max: 64 << 20,
        reply_bytes_max: 1 << 20,
    };
}

/// What is remembered of one client.
#[derive(Clone, Debug)]
pub(super) struct Session<R> {
    /// The index of its last command.
    pub(super) last_used: Index,
    /// The client needs no reply to this and any lower sequence.
    pub(super) acknowledged: u64,
    /// Nothing that the client did at or below this index is remembered.
    pub(super) floor: Index,
    /// What its replies count.
    pub(super) bytes: u64,
    /// Its replies above `acknowledged`, in order of their sequences.
    pub(super) kept: VecDeque<Kept<R>>,
}

/// What is remembered of one request.
#[derive(Clone, Debug)]
pub(super) struct Kept<R> {
    pub(super) sequence: u64,
    /// Of the request's body.
    pub(super) fingerprint: u64,
    /// What it counts.
    pub(super) bytes: u64,
    /// The reply; none if it was too large.
    pub(super) reply: Option<R>,
}

/// All sessions.
///
/// **Invariants:** `by_use` has each session once, by its last index; `bytes` is the sum of what
/// the sessions count; each session's `kept` ascends strictly and lies above its `acknowledged`.
#[derive(Debug)]
pub(super) struct Table<R> {
    pub(super) limits: Limits,
    /// Shared with snapshots that are being written.
    pub(super) sessions: BTreeMap<ClientId, Arc<Session<R>>>,
    pub(super) by_use: BTreeMap<Index, ClientId>,
    pub(super) bytes: u64,
    /// The highest index at which a session that is forgotten was used.
    pub(super) evicted_through: Index,
    /// Of all that happened.
    pub(super) hash: u64,
}

impl<R: SavedReply> Table<R> {
    pub(super) fn new(limits: Limits) -> Self {
        assert!(limits.sessions_max > 0, "a table without room is none");
        Self {
            limits,
            sessions: BTreeMap::new(),
            by_use: BTreeMap::new(),
            bytes: 0,
            evicted_through: Index::ZERO,
            hash: digest::EMPTY,
        }
    }

    /// Answers the command at `at`, with `apply` if it was not applied yet. The reply is cloned
    /// only if it `is_wanted`, as it is kept in any case.
    pub(super) fn command(
        &mut self,
        at: Index,
        head: &Head,
        body: &[u8],
        is_wanted: bool,
        apply: impl FnOnce() -> R,
    ) -> Option<Result<R, SessionError>> {
        let fingerprint = digest::fingerprint(body);
        let earlier = match self.sessions.contains_key(&head.client) {
            true => self.examine(at, head, fingerprint),
            false => self.begin(at, head).map(|()| None),
        };
        match earlier {
            Ok(None) => {
                let reply = apply();
                let answer = is_wanted.then(|| Ok(reply.clone()));
                self.keep(at, head, fingerprint, reply);
                answer
            }
            Ok(Some(reply)) => {
                self.hash = digest::step(self.hash, at, head, Step::Repeated);
                is_wanted.then(|| Ok(reply))
            }
            Err(error) => {
                self.hash = digest::step(self.hash, at, head, Step::Refused);
                is_wanted.then_some(Err(error))
            }
        }
    }

    /// A command of a session that there is: the reply that was kept, or none if it is to be
    /// applied.
    fn examine(
        &mut self,
        at: Index,
        head: &Head,
        fingerprint: u64,
    ) -> Result<Option<R>, SessionError> {
        let limits = self.limits;
        let session = self.sessions.get_mut(&head.client).expect("there is one");
        let session = Arc::make_mut(session);
        self.by_use.remove(&session.last_used);
        self.by_use.insert(at, head.client);
        session.last_used = at;
        self.bytes -= session.acknowledge(head.acknowledged);
        let Head { sequence, .. } = *head;
        if sequence <= session.acknowledged {
            let acknowledged = session.acknowledged;
            return Err(SessionError::WentBack { sequence, acknowledged });
        }
        if let Ok(place) = session.place_of(sequence) {
            let kept = &session.kept[place];
            if kept.fingerprint != fingerprint {
                return Err(SessionError::Reused { sequence });
            }
            let reply = kept.reply.clone().ok_or(SessionError::ReplyTooLarge { sequence })?;
            return Ok(Some(reply));
        }
        if head.since.is_some_and(|since| since < session.floor) {
            return Err(SessionError::Expired { at });
        }
        let is_full = limits.client_replies_max <= number(session.kept.len())
            || limits.client_bytes_max <= session.bytes;
        if is_full { Err(SessionError::Full) } else { Ok(None) }
    }

    /// A command of a client that is not known.
    fn begin(&mut self, at: Index, head: &Head) -> Result<(), SessionError> {
        if head.since.is_some_and(|since| since < self.evicted_through) {
            return Err(SessionError::Expired { at });
        }
        // Of this client nothing was forgotten later than that. Who goes now is somebody else.
        let floor = self.evicted_through;
        while self.limits.sessions_max <= number(self.sessions.len()) {
            self.evict();
        }
        let session = Session {
            last_used: at,
            acknowledged: head.acknowledged,
            floor,
            bytes: 0,
            kept: VecDeque::new(),
        };
        self.sessions.insert(head.client, Arc::new(session));
        self.by_use.insert(at, head.client);
        Ok(())
    }

    /// Remembers what a command of a session came to.
    fn keep(&mut self, at: Index, head: &Head, fingerprint: u64, reply: R) {
        let length = number(reply.saved_len());
        let reply = (length <= self.limits.reply_bytes_max).then_some(reply);
        let length = if reply.is_some() { length } else { 0 };
        let bytes = length + Limits::REPLY_OVERHEAD;
        let session = self.sessions.get_mut(&head.client).expect("it was looked up or begun");
        let session = Arc::make_mut(session);
        let place = session.place_of(head.sequence).expect_err("it was not applied before");
        let kept = Kept { sequence: head.sequence, fingerprint, bytes, reply };
        session.kept.insert(place, kept);
        session.bytes += bytes;
        self.bytes += bytes;
        self.hash = digest::step(self.hash, at, head, Step::Applied { bytes });
        // The newest stays, whatever it has: it is within the bounds of one client.
        while self.limits.bytes_max < self.bytes && self.sessions.len() > 1 {
            self.evict();
        }
    }

    /// Forgets the session that was unused for longest.
    fn evict(&mut self) {
        let (last_used, client) = self.by_use.pop_first().expect("there are sessions");
        let session = self.sessions.remove(&client).expect("each stands in both");
        self.bytes -= session.bytes;
        self.evicted_through = self.evicted_through.max(last_used);
        self.hash = digest::evicted(self.hash, last_used);
    }
}

impl<R> Session<R> {
    /// Where a sequence stands, or would.
    fn place_of(&self, sequence: u64) -> Result<usize, usize> {
        // Nearly always behind all others.
        match self.kept.back() {
            Some(last) if sequence <= last.sequence => {
                self.kept.binary_search_by_key(&sequence, |kept| kept.sequence)
            }
            Some(_) | None => Err(self.kept.len()),
        }
    }

    /// Forgets the replies that the client needs no more; what they counted.
    fn acknowledge(&mut self, through: u64) -> u64 {
        self.acknowledged = self.acknowledged.max(through);
        let before = self.bytes;
        while let Some(kept) = self.kept.pop_front_if(|kept| kept.sequence <= self.acknowledged) {
            self.bytes -= kept.bytes;
        }
        before - self.bytes
    }
}
