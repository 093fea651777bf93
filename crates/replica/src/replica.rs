//! The replica: its parts, and a method for everything that happens to it.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{Block, Disk, Log, Sequence, Synced};
use quorate_raft::{
    EntryId, Envelope, Index, Input, Instant, Message, NodeId, Raft, ReadReady, ReadTicket,
    Receipt, Status, TransferError, WantedSnapshot,
};

use crate::checks::Checks;
use crate::decided::Decided;
use crate::effects::{Effects, Fatal, Refused};
use crate::forward::Resend;
use crate::freshness::{Fresh, Freshness};
use crate::machine::{Command, StateMachine};
use crate::membership::Members;
use crate::message::{Body, PeerMessage};
use crate::origins::Origins;
use crate::pressure::Pressure;
use crate::proposals::OwnProposals;
use crate::room::Rooms;
use crate::roster::Roster;
use crate::snapshots::Snapshots;

/// A member of a cluster, but for its threads, sockets and clocks. See the crate.
///
/// After any call of a `&mut self` method but [`Self::pull`], take the [`Self::effects`].
#[derive(Debug)]
pub struct Replica<D: Disk, M: StateMachine> {
    pub(crate) raft: Raft,
    pub(crate) log: Log<D>,
    pub(crate) machine: M,
    /// The payloads of the entries that the core is about to have written, in order.
    pub(crate) staged: Vec<Block>,
    /// What was handed to the log and is not durable yet.
    pub(crate) writes: VecDeque<(Sequence, Receipt)>,
    /// The log is to go on after a snapshot once this is durable; what was before may go then.
    pub(crate) reset: Option<(Sequence, Index)>,
    /// The core needs a snapshot.
    pub(crate) wanted: Option<WantedSnapshot>,
    pub(crate) snapshots: Snapshots<D>,
    /// The last entry applied.
    pub(crate) applied: EntryId,
    /// The membership that counts there, with the index of its entry.
    pub(crate) membership: (Index, Members),
    /// The members after each membership entry of the log.
    pub(crate) roster: Roster,
    /// Those of the entries that the core is about to have written.
    pub(crate) staged_members: Vec<(Index, Members)>,
    /// How far each member's proposals are applied.
    pub(crate) decided: Decided,
    /// What the members say of their states.
    pub(crate) checks: Checks,
    /// Confirmed reads whose index is not applied yet, by index.
    pub(crate) reads: VecDeque<ReadReady>,
    /// How fresh the state machine is known to be.
    pub(crate) fresh: Fresh,
    pub(crate) own: OwnProposals,
    pub(crate) origins: Origins,
    /// When what was forwarded and is undecided is sent again.
    pub(crate) resend: Option<Resend>,
    /// The last refusal that was answered by sending again, and until when.
    pub(crate) answered: Option<(u64, Instant)>,
    /// What the others said about their disks.
    pub(crate) rooms: Rooms,
    /// What may not be taken because too much is under way.
    pub(crate) pressure: Pressure,
    /// Somebody asked for more than the disk had space for.
    pub(crate) wants_space: bool,
    pub(crate) patience: Duration,
    pub(crate) proposals_max: u64,
    pub(crate) proposal_bytes_max: u64,
    pub(crate) effects: Effects<D, M::Reply>,
    /// Reused from batch to batch.
    pub(crate) commands: Vec<Command>,
    pub(crate) sequences: Vec<u64>,
    pub(crate) replies: Vec<M::Reply>,
}

