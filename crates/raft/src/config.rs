//! What a configuration and a restored state must satisfy, and the errors that say what does not.
//!
//! Both come from outside (a file, a disk), so nothing here panics: each error names its cause and
//! how to mend it.

use core::fmt;
use core::time::Duration;

use crate::lease::{CLOCK_DRIFT_LIMIT, LeaseConfig};
use crate::message::Run;
use crate::ready::{Config, Restored};
use crate::trail::Trail;
use crate::types::{EntryId, Index, Term};

/// The largest number that a term, an index or a count may have. Far from overflow, so that sums of
/// a few of them stay in range; what comes from a peer or a disk is checked against it.
pub(crate) const NUMBER_MAX: u64 = 1 << 62;

/// The longest election timeout that makes sense: a guard against a wrong unit.
const ELECTION_TIMEOUT_LIMIT: Duration = Duration::from_hours(1);

/// Why a configuration cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `heartbeat_interval` is zero.
    HeartbeatZero,
    /// `heartbeat_interval` is not below `election_timeout_min`.
    HeartbeatTooLong {
        /// The interval.
        heartbeat_interval: Duration,
        /// What it must stay below.
        election_timeout_min: Duration,
    },
    /// `election_timeout_max` is below `election_timeout_min`.
    ElectionTimeoutsSwapped {
        /// The shortest timeout.
        election_timeout_min: Duration,
        /// The longest timeout.
        election_timeout_max: Duration,
    },
    /// `election_timeout_max` is longer than an hour.
    ElectionTimeoutTooLong {
        /// The longest timeout.
        election_timeout_max: Duration,
    },
    /// The lease's `duration` is not above `heartbeat_interval`.
    LeaseTooShort {
        /// The duration.
        duration: Duration,
        /// What it must exceed.
        heartbeat_interval: Duration,
    },
    /// What a voter promises for a lease is not below `election_timeout_min`.
    LeaseTooLong {
        /// The promise: the lease's `duration` and the drift on top.
        support: Duration,
        /// What it must stay below.
        election_timeout_min: Duration,
    },
    /// The lease's `clock_drift_max` is above 1000 thousandths.
    ClockDriftTooLarge {
        /// The drift, in thousandths.
        clock_drift_max: u32,
    },
    /// A limit is zero, so that nothing could ever be sent.
    LimitZero {
        /// The name of the setting.
        setting: &'static str,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeartbeatZero => {
                write!(f, "heartbeat_interval is zero; set it to a tenth of election_timeout_min")
            }
            Self::HeartbeatTooLong { heartbeat_interval, election_timeout_min } => write!(
                f,
                "heartbeat_interval {heartbeat_interval:?} is not below election_timeout_min \
                 {election_timeout_min:?}, so followers would depose a healthy leader; set it to \
                 a tenth of election_timeout_min"
            ),
            Self::ElectionTimeoutsSwapped { election_timeout_min, election_timeout_max } => write!(
                f,
                "election_timeout_max {election_timeout_max:?} is below election_timeout_min \
                 {election_timeout_min:?}; set it to twice election_timeout_min"
            ),
            Self::ElectionTimeoutTooLong { election_timeout_max } => write!(
                f,
                "election_timeout_max {election_timeout_max:?} is above \
                 {ELECTION_TIMEOUT_LIMIT:?}; check its unit"
            ),
            Self::LeaseTooShort { duration, heartbeat_interval } => write!(
                f,
                "the lease's duration {duration:?} is not above heartbeat_interval \
                 {heartbeat_interval:?}, so it would end before it is renewed; set it to several \
                 of those"
            ),
            Self::LeaseTooLong { support, election_timeout_min } => write!(
                f,
                "the lease's duration with the clock drift on top is {support:?}, not below \
                 election_timeout_min {election_timeout_min:?}, so voters would still be bound \
                 when an election is due; lower it, or raise election_timeout_min"
            ),
            Self::ClockDriftTooLarge { clock_drift_max } => write!(
                f,
                "the lease's clock_drift_max is {clock_drift_max} thousandths, above \
                 {CLOCK_DRIFT_LIMIT}; leases are not for such clocks: turn them off"
            ),
            Self::LimitZero { setting } => {
                write!(f, "{setting} is zero, so nothing could be replicated; set it to 1 or more")
            }
        }
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Whether these settings can work together.
    ///
    /// # Errors
    ///
    /// The first rule that does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.heartbeat_interval.is_zero() {
            return Err(ConfigError::HeartbeatZero);
        }
        if self.election_timeout_min <= self.heartbeat_interval {
            return Err(ConfigError::HeartbeatTooLong {
                heartbeat_interval: self.heartbeat_interval,
                election_timeout_min: self.election_timeout_min,
            });
        }
        if self.election_timeout_max < self.election_timeout_min {
            return Err(ConfigError::ElectionTimeoutsSwapped {
                election_timeout_min: self.election_timeout_min,
                election_timeout_max: self.election_timeout_max,
            });
        }
        if ELECTION_TIMEOUT_LIMIT < self.election_timeout_max {
            return Err(ConfigError::ElectionTimeoutTooLong {
                election_timeout_max: self.election_timeout_max,
            });
        }
        self.check_lease()?;
        let zero = [
            ("append_bytes_max", self.append_bytes_max == 0),
            ("append_entries_max", self.append_entries_max == 0),
            ("inflight_appends_max", self.inflight_appends_max == 0),
            ("inflight_bytes_max", self.inflight_bytes_max == 0),
        ]
        .into_iter()
        .find(|&(_, is_zero)| is_zero);
        zero.map_or(Ok(()), |(setting, _)| Err(ConfigError::LimitZero { setting }))
    }

    /// A lease is renewed before it ends; and who promised its support is free again when its own
    /// election timeout comes, so that leases hold up no election but a hasty one.
    fn check_lease(&self) -> Result<(), ConfigError> {
        let Some(lease) = &self.lease else { return Ok(()) };
        let LeaseConfig { duration, clock_drift_max } = *lease;
        if CLOCK_DRIFT_LIMIT < clock_drift_max {
            return Err(ConfigError::ClockDriftTooLarge { clock_drift_max });
        }
        if duration <= self.heartbeat_interval {
            let heartbeat_interval = self.heartbeat_interval;
            return Err(ConfigError::LeaseTooShort { duration, heartbeat_interval });
        }
        let (support, election_timeout_min) = (lease.support(), self.election_timeout_min);
        if election_timeout_min <= support {
            return Err(ConfigError::LeaseTooLong { support, election_timeout_min });
        }
        Ok(())
    }
}

