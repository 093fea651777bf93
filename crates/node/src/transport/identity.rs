//! Who is at the other end: the metadata of a stream, written by the one who opens it and judged by
//! the one who is called.

use quorate_raft::NodeId;
use quorate_wire::Route;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Status};

use super::Whoami;

const PROTOCOL: &str = "quorate-protocol";
const CLUSTER: &str = "quorate-cluster";
const FROM: &str = "quorate-from";
const TO: &str = "quorate-to";

/// In a refusal: the caller was removed from the cluster, for good.
const REMOVED: &str = "quorate-removed";

/// The version of the members' protocol. A new one is a new service name as well.
const PROTOCOL_VERSION: u64 = 1;

/// Says who asks whom.
pub(super) fn introduce<T>(request: &mut Request<T>, whoami: Whoami, to: NodeId) {
    let metadata = request.metadata_mut();
    let entries = [
        (PROTOCOL, PROTOCOL_VERSION),
        (CLUSTER, whoami.cluster),
        (FROM, whoami.member.value()),
        (TO, to.value()),
    ];
    for (key, value) in entries {
        let value = MetadataValue::try_from(format!("{value:x}"));
        metadata.insert(key, value.expect("hexadecimal digits are ASCII"));
    }
}

/// Judges who calls.
pub(super) fn admit(
    metadata: &MetadataMap,
    whoami: Whoami,
    is_removed: impl Fn(NodeId) -> bool,
) -> Result<Route, Status> {
    let number = |key: &str| {
        let text = metadata.get(key).and_then(|value| value.to_str().ok());
        text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or_else(|| {
            Status::invalid_argument(format!(
                "no valid {key} in the metadata: only members of a quorate cluster connect to a \
                 peer URL, clients connect to a client URL"
            ))
        })
    };
    let protocol = number(PROTOCOL)?;
    if protocol != PROTOCOL_VERSION {
        return Err(Status::failed_precondition(format!(
            "protocol version {protocol} is not this member's {PROTOCOL_VERSION}: run the same \
             release on all members"
        )));
    }
    let (cluster, from, to) =
        (number(CLUSTER)?, NodeId::new(number(FROM)?), NodeId::new(number(TO)?));
    if cluster != whoami.cluster {
        return Err(Status::failed_precondition(format!(
            "cluster id {cluster:x} of the caller is not {:x}, the one of the member called: \
             --initial-cluster and --initial-cluster-token must be the same on all members",
            whoami.cluster
        )));
    }
    if to != whoami.member {
        return Err(Status::failed_precondition(format!(
            "this is member {:x}, not member {:x}: a peer URL in --initial-cluster leads to the \
             wrong member",
            whoami.member.value(),
            to.value()
        )));
    }
    if from == whoami.member {
        return Err(Status::failed_precondition(format!(
            "member {:x} calls itself: each member needs its own name and peer URL in \
             --initial-cluster",
            from.value()
        )));
    }
    if is_removed(from) {
        let mut metadata = MetadataMap::new();
        metadata.insert(REMOVED, MetadataValue::from_static("1"));
        return Err(Status::with_metadata(
            Code::FailedPrecondition,
            format!("member {:x} was removed from the cluster", from.value()),
            metadata,
        ));
    }
    Ok(Route { from, to })
}

/// Whether a refusal says that the caller is no member any more.
pub(super) fn says_removed(status: &Status) -> bool {
    status.code() == Code::FailedPrecondition && status.metadata().contains_key(REMOVED)
}

/// A member id as people see it.
pub(super) struct Hex(pub(super) NodeId);

impl std::fmt::Display for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Whoami = Whoami { cluster: 0xc, member: NodeId::new(1) };

    fn call(cluster: u64, from: u64, to: u64) -> Result<Route, Status> {
        let mut request = Request::new(());
        let caller = Whoami { cluster, member: NodeId::new(from) };
        introduce(&mut request, caller, NodeId::new(to));
        admit(request.metadata(), ME, |peer| peer.value() == 4)
    }

    #[test]
    fn a_peer_of_the_same_cluster_is_admitted() {
        let route = call(0xc, 2, 1).expect("it is a peer");
        assert_eq!((route.from, route.to), (NodeId::new(2), NodeId::new(1)));
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        let reason =
            |result: Result<Route, Status>| result.expect_err("refused").message().to_owned();
        assert!(reason(call(0xd, 2, 1)).contains("cluster id d of the caller is not c"));
        assert!(reason(call(0xc, 2, 3)).contains("this is member 1, not member 3"));
        assert!(reason(call(0xc, 1, 1)).contains("member 1 calls itself"));
        let removed = call(0xc, 4, 1).expect_err("refused");
        assert!(says_removed(&removed), "{removed}");
        assert!(!says_removed(&call(0xd, 2, 1).expect_err("refused")));
        let stranger = admit(&MetadataMap::new(), ME, |_| false);
        assert!(reason(stranger).contains("clients connect to a client URL"));
    }
}
