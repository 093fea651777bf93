//! The world: members, clients, links, disks and clocks, driven by one queue of events.
//!
//! One event happens at a time, and all that follows from it at once: a member is given it, its
//! effects are carried out, and the checkers look at it. Nothing in here depends on anything but
//! the schedule and the code under test, so the same schedule gives the same run, event by event.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use quorate_replica::PeerMessage;

use crate::ambush::Ambush;
use crate::clients::Clients;
use crate::describe::{Brief, State};
use crate::machine::Canon;
use crate::marks::{Mark, Marks};
use crate::member::Member;
use crate::network::{Arrival, Network, place};
use crate::queue::{Queue, Time};
use crate::random::Random;
use crate::schedule::Schedule;
use crate::trace::Trace;
use crate::violation::{Checker, demand, violated};
use crate::watch::Watch;
use crate::workload::Workload;

/// Events at one moment of time, after which the world stands still.
const MOMENT_EVENTS_MAX: u64 = 200_000;

/// How often the costly checkers look, in simulated time.
pub(crate) const LOOK_INTERVAL: Time = 60_000_000;

/// See the module.
pub(crate) struct World<W: Workload> {
    pub(crate) schedule: Schedule,
    pub(crate) now: Time,
    pub(crate) queue: Queue<Event>,
    pub(crate) members: Vec<Member<W::Machine>>,
    pub(crate) clients: Clients<W>,
    pub(crate) network: Network,
    pub(crate) watch: Watch,
    pub(crate) canon: Rc<RefCell<Canon>>,
    pub(crate) marks: Marks,
    pub(crate) trace: Trace,
    /// For what no other stream is for.
    pub(crate) random: Random,
    pub(crate) arrivals: Vec<Arrival>,
    /// The members that were healed, once they were.
    pub(crate) healing: Option<crate::heal::Healing>,
    /// The faults that wait for their moment.
    pub(crate) ambush: Ambush,
    pub(crate) is_over: bool,
    /// Clients begin no more operations.
    pub(crate) is_closing: bool,
}

/// Something that happens.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message arrives at a member, on a connection or out of nowhere.
    Arrive { message: PeerMessage, connection: Option<u32> },
    /// A member's timer may be due.
    Timer { member: usize },
    /// A member's disk is done with a job.
    Synced { member: usize, number: u64 },
    /// A member's disk is done with something about snapshots.
    SnapshotDone { member: usize, number: u64 },
    /// A process starts.
    Start { member: usize, life: u32 },
    /// A member learns that a connection was made.
    Connected { member: usize, peer: usize, life: u32 },
    /// A member learns that a connection broke.
    Disconnected { member: usize, peer: usize, life: u32 },
    /// A member goes on with what it could not do at once.
    Continue { member: usize, life: u32 },
    /// A fault of the schedule happens.
    Fault { number: usize },
    /// A fault of the schedule ends.
    FaultEnds { number: usize },
    /// A client begins its next operation.
    Begin { client: usize },
    /// An operation reaches a member.
    Ask { operation: usize, member: usize },
    /// An answer reaches its client.
    Answer { operation: usize },
    /// The client learns that its operation was not taken.
    Refuse { operation: usize },
    /// A client has waited long enough.
    GiveUp { operation: usize },
    /// The costly checkers look at a member.
    Look { member: usize },
    /// The faults are over: a quorum is healed.
    Heal,
    /// Whether the healing has led to what it must.
    CheckHealing,
}

impl<W: Workload> World<W> {
    /// The world at its beginning. `lines` takes the trace as text; its hash is kept after every
    /// `every` events, if that is not 0.
    pub(crate) fn new(
        workload: W,
        schedule: Schedule,
        lines: Option<Box<dyn io::Write>>,
        every: u64,
    ) -> Self {
        let settings = &schedule.settings;
        let (seed, members) = (schedule.seed, settings.members);
        let mut world = Self {
            now: 0,
            queue: Queue::new(),
            members: (0..members).map(|_| Member::new()).collect(),
            clients: Clients::new(workload, settings, seed),
            network: Network::new(settings, schedule.rates, seed),
            watch: Watch::new(members),
            canon: Rc::new(RefCell::new(Canon::default())),
            marks: Marks::default(),
            trace: Trace::new(lines, every),
            random: Random::new(seed, 4),
            arrivals: Vec::new(),
            healing: None,
            ambush: Ambush::default(),
            is_over: false,
            is_closing: false,
            schedule,
        };
        world.prepare();
        world
    }

