//! Numbered writes, against members that apply a number once and fail as the test tells them to.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate_client::{Client, Code, Options, PutOptions};
use quorate_proto::etcdserverpb::kv_server::{Kv, KvServer};
use quorate_proto::etcdserverpb::maintenance_server::{Maintenance, MaintenanceServer};
use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse, DefragmentRequest,
    DefragmentResponse, DeleteRangeRequest, DeleteRangeResponse, HashKvRequest, HashKvResponse,
    HashRequest, HashResponse, MoveLeaderRequest, MoveLeaderResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, ResponseHeader, SnapshotRequest, SnapshotResponse, StatusRequest,
    StatusResponse, TxnRequest, TxnResponse,
};
use tokio::task::JoinHandle;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// What a member does with its next write; without a script it applies and answers.
#[derive(Clone, Debug)]
enum Next {
    /// It applies, and the answer gets lost.
    Lose,
    /// It fails before anything is applied.
    Fail(Status),
    /// It never answers, and never applies.
    Hang,
}

/// What the members of one cluster share: how each number was answered.
#[derive(Debug, Default)]
struct Log {
    answers: BTreeMap<(String, u64), i64>,
    /// What came with each attempt, in order: sequence, acknowledged, since.
    seen: Vec<(u64, u64, u64)>,
    /// Writes that were applied, those without a number among them.
    applied: i64,
}

#[derive(Clone, Debug)]
struct Fake {
    log: Arc<Mutex<Log>>,
    script: Arc<Mutex<VecDeque<Next>>>,
}

fn number(request: &Request<PutRequest>, name: &str) -> u64 {
    let value = request.metadata().get(name).expect("it is numbered");
    value.to_str().expect("it works").parse().expect("a number")
}

impl Fake {
    fn apply(&self, request: &Request<PutRequest>) -> i64 {
        let mut log = self.log.lock().expect("it works");
        let Some(client) = request.metadata().get("quorate-client-id") else {
            log.applied += 1;
            return log.applied;
        };
        let sequence = number(request, "quorate-sequence");
        let key = (client.to_str().expect("it works").to_owned(), sequence);
        if let Some(answer) = log.answers.get(&key) {
            return *answer;
        }
        log.applied += 1;
        let answer = log.applied;
        log.answers.insert(key, answer);
        answer
    }
}

#[tonic::async_trait]
impl Kv for Fake {
    async fn range(&self, _: Request<RangeRequest>) -> Result<Response<RangeResponse>, Status> {
        Ok(Response::new(RangeResponse::default()))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        if request.metadata().contains_key("quorate-client-id") {
            let names = ["quorate-sequence", "quorate-acknowledged", "quorate-since"];
            let [sequence, acknowledged, since] = names.map(|name| number(&request, name));
            self.log.lock().expect("it works").seen.push((sequence, acknowledged, since));
        }
        let next = self.script.lock().expect("it works").pop_front();
        match next {
            None => {}
            Some(Next::Lose) => {
                self.apply(&request);
                return Err(Status::unavailable("etcdserver: leader changed"));
            }
            Some(Next::Fail(status)) => return Err(status),
            Some(Next::Hang) => std::future::pending().await,
        }
        let header = ResponseHeader { revision: self.apply(&request), ..Default::default() };
        Ok(Response::new(PutResponse { header: Some(header), prev_kv: None }))
    }

