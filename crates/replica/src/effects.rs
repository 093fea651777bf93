//! What goes into a replica at its start, and what comes out of it.

use std::fmt;
use std::io;

use quorate_log::{CloseError, Disk, Identity, Options, SnapshotError, SyncFailure, SyncJob};
use quorate_raft::{Config, EntryId, Event, Index, NodeId, ReadTicket, RestoreError};

use crate::checks::{CheckPolicy, Outcome};
use crate::job::SnapshotJob;
use crate::membership::Members;
use crate::message::PeerMessage;
use crate::snapshots::SnapshotPolicy;

/// What a replica needs to start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Whose log it is: the cluster and the member.
    pub identity: Identity,
    /// The settings of the core. Its seed must be new for each life.
    pub raft: Config,
    /// The settings of the log.
    pub log: Options,
    /// When snapshots are taken.
    pub snapshots: SnapshotPolicy,
    /// When the members compare their states.
    pub checks: CheckPolicy,
    /// The members that the cluster began with; for a member that is to be added to a cluster, who
    /// its members are now, without itself. Of no meaning once there is a snapshot.
    pub bootstrap: Members,
    /// A number drawn for this life of the member, other than that of any life of any member.
    pub origin: u64,
    /// Proposals of this member's clients that may wait at most. A leader takes twice as many, its
    /// own and those of the others together, before the first of them is committed.
    pub proposals_max: u64,
    /// Their payload bytes at most, and half of what a leader takes in the same way.
    pub proposal_bytes_max: u64,
}

/// What a replica wants done.
#[derive(Debug)]
pub struct Effects<D: Disk, R> {
    /// To be sent; may be lost, doubled and reordered.
    pub messages: Vec<PeerMessage>,
    /// To be run beside the replica, then handed back to `Replica::synced`.
    pub job: Option<SyncJob<D>>,
    /// To be run beside the replica, and beside each other, then handed back to
    /// `Replica::snapshot_done`.
    pub snapshot_jobs: Vec<SnapshotJob<D>>,
    /// Proposals up to this sequence that have had no reply by now, those of these effects
    /// included, will have none: a snapshot has taken the place of the entries among which they
    /// were, and whether they were among them is not known.
    pub unanswered: Option<u64>,
    /// The replies to proposals, by their sequence, in ascending order.
    pub replies: Vec<(u64, R)>,
    /// Every read up to this ticket may be served from the state machine as it is now.
    pub reads: Option<ReadTicket>,
    /// What happened, for people and counters.
    pub events: Vec<Event>,
    /// What happened to snapshots.
    pub notes: Vec<Note>,
    /// There is more to apply than one call does: come back soon, after a look at what else is due.
    pub more: bool,
}

// By hand, since a derived one would ask `Default` of the disk and the replies.
impl<D: Disk, R> Default for Effects<D, R> {
    fn default() -> Self {
        Self {
            messages: Vec::new(),
            job: None,
            snapshot_jobs: Vec::new(),
            unanswered: None,
            replies: Vec::new(),
            reads: None,
            events: Vec::new(),
            notes: Vec::new(),
            more: false,
        }
    }
}

/// Something that a person may want to know.
#[derive(Debug)]
pub enum Note {
    /// What the log found when it was opened.
    Log(quorate_log::Note),
    /// A snapshot is of no use. If there is no other, the state comes from another member.
    SnapshotUnusable {
        /// Why.
        error: String,
    },
    /// The log begins after all the state that there is here.
    StateMissing {
        /// The entry before the first one.
        base: EntryId,
    },
    /// A snapshot was taken.
    Taken {
        /// The last entry that it stands for.
        point: EntryId,
        /// The length of its file.
        bytes: u64,
    },
    /// A snapshot could not be written.
    NotTaken {
        /// Why.
        error: io::Error,
    },
    /// A snapshot of another member has taken the place of the state here.
    Installed {
        /// The last entry that it stands for.
        point: EntryId,
    },
    /// A snapshot of another member was not received.
    NotReceived {
        /// Why.
        error: SnapshotError,
    },
    /// A snapshot of another member is of a version that this one does not know.
    NotUnderstood {
        /// The last entry that it stands for.
        point: EntryId,
    },
    /// The state machine did not take a snapshot of another member.
    NotRestored {
        /// The last entry that it stands for.
        point: EntryId,
        /// What it said.
        error: io::Error,
    },
    /// A snapshot could not be read for another member.
    NotServed {
        /// Why.
        error: io::Error,
    },
    /// Snapshots that are no longer needed could not be removed.
    NotPruned {
        /// Why.
        error: io::Error,
    },
    /// The members' states differ.
    Differ {
        /// The entry before which they were compared.
        index: Index,
        /// The digests that are known, by member.
        digests: Vec<(NodeId, u64)>,
        /// What they come to.
        outcome: Outcome,
    },
}

