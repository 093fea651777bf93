//! A schedule: everything that decides a run, as data.
//!
//! A run is a function of its schedule and of the code under test. A schedule is drawn from a seed
//! (see `draw.rs`), or read from a file that a failure left. Discrete faults stand in it one by
//! one, so that shrinking can take them out; what happens to single messages is given by rates and
//! the seed.

use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::queue::Time;
use crate::random::MILLION;

/// The version of the format. Raised when an old file would mean another run.
pub(crate) const VERSION: u32 = 3;

/// The most members that a run may have.
pub(crate) const MEMBERS_MAX: usize = 7;

/// The most clients that a run may have.
const CLIENTS_MAX: usize = 64;

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The version of the format.
    pub version: u32,
    /// The profile that it was drawn from; only for people.
    pub profile: String,
    /// The seed of everything random in the run.
    #[serde(with = "hexadecimal")]
    pub seed: u64,
    /// The cluster and its clients.
    pub settings: Settings,
    /// What happens to messages.
    pub rates: Rates,
    /// What an earlier run of it left, to be compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
    /// What happens to members, links and disks, by time.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// The cluster and its clients. Times are in microseconds of the simulated world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How many members there are, all of them voters.
    pub members: usize,
    /// How many clients there are.
    pub clients: usize,
    /// How long the faults go on; the healing comes after it.
    pub duration: Time,
    /// The shortest election timeout; the longest is twice as long.
    pub election_timeout: Time,
    /// How often a leader without other traffic says that it lives.
    pub heartbeat: Time,
    /// How long a message takes at least.
    pub latency: Time,
    /// By how much it may take longer, in the mean.
    pub jitter: Time,
    /// Whether all links are equally slow, and disks always take the same time: where nothing
    /// breaks a tie but what the members draw themselves.
    pub even: bool,
    /// Whether messages of a link stay in order.
    pub in_order: bool,
    /// How long a disk takes to make a job durable.
    pub disk: Time,
    /// Whether the others notice when a process dies, by their connections to it.
    pub death_is_noticed: bool,
    /// Operations that each client begins in a second.
    pub operations: u64,
    /// Operations that a client may have under way.
    pub outstanding: usize,
    /// How long a client waits for an answer.
    pub patience: Time,
    /// How many keys there are.
    pub keys: u16,
    /// Bytes of a value.
    pub value_bytes: usize,
    /// Entries in one append at most.
    pub append_entries: u64,
    /// Payload bytes in one append at most.
    pub append_bytes: u64,
    /// Appends under way to a peer at most.
    pub inflight: usize,
    /// The size of a segment of the log.
    pub segment_bytes: u64,
    /// Bytes of entries that a member keeps in memory.
    pub cache_bytes: u64,
    /// Proposals of its own clients that may wait at a member.
    pub proposals: u64,
    /// Bytes of entries after which a member takes a snapshot; 0: none is ever taken.
    pub snapshot_bytes: u64,
    /// Bytes of entries that stay in the log behind a snapshot.
    pub trailing_bytes: u64,
    /// Whether a member whose disk was emptied comes back under its old name. Nobody may do that:
    /// it loses data, and this is here to show that.
    pub wiped_return: bool,
}

/// What happens to messages between members, in chances in a million for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// It is lost.
    pub loss: u32,
    /// It arrives twice.
    pub duplicate: u32,
    /// An old one arrives once more.
    pub replay: u32,
    /// It is damaged on its way.
    pub damage: u32,
    /// It takes many times as long.
    pub delay: u32,
}

/// What a run left: to be recognised when it is run again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// Who saw it fail, and what it said.
    pub failure: String,
    /// The events of the run.
    pub events: u64,
    /// After how many events each a hash was taken.
    pub every: u64,
    /// The hashes, of 64 bits each in hexadecimal.
    pub hashes: Vec<String>,
}

