//! The settings of the replica: the node's, and the bounds of what may be under way.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

use quorate_log::{Identity, Options};
use quorate_raft::{Config, Membership};
use quorate_replica::{CheckPolicy, Members, Setup};

use crate::config::NodeConfig;
use crate::context::Context;

/// Payload bytes in one append to a peer, and entries; one entry always passes.
const APPEND_BYTES_MAX: u64 = 1024 * 1024;
const APPEND_ENTRIES_MAX: u64 = 16 * 1024;

/// Appends under way to one peer, and their bytes.
const INFLIGHT_APPENDS_MAX: usize = 16;
const INFLIGHT_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Commands of this member's clients that may wait, and their bytes.
const PROPOSALS_MAX: u64 = 16 * 1024;
const PROPOSAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The replica's settings for one life of the member.
pub(crate) fn setup(config: &NodeConfig) -> Setup {
    Setup {
        identity: Identity { cluster: config.cluster, member: config.member.value() },
        raft: Config {
            id: config.member,
            election_timeout_min: config.timing.election_timeout,
            election_timeout_max: config.timing.election_timeout * 2,
            heartbeat_interval: config.timing.heartbeat_interval,
            append_bytes_max: APPEND_BYTES_MAX,
            append_entries_max: APPEND_ENTRIES_MAX,
            inflight_appends_max: INFLIGHT_APPENDS_MAX,
            inflight_bytes_max: INFLIGHT_BYTES_MAX,
            lease: config.lease,
            seed: random(),
        },
        log: Options::default(),
        snapshots: config.snapshots,
        checks: CheckPolicy::default(),
        bootstrap: bootstrap(config),
        origin: random(),
        proposals_max: PROPOSALS_MAX,
        proposal_bytes_max: PROPOSAL_BYTES_MAX,
    }
}

/// Who the members are as long as the log says nothing of it.
fn bootstrap(config: &NodeConfig) -> Members {
    if let Some(joined) = &config.joined {
        return joined.members.clone();
    }
    let everyone = config.peers.iter().map(|peer| (peer.id, &peer.urls));
    let everyone = everyone.chain([(config.member, &config.urls)]);
    let contexts: BTreeMap<_, _> = everyone
        .map(|(id, urls)| (id, Context { urls: urls.clone(), is_to_vote: false }.encode()))
        .collect();
    let membership = Membership::of_voters(contexts.keys().copied());
    Members { contexts, ..membership.into() }
}

/// A number that no other life of a member has: the standard library's hasher keys come from the
/// operating system, and are mixed with the time and the process.
fn random() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.unwrap_or_default().as_nanos();
    RandomState::new().hash_one((now, std::process::id()))
}
