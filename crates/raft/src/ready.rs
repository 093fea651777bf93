//! What goes into the core and what comes out of it.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::event::Event;
use crate::lease::LeaseConfig;
use crate::membership::Membership;
use crate::message::{Envelope, ReadTicket, Run};
use crate::types::{EntryId, Index, NodeId, Term};

/// The settings of a member. `check` says what must hold.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member.
    pub id: NodeId,
    /// The shortest election timeout. Also how long a voter that heard a leader refuses to elect
    /// another (thesis 4.2.3), and how long a leader may go without a quorum (thesis 6.2).
    pub election_timeout_min: Duration,
    /// The longest election timeout; each is drawn between the two (§5.2).
    pub election_timeout_max: Duration,
    /// How often a leader without other traffic says that it lives.
    pub heartbeat_interval: Duration,
    /// Payload bytes in one append at most; one entry always passes.
    pub append_bytes_max: u64,
    /// Entries in one append at most.
    pub append_entries_max: u64,
    /// Appends under way to one peer at most.
    pub inflight_appends_max: usize,
    /// Payload bytes under way to one peer at most; one append always passes.
    pub inflight_bytes_max: u64,
    /// Whether a leader answers reads by a lease, and voters keep to it; `None`: they do not.
    pub lease: Option<LeaseConfig>,
    /// The seed of all that is random here. A new one for each start of a member: the numbers of
    /// its read requests are drawn from it.
    pub seed: u64,
}

/// The state that a member finds in its log when it starts.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The durable term and vote.
    pub hard_state: HardState,
    /// The entry right before the first one of the log; [`EntryId::ZERO`] if it has all.
    pub base: EntryId,
    /// The terms of the entries in the log, from the one after `base` on.
    pub runs: Vec<Run>,
    /// The membership that counted at `base` (the initial one, of index 0, if that is zero) and
    /// every membership entry of the log after that, by index.
    pub memberships: Vec<(Index, Membership)>,
    /// An index up to which everything is known to be committed: that of a snapshot. Not before
    /// `base`, nor beyond the log.
    pub commit: Index,
}

/// The part of the durable state that is not the log (Figure 2): one record, written in one piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term seen.
    pub term: Term,
    /// Who got this member's vote in that term.
    pub vote: Option<NodeId>,
}

/// An input to [`crate::Raft::step`].
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed; sent when [`crate::Raft::deadline`] is due. Too early is harmless.
    Timeout,
    /// A message came in.
    Receive(Envelope),
    /// The write with this receipt, and every write before it, is durable.
    Persisted(Receipt),
    /// The connection to a peer broke and it may be dead: evidence that lets a follower of that
    /// peer ask for pre-votes at once, and makes a leader probe it afresh.
    Disconnected(NodeId),
    /// A connection to a peer was made: a leader sends a heartbeat at once, a member without a
    /// leader may try its pre-vote again.
    Connected(NodeId),
}

/// What the core wants done, in this order of dependency: `write` first, `messages` at any time.
/// What depends on the write comes out of a later `Ready`, after [`Input::Persisted`].
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// To be written, in the order of the receipts. One `Ready` carries one write at most; when
    /// more wait (entries of two sources are never mixed), [`crate::Raft::has_ready`] stays true.
    pub write: Option<Write>,
    /// To be sent; may be lost, doubled and reordered.
    pub messages: Vec<Envelope>,
    /// Batches of reads that may be served once their index is applied.
    pub reads: Vec<ReadReady>,
    /// This member needs a snapshot, to be given to [`crate::Raft::install`]. Said again and again
    /// while it does.
    pub wanted: Option<WantedSnapshot>,
    /// What happened, for people and counters.
    pub events: Vec<Event>,
}

/// A member lacks entries that its leader no longer has in its log (§7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedSnapshot {
    /// The leader that says so, which has a snapshot.
    pub from: NodeId,
    /// The snapshot must reach this entry.
    pub last: EntryId,
}

/// A write that must become durable: in one piece, or the hard state before the reset before the
/// entries, so that no entry outlives a crash that its term did not.
#[derive(Clone, Debug)]
pub struct Write {
    /// Handed back in [`Input::Persisted`].
    pub receipt: Receipt,
    /// The new term and vote, when they changed.
    pub hard_state: Option<HardState>,
    /// The log loses all it has, and goes on after this entry, the last of a snapshot that is
    /// durable.
    pub reset: Option<EntryId>,
    /// The entries to append, when there are any.
    pub entries: Option<Entries>,
}