    async fn delete_range(
        &self,
        _: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn compact(
        &self,
        _: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

#[tonic::async_trait]
impl Maintenance for Fake {
    type SnapshotStream = BoxStream<SnapshotResponse>;

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn hash_kv(&self, _: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn snapshot(
        &self,
        _: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn alarm(&self, _: Request<AlarmRequest>) -> Result<Response<AlarmResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn move_leader(
        &self,
        _: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let mut response = Response::new(StatusResponse::default());
        response.metadata_mut().insert("quorate-index", 7.into());
        Ok(response)
    }
}

/// A member that runs.
struct Member {
    address: String,
    task: JoinHandle<()>,
}

impl Member {
    /// One that knows sessions, or one that does not.
    async fn start(
        log: &Arc<Mutex<Log>>,
        knows_sessions: bool,
        script: impl IntoIterator<Item = Next>,
    ) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        let fake = Fake { log: log.clone(), script };
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("it works");
        let address = incoming.local_addr().expect("it works").to_string();
        let sessions = knows_sessions.then(|| MaintenanceServer::new(fake.clone()));
        let server =
            Server::builder().add_service(KvServer::new(fake)).add_optional_service(sessions);
        let task = tokio::spawn(async move {
            server.serve_with_incoming(incoming).await.expect("it serves");
        });
        Self { address, task }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn client(members: &[&Member], timeout: Duration) -> Client {
    let endpoints = members.iter().map(|member| &member.address);
    Client::connect(endpoints, Options::new().request_timeout(timeout)).expect("it works")
}

const PATIENCE: Duration = Duration::from_secs(30);

async fn put(client: &Client) -> Result<i64, quorate_client::Error> {
    let answer = client.put("k", "v", PutOptions::new()).await?;
    Ok(answer.header.expect("it works").revision)
}

fn session_error(outcome: &'static str) -> Status {
    let mut status = Status::failed_precondition(format!("quorate: session: {outcome}"));
    status.metadata_mut().insert("quorate-session", outcome.parse().expect("it works"));
    status.metadata_mut().insert("quorate-index", 20.into());
    status
}

#[tokio::test]
async fn a_write_whose_answer_got_lost_gets_it_from_another_member() {
    let log = Arc::default();
    let first = Member::start(&log, true, [Next::Lose]).await;
    let second = Member::start(&log, true, [Next::Fail(Status::unavailable("no quorum"))]).await;
    let client = client(&[&first, &second], PATIENCE);
    assert_eq!(put(&client).await.unwrap(), 1);
    assert_eq!(put(&client).await.unwrap(), 2);
    let log = log.lock().unwrap();
    assert_eq!(log.applied, 2);
    assert_eq!(log.seen, [(1, 0, 7), (1, 0, 7), (1, 0, 7), (2, 1, 7)]);
}

#[tokio::test]
async fn a_member_that_hangs_is_left_by_a_write() {
    let log = Arc::default();
    let first = Member::start(&log, true, [Next::Hang]).await;
    let second = Member::start(&log, true, []).await;
    let client = client(&[&first, &second], Duration::from_secs(2));
    assert_eq!(put(&client).await.unwrap(), 1);
    assert_eq!(log.lock().unwrap().applied, 1);
}

#[tokio::test]
async fn a_refusal_says_nothing_of_the_attempt_before() {
    let log = Arc::default();
    let busy = || Next::Fail(Status::resource_exhausted("etcdserver: too many requests"));
    let first = Member::start(&log, true, [Next::Lose, busy()]).await;
    let client = client(&[&first], PATIENCE);
    assert_eq!(put(&client).await.unwrap(), 1);
    let second = Member::start(&log, true, [busy()]).await;
    let error = put(&self::client(&[&second], PATIENCE)).await.unwrap_err();
    assert!(!error.is_outcome_unknown(), "{error}");
    assert_eq!(log.lock().unwrap().applied, 1);
}

#[tokio::test]
async fn a_member_without_sessions_is_not_sent_a_write_again() {
    let log = Arc::default();
    let script = std::iter::once(Next::Lose).chain(std::iter::repeat_n(Next::Hang, 50));
    let first = Member::start(&log, true, script).await;
    let second = Member::start(&log, false, []).await;
    let client = client(&[&first, &second], Duration::from_millis(500));
    let error = put(&client).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(log.lock().unwrap().applied, 1);
    // Turned off, it is plain at a member that knows them, too.
    let numbered = log.lock().unwrap().seen.len();
    let third = Member::start(&log, true, [Next::Lose]).await;
    let options = Options::new().sessions(false);
    let plain = Client::connect([&third.address], options).unwrap();
    assert!(put(&plain).await.unwrap_err().is_outcome_unknown());
    assert_eq!(log.lock().unwrap().seen.len(), numbered);
}

#[tokio::test]
async fn an_expired_session_is_begun_anew_unless_an_attempt_is_open() {
    let log = Arc::default();
    let expired = || Next::Fail(session_error("expired"));
    let first = Member::start(&log, true, [expired()]).await;
    let client = client(&[&first], PATIENCE);
    assert_eq!(put(&client).await.unwrap(), 1);
    assert_eq!(log.lock().unwrap().seen, [(1, 0, 7), (1, 0, 20)]);

    let second = Member::start(&log, true, [Next::Lose, expired()]).await;
    let error = put(&self::client(&[&second], PATIENCE)).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!(error.code(), Some(Code::FailedPrecondition));
}

#[tokio::test]
async fn what_the_log_has_decided_is_the_answer() {
    let log = Arc::default();
    let script = [Next::Lose, Next::Fail(session_error("decided"))];
    let first = Member::start(&log, true, script).await;
    let error = put(&client(&[&first], PATIENCE)).await.unwrap_err();
    assert!(!error.is_outcome_unknown(), "{error}");
    assert_eq!(error.message(), Some("quorate: session: decided"));
}
