//! Exactly once, with real processes: leaders die under load and no request is applied twice or
//! left without an answer; the first reply of a request outlives all members.
//!
//! `QUORATE_FAULT_ROUNDS` sets how many leaders die: a quarter of it, which is 20 by default.

#[cfg(test)]
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate_client::{Client, Error, Operation, Options, PutOptions, RangeOptions, Txn};
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::{PutRequest, PutResponse};
use support::cluster::{Cluster, Member};
use support::process::PATIENCE;
use support::scene::rounds;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Response, Status};

const WRITERS: usize = 8;

/// Answers between two deaths.
const ANSWERS_BETWEEN: u64 = 200;

/// Members of several clusters side by side would starve each other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("it works")
}

/// A client that knows all members and begins with one of them.
fn client(cluster: &Cluster, first: usize, options: Options) -> Client {
    let count = cluster.members.len();
    let endpoints = (0..count).map(|n| cluster.members[(first + n) % count].client_url());
    let options = options.connect_timeout(Duration::from_secs(1)).request_timeout(PATIENCE);
    Client::connect(endpoints, options).expect("it works")
}

/// Sets a key without any condition, again and again: its version counts how often that was
/// applied. Returns how many requests were answered, and how many have an unknown outcome.
async fn write(
    client: Client,
    key: String,
    stopping: Arc<AtomicBool>,
    answered: watch::Sender<u64>,
) -> (i64, i64) {
    let (mut done, mut unknown, mut last) = (0, 0, 0);
    while !stopping.load(Ordering::Relaxed) {
        let put = || PutOptions::new().prev_kv();
        let header = match done % 2 {
            0 => client.put(key.clone(), "v", put()).await.map(|answer| answer.header),
            _ => {
                let put = Operation::put(key.clone(), "v", put());
                client.txn(Txn::new().and_then([put])).await.map(|answer| answer.header)
            }
        };
        match header {
            Ok(header) => {
                let revision = header.expect("an answer has a head").revision;
                assert!(last < revision, "the answer of another request: {last}, {revision}");
                last = revision;
                done += 1;
                answered.send_modify(|count| *count += 1);
            }
            Err(Error::OutcomeUnknown { .. }) => unknown += 1,
            Err(Error::NotConnected { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("{key}: {error}"),
        }
    }
    (done, unknown)
}

#[test]
fn leaders_die_and_each_request_is_applied_once_and_answered() {
    let (_alone, runtime) = (alone(), runtime());
    let mut cluster = Cluster::start(3);
    let stopping = Arc::new(AtomicBool::new(false));
    let (answered, mut answers) = watch::channel(0_u64);
    let mut writers = JoinSet::new();
    // Half of them share a client, so that its requests overtake each other.
    let shared = client(&cluster, 0, Options::new());
    for writer in 0..WRITERS {
        let client = match writer % 2 {
            0 => shared.clone(),
            _ => client(&cluster, writer, Options::new()),
        };
        let key = format!("numbered/{writer}");
        let write = write(client, key.clone(), stopping.clone(), answered.clone());
        writers.spawn_on(async move { (key, write.await) }, runtime.handle());
    }
    let mut work = || {
        let goal = *answers.borrow() + ANSWERS_BETWEEN;
        let waited = runtime.block_on(async {
            tokio::time::timeout(PATIENCE, answers.wait_for(|count| *count >= goal)).await.is_ok()
        });
        assert!(waited, "the cluster serves");
    };
    work();
    for _ in 0..rounds(4) {
        let leader = runtime.block_on(cluster.leader());
        cluster.members[leader].kill();
        work();
        cluster.members[leader].start();
        cluster.members[leader].wait_until_ready();
        work();
    }
    stopping.store(true, Ordering::Relaxed);
    let ended = runtime.block_on(writers.join_all());
    let reader = client(&cluster, 0, Options::new());
    for (key, (done, unknown)) in ended {
        assert_eq!(unknown, 0, "{key}: a request was left without an answer");
        let answer = runtime.block_on(reader.get(key.clone(), RangeOptions::new())).unwrap();
        assert_eq!(answer.kvs[0].version, done, "{key}: applied more or less often than asked");
    }
}

/// A request as any client of gRPC can send it.
async fn put(
    member: &Member,
    request: PutRequest,
    metadata: &Metadata,
) -> Result<Response<PutResponse>, Status> {
    let endpoint = Endpoint::from_shared(member.client_url()).expect("it works");
    let mut kv = KvClient::new(endpoint.connect().await.expect("the member runs"));
    let mut request = Request::new(request);
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().expect("it is ASCII"));
    }
    kv.put(request).await
}

