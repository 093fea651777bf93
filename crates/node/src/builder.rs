//! The short way to a node: what a program knows of its cluster, and nothing to work out.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use quorate_raft::{LeaseConfig, NodeId};
use quorate_replica::{SnapshotPolicy, StateMachine};

use crate::config::{ConfigError, NodeConfig, Peer, Timing, check_address};
use crate::error::StartError;
use crate::join::Joined;
use crate::node::Node;

/// Settings for a node, begun with [`Node::builder`] and ended with [`Self::start`].
///
/// All members are given the same [`Self::members`] and the same [`Self::cluster`]: what a cluster
/// is follows from its name and its members' ids. Addresses may change from one start to the next.
#[derive(Debug)]
#[must_use = "a node runs once it is started"]
pub struct NodeBuilder<M> {
    id: NodeId,
    data_dir: PathBuf,
    machine: M,
    cluster: String,
    members: Vec<(NodeId, String)>,
    contacts: Vec<String>,
    listen: Listen,
    timing: Timing,
    snapshots: SnapshotPolicy,
    lease: Option<LeaseConfig>,
}

/// Where a node listens for the others.
#[derive(Debug)]
enum Listen {
    /// At its own address among the members'.
    Own,
    /// There.
    At(String),
    /// At what is bound already.
    Bound(TcpListener),
}

impl<M> NodeBuilder<M> {
    pub(crate) fn new(id: u64, data_dir: PathBuf, machine: M) -> Self {
        Self {
            id: NodeId::new(id),
            data_dir,
            machine,
            cluster: "quorate".into(),
            members: Vec::new(),
            contacts: Vec::new(),
            listen: Listen::Own,
            timing: Timing::default(),
            snapshots: SnapshotPolicy::default(),
            lease: None,
        }
    }

    /// The members that the cluster begins with, each with its id and the address, `host:port`,
    /// that the others reach it at; this member is one of them. Ids count from 1 and are never used
    /// again for another member. Of three members one may be lost, of five two.
    pub fn members<A: Into<String>>(mut self, members: impl IntoIterator<Item = (u64, A)>) -> Self {
        let members = members.into_iter();
        self.members.extend(members.map(|(id, address)| (NodeId::new(id), address.into())));
        self
    }

    /// The name of the cluster; `quorate` if it is not set. Clusters that could reach each other by
    /// mistake need different ones.
    pub fn cluster(mut self, name: impl Into<String>) -> Self {
        self.cluster = name.into();
        self
    }

    /// Joins a running cluster that has added this member ([`Node::add_learner`]) at its address:
    /// `members` holds this member alone, with that address, and `contacts` are addresses of some
    /// that run. They are asked once; a later start with the same directory needs nobody.
    pub fn join<A: Into<String>>(mut self, contacts: impl IntoIterator<Item = A>) -> Self {
        self.contacts.extend(contacts.into_iter().map(Into::into));
        self
    }

    /// Where to listen for the other members, if that is not this member's own address among the
    /// [`Self::members`]: `0.0.0.0:7101`, say, behind a name that others resolve.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Listen::At(address.into());
        self
    }

    /// Listens for the other members with a socket that is bound already, as tests do that bind
    /// port 0 and see which one they got.
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listen = Listen::Bound(listener);
        self
    }

    /// The timers; [`Timing::default`] if they are not set.
    pub const fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// When snapshots are taken, and how much of the log stays; [`SnapshotPolicy::default`] if it
    /// is not set.
    pub const fn snapshots(mut self, snapshots: SnapshotPolicy) -> Self {
        self.snapshots = snapshots;
        self
    }

    /// Lets a leader answer reads by a lease, without asking the others. The same on all members;
    /// off if it is not set. What it assumes of clocks is said at [`LeaseConfig`].
    pub const fn lease(mut self, lease: LeaseConfig) -> Self {
        self.lease = Some(lease);
        self
    }

    /// What the members are told that they are, in numbers. Fails if it makes no sense.
    fn check(&self) -> Result<(u64, Vec<Peer>), ConfigError> {
        if self.members.is_empty() {
            return Err(ConfigError::NoMembers);
        }
        for (place, (id, address)) in self.members.iter().enumerate() {
            let earlier = &self.members[..place];
            if *id == NodeId::ZERO {
                return Err(ConfigError::IdZero);
            }
            if earlier.iter().any(|(other, _)| other == id) {
                return Err(ConfigError::IdTwice { id: *id });
            }
            check_address(address)?;
            if let Some((first, _)) = earlier.iter().find(|(_, other)| other == address) {
                return Err(ConfigError::AddressTwice {
                    address: address.clone(),
                    first: *first,
                    second: *id,
                });
            }
        }
        let ids: Vec<_> = self.members.iter().map(|(id, _)| *id).collect();
        if !ids.contains(&self.id) {
            let known: Vec<_> = ids.iter().map(ToString::to_string).collect();
            return Err(ConfigError::NotAMember { id: self.id, known: known.join(", ") });
        }
        self.timing.check()?;
        let peers = self.members.iter().filter(|(id, _)| *id != self.id);
        let peers = peers
            .map(|(id, address)| Peer { id: *id, urls: vec![format!("http://{address}")] })
            .collect();
        Ok((cluster_id(&self.cluster, ids), peers))
    }
}

