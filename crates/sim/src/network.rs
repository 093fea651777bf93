//! The network between members: what becomes of each message.
//!
//! A link leads from one member to another. A message may be lost, doubled, delayed, damaged, held
//! back by a clogged link, or cut off; an old one may arrive again. In order or not, as the
//! schedule says: connections keep order in practice, but nothing may depend on it.

use quorate_raft::Message;
use quorate_replica::{Body, PeerMessage};

use crate::marks::{Mark, Marks};
use crate::queue::Time;
use crate::random::Random;
use crate::schedule::{Rates, Settings};

/// Old messages that are remembered, to arrive again.
const REMEMBERED: usize = 128;

/// How many times as long a delayed message takes.
const DELAY_FACTOR: u64 = 40;

#[derive(Debug)]
pub(crate) struct Network {
    members: usize,
    links: Vec<Link>,
    rates: Rates,
    latency: Time,
    jitter: Time,
    even: bool,
    in_order: bool,
    random: Random,
    /// Messages that were sent, each with the life of its receiver then.
    old: Vec<(PeerMessage, u32)>,
    next_old: usize,
}

#[derive(Clone, Debug)]
struct Link {
    /// How many faults cut it.
    cuts: u32,
    clogged_until: Time,
    /// When the last message arrives that was sent on it.
    last_arrival: Time,
    /// Rises when the connection breaks: what was on its way then never arrives.
    connection: u32,
    /// No faults any more.
    is_healed: bool,
    latency: Time,
}

/// What is to arrive.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Time,
    pub(crate) message: PeerMessage,
    /// The connection that it came on; none for an old message out of nowhere.
    pub(crate) connection: Option<u32>,
    /// The life of the receiver when it was sent.
    pub(crate) life: u32,
}

/// What becomes of a message besides its arrival.
#[derive(Debug)]
pub(crate) enum Fate {
    /// What arrives of it arrives as it was sent.
    Sent,
    /// Some of its bits flip on the way.
    Damaged(PeerMessage),
}

impl Network {
    pub(crate) fn new(settings: &Settings, rates: Rates, seed: u64) -> Self {
        let mut random = Random::new(seed, 3);
        let latency = settings.latency;
        let link = |latency| Link {
            cuts: 0,
            clogged_until: 0,
            last_arrival: 0,
            connection: 0,
            is_healed: false,
            latency,
        };
        let links = (0..settings.members * settings.members)
            .map(|_| link(if settings.even { latency } else { latency + random.below(latency) }))
            .collect();
        Self {
            members: settings.members,
            links,
            rates,
            latency,
            jitter: settings.jitter,
            even: settings.even,
            in_order: settings.in_order,
            random,
            old: Vec::new(),
            next_old: 0,
        }
    }

    fn link(&mut self, from: usize, to: usize) -> &mut Link {
        &mut self.links[from * self.members + to]
    }

    /// How long a message takes when nothing is in its way.
    pub(crate) fn latency(&self) -> Time {
        self.latency
    }

    /// Cuts a link, or takes one cut back.
    pub(crate) fn cut(&mut self, from: usize, to: usize) {
        self.link(from, to).cuts += 1;
    }

    pub(crate) fn mend(&mut self, from: usize, to: usize) {
        let link = self.link(from, to);
        link.cuts = link.cuts.saturating_sub(1);
    }

    pub(crate) fn clog(&mut self, from: usize, to: usize, until: Time) {
        let link = self.link(from, to);
        link.clogged_until = link.clogged_until.max(until);
    }

    /// Breaks the connection in both directions.
    pub(crate) fn reset(&mut self, one: usize, other: usize) {
        self.link(one, other).connection += 1;
        self.link(other, one).connection += 1;
    }

    /// No faults on the links between these members from now on.
    pub(crate) fn heal(&mut self, members: &[usize]) {
        for from in members {
            for to in members {
                let link = self.link(*from, *to);
                link.cuts = 0;
                link.clogged_until = 0;
                link.is_healed = true;
            }
        }
    }

