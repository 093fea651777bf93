//! All that one port answers, told apart by path: gRPC services first, then plain HTTP.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use quorate_proto::etcdserverpb::cluster_server::ClusterServer;
use quorate_proto::etcdserverpb::kv_server::KvServer;
use quorate_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use tonic::body::Body;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;
use tower::Service;

use crate::budget::{AnswerBody, Budget, Charge, RequestBody};
use crate::cluster::ClusterService;
use crate::kv::KvService;
use crate::maintenance::MaintenanceService;
use crate::member::Member;
use crate::{status, web};

/// What is read beyond the largest request before the call is ended: etcd's own margin.
const REQUEST_MARGIN: usize = 512 * 1024;

/// Of the largest requests and answers, how many may be in memory at a time: so many bytes, of
/// however many bodies.
const LARGEST_REQUESTS: usize = 64;
const LARGEST_ANSWERS: usize = 4;

/// The services behind a client URL. Cloned for every request, and therefore behind one pointer.
#[derive(Clone)]
pub(crate) struct Faces {
    services: Arc<Services>,
}

struct Services {
    kv: KvServer<KvService>,
    cluster: ClusterServer<ClusterService>,
    maintenance: MaintenanceServer<MaintenanceService>,
    health: HealthServer<HealthService>,
    web: axum::Router,
    budget: Arc<Budget>,
}

impl Faces {
    pub(crate) fn new(
        member: &Arc<Member>,
        health: HealthServer<HealthService>,
        range_bytes_max: usize,
    ) -> Self {
        let request_max = member.request_bytes_max.saturating_add(REQUEST_MARGIN);
        let kv = KvServer::new(KvService::new(member.clone()))
            .max_decoding_message_size(request_max)
            .max_encoding_message_size(usize::MAX);
        let requests = LARGEST_REQUESTS.saturating_mul(request_max);
        let answers = LARGEST_ANSWERS.saturating_mul(range_bytes_max);
        let services = Services {
            budget: Budget::new(requests.saturating_add(answers)),
            kv,
            cluster: ClusterServer::new(ClusterService::new(member.clone())),
            maintenance: MaintenanceServer::new(MaintenanceService::new(member.clone())),
            health,
            web: web::routes(member.clone()),
        };
        Self { services: Arc::new(services) }
    }
}

impl Faces {
    /// Has a service answer, with request and answer counted.
    fn within_budget(
        &self,
        request: Request<Incoming>,
        answer: impl FnOnce(&Services, Request<RequestBody<Incoming>>) -> Answer,
    ) -> Answer {
        let budget = self.services.budget.clone();
        if budget.is_spent() {
            return Box::pin(async { Ok(status::too_many_requests().into_http()) });
        }
        let charge = Charge::new(&budget);
        let for_body = charge.clone();
        let request = request.map(|body| RequestBody { body, charge: for_body });
        let answer = answer(&self.services, request);
        Box::pin(async move {
            let answer = answer.await;
            drop(charge);
            answer.map(|response| response.map(|body| Body::new(AnswerBody::new(body, budget))))
        })
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl Service<Request<Incoming>> for Faces {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Answer {
        let service = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
        match service.map(|(service, _)| service) {
            Some("etcdserverpb.KV") => self.within_budget(request, |services, request| {
                let answer = services.kv.clone().call(request);
                Box::pin(async move { answer.await.map(too_long) })
            }),
            Some("etcdserverpb.Cluster") => self
                .within_budget(request, |services, request| services.cluster.clone().call(request)),
            Some("etcdserverpb.Maintenance") => self.within_budget(request, |services, request| {
                services.maintenance.clone().call(request)
            }),
            // Whoever looks after the member is answered under any load, and says little.
            Some("grpc.health.v1.Health") => self.services.health.clone().call(request),
            _ if is_grpc(&request) => Box::pin(async { Ok(unimplemented()) }),
            _ => {
                let answer = self.services.web.clone().call(request);
                Box::pin(async move { answer.await.map(|response| response.map(Body::new)) })
            }
        }
    }
}

/// Says in etcd's words that a request is longer than what is read of one. Tonic has other words,
/// and the code for what is out of range.
fn too_long(response: Response<Body>) -> Response<Body> {
    let Some(status) = tonic::Status::from_header_map(response.headers()) else { return response };
    let lengths = status
        .message()
        .strip_prefix("Error, decoded message length too large: found ")
        .and_then(|rest| rest.strip_suffix(" bytes"))
        .and_then(|rest| rest.split_once(" bytes, the limit is: "));
    let Some((found, limit)) = lengths else { return response };
    let text = format!("grpc: received message larger than max ({found} vs. {limit})");
    tonic::Status::resource_exhausted(text).into_http()
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(http::header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn unimplemented() -> Response<Body> {
    tonic::Status::unimplemented("this service is not known here").into_http()
}
