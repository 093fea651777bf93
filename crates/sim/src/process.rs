//! The life of a process: it starts, does what it is given, and dies.
//!
//! A process may die between any two steps of its work: after an input and before its effects are
//! taken, between two messages, in the middle of a write to the disk.

use std::rc::Rc;

use quorate_log::{Choices, Log, MemDisk, Note, OpenError, SyncFailure};
use quorate_raft::{
    CampaignCause, EntryId, Event as CoreEvent, IgnoreReason, Index, Message, ProbeCause, Refusal,
    StepDownCause, Verdict, invariants,
};
use quorate_replica::{Body, Effects, PeerMessage, Replica};

use crate::history::{Request, Response};
use crate::machine::{Machine, Reply};
use crate::marks::Mark;
use crate::member::{Crash, Fitness, Job, id, setup};
use crate::network::{Fate, place};
use crate::queue::Time;
use crate::random::mix;
use crate::translate;
use crate::violation::{Checker, demand, violated};
use crate::watch::Durable;
use crate::world::{Event, World};

/// After how long a job tries again on a full disk, and a process that could not start.
const RETRY: Time = 200_000;

/// After how long a process that died of its disk is started again.
const RESTART: Time = 500_000;

impl World {
    /// A process starts, if the member can have one.
    pub(crate) fn start(&mut self, member: usize, life: u32) {
        let (now, local) = (self.now, self.local(member));
        let here = &mut self.members[member];
        if here.is_up() || here.life != life || here.fitness == Fitness::Gone {
            return;
        }
        if now < here.down_until {
            let until = here.down_until;
            self.queue.push(until, Event::Start { member, life });
            return;
        }
        here.life += 1;
        let setup = setup(&self.schedule.settings, self.schedule.seed, member, here.life);
        let machine = Machine::new(member + 1, Rc::clone(&self.canon));
        match Replica::open(setup, here.disk.clone(), machine, local) {
            Ok((replica, notes)) => {
                self.members[member].replica = Some(replica);
                self.on_started(member, &notes);
            }
            Err(quorate_replica::OpenError::Log(error)) => self.on_refused(member, &error),
            Err(error) => self.on_unusable(member, &error.to_string()),
        }
    }

    fn on_started(&mut self, member: usize, notes: &[Note]) {
        if notes.iter().any(|note| matches!(note, Note::TornTail { .. })) {
            self.marks.hit(Mark::TornTail);
        }
        let here = &self.members[member];
        let segments = here.disk.files().iter().filter(|(name, _)| name.ends_with(".seg")).count();
        if segments > 2 {
            self.marks.hit(Mark::ManySegments);
        }
        let replica = here.replica.as_ref().expect("it was started just now");
        let raft = replica.raft();
        let durable = self.watch.seen[member].durable;
        if durable.last < raft.last() {
            self.marks.hit(Mark::UnsyncedKept);
        }
        if here.fitness == Fitness::Damaged {
            let is_there = raft.term_at(durable.last.index) == Some(durable.last.term)
                && durable.hard_state.term <= raft.term()
                && (durable.hard_state.term < raft.term()
                    || durable.hard_state.vote == raft.status().vote);
            if !is_there {
                // The end of the log is gone, and nothing was behind it to tell: the disk lied.
                // An operator would have to know; docs/log-format.md says so.
                self.marks.hit(Mark::NotNoticeable);
                self.members[member].forget();
                self.members[member].fitness = Fitness::Gone;
                return;
            }
        }
        self.watch.on_start(member, raft);
        if self.members[member].fitness == Fitness::Sound {
            // What recovery accepted it has also made durable.
            let durable = Durable { last: raft.last(), hard_state: replica.log().hard_state() };
            self.watch.on_synced(member, durable);
        }
        self.connect(member);
        let local = self.local(member);
        let here = &mut self.members[member];
        here.catching_up = here.replica.as_mut().map(|replica| replica.read(local));
        self.settle(member);
    }

    /// Connections to and from a member are made.
    fn connect(&mut self, member: usize) {
        for peer in 0..self.members.len() {
            if peer == member {
                continue;
            }
            for (one, other) in [(member, peer), (peer, member)] {
                if self.network.is_open(one, other) && self.members[one].is_up() {
                    let at = self.now + self.network.latency() * 2 + self.random.below(1000);
                    let life = self.members[one].life;
                    self.queue.push(at, Event::Connected { member: one, peer: other, life });
                }
            }
        }
    }

