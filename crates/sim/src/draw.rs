//! From a profile and a seed to a schedule: which faults there are in a run, how often, and when.
//!
//! *Swarm*: each run draws for each kind of fault whether it occurs at all and how often. A run
//! with everything on reaches less than many runs with something on: crashes hide what only a long
//! quiet time shows.
//!
//! *What the cluster can survive* bounds the damage: only a minority of members, chosen once for a
//! run, has disks that lose what was synced. All others lose what was not synced, fail, fill up and
//! stall, as much as the run wants.

use crate::fault::{Fault, What};
use crate::kind::Kind;
use crate::profile::Profile;
use crate::queue::Time;
use crate::random::{MILLION, Random};
use crate::schedule::{Rates, Schedule, Settings, VERSION};

const SECOND: Time = 1_000_000;
const MILLISECOND: Time = 1000;
const YEAR: i64 = 365 * 24 * 3600 * 1_000_000;

/// How often a kind occurs: 0 not at all, 100 as often as it may.
type Intensity = u64;

/// Draws the schedule of `seed`.
pub(crate) fn draw(profile: &Profile, seed: u64, duration: Option<Time>) -> Schedule {
    let mut random = Random::new(seed, 1);
    let intensities: Vec<Intensity> =
        Kind::ALL.iter().map(|kind| profile.intensity(*kind, &mut random)).collect();
    let mut draw = Draw {
        intensities,
        settings: settings(profile, &mut random),
        random,
        faults: Vec::new(),
        victims: Vec::new(),
    };
    draw.settings.duration = duration.unwrap_or(profile.duration());
    draw_snapshots(&mut draw.settings, &mut Random::new(seed, 7));
    draw.choose_victims();
    let rates = draw.rates();
    for kind in Kind::ALL {
        draw.faults_of(*kind);
    }
    let Draw { settings, mut faults, .. } = draw;
    faults.sort_by_key(|fault| fault.at);
    Schedule {
        version: VERSION,
        profile: profile.name(),
        seed,
        settings,
        rates,
        recording: None,
        faults,
    }
}

/// A cluster and its clients, of a kind that somebody may run.
fn settings(profile: &Profile, random: &mut Random) -> Settings {
    let election_timeout = random.magnitude(300 * MILLISECOND, 1500 * MILLISECOND);
    let is_tight = random.below(4) == 0;
    // Tight limits let through one append a round trip: then round trips are short, or the clients
    // would ask for more than can be done.
    let slowest = if is_tight { 2 * MILLISECOND } else { election_timeout / 40 };
    let even = random.below(3) == 0;
    // Now and then a record has several sectors.
    let value_bytes =
        if random.below(8) == 0 { random.between(300, 2000) } else { random.magnitude(8, 200) };
    Settings {
        members: profile.members(random),
        clients: 4,
        duration: 0,
        election_timeout,
        heartbeat: election_timeout / random.between(4, 10),
        latency: random.magnitude(200, slowest),
        jitter: if even { 0 } else { random.magnitude(50, slowest) },
        even,
        in_order: random.below(3) == 0,
        disk: random.magnitude(50, slowest),
        death_is_noticed: random.below(4) > 0,
        operations: 25,
        outstanding: usize::try_from(random.magnitude(2, 16)).expect("small"),
        patience: random.magnitude(election_timeout, 8 * SECOND),
        keys: u16::try_from(random.magnitude(3, 60)).expect("small"),
        value_bytes: usize::try_from(value_bytes).expect("small"),
        // In a quarter of the runs the limits are so tight that they matter all the time.
        append_entries: if is_tight { random.between(1, 4) } else { 4096 },
        append_bytes: if is_tight { random.magnitude(1, 600) } else { 1 << 20 },
        inflight: usize::try_from(if is_tight { random.between(1, 3) } else { 16 }).expect("small"),
        segment_bytes: random.magnitude(8 << 10, 8 << 20),
        cache_bytes: random.magnitude(1 << 9, 1 << 22),
        proposals: if is_tight { random.between(2, 20) } else { 16 << 10 },
        snapshot_bytes: 0,
        trailing_bytes: 0,
        wiped_return: false,
    }
}

