//! The thread that owns the replica: takes what happened, steps, hands out what follows.

mod members;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{RealDisk, Room, SyncFailure};
use quorate_raft::{Event as CoreEvent, Instant, NodeId, ReadTicket, StepDownCause};
use quorate_replica::{Effects, Fatal, Note, OpenError, Refused, Replica};
use tokio::sync::{oneshot, watch};
use tokio::task::yield_now;
use tokio::time::sleep_until;

use self::members::Membership;
use crate::board::Board;
use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::disk::Disk;
use crate::error::{Error, Halted, StartError};
use crate::handover::HandOvers;
use crate::inbox::{Event, Freshness, Inbox};
use crate::machine::Machine;
use crate::query::Reader;
use crate::replies::{Answers, Outbox, ReplyWaiter};
use crate::setup::setup;
use crate::shelf::Shelf;
use crate::transport::{Patience, Transport, Whoami};

/// Reads of this member's clients that may wait.
const READS_MAX: usize = 64 * 1024;

/// After so many rounds in a row the peers' streams get their turn, however much else there is to
/// do.
const ROUNDS_IN_A_ROW: u32 = 8;

/// What connects the owner to the rest of the node.
pub(crate) struct Parts<M: Machine> {
    pub(crate) inbox: Arc<Inbox<M>>,
    pub(crate) outbox: Arc<Outbox<M::Reply>>,
    pub(crate) board: Arc<Board>,
    pub(crate) halt: watch::Sender<Option<Halted>>,
}

impl<M: Machine> Drop for Parts<M> {
    /// The owner has ended, in order or in a panic: who waits hears of it, and so does who comes.
    fn drop(&mut self) {
        drop(self.inbox.close());
        self.outbox.hand_over(&mut Answers { is_last: true, ..Answers::default() });
    }
}