    /// Whether what is sent now could come through.
    pub(crate) fn is_open(&self, from: usize, to: usize) -> bool {
        self.links[from * self.members + to].cuts == 0
    }

    /// Whether what comes on this connection still comes through. What was under way when the link
    /// was cut does, an old message out of nowhere does not.
    pub(crate) fn arrives(&self, from: usize, to: usize, connection: Option<u32>) -> bool {
        let link = &self.links[from * self.members + to];
        connection.map_or(link.cuts == 0, |connection| connection == link.connection)
    }

    /// A message is sent: pushes what arrives of it.
    pub(crate) fn send(
        &mut self,
        now: Time,
        message: PeerMessage,
        life: u32,
        marks: &mut Marks,
        arrivals: &mut Vec<Arrival>,
    ) -> Fate {
        let (from, to) = (place(message.from.value()), place(message.to.value()));
        let mut link = self.links[from * self.members + to].clone();
        if link.is_healed {
            let more = if self.even { 0 } else { self.random.below(link.latency) };
            let at = now + link.latency + more;
            arrivals.push(Arrival { at, message, connection: Some(link.connection), life });
            return Fate::Sent;
        }
        self.remember(now, &message, life, arrivals);
        if link.cuts > 0 {
            marks.hit(Mark::CutOff);
            return Fate::Sent;
        }
        if self.random.chance(self.rates.loss) {
            marks.hit(Mark::Lost);
            return Fate::Sent;
        }
        if self.random.chance(self.rates.damage) {
            return Fate::Damaged(message);
        }
        if self.random.chance(self.rates.duplicate) {
            marks.hit(Mark::Doubled);
            let at = now + self.travel(&link);
            let (message, connection) = (message.clone(), Some(link.connection));
            arrivals.push(Arrival { at, message, connection, life });
        }
        let mut at = now + self.travel(&link);
        if now < link.clogged_until {
            at = at.max(link.clogged_until);
            marks.hit(Mark::Clogged);
        }
        if at < link.last_arrival {
            if self.in_order {
                at = link.last_arrival;
            } else {
                marks.hit(Mark::Overtaken);
            }
        }
        link.last_arrival = link.last_arrival.max(at);
        let connection = Some(link.connection);
        self.links[from * self.members + to] = link;
        arrivals.push(Arrival { at, message, connection, life });
        Fate::Sent
    }

    fn travel(&mut self, link: &Link) -> Time {
        let time = link.latency + self.random.exponential(self.jitter);
        if self.random.chance(self.rates.delay) { time * DELAY_FACTOR } else { time }
    }

    /// Keeps a message, and now and then lets an older one arrive once more.
    fn remember(
        &mut self,
        now: Time,
        message: &PeerMessage,
        life: u32,
        arrivals: &mut Vec<Arrival>,
    ) {
        if self.rates.replay == 0 {
            return;
        }
        if self.random.chance(self.rates.replay) && !self.old.is_empty() {
            let which = self.random.place(self.old.len());
            let (message, life) = self.old[which].clone();
            let (from, to) = (place(message.from.value()), place(message.to.value()));
            if !self.links[from * self.members + to].is_healed {
                let at = now + self.random.exponential(self.latency * 4);
                arrivals.push(Arrival { at, message, connection: None, life });
            }
        }
        // Most are forgotten at once, so that those kept are of all ages. Few messages confirm
        // reads, so more of these are kept.
        let is_rare = matches!(message.body, Body::Raft(Message::ReadIndexReply { .. }));
        if self.random.below(if is_rare { 2 } else { 8 }) > 0 {
            return;
        }
        if self.old.len() < REMEMBERED {
            self.old.push((message.clone(), life));
        } else {
            self.next_old = self.random.place(REMEMBERED);
            self.old[self.next_old] = (message.clone(), life);
        }
    }
}

/// The place of a member.
pub(crate) fn place(id: u64) -> usize {
    usize::try_from(id - 1).expect("members are few")
}