fn set(key: &'static str) -> PutRequest {
    PutRequest { key: key.into(), value: "v".into(), prev_kv: true, ..PutRequest::default() }
}

const CLIENT: (&str, &str) = ("quorate-client-id", "00c0ffee");

#[test]
fn the_first_reply_outlives_all_members() {
    let (_alone, runtime) = (alone(), runtime());
    let mut cluster = Cluster::start(3);
    let first = [CLIENT, ("quorate-sequence", "1")];
    let ask = |cluster: &Cluster, place: usize, request: PutRequest, metadata: &[_]| {
        runtime.block_on(put(&cluster.members[place], request, metadata))
    };
    let revision = |answer: Result<Response<PutResponse>, Status>| {
        let answer = answer.expect("it is answered").into_inner();
        assert_eq!(answer.prev_kv, None, "the first reply has no earlier value");
        answer.header.expect("an answer has a head").revision
    };
    let leader = runtime.block_on(cluster.leader());
    let told = revision(ask(&cluster, leader, set("once"), &first));
    // What is refused because of the state is refused for ever, under the same number.
    let keep = || PutRequest { ignore_value: true, value: "".into(), ..set("missing") };
    let second = [CLIENT, ("quorate-sequence", "2")];
    let refused = ask(&cluster, leader, keep(), &second).unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.metadata().get("quorate-session").unwrap(), "decided");
    ask(&cluster, leader, set("missing"), &[]).unwrap();
    let same = |cluster: &Cluster, place: usize| {
        assert_eq!(revision(ask(cluster, place, set("once"), &first)), told);
        let again = ask(cluster, place, keep(), &second).unwrap_err();
        assert_eq!(again.message(), refused.message());
    };
    (0..3).for_each(|place| same(&cluster, place));
    cluster.members[leader].kill();
    same(&cluster, (leader + 1) % 3);
    for other in [(leader + 1) % 3, (leader + 2) % 3] {
        cluster.members[other].kill();
    }
    cluster.start_all();
    (0..3).for_each(|place| same(&cluster, place));
    let reader = client(&cluster, 0, Options::new());
    let answer = runtime.block_on(reader.get("once", RangeOptions::new())).unwrap();
    assert_eq!(answer.kvs[0].version, 1);
    numbers_that_are_wrong(|request, metadata| ask(&cluster, 1, request, metadata));
    let after = runtime.block_on(reader.get("wrong", RangeOptions::new())).unwrap();
    assert_eq!(after.kvs, [], "what was refused changed something");
}

type Metadata = [(&'static str, &'static str)];

/// Each gets one clear error, and nothing changes.
fn numbers_that_are_wrong(
    ask: impl Fn(PutRequest, &Metadata) -> Result<Response<PutResponse>, Status>,
) {
    let ahead = [CLIENT, ("quorate-sequence", "9"), ("quorate-acknowledged", "8")];
    ask(set("ahead"), &ahead).expect("it works");
    let back = ask(set("wrong"), &[CLIENT, ("quorate-sequence", "3")]).expect_err("it is refused");
    assert_eq!(back.code(), Code::FailedPrecondition);
    assert_eq!(
        back.message(),
        "quorate: session: sequence 3 went back: all up to 8 are acknowledged; give each new \
         request a higher one"
    );
    let reused = ask(set("wrong"), &ahead).expect_err("it is refused");
    assert_eq!(reused.code(), Code::FailedPrecondition);
    assert!(reused.message().contains("sequence 9 was another request"), "{reused}");
    let wrong: [(&[_], &str); 4] = [
        (&[("quorate-sequence", "1")], "quorate: session: quorate-sequence: it needs"),
        (&[CLIENT], "quorate: session: quorate-sequence: "),
        (&[CLIENT, ("quorate-sequence", "x")], "quorate: session: quorate-sequence: write a"),
        (&[("quorate-client-id", "me")], "quorate: session: quorate-client-id: write 1 to 32"),
    ];
    for (metadata, text) in wrong {
        let status = ask(set("wrong"), metadata).expect_err("it is refused");
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(text), "{status}");
    }
}
