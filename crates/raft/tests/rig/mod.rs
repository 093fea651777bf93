//! A cluster of cores in one thread: disks, a network and time, all under the test's control.
//!
//! Every entry has a payload, a number that no other entry has, so that the checker compares what
//! was agreed on and not only where. After every input the members' invariants are checked, and the
//! promises of the whole cluster (see `checker.rs`).
#![expect(dead_code, unreachable_pub, reason = "each test binary uses a part of the rig")]

pub mod checker;
pub mod clock;
pub mod dice;
pub mod member;
pub mod render;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_raft::{
    ChangeError, Config, EntryId, Envelope, Event, HardState, Index, Input, Installed, Instant,
    Membership, Message, NodeId, ReadTicket, RoleName, Target, Term, WantedSnapshot,
};

use checker::Checker;
use member::{Entry, Member, Output};

/// A message with the payloads that the shell added.
#[derive(Clone, Debug)]
pub struct Packet {
    pub envelope: Envelope,
    pub payloads: Vec<u64>,
}

/// The cluster.
pub struct Cluster {
    pub members: BTreeMap<NodeId, Member>,
    pub network: Vec<Packet>,
    pub now: Instant,
    pub checker: Checker,
    /// Links on which everything is lost.
    pub cut: BTreeSet<(NodeId, NodeId)>,
    /// Who needs a snapshot.
    pub wanted: BTreeMap<NodeId, WantedSnapshot>,
    /// How many snapshots took the place of a log.
    pub resets: u64,
    /// What happened, as text; `None` when nobody reads it.
    pub transcript: Option<Vec<String>>,
    next_payload: u64,
}

/// The settings that the stories use: round numbers, far apart.
pub fn config(id: NodeId, seed: u64) -> Config {
    Config {
        id,
        election_timeout_min: Duration::from_millis(1000),
        election_timeout_max: Duration::from_millis(2000),
        heartbeat_interval: Duration::from_millis(100),
        append_bytes_max: 1000,
        append_entries_max: 100,
        inflight_appends_max: 4,
        inflight_bytes_max: 2000,
        lease: None,
        seed,
    }
}

pub fn node(id: u64) -> NodeId {
    NodeId::new(id)
}

pub fn index(index: u64) -> Index {
    Index::new(index)
}

pub fn term(term: u64) -> Term {
    Term::new(term)
}

pub fn entry(index: u64, term: u64) -> EntryId {
    EntryId::new(Term::new(term), Index::new(index))
}

/// The wish for these voters and learners.
pub fn target(voters: &[u64], learners: &[u64]) -> Target {
    let ids = |ids: &[u64]| ids.iter().copied().map(node).collect();
    Target { voters: ids(voters), learners: ids(learners), expected: None }
}

impl Cluster {
    /// Members 1 to `voters`, all started, with empty logs.
    pub fn new(voters: u64, seed: u64) -> Self {
        let membership = Membership::of_voters((1..=voters).map(node));
        let mut cluster = Self::with_membership(&membership, seed);
        cluster.start_all();
        cluster
    }

    /// Like `new`, with other settings.
    pub fn tuned(voters: u64, seed: u64, tune: impl Fn(&mut Config)) -> Self {
        let membership = Membership::of_voters((1..=voters).map(node));
        let mut cluster = Self::with_membership(&membership, seed);
        cluster.members.values_mut().for_each(|member| tune(&mut member.config));
        cluster.start_all();
        cluster
    }

    /// The members of a membership, none started.
    pub fn with_membership(membership: &Membership, seed: u64) -> Self {
        let members = membership.members().map(|id| {
            let config = config(id, seed.wrapping_mul(1000).wrapping_add(id.value()));
            (id, Member::new(config, membership.clone()))
        });
        Self {
            members: members.collect(),
            network: Vec::new(),
            now: Instant::default(),
            checker: Checker::new(),
            cut: BTreeSet::new(),
            wanted: BTreeMap::new(),
            resets: 0,
            transcript: None,
            next_payload: 1,
        }
    }