    /// The log does not open.
    fn on_refused(&mut self, member: usize, error: &OpenError) {
        let here = &mut self.members[member];
        match error {
            OpenError::Full { .. } => {
                self.marks.hit(Mark::OpenFull);
                self.start_later(member, RETRY);
            }
            OpenError::Io { .. } if here.fitness == Fitness::Sound => {
                self.marks.hit(Mark::OpenFailed);
                // The disk is looked after before the next try.
                here.disk.recover();
                self.start_later(member, RETRY);
            }
            OpenError::Io { .. }
            | OpenError::Damaged { .. }
            | OpenError::Foreign { .. }
            | OpenError::Newer { .. }
            | OpenError::Locked { .. } => self.on_unusable(member, &error.to_string()),
        }
    }

    fn on_unusable(&mut self, member: usize, error: &str) {
        let here = &mut self.members[member];
        demand!(
            here.fitness == Fitness::Damaged,
            Durability,
            "member {} does not start, though its disk keeps what it is told to: {error}",
            member + 1
        );
        here.fitness = Fitness::Gone;
        self.marks.hit(Mark::Refused);
        self.trace.say(format_args!(" refused: {error}"));
    }

    pub(crate) fn start_later(&mut self, member: usize, delay: Time) {
        let life = self.members[member].life;
        self.queue.push(self.now + delay, Event::Start { member, life });
    }

    /// Sets a member's timer to when it wants to be called.
    pub(crate) fn set_timer(&mut self, member: usize) {
        let now = self.now;
        let here = &mut self.members[member];
        let Some(replica) = &here.replica else { return };
        let Some(at) = here.clock.when(now, replica.deadline()) else { return };
        if here.timer_at.is_none_or(|set| at < set) {
            here.timer_at = Some(at);
            self.queue.push(at, Event::Timer { member });
        }
    }

    /// A step of a member's work: true if it dies here.
    fn dies(&mut self, member: usize) -> bool {
        let Some(crash) = &mut self.members[member].crash_in else { return false };
        if let Some(left) = crash.steps.checked_sub(1) {
            crash.steps = left;
            return false;
        }
        let crash = *crash;
        self.marks.hit(Mark::CrashedMidSteps);
        self.crash(member, crash);
        true
    }

    /// Carries out what follows from what a member was given.
    pub(crate) fn settle(&mut self, member: usize) {
        if self.dies(member) {
            return;
        }
        let local = self.local(member);
        let Some(replica) = &mut self.members[member].replica else { return };
        let effects = match replica.effects(local) {
            Ok(effects) => effects,
            Err(fatal) => return self.on_fatal(member, &fatal.to_string()),
        };
        self.check(member, &effects.events);
        let Effects { messages, job, replies, reads, events: _, more } = effects;
        if let Some(job) = job {
            self.begin_job(member, job);
        }
        for message in messages {
            if self.dies(member) {
                return;
            }
            self.send(member, message);
        }
        for peer in 0..self.members.len() {
            if peer != member && !self.replicate(member, peer) {
                return;
            }
        }
        for (sequence, reply) in replies {
            if self.dies(member) {
                return;
            }
            self.reply(member, sequence, reply);
        }
        if let Some(ticket) = reads {
            self.serve_reads(member, ticket);
        }
        if more {
            let life = self.members[member].life;
            self.queue.push(self.now, Event::Continue { member, life });
        }
        self.set_timer(member);
    }

    /// Sends a peer what it has room for; false if the member died.
    fn replicate(&mut self, member: usize, peer: usize) -> bool {
        loop {
            let local = self.local(member);
            let Some(replica) = &mut self.members[member].replica else { return false };
            if !replica.raft().is_leader() {
                return true;
            }
            match replica.pull(local, id(peer)) {
                Ok(Some(message)) => {
                    if self.dies(member) {
                        return false;
                    }
                    self.send(member, message);
                }
                Ok(None) => return true,
                Err(fatal) => {
                    self.on_fatal(member, &fatal.to_string());
                    return false;
                }
            }
        }
    }