/// In most runs members take snapshots, many of them or few. Whole segments go behind them, so
/// these are small then.
fn draw_snapshots(settings: &mut Settings, random: &mut Random) {
    if random.below(4) == 0 {
        return;
    }
    settings.snapshot_bytes = random.magnitude(4 << 10, 512 << 10);
    settings.trailing_bytes = match random.below(3) {
        0 => 0,
        _ => random.magnitude(1, settings.snapshot_bytes),
    };
    let segment_bytes = random.magnitude(2 << 10, settings.snapshot_bytes);
    settings.segment_bytes = settings.segment_bytes.min(segment_bytes);
}

struct Draw {
    random: Random,
    intensities: Vec<Intensity>,
    settings: Settings,
    faults: Vec<Fault>,
    /// Members whose disks may lose what was synced: a minority.
    victims: Vec<usize>,
}

impl Draw {
    fn intensity(&self, kind: Kind) -> Intensity {
        self.intensities[kind.place()]
    }

    fn choose_victims(&mut self) {
        let members = self.settings.members;
        let most = (members - 1) / 2;
        let mut all: Vec<usize> = (1..=members).collect();
        while self.victims.len() < most {
            let place = self.random.place(all.len());
            self.victims.push(all.swap_remove(place));
        }
    }

    fn rates(&mut self) -> Rates {
        let rate = |kind, at_most: u32| {
            let share = u32::try_from(self.intensity(kind)).expect("at most 100");
            at_most / 100 * share
        };
        let rates = Rates {
            loss: rate(Kind::Loss, MILLION / 10 * 3),
            duplicate: rate(Kind::Duplicate, MILLION / 2),
            replay: rate(Kind::Replay, MILLION / 5),
            damage: rate(Kind::Damage, MILLION / 50),
            delay: rate(Kind::Jitter, MILLION / 20),
        };
        if self.intensity(Kind::Jitter) > 0 {
            self.settings.jitter += self.settings.latency * self.intensity(Kind::Jitter) / 10;
            self.settings.in_order = false;
            self.settings.even = false;
        }
        rates
    }

    /// Draws all faults of a kind.
    fn faults_of(&mut self, kind: Kind) {
        let intensity = self.intensity(kind);
        let Some(mean) = mean_interval(kind) else { return };
        if intensity == 0 {
            return;
        }
        // Each kind has its own stream: what one draws does not move the others.
        let mut random = Random::new(self.random.next(), 2);
        let mut at = random.exponential(mean * 100 / intensity);
        while at < self.settings.duration {
            self.fault(kind, at, &mut random);
            at += random.exponential(mean * 100 / intensity).max(1);
        }
        if kind == Kind::DiskFull && random.below(2) == 0 {
            // So that they are full when the healing begins.
            let before = random.magnitude(1, self.settings.election_timeout * 4);
            let at = self.settings.duration.saturating_sub(before);
            self.fill_all(at, before + 1, &mut random);
        }
    }

