//! Who the members are, asked for at the peer URL; and changes of that, on their way to the leader.

use std::sync::Arc;

use quorate_proto::peer::members_client::MembersClient;
use quorate_proto::peer::members_server::Members as MembersApi;
use quorate_proto::peer::{ChangeRequest, ChangeResponse, ListRequest, ListResponse};
use quorate_raft::NodeId;
use quorate_replica::{Members, StateMachine};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use super::{Patience, Slots, Whoami, identity, outbound};
use crate::change::{Change, ChangeError, ChangeErrorKind, Changed};
use crate::inbox::{Event, Inbox};
use crate::machine::Machine;

/// The service.
pub(super) struct MembersService<M: StateMachine> {
    whoami: Whoami,
    slots: Slots,
    inbox: Arc<Inbox<M>>,
}

impl<M: StateMachine> MembersService<M> {
    pub(super) fn new(whoami: Whoami, slots: Slots, inbox: Arc<Inbox<M>>) -> Self {
        Self { whoami, slots, inbox }
    }
}

#[tonic::async_trait]
impl<M: Machine> MembersApi for MembersService<M> {
    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let (waiter, members) = oneshot::channel();
        self.inbox.push(Event::Members(waiter));
        let members = members.await.map_err(|_| stopped())?;
        let members = members.applied.encode().into();
        Ok(Response::new(ListResponse { cluster: self.whoami.cluster, members }))
    }

    async fn change(
        &self,
        request: Request<ChangeRequest>,
    ) -> Result<Response<ChangeResponse>, Status> {
        identity::admit(request.metadata(), self.whoami, |id| self.slots.is_removed(id))?;
        let change = Change::of_request(request.into_inner())
            .ok_or_else(|| Status::invalid_argument("that is no change that is known here"))?;
        let (waiter, changed) = oneshot::channel();
        self.inbox.push(Event::Change(change, waiter));
        let error = match changed.await.map_err(|_| stopped())? {
            Changed::Done => return Ok(Response::new(ChangeResponse::default())),
            Changed::Elsewhere(_) => ChangeError::not_leader(),
            Changed::Not(error) => error,
        };
        let (number, text) = (error.kind.number(), error.to_string());
        Ok(Response::new(ChangeResponse { error: number, text }))
    }
}

fn stopped() -> Status {
    Status::unavailable("the member has stopped")
}

/// Has `leader` begin a change; returns when it has ended.
pub(crate) async fn forward(
    whoami: Whoami,
    leader: NodeId,
    urls: &[String],
    patience: Patience,
    change: &Change,
) -> Result<(), ChangeError> {
    let mut why = ChangeError::not_leader();
    for url in urls {
        let Ok(endpoint) = outbound::endpoint(url, patience) else { continue };
        let Ok(channel) = endpoint.connect().await else { continue };
        let mut request = Request::new(change.to_request());
        identity::introduce(&mut request, whoami, leader);
        match MembersClient::new(channel).change(request).await {
            Ok(response) => {
                let ChangeResponse { error, text } = response.into_inner();
                return match error {
                    0 => Ok(()),
                    number => Err(ChangeError::new(ChangeErrorKind::of_number(number), text)),
                };
            }
            Err(status) => {
                // It may have reached the leader's log.
                why = ChangeError::new(ChangeErrorKind::Unknown, status.message().to_owned());
                break;
            }
        }
    }
    Err(why)
}

/// Asks at a peer URL who the members are; the cluster's id and they.
pub(crate) async fn list(url: &str, patience: Patience) -> Result<(u64, Members), Status> {
    let endpoint = outbound::endpoint(url, patience);
    let endpoint = endpoint.map_err(|error| Status::invalid_argument(error.to_string()))?;
    let channel = endpoint.connect().await.map_err(|error| {
        let causes = outbound::causes(&error);
        Status::unavailable(causes)
    })?;
    let listed = MembersClient::new(channel).list(ListRequest {}).await?.into_inner();
    match Members::decode(&listed.members) {
        Some(members) => Ok((listed.cluster, members)),
        None => Err(Status::internal("the answer is in no format that this version knows")),
    }
}
