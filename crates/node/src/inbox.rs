//! Where everything that happens comes together, for the owner to take in one go.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{RealDisk, SyncFailure, Synced};
use quorate_raft::{Membership, NodeId};
use quorate_replica::{Members, PeerMessage, SnapshotDone, StateMachine};
use tokio::sync::{Notify, oneshot};

use crate::change::{Change, ChangeWaiter};
use crate::handover::HandOverWaiter;
use crate::query::Query;
use crate::replies::{ReadWaiter, ReplyWaiter};

/// Something that happened.
pub(crate) enum Event<M: StateMachine> {
    /// A client proposes a command.
    Propose(Bytes, ReplyWaiter<M::Reply>),
    /// A client wants a linearizable read.
    Read(ReadWaiter),
    /// A client wants a read that is so stale at most.
    ReadWithin(Duration, ReadWaiter),
    /// A client wants to look at the state machine: once the look is linearizable, or at once.
    Query(Box<dyn Query<M>>, Freshness),
    /// The leadership is to be handed over, to somebody or to whoever can take over soonest.
    HandOver(Option<NodeId>, HandOverWaiter),
    /// Somebody wants to know who the members are.
    Membership(oneshot::Sender<Membership>),
    /// Somebody wants to know all about them.
    Members(oneshot::Sender<MembersView>),
    /// The membership is to change.
    Change(Change, ChangeWaiter),
    /// A peer says that this member was removed from the cluster.
    Removed,
    /// Somebody wants to know when everything proposed before is answered.
    Flush(oneshot::Sender<()>),
    /// A peer says something.
    Message(PeerMessage),
    /// A connection to a peer was made.
    Connected(NodeId),
    /// The connection to a peer broke.
    Disconnected(NodeId),
    /// The disk is done with a job.
    Synced(Result<Synced<RealDisk>, SyncFailure<RealDisk>>),
    /// Work on a snapshot file is done.
    SnapshotDone(Box<SnapshotDone<RealDisk>>),
    /// The node is to stop.
    Stop,
}

/// Who the members are.
#[derive(Clone, Debug)]
pub(crate) struct MembersView {
    /// By the membership that counts.
    pub(crate) current: Members,
    /// By all that is applied here.
    pub(crate) applied: Members,
}

/// How new the state must be that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It holds all that was answered, on any member, before the look was asked for.
    Linearizable,
    /// As it is on this member.
    Local,
}

/// The queue into the owner. Whoever adds to an empty one wakes the owner; the others find it
/// awake.
///
/// Its bounds are those of its sources: the waiting requests, the peers' windows, one disk job.
pub(crate) struct Inbox<M: StateMachine> {
    /// `None` once the owner has ended: what comes then is dropped, and who waits for it is told.
    events: Mutex<Option<Vec<Event<M>>>>,
    wake: Notify,
}

impl<M: StateMachine> Inbox<M> {
    pub(crate) fn new() -> Self {
        Self { events: Mutex::new(Some(Vec::new())), wake: Notify::new() }
    }

    /// Adds an event.
    pub(crate) fn push(&self, event: Event<M>) {
        let mut queue = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(events) = queue.as_mut() else { return };
        let first = events.is_empty();
        events.push(event);
        drop(queue);
        if first {
            self.wake.notify_one();
        }
    }

    /// Wakes the owner without an event: it is to look around.
    pub(crate) fn poke(&self) {
        self.wake.notify_one();
    }

    /// Waits for an event or a poke.
    pub(crate) async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Takes all events; `into` is empty and becomes the queue.
    pub(crate) fn take(&self, into: &mut Vec<Event<M>>) {
        debug_assert!(into.is_empty(), "what was taken before is done");
        let mut queue = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = queue.as_mut() {
            std::mem::swap(events, into);
        }
    }

    /// Takes all events, the last ones: the owner ends.
    pub(crate) fn close(&self) -> Vec<Event<M>> {
        let mut queue = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        queue.take().unwrap_or_default()
    }
}
