//! A member as the world knows it: a process that comes and goes, and what outlives it.

use std::time::Duration;

use quorate_log::{Identity, MemDisk, Options, SyncJob};
use quorate_raft::{Config, Membership, NodeId, ReadTicket, Term};
use quorate_replica::{CheckPolicy, Replica, Setup, SnapshotJob, SnapshotPolicy, StateMachine};

use crate::clock::Clock;
use crate::machine::Machine;
use crate::queue::Time;
use crate::random::mix;
use crate::schedule::Settings;
use crate::watch::Durable;

/// A process, and what outlives it.
pub(crate) struct Member<M: StateMachine> {
    /// The process, while it runs.
    pub(crate) replica: Option<Replica<MemDisk, Machine<M>>>,
    /// Counts the processes.
    pub(crate) life: u32,
    pub(crate) disk: MemDisk,
    pub(crate) fitness: Fitness,
    /// How often its disk was damaged.
    pub(crate) damages: u32,
    pub(crate) clock: Clock,
    /// What is under way to the disk.
    pub(crate) job: Option<Job>,
    /// What is being done about snapshots: one job of each kind at most.
    pub(crate) shelf: Vec<ShelfJob>,
    /// Counts the jobs.
    pub(crate) jobs: u64,
    /// Stands still until then.
    pub(crate) paused_until: Time,
    /// When its timer is set to.
    pub(crate) timer_at: Option<Time>,
    /// Dies after so many more steps, and comes back after a time.
    pub(crate) crash_in: Option<Crash>,
    /// How many times as long the disk takes; 0: it does nothing.
    pub(crate) disk_factor: u64,
    /// When a disk that does nothing goes on.
    pub(crate) disk_until: Time,
    /// Linearizable reads that wait, in order of their tickets.
    pub(crate) readers: Vec<(ReadTicket, usize)>,
    /// The ticket that says when this life has caught up; none once it has.
    pub(crate) catching_up: Option<ReadTicket>,
    /// Serializable reads that wait for it.
    pub(crate) local_readers: Vec<usize>,
    /// The term and the last sequence that was forwarded in this life.
    pub(crate) forwarded: (Term, u64),
    /// The last term for which it stood since the leader called it.
    pub(crate) called: Term,
    /// What a full disk has left.
    pub(crate) space: Option<u64>,
    /// What its disk does wrong at the next start.
    pub(crate) fails_next: Option<u32>,
    /// It has written nothing since it started: its disk is looked at once it has, for it is then
    /// that what a crash left comes to light.
    pub(crate) is_fresh: bool,
    /// It fell far behind the others.
    pub(crate) is_behind: bool,
    /// The process cannot start again before then.
    pub(crate) down_until: Time,
}

/// Whether a member can still be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    /// Its disk keeps what was synced.
    Sound,
    /// Its disk may have lost something that was synced; if so, its log should refuse to open.
    Damaged,
    /// It is lost for good.
    Gone,
}

/// A write that is under way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) job: SyncJob<MemDisk>,
    pub(crate) number: u64,
    /// What is durable once it succeeds.
    pub(crate) covers: Durable,
}

/// Work on snapshots that is under way.
#[derive(Debug)]
pub(crate) struct ShelfJob {
    pub(crate) job: SnapshotJob<MemDisk>,
    pub(crate) number: u64,
}

/// A crash that is to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crash {
    pub(crate) steps: u32,
    pub(crate) down: Time,
    pub(crate) salt: u32,
}

impl<M: StateMachine> Member<M> {
    pub(crate) fn new() -> Self {
        Self {
            replica: None,
            life: 0,
            disk: MemDisk::unrecorded(),
            fitness: Fitness::Sound,
            damages: 0,
            clock: Clock::new(),
            job: None,
            shelf: Vec::new(),
            jobs: 0,
            paused_until: 0,
            timer_at: None,
            crash_in: None,
            disk_factor: 1,
            disk_until: 0,
            readers: Vec::new(),
            catching_up: None,
            local_readers: Vec::new(),
            forwarded: (Term::ZERO, 0),
            called: Term::ZERO,
            space: None,
            fails_next: None,
            is_fresh: true,
            is_behind: false,
            down_until: 0,
        }
    }

    /// Forgets all that a process had in its memory.
    pub(crate) fn forget(&mut self) {
        self.replica = None;
        self.job = None;
        self.shelf.clear();
        self.timer_at = None;
        self.crash_in = None;
        self.readers.clear();
        self.catching_up = None;
        self.local_readers.clear();
        self.paused_until = 0;
        self.forwarded = (Term::ZERO, 0);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.replica.is_some()
    }

    /// Whether it leads, as far as it knows.
    pub(crate) fn is_leader(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.raft().is_leader())
    }
}

/// The id of the member at a place.
pub(crate) fn id(member: usize) -> NodeId {
    NodeId::new(u64::try_from(member).expect("members are few") + 1)
}

/// The settings of one life of a member.
pub(crate) fn setup(settings: &Settings, seed: u64, member: usize, life: u32) -> Setup {
    let id = id(member);
    let random = mix(seed ^ mix(id.value() << 32 | u64::from(life)));
    let ahead = (settings.segment_bytes / 4).clamp(1 << 10, 64 << 10);
    Setup {
        identity: Identity { cluster: 7, member: id.value() },
        raft: Config {
            id,
            election_timeout_min: Duration::from_micros(settings.election_timeout),
            election_timeout_max: Duration::from_micros(settings.election_timeout * 2),
            heartbeat_interval: Duration::from_micros(settings.heartbeat),
            append_bytes_max: settings.append_bytes,
            append_entries_max: settings.append_entries,
            inflight_appends_max: settings.inflight,
            inflight_bytes_max: settings.append_bytes.saturating_mul(4),
            lease: None,
            seed: random,
        },
        log: Options {
            segment_bytes: settings.segment_bytes,
            cache_bytes: settings.cache_bytes,
            ahead_bytes: ahead,
            reserve_bytes: ahead / 4,
        },
        snapshots: SnapshotPolicy {
            log_bytes: if settings.snapshot_bytes == 0 {
                u64::MAX
            } else {
                settings.snapshot_bytes
            },
            trailing_bytes: settings.trailing_bytes,
        },
        checks: CheckPolicy { entries: 30, bytes: 16 << 10 },
        bootstrap: Membership::of_voters((0..settings.members).map(self::id)).into(),
        origin: mix(random),
        proposals_max: settings.proposals,
        proposal_bytes_max: 1 << 24,
    }
}