    /// Nodes that belong to nobody yet, with the ids after those of all members; none started. What
    /// they are told of the cluster is how it began.
    pub fn add_spares(&mut self, count: u64, seed: u64) -> Vec<NodeId> {
        let (last, like) = self.members.last_key_value().expect("a cluster has members");
        let (last, like) = (last.value(), (like.config.clone(), like.membership.clone()));
        let ids: Vec<NodeId> = (last + 1..=last + count).map(node).collect();
        for &id in &ids {
            let seed = seed.wrapping_mul(1000).wrapping_add(id.value());
            let config = Config { id, seed, ..like.0.clone() };
            self.members.insert(id, Member::new(config, like.1.clone()));
        }
        ids
    }

    /// Gives a member that has not started a durable state: its term and the terms of its entries.
    /// Equal entries of two members get equal payloads.
    pub fn prepare(&mut self, id: u64, hard_state: HardState, terms: &[u64]) {
        let member = self.members.get_mut(&node(id)).expect("a member");
        member.disk.hard_state = hard_state;
        let entries = terms.iter().zip(1..).map(|(&term, index): (&u64, u64)| Entry {
            term: Term::new(term),
            payload: 1_000_000 * term + index,
        });
        member.disk.entries = entries.collect();
    }

    pub fn start_all(&mut self) {
        let ids: Vec<NodeId> = self.members.keys().copied().collect();
        for id in ids {
            self.start(id);
        }
    }

    pub fn start(&mut self, id: NodeId) {
        let now = self.now_of(id);
        self.member(id).start(now);
        self.checker.on_start(id);
        self.drain(id, &[]);
    }

    pub fn crash(&mut self, id: NodeId, writes_kept: usize) {
        self.member(id).crash(writes_kept);
        self.wanted.remove(&id);
        self.checker.on_crash(id);
    }

    /// What the clock of a member shows.
    fn now_of(&self, id: NodeId) -> Instant {
        self.members[&id].clock.at(self.now)
    }

    pub fn member(&mut self, id: NodeId) -> &mut Member {
        self.members.get_mut(&id).expect("a member")
    }

    pub fn is_up(&self, id: NodeId) -> bool {
        self.members[&id].raft.is_some()
    }

    /// Whether a member runs and waits for a deadline.
    pub fn is_waiting(&self, id: NodeId) -> bool {
        self.members[&id].raft.as_ref().is_some_and(|raft| raft.deadline() < Instant::NEVER)
    }

    pub fn up(&self) -> Vec<NodeId> {
        self.members.keys().copied().filter(|&id| self.is_up(id)).collect()
    }

    /// One input, and everything that follows from it at this member.
    pub fn input(&mut self, id: NodeId, input: Input) {
        self.input_with(id, input, &[]);
    }

    fn input_with(&mut self, id: NodeId, input: Input, payloads: &[u64]) {
        let now = self.now_of(id);
        let Some(before) = self.member(id).snapshot() else { return };
        self.member(id).step(now, input);
        self.member(id).check(&before);
        self.drain(id, payloads);
    }

    /// Proposes `count` entries; says whether this member takes them.
    pub fn propose(&mut self, id: NodeId, count: u64) -> bool {
        let now = self.now_of(id);
        let first = self.next_payload;
        let payloads: Vec<u64> = (first..first + count).collect();
        let Some(raft) = &mut self.member(id).raft else { return false };
        let proposed = raft.propose(now, count);
        if let Err(error) = proposed {
            self.say(format!("{id} | refuses: {error}"));
            return false;
        }
        self.next_payload += count;
        self.drain(id, &payloads);
        true
    }

    /// A member hands its leadership over.
    pub fn transfer(&mut self, id: NodeId, to: Option<NodeId>) -> Option<NodeId> {
        let now = self.now_of(id);
        let to = self.member(id).raft.as_mut()?.transfer(now, to);
        match to {
            Ok(to) => self.say(format!("{id} | is to hand over to {to}")),
            Err(error) => self.say(format!("{id} | does not hand over: {error}")),
        }
        self.drain(id, &[]);
        to.ok()
    }

    /// A member takes a snapshot of all it knows to be committed, and forgets its log up to `base`.
    pub fn compact(&mut self, id: NodeId, base: usize) {
        if self.is_up(id) {
            self.member(id).compact(base);
            let base = self.raft(id).base();
            self.say(format!("{id} | its log begins after {base}"));
            self.drain(id, &[]);
        }
    }

