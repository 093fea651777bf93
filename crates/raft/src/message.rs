//! What members say to each other.
//!
//! A message carries no payload: an [`Append`] names the entries it stands for, and the replica
//! adds their bytes when the message leaves. Each variant has one meaning; nothing is optional by
//! convention.

use alloc::vec::Vec;
use core::time::Duration;

use crate::membership::Membership;
use crate::types::{EntryId, Index, Instant, NodeId, Term};

/// A message with its sender, its receiver and the sender's term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// The sender's term; for [`Message::PreVote`] too, where the term asked about is the next one.
    pub term: Term,
    /// What it says.
    pub message: Message,
}

/// The messages of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// AppendEntries (§5.3): entries for a follower's log.
    Append(Append),
    /// The entries up to `matched` equal the leader's and are durable here.
    AppendAccepted {
        /// The last entry verified by the message answered, never merely the last one held.
        matched: Index,
    },
    /// The entry before the new ones is not in this log.
    AppendRejected {
        /// The index of the refused [`Append::previous`]; tells which attempt this answers.
        refused: Index,
        /// Where the logs may agree at best: the last entry here at or below `refused` whose term
        /// is not above the refused one's (fast backtracking, end of §5.3).
        hint: EntryId,
    },
    /// The leader's log begins after `last`, and what comes before is what the receiver lacks
    /// (§7): it is to get a snapshot that reaches `last`. Answered like an append without entries
    /// once the receiver has that entry, and not at all before.
    InstallSnapshot {
        /// The entry right before the first one of the leader's log; committed.
        last: EntryId,
    },
    /// The leader lives. Apart from `Append`, so that its answer need not wait for a disk.
    Heartbeat {
        /// The leader's commit index, but never beyond what it knows this follower to hold.
        commit: Index,
        /// The newest round that waits to be confirmed (thesis 6.4).
        round: u64,
        /// When it was sent, by the leader's clock: a number that only the leader reads, when the
        /// answer brings it back.
        sent_at: Instant,
    },
    /// Answers a heartbeat: this member followed the leader on receipt, and supports nobody else
    /// for a while.
    HeartbeatReply {
        /// The round of the heartbeat answered.
        round: u64,
        /// When the heartbeat answered was sent, as it said.
        sent_at: Instant,
        /// For how long from its receipt on, by the clock here, this member helps to elect nobody
        /// else; zero if it uses no leases.
        support: Duration,
    },
    /// Would you vote for me in the next term? (thesis 9.6)
    PreVote {
        /// The candidate's last durable entry.
        last: EntryId,
    },
    /// Answers a [`Message::PreVote`].
    PreVoteReply {
        /// The term that was asked about: the candidate's next one.
        asked: Term,
        /// Whether the vote would be given.
        granted: Verdict,
    },
    /// RequestVote (§5.2).
    Vote {
        /// The candidate's last durable entry.
        last: EntryId,
        /// Whether the leader itself asked for this election (thesis 3.10): then the leader's being
        /// alive is no reason to refuse.
        by_transfer: bool,
    },
    /// Answers a [`Message::Vote`]; a grant is durable before it leaves.
    VoteReply {
        /// Whether the vote is given.
        granted: Verdict,
    },
    /// A follower asks for a read index (thesis 6.4).
    ReadIndex {
        /// Numbers the follower's request; unique over its restarts.
        ticket: ReadTicket,
    },
    /// Every read up to `ticket` may be served once `index` is applied.
    ReadIndexReply {
        /// The request answered.
        ticket: ReadTicket,
        /// The leader's commit index when the request came, confirmed by a quorum since.
        index: Index,
    },
    /// The leader hands its leadership over to the receiver, who has all of its log (thesis 3.10).
    TimeoutNow,
    /// The receiver's term is behind the sender's: tells a deposed leader or candidate (§5.1).
    HigherTerm,
}

/// The answer to a request for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Granted,
    /// No.
    Refused,
}

/// AppendEntries without payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The entry right before the new ones.
    pub previous: EntryId,
    /// The new entries as runs of one term each, in order; empty for a probe.
    pub runs: Vec<Run>,
    /// The membership entries among them, by index.
    pub memberships: Vec<(Index, Membership)>,
    /// The leader's commit index.
    pub commit: Index,
}

impl Append {
    /// The index of the last entry that this message verifies.
    #[must_use]
    pub fn last(&self) -> Index {
        self.runs.iter().fold(self.previous.index, |last, run| last.plus(run.count))
    }
}

/// Entries in a row that one leader created in one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Their term.
    pub term: Term,
    /// How many there are; never 0 in a valid message.
    pub count: u64,
}

/// Numbers a batch of reads at the member where they wait. Monotone, and unique over restarts since
/// the first number is random: a late answer to an earlier life confirms nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadTicket(pub u64);
