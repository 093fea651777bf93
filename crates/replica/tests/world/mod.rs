//! A small hostile world for replicas: one seed, no clock, no thread.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use quorate_log::{Choices, EntryKind, Identity, MemDisk, Options, SyncFailure, SyncJob};
use quorate_raft::{Config, Index, Instant, Membership, NodeId, ReadTicket};
use quorate_replica::{
    Body, CheckPolicy, Fatal, Freshness, Members, Note, OpenError, Outcome, PeerMessage, Refused,
    Replica, Setup, SnapshotJob, SnapshotPolicy,
};

pub(crate) mod change;
mod ledger;

use ledger::{Ledger, NEVER};

const STEP: Duration = Duration::from_millis(2);

/// Forwarded batches that a stream between members would still hold.
const FORWARDS_MAX: usize = 8;

/// Proposals that may wait at a member, and their bytes, if a test says nothing else.
const PROPOSALS_MAX: (u64, u64) = (100, 100_000);

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Answered,
    /// For want of space; nothing was taken.
    Refused,
    /// It was taken, and there is no answer.
    Unknown,
}

/// How the world treats its members, in percent of messages, and in thousandths of steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kindness {
    pub(crate) loss: u64,
    pub(crate) doubling: u64,
    pub(crate) crashes: u64,
    /// How often a member is cut off from all others, for up to a second.
    pub(crate) cuts: u64,
}

impl Kindness {
    pub(crate) const KIND: Self = Self { loss: 0, doubling: 0, crashes: 0, cuts: 0 };
}

/// What is to be known about a member.
pub(crate) fn context(id: NodeId) -> Bytes {
    Bytes::from(format!("member {}", id.value()))
}

struct Member {
    replica: Option<Replica<MemDisk, Ledger>>,
    disk: MemDisk,
    /// When its ledger goes wrong.
    wrong_at: Rc<Cell<usize>>,
    /// It has stopped since its ledger is wrong, and said so.
    stopped: Option<String>,
    job: Option<SyncJob<MemDisk>>,
    /// What is done about its snapshots, beside.
    snapshot_jobs: Vec<SnapshotJob<MemDisk>>,
    /// What its clients wait for, by sequence.
    waiting: BTreeMap<u64, u64>,
    /// How many commands had been answered when a read was asked for.
    reads: Vec<(ReadTicket, usize)>,
    /// How long its ledger was in this life.
    length: usize,
    /// It was removed, and does not come back.
    is_gone: bool,
}

impl Member {
    fn new() -> Self {
        Self {
            replica: None,
            disk: MemDisk::new(),
            wrong_at: Rc::new(Cell::new(NEVER)),
            stopped: None,
            job: None,
            snapshot_jobs: Vec::new(),
            waiting: BTreeMap::new(),
            reads: Vec::new(),
            length: 0,
            is_gone: false,
        }
    }
}

pub(crate) struct World {
    members: Vec<Member>,
    /// So many of them made the cluster.
    founders: u64,
    messages: Vec<PeerMessage>,
    now: Instant,
    kindness: Kindness,
    /// Who is cut off, and until when.
    cut: Option<(NodeId, Instant)>,
    /// Whose disks do not come back with what they were given.
    stalled: BTreeSet<usize>,
    /// How many proposals may wait, and their bytes.
    proposals_max: (u64, u64),
    random: u64,
    next_value: u64,
    lives: u64,
    /// The order that the members have applied, as far as any has come.
    order: Vec<u64>,
    answered: BTreeSet<u64>,
    pub(crate) taken: u64,
    pub(crate) installed: u64,
    /// When the members compare.
    checks: CheckPolicy,
    /// How often members saw a difference, by what it came to.
    pub(crate) undecided: u64,
    pub(crate) differences: u64,
    policy: SnapshotPolicy,
    /// When a ledger had to be how long to hold all that was answered; rising in both.
    prefixes: Vec<(Instant, usize)>,
    /// How many reads of a bounded age were served without a message.
    fresh: u64,
    trace: u64,
}

impl World {
    pub(crate) fn new(count: u64, seed: u64, kindness: Kindness, policy: SnapshotPolicy) -> Self {
        let checks = CheckPolicy { entries: 20, bytes: u64::MAX };
        Self::with_checks(count, seed, kindness, policy, checks)
    }