/// Entries to append: the log first loses whatever it holds at `first` and beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// The index of the first entry.
    pub first: Index,
    /// Their terms; the payloads are those that the input brought.
    pub runs: Vec<Run>,
    /// Where the payloads are to be found; the same for all of these entries.
    pub source: Source,
}

/// Where entries come from, and so where their payloads are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// From [`crate::Raft::propose`]: the caller has the payloads.
    Proposal,
    /// From the core itself: the one empty entry with which a leader opens its term (§8). It has no
    /// payload and means nothing to a state machine.
    TermStart,
    /// From the core itself: one entry with this membership, asked for by
    /// [`crate::Raft::change_membership`] or ending such a change. The shell makes its payload.
    Membership(Membership),
    /// From the leader's appends: the payloads came with them. The newest message that brought an
    /// index has the payload that counts.
    Received,
}

/// Proof that a write was handed out. Only [`crate::Raft::ready`] makes one, only
/// [`Input::Persisted`] takes one. Receipts are ordered like their writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt(pub(crate) u64);

/// Reads that were confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadReady {
    /// Every read of this ticket and of lower ones.
    pub ticket: ReadTicket,
    /// They may be served once this index is applied, however late that is: it covers all that was
    /// acknowledged when they came.
    pub index: Index,
}

/// Why a proposal was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProposeError {
    /// This member is not the leader; the one named is, as far as is known.
    NotLeader {
        /// The leader of the current term, if known.
        leader: Option<NodeId>,
    },
    /// This member hands its leadership over: the proposal is for the next leader, or for this one
    /// if that fails.
    Transferring {
        /// To whom.
        to: NodeId,
    },
}

/// Why leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferError {
    /// This member is not the leader; the one named is, as far as is known.
    NotLeader {
        /// The leader of the current term, if known.
        leader: Option<NodeId>,
    },
    /// The member asked for has no vote, or is none of this cluster.
    NotAVoter,
    /// There is no other voter that was heard lately.
    NobodyElse,
    /// It is being handed over to another already.
    UnderWay {
        /// To whom.
        to: NodeId,
    },
}

/// The entries of a proposal, as they were placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// The first entry of the proposal.
    pub first: EntryId,
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(leader) } => {
                write!(f, "this member is not the leader; propose at member {leader}")
            }
            Self::NotLeader { leader: None } => {
                write!(f, "this member is not the leader and knows none; try again, or elsewhere")
            }
            Self::Transferring { to } => {
                write!(f, "this member hands its leadership over to member {to}; try again")
            }
        }
    }
}

impl core::error::Error for ProposeError {}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLeader { leader: Some(leader) } => {
                write!(f, "this member is not the leader; ask member {leader}")
            }
            Self::NotLeader { leader: None } => {
                write!(f, "this member is not the leader and knows none; try again, or elsewhere")
            }
            Self::NotAVoter => write!(f, "that is no voting member of this cluster"),
            Self::NobodyElse => write!(f, "no other voting member was heard lately"),
            Self::UnderWay { to } => {
                write!(f, "leadership is being handed over to member {to} already; try again")
            }
        }
    }
}

impl core::error::Error for TransferError {}

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks whether an election could succeed.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Leads.
    Leader,
}

/// What can be seen of a member from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: NodeId,
    /// Its role.
    pub role: RoleName,
    /// Its term.
    pub term: Term,
    /// Its vote in that term.
    pub vote: Option<NodeId>,
    /// The leader of that term, if known.
    pub leader: Option<NodeId>,
    /// The entry right before the first one of its log.
    pub base: EntryId,
    /// The last entry of its log.
    pub last: EntryId,
    /// The last index that is durable here.
    pub durable: Index,
    /// The last index known to be committed.
    pub commit: Index,
    /// What this member is by the membership that counts here.
    pub standing: Standing,
    /// The entry of that membership.
    pub membership: Index,
    /// Whether a change of membership has not ended, as far as is known.
    pub is_change_pending: bool,
}

/// What a node is by a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It votes, in the old half of a change or in the new one.
    Voter,
    /// It gets the log and has no vote.
    Learner,
    /// It is not a member: not yet, or no more.
    Stranger,
}

/// What the core asks about payloads, which it never sees: implemented by the index of the log.
pub trait Sizes {
    /// How many of the entries from `first` on, at most `count_max` (the log holds at least that
    /// many), fit into `bytes_max` payload bytes, and how many bytes those are. At least one entry
    /// always "fits": an entry larger than every limit has to travel too.
    fn fit(&self, first: Index, count_max: u64, bytes_max: u64) -> (u64, u64);
}