/// What a replica is made of.
pub(crate) struct Parts<D: Disk, M> {
    pub(crate) raft: Raft,
    pub(crate) log: Log<D>,
    pub(crate) machine: M,
    pub(crate) snapshots: Snapshots<D>,
    pub(crate) applied: EntryId,
    pub(crate) membership: (Index, Members),
    pub(crate) roster: Roster,
    pub(crate) decided: Decided,
    pub(crate) checks: Checks,
    pub(crate) origin: u64,
    pub(crate) patience: Duration,
    pub(crate) proposals_max: u64,
    pub(crate) proposal_bytes_max: u64,
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    pub(crate) fn new(parts: Parts<D, M>) -> Self {
        Self {
            raft: parts.raft,
            log: parts.log,
            machine: parts.machine,
            snapshots: parts.snapshots,
            staged: Vec::new(),
            writes: VecDeque::new(),
            reset: None,
            wanted: None,
            applied: parts.applied,
            membership: parts.membership,
            roster: parts.roster,
            staged_members: Vec::new(),
            decided: parts.decided,
            checks: parts.checks,
            reads: VecDeque::new(),
            fresh: Fresh::default(),
            own: OwnProposals::new(parts.origin),
            origins: Origins::default(),
            resend: None,
            answered: None,
            rooms: Rooms::default(),
            pressure: Pressure::default(),
            wants_space: false,
            patience: parts.patience,
            proposals_max: parts.proposals_max,
            proposal_bytes_max: parts.proposal_bytes_max,
            effects: Effects::default(),
            commands: Vec::new(),
            sequences: Vec::new(),
            replies: Vec::new(),
        }
    }