/// Starts the thread; returns once the log is open and the peers are served.
pub(crate) async fn start<M>(
    config: NodeConfig,
    machine: M,
    parts: Parts<M>,
) -> Result<(), StartError>
where
    M: Machine,
{
    let (opened, open) = oneshot::channel();
    let io = |what| move |error| StartError::Io { what, error };
    thread::Builder::new()
        .name("quorate-owner".into())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    drop(opened.send(Err(io("a runtime cannot be made")(error))));
                    return;
                }
            };
            runtime.block_on(async move {
                match Owner::open(config, machine, parts) {
                    Ok(owner) => {
                        drop(opened.send(Ok(())));
                        owner.run().await;
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
        })
        .map_err(io("a thread cannot be made"))?;
    open.await.unwrap_or_else(|_| {
        Err(io("the member's thread ended early")(std::io::ErrorKind::Other.into()))
    })
}

struct Owner<M: Machine> {
    replica: Replica<RealDisk, M>,
    transport: Transport<M>,
    membership: Membership,
    disk: Disk,
    shelf: Shelf,
    parts: Parts<M>,
    clock: Clock,
    /// Those who wait for replies, by sequence; the first has `replies_from`.
    reply_waiters: VecDeque<Option<ReplyWaiter<M::Reply>>>,
    replies_from: u64,
    /// Those who wait to read, by ticket.
    read_waiters: VecDeque<(ReadTicket, Vec<Reader<M>>)>,
    /// How many they are.
    reads_waiting: usize,
    /// Those who wait for the leadership to be handed over.
    hand_overs: HandOvers,
    /// Those who wait until all before a sequence is answered.
    flushes: VecDeque<(u64, oneshot::Sender<()>)>,
    peers: Vec<NodeId>,
    job_out: bool,
    /// The disk was full when last looked at.
    full: bool,
    /// A timer that is later than this was held up.
    late: Duration,
    stopping: bool,
    /// It stops because it was removed.
    is_removed: bool,
    /// Reused from round to round.
    events: Vec<Event<M>>,
    commands: Vec<Bytes>,
    proposers: Vec<ReplyWaiter<M::Reply>>,
    readers: Vec<Reader<M>>,
    answers: Answers<M::Reply>,
}

/// Why the owner ends before it is told to.
enum Failure {
    Log(Fatal),
    Disk(SyncFailure<RealDisk>),
}

impl<M: Machine> Owner<M> {
    fn open(config: NodeConfig, machine: M, parts: Parts<M>) -> Result<Self, StartError> {
        let io = |what| move |error| StartError::Io { what, error };
        let clock = Clock::start();
        let above = config.data_dir.parent().unwrap_or(Path::new(""));
        let disk = std::fs::create_dir_all(above).and_then(|()| RealDisk::at(&config.data_dir));
        let disk = disk.map_err(|error| StartError::DataDir {
            path: config.data_dir.display().to_string(),
            error,
        })?;
        let setup = setup(&config);
        let first = setup.bootstrap.contexts.clone();
        let (replica, notes) = Replica::open(setup, disk, machine, clock.now())
            .map_err(|error: OpenError| StartError::Open(error))?;
        notes.iter().for_each(tell);
        let disk = Disk::start(parts.inbox.clone()).map_err(io("a thread cannot be made"))?;
        let shelf = Shelf::start(&parts.inbox).map_err(io("a thread cannot be made"))?;
        let whoami = Whoami { cluster: config.cluster, member: config.member };
        let patience = Patience { silence_max: config.timing.election_timeout * 2 };
        let transport = Transport::start(whoami, config.listener, patience, &parts.inbox)
            .map_err(io("the peer URL cannot be served"))?;
        let mut owner = Self {
            replica,
            transport,
            membership: Membership::new(first, config.timing.election_timeout),
            disk,
            shelf,
            parts,
            clock,
            reply_waiters: VecDeque::new(),
            replies_from: 1,
            read_waiters: VecDeque::new(),
            reads_waiting: 0,
            hand_overs: HandOvers::default(),
            flushes: VecDeque::new(),
            peers: Vec::new(),
            job_out: false,
            full: false,
            late: config.timing.heartbeat_interval,
            stopping: false,
            is_removed: false,
            events: Vec::new(),
            commands: Vec::new(),
            proposers: Vec::new(),
            readers: Vec::new(),
            answers: Answers::default(),
        };
        owner.connect();
        Ok(owner)
    }

    async fn run(mut self) {
        let mut rounds = 0;
        let reason = loop {
            match self.round() {
                Ok(More::Now) => yield_now().await,
                Ok(More::Later) => self.wait().await,
                Ok(More::Never) if self.is_removed => break Halted::Removed,
                Ok(More::Never) => break Halted::Asked,
                Err(failure) => break Halted::Failed(failure.reason()),
            }
            rounds = (rounds + 1) % ROUNDS_IN_A_ROW;
            if rounds == 0 {
                yield_now().await;
            }
        };
        self.halt(reason);
    }

    async fn wait(&self) {
        let deadline = self.replica.deadline().min(self.membership.deadline());
        tokio::select! {
            biased;
            () = self.parts.inbox.wait() => {}
            () = sleep_until(self.clock.at(deadline)) => {}
        }
        if self.clock.now().since(deadline) > self.late {
            // The process slept, or was busy for long: what the peers said meanwhile lies in the
            // sockets, and comes before what a timer concludes from their silence.
            yield_now().await;
            yield_now().await;
        }
    }

    /// Takes in what happened since the last round, and carries out what follows.
    fn round(&mut self) -> Result<More, Failure> {
        let mut events = std::mem::take(&mut self.events);
        self.parts.inbox.take(&mut events);
        // Read when all of these have happened, and not before: leases are counted from it.
        let now = self.clock.now();
        for event in events.drain(..) {
            self.take_in(now, event)?;
        }
        self.events = events;
        if !self.stopping && self.is_to_go(now) {
            self.is_removed = true;
            self.stop();
        }
        if self.stopping && !self.job_out && self.shelf.is_idle() {
            return Ok(More::Never);
        }
        self.propose(now);
        self.read(now);
        self.promote_learners(now);
        if self.replica.deadline() <= now {
            self.replica.timeout(now);
        }
        let effects = self.replica.effects(now).map_err(Failure::Log)?;
        self.carry_out(now, effects)
    }

    fn take_in(&mut self, now: Instant, event: Event<M>) -> Result<(), Failure> {
        match event {
            Event::Propose(command, waiter) => {
                self.commands.push(command);
                self.proposers.push(waiter);
            }
            Event::ReadWithin(staleness, waiter) => {
                if self.replica.is_fresh(now, staleness) {
                    self.answers.reads.push((waiter, Ok(())));
                } else {
                    self.readers.push(Reader::Confirm(waiter));
                }
            }
            Event::Read(waiter) => self.readers.push(Reader::Confirm(waiter)),
            Event::Query(query, Freshness::Linearizable) => self.readers.push(Reader::Look(query)),
            Event::Query(query, Freshness::Local) => {
                Reader::Look(query).serve(self.replica.machine(), &mut self.answers);
            }
            Event::Membership(waiter) => {
                waiter.send(self.replica.raft().membership().clone()).ok();
            }
            Event::Members(waiter) => {
                waiter.send(self.members_view()).ok();
            }
            Event::Change(change, waiter) => self.on_change(now, &change, waiter),
            Event::Removed => self.on_removed(now),
            Event::HandOver(to, waiter) => {
                self.hand_overs.add(self.replica.transfer(now, to), waiter);
            }
            Event::Flush(waiter) => {
                // What came before in this round is proposed now, to have its sequence.
                self.propose(now);
                let end = self.replies_from + self.reply_waiters.len() as u64;
                self.flushes.push_back((end, waiter));
            }
            Event::Message(message) => self.replica.receive(now, message),
            Event::Connected(peer) => self.replica.connected(now, peer),
            Event::Disconnected(peer) => self.replica.disconnected(now, peer),
            Event::Synced(Ok(synced)) => {
                self.job_out = false;
                self.replica.synced(now, synced);
            }
            // It waited for space, and gave up since the member is to stop.
            Event::Synced(Err(SyncFailure::Full { .. })) if self.stopping => self.job_out = false,
            Event::Synced(Err(failure)) => return Err(Failure::Disk(failure)),
            Event::SnapshotDone(done) => {
                self.shelf.on_done();
                self.replica.snapshot_done(now, *done);
            }
            Event::Stop => self.stop(),
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.disk.end();
        self.shelf.end();
    }

    /// Proposes what the clients of this round want, in one piece.
    fn propose(&mut self, now: Instant) {
        if self.commands.is_empty() {
            return;
        }
        match self.replica.propose(now, self.commands.drain(..)) {
            Ok(first) => {
                let next = self.replies_from + self.reply_waiters.len() as u64;
                assert_eq!(first, next, "sequences are handed out in order");
                self.reply_waiters.extend(self.proposers.drain(..).map(Some));
            }
            Err(refused) => self.refuse(refused),
        }
    }

    fn refuse(&mut self, refused: Refused) {
        self.commands.clear();
        let refusals = self.proposers.drain(..).map(|waiter| (waiter, Err(refused.into())));
        self.answers.replies.extend(refusals);
    }

    /// Asks for one read index for all who want to read in this round.
    fn read(&mut self, now: Instant) {
        if self.readers.is_empty() {
            return;
        }
        if self.reads_waiting + self.readers.len() > READS_MAX {
            self.forget_readers_gone();
        }
        if self.reads_waiting + self.readers.len() > READS_MAX {
            for reader in self.readers.drain(..) {
                reader.refuse(Error::Refused(Refused::Overloaded), &mut self.answers);
            }
            return;
        }
        let ticket = self.replica.read(now);
        self.reads_waiting += self.readers.len();
        self.read_waiters.push_back((ticket, std::mem::take(&mut self.readers)));
    }

    /// Lets go of those who no longer wait: without a leader, reads pile up and their clients
    /// leave.
    fn forget_readers_gone(&mut self) {
        for (_, readers) in &mut self.read_waiters {
            readers.retain(|reader| !reader.is_abandoned());
        }
        self.read_waiters.retain(|(_, readers)| !readers.is_empty());
        self.reads_waiting = self.read_waiters.iter().map(|(_, readers)| readers.len()).sum();
    }

    fn carry_out(
        &mut self,
        now: Instant,
        effects: Effects<RealDisk, M::Reply>,
    ) -> Result<More, Failure> {
        let Effects {
            messages,
            job,
            snapshot_jobs,
            unanswered,
            replies,
            reads,
            events,
            notes,
            more,
        } = effects;
        if let Some(job) = job {
            self.job_out = true;
            self.disk.give(job);
        }
        for job in snapshot_jobs {
            self.shelf.give(job);
        }
        self.follow_members(now, &events);
        for message in messages {
            self.transport.send(message);
        }
        for index in 0..self.peers.len() {
            self.replicate(now, self.peers[index])?;
        }
        for event in events {
            trace(&event);
        }
        notes.iter().for_each(tell);
        for (sequence, reply) in replies {
            self.answer(sequence, reply);
        }
        if let Some(through) = unanswered {
            self.leave_unanswered(through);
        }
        if let Some(ticket) = reads {
            while let Some((_, readers)) =
                self.read_waiters.pop_front_if(|(waiting, _)| *waiting <= ticket)
            {
                self.reads_waiting -= readers.len();
                for reader in readers {
                    reader.serve(self.replica.machine(), &mut self.answers);
                }
            }
        }
        let applied = self.replica.applied().index.value();
        let full = self.replica.log().room() == Room::Full;
        if full != self.full {
            self.full = full;
            if full {
                tracing::error!("the disk is full: writes are refused; free some space");
            } else {
                tracing::info!("the disk has space again: writes are taken");
            }
        }
        let status = self.replica.status();
        // Before anybody is answered, who may look at it then.
        self.parts.board.show(&status, applied, full);
        self.answer_changes();
        self.hand_overs.answer(&status, self.replica.raft().transferring());
        while let Some((_, waiter)) =
            self.flushes.pop_front_if(|(end, _)| *end <= self.replies_from)
        {
            waiter.send(()).ok();
        }
        self.parts.outbox.hand_over(&mut self.answers);
        Ok(if more { More::Now } else { More::Later })
    }

    /// Sends entries to a peer while there are some and its stream has room.
    fn replicate(&mut self, now: Instant, peer: NodeId) -> Result<(), Failure> {
        while self.transport.has_room(peer) {
            let Some(message) = self.replica.pull(now, peer).map_err(Failure::Log)? else { break };
            self.transport.send(message);
        }
        Ok(())
    }

    fn answer(&mut self, sequence: u64, reply: M::Reply) {
        let place = sequence - self.replies_from;
        let place = usize::try_from(place).expect("those who wait fit into memory");
        let waiter = self.reply_waiters[place].take().expect("a reply comes once");
        self.answers.replies.push((waiter, Ok(reply)));
        while self.reply_waiters.pop_front_if(|waiter| waiter.is_none()).is_some() {
            self.replies_from += 1;
        }
    }

    /// Nobody will ever know here what became of the commands up to `through` that have no reply.
    fn leave_unanswered(&mut self, through: u64) {
        while self.replies_from <= through
            && let Some(waiter) = self.reply_waiters.pop_front()
        {
            self.replies_from += 1;
            self.answers.replies.extend(waiter.map(|waiter| (waiter, Err(Error::Unknown))));
        }
        while self.reply_waiters.pop_front_if(|waiter| waiter.is_none()).is_some() {
            self.replies_from += 1;
        }
    }

    /// Tells everybody that it is over, then why.
    fn halt(mut self, mut reason: Halted) {
        for event in self.parts.inbox.close() {
            match event {
                Event::Propose(_, waiter) => self.proposers.push(waiter),
                Event::Read(waiter) | Event::ReadWithin(_, waiter) => {
                    self.readers.push(Reader::Confirm(waiter));
                }
                Event::Query(query, _) => self.readers.push(Reader::Look(query)),
                // Whatever failed after it failed because of it.
                Event::Synced(Err(failure)) if matches!(reason, Halted::Failed(_)) => {
                    reason = Halted::Failed(Failure::Disk(failure).reason());
                }
                Event::Message(_)
                | Event::Connected(_)
                | Event::Disconnected(_)
                | Event::Synced(_)
                | Event::SnapshotDone(_)
                // They learn of it as their channels close.
                | Event::HandOver(..)
                | Event::Membership(_)
                | Event::Members(_)
                | Event::Change(..)
                | Event::Removed
                | Event::Flush(_)
                | Event::Stop => {}
            }
        }
        if let Halted::Failed(reason) = &reason {
            tracing::error!(reason, "the member stops");
            // What was read in the round that failed may be of a state that is wrong. Those who
            // had a look learn of it as their channels close.
            self.answers.reads.iter_mut().for_each(|(_, answer)| *answer = Err(Error::Stopped));
            self.answers.queries.clear();
        }
        let proposers = self.reply_waiters.into_iter().flatten().chain(self.proposers);
        let readers = self.read_waiters.into_iter().flat_map(|(_, readers)| readers);
        for waiter in proposers {
            self.answers.replies.push((waiter, Err(Error::Stopped)));
        }
        for reader in readers.chain(self.readers) {
            reader.refuse(Error::Stopped, &mut self.answers);
        }
        self.answers.is_last = true;
        self.parts.outbox.hand_over(&mut self.answers);
        if matches!(reason, Halted::Asked | Halted::Removed)
            && let Err(error) = self.replica.into_log().close()
        {
            tracing::warn!(%error, "the log was not closed in order");
        }
        self.parts.halt.send_replace(Some(reason));
    }
}

/// When the owner goes on.
enum More {
    /// At once: there is more to apply.
    Now,
    /// When something happens.
    Later,
    /// It was told to stop, and nothing is under way.
    Never,
}

impl Failure {
    fn reason(self) -> String {
        match self {
            Self::Log(fatal) => fatal.to_string(),
            Self::Disk(failure) => failure.to_string(),
        }
    }
}

fn tell(note: &Note) {
    if note.is_warning() {
        tracing::warn!("{note}");
    } else {
        tracing::info!("{note}");
    }
}

fn trace(event: &CoreEvent) {
    if let CoreEvent::BecameLeader { term } = event {
        tracing::info!(%term, "this member leads");
    } else if let CoreEvent::BecameFollower { term, leader: Some(leader) } = event {
        tracing::info!(%term, leader = format!("{:x}", leader.value()), "this member follows");
    } else if let CoreEvent::SteppedDown { term, cause: cause @ StepDownCause::QuorumLost } = event
    {
        tracing::warn!(%term, ?cause, "this member no longer leads");
    } else if let CoreEvent::SteppedDown { term, cause } = event {
        // Another leads, or is about to: that is how Raft goes on.
        tracing::info!(%term, ?cause, "this member no longer leads");
    } else if let CoreEvent::TransferBegan { to } = event {
        tracing::info!(to = format!("{:x}", to.value()), "this member hands its leadership over");
    } else if let CoreEvent::TransferFailed { to } = event {
        let to = format!("{:x}", to.value());
        tracing::warn!(to, "the other did not take over in time: this member goes on leading");
    } else if let CoreEvent::PeerMisbehaved { .. } = event {
        tracing::warn!(?event, "a peer sent what no correct member sends");
    } else {
        tracing::debug!(?event);
    }
}
