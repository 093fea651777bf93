//! What a node needs to know to start, and what is wrong with it.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use quorate_raft::{LeaseConfig, NodeId};
use quorate_replica::SnapshotPolicy;

use crate::join::Joined;

/// The settings of a node, with nothing derived: for programs that number clusters and members
/// themselves. [`crate::Node::builder`] is the shorter way.
#[derive(Debug)]
pub struct NodeConfig {
    /// The cluster it belongs to: a number that no other cluster has, the same on all members and
    /// for ever. Members of different clusters refuse each other, and each other's logs.
    pub cluster: u64,
    /// This member. Never 0, and never used again for another.
    pub member: NodeId,
    /// Where the other members reach this one, each as `http://host:port`.
    pub urls: Vec<String>,
    /// The other members that the cluster begins with; nobody for a member that joins one.
    pub peers: Vec<Peer>,
    /// What a member that is added to a running cluster begins with ([`Joined::find`]).
    pub joined: Option<Joined>,
    /// Where the peers connect to; already bound, so that a port in use is found out before
    /// anything is written. A cluster of one has none.
    pub listener: TcpListener,
    /// Where the log is; made if there is none.
    pub data_dir: PathBuf,
    /// How fast it beats.
    pub timing: Timing,
    /// When snapshots are taken, and how much of the log stays.
    pub snapshots: SnapshotPolicy,
    /// Whether a leader answers reads by a lease; `None`: it does not. The same on all members;
    /// what it assumes of clocks is in docs/raft.md, *Leases*.
    pub lease: Option<LeaseConfig>,
}

/// Another member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub id: NodeId,
    /// Where it listens for peers, as `http://host:port`; tried in turn.
    pub urls: Vec<String>,
}

/// The timers of Raft (§5.2, §9.3 of the paper).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How often a leader shows that it lives; at most a third of the election timeout.
    pub heartbeat_interval: Duration,
    /// The shortest time without a leader after which a member stands for election; it is drawn
    /// between this and twice this. At most [`Timing::ELECTION_TIMEOUT_MAX`].
    pub election_timeout: Duration,
}

impl Default for Timing {
    /// A heartbeat each 100 ms, elections after one to two seconds.
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
        }
    }
}

impl Timing {
    /// The longest election timeout: a guard against a wrong unit.
    pub const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(30 * 60);

    /// Heartbeats that fit into an election timeout at least: fewer, and a few that come late
    /// depose a healthy leader.
    const HEARTBEATS_MIN: u32 = 3;

    /// Whether these timers can work together.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.heartbeat_interval.is_zero() {
            return Err(ConfigError::HeartbeatZero);
        }
        if self.election_timeout < self.heartbeat_interval.saturating_mul(Self::HEARTBEATS_MIN) {
            return Err(ConfigError::HeartbeatTooLong {
                heartbeat_interval: self.heartbeat_interval,
                election_timeout: self.election_timeout,
            });
        }
        if Self::ELECTION_TIMEOUT_MAX < self.election_timeout {
            return Err(ConfigError::ElectionTimeoutTooLong {
                election_timeout: self.election_timeout,
            });
        }
        Ok(())
    }
}

impl NodeConfig {
    /// Whether these settings can work together; [`crate::Node::start`] asks before anything is
    /// written.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check(&self) -> Result<(), ConfigError> {
        let found = self.joined.as_ref().map_or(self.member, |joined| joined.member);
        if found != self.member {
            return Err(ConfigError::OtherMember { id: self.member, found });
        }
        let mut seen = BTreeSet::from([self.member]);
        for id in self.peers.iter().map(|peer| peer.id).chain([self.member]) {
            if id == NodeId::ZERO {
                return Err(ConfigError::IdZero);
            }
        }
        for peer in &self.peers {
            if !seen.insert(peer.id) {
                return Err(ConfigError::IdTwice { id: peer.id });
            }
            check_urls(peer.id, &peer.urls)?;
        }
        self.timing.check()
    }
}

/// Whether others can reach a member at these URLs.
pub(crate) fn check_urls(id: NodeId, urls: &[String]) -> Result<(), ConfigError> {
    if urls.is_empty() {
        return Err(ConfigError::Unreachable { id });
    }
    for url in urls {
        let address = url.strip_prefix("http://").ok_or_else(|| ConfigError::Address {
            address: url.clone(),
            reason: "it does not begin with http://",
            form: "http://host:port",
        })?;
        check_address(address.trim_end_matches('/'))?;
    }
    Ok(())
}

/// Whether others can connect to `address`, which is to be `host:port`.
pub(crate) fn check_address(address: &str) -> Result<(), ConfigError> {
    let bad = |reason| {
        Err(ConfigError::Address { address: address.to_owned(), reason, form: "host:port" })
    };
    if address.contains('/') {
        return bad("it has a scheme or a path");
    }
    let Some((host, port)) = address.rsplit_once(':') else { return bad("it has no port") };
    if host.is_empty() {
        return bad("it has no host");
    }
    if host.contains(char::is_whitespace) {
        return bad("there is a space in it");
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return bad("its IPv6 address is not in brackets");
    }
    match port.parse::<u16>() {
        Ok(0) => bad("its port is 0, which nobody can connect to"),
        Ok(_) => Ok(()),
        Err(_) => bad("its port is no number up to 65535"),
    }
}