    fn send(&mut self, member: usize, message: PeerMessage) {
        self.look_at_message(member, &message);
        let to = place(message.to.value());
        let (from_id, now) = (member, self.now);
        let life = self.members[to].life;
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let fate = self.network.send(now, message, life, &mut self.marks, &mut arrivals);
        for arrival in arrivals.drain(..) {
            let (message, connection) = (arrival.message, arrival.connection);
            self.queue.push(arrival.at, Event::Arrive { message, connection });
        }
        self.arrivals = arrivals;
        if fate == Fate::Damaged {
            self.marks.hit(Mark::DamageRefused);
            self.reset(from_id, to);
        }
    }

    /// What a message says about the promises of its sender.
    fn look_at_message(&mut self, member: usize, message: &PeerMessage) {
        match &message.body {
            Body::Raft(Message::Vote { .. }) => {
                self.watch.on_vote(member, message.term, message.from.value());
            }
            Body::Raft(Message::VoteReply { granted: Verdict::Granted }) => {
                self.watch.on_vote(member, message.term, message.to.value());
            }
            Body::Proposals(_) => self.marks.hit(Mark::Forwarded),
            Body::ProposalsRefused { .. } => self.marks.hit(Mark::ForwardGap),
            Body::ProposalsUnwelcome => self.marks.hit(Mark::Unwelcome),
            Body::Raft(_) | Body::Append(_) => {}
        }
    }

    /// A member's disk gets something to do.
    fn begin_job(&mut self, member: usize, job: quorate_log::SyncJob<MemDisk>) {
        let latency = self.schedule.settings.disk;
        let here = &mut self.members[member];
        let replica = here.replica.as_ref().expect("a job comes from a process");
        let covers =
            Durable { last: replica.log().last(), hard_state: replica.log().hard_state() };
        demand!(here.job.is_none(), Assertion, "member {} has two jobs", member + 1);
        here.jobs += 1;
        let number = here.jobs;
        here.job = Some(Job { job, number, covers });
        let usual = latency / 2 + self.random.exponential(latency / 2);
        let at = match here.disk_factor {
            0 => here.disk_until.max(self.now) + usual,
            factor => self.now + usual * factor,
        };
        self.queue.push(at, Event::Synced { member, number });
    }

    /// A member's disk is done.
    pub(crate) fn on_synced(&mut self, member: usize, number: u64) {
        let local = self.local(member);
        let here = &mut self.members[member];
        let Some(Job { job, number, covers }) = here.job.take_if(|job| job.number == number) else {
            return;
        };
        match job.run() {
            Ok(synced) => {
                self.on_durable(member, covers);
                let Some(replica) = &mut self.members[member].replica else { return };
                replica.synced(local, synced);
                self.settle(member);
            }
            Err(SyncFailure::Full { job, .. }) => {
                self.marks.hit(Mark::JobFull);
                here.job = Some(Job { job: *job, number, covers });
                self.queue.push(self.now + RETRY, Event::Synced { member, number });
            }
            Err(SyncFailure::Failed { file, error }) => {
                self.marks.hit(Mark::SyncFailed);
                self.trace.say(format_args!(" failed: {file}: {error}"));
                self.die(member, RESTART);
            }
        }
    }

    /// What a job covered is durable, as far as the log still has it.
    fn on_durable(&mut self, member: usize, covers: Durable) {
        let Some(replica) = &self.members[member].replica else { return };
        let held = replica.raft().term_at(covers.last.index);
        demand!(
            held == Some(covers.last.term),
            LogMatching,
            "member {} has synced {}, and holds an entry of term {held:?} there without having \
             truncated",
            member + 1,
            covers.last
        );
        self.watch.on_synced(member, covers);
    }

    /// A process stops by itself: its disk keeps what the operating system has of it.
    pub(crate) fn die(&mut self, member: usize, down: Time) {
        self.on_leaving(member);
        self.members[member].forget();
        // Whoever starts it again sees to its disk first.
        if self.members[member].fitness == Fitness::Sound {
            self.members[member].disk.recover();
        }
        self.after_death(member, down);
    }

