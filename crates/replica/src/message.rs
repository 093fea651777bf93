//! What replicas say to each other: the core's messages, with payloads where they have some.

use bytes::Bytes;
use quorate_log::Block;
use quorate_raft::{EntryId, Index, Message, NodeId, Term};

/// A message with its sender, its receiver and the sender's term.
#[derive(Clone, Debug)]
pub struct PeerMessage {
    /// Who sent it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// The sender's term.
    pub term: Term,
    /// What it says.
    pub body: Body,
}

/// The kinds of messages.
#[derive(Clone, Debug)]
pub enum Body {
    /// A message of the core that needs no payload: never [`Message::Append`].
    Raft(Message),
    /// Entries of a leader.
    Append(Append),
    /// Proposals on their way to the leader of the message's term.
    Proposals(Proposals),
    /// The leader of the message's term has the sender's proposals up to `through` and misses some
    /// after it: they are to be sent again from there.
    ProposalsRefused {
        /// The last sequence that the leader has; 0 for none.
        through: u64,
    },
    /// Proposals find no space: the sender's disk is full, or it leads and those of a majority are.
    /// From a leader to its followers, and from a follower to its leader.
    ProposalsUnwelcome,
    /// The leader of the message's term has as much uncommitted as it may have, and did not take
    /// the receiver's proposals: they are to be sent again later.
    ProposalsOverloaded,
    /// The sender needs a snapshot. The message's term is of no meaning.
    SnapshotRequest {
        /// The last entry of the one that it has a part of; zero if it has none.
        point: EntryId,
        /// From where on it lacks the file.
        offset: u64,
    },
    /// A part of a snapshot's file: of the one asked for, or the beginning of another, if that one
    /// is no longer there. The message's term is of no meaning.
    SnapshotChunk(SnapshotChunk),
    /// What the sender's state is at a place of the log where all compare theirs: the leader puts
    /// it into the log. The message's term is of no meaning.
    Digest {
        /// The entry that asks for the comparison.
        index: Index,
        /// The digest of the state that the entries before it make.
        digest: u64,
    },
}

/// A part of a snapshot's file, as it lies on the sender's disk: the receiver checks the whole.
#[derive(Clone, Debug)]
pub struct SnapshotChunk {
    /// The last entry that the snapshot stands for.
    pub point: EntryId,
    /// How long the file is.
    pub file_bytes: u64,
    /// Where the part begins.
    pub offset: u64,
    /// The part.
    pub bytes: Bytes,
}

/// AppendEntries with its payload.
#[derive(Clone, Debug)]
pub struct Append {
    /// The entry right before the first block.
    pub previous: EntryId,
    /// The entries, in order and without gaps.
    pub blocks: Vec<Block>,
    /// The leader's commit index.
    pub commit: Index,
}

/// Proposals that a follower forwards. The leader takes those of one origin in order, each once per
/// term: `previous` chains them, so that a lost or doubled message is noticed.
#[derive(Clone, Debug)]
pub struct Proposals {
    /// The sender's life: the number drawn at its start, which stands in the entries too.
    pub origin: u64,
    /// The sequence of the last proposal sent before these in this term; 0 for none.
    pub previous: u64,
    /// The sequence of the last of these.
    pub last: u64,
    /// How many there are.
    pub count: u32,
    /// The proposals, encoded as the entries of a [`Block`].
    pub entries: Bytes,
}