/// Why settings cannot work. Nothing was written and nothing was begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The cluster knows the member at this address by another id.
    #[error(
        "the cluster knows this member as {:x}, not as {:x}; start it with the id that it was \
         added with",
        found.value(), id.value()
    )]
    OtherMember {
        /// The id in the settings.
        id: NodeId,
        /// The one that the cluster knows.
        found: NodeId,
    },
    /// Nobody is a member.
    #[error(
        "the cluster has no members; name all of them, this one as well: (1, \"host:port\"), …"
    )]
    NoMembers,
    /// A member has the id 0.
    #[error("a member has the id 0, which stands for nobody; number the members from 1")]
    IdZero,
    /// An id stands twice among the members.
    #[error("two members have the id {id}; give each its own")]
    IdTwice {
        /// The id.
        id: NodeId,
    },
    /// An address stands twice among the members.
    #[error(
        "the members {first} and {second} are both at {address}; each member listens at an address \
         of its own"
    )]
    AddressTwice {
        /// The address.
        address: String,
        /// Who has it.
        first: NodeId,
        /// Who has it as well.
        second: NodeId,
    },
    /// This member's id is none of the members'.
    #[error(
        "member {id} is to be started, but the members are {known}; add it to them, or start one \
         of these"
    )]
    NotAMember {
        /// The id.
        id: NodeId,
        /// Those there are.
        known: String,
    },
    /// An address is none.
    #[error("'{address}' is no address that others can connect to: {reason}; write {form}")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        reason: &'static str,
        /// What it should look like.
        form: &'static str,
    },
    /// A member has no address.
    #[error("member {id} has no URL; name at least one that it listens at")]
    Unreachable {
        /// Who.
        id: NodeId,
    },
    /// The heartbeat interval is zero.
    #[error("heartbeat_interval is zero; set it to a tenth of election_timeout")]
    HeartbeatZero,
    /// Too few heartbeats fit into an election timeout.
    #[error(
        "election_timeout {election_timeout:?} is less than three times heartbeat_interval \
         {heartbeat_interval:?}, so that a healthy leader would be deposed; raise the one or lower \
         the other"
    )]
    HeartbeatTooLong {
        /// The interval.
        heartbeat_interval: Duration,
        /// What three of it must fit into.
        election_timeout: Duration,
    },
    /// The election timeout is longer than [`Timing::ELECTION_TIMEOUT_MAX`].
    #[error(
        "election_timeout {election_timeout:?} is more than half an hour; check its unit, a second \
         is usual"
    )]
    ElectionTimeoutTooLong {
        /// The timeout.
        election_timeout: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: u64, urls: &[&str]) -> Peer {
        Peer { id: NodeId::new(id), urls: urls.iter().map(|&url| url.into()).collect() }
    }

    fn check(member: u64, peers: Vec<Peer>) -> Result<(), ConfigError> {
        NodeConfig {
            cluster: 1,
            member: NodeId::new(member),
            urls: vec!["http://h:9".into()],
            peers,
            joined: None,
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            data_dir: PathBuf::new(),
            timing: Timing::default(),
            snapshots: SnapshotPolicy::default(),
            lease: None,
        }
        .check()
    }

    #[test]
    fn members_that_contradict_each_other_are_refused() {
        assert_eq!(check(1, vec![peer(2, &["http://h:1", "http://[::1]:2/"])]), Ok(()));
        assert_eq!(check(0, vec![]), Err(ConfigError::IdZero));
        assert_eq!(check(1, vec![peer(0, &["http://h:1"])]), Err(ConfigError::IdZero));
        let twice = Err(ConfigError::IdTwice { id: NodeId::new(1) });
        assert_eq!(check(1, vec![peer(1, &["http://h:1"])]), twice);
        let unreachable = Err(ConfigError::Unreachable { id: NodeId::new(2) });
        assert_eq!(check(1, vec![peer(2, &[])]), unreachable);
    }

    #[test]
    fn an_address_that_nobody_can_connect_to_is_refused_with_the_reason() {
        for (address, expected) in [
            ("http://h:1", "it has a scheme or a path"),
            ("h", "it has no port"),
            (":1", "it has no host"),
            ("a b:1", "there is a space in it"),
            ("::1:80", "its IPv6 address is not in brackets"),
            ("h:0", "its port is 0, which nobody can connect to"),
            ("h:65536", "its port is no number up to 65535"),
        ] {
            let Err(ConfigError::Address { reason, .. }) = check_address(address) else {
                panic!("{address} passes for an address");
            };
            assert_eq!(reason, expected, "{address}");
        }
        let error = check(1, vec![peer(2, &["h:1"])]).unwrap_err().to_string();
        assert!(error.ends_with("does not begin with http://; write http://host:port"), "{error}");
    }

    #[test]
    fn timers_that_cannot_work_together_are_refused() {
        let timing = |heartbeat, election| {
            let (heartbeat_interval, election_timeout) =
                (Duration::from_millis(heartbeat), Duration::from_millis(election));
            Timing { heartbeat_interval, election_timeout }.check()
        };
        assert_eq!(timing(100, 1000), Ok(()));
        assert_eq!(timing(0, 1000), Err(ConfigError::HeartbeatZero));
        assert!(matches!(timing(400, 1000), Err(ConfigError::HeartbeatTooLong { .. })));
        let long = 10_000_000;
        assert!(matches!(timing(100, long), Err(ConfigError::ElectionTimeoutTooLong { .. })));
    }
}
