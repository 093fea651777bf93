//! One partition, from a calm cluster to its healing.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate_replica::StateMachine;

use super::digraph::Digraph;
use crate::fault::{Fault, What};
use crate::profile::Profile;
use crate::queue::Time;
use crate::random::Random;
use crate::schedule::{Schedule, Settings};
use crate::store_workload::StoreWorkload;
use crate::violation::Violation;
use crate::world::{Event, World};

/// The longest election timeout: the unit of the times here.
pub(super) const TIMEOUT: Time = 400_000;

/// Within how many of them there is a leader, where one is promised.
const LEADER_WITHIN: Time = 10;

/// After how many of them terms have come to rest.
const SETTLED_AFTER: Time = 20;

/// How long the members have to come to the same state when all links are open again.
const CONVERGENCE_MAX: Time = 60_000_000;

/// Longer than anything here.
const FOR_EVER: Time = 100 * 3_600_000_000;

/// How messages travel, and what is noticed of a cut.
#[derive(Clone, Copy, Debug)]
pub(super) enum Manner {
    /// Messages are quick and stay in order; cut links are silent.
    Near,
    /// Messages take up to a tenth of an election timeout and more, and overtake one another.
    Far,
    /// Messages are quick, and both ends notice that their connection broke.
    Noticed,
    /// Messages are quick, and clients ask for nothing until the last quarter of the time. So all
    /// logs are the same, and no log that is behind keeps a member from deposing a leader.
    Quiet,
}

impl Manner {
    pub(super) const ALL: [Self; 4] = [Self::Near, Self::Far, Self::Noticed, Self::Quiet];
}

/// A digraph to be tried. Its first member is whoever leads when the first links are cut.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// What comes before it, one after the other, each for a time.
    pub(super) unrest: Vec<(Digraph, Time)>,
    pub(super) digraph: Digraph,
    pub(super) manner: Manner,
    pub(super) seed: u64,
    /// How long it is looked at, in election timeouts.
    pub(super) lasting: Time,
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// When there was no leader with a majority for the last time, counted from the cut.
    pub(super) leaderless: Time,
    /// Whether there was one in the end.
    pub(super) is_led: bool,
    /// Whether somebody was connected to a majority whose logs were not ahead of its own.
    pub(super) is_electable: bool,
    /// By how much the highest term rose from the cut until terms were to come to rest.
    pub(super) terms_before: u64,
    /// By how much it rose from then on.
    pub(super) terms_after: u64,
    /// Entries committed in the last quarter.
    pub(super) committed: u64,
    /// How long the members took to come to the same state.
    pub(super) healed: Time,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unrest, digraph, manner, seed, lasting: _ } = self;
        write!(f, "{name} ({manner:?}, seed {seed}): ")?;
        for (before, lasting) in unrest {
            write!(f, "{before} for {lasting} us, then ")?;
        }
        write!(f, "{digraph}")
    }
}

impl Case {
    /// Runs it. The error says who saw what, and has the schedule with which it can be run again.
    pub(super) fn run(&self) -> Result<Seen, String> {
        let mut world = World::new(StoreWorkload::default(), self.schedule(), None, 0);
        let seen = catch_unwind(AssertUnwindSafe(|| self.observe(&mut world)));
        let failure = match seen {
            Ok(Ok(seen)) => return Ok(seen),
            Ok(Err(failure)) => failure,
            Err(payload) => match payload.downcast_ref::<Violation>() {
                Some(Violation { checker, message }) => format!("{checker}: {message}"),
                None => "a panic, told above".to_owned(),
            },
        };
        let mut schedule = world.schedule.clone();
        // It can be run again up to here; the healing that a run ends with comes after it.
        schedule.settings.duration = world.now + 1;
        Err(format!("{self}\n{failure}\n{}", schedule.to_text()))
    }

