//! Requests that cannot be served: etcd's codes and texts, through whichever member.

use std::time::Duration;

use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::request_op::Request as Op;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, MoveLeaderRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::support::cluster::{Cluster, Member};

type Kv = KvClient<Channel>;

/// A client that does nothing by itself.
async fn connect(member: &Member) -> Kv {
    let endpoint = Endpoint::from_shared(member.client_url()).unwrap();
    let channel = endpoint.timeout(Duration::from_secs(30)).connect().await.unwrap();
    KvClient::new(channel)
}

fn put(key: &str) -> PutRequest {
    PutRequest { key: key.to_owned().into(), value: "v".into(), ..PutRequest::default() }
}

fn txn(operations: impl IntoIterator<Item = Op>) -> TxnRequest {
    let operation = |request| RequestOp { request: Some(request) };
    TxnRequest { success: operations.into_iter().map(operation).collect(), ..TxnRequest::default() }
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, text: &str) {
    let status = answer.expect_err(text);
    assert_eq!((status.code(), status.message()), (code, text));
}

#[tokio::test]
async fn through_leader_and_follower() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(3)).await.unwrap();
    let leader = cluster.leader().await;
    for place in [leader, (leader + 1) % 3] {
        let mut kv = connect(&cluster.members[place]).await;
        without_a_key(&mut kv).await;
        too_large(&mut kv).await;
        transactions(&mut kv).await;
        revisions(&mut kv).await;
        contradictions(&mut kv).await;
        to_nobody(&cluster.members[place], place == leader).await;
        let answer = kv.put(put("after")).await.expect("it serves all the same");
        assert!(answer.into_inner().header.is_some());
    }
}

/// Leadership goes to a member that votes, and only from the leader; nothing changes otherwise.
async fn to_nobody(member: &Member, leads: bool) {
    let endpoint = Endpoint::from_shared(member.client_url()).unwrap();
    let mut maintenance = MaintenanceClient::new(endpoint.connect().await.unwrap());
    let text = if leads { "etcdserver: bad leader transferee" } else { "etcdserver: not leader" };
    for target_id in [0, 1, u64::MAX] {
        let answer = maintenance.move_leader(MoveLeaderRequest { target_id }).await;
        is_refused(answer, Code::FailedPrecondition, text);
    }
}

async fn without_a_key(kv: &mut Kv) {
    let text = "etcdserver: key is not provided";
    is_refused(kv.put(put("")).await, Code::InvalidArgument, text);
    is_refused(kv.range(RangeRequest::default()).await, Code::InvalidArgument, text);
    is_refused(kv.delete_range(DeleteRangeRequest::default()).await, Code::InvalidArgument, text);
    is_refused(kv.txn(txn([Op::RequestPut(put(""))])).await, Code::InvalidArgument, text);
}

async fn too_large(kv: &mut Kv) {
    let large = PutRequest { value: vec![b'v'; 1_572_864 + 1].into(), ..put("large") };
    let text = "etcdserver: request is too large";
    is_refused(kv.put(large.clone()).await, Code::InvalidArgument, text);
    is_refused(kv.txn(txn([Op::RequestPut(large)])).await, Code::InvalidArgument, text);
    let just_fits = PutRequest { value: vec![b'v'; 1_572_864 - 64].into(), ..put("large") };
    kv.put(just_fits).await.expect("this is the limit");
    let delete = DeleteRangeRequest { key: "large".into(), ..DeleteRangeRequest::default() };
    kv.delete_range(delete).await.expect("it is gone");
}

async fn transactions(kv: &mut Kv) {
    let twice = txn([Op::RequestPut(put("a")), Op::RequestPut(put("a"))]);
    let text = "etcdserver: duplicate key given in txn request";
    is_refused(kv.txn(twice).await, Code::InvalidArgument, text);
    let many = (0..129).map(|key| Op::RequestPut(put(&format!("many{key}"))));
    let text = "etcdserver: too many operations in txn request";
    is_refused(kv.txn(txn(many)).await, Code::InvalidArgument, text);
    let most = (0..128).map(|key| Op::RequestPut(put(&format!("many{key}"))));
    kv.txn(txn(most)).await.expect("this is the limit");
}

async fn revisions(kv: &mut Kv) {
    kv.put(put("r")).await.unwrap();
    let now = kv.put(put("r")).await.unwrap().into_inner().header.unwrap().revision;
    let at = |revision| RangeRequest { key: "r".into(), revision, ..RangeRequest::default() };
    let compact = |revision| CompactionRequest { revision, ..CompactionRequest::default() };
    let future = "etcdserver: mvcc: required revision is a future revision";
    is_refused(kv.range(at(now + 1000)).await, Code::OutOfRange, future);
    is_refused(kv.compact(compact(now + 1000)).await, Code::OutOfRange, future);
    kv.compact(compact(now)).await.unwrap();
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    is_refused(kv.range(at(now - 1)).await, Code::OutOfRange, compacted);
    is_refused(kv.compact(compact(now)).await, Code::OutOfRange, compacted);
    is_refused(kv.txn(txn([Op::RequestRange(at(now - 1))])).await, Code::OutOfRange, compacted);
}

async fn contradictions(kv: &mut Kv) {
    let keep_value = PutRequest { ignore_value: true, ..put("k") };
    is_refused(kv.put(keep_value).await, Code::InvalidArgument, "etcdserver: value is provided");
    let keep_lease = PutRequest { ignore_lease: true, lease: 7, ..put("k") };
    is_refused(kv.put(keep_lease).await, Code::InvalidArgument, "etcdserver: lease is provided");
    let keep_none = PutRequest { ignore_value: true, value: "".into(), ..put("missing") };
    is_refused(kv.put(keep_none).await, Code::InvalidArgument, "etcdserver: key not found");
    let leased = PutRequest { lease: 7, ..put("k") };
    is_refused(kv.put(leased).await, Code::NotFound, "etcdserver: requested lease not found");
    let sorted = RangeRequest { key: "k".into(), sort_order: 9, ..RangeRequest::default() };
    is_refused(kv.range(sorted).await, Code::InvalidArgument, "etcdserver: invalid sort option");
}
