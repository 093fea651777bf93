//! The retry rules, against servers that answer what the test tells them to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_client::{
    Choice, Client, Code, DeleteOptions, Error, Operation, Options, PutOptions, RangeOptions, Txn,
};
use quorate_proto::etcdserverpb::kv_server::{Kv, KvServer};
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What a server does with its next request; without a script it answers.
#[derive(Clone, Debug)]
enum Next {
    Fail(Status),
    Hang,
}

/// A server that counts its requests and follows a script.
#[derive(Clone, Debug, Default)]
struct Scripted {
    state: Arc<Mutex<(VecDeque<Next>, usize)>>,
}

impl Scripted {
    async fn next(&self) -> Result<(), Status> {
        let next = {
            let mut state = self.state.lock().expect("no test panicked with it");
            state.1 += 1;
            state.0.pop_front()
        };
        match next {
            None => Ok(()),
            Some(Next::Fail(status)) => Err(status),
            Some(Next::Hang) => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl Kv for Scripted {
    async fn range(&self, r: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        self.next().await?;
        let RangeRequest { key, .. } = r.into_inner();
        let kv = KeyValue { value: key.clone(), key, ..KeyValue::default() };
        Ok(Response::new(RangeResponse { kvs: vec![kv], count: 1, ..RangeResponse::default() }))
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.next().await?;
        Ok(Response::new(PutResponse::default()))
    }

    async fn delete_range(
        &self,
        _: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        self.next().await?;
        Ok(Response::new(DeleteRangeResponse::default()))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        self.next().await?;
        Ok(Response::new(TxnResponse::default()))
    }

    async fn compact(
        &self,
        _: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        self.next().await?;
        Ok(Response::new(CompactionResponse::default()))
    }
}

/// A running [`Scripted`].
struct Member {
    address: String,
    scripted: Scripted,
    task: JoinHandle<()>,
}

impl Member {
    async fn start(script: impl IntoIterator<Item = Next>) -> Self {
        let scripted = Scripted::default();
        scripted.state.lock().expect("no test panicked with it").0.extend(script);
        let incoming =
            TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = incoming.local_addr().expect("it is bound").to_string();
        let server = Server::builder().add_service(KvServer::new(scripted.clone()));
        let task = tokio::spawn(async move {
            server.serve_with_incoming(incoming).await.expect("it serves");
        });
        Self { address, scripted, task }
    }

    /// How many requests came.
    fn count(&self) -> usize {
        self.scripted.state.lock().expect("no test panicked with it").1
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

fn client(endpoints: &[&str]) -> Client {
    let options = Options::new().request_timeout(Duration::from_secs(2));
    Client::connect(endpoints, options).expect("good endpoints")
}

fn unavailable() -> Next {
    Next::Fail(Status::unavailable("etcdserver: leader changed"))
}

#[tokio::test]
async fn a_read_goes_on_to_the_next_endpoint_and_stays_there() {
    let (first, second) = (Member::start([unavailable()]).await, Member::start([]).await);
    let client = client(&[&first.address, &second.address]);
    let answer = client.get("k", RangeOptions::new()).await.unwrap();
    assert_eq!(answer.kvs[0].value, "k");
    client.get("k", RangeOptions::new()).await.unwrap();
    assert_eq!((first.count(), second.count()), (1, 2));
}

#[tokio::test]
async fn a_read_comes_back_while_there_is_time() {
    let member = Member::start([unavailable(), unavailable(), unavailable()]).await;
    let client = client(&[&member.address]);
    client.get("k", RangeOptions::new()).await.unwrap();
    assert_eq!(member.count(), 4);
}

#[tokio::test]
async fn a_read_leaves_a_member_that_hangs() {
    let (first, second) = (Member::start([Next::Hang]).await, Member::start([]).await);
    let client = client(&[&first.address, &second.address]);
    client.get("k", RangeOptions::new()).await.unwrap();
    assert_eq!((first.count(), second.count()), (1, 1));
}

#[tokio::test]
async fn a_refused_read_is_not_tried_again() {
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    let first = Member::start([Next::Fail(Status::out_of_range(compacted))]).await;
    let second = Member::start([]).await;
    let client = client(&[&first.address, &second.address]);
    let error = client.get("k", RangeOptions::new().revision(1)).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::OutOfRange));
    assert_eq!(error.message(), Some(compacted));
    assert_eq!(error.endpoint().unwrap().to_string(), first.address);
    assert_eq!(error.to_string(), format!("{}: {compacted} (OutOfRange)", first.address));
    assert_eq!((first.count(), second.count()), (1, 0));
}

#[tokio::test]
async fn a_write_that_was_sent_is_never_tried_again() {
    let (first, second) = (Member::start([unavailable()]).await, Member::start([]).await);
    let client = client(&[&first.address, &second.address]);
    let error = client.put("k", "v", PutOptions::new()).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert!(error.to_string().contains("the outcome is unknown"), "{error}");
    assert_eq!((first.count(), second.count()), (1, 0));
}

#[tokio::test]
async fn a_write_without_an_answer_has_an_unknown_outcome() {
    let (first, second) = (Member::start([Next::Hang]).await, Member::start([]).await);
    let endpoints = [&first.address, &second.address];
    let options = Options::new().request_timeout(Duration::from_millis(100));
    let client = Client::connect(endpoints, options).unwrap();
    let error = client.delete("k", DeleteOptions::new()).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(error.code(), Some(Code::DeadlineExceeded));
    assert_eq!((first.count(), second.count()), (1, 0));
}

#[tokio::test]
async fn a_write_goes_on_if_no_connection_could_be_made() {
    let member = Member::start([]).await;
    let client = client(&[&nobody(), &member.address]);
    client.put("k", "v", PutOptions::new()).await.unwrap();
    assert_eq!(member.count(), 1);
}

#[tokio::test]
async fn a_txn_is_retried_if_it_only_reads() {
    let (first, second) = (Member::start([unavailable()]).await, Member::start([]).await);
    let connected = client(&[&first.address, &second.address]);
    let get = Operation::get("k", RangeOptions::new());
    connected.txn(Txn::new().and_then([get.clone()])).await.unwrap();
    assert_eq!((first.count(), second.count()), (1, 1));

    let first = Member::start([unavailable()]).await;
    let connected = client(&[&first.address, &second.address]);
    let put = Operation::put("k", "v", PutOptions::new());
    let error = connected.txn(Txn::new().and_then([get, put])).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_at_once_and_of_all() {
    let (one, two) = (nobody(), nobody());
    let client = client(&[&one, &two]);
    let started = Instant::now();
    for error in [
        client.put("k", "v", PutOptions::new()).await.unwrap_err(),
        client.get("k", RangeOptions::new()).await.unwrap_err(),
    ] {
        let Error::NotConnected { attempts } = &error else { panic!("{error}") };
        let endpoints: Vec<_> = attempts.iter().map(|a| a.endpoint.to_string()).collect();
        assert_eq!(endpoints, [one.clone(), two.clone()]);
        assert!(error.to_string().contains("Connection refused"), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(2), "it waited for its deadline");
}

#[tokio::test]
async fn a_member_that_went_away_is_left() {
    let (first, second) = (Member::start([]).await, Member::start([]).await);
    let client = client(&[&first.address, &second.address]);
    client.put("k", "v", PutOptions::new()).await.unwrap();
    first.task.abort();
    // Its listener closes now, and its connections some time after: either is a reason to go on.
    let answer = client.get("k", RangeOptions::new()).await.unwrap();
    assert_eq!(answer.count, 1);
}

#[tokio::test]
async fn round_robin_spreads() {
    let (first, second) = (Member::start([]).await, Member::start([]).await);
    let options = Options::new().choice(Choice::RoundRobin);
    let client = Client::connect([&first.address, &second.address], options).unwrap();
    for _ in 0..4 {
        client.get("k", RangeOptions::new()).await.unwrap();
    }
    assert_eq!((first.count(), second.count()), (2, 2));
}

#[tokio::test]
async fn a_large_answer_is_taken() {
    let member = Member::start([]).await;
    let client = client(&[&member.address]);
    // The scripted server answers with the key; tonic's own limits would be 4 MiB.
    let key = vec![b'k'; 3 << 20];
    let answer = client.get(key, RangeOptions::new()).await.unwrap();
    assert_eq!(answer.kvs[0].value.len(), 3 << 20);
}
