//! By hand: an empty store, compactions, the sizes of requests, and what members say of themselves.

use prost::Message;
use quorate_proto::etcdserverpb::cluster_client::ClusterClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{
    CompactionRequest, MemberListRequest, MemberListResponse, PutRequest, RangeRequest,
    StatusRequest, StatusResponse,
};
use tonic::Code;

use super::build::{all, compact, delete, get, op, put, range};
use super::session::Session;
use super::verdict::REQUEST_BYTES_MAX;
use crate::support_etcd::{FIRST_NAME, Servers, channel};

const COMPACTED: &str = "mvcc: required revision has been compacted";
const FUTURE: &str = "mvcc: required revision is a future revision";

/// A store at revision 1, with nothing compacted.
pub(crate) async fn an_empty_store(s: &mut Session) {
    s.accepted(get("k")).await;
    assert_eq!(s.revision(), 1);
    for revision in [1, -1, -2] {
        s.accepted(RangeRequest { revision, ..range("\0", "\0") }).await;
    }
    s.refused(RangeRequest { revision: 2, ..get("k") }, Code::OutOfRange, FUTURE).await;
    let within = |revision| all([op(RangeRequest { revision, ..get("k") }), op(delete("k"))]);
    s.accepted(within(1)).await;
    s.accepted(within(-1)).await;
    s.refused(within(-2), Code::OutOfRange, COMPACTED).await;
    s.refused(within(2), Code::OutOfRange, FUTURE).await;
    s.accepted(delete("k")).await;
    s.accepted(all([])).await;
    s.refused(compact(-1), Code::OutOfRange, COMPACTED).await;
    s.refused(compact(2), Code::OutOfRange, FUTURE).await;
    s.accepted(compact(0)).await;
    s.refused(compact(0), Code::OutOfRange, COMPACTED).await;
    s.accepted(within(0)).await;
    s.refused(within(-1), Code::OutOfRange, COMPACTED).await;
    s.accepted(compact(1)).await;
    s.accepted(within(1)).await;
    s.accepted(RangeRequest { revision: 1, ..get("k") }).await;
    s.accepted(put("k", "first")).await;
    assert_eq!(s.revision(), 2);
}

/// Compactions in every direction, and what can be read around them.
pub(crate) async fn compactions(s: &mut Session) {
    for request in [put("a1", "1"), put("a2", "1"), put("a1", "2")] {
        s.accepted(request).await;
    }
    s.accepted(delete("a2")).await;
    s.accepted(put("a2", "3")).await;
    let now = s.revision();
    for revision in [0, -1, 1, i64::MIN, s.compacted()] {
        s.refused(compact(revision), Code::OutOfRange, COMPACTED).await;
    }
    for revision in [now + 1, i64::MAX] {
        s.refused(compact(revision), Code::OutOfRange, FUTURE).await;
    }
    for (revision, physical) in [(now - 4, false), (now - 2, true), (now - 1, false), (now, true)] {
        s.accepted(CompactionRequest { revision, physical }).await;
        s.refused(CompactionRequest { revision, physical }, Code::OutOfRange, COMPACTED).await;
        for read in now - 5..=now + 1 {
            s.ask(RangeRequest { revision: read, ..range("a", "b") }).await;
            s.ask(RangeRequest { revision: read, ..get("a2") }).await;
            s.ask(all([op(RangeRequest { revision: read, ..get("a1") })])).await;
        }
    }
    s.accepted(PutRequest { prev_kv: true, ..put("a2", "4") }).await;
    s.accepted(range("\0", "\0")).await;
}

