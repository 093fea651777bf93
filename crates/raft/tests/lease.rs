//! Leases under random faults and with bad clocks: within the stated bound no read is ever stale,
//! beyond it some are.
//!
//! A run is its seed. A failure names it.

mod rig;

use std::time::Duration;

use quorate_raft::{Input, Instant, LeaseConfig, NodeId};

use rig::dice::{Dice, Seed};
use rig::{Cluster, node};

/// The leases of these runs, but for the drift: most of the election timeout of a second.
const DURATION: Duration = Duration::from_millis(800);

const STEPS: usize = 300;

/// What is wrong with the clocks of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clocks {
    /// They run at rates of their own, at most so many thousandths apart.
    Drift(usize),
    /// Each jumps ahead at times, by a tenth of the duration at most in each promise's time.
    Leap,
    /// They jump back at times, by up to half a second.
    Fall,
}

/// How much the runs of a test achieved: a test in which nothing happens proves nothing.
#[derive(Debug, Default)]
struct Achieved {
    committed: usize,
    served: u64,
    by_lease: u64,
    terms: u64,
    /// Seeds with a stale read.
    stale: Vec<u64>,
}

struct World {
    cluster: Cluster,
    dice: Dice,
    all: Vec<NodeId>,
    clocks: Clocks,
    /// Of a hundred messages, how many are lost.
    loss: usize,
    /// When a clock last jumped ahead.
    leapt_at: Instant,
    by_lease: u64,
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl World {
    fn new(voters: u64, seed: u64, clocks: Clocks, lease: LeaseConfig) -> Self {
        let mut dice = Dice(seed.wrapping_mul(104_729) + voters);
        let mut cluster = Cluster::tuned(voters, seed, |config| config.lease = Some(lease));
        let all: Vec<NodeId> = (1..=voters).map(node).collect();
        if let Clocks::Drift(apart) = clocks {
            for &id in &all {
                let rate = 1000 + dice.count(apart + 1) - 1;
                cluster.member(id).clock.run_at(Instant::default(), rate);
            }
        }
        let loss = [0, 5, 20][dice.roll(3)];
        let leapt_at = Instant::default();
        Self { cluster, dice, all, clocks, loss, leapt_at, by_lease: 0 }
    }

    /// A read, and whether it was confirmed without a message: by a lease.
    fn read(&mut self, id: NodeId) {
        let before = self.cluster.checker.served;
        if self.cluster.read(id).is_some() {
            self.by_lease += self.cluster.checker.served - before;
        }
    }

    /// Time passes; most members look at their clocks, disks write, and of the messages most
    /// arrive, the others later or never.
    fn pass(&mut self) {
        let duration = milliseconds(self.dice.count(30));
        self.cluster.now = self.cluster.now.after(duration);
        for id in self.cluster.up() {
            if self.dice.roll(8) != 0 {
                self.cluster.input(id, Input::Timeout);
            }
            if self.dice.roll(4) != 0 {
                self.cluster.persist(id, 9);
            }
        }
        for packet in std::mem::take(&mut self.cluster.network) {
            match self.dice.roll(100) {
                percent if percent < self.loss => {}
                percent if percent < 75 => self.cluster.deliver(packet),
                _ => self.cluster.network.push(packet),
            }
        }
    }

    fn disturb_a_clock(&mut self) {
        let (id, now) = (self.dice.pick(&self.all), self.cluster.now);
        match self.clocks {
            Clocks::Drift(_) => {}
            Clocks::Leap if DURATION * 2 < now.since(self.leapt_at) => {
                self.leapt_at = now;
                let ahead = milliseconds(self.dice.count(80));
                self.cluster.member(id).clock.leap(now, ahead);
            }
            Clocks::Leap => {}
            Clocks::Fall => {
                let back = milliseconds(self.dice.count(500));
                self.cluster.member(id).clock.fall(now, back);
            }
        }
    }

    /// Time passes, and one thing happens.
    fn step(&mut self) {
        self.pass();
        let id = self.dice.pick(&self.all);
        match self.dice.roll(100) {
            0..20 => {
                let id = self.cluster.leader().unwrap_or(id);
                self.cluster.propose(id, 1);
            }
            20..40 => self.read(id),
            40..43 => self.isolate_a_leader(),
            43 if self.cluster.is_up(id) => self.cluster.crash(id, 1),
            44..54 if !self.cluster.is_up(id) => self.cluster.start(id),
            54 => self.hand_over(id),
            55..58 => self.disturb_a_clock(),
            58..68 => self.cluster.cut.clear(),
            68 => self.disconnect(id),
            _ => {}
        }
    }

    fn hand_over(&mut self, id: NodeId) {
        if let Some(leader) = self.cluster.leader() {
            self.cluster.transfer(leader, (leader != id).then_some(id));
        }
    }

    /// Somebody's connection to its leader breaks.
    fn disconnect(&mut self, id: NodeId) {
        if self.cluster.is_up(id)
            && let Some(leader) = self.cluster.raft(id).leader().filter(|&leader| leader != id)
        {
            self.cluster.input(id, Input::Disconnected(leader));
        }
    }

    /// A leader is cut off and does not know it, though what was sent to it before still comes. The
    /// others notice at once, elect another, and commit; all the while it is asked to read.
    fn isolate_a_leader(&mut self) {
        let Some(leader) = self.cluster.leader() else { return };
        for &other in &self.all {
            self.cluster.cut.extend([(leader, other), (other, leader)]);
            if other != leader && self.cluster.is_up(other) {
                self.cluster.input(other, Input::Disconnected(leader));
            }
        }
        for _ in 0..80 {
            self.pass();
            match self.dice.roll(8) {
                0 => {
                    let newest = self.cluster.leader().unwrap_or(leader);
                    self.cluster.propose(newest, 1);
                }
                1 => self.disturb_a_clock(),
                2..5 => self.read(leader),
                _ => {}
            }
        }
    }
}

fn run(seed: u64, clocks: Clocks, lease: LeaseConfig, tolerant: bool, achieved: &mut Achieved) {
    let guard = Seed(seed);
    let voters = [3, 3, 5][usize::try_from(seed % 3).expect("small")];
    let mut world = World::new(voters, seed, clocks, lease);
    world.cluster.checker.stale = tolerant.then_some(0);
    for _ in 0..STEPS {
        world.step();
    }
    let checker = &world.cluster.checker;
    achieved.committed += checker.committed.len();
    achieved.served += checker.served;
    achieved.by_lease += world.by_lease;
    if checker.stale.is_some_and(|stale| 0 < stale) {
        achieved.stale.push(seed);
    }
    let newest = world.cluster.up().into_iter().map(|id| world.cluster.raft(id).term().value());
    achieved.terms += newest.max().unwrap_or(0);
    drop(guard);
}

fn lease(clock_drift_max: u32) -> LeaseConfig {
    LeaseConfig { duration: DURATION, clock_drift_max }
}

#[test]
fn reads_are_linearizable_while_clocks_keep_the_bound() {
    for clocks in [Clocks::Drift(100), Clocks::Leap, Clocks::Fall] {
        let mut achieved = Achieved::default();
        for seed in 0..60 {
            run(seed, clocks, lease(100), false, &mut achieved);
        }
        assert!(800 < achieved.committed, "{clocks:?}: {achieved:?}");
        assert!(500 < achieved.by_lease, "{clocks:?}: {achieved:?}");
        assert!(120 < achieved.terms, "{clocks:?}: {achieved:?}");
    }
}

/// The same faults with clocks that drift by more than is configured.
#[test]
fn the_bound_is_needed() {
    let mut achieved = Achieved::default();
    for seed in 0..60 {
        run(seed, Clocks::Drift(1000), lease(10), true, &mut achieved);
    }
    assert!(!achieved.stale.is_empty(), "{achieved:?}");
}