impl Note {
    /// Whether somebody should look at it.
    #[must_use]
    pub const fn is_warning(&self) -> bool {
        match self {
            Self::Taken { .. } | Self::Installed { .. } => false,
            Self::Log(_)
            | Self::SnapshotUnusable { .. }
            | Self::StateMissing { .. }
            | Self::NotTaken { .. }
            | Self::NotReceived { .. }
            | Self::NotUnderstood { .. }
            | Self::NotRestored { .. }
            | Self::NotServed { .. }
            | Self::NotPruned { .. }
            | Self::Differ { .. } => true,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(note) => note.fmt(f),
            Self::SnapshotUnusable { error } => write!(f, "a snapshot is of no use: {error}"),
            Self::StateMissing { base } => write!(
                f,
                "the log begins after entry {base} and no sound snapshot reaches it: the state is \
                 fetched from another member, and nothing is served before"
            ),
            Self::Taken { point, bytes } => {
                write!(f, "took a snapshot of all entries up to {point}, of {bytes} bytes")
            }
            Self::NotTaken { error } => {
                write!(f, "no snapshot was taken, so the log grows until the next one: {error}")
            }
            Self::Installed { point } => {
                write!(f, "took in another member's snapshot of all entries up to {point}")
            }
            Self::NotReceived { error } => {
                write!(
                    f,
                    "another member's snapshot was not received, and is asked for again: {error}"
                )
            }
            Self::NotUnderstood { point } => write!(
                f,
                "another member's snapshot of the entries up to {point} is of a format that this \
                 version does not know; start the version that the other members run"
            ),
            Self::NotRestored { point, error } => write!(
                f,
                "another member's snapshot of the entries up to {point} was not taken in: {error}"
            ),
            Self::NotServed { error } => {
                write!(f, "a snapshot could not be read for another member: {error}")
            }
            Self::NotPruned { error } => {
                write!(f, "older snapshots could not be removed, and take space: {error}")
            }
            Self::Differ { index, digests, outcome } => {
                write!(f, "the members' states differ before entry {index}: ")?;
                for (member, digest) in digests {
                    write!(f, "member {:x} has {digest:016x}, ", member.value())?;
                }
                f.write_str(match outcome {
                    Outcome::Open => "and a majority has not answered yet",
                    Outcome::Agreed(_) => {
                        "and whoever differs from the majority stops; replace that member"
                    }
                    Outcome::Undecided => {
                        "and no majority has the same: nobody can know which is right, so nobody \
                         stops; save a copy of each member's data, compare them, and go on from \
                         the right one or from a backup"
                    }
                })
            }
        }
    }
}

/// Why a proposal was not taken. Nothing of it will be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Too many proposals wait already, here or at the leader.
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
        "the log begins after entry {base}, and no sound snapshot holds what was before: files are \
         missing or damaged; bring them back, or remove the member and add it anew"
    )]
    Beginning {
        /// The entry before the first that is there.
        base: EntryId,
    },
    /// The state here was found to differ from the others'.
    #[error(
        "{path} says that the state of this member differed from that of a majority; remove the \
         member from the cluster and its data directory (keep a copy to look into it), and add a \
         new member in its place"
    )]
    Diverged {
        /// The file that says more.
        path: String,
    },
    /// Whether the state here was found to differ from the others' cannot be seen.
    #[error("{path} cannot be looked for: {error}; check the disk")]
    Mark {
        /// The file.
        path: String,
        /// What the disk said.
        error: io::Error,
    },
    /// The snapshots cannot be listed or written.
    #[error("the snapshots cannot be used: {0}; check the disk")]
    Snapshots(#[from] io::Error),
    /// A directory is not empty that is to be made anew.
    #[error("{path} holds a member's data already; name an empty directory")]
    NotEmpty {
        /// The directory.
        path: String,
    },
    /// A directory that was just made could not be closed in order.
    #[error(transparent)]
    Close(CloseError),
    /// The log could not be made to go on after a snapshot.
    #[error("the log cannot be made to go on after the snapshot: {error}")]
    Reset {
        /// Why.
        error: String,
    },
}

impl OpenError {
    pub(crate) fn of_sync<D: Disk>(failure: &SyncFailure<D>) -> Self {
        Self::Reset { error: failure.to_string() }
    }
}

/// A replica cannot go on: it must stop, and its shell says why.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The log cannot be read any more.
    #[error("the log cannot be read: {0}")]
    Read(#[from] quorate_log::ReadError),
    /// The state here differs from that of a majority, and the member has left a mark that it is
    /// not to start again.
    #[error(
        "the state of this member differs from that of a majority before entry {index}: its digest \
         is {own:016x}, the majority's is {majority:016x}; nothing more is served here. Remove the \
         member from the cluster and its data directory (keep a copy to look into it), and add a \
         new member in its place; if this began with a change of version, go back to the former \
         one first"
    )]
    Diverged {
        /// The entry before which the states were compared.
        index: Index,
        /// The digest here.
        own: u64,
        /// That of the majority.
        majority: u64,
    },
    /// As above, but the mark could not be left.
    #[error(
        "{diverged}. Do not start it again: that could not be noted in its directory ({error})"
    )]
    Unmarked {
        /// What is wrong with the state.
        diverged: Box<Self>,
        /// Why the mark is not there.
        error: io::Error,
    },
}