/// Requests around the limits: that of a request, and that of what is read of one.
pub(crate) async fn sizes(s: &mut Session) {
    let text = "request is too large";
    for bytes in [REQUEST_BYTES_MAX - 100, REQUEST_BYTES_MAX, REQUEST_BYTES_MAX + 1] {
        let big = put_of(bytes);
        if bytes < REQUEST_BYTES_MAX {
            s.accepted(big.clone()).await;
            s.accepted(PutRequest { prev_kv: true, ..put("big", "small again") }).await;
            let inside = all([op(put_of(bytes - 20)), op(get("big"))]);
            s.accepted(inside).await;
            s.accepted(range("big", "bih")).await;
        } else if bytes > REQUEST_BYTES_MAX {
            s.refused(big.clone(), Code::InvalidArgument, text).await;
            s.refused(all([op(big)]), Code::InvalidArgument, text).await;
        } else {
            s.ask(big).await;
        }
    }
    let key = vec![b'x'; REQUEST_BYTES_MAX + 100];
    s.refused(delete(&key), Code::InvalidArgument, text).await;
    s.accepted(get(&key)).await;
    s.accepted(all([op(get(&key))])).await;
    s.refused(all([op(get(&key)), op(put("k", ""))]), Code::InvalidArgument, text).await;
    // What is wrong with it otherwise is found first.
    let keyless = PutRequest { key: "".into(), ..put_of(REQUEST_BYTES_MAX + 100) };
    s.refused(keyless, Code::InvalidArgument, "key is not provided").await;
    for bytes in [2 * 1024 * 1024, 2 * 1024 * 1024 + 1, 3_000_000] {
        s.ask(put_of(bytes)).await;
        s.ask(get(vec![b'x'; bytes - 5])).await;
    }
    s.accepted(delete("big")).await;
}

/// A put that takes so many bytes.
fn put_of(bytes: usize) -> PutRequest {
    let mut request = put("big", vec![b'v'; bytes - 9]);
    let over = request.encoded_len() - bytes;
    request.value.truncate(request.value.len() - over);
    assert_eq!(request.encoded_len(), bytes, "the length takes as many bytes as before");
    request
}

/// What a cluster of one says of its members and of itself, as far as the meaning goes.
pub(crate) async fn members(s: &mut Session) {
    for linearizable in [false, true] {
        let mut lists = Vec::new();
        for servers in [&s.etcd, &s.single] {
            lists.push(member_list(servers, linearizable).await);
        }
        let [theirs, ours] = &lists[..] else { unreachable!() };
        assert_eq!(ours, theirs);
    }
    let mut answers = Vec::new();
    for servers in [&s.etcd, &s.single] {
        answers.push(status(servers).await);
    }
    let [theirs, ours] = &answers[..] else { unreachable!() };
    assert_eq!(ours, theirs);
}

/// The list, with the addresses by their places, and with no ids, which depend on the addresses.
async fn member_list(servers: &Servers, linearizable: bool) -> MemberListResponse {
    let mut client = ClusterClient::new(channel(&servers.urls[0]).await.unwrap());
    let request = MemberListRequest { linearizable };
    let mut list = client.member_list(request).await.unwrap().into_inner();
    let header = list.header.as_mut().unwrap();
    assert_eq!(header.member_id, list.members[0].id);
    assert_eq!(list.members[0].name, FIRST_NAME);
    (header.cluster_id, header.member_id, header.raft_term) = (0, 0, 0);
    for member in &mut list.members {
        member.id = 0;
        for url in member.peer_ur_ls.iter_mut().chain(&mut member.client_ur_ls) {
            let known = |urls: &[String]| urls.contains(url);
            *url = if known(&servers.urls) {
                "for clients"
            } else if known(&servers.peer_urls) {
                "for peers"
            } else {
                "unknown"
            }
            .to_owned();
        }
    }
    list
}

/// The status, with what must only make sense brought to one value.
async fn status(servers: &Servers) -> StatusResponse {
    let mut client = MaintenanceClient::new(channel(&servers.urls[0]).await.unwrap());
    let mut status = client.status(StatusRequest {}).await.unwrap().into_inner();
    let header = status.header.as_mut().unwrap();
    assert_eq!(status.leader, header.member_id, "it leads itself");
    assert_eq!(status.raft_term, header.raft_term);
    assert!(status.raft_term > 0);
    assert!(0 < status.raft_applied_index && status.raft_applied_index <= status.raft_index);
    assert!(status.db_size_in_use <= status.db_size);
    let numbers: Vec<Result<u32, _>> = status.version.split('.').map(str::parse).collect();
    assert!(numbers.len() == 3 && numbers.iter().all(Result::is_ok), "{}", status.version);
    (header.cluster_id, header.member_id, header.raft_term) = (0, 0, 0);
    let header = status.header;
    let StatusResponse { errors, is_learner, .. } = status;
    StatusResponse { header, errors, is_learner, ..StatusResponse::default() }
}