    /// A member that needs a snapshot gets that of the leader it heard so from, or of somebody else
    /// who has one that will do. Says whether there was one.
    pub fn fetch(&mut self, id: NodeId) -> bool {
        let now = self.now;
        let Some(wanted) = self.wanted.remove(&id) else { return false };
        let from = self.members.iter().filter(|&(other, member)| {
            let reaches = u64::try_from(member.disk.snapshot.len()).expect("small");
            *other != id && wanted.last.index.value() <= reaches
        });
        let from = from.max_by_key(|&(other, _)| (*other == wanted.from, *other));
        let Some((&from, member)) = from else { return false };
        let (snapshot, membership) = (member.disk.snapshot.clone(), member.snapshot_membership());
        let Some(before) = self.member(id).snapshot() else { return false };
        let installed = self.member(id).install(now, &snapshot, membership);
        self.resets += u64::from(installed == Installed::Reset);
        self.say(format!("{id} < the snapshot of {from} up to {}: {installed:?}", snapshot.len()));
        self.member(id).check(&before);
        self.drain(id, &[]);
        true
    }

    /// A member is asked to change the membership.
    pub fn change(&mut self, id: NodeId, target: &Target) -> Result<EntryId, ChangeError> {
        let now = self.now;
        let raft = self.member(id).raft.as_mut().expect("the member runs");
        let changed = raft.change_membership(now, target).map(|proposed| proposed.first);
        match &changed {
            Ok(entry) => self.say(format!("{id} | begins a change with entry {entry}")),
            Err(error) => self.say(format!("{id} | does not change the membership: {error}")),
        }
        self.drain(id, &[]);
        changed
    }

    /// A read at a member.
    pub fn read(&mut self, id: NodeId) -> Option<ReadTicket> {
        let now = self.now_of(id);
        let ticket = self.member(id).raft.as_mut()?.read(now);
        self.checker.on_read(id, ticket);
        self.drain(id, &[]);
        Some(ticket)
    }

    /// Takes what a member has to say, and checks the promises of the cluster.
    fn drain(&mut self, id: NodeId, payloads: &[u64]) {
        let now = self.now_of(id);
        let commit_before = self.checker.commit_of(id);
        let output = self.member(id).drain(now, payloads);
        if self.transcript.is_some() {
            self.describe(id, &output);
        }
        let Output { packets, reads, events, wanted, .. } = output;
        if let Some(wanted) = wanted {
            self.wanted.insert(id, wanted);
        }
        for packet in packets {
            let link = (packet.envelope.from, packet.envelope.to);
            if !self.cut.contains(&link) {
                self.network.push(packet);
            }
        }
        for event in &events {
            assert!(
                !matches!(event, Event::PeerMisbehaved { .. }) || self.checker.is_forging,
                "nobody here misbehaves: {event:?}"
            );
        }
        self.checker.check(&self.members, id, &reads);
        let commit = self.checker.commit_of(id);
        if commit_before < commit {
            self.say(format!("{id} | commits up to {commit}"));
        }
    }

    fn describe(&mut self, id: NodeId, output: &Output) {
        for event in &output.events {
            self.say(format!("{id} | {}", render::event(event)));
        }
        for write in &output.writes {
            self.say(format!("{id} # {}", render::write(write)));
        }
        for packet in &output.packets {
            let (from, to) = (packet.envelope.from, packet.envelope.to);
            let lost = if self.cut.contains(&(from, to)) { " (lost)" } else { "" };
            self.say(format!("{}{lost}", render::envelope(&packet.envelope)));
        }
        for read in &output.reads {
            let number = self.checker.read_number(id, read.ticket);
            self.say(format!("{id} | reads up to number {number} may be served at {}", read.index));
        }
    }

    pub fn say(&mut self, line: String) {
        if let Some(lines) = &mut self.transcript {
            lines.push(line);
        }
    }

    /// Delivers the packet at a place of the network.
    pub fn deliver_at(&mut self, place: usize) {
        let packet = self.network.remove(place);
        self.deliver(packet);
    }

    pub fn deliver(&mut self, packet: Packet) {
        let to = packet.envelope.to;
        if !self.is_up(to) {
            return;
        }
        self.say(format!("{to} < {}", render::received(&packet.envelope)));
        self.input_with(to, Input::Receive(packet.envelope), &packet.payloads);
    }