    fn prepare(&mut self) {
        let duration = self.schedule.settings.duration;
        for member in 0..self.members.len() {
            let at = self.random.below(20_000);
            self.queue.push(at, Event::Start { member, life: 0 });
            let first = self.random.below(LOOK_INTERVAL);
            self.queue.push(first, Event::Look { member });
        }
        for client in 0..self.clients.count() {
            let at = self.clients.pause(client);
            self.queue.push(at, Event::Begin { client });
        }
        for (number, fault) in self.schedule.faults.iter().enumerate() {
            if fault.at < duration {
                self.queue.push(fault.at, Event::Fault { number });
            }
        }
        self.queue.push(duration, Event::Heal);
    }

    /// Runs to the end. Ends in a panic if a checker, or the code under test, finds fault.
    pub(crate) fn run(&mut self) {
        self.run_until(Time::MAX);
        self.finish();
    }

    /// Runs until a time, or the end.
    pub(crate) fn run_until(&mut self, end: Time) {
        let (mut moment, mut events) = (0, 0);
        while !self.is_over {
            let Some((at, event)) = self.queue.pop() else {
                violated(Checker::Liveness, "nothing is left to happen".to_owned());
            };
            if at > end {
                self.queue.push(at, event);
                self.now = end;
                return;
            }
            events = if at == moment { events + 1 } else { 0 };
            demand!(
                events < MOMENT_EVENTS_MAX,
                Liveness,
                "{events} events happen at one moment, and the world stands still"
            );
            moment = at;
            self.now = at;
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        let Some(event) = self.postpone(event) else { return };
        if let Event::Look { member } = event {
            // Looking changes nothing, so it is no event of the run.
            self.look(member);
            return;
        }
        self.begin(&event);
        let member = event.member();
        if let Some(member) = member {
            self.on_waking(member);
        }
        self.carry_out(event);
        if let Some(member) = member {
            self.note(member);
        }
        self.trace.end();
    }

    /// Puts off what a member that stands still cannot notice yet.
    fn postpone(&mut self, event: Event) -> Option<Event> {
        let Some(member) = event.member() else { return Some(event) };
        let until = self.members[member].paused_until;
        if until <= self.now || matches!(event, Event::Start { .. } | Event::Look { .. }) {
            return Some(event);
        }
        if let Event::Timer { .. } = event {
            if self.members[member].timer_at != Some(self.now) {
                return None;
            }
            self.members[member].timer_at = Some(until);
        }
        self.queue.push(until, event);
        None
    }

    /// The first event after a member stood still.
    fn on_waking(&mut self, member: usize) {
        if std::mem::take(&mut self.members[member].paused_until) == 0 {
            return;
        }
        let term = self.watch.seen[member].term;
        let is_deposed = self.watch.seen.iter().any(|seen| seen.is_leader && term < seen.term);
        if self.members[member].is_leader() && is_deposed {
            self.marks.hit(Mark::WokeDeposed);
        }
    }

    fn carry_out(&mut self, event: Event) {
        match event {
            Event::Arrive { message, connection } => self.arrive(message, connection),
            Event::Timer { member } => self.on_timer(member),
            Event::Synced { member, number } => self.on_synced(member, number),
            Event::SnapshotDone { member, number } => self.on_snapshot_done(member, number),
            Event::Start { member, life } => self.start(member, life),
            Event::Connected { member, peer, life } => self.on_connection(member, peer, life, true),
            Event::Disconnected { member, peer, life } => {
                self.on_connection(member, peer, life, false);
            }
            Event::Continue { member, life } => {
                if self.members[member].life == life {
                    self.settle(member);
                }
            }
            Event::Fault { number } => self.inflict(number),
            Event::FaultEnds { number } => self.relieve(number),
            Event::Begin { client } => self.begin_operation(client),
            Event::Ask { operation, member } => self.ask(operation, member),
            Event::Answer { operation } => {
                if !self.clients.answer(self.now, operation) {
                    self.marks.hit(Mark::AnswerTooLate);
                }
            }
            Event::Refuse { operation } => self.clients.refuse(operation),
            Event::GiveUp { operation } => {
                if self.clients.give_up(operation) {
                    self.marks.hit(Mark::ClientGaveUp);
                }
            }
            Event::Look { .. } => unreachable!("looking is no event of the run"),
            Event::Heal => self.heal(),
            Event::CheckHealing => self.check_healing(),
        }
    }

    fn arrive(&mut self, message: PeerMessage, connection: Option<u32>) {
        let (from, to) = (place(message.from.value()), place(message.to.value()));
        if !self.network.arrives(from, to, connection) {
            self.marks.hit(Mark::CutOff);
            return;
        }
        if connection.is_none() && message.term < self.watch.seen[to].term {
            self.marks.hit(Mark::ReplayedTerm);
        }
        let now = self.local(to);
        let Some(replica) = &mut self.members[to].replica else { return };
        replica.receive(now, message);
        self.settle(to);
    }

    fn on_timer(&mut self, member: usize) {
        if self.members[member].timer_at != Some(self.now) {
            return;
        }
        self.members[member].timer_at = None;
        let now = self.local(member);
        let Some(replica) = &mut self.members[member].replica else { return };
        if replica.deadline() <= now {
            replica.timeout(now);
            self.settle(member);
        } else {
            self.set_timer(member);
        }
    }

    fn on_connection(&mut self, member: usize, peer: usize, life: u32, is_made: bool) {
        let now = self.local(member);
        let peer = crate::member::id(peer);
        let here = &mut self.members[member];
        let Some(replica) = &mut here.replica else { return };
        if here.life != life {
            return;
        }
        if is_made {
            replica.connected(now, peer);
        } else {
            replica.disconnected(now, peer);
        }
        self.settle(member);
    }

    /// What a member takes for the time.
    pub(crate) fn local(&self, member: usize) -> quorate_raft::Instant {
        self.members[member].clock.now(self.now)
    }

    /// Begins the line of an event.
    fn begin(&mut self, event: &Event) {
        let member = event.member();
        let number = member.map_or(0, |member| member + 1);
        if self.trace.is_spoken() {
            let who = match (member, event) {
                (Some(_), _) => format!("m{number}"),
                (None, Event::Begin { client }) => format!("c{}", client + 1),
                (None, _) => "-".to_owned(),
            };
            let what = Brief { event, world: self };
            self.trace_line(&who, &what.to_string());
        } else {
            self.trace.begin(self.now, "", format_args!(""));
        }
        self.trace.add(event.code() << 8 | u64::try_from(number).expect("small"));
    }

    fn trace_line(&mut self, who: &str, what: &str) {
        self.trace.begin(self.now, who, format_args!("{what}"));
    }

    /// Takes the state of a member into the trace.
    fn note(&mut self, member: usize) {
        let Some(replica) = &self.members[member].replica else { return };
        let (raft, applied) = (replica.raft(), replica.applied());
        self.trace.add(raft.term().value() << 2 | crate::describe::role_code(raft.role()));
        self.trace.add(raft.last().index.value() << 32 | raft.commit().value());
        self.trace.add(applied.index.value());
        if self.trace.is_spoken() {
            let state = State { replica }.to_string();
            self.trace.say(format_args!(" | {state}"));
        }
    }
}

impl Event {
    /// The member that it happens at, if it is one.
    pub(crate) fn member(&self) -> Option<usize> {
        match self {
            Self::Arrive { message, .. } => Some(place(message.to.value())),
            Self::Timer { member }
            | Self::Synced { member, .. }
            | Self::SnapshotDone { member, .. }
            | Self::Start { member, .. }
            | Self::Connected { member, .. }
            | Self::Disconnected { member, .. }
            | Self::Continue { member, .. }
            | Self::Ask { member, .. }
            | Self::Look { member } => Some(*member),
            Self::Fault { .. }
            | Self::FaultEnds { .. }
            | Self::Begin { .. }
            | Self::Answer { .. }
            | Self::Refuse { .. }
            | Self::GiveUp { .. }
            | Self::Heal
            | Self::CheckHealing => None,
        }
    }

    /// A number for its kind.
    fn code(&self) -> u64 {
        match self {
            Self::Arrive { .. } => 1,
            Self::Timer { .. } => 2,
            Self::Synced { .. } => 3,
            Self::Start { .. } => 4,
            Self::Connected { .. } => 5,
            Self::Disconnected { .. } => 6,
            Self::Continue { .. } => 7,
            Self::Fault { .. } => 8,
            Self::FaultEnds { .. } => 9,
            Self::Begin { .. } => 10,
            Self::Ask { .. } => 11,
            Self::Answer { .. } => 12,
            Self::Refuse { .. } => 13,
            Self::GiveUp { .. } => 14,
            Self::Look { .. } => 15,
            Self::Heal => 16,
            Self::CheckHealing => 17,
            Self::SnapshotDone { .. } => 18,
        }
    }
}
