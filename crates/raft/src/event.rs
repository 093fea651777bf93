//! What happened inside the core, for people, counters and transcripts. The core does not log.
//!
//! An event is emitted where there was a choice, and names the reason. The busy path (appends and
//! their acks, heartbeats, commits) emits none: the status tells its state.

use crate::types::{EntryId, Index, NodeId, Term};

/// An event, with its reason where there is a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// This member leads from now on.
    BecameLeader {
        /// The term it leads.
        term: Term,
    },
    /// This member follows, with or without a known leader.
    BecameFollower {
        /// The term.
        term: Term,
        /// The leader, once known.
        leader: Option<NodeId>,
    },
    /// This member asks whether an election could succeed.
    BecamePreCandidate {
        /// Its term, which asking does not change.
        term: Term,
        /// Why it asks.
        cause: CampaignCause,
    },
    /// This member stands for election.
    BecameCandidate {
        /// The term it stands for.
        term: Term,
    },
    /// A message showed a higher term, which is this member's from now on.
    TermRaised {
        /// Whose message.
        from: NodeId,
        /// The new term.
        term: Term,
    },
    /// This member no longer leads.
    SteppedDown {
        /// The term it led.
        term: Term,
        /// Why.
        cause: StepDownCause,
    },
    /// This member hands its leadership over, and proposes nothing meanwhile.
    TransferBegan {
        /// To whom.
        to: NodeId,
    },
    /// The other did not take over in time; this member goes on leading.
    TransferFailed {
        /// Who.
        to: NodeId,
    },
    /// A vote was given; it leaves when it is durable.
    VoteGranted {
        /// To whom.
        candidate: NodeId,
        /// In which term.
        term: Term,
    },
    /// A vote was refused.
    VoteRefused {
        /// To whom.
        candidate: NodeId,
        /// Why.
        reason: Refusal,
    },
    /// A pre-vote was given; it binds to nothing.
    PreVoteGranted {
        /// To whom.
        candidate: NodeId,
    },
    /// A pre-vote was refused.
    PreVoteRefused {
        /// To whom.
        candidate: NodeId,
        /// Why.
        reason: Refusal,
    },
    /// Entries that the leader does not have were removed; they were never committed.
    Truncated {
        /// The first entry removed.
        first: Index,
        /// The last entry removed.
        last: EntryId,
    },
    /// Another membership counts from now on, committed or not: its entry was appended, or that of
    /// a later one was removed. [`crate::Raft::membership`] is the membership.
    MembershipChanged {
        /// The entry of the membership that counts now.
        index: Index,
    },
    /// A membership is known to be committed: it will not be undone.
    MembershipCommitted {
        /// Its entry.
        index: Index,
    },
    /// By a committed membership, this member is none any more. What a shell makes of it is its
    /// business: a member that catches up learns of all that is long past, and may have been added
    /// again since.
    Removed {
        /// The entry of that membership.
        index: Index,
    },
    /// An append was refused: the log here lacks the entry before the new ones.
    AppendRefused {
        /// That entry.
        previous: EntryId,
        /// Where the logs may agree at best.
        hint: EntryId,
    },
    /// The leader's log begins after what is missing here: a snapshot is needed.
    SnapshotWanted {
        /// The leader.
        from: NodeId,
        /// The entry that it must reach.
        last: EntryId,
    },
    /// A snapshot took the place of the log.
    SnapshotInstalled {
        /// The last entry that it stands for.
        point: EntryId,
        /// The last entry of the log that is gone.
        last: EntryId,
    },
    /// The leader looks for the place where a peer's log agrees with its own.
    PeerProbed {
        /// The peer.
        peer: NodeId,
        /// The next entry to try.
        next: Index,
        /// Why.
        cause: ProbeCause,
    },
    /// The leader knows where a peer's log agrees and sends without waiting.
    PeerReplicates {
        /// The peer.
        peer: NodeId,
        /// The last entry known to agree.
        matched: Index,
    },
    /// A message changed nothing.
    MessageIgnored {
        /// Whose message.
        from: NodeId,
        /// Why.
        reason: IgnoreReason,
    },
    /// A message that no correct member sends was dropped.
    PeerMisbehaved {
        /// Whose message.
        peer: NodeId,
        /// What was wrong with it.
        what: Misbehaviour,
    },
}

/// Why a member asks for pre-votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CampaignCause {
    /// It knows no leader of its term.
    NoLeader,
    /// The leader was not heard for an election timeout.
    LeaderSilent {
        /// The leader.
        leader: NodeId,
    },
    /// The connection to the leader broke.
    LeaderDisconnected {
        /// The leader.
        leader: NodeId,
    },
}

/// Why a leader stepped down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepDownCause {
    /// Someone has a higher term.
    HigherTerm {
        /// Who.
        from: NodeId,
    },
    /// No quorum was heard for the shortest election timeout (thesis 6.2).
    QuorumLost,
    /// By a committed membership it has no vote, and nobody took over in time.
    NotAVoter,
}

/// Why a vote or pre-vote was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The leader was heard a moment ago (thesis 4.2.3).
    LeaderAlive {
        /// The leader.
        leader: NodeId,
    },
    /// This member has promised not to help another for a while: leases are on.
    Promised {
        /// Whom it promised that; unknown after a restart.
        leader: Option<NodeId>,
    },
    /// The vote of this term went to another.
    VotedFor {
        /// The other.
        candidate: NodeId,
    },
    /// The candidate's log is behind (§5.4.1).
    LogBehind {
        /// The candidate's last entry.
        theirs: EntryId,
        /// The last entry here.
        ours: EntryId,
    },
    /// The term asked for is over already.
    TermBehind {
        /// The term here.
        ours: Term,
    },
}

/// Why a leader probes a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeCause {
    /// The peer lacks the entry before those sent.
    Rejected {
        /// That entry's index.
        refused: Index,
    },
    /// Appends are under way, but the peer made no progress for long: they are lost.
    NoProgress,
    /// The connection to the peer broke or was made anew.
    Connection,
}

/// Why a message changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgnoreReason {
    /// It is of an earlier term.
    LowerTerm {
        /// That term.
        term: Term,
    },
    /// It answers a question that is no longer open.
    Stale,
    /// The sender is not a member as far as this one knows.
    NotAMember,
    /// This member's role has no use for it.
    Role,
}

/// What no correct peer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// The message is not for this member, or claims to come from it.
    Misrouted,
    /// A term, index, count or round beyond every possible one.
    NumberTooLarge,
    /// Something but a pre-vote in term zero, in which nobody leads and nobody stands for election.
    TermZero,
    /// A run without entries.
    RunEmpty,
    /// The terms of the entries fall.
    TermsFall,
    /// An entry or a log position of a term above the sender's.
    TermAboveSender,
    /// A position with an index but no term, or a term but no index.
    PositionImpossible,
    /// A membership that is not among the entries, out of order, or impossible in itself.
    MembershipInvalid,
    /// An acknowledgement of entries that were never sent.
    AckBeyondSent,
    /// A hint that leaves nothing to refuse.
    HintImpossible,
    /// A commit index beyond what this member ever acknowledged.
    CommitBeyondLog,
    /// A round that was never begun.
    RoundUnknown,
    /// An answer to a heartbeat that was never sent.
    HeartbeatUnknown,
    /// A pre-vote granted for a term that the voter is beyond.
    GrantImpossible,
}
