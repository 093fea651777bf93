//! A step of a member: what follows from what it was given is carried out.
//!
//! A process may die between any two parts of its work: after an input and before its effects are
//! taken, between two messages, between two answers.

use quorate_log::{MemDisk, SyncFailure};
use quorate_raft::{Message, Verdict};
use quorate_replica::{Body, Effects, PeerMessage};
use quorate_wire::Route;

use crate::machine::Numbered;
use crate::marks::Mark;
use crate::member::{Fitness, Job, id};
use crate::network::{Fate, place};
use crate::process::{RESTART, RETRY};
use crate::violation::demand;
use crate::watch::Durable;
use crate::workload::{Reply, Response, Workload};
use crate::world::{Event, World};

impl<W: Workload> World<W> {
    /// A step of a member's work: true if it dies here.
    pub(crate) fn dies(&mut self, member: usize) -> bool {
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
        let Effects {
            messages,
            job,
            snapshot_jobs,
            // Their clients learn that they do not know.
            unanswered: _,
            replies,
            reads,
            events: _,
            notes,
            more,
        } = effects;
        for note in &notes {
            self.on_note(member, note);
        }
        if let Some(job) = job {
            self.begin_job(member, job);
        }
        for job in snapshot_jobs {
            self.begin_snapshot_job(member, job);
        }
        for message in messages {
            if self.dies(member) {
                return;
            }
            self.send(member, message);
        }
        if self.dies(member) {
            return;
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
        let now = self.now;
        let life = self.members[to].life;
        let mut arrivals = std::mem::take(&mut self.arrivals);
        let fate = self.network.send(now, message, life, &mut self.marks, &mut arrivals);
        for arrival in arrivals.drain(..) {
            if arrival.life != self.members[place(arrival.message.to.value())].life {
                self.marks.hit(Mark::ReplayedLife);
            }
            let (message, connection) = (arrival.message, arrival.connection);
            self.queue.push(arrival.at, Event::Arrive { message, connection });
        }
        self.arrivals = arrivals;
        if let Fate::Damaged(message) = fate {
            self.damage_frame(member, to, &message);
        }
    }

    /// A frame is damaged on its way: it goes through the very code that makes and reads frames.
    fn damage_frame(&mut self, from: usize, to: usize, message: &PeerMessage) {
        let mut bytes = quorate_wire::to_bytes(message);
        for _ in 0..self.random.between(1, 3) {
            let at = self.random.place(bytes.len());
            bytes[at] ^= 1 << self.random.below(8);
        }
        let route = Route { from: message.from, to: message.to };
        if let Ok(message) = quorate_wire::from_bytes(route, &bytes) {
            // Whatever was accepted is taken for what was sent.
            let at = self.now + self.network.latency();
            self.queue.push(at, Event::Arrive { message, connection: None });
        } else {
            self.marks.hit(Mark::DamageRefused);
            self.reset(from, to);
        }
    }

    /// What a message says about the promises of its sender.
    fn look_at_message(&mut self, member: usize, message: &PeerMessage) {
        let promises_nothing = matches!(
            message.body,
            Body::Raft(Message::HigherTerm | Message::PreVoteReply { .. })
                | Body::Proposals(_)
                | Body::ProposalsRefused { .. }
                | Body::ProposalsUnwelcome
                | Body::SnapshotRequest { .. }
                | Body::SnapshotChunk(_)
                | Body::Digest { .. }
                | Body::ProposalsOverloaded
        );
        if !promises_nothing {
            self.watch.on_spoken(member, message.term);
        }
        match &message.body {
            Body::Raft(Message::Vote { by_transfer, .. }) => {
                if *by_transfer {
                    self.members[member].called = message.term;
                }
                self.watch.on_vote(member, message.term, message.from.value());
                self.on_voted(member);
            }
            Body::Raft(Message::VoteReply { granted: Verdict::Granted }) => {
                self.watch.on_vote(member, message.term, message.to.value());
                self.on_voted(member);
            }
            Body::Proposals(proposals) => {
                self.marks.hit(Mark::Forwarded);
                let sent = (message.term, proposals.last);
                let before = &mut self.members[member].forwarded;
                if sent <= *before {
                    self.marks.hit(Mark::ForwardedAgain);
                }
                *before = sent.max(*before);
            }
            Body::ProposalsRefused { .. } => self.marks.hit(Mark::ForwardGap),
            Body::ProposalsUnwelcome => self.marks.hit(Mark::Unwelcome),
            Body::Raft(_)
            | Body::Append(_)
            | Body::ProposalsOverloaded
            | Body::SnapshotRequest { .. }
            | Body::SnapshotChunk(_)
            | Body::Digest { .. } => {}
        }
    }

    /// A member's disk gets something to do.
    fn begin_job(&mut self, member: usize, job: quorate_log::SyncJob<MemDisk>) {
        let latency = self.schedule.settings.disk;
        let here = &mut self.members[member];
        let replica = here.replica.as_ref().expect("a job comes from a process");
        let covers = Durable { last: replica.log().last(), hard_state: replica.log().hard_state() };
        demand!(here.job.is_none(), Assertion, "member {} has two jobs", member + 1);
        let before = self.watch.seen[member].durable;
        if before.hard_state.term < covers.hard_state.term && before.last < covers.last {
            self.on_new_term(member);
        }
        let here = &mut self.members[member];
        here.jobs += 1;
        let number = here.jobs;
        here.job = Some(Job { job, number, covers });
        let usual = if self.schedule.settings.even {
            latency
        } else {
            latency / 2 + self.random.exponential(latency / 2)
        };
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
                if std::mem::take(&mut self.members[member].is_fresh) {
                    self.check_disk(member);
                }
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
    pub(crate) fn on_durable(&mut self, member: usize, covers: Durable) {
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

    /// A proposal of this member was applied: its client hears of it.
    fn reply(&mut self, member: usize, sequence: u64, reply: Numbered<Reply<W>>) {
        let Numbered { operation, reply } = reply;
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
        self.answer(operation, Response::Reply(reply), None);
    }

    /// An answer goes on its way. A question was answered from the state at `index`.
    pub(crate) fn answer(
        &mut self,
        operation: usize,
        response: Response<Reply<W>, W::Answer>,
        index: Option<u64>,
    ) {
        let request = self.clients.request_of(operation);
        if let Some(mark) = self.clients.workload().mark(request, &response) {
            self.marks.hit(mark);
        }
        self.clients.leaves(operation, response, index);
        let at = self.now + self.network.latency();
        self.queue.push(at, Event::Answer { operation });
    }
}