    fn fault(&mut self, kind: Kind, at: Time, random: &mut Random) {
        let election = self.settings.election_timeout;
        let member = 1 + random.place(self.settings.members);
        let victim = if self.victims.is_empty() {
            0
        } else {
            self.victims[random.place(self.victims.len())]
        };
        let lasting = random.magnitude(election / 4, 20 * election);
        let salt = u32::try_from(random.below(1 << 32)).expect("32 bits");
        let what = match kind {
            Kind::Loss | Kind::Duplicate | Kind::Replay | Kind::Jitter | Kind::Damage => return,
            Kind::Clog => {
                let (from, to) = self.pair(random);
                What::Clog { from, to, lasting }
            }
            Kind::Partition => What::Cut { links: self.partition(random), lasting },
            Kind::OneWay => What::Cut { links: self.one_way(random), lasting },
            Kind::Partial => What::Cut { links: self.partial(random), lasting },
            Kind::Reset => {
                let (from, to) = self.pair(random);
                What::Reset { from, to }
            }
            Kind::Crash => {
                let steps = u32::try_from(random.magnitude(1, 64)).expect("small") - 1;
                What::Crash { member, steps, down: random.magnitude(1000, 8 * election), salt }
            }
            Kind::CrashAll => What::CrashAll { down: random.magnitude(1000, 4 * election), salt },
            Kind::CrashLoop => {
                for _ in 1..random.between(3, 10) {
                    let (after, steps) = (random.below(6 * election), random.below(16));
                    let steps = u32::try_from(steps).expect("small");
                    let down = random.magnitude(1000, election);
                    let salt = salt.wrapping_add(steps);
                    let what = What::Crash { member, steps, down, salt };
                    self.faults.push(Fault { at: at + after, what });
                }
                return;
            }
            Kind::CrashElected => What::CrashElected {
                times: u32::try_from(random.between(2, 8)).expect("small"),
                steps: u32::try_from(random.magnitude(1, 100)).expect("small"),
                down: random.magnitude(1000, 3 * election),
                salt,
            },
            Kind::CrashVoters => {
                let down = random.magnitude(1000, election);
                What::CrashVoters { down, lasting: random.magnitude(election, 6 * election), salt }
            }
            Kind::CutLeader => {
                let (deaf, dumb) =
                    [(true, true), (true, true), (true, false), (false, true)][random.place(4)];
                let (stopped, late) = (random.below(2) == 0, deaf && random.below(2) == 0);
                What::CutLeader { deaf, dumb, late, stopped, lasting }
            }
            Kind::Restart => What::Restart { member, down: random.magnitude(1000, 2 * election) },
            Kind::Transfer => {
                let lasting = if random.below(2) == 0 { 0 } else { election + lasting / 4 };
                What::Transfer { to: random.place(self.settings.members + 1), lasting }
            }
            Kind::Pause => What::Pause { member, lasting },
            Kind::SyncError => What::SyncError { member, salt },
            Kind::DiskFull if random.below(4) == 0 => {
                self.fill_all(at, lasting, random);
                return;
            }
            Kind::DiskFull => {
                self.then_crash(member, at, lasting, random);
                What::DiskFull { member, left: random.magnitude(1, 100_000), lasting }
            }
            Kind::SlowDisk => What::SlowDisk { member, factor: random.magnitude(2, 200), lasting },
            Kind::StalledDisk => What::SlowDisk { member, factor: 0, lasting },
            Kind::ClockJump => {
                let by = random.magnitude(1000, YEAR.unsigned_abs()).cast_signed();
                let by = if random.below(3) == 0 { -by } else { by };
                What::ClockJump { member, by }
            }
            Kind::ClockDrift => {
                let rate = random.between(500, 2000);
                What::ClockRate { member, rate, lasting: lasting * 4 }
            }
            Kind::ClockStop => What::ClockRate { member, rate: 0, lasting },
            Kind::Wipe | Kind::Rot | Kind::Unreadable | Kind::Misdirect | Kind::LostWrite
                if victim == 0 =>
            {
                return;
            }
            Kind::Wipe => What::Wipe { member: victim },
            Kind::Rot => What::Rot { member: victim, salt },
            Kind::Unreadable => What::Unreadable { member: victim, salt },
            Kind::Misdirect => What::Misdirect { member: victim, salt },
            Kind::LostWrite => What::LostWrite { member: victim, salt },
        };
        if kind.is_damage() {
            self.then_crash(victim, at, 10 * SECOND, random);
        }
        self.faults.push(Fault { at, what });
    }

    /// All disks are full at the same time.
    fn fill_all(&mut self, at: Time, lasting: Time, random: &mut Random) {
        for member in 1..=self.settings.members {
            let what = What::DiskFull { member, left: random.magnitude(1, 10_000), lasting };
            self.faults.push(Fault { at, what });
        }
    }