    /// A calm cluster.
    fn schedule(&self) -> Schedule {
        let schedule = Schedule::draw(&Profile::Calm, self.seed, Some(FOR_EVER));
        let election_timeout = TIMEOUT / 2;
        let (latency, jitter, in_order) = match self.manner {
            Manner::Near | Manner::Noticed | Manner::Quiet => (1000, 100, true),
            Manner::Far => (election_timeout / 20, election_timeout / 40, false),
        };
        let settings = Settings {
            members: self.digraph.members,
            clients: if self.lasting > 100 { 1 } else { 2 },
            election_timeout,
            heartbeat: election_timeout / 4,
            latency,
            jitter,
            in_order,
            disk: 500,
            operations: 5,
            patience: TIMEOUT,
            // A probe goes out again and again, with as many entries as there may be in it.
            append_entries: schedule.settings.append_entries.min(16),
            ..schedule.settings
        };
        Schedule { settings, ..schedule }
    }

    fn observe(&self, world: &mut World<StoreWorkload>) -> Result<Seen, String> {
        let mut random = Random::new(self.seed, 8);
        world.is_closing = matches!(self.manner, Manner::Quiet);
        let first = self.wait_for_leader(world, &mut random)?;
        let members = self.digraph.members;
        // The first member of a digraph leads; the others follow in a circle.
        let names: Vec<usize> = (0..members).map(|place| (place + first) % members).collect();
        for (digraph, lasting) in &self.unrest {
            self.cut(world, digraph.renamed(&names));
            world.run_until(world.now + lasting);
            self.mend(world);
        }
        let digraph = self.digraph.renamed(&names);
        self.cut(world, digraph);
        let seen = self.look_on(world, digraph)?;
        self.mend(world);
        self.heal(world, seen)
    }

    fn wait_for_leader(
        &self,
        world: &mut World<StoreWorkload>,
        random: &mut Random,
    ) -> Result<usize, String> {
        let start = 2 * TIMEOUT + random.below(TIMEOUT);
        for _ in 0..LEADER_WITHIN {
            world.run_until(world.now + start);
            if let Some(leader) = led(world) {
                return Ok(leader);
            }
        }
        Err("a calm cluster elects no leader".to_owned())
    }

    /// Cuts all links outside.
    fn cut(&self, world: &mut World<StoreWorkload>, digraph: Digraph) {
        let what = What::Cut { links: digraph.cut(), lasting: FOR_EVER };
        world.schedule.faults.push(Fault { at: world.now, what });
        world.inflict(world.schedule.faults.len() - 1);
        if let Manner::Noticed = self.manner {
            for (one, other) in digraph.pairs().filter(|(one, other)| one < other) {
                if !digraph.is_two_way(one, other) {
                    world.network.reset(one, other);
                    disconnect(world, one, other);
                    disconnect(world, other, one);
                }
            }
        }
    }

    /// Opens the links that were cut last.
    fn mend(&self, world: &mut World<StoreWorkload>) {
        let number = world.schedule.faults.len() - 1;
        world.relieve(number);
        let now = world.now;
        let fault = &mut world.schedule.faults[number];
        if let What::Cut { lasting, .. } = &mut fault.what {
            *lasting = now - fault.at;
        }
    }

    /// Looks at the cluster as it is now, and judges.
    fn look_on(&self, world: &mut World<StoreWorkload>, digraph: Digraph) -> Result<Seen, String> {
        let (start, term) = (world.now, highest_term(world));
        let mut seen = Seen::default();
        let (mut settled, mut committed) = (term, 0);
        let step = world.schedule.settings.heartbeat;
        for at in (0..self.lasting * TIMEOUT).step_by(usize::try_from(step).expect("small")) {
            if at <= SETTLED_AFTER * TIMEOUT {
                settled = highest_term(world);
            }
            if at <= self.lasting * TIMEOUT / 4 * 3 {
                committed = world.watch.commit().value();
            } else if std::mem::take(&mut world.is_closing) {
                for client in 0..world.clients.count() {
                    world.queue.push(world.now, Event::Begin { client });
                }
            }
            world.run_until(start + at + step);
            seen.is_led = led(world).is_some();
            if !seen.is_led {
                seen.leaderless = at + step;
            }
        }
        seen.is_electable = is_electable(world, digraph);
        seen.terms_before = settled - term;
        seen.terms_after = highest_term(world) - settled;
        seen.committed = world.watch.commit().value() - committed;
        self.judge(&seen).map_err(|failure| format!("{failure}\n{seen:?}"))?;
        Ok(seen)
    }