    /// When [`Self::timeout`] is due.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        let resend = self.resend.map_or(Instant::NEVER, |resend| resend.at);
        let fetch = self.fetch_deadline().unwrap_or(Instant::NEVER);
        let check = self.check_deadline().unwrap_or(Instant::NEVER);
        self.raft.deadline().min(resend).min(fetch).min(check)
    }

    /// The deadline has passed. Too early is harmless.
    pub fn timeout(&mut self, now: Instant) {
        self.raft.step(now, Input::Timeout);
        self.drain();
        self.maybe_resend(now);
    }

    /// A message came in.
    pub fn receive(&mut self, now: Instant, message: PeerMessage) {
        let PeerMessage { from, to, term, body } = message;
        match body {
            Body::Raft(message) => self.step(now, Envelope { from, to, term, message }),
            Body::Append(append) => {
                let Some(examined) = self.examine_append(append) else { return };
                self.staged = examined.blocks;
                self.staged_members = examined.members;
                let message = Message::Append(examined.core);
                self.step(now, Envelope { from, to, term, message });
            }
            Body::Proposals(proposals) => self.on_proposals(now, from, term, proposals),
            Body::ProposalsRefused { through } => self.on_refused(now, from, term, through),
            Body::ProposalsUnwelcome => self.on_unwelcome(now, from, term),
            Body::ProposalsOverloaded => self.on_overloaded(now, from, term),
            Body::SnapshotRequest { point, offset } => {
                self.on_snapshot_request(from, point, offset)
            }
            Body::SnapshotChunk(chunk) => self.on_snapshot_chunk(from, chunk),
            Body::Digest { index, digest } => self.on_digest(now, from, index, digest),
        }
    }

    fn step(&mut self, now: Instant, envelope: Envelope) {
        self.raft.step(now, Input::Receive(envelope));
        self.drain();
    }

    /// A connection to `peer` was made.
    pub fn connected(&mut self, now: Instant, peer: NodeId) {
        self.raft.step(now, Input::Connected(peer));
        self.drain();
        if self.raft.leader() == Some(peer) {
            self.resend_after(0);
        }
    }

    /// The connection to `peer` broke.
    pub fn disconnected(&mut self, now: Instant, peer: NodeId) {
        self.raft.step(now, Input::Disconnected(peer));
        self.drain();
    }

    /// The job that [`Effects`] gave out is done.
    pub fn synced(&mut self, now: Instant, synced: Synced<D>) {
        let durable = self.log.finish_sync(synced);
        // Said before the write is acknowledged: whoever proposes next is to know it.
        self.maybe_tell_room(now);
        let mut receipt = None;
        while let Some((_, done)) = self.writes.pop_front_if(|(sequence, _)| *sequence <= durable) {
            receipt = Some(done);
        }
        if let Some((_, point)) = self.reset.take_if(|(reset, _)| *reset <= durable) {
            // The space of what was replaced.
            self.compact(point);
        }
        if let Some(receipt) = receipt {
            self.raft.step(now, Input::Persisted(receipt));
            self.drain();
        }
    }

    /// Takes commands from this member's clients, to be applied in this order. Returns the sequence
    /// of the first; they have consecutive ones, and [`Effects::replies`] names them by it.
    ///
    /// They wait while there is no leader, and are sent again when a leader is lost: each is
    /// applied at most once, and is answered unless this member stops first.
    ///
    /// # Errors
    /// If too many wait already, here or at the leader, or the disk is full, or those of a majority
    /// are. Then none is taken.
    pub fn propose(
        &mut self,
        now: Instant,
        commands: impl IntoIterator<Item = Bytes>,
    ) -> Result<u64, Refused> {
        if self.own.count() >= self.proposals_max || self.own.bytes() >= self.proposal_bytes_max {
            return Err(Refused::Overloaded);
        }
        if self.is_overloaded(now) {
            return Err(Refused::Overloaded);
        }
        if !self.has_room(now) {
            // Whoever asks is a reason to look for space again.
            self.wants_space = true;
            return Err(Refused::DiskFull);
        }
        Ok(self.own.add(commands))
    }

    /// Asks for a linearizable read (thesis 6.4). The ticket stands for every read that waits now;
    /// [`Effects::reads`] says when they may be served.
    ///
    /// `now` is to be read from the clock once all of these reads are there (docs/raft.md,
    /// *Leases*).
    pub fn read(&mut self, now: Instant) -> ReadTicket {
        let ticket = self.raft.read(now);
        self.fresh.on_asked(ticket, now);
        self.drain();
        ticket
    }

    /// Asks for a read that shows everything acknowledged up to `staleness` before `now`: served
    /// at once if the state here is known to be so fresh, else with a ticket, as by
    /// [`Self::read`], which see for `now`.
    pub fn read_within(&mut self, now: Instant, staleness: Duration) -> Freshness {
        if self.is_fresh(now, staleness) {
            Freshness::Fresh
        } else {
            Freshness::Ticket(self.read(now))
        }
    }

    /// Whether the state machine as it is now shows everything acknowledged up to `staleness`
    /// before `now`, as far as is known here: what [`Self::read_within`] looks at, for a shell that
    /// gathers its reads.
    #[must_use]
    pub fn is_fresh(&self, now: Instant, staleness: Duration) -> bool {
        self.fresh.is_within(now, staleness)
    }

    /// Hands the leadership over to a voter, or to the one that can take over soonest. Proposals
    /// wait meanwhile, none fails. Returns whom.
    ///
    /// # Errors
    /// If this member does not lead, or nobody can take over.
    pub fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let to = self.raft.transfer(now, to);
        self.drain();
        to
    }

    /// The next entries for a peer that has room for them; `None` when there are none, or enough
    /// are under way.
    ///
    /// # Errors
    /// If the log cannot be read: the member must stop.
    pub fn pull(&mut self, now: Instant, peer: NodeId) -> Result<Option<PeerMessage>, Fatal> {
        self.pull_append(now, peer)
    }

    /// The last entry applied.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.applied
    }

    /// The last entry of the newest snapshot here; zero if there is none.
    #[must_use]
    pub fn snapshot_point(&self) -> EntryId {
        self.snapshots.point()
    }

    /// What can be seen of the core.
    #[must_use]
    pub fn status(&self) -> Status {
        self.raft.status()
    }

    /// How many proposals of this member's own clients are not applied yet.
    #[must_use]
    pub fn proposals_left(&self) -> u64 {
        self.own.count()
    }

    /// The other members, and at a leader those it removed a moment ago, which are to learn of it.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.raft.peers()
    }

    /// The state machine.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The core, for checkers.
    #[must_use]
    pub fn raft(&self) -> &Raft {
        &self.raft
    }

    /// The log, for checkers and for its orderly close.
    #[must_use]
    pub fn log(&self) -> &Log<D> {
        &self.log
    }

    /// The log, to be closed.
    #[must_use]
    pub fn into_log(self) -> Log<D> {
        self.log
    }
}