    fn on_fatal(&mut self, member: usize, reason: &str) {
        let fitness = self.members[member].fitness;
        demand!(
            fitness != Fitness::Sound || reason.contains("input/output"),
            Durability,
            "member {} stopped, though its disk keeps what it is told to: {reason}",
            member + 1
        );
        self.marks.hit(Mark::ReadDamaged);
        self.trace.say(format_args!(" stopped: {reason}"));
        self.die(member, RESTART);
    }

    /// A crash, of the process or of the whole machine.
    pub(crate) fn crash(&mut self, member: usize, crash: Crash) {
        let Crash { down, salt, steps: _ } = crash;
        if !self.members[member].is_up() {
            return;
        }
        self.marks.hit(Mark::Crashed);
        self.on_leaving(member);
        let here = &mut self.members[member];
        if here.catching_up.is_some() {
            self.marks.hit(Mark::CrashedStarting);
        }
        if let Some(Job { job, .. }) = here.job.take() {
            self.marks.hit(Mark::CrashedMidJob);
            here.disk.cut_power_after(u64::from(salt % 7));
            // It fails in the middle or not at all; nobody hears of it in either case.
            drop(job.run());
        }
        here.forget();
        if salt.is_multiple_of(4) {
            // The process alone was killed: what it wrote is still on its way to the disk.
            self.marks.hit(Mark::Killed);
            here.disk = here.disk.fork();
        } else {
            let mut choices = Choices::seeded(mix(u64::from(salt)));
            here.disk = here.disk.crash(&mut choices);
        }
        if here.fitness == Fitness::Sound {
            here.disk.recover();
        }
        self.after_death(member, down);
    }

    /// What is to be remembered of a process that is about to end.
    fn on_leaving(&mut self, member: usize) {
        if self.members[member].is_leader() {
            self.marks.hit(Mark::CrashedLeader);
        }
    }

    fn after_death(&mut self, member: usize, down: Time) {
        let until = self.now + down;
        self.members[member].down_until = until;
        self.watch.seen[member].is_leader = false;
        self.start_later(member, down);
        if self.schedule.settings.death_is_noticed {
            self.break_connections(member);
        }
        if self.members.iter().all(|member| !member.is_up()) {
            self.marks.hit(Mark::AllDown);
        }
    }

    /// The others notice that the connections to a member broke.
    fn break_connections(&mut self, member: usize) {
        for peer in 0..self.members.len() {
            if peer != member && self.members[peer].is_up() {
                let at = self.now + self.network.latency() + self.random.below(1000);
                let life = self.members[peer].life;
                let event = Event::Disconnected { member: peer, peer: member, life };
                self.queue.push(at, event);
            }
        }
    }

    /// A connection breaks, and is made anew a moment later.
    pub(crate) fn reset(&mut self, one: usize, other: usize) {
        self.network.reset(one, other);
        self.marks.hit(Mark::ResetUnderWay);
        for (member, peer) in [(one, other), (other, one)] {
            let life = self.members[member].life;
            let at = self.now + self.random.below(self.network.latency());
            self.queue.push(at, Event::Disconnected { member, peer, life });
            let at = at + self.network.latency() * 3;
            self.queue.push(at, Event::Connected { member, peer, life });
        }
    }

    /// A process is stopped in order.
    pub(crate) fn stop(&mut self, member: usize, down: Time) {
        let local = self.local(member);
        let here = &mut self.members[member];
        let Some(mut replica) = here.replica.take() else { return };
        if let Some(Job { job, covers, .. }) = here.job.take()
            && let Ok(synced) = job.run()
        {
            replica.synced(local, synced);
            here.replica = Some(replica);
            self.on_durable(member, covers);
            replica = self.members[member].replica.take().expect("it was put there just now");
        }
        // If it cannot be closed in order, it opens all the same.
        if replica.into_log().close().is_ok() {
            self.marks.hit(Mark::RestartedInOrder);
        }
        self.members[member].forget();
        self.after_death(member, down);
    }

    /// The checkers that look at every event, and the marks that its reasons tell.
    fn check(&mut self, member: usize, events: &[CoreEvent]) {
        for event in events {
            self.on_core_event(member, event);
        }
        let Some(replica) = &self.members[member].replica else { return };
        let (raft, applied) = (replica.raft(), replica.applied().index);
        let changes = self.watch.on_event(member, raft, applied);
        invariants::check_state(raft);
        if changes.committed {
            self.watch.check_durable(&mut self.marks);
        }
        if !self.watch.holds(member, applied) {
            self.marks.hit(Mark::AppliedUnsynced);
        }
    }