    /// Whether this may come of it.
    pub(super) fn judge(&self, seen: &Seen) -> Result<(), String> {
        let digraph = self.digraph;
        if seen.terms_after > 0 {
            return Err("terms do not come to rest".to_owned());
        }
        let terms = seen.terms_before + seen.terms_after;
        if self.unrest.is_empty() && digraph.is_hub(0) && (seen.leaderless > 0 || terms > 0) {
            return Err("a leader that a majority hears and answers was deposed".to_owned());
        }
        if digraph.has_quorum() {
            if !seen.is_led || seen.leaderless > LEADER_WITHIN * TIMEOUT {
                return Err("a majority is connected among itself, and is not led".to_owned());
            }
            if seen.committed < self.lasting / 20 {
                return Err("a majority is connected and led, but serves no writes".to_owned());
            }
        }
        if seen.is_electable && !seen.is_led {
            return Err(
                "a majority would vote for a member that asks it, and is not led".to_owned()
            );
        }
        if !digraph.has_hub() && seen.is_led {
            return Err("somebody leads who cannot ask a majority".to_owned());
        }
        Ok(())
    }

    /// All links are open: all members come to the same state.
    fn heal(&self, world: &mut World<StoreWorkload>, mut seen: Seen) -> Result<Seen, String> {
        let start = world.now;
        if let Manner::Noticed = self.manner {
            for (one, other) in self.digraph.pairs() {
                let at = start + world.network.latency() * 2;
                let life = world.members[one].life;
                world.queue.push(at, Event::Connected { member: one, peer: other, life });
            }
        }
        world.is_closing = true;
        while led(world).is_none() || world.clients.outstanding() > 0 || !agree(world) {
            world.run_until(world.now + 50_000);
            if world.now > start + CONVERGENCE_MAX {
                return Err("a minute after all links were opened the members differ".to_owned());
            }
        }
        seen.healed = world.now - start;
        // The checks that a run ends with.
        world.heal();
        world.run();
        Ok(seen)
    }
}

fn disconnect(world: &mut World<StoreWorkload>, member: usize, peer: usize) {
    let life = world.members[member].life;
    world.queue.push(world.now + 1, Event::Disconnected { member, peer, life });
}

/// The member that leads with a majority that follows it, if there is one.
fn led(world: &World<StoreWorkload>) -> Option<usize> {
    let rafts = || world.members.iter().map(|member| member.replica.as_ref().map(|r| r.raft()));
    (0..world.members.len()).find(|leader| {
        let Some(leader) = world.members[*leader].replica.as_ref().map(|r| r.raft()) else {
            return false;
        };
        let follows = rafts()
            .flatten()
            .filter(|raft| raft.term() == leader.term() && raft.leader() == Some(leader.id()));
        leader.is_leader() && follows.count() > world.members.len() / 2
    })
}

/// Whether a majority would vote for some member that it is connected to.
fn is_electable(world: &World<StoreWorkload>, digraph: Digraph) -> bool {
    let last = |member: usize| world.watch.seen[member].last;
    (0..digraph.members).any(|hub| {
        let votes = (0..digraph.members).filter(|voter| {
            *voter == hub || digraph.is_two_way(hub, *voter) && last(*voter) <= last(hub)
        });
        votes.count() >= digraph.quorum()
    })
}

/// The highest term of any member.
fn highest_term(world: &World<StoreWorkload>) -> u64 {
    world.watch.seen.iter().map(|seen| seen.term.value()).max().unwrap_or_default()
}

/// Whether all members have the same log and have applied all of it.
fn agree(world: &World<StoreWorkload>) -> bool {
    let mut states = world.members.iter().map(|member| {
        let replica = member.replica.as_ref()?;
        let (last, applied) = (replica.raft().last(), replica.applied());
        (last == applied).then(|| (last, replica.machine().digest()))
    });
    let Some(Some(first)) = states.next() else { return false };
    states.all(|state| state == Some(first))
}