    pub(crate) fn with_checks(
        count: u64,
        seed: u64,
        kindness: Kindness,
        policy: SnapshotPolicy,
        checks: CheckPolicy,
    ) -> Self {
        let mut world = Self {
            members: Vec::new(),
            founders: count,
            messages: Vec::new(),
            now: Instant::default(),
            kindness,
            cut: None,
            stalled: BTreeSet::new(),
            proposals_max: PROPOSALS_MAX,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03,
            next_value: 0,
            lives: 0,
            order: Vec::new(),
            answered: BTreeSet::new(),
            taken: 0,
            installed: 0,
            checks,
            undecided: 0,
            differences: 0,
            policy,
            prefixes: Vec::new(),
            fresh: 0,
            trace: 0,
        };
        for _ in 0..count {
            world.members.push(Member::new());
        }
        for at in 0..world.members.len() {
            world.start(at);
        }
        world
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn id(at: usize) -> NodeId {
        NodeId::new(at as u64 + 1)
    }

    fn start(&mut self, at: usize) {
        self.lives += 1;
        let founders = (1..=self.founders).map(NodeId::new);
        let mut bootstrap = Members::from(Membership::of_voters(founders.clone()));
        bootstrap.contexts = founders.map(|id| (id, context(id))).collect();
        let setup = Setup {
            identity: Identity { cluster: 7, member: Self::id(at).value() },
            raft: Config {
                id: Self::id(at),
                election_timeout_min: Duration::from_millis(100),
                election_timeout_max: Duration::from_millis(200),
                heartbeat_interval: Duration::from_millis(20),
                append_bytes_max: 256,
                append_entries_max: 8,
                inflight_appends_max: 4,
                inflight_bytes_max: 1024,
                lease: None,
                seed: self.random ^ self.lives,
            },
            log: Options {
                segment_bytes: 1024,
                cache_bytes: 512,
                ahead_bytes: 2048,
                reserve_bytes: 512,
            },
            snapshots: self.policy,
            checks: self.checks,
            bootstrap,
            origin: 1000 + self.lives,
            proposals_max: self.proposals_max.0,
            proposal_bytes_max: self.proposals_max.1,
        };
        let member = &mut self.members[at];
        let ledger = Ledger::new(member.wrong_at.clone());
        let opened = Replica::open(setup, member.disk.clone(), ledger, self.now);
        if member.stopped.is_some() {
            let refused = opened.expect_err("what is wrong does not start again");
            assert!(matches!(refused, OpenError::Diverged { .. }), "{refused}");
            return;
        }
        let (replica, _) = opened.expect("what a crash leaves opens");
        member.replica = Some(replica);
        self.settle(at);
    }

    fn crash(&mut self, at: usize) {
        let mut choices = Choices::seeded(self.draw(u64::MAX));
        let member = &mut self.members[at];
        member.replica = None;
        member.job = None;
        member.snapshot_jobs.clear();
        member.disk = member.disk.crash(&mut choices);
        member.waiting.clear();
        member.reads.clear();
        member.length = 0;
        for other in 0..self.members.len() {
            let now = self.now;
            if let Some(replica) = &mut self.members[other].replica {
                replica.disconnected(now, Self::id(at));
                self.settle(other);
            }
        }
    }

    /// One thing happens, or time passes.
    pub(crate) fn step(&mut self) {
        if self.draw(1000) < self.kindness.crashes {
            let at = self.pick_member();
            self.crash(at);
        }
        if self.draw(1000) < self.kindness.cuts {
            let (at, steps) = (self.pick_member(), self.draw(500));
            self.cut =
                Some((Self::id(at), self.now.after(STEP * u32::try_from(steps).expect("small"))));
        }
        for at in 0..self.members.len() {
            let member = &self.members[at];
            if member.replica.is_none() && !member.is_gone && self.draw(20) == 0 {
                self.start(at);
            }
        }
        if self.draw(3) == 0 {
            self.propose();
        }
        if self.draw(10) == 0 {
            self.read();
        }
        if self.draw(5) == 0 {
            self.read_within();
        }
        self.pass_time();
    }

    fn pick_member(&mut self) -> usize {
        let count = self.members.len() as u64;
        usize::try_from(self.draw(count)).expect("small")
    }

    fn propose(&mut self) {
        let at = self.pick_member();
        let count = 1 + self.draw(5);
        let now = self.now;
        let member = &mut self.members[at];
        let Some(replica) = &mut member.replica else { return };
        let values: Vec<u64> = (0..count).map(|i| self.next_value + i).collect();
        self.next_value += count;
        let commands = values.iter().map(|value| Bytes::copy_from_slice(&value.to_le_bytes()));
        if let Ok(first) = replica.propose(now, commands) {
            member.waiting.extend((first..).zip(values));
        }
        self.settle(at);
    }

    /// A client of the member has a command applied, and waits for it.
    pub(crate) fn write(&mut self, at: usize) -> Written {
        let now = self.now;
        let member = &mut self.members[at];
        let replica = member.replica.as_mut().expect("it is up");
        let value = self.next_value;
        let command = Bytes::copy_from_slice(&value.to_le_bytes());
        match replica.propose(now, [command]) {
            Ok(sequence) => member.waiting.insert(sequence, value),
            Err(Refused::DiskFull) => {
                self.settle(at);
                return Written::Refused;
            }
            Err(refused @ Refused::Overloaded) => panic!("{refused}"),
        };
        self.next_value += 1;
        self.settle(at);
        for _ in 0..500 {
            if self.answered.contains(&value) {
                return Written::Answered;
            }
            self.pass_time();
        }
        Written::Unknown
    }

    /// Clients of the member send commands at the same time, and wait for nothing.
    pub(crate) fn send(&mut self, at: usize, count: u64) -> Result<(), Refused> {
        let (now, values) = (self.now, self.next_value..self.next_value + count);
        let member = &mut self.members[at];
        let replica = member.replica.as_mut().expect("it is up");
        let commands = values.clone().map(|value| Bytes::copy_from_slice(&value.to_le_bytes()));
        let proposed = replica.propose(now, commands);
        if let Ok(first) = proposed {
            self.next_value = values.end;
            member.waiting.extend((first..).zip(values));
        }
        self.settle(at);
        proposed.map(drop)
    }

    /// How many proposals wait at a member, and the entries in its log that it does not know to be
    /// committed, with their bytes.
    pub(crate) fn load(&self, at: usize) -> (u64, u64, u64) {
        let replica = self.members[at].replica.as_ref().expect("it is up");
        let commit = replica.status().commit;
        let (entries, bytes) = replica.log().fit(commit.next(), u64::MAX, u64::MAX);
        (replica.proposals_left(), entries, bytes)
    }

    /// All members start again with other bounds.
    pub(crate) fn bound_proposals(&mut self, count: u64, bytes: u64) {
        self.proposals_max = (count, bytes);
        for at in 0..self.members.len() {
            self.crash(at);
            self.start(at);
        }
    }

    /// The disk of a member does not come back with what it was given, until [`Self::heal`].
    pub(crate) fn stall(&mut self, at: usize) {
        self.stalled.insert(at);
    }

    /// A member is cut off from the others, until [`Self::heal`].
    pub(crate) fn cut_off(&mut self, at: usize) {
        self.cut = Some((Self::id(at), Instant::NEVER));
    }

    /// Time passes until a member leads that all others follow; where it is.
    pub(crate) fn leader(&mut self) -> usize {
        self.leader_among(self.members.len())
    }

    /// The same of the first `count` members.
    pub(crate) fn leader_among(&mut self, count: usize) -> usize {
        for _ in 0..1000 {
            let leader = |member: &Member| member.replica.as_ref().and_then(|r| r.raft().leader());
            let first = leader(&self.members[0]);
            if let Some(first) = first
                && self.members[..count].iter().all(|member| leader(member) == Some(first))
            {
                return usize::try_from(first.value() - 1).expect("small");
            }
            self.pass_time();
        }
        panic!("nobody leads");
    }

    /// The disk of a member has so much space left; without a limit with `None`.
    pub(crate) fn limit_space(&self, at: usize, bytes: Option<u64>) {
        self.members[at].disk.limit_space(bytes);
    }

    fn read(&mut self) {
        let at = self.pick_member();
        let (now, answered) = (self.now, self.answered_prefix());
        let member = &mut self.members[at];
        let Some(replica) = &mut member.replica else { return };
        let ticket = replica.read(now);
        member.reads.push((ticket, answered));
        self.settle(at);
    }

    /// A read that may be of some age: it shows what was answered before that.
    fn read_within(&mut self) {
        let (at, staleness) = (self.pick_member(), self.draw(400));
        let (now, staleness) = (self.now, Duration::from_millis(staleness));
        let answered = self.answered_prefix();
        let Some(replica) = &mut self.members[at].replica else { return };
        match replica.read_within(now, staleness) {
            Freshness::Fresh => {
                let is_old = |(when, _): &&(Instant, usize)| staleness < now.since(*when);
                let needed = self.prefixes.iter().rev().find(is_old).map_or(0, |found| found.1);
                let held = replica.machine().values.len();
                assert!(needed <= held, "a read of {staleness:?} sees what was answered before");
                self.fresh += 1;
            }
            Freshness::Ticket(ticket) => self.members[at].reads.push((ticket, answered)),
        }
        self.settle(at);
    }

    /// How long a ledger must be to hold all that was answered.
    fn answered_prefix(&self) -> usize {
        let last = self.order.iter().rposition(|value| self.answered.contains(value));
        last.map_or(0, |last| last + 1)
    }

    /// Time passes: jobs end, messages arrive, timers fire.
    pub(crate) fn pass_time(&mut self) {
        self.now = self.now.after(STEP);
        let now = self.now;
        for at in 0..self.members.len() {
            let slow = self.draw(3) == 0 || self.stalled.contains(&at);
            let member = &mut self.members[at];
            let Some(replica) = &mut member.replica else { continue };
            if let Some(job) = member.job.take_if(|_| !slow) {
                match job.run() {
                    Ok(synced) => replica.synced(now, synced),
                    Err(SyncFailure::Full { job, .. }) => member.job = Some(*job),
                    Err(failure @ SyncFailure::Failed { .. }) => panic!("{failure}"),
                }
            }
            let done = if slow { 0 } else { member.snapshot_jobs.len() };
            for job in member.snapshot_jobs.drain(..done) {
                replica.snapshot_done(now, job.run());
            }
            if replica.deadline() <= now {
                replica.timeout(now);
            }
            self.settle(at);
        }
        for _ in 0..self.messages.len() {
            if self.draw(2) == 0 {
                self.deliver();
            }
        }
    }

    fn deliver(&mut self) {
        if self.messages.is_empty() {
            return;
        }
        let count = self.messages.len() as u64;
        let which = usize::try_from(self.draw(count.min(6))).expect("small");
        let message = self.messages.remove(which);
        let cut = self.cut.filter(|(_, until)| self.now < *until).map(|(member, _)| member);
        if cut.is_some_and(|cut| cut == message.from || cut == message.to) {
            return;
        }
        if self.draw(100) < self.kindness.loss {
            return;
        }
        if self.draw(100) < self.kindness.doubling {
            self.messages.push(message.clone());
        }
        let at = usize::try_from(message.to.value() - 1).expect("small");
        let now = self.now;
        if let Some(replica) = &mut self.members[at].replica {
            replica.receive(now, message);
            self.settle(at);
        }
    }

    /// Takes a member's effects until there are none, and checks them.
    fn settle(&mut self, at: usize) {
        loop {
            let now = self.now;
            let member = &mut self.members[at];
            let Some(replica) = &mut member.replica else { return };
            let effects = match replica.effects(now) {
                Ok(effects) => effects,
                Err(fatal @ Fatal::Diverged { .. }) => return self.stop(at, fatal.to_string()),
                Err(fatal) => panic!("{fatal}"),
            };
            let mut messages = effects.messages;
            for peer in replica.peers() {
                let forwards =
                    |m: &&PeerMessage| matches!(m.body, Body::Proposals(_)) && m.to == peer;
                let count = messages.iter().filter(forwards).count();
                assert!(count <= FORWARDS_MAX, "a stream would drop some of {count} batches");
            }
            let others: Vec<_> = replica.peers().collect();
            for peer in others {
                while let Some(message) = replica.pull(now, peer).expect("the log can be read") {
                    messages.push(message);
                }
            }
            for note in &effects.notes {
                if let Note::Differ { outcome, .. } = note {
                    self.differences += 1;
                    self.undecided += u64::from(*outcome == Outcome::Undecided);
                    continue;
                }
                assert!(!note.is_warning(), "nothing goes wrong with these disks: {note}");
                self.taken += u64::from(matches!(note, Note::Taken { .. }));
                self.installed += u64::from(matches!(note, Note::Installed { .. }));
            }
            member.snapshot_jobs.extend(effects.snapshot_jobs);
            let long = member.snapshot_jobs.iter().filter(|job| job.is_long()).count();
            assert!(long <= 1 && member.snapshot_jobs.len() - long <= 1, "one of each at a time");
            if let Some(job) = effects.job {
                assert!(member.job.is_none(), "one job at a time");
                member.job = Some(job);
            }
            let ledger = &replica.machine().values;
            assert!(member.length <= ledger.len(), "a state never goes back");
            member.length = ledger.len();
            let known = self.order.len().min(ledger.len());
            assert_eq!(ledger[..known], self.order[..known], "all apply the same, in one order");
            self.order.extend_from_slice(&ledger[known..]);
            let is_answer = !effects.replies.is_empty();
            for (sequence, place) in effects.replies {
                let value = member.waiting.remove(&sequence).expect("an answer comes once");
                assert_eq!(ledger[place], value, "the answer is to the command that was proposed");
                self.answered.insert(value);
            }
            if let Some(through) = effects.unanswered {
                // Applied or not, nobody can say: it only must not happen twice.
                member.waiting = member.waiting.split_off(&(through + 1));
            }
            if let Some(ticket) = effects.reads {
                for (_, answered) in member.reads.extract_if(.., |(waiting, _)| *waiting <= ticket)
                {
                    assert!(answered <= ledger.len(), "a read sees what was answered before it");
                }
            }
            let summary = (at as u64) << 32 | (messages.len() as u64) << 16 | ledger.len() as u64;
            self.trace = (self.trace ^ summary).wrapping_mul(0x0100_0000_01B3);
            let idle = messages.is_empty() && !effects.more;
            self.messages.extend(messages);
            if is_answer {
                self.prefixes.push((now, self.answered_prefix()));
            }
            if idle {
                return;
            }
        }
    }

    /// The world turns kind; everything must come right.
    pub(crate) fn heal(&mut self) {
        self.kindness = Kindness::KIND;
        self.cut = None;
        self.stalled.clear();
        for at in 0..self.members.len() {
            if self.members[at].replica.is_none() && !self.members[at].is_gone {
                self.start(at);
            }
        }
        for _ in 0..1500 {
            self.pass_time();
        }
        let distinct: BTreeSet<_> = self.order.iter().collect();
        assert_eq!(distinct.len(), self.order.len(), "a command was applied twice");
        let here = |member: &&Member| member.stopped.is_none() && !member.is_gone;
        for member in self.members.iter().filter(here) {
            let replica = member.replica.as_ref().expect("all are up");
            assert_eq!(replica.machine().values, self.order, "all have come equally far");
            assert_eq!(member.waiting, BTreeMap::new(), "every proposal is answered in the end");
            assert_eq!(member.reads, [], "every read is served in the end");
        }
        let missing = self.answered.iter().find(|value| !distinct.contains(value));
        assert_eq!(missing, None, "what was answered is there");
        let is_right = self.members.iter().all(|member| member.wrong_at.get() == NEVER);
        assert!(!is_right || self.differences == 0, "a false alarm");
    }

    /// A member's ledger goes wrong with the next command, or with an earlier one when the member
    /// starts again.
    pub(crate) fn make_wrong(&mut self, at: usize, length: Option<usize>) {
        let next = || self.members[at].replica.as_ref().map_or(1, |r| r.machine().values.len() + 1);
        let length = length.unwrap_or_else(next);
        self.members[at].wrong_at.set(length);
    }

    /// What a member said when it stopped.
    pub(crate) fn stopped(&self, at: usize) -> Option<&str> {
        self.members[at].stopped.as_deref()
    }

    /// A member has found that its ledger is wrong.
    fn stop(&mut self, at: usize, reason: String) {
        assert_ne!(self.members[at].wrong_at.get(), NEVER, "a false alarm: {reason}");
        self.members[at].stopped = Some(reason);
        self.crash(at);
    }

    /// All members stop and start again.
    pub(crate) fn restart_all(&mut self) {
        for at in 0..self.members.len() {
            self.crash(at);
        }
        for at in 0..self.members.len() {
            self.start(at);
        }
        self.heal();
    }

    /// A member stops; [`Self::heal`] starts it again.
    pub(crate) fn stop_for_a_while(&mut self, at: usize) {
        self.crash(at);
    }

    /// How many entries of a member's log are about comparisons, and how many there are.
    pub(crate) fn check_entries(&self, at: usize) -> (usize, u64) {
        let replica = self.members[at].replica.as_ref().expect("it is up");
        let (first, end) = (Index::new(1), replica.log().last().index.next());
        let blocks = replica.log().read(first, end, u64::MAX).expect("the log can be read");
        let entries = blocks.iter().flat_map(|block| block.entries());
        let checks = entries.filter(|entry| entry.kind == EntryKind::Check).count();
        (checks, end.value() - 1)
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.len()
    }

    pub(crate) fn fresh(&self) -> u64 {
        self.fresh
    }

    pub(crate) fn terms(&self) -> u64 {
        let replica = self.members[0].replica.as_ref().expect("all are up");
        replica.status().term.value()
    }

    /// A number that two different runs hardly share.
    pub(crate) fn trace(&self) -> u64 {
        self.trace
    }
}