    fn on_core_event(&mut self, member: usize, event: &CoreEvent) {
        if self.trace.is_spoken() {
            self.trace.say(format_args!(" {event:?}"));
        }
        if let CoreEvent::Truncated { first, .. } = event {
            self.on_truncated(member, *first);
        }
        if let CoreEvent::SteppedDown { .. } = event {
            self.on_deposed(member);
        }
        if let CoreEvent::BecameLeader { .. } = event
            && self.members.iter().filter(|member| member.is_leader()).count() > 1
        {
            self.marks.hit(Mark::TwoLeaders);
        }
        if let Some(mark) = mark_of(event) {
            self.marks.hit(mark);
        }
    }

    fn on_truncated(&mut self, member: usize, first: Index) {
        let Some(replica) = &self.members[member].replica else { return };
        let kept = first.previous();
        if first <= self.watch.seen[member].durable.last.index {
            self.marks.hit(Mark::TruncatedDurable);
        }
        // By now something else stands at `first`; what was kept has its term still.
        let kept = EntryId::new(replica.raft().term_at(kept).unwrap_or_default(), kept);
        self.watch.on_truncated(member, kept);
        if let Some(job) = &mut self.members[member].job
            && kept.index < job.covers.last.index
        {
            job.covers.last = kept;
        }
    }

    fn on_deposed(&mut self, member: usize) {
        let here = &self.members[member];
        if !here.readers.is_empty() {
            self.marks.hit(Mark::DeposedWithReads);
        }
        if self.watch.commit() < here.replica.as_ref().map_or(Index::ZERO, |r| r.raft().last().index)
        {
            self.marks.hit(Mark::DeposedWithProposals);
        }
    }

    /// A proposal of this member was applied: its client hears of it.
    fn reply(&mut self, member: usize, sequence: u64, reply: Reply) {
        let Reply { operation, reply } = reply;
        let operation = usize::try_from(operation).expect("operations are few");
        let proposed = self.clients.open(operation).proposed;
        let life = self.members[member].life;
        demand!(
            proposed == Some((member, life, sequence)),
            AtMostOnce,
            "member {} answers operation {operation} as proposal {sequence}; it was proposed as \
             {proposed:?} (member, life, sequence)",
            member + 1
        );
        // Answered once: a second answer would not find it.
        self.clients.open(operation).proposed = None;
        match translate::of_reply(reply) {
            Ok(response) => self.answer(operation, response),
            Err(what) => violated(Checker::Linearizability, what),
        }
    }

    /// An answer goes on its way.
    pub(crate) fn answer(&mut self, operation: usize, response: Response) {
        self.mark_response(operation, &response);
        let at = self.now + self.network.latency();
        self.queue.push(at, Event::Answer { operation, response });
    }

    fn mark_response(&mut self, operation: usize, response: &Response) {
        let mark = match (self.clients.request_of(operation), response) {
            (_, Response::Compacted) => Mark::AnsweredCompacted,
            (_, Response::FutureRevision) => Mark::AnsweredFuture,
            (_, Response::Swap { succeeded: true, .. }) => Mark::Swapped,
            (_, Response::Swap { succeeded: false, .. }) => Mark::SwapFailed,
            (_, Response::Delete { deleted, .. }) if deleted.is_empty() => Mark::DeletedNothing,
            (Request::Range { at: Some(_), .. }, _) => Mark::ReadHistory,
            (Request::Range { serializable: true, .. }, Response::Range { revision, .. })
                if *revision < self.clients.revision() =>
            {
                Mark::ReadStale
            }
            _ => return,
        };
        self.marks.hit(mark);
    }

    /// The costly checkers look at a member, now and then.
    pub(crate) fn look(&mut self, member: usize) {
        self.check_disk(member);
        self.queue.push(self.now + 20_000_000, Event::Look { member });
    }