    /// Makes the oldest `count` writes of a member durable, confirming the last one only.
    pub fn persist(&mut self, id: NodeId, count: usize) -> bool {
        let Some(receipt) = self.member(id).persist(count) else { return false };
        self.say(format!("{id} # durable"));
        self.input(id, Input::Persisted(receipt));
        true
    }

    /// Moves time to the deadline of a member and lets it time out.
    pub fn time_out(&mut self, id: NodeId) {
        let Some(raft) = &self.members[&id].raft else { return };
        let deadline = raft.deadline();
        assert!(deadline < Instant::NEVER, "{id} waits for nothing");
        self.now = self.now.max(self.members[&id].clock.when(deadline));
        self.input(id, Input::Timeout);
    }

    /// Lets time pass, with the timeouts that fall due.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some((deadline, id)) = self.next_deadline().filter(|&(due, _)| due <= end) {
            self.now = self.now.max(deadline);
            self.input(id, Input::Timeout);
            self.settle();
        }
        self.now = end;
    }

    pub fn next_deadline(&self) -> Option<(Instant, NodeId)> {
        let deadlines = self.members.iter().filter_map(|(&id, member)| {
            let deadline = member.raft.as_ref()?.deadline();
            (deadline < Instant::NEVER).then(|| (member.clock.when(deadline), id))
        });
        deadlines.min()
    }

    /// Disks and network work until nothing moves. No time passes.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            let ids = self.up();
            let mut has_moved = false;
            for id in ids {
                let count = self.members[&id].queue.len();
                has_moved |= self.persist(id, count);
                has_moved |= self.fetch(id);
            }
            if !self.network.is_empty() {
                self.deliver_at(0);
                has_moved = true;
            }
            if !has_moved {
                return;
            }
        }
        panic!("the cluster does not come to rest");
    }

    /// Makes `id` the leader: it times out first, and the others are told that their leader's
    /// connection broke, as they would be if it had crashed.
    pub fn elect(&mut self, id: u64) {
        let id = node(id);
        let others: Vec<NodeId> = self.up().into_iter().filter(|&other| other != id).collect();
        for _ in 0..20 {
            for &voter in &others {
                if let Some(leader) = self.raft(voter).leader() {
                    self.input(voter, Input::Disconnected(leader));
                }
            }
            self.time_out(id);
            self.settle();
            if self.raft(id).is_leader() {
                return;
            }
        }
        panic!("{id} is not elected");
    }

    pub fn raft(&self, id: NodeId) -> &quorate_raft::Raft {
        self.members[&id].raft.as_ref().expect("the member runs")
    }

    /// The newest leader.
    pub fn leader(&self) -> Option<NodeId> {
        let running = self.members.values().filter_map(|member| member.raft.as_ref());
        let leaders = running.filter(|raft| raft.role() == RoleName::Leader);
        leaders.max_by_key(|raft| raft.term()).map(quorate_raft::Raft::id)
    }

    /// The terms of a member's entries.
    pub fn terms(&self, id: u64) -> Vec<u64> {
        self.members[&node(id)].log.iter().map(|entry| entry.term.value()).collect()
    }

    /// Cuts all links between members of different groups.
    pub fn partition(&mut self, groups: &[Vec<NodeId>]) {
        self.cut.clear();
        let group_of = |id: NodeId| groups.iter().position(|group| group.contains(&id));
        for &from in self.members.keys() {
            for &to in self.members.keys() {
                if from != to && group_of(from) != group_of(to) {
                    self.cut.insert((from, to));
                }
            }
        }
        let cut = &self.cut;
        self.network.retain(|packet| !cut.contains(&(packet.envelope.from, packet.envelope.to)));
    }

    /// Drops everything under way that fits.
    pub fn drop_packets(&mut self, fits: impl Fn(&Envelope) -> bool) {
        self.network.retain(|packet| !fits(&packet.envelope));
    }

    /// A message that the test made up, with made-up payloads.
    pub fn forge(&mut self, from: u64, to: u64, term: u64, message: Message) {
        self.checker.is_forging = true;
        let mut count = 0;
        if let Message::Append(append) = &message {
            let counts = append.runs.iter().map(|run| run.count.min(1000));
            count = counts.sum();
        }
        let envelope = Envelope { from: node(from), to: node(to), term: Term::new(term), message };
        self.deliver(Packet { envelope, payloads: (0..count).map(|n| 9_000_000 + n).collect() });
    }
}
