//! What goes into a replica at its start, and what comes out of it.

use quorate_log::{Disk, Identity, Options, SyncJob};
use quorate_raft::{Config, EntryId, Event, Index, Membership, ReadTicket, RestoreError};

use crate::message::PeerMessage;

/// What a replica needs to start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whose log it is: the cluster and the member.
    pub identity: Identity,
    /// The settings of the core. Its seed must be new for each life.
    pub raft: Config,
    /// The settings of the log.
    pub log: Options,
    /// The membership that the cluster began with.
    pub bootstrap: Membership,
    /// A number drawn for this life of the member, other than that of any life of any member.
    pub origin: u64,
    /// Proposals of this member's clients that may wait at most.
    pub proposals_max: u64,
    /// Their payload bytes at most.
    pub proposal_bytes_max: u64,
}

/// What a replica wants done.
#[derive(Debug)]
pub struct Effects<D: Disk, R> {
    /// To be sent; may be lost, doubled and reordered.
    pub messages: Vec<PeerMessage>,
    /// To be run beside the replica, then handed back to `Replica::synced`.
    pub job: Option<SyncJob<D>>,
    /// The replies to proposals, by their sequence, in ascending order.
    pub replies: Vec<(u64, R)>,
    /// Every read up to this ticket may be served from the state machine as it is now.
    pub reads: Option<ReadTicket>,
    /// What happened, for people and counters.
    pub events: Vec<Event>,
    /// There is more to apply than one call does: come back soon, after a look at what else is due.
    pub more: bool,
}

// By hand, since a derived one would ask `Default` of the disk and the replies.
impl<D: Disk, R> Default for Effects<D, R> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            job: None,
            replies: Vec::new(),
            reads: None,
            events: Vec::new(),
            more: false,
        }
    }
}

/// Why a proposal was not taken. Nothing of it will be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many proposals wait already.
    #[error("too many requests wait; try again later")]
    Overloaded,
    /// The disk of this member or of the leader is full.
    #[error("the disk is full; free space on the members' disks")]
    DiskFull,
}

/// A replica cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log says why.
    #[error(transparent)]
    Log(#[from] quorate_log::OpenError),
    /// What the log holds cannot be a state of Raft, or the settings are contradictory.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A membership entry does not decode.
    #[error(
        "the membership entry at index {index} is in no format this version knows; run the version \
         that wrote it, or a newer one"
    )]
    Membership {
        /// Where it stands.
        index: Index,
    },
    /// The log begins later than at its first entry. No snapshot holds what was before.
    #[error(
        "the log begins after entry {base}, and nothing holds what was before: files of its \
         beginning are missing; bring them back, or remove the member and add it anew"
    )]
    Beginning {
        /// The entry before the first that is there.
        base: EntryId,
    },
}

/// A replica cannot go on: it must stop, and its shell says why.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The log cannot be read any more.
    #[error("the log cannot be read: {0}")]
    Read(#[from] quorate_log::ReadError),
}