impl<M> NodeBuilder<M>
where
    M: StateMachine<Reply: Send + 'static> + Send + 'static,
{
    /// Opens the member's log, or makes it, and starts the member. To be called in the Tokio
    /// runtime whose tasks use the node. It returns before there is a leader: what is asked of the
    /// node waits for one.
    ///
    /// # Errors
    /// If the settings cannot work, the address is in use, or the data directory is damaged, in use
    /// or another member's.
    pub async fn start(self) -> Result<Node<M>, StartError> {
        let (cluster, peers) = self.check()?;
        let own = self.members.into_iter().find(|(id, _)| *id == self.id);
        let urls: Vec<_> = own.iter().map(|(_, address)| format!("http://{address}")).collect();
        let joined = match Joined::load(&self.data_dir)? {
            Some(joined) => Some(joined),
            None if self.contacts.is_empty() || holds_a_log(&self.data_dir) => None,
            None => {
                let contacts: Vec<_> =
                    self.contacts.iter().map(|address| format!("http://{address}")).collect();
                Some(Joined::find(&contacts, &urls, &self.data_dir, self.timing).await?)
            }
        };
        let (cluster, peers) = match &joined {
            Some(joined) => (joined.cluster, Vec::new()),
            None => (cluster, peers),
        };
        let listener = match (self.listen, own) {
            (Listen::Bound(listener), _) => listener,
            (Listen::At(address), _) | (Listen::Own, Some((_, address))) => bind(address).await?,
            (Listen::Own, None) => unreachable!("this member was found among the members"),
        };
        let config = NodeConfig {
            cluster,
            member: self.id,
            urls,
            peers,
            joined,
            listener,
            data_dir: self.data_dir,
            timing: self.timing,
            snapshots: self.snapshots,
            lease: self.lease,
        };
        Node::start(config, self.machine).await
    }
}

/// Whether a directory holds more than nothing: then it is that of a member that has begun.
fn holds_a_log(data_dir: &Path) -> bool {
    std::fs::read_dir(data_dir).is_ok_and(|mut files| files.next().is_some())
}

async fn bind(address: String) -> Result<TcpListener, StartError> {
    let bound = tokio::net::TcpListener::bind(&address).await;
    let bound = bound.and_then(tokio::net::TcpListener::into_std);
    bound.map_err(|error| StartError::Listen { address, error })
}

/// The cluster's id: FNV-1a over its name and its first members' ids, in order. It is written into
/// logs, so it never changes.
fn cluster_id(name: &str, mut members: Vec<NodeId>) -> u64 {
    members.sort_unstable();
    let ids = members.iter().flat_map(|id| id.value().to_be_bytes());
    // No name holds this byte, so no name runs over into the ids.
    let bytes = name.bytes().chain([0xff]).chain(ids);
    fnv(bytes)
}

/// FNV-1a, of 64 bits.
pub(crate) fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(id: u64, members: &[(u64, &str)]) -> ConfigError {
        let builder = NodeBuilder::new(id, PathBuf::new(), ()).members(members.iter().copied());
        builder.check().expect_err("it is wrong")
    }

    #[test]
    fn wrong_members_are_refused_with_the_mend() {
        assert_eq!(refusal(1, &[]), ConfigError::NoMembers);
        assert_eq!(refusal(1, &[(0, "h:1"), (1, "h:2")]), ConfigError::IdZero);
        let twice = ConfigError::IdTwice { id: NodeId::new(1) };
        assert_eq!(refusal(1, &[(1, "h:1"), (1, "h:2")]), twice);
        let stranger = refusal(3, &[(1, "h:1"), (2, "h:2")]);
        let known = "1, 2".to_owned();
        assert_eq!(stranger, ConfigError::NotAMember { id: NodeId::new(3), known });
        assert_eq!(
            refusal(1, &[(1, "h:1"), (2, "h:1")]).to_string(),
            "the members 1 and 2 are both at h:1; each member listens at an address of its own"
        );
        assert_eq!(
            refusal(1, &[(1, "h")]).to_string(),
            "'h' is no address that others can connect to: it has no port; write host:port"
        );
    }

    #[test]
    fn timers_are_checked_as_well() {
        let timing = Timing { heartbeat_interval: std::time::Duration::ZERO, ..Timing::default() };
        let builder = NodeBuilder::new(1, PathBuf::new(), ()).members([(1, "h:1")]).timing(timing);
        assert_eq!(builder.check().unwrap_err(), ConfigError::HeartbeatZero);
    }

    #[test]
    fn a_cluster_is_its_name_and_its_members_ids() {
        let ids = |ids: &[u64]| ids.iter().copied().map(NodeId::new).collect::<Vec<_>>();
        let id = cluster_id("counter", ids(&[1, 2, 3]));
        assert_eq!(id, cluster_id("counter", ids(&[3, 1, 2])));
        assert_ne!(id, cluster_id("counter", ids(&[1, 2])));
        assert_ne!(id, cluster_id("counters", ids(&[1, 2, 3])));
    }

    #[test]
    fn a_cluster_id_stays_what_it_was() {
        assert_eq!(
            format!("{:x}", cluster_id("quorate", vec![NodeId::new(1)])),
            "f41385d5b3eac4a0"
        );
    }
}