    /// What is wrong with a disk is often met only at the next start: often there is one soon.
    fn then_crash(&mut self, member: usize, at: Time, within: Time, random: &mut Random) {
        if random.below(3) == 0 {
            return;
        }
        let (at, salt) = (at + random.magnitude(1000, within), random.below(1 << 32));
        let salt = u32::try_from(salt).expect("32 bits");
        let what = What::Crash { member, steps: 0, down: random.magnitude(1000, SECOND), salt };
        self.faults.push(Fault { at, what });
    }

    fn pair(&self, random: &mut Random) -> (usize, usize) {
        let members = self.settings.members;
        let from = 1 + random.place(members);
        let to = 1 + random.place(members);
        (from, to)
    }

    /// All links between members whose groups do not hear each other.
    fn links(&self, is_cut: impl Fn(usize, usize) -> bool) -> Vec<(usize, usize)> {
        let members = self.settings.members;
        let pairs = (1..=members).flat_map(|from| (1..=members).map(move |to| (from, to)));
        pairs.filter(|&(from, to)| from != to && is_cut(from, to)).collect()
    }

    fn partition(&self, random: &mut Random) -> Vec<(usize, usize)> {
        let members = self.settings.members;
        let first = random.place(members);
        let place = move |member: usize| (member - 1 + first) % members;
        match random.below(4) {
            // One member alone.
            0 => self.links(|from, to| (place(from) == 0) != (place(to) == 0)),
            // A group of any size, and the rest.
            1 => {
                let size = 1 + random.place(members);
                self.links(|from, to| (place(from) < size) != (place(to) < size))
            }
            // Each with its neighbours only, so that every member hears a majority of its own.
            2 => {
                let reach = members / 4 + 1;
                self.links(|from, to| {
                    let apart = (place(from) + members - place(to)) % members;
                    apart.min(members - apart) > reach
                })
            }
            // Two groups with one bridge.
            _ => self.links(|from, to| {
                let (from, to) = (place(from), place(to));
                from != 0 && to != 0 && (from <= members / 2) != (to <= members / 2)
            }),
        }
    }

    fn one_way(&self, random: &mut Random) -> Vec<(usize, usize)> {
        let members = self.settings.members;
        let (first, size) = (random.place(members), 1 + random.place(members));
        let is_in = move |member: usize| (member - 1 + first) % members < size;
        self.links(|from, to| is_in(from) && !is_in(to))
    }

    fn partial(&self, random: &mut Random) -> Vec<(usize, usize)> {
        let share = u32::try_from(random.between(1, 7)).expect("small") * (MILLION / 10);
        let all = self.links(|_, _| true);
        all.into_iter().filter(|_| random.chance(share)).collect()
    }
}

/// How often a kind occurs at its highest intensity; none for what happens to single messages.
const fn mean_interval(kind: Kind) -> Option<Time> {
    let seconds = match kind {
        Kind::Loss | Kind::Duplicate | Kind::Replay | Kind::Jitter | Kind::Damage => return None,
        Kind::Reset => 2,
        Kind::Crash | Kind::Clog | Kind::Partial | Kind::Pause => 8,
        Kind::CutLeader => 10,
        Kind::Partition | Kind::OneWay | Kind::SlowDisk | Kind::ClockDrift | Kind::ClockStop => 12,
        Kind::CrashElected | Kind::CrashVoters | Kind::Transfer => 15,
        Kind::ClockJump | Kind::Restart | Kind::StalledDisk | Kind::SyncError => 20,
        Kind::CrashAll | Kind::CrashLoop | Kind::DiskFull => 40,
        Kind::Rot | Kind::Unreadable | Kind::Misdirect | Kind::LostWrite => 20,
        Kind::Wipe => 120,
    };
    Some(seconds * SECOND)
}