/// Why a schedule cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is of another version.
    #[error(
        "the schedule is of version {found}, this program runs version {VERSION}; draw it anew \
         from its seed"
    )]
    Version {
        /// Its version.
        found: i64,
    },
    /// It is not a schedule.
    #[error("the schedule is damaged: {0}")]
    Damaged(String),
    /// It asks for what cannot be.
    #[error("the schedule cannot be run: {0}")]
    Impossible(String),
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    /// If it is of another version, damaged, or asks for what cannot be.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        // The version first: a file of another version may differ in everything else.
        #[derive(Deserialize)]
        struct Head {
            version: i64,
        }
        let damaged = |error: toml::de::Error| ScheduleError::Damaged(one_line(&error.to_string()));
        let head: Head = toml::from_str(text).map_err(damaged)?;
        if head.version != i64::from(VERSION) {
            return Err(ScheduleError::Version { found: head.version });
        }
        let schedule: Self = toml::from_str(text).map_err(damaged)?;
        schedule.check().map_err(ScheduleError::Impossible)?;
        Ok(schedule)
    }

    /// The schedule as a file.
    ///
    /// # Panics
    /// Never: a schedule is made of numbers and texts.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# A run of the simulator. To run it: quorate sim play FILE. Times are microseconds.\n",
        );
        let body = toml::to_string(self).expect("a schedule is made of numbers and texts");
        text.push_str(&body);
        text
    }

    /// Whether it can be run at all.
    fn check(&self) -> Result<(), String> {
        let Settings { members, clients, keys, .. } = self.settings;
        let in_range = |name: &str, value: u64, first: u64, last: u64| {
            if (first..=last).contains(&value) {
                return Ok(());
            }
            Err(format!("settings.{name} is {value}; it may be {first} to {last}"))
        };
        let settings = &self.settings;
        const HOUR: Time = 3_600_000_000;
        const WIDE: u64 = 1 << 30;
        in_range("members", wide(members), 1, wide(MEMBERS_MAX))?;
        in_range("clients", wide(clients), 0, wide(CLIENTS_MAX))?;
        in_range("keys", u64::from(keys), 2, 1 << 15)?;
        in_range("duration", settings.duration, 1, 100 * HOUR)?;
        in_range("election_timeout", settings.election_timeout, 1000, HOUR / 2)?;
        in_range("heartbeat", settings.heartbeat, 1, settings.election_timeout - 1)?;
        in_range("latency", settings.latency, 1, HOUR)?;
        in_range("jitter", settings.jitter, 0, HOUR)?;
        in_range("disk", settings.disk, 1, HOUR)?;
        in_range("operations", settings.operations, 1, 1_000_000)?;
        in_range("outstanding", wide(settings.outstanding), 1, 1 << 16)?;
        in_range("patience", settings.patience, 1000, HOUR)?;
        in_range("value_bytes", wide(settings.value_bytes), 8, 1 << 20)?;
        in_range("append_entries", settings.append_entries, 1, WIDE)?;
        in_range("append_bytes", settings.append_bytes, 1, WIDE)?;
        in_range("inflight", wide(settings.inflight), 1, 1 << 16)?;
        in_range("segment_bytes", settings.segment_bytes, 1024, WIDE)?;
        in_range("cache_bytes", settings.cache_bytes, 0, WIDE)?;
        in_range("proposals", settings.proposals, 1, WIDE)?;
        in_range("snapshot_bytes", settings.snapshot_bytes, 0, WIDE)?;
        in_range("trailing_bytes", settings.trailing_bytes, 0, WIDE)?;
        let Rates { loss, duplicate, replay, damage, delay } = self.rates;
        for rate in [loss, duplicate, replay, damage, delay] {
            if rate > MILLION {
                return Err(format!("a rate is {rate}, above a million in a million"));
            }
        }
        self.faults.iter().try_for_each(|fault| fault.check(members))
    }
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A message over several lines as one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Numbers of 64 bits, which TOML has only with a sign.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u64, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format!("{number:#x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<u64, D::Error> {
        let text = String::deserialize(input)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| D::Error::custom("0x is missing"))?;
        u64::from_str_radix(digits, 16).map_err(D::Error::custom)
    }
}
