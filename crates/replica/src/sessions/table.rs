//! What is remembered of the clients, and when it is forgotten.

use std::collections::VecDeque;

use quorate_raft::Index;

use super::digest::{self, Step, number};
use super::envelope::Head;
use super::error::SessionError;
use super::roster::{Place, Roster};
use super::saved::{Saved, SavedReply};

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
pub(super) struct Session {
    /// The index of its last command.
    pub(super) last_used: Index,
    /// The client needs no reply to this and any lower sequence.
    pub(super) acknowledged: u64,
    /// Nothing that the client did at or below this index is remembered.
    pub(super) floor: Index,
    /// What its replies count.
    pub(super) bytes: u64,
    /// Its replies above `acknowledged`, in order of their sequences.
    pub(super) kept: VecDeque<Kept>,
}

/// What is remembered of one request.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) sequence: u64,
    /// Of the request's body.
    pub(super) fingerprint: u64,
    /// The reply; none if it was too large.
    pub(super) reply: Option<Saved>,
}

/// All sessions.
///
/// **Invariants:** `bytes` is the sum of what the sessions count; each session's `kept` ascends
/// strictly and lies above its `acknowledged`.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) limits: Limits,
    /// The chain of their use is that of their last indexes.
    pub(super) sessions: Roster,
    pub(super) bytes: u64,
    /// The highest index at which a session that is forgotten was used.
    pub(super) evicted_through: Index,
    /// Of all that happened.
    pub(super) hash: u64,
    /// Reused from reply to reply.
    saving: Vec<u8>,
}

/// What to do with a command.
enum Verdict {
    /// It is to be applied, and is of the session there.
    New(Place),
    /// It was, with this reply.
    Repeated(Saved),
}

impl Table {
    pub(super) fn new(limits: Limits) -> Self {
        assert!(limits.sessions_max > 0, "a table without room is none");
        Self {
            limits,
            sessions: Roster::default(),
            bytes: 0,
            evicted_through: Index::ZERO,
            hash: digest::EMPTY,
            saving: Vec::new(),
        }
    }

    /// Answers the command at `at`, with `apply` if it was not applied yet.
    pub(super) fn command<R: SavedReply>(
        &mut self,
        at: Index,
        head: &Head,
        body: &[u8],
        is_wanted: bool,
        apply: impl FnOnce() -> R,
    ) -> Option<Result<R, SessionError>> {
        let fingerprint = digest::fingerprint(body);
        let verdict = match self.sessions.find(head.client) {
            Some(place) => self.examine(at, head, fingerprint, place),
            None => self.begin(at, head).map(Verdict::New),
        };
        match verdict {
            Ok(Verdict::New(place)) => {
                let reply = apply();
                self.keep(at, head, fingerprint, place, &reply);
                is_wanted.then_some(Ok(reply))
            }
            Ok(Verdict::Repeated(saved)) => {
                self.hash = digest::step(self.hash, at, head, Step::Repeated);
                is_wanted.then(|| Ok(R::load(saved.bytes()).expect("a saved reply can be loaded")))
            }
            Err(error) => {
                self.hash = digest::step(self.hash, at, head, Step::Refused);
                is_wanted.then_some(Err(error))
            }
        }
    }

    /// A command of a session that there is.
    fn examine(
        &mut self,
        at: Index,
        head: &Head,
        fingerprint: u64,
        place: Place,
    ) -> Result<Verdict, SessionError> {
        self.sessions.touch(place);
        let session = self.sessions.session(place);
        session.last_used = at;
        self.bytes -= session.acknowledge(head.acknowledged);
        let Head { sequence, .. } = *head;
        if sequence <= session.acknowledged {
            let acknowledged = session.acknowledged;
            return Err(SessionError::WentBack { sequence, acknowledged });
        }
        if let Ok(at) = session.place_of(sequence) {
            let kept = &session.kept[at];
            if kept.fingerprint != fingerprint {
                return Err(SessionError::Reused { sequence });
            }
            let reply = kept.reply.clone().ok_or(SessionError::ReplyTooLarge { sequence })?;
            return Ok(Verdict::Repeated(reply));
        }
        if head.since.is_some_and(|since| since < session.floor) {
            return Err(SessionError::Expired { at });
        }
        let is_full = self.limits.client_replies_max <= number(session.kept.len())
            || self.limits.client_bytes_max <= session.bytes;
        if is_full { Err(SessionError::Full) } else { Ok(Verdict::New(place)) }
    }

    /// A command of a client that is not known.
    fn begin(&mut self, at: Index, head: &Head) -> Result<Place, SessionError> {
        if head.since.is_some_and(|since| since < self.evicted_through) {
            return Err(SessionError::Expired { at });
        }
        // Of this client nothing was forgotten later than that. Who goes now is somebody else.
        let floor = self.evicted_through;
        while self.limits.sessions_max <= number(self.sessions.len()) {
            self.evict();
        }
        Ok(self.sessions.insert(head.client, Session::new(at, head.acknowledged, floor)))
    }

    /// Remembers what a command of a session came to.
    fn keep(
        &mut self,
        at: Index,
        head: &Head,
        fingerprint: u64,
        place: Place,
        reply: &impl SavedReply,
    ) {
        let length = reply.saved_len();
        let saved = (number(length) <= self.limits.reply_bytes_max).then(|| {
            self.saving.clear();
            reply.save(&mut self.saving);
            assert_eq!(self.saving.len(), length, "a reply's length is known");
            Saved::new(&self.saving)
        });
        self.saving.shrink_to(SAVING_BYTES_KEPT);
        let kept = Kept { sequence: head.sequence, fingerprint, reply: saved };
        let bytes = kept.counts();
        let session = self.sessions.session(place);
        let at_place = session.place_of(head.sequence).expect_err("it was not applied before");
        session.kept.insert(at_place, kept);
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
        let session = self.sessions.pop_oldest().expect("there are sessions");
        self.bytes -= session.bytes;
        self.evicted_through = self.evicted_through.max(session.last_used);
        self.hash = digest::evicted(self.hash, session.last_used);
    }
}

/// What stays allocated to save replies in.
const SAVING_BYTES_KEPT: usize = 64 * 1024;

impl Kept {
    /// What it counts.
    pub(super) fn counts(&self) -> u64 {
        let length = self.reply.as_ref().map_or(0, |reply| number(reply.bytes().len()));
        length + Limits::REPLY_OVERHEAD
    }
}

impl Session {
    /// One that has no reply yet.
    pub(super) fn new(last_used: Index, acknowledged: u64, floor: Index) -> Self {
        Self { last_used, acknowledged, floor, bytes: 0, kept: VecDeque::new() }
    }

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
            self.bytes -= kept.counts();
        }
        before - self.bytes
    }
}