/// Why a member cannot start from what its log held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// The configuration cannot work.
    Config(ConfigError),
    /// A run without entries.
    RunEmpty {
        /// Where it stands.
        at: Index,
    },
    /// The term of an entry is zero or below that of the entry before.
    TermsFall {
        /// The first entry of the run.
        at: Index,
        /// Its term.
        term: Term,
    },
    /// A term, an index or a count beyond every possible one.
    NumberTooLarge,
    /// The log holds an entry of a term that the hard state does not know of.
    TermMissing {
        /// The durable term.
        term: Term,
        /// The term of the last entry.
        last: Term,
    },
    /// There is no membership, or none that counts where the log begins.
    MembershipMissing,
    /// What is known to be committed lies before the log's beginning or beyond its end.
    CommitMisplaced {
        /// The index.
        at: Index,
    },
    /// The memberships are not in order, or lie beyond the log.
    MembershipMisplaced {
        /// The index of the one concerned.
        at: Index,
    },
    /// A membership without voters, or in which someone is voter and learner.
    MembershipInvalid {
        /// The index of the one concerned.
        at: Index,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MEND: &str = "restore this member's log from a backup, or remove the member and add \
                            it anew";
        match self {
            Self::Config(error) => error.fmt(f),
            Self::RunEmpty { at } => write!(f, "the log names a run of no entries at {at}; {MEND}"),
            Self::TermsFall { at, term } => {
                write!(f, "the log's terms fall to {term} at index {at}; {MEND}")
            }
            Self::NumberTooLarge => {
                write!(f, "the log holds a term or index beyond {NUMBER_MAX}; {MEND}")
            }
            Self::TermMissing { term, last } => write!(
                f,
                "the log ends in term {last}, but the durable term is only {term}: a write was \
                 lost; {MEND}"
            ),
            Self::MembershipMissing => write!(
                f,
                "the log has no membership to begin with; name the cluster's first members"
            ),
            Self::CommitMisplaced { at } => write!(
                f,
                "entry {at} is known to be committed, but is not in the log: a write was lost; \
                 {MEND}"
            ),
            Self::MembershipMisplaced { at } => {
                write!(f, "the membership of index {at} is out of order or beyond the log; {MEND}")
            }
            Self::MembershipInvalid { at } => write!(
                f,
                "the membership of index {at} has no voters, or has a member as voter and learner \
                 at once; name each member once, and at least one voter"
            ),
        }
    }
}

impl core::error::Error for RestoreError {}

impl From<ConfigError> for RestoreError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Checks a restored state and gives its trail. Past this point the core trusts it.
pub(crate) fn check_restored(restored: &Restored) -> Result<Trail, RestoreError> {
    let trail = check_runs(restored.base, &restored.runs)?;
    if restored.commit < trail.base().index || trail.last_index() < restored.commit {
        return Err(RestoreError::CommitMisplaced { at: restored.commit });
    }
    let term = restored.hard_state.term;
    if NUMBER_MAX < term.value() {
        return Err(RestoreError::NumberTooLarge);
    }
    if term < trail.last().term {
        return Err(RestoreError::TermMissing { term, last: trail.last().term });
    }
    check_memberships(restored, &trail)?;
    Ok(trail)
}

fn check_runs(base: EntryId, runs: &[Run]) -> Result<Trail, RestoreError> {
    if NUMBER_MAX < base.index.value() || NUMBER_MAX < base.term.value() {
        return Err(RestoreError::NumberTooLarge);
    }
    let mut trail = Trail::after(base);
    for run in runs {
        let last = trail.last();
        let at = last.index.next();
        if run.count == 0 {
            return Err(RestoreError::RunEmpty { at });
        }
        if run.term < last.term || run.term == Term::ZERO {
            return Err(RestoreError::TermsFall { at, term: run.term });
        }
        let end = last.index.value().checked_add(run.count);
        if end.is_none_or(|end| NUMBER_MAX < end) || NUMBER_MAX < run.term.value() {
            return Err(RestoreError::NumberTooLarge);
        }
        trail.append(run.term, run.count);
    }
    Ok(trail)
}

fn check_memberships(restored: &Restored, trail: &Trail) -> Result<(), RestoreError> {
    if restored.memberships.first().is_none_or(|(at, _)| trail.base().index < *at) {
        return Err(RestoreError::MembershipMissing);
    }
    let mut earlier: Option<Index> = None;
    for (at, membership) in &restored.memberships {
        if earlier.is_some_and(|earlier| *at <= earlier) || trail.last_index() < *at {
            return Err(RestoreError::MembershipMisplaced { at: *at });
        }
        if !membership.is_valid() {
            return Err(RestoreError::MembershipInvalid { at: *at });
        }
        earlier = Some(*at);
    }
    Ok(())
}