    /// What lies on a member's disk is what it has in memory.
    pub(crate) fn check_disk(&self, member: usize) {
        let here = &self.members[member];
        let Some(replica) = &here.replica else { return };
        let log = replica.log();
        if here.fitness != Fitness::Sound || here.job.is_some() || log.appended() != log.durable() {
            return;
        }
        let setup = setup(&self.schedule.settings, 0, member, 0);
        // The worst crash: all that was not synced is gone.
        let disk = here.disk.crash(&mut Choices::first());
        let (found, recovered) = match Log::open(disk, setup.identity, setup.log) {
            Ok(opened) => opened,
            Err(error) => violated(
                Checker::DiskEqualsMemory,
                format!("the log of member {} does not open: {error}", member + 1),
            ),
        };
        let raft = replica.raft();
        let starts: Vec<EntryId> = starts_of(&recovered.runs);
        demand!(
            recovered.hard_state == log.hard_state()
                && found.last() == raft.last()
                && starts == raft.term_starts(),
            DiskEqualsMemory,
            "member {} has {:?} and a log up to {} on its disk, and {:?} and {} in memory",
            member + 1,
            recovered.hard_state,
            found.last(),
            log.hard_state(),
            raft.last()
        );
    }
}

fn starts_of(runs: &[quorate_raft::Run]) -> Vec<EntryId> {
    let mut next = Index::new(1);
    let mut starts: Vec<EntryId> = Vec::new();
    for run in runs {
        if starts.last().is_none_or(|start| start.term < run.term) {
            starts.push(EntryId::new(run.term, next));
        }
        next = next.plus(run.count);
    }
    starts
}

/// The mark that an event of the core stands for.
fn mark_of(event: &CoreEvent) -> Option<Mark> {
    Some(match event {
        CoreEvent::BecameLeader { .. } => Mark::Elected,
        CoreEvent::BecamePreCandidate { cause, .. } => match cause {
            CampaignCause::NoLeader => Mark::AskedWithoutLeader,
            CampaignCause::LeaderSilent { .. } => Mark::AskedSilent,
            CampaignCause::LeaderDisconnected { .. } => Mark::AskedDisconnected,
        },
        CoreEvent::BecameCandidate { .. } => Mark::Candidate,
        CoreEvent::TermRaised { .. } => Mark::TermRaised,
        CoreEvent::SteppedDown { cause, .. } => match cause {
            StepDownCause::HigherTerm { .. } => Mark::DeposedByTerm,
            StepDownCause::QuorumLost => Mark::DeposedByQuorum,
        },
        CoreEvent::VoteGranted { .. } => Mark::VoteGranted,
        CoreEvent::VoteRefused { reason, .. } => match reason {
            Refusal::LeaderAlive { .. } => Mark::VoteLeaderAlive,
            Refusal::VotedFor { .. } => Mark::VoteTaken,
            Refusal::LogBehind { .. } => Mark::VoteLogBehind,
            Refusal::TermBehind { .. } => return None,
        },
        CoreEvent::PreVoteGranted { .. } => Mark::PreVoteGranted,
        CoreEvent::PreVoteRefused { reason, .. } => match reason {
            Refusal::LeaderAlive { .. } => Mark::PreVoteLeaderAlive,
            Refusal::LogBehind { .. } => Mark::PreVoteLogBehind,
            Refusal::TermBehind { .. } => Mark::PreVoteTermBehind,
            Refusal::VotedFor { .. } => return None,
        },
        CoreEvent::Truncated { .. } => Mark::Truncated,
        CoreEvent::AppendRefused { .. } => Mark::AppendRefused,
        CoreEvent::PeerProbed { cause, .. } => match cause {
            ProbeCause::Rejected { .. } => Mark::ProbedRejected,
            ProbeCause::NoProgress => Mark::ProbedNoProgress,
            ProbeCause::Connection => Mark::ProbedConnection,
        },
        CoreEvent::PeerReplicates { .. } => Mark::Replicates,
        CoreEvent::MessageIgnored { reason, .. } => match reason {
            IgnoreReason::LowerTerm { .. } => Mark::IgnoredLowerTerm,
            IgnoreReason::Stale => Mark::IgnoredStale,
            IgnoreReason::Role => Mark::IgnoredRole,
            IgnoreReason::NotAMember => return None,
        },
        CoreEvent::BecameFollower { .. } | CoreEvent::PeerMisbehaved { .. } => return None,
    })
}
