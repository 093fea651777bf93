//! Between a replica's messages and those on the wire.
//!
//! Decoding is where a peer's bytes are judged: what makes no sense becomes a [`Malformed`], which
//! ends the connection it came on, and never reaches the replica.

use quorate_log::Block;
use quorate_proto::peer as wire;
use quorate_proto::peer::{
    append_entries_request, append_entries_response, forward_request, forward_response,
    request_vote_response,
};
use quorate_raft::{EntryId, Index, Message, NodeId, ReadTicket, Term, Verdict};
use quorate_replica::{Append, Body, PeerMessage, Proposals};

/// The only group there is.
const GROUP: u32 = 0;

/// Terms and indexes beyond it are none: a member that took one over could not count on.
const NUMBER_MAX: u64 = 1 << 60;

/// A message on its stream.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// From a leader, on the stream that it opened.
    Append(wire::AppendEntriesRequest),
    /// Back to a leader, on that stream.
    AppendReply(wire::AppendEntriesResponse),
    /// From a candidate, on the stream that it opened.
    Vote(wire::RequestVoteRequest),
    /// Back to a candidate, on that stream.
    VoteReply(wire::RequestVoteResponse),
    /// To a leader, on the stream that its follower opened.
    Forward(wire::ForwardRequest),
    /// Back to a follower, on that stream.
    ForwardReply(wire::ForwardResponse),
}

/// A peer sent what no correct member sends.
#[derive(Debug, thiserror::Error)]
#[error("malformed message: {0}")]
pub(crate) struct Malformed(&'static str);

/// Between whom a stream runs, as its metadata said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// The peer.
    pub(crate) from: NodeId,
    /// This member.
    pub(crate) to: NodeId,
}

/// Puts a message into the form and onto the stream it travels in.
pub(crate) fn encode(message: PeerMessage) -> Outgoing {
    let term = message.term.value();
    match message.body {
        Body::Raft(message) => encode_raft(term, message),
        Body::Append(append) => append_request(
            term,
            append_entries_request::Body::Append(wire::Append {
                previous_index: append.previous.index.value(),
                previous_term: append.previous.term.value(),
                blocks: append.blocks.into_iter().map(encode_block).collect(),
                commit: append.commit.value(),
            }),
        ),
        Body::Proposals(proposals) => forward_request(
            term,
            forward_request::Body::Proposals(wire::Proposals {
                origin: proposals.origin,
                previous: proposals.previous,
                last: proposals.last,
                count: proposals.count,
                entries: proposals.entries,
            }),
        ),
        Body::ProposalsRefused { through } => {
            forward_reply(term, forward_response::Body::RefusedAfter(through))
        }
        Body::ProposalsUnwelcome => forward_reply(term, forward_response::Body::Unwelcome(true)),
    }
}

fn encode_raft(term: u64, message: Message) -> Outgoing {
    match message {
        Message::Append(_) => unreachable!("the replica gives appends their payload"),
        Message::AppendAccepted { matched } => {
            append_reply(term, append_entries_response::Body::Accepted(matched.value()))
        }
        Message::AppendRejected { refused, hint } => append_reply(
            term,
            append_entries_response::Body::Rejected(wire::Rejected {
                refused: refused.value(),
                hint_index: hint.index.value(),
                hint_term: hint.term.value(),
            }),
        ),
        Message::Heartbeat { commit, round } => append_request(
            term,
            append_entries_request::Body::Heartbeat(wire::Heartbeat {
                commit: commit.value(),
                round,
            }),
        ),
        Message::HeartbeatReply { round } => {
            append_reply(term, append_entries_response::Body::HeartbeatRound(round))
        }
        Message::PreVote { last } => vote_request(term, last, true),
        Message::Vote { last } => vote_request(term, last, false),
        Message::PreVoteReply { asked, granted } => vote_reply(
            term,
            request_vote_response::Body::PreVote(wire::PreVoteAnswer {
                asked: asked.value(),
                granted: granted == Verdict::Granted,
            }),
        ),
        Message::VoteReply { granted } => {
            vote_reply(term, request_vote_response::Body::Vote(granted == Verdict::Granted))
        }
        Message::ReadIndex { ticket } => {
            forward_request(term, forward_request::Body::ReadIndex(ticket.0))
        }
        Message::ReadIndexReply { ticket, index } => forward_reply(
            term,
            forward_response::Body::ReadIndex(wire::ReadIndexAnswer {
                ticket: ticket.0,
                index: index.value(),
            }),
        ),
        Message::HigherTerm => append_reply(term, append_entries_response::Body::HigherTerm(true)),
    }
}

fn append_request(term: u64, body: append_entries_request::Body) -> Outgoing {
    Outgoing::Append(wire::AppendEntriesRequest { group: GROUP, term, body: Some(body) })
}

fn append_reply(term: u64, body: append_entries_response::Body) -> Outgoing {
    Outgoing::AppendReply(wire::AppendEntriesResponse { group: GROUP, term, body: Some(body) })
}

fn vote_request(term: u64, last: EntryId, pre_vote: bool) -> Outgoing {
    Outgoing::Vote(wire::RequestVoteRequest {
        group: GROUP,
        term,
        pre_vote,
        last_index: last.index.value(),
        last_term: last.term.value(),
    })
}

fn vote_reply(term: u64, body: request_vote_response::Body) -> Outgoing {
    Outgoing::VoteReply(wire::RequestVoteResponse { group: GROUP, term, body: Some(body) })
}

fn forward_request(term: u64, body: forward_request::Body) -> Outgoing {
    Outgoing::Forward(wire::ForwardRequest { group: GROUP, term, body: Some(body) })
}

fn forward_reply(term: u64, body: forward_response::Body) -> Outgoing {
    Outgoing::ForwardReply(wire::ForwardResponse { group: GROUP, term, body: Some(body) })
}

fn encode_block(block: Block) -> wire::Block {
    wire::Block { term: block.term().value(), count: block.count(), entries: block.bytes().clone() }
}

/// A message that came in on a stream of one kind.
pub(crate) trait Incoming {
    /// Takes the message apart.
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed>;
}

fn message(
    route: Route,
    group: u32,
    term: u64,
    body: Option<Result<Body, Malformed>>,
) -> Result<PeerMessage, Malformed> {
    if group != GROUP {
        return Err(Malformed("a group that this version does not know"));
    }
    if term > NUMBER_MAX {
        return Err(Malformed("a term that no run of elections reaches"));
    }
    let body = body.ok_or(Malformed("no body, or one that this version does not know"))??;
    Ok(PeerMessage { from: route.from, to: route.to, term: Term::new(term), body })
}

impl Incoming for wire::AppendEntriesRequest {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        let body = self.body.map(|body| match body {
            append_entries_request::Body::Append(append) => decode_append(append),
            append_entries_request::Body::Heartbeat(heartbeat) => {
                Ok(Body::Raft(Message::Heartbeat {
                    commit: Index::new(heartbeat.commit),
                    round: heartbeat.round,
                }))
            }
        });
        message(route, self.group, self.term, body)
    }
}

fn decode_append(append: wire::Append) -> Result<Body, Malformed> {
    if append.previous_index > NUMBER_MAX {
        return Err(Malformed("an index that no log reaches"));
    }
    let previous = entry_id(append.previous_term, append.previous_index);
    let mut next = append.previous_index;
    let mut blocks = Vec::with_capacity(append.blocks.len());
    for block in append.blocks {
        let first = next.checked_add(1).ok_or(Malformed("an index beyond all indexes"))?;
        next = next
            .checked_add(u64::from(block.count))
            .ok_or(Malformed("an index beyond all indexes"))?;
        let block =
            Block::parse(Index::new(first), Term::new(block.term), block.count, block.entries)
                .map_err(|_| Malformed("a block whose entries do not add up"))?;
        blocks.push(block);
    }
    Ok(Body::Append(Append { previous, blocks, commit: Index::new(append.commit) }))
}

impl Incoming for wire::AppendEntriesResponse {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        let body = self.body.map(|body| {
            Ok(Body::Raft(match body {
                append_entries_response::Body::Accepted(matched) => {
                    Message::AppendAccepted { matched: Index::new(matched) }
                }
                append_entries_response::Body::Rejected(rejected) => Message::AppendRejected {
                    refused: Index::new(rejected.refused),
                    hint: entry_id(rejected.hint_term, rejected.hint_index),
                },
                append_entries_response::Body::HeartbeatRound(round) => {
                    Message::HeartbeatReply { round }
                }
                append_entries_response::Body::HigherTerm(_) => Message::HigherTerm,
            }))
        });
        message(route, self.group, self.term, body)
    }
}

impl Incoming for wire::RequestVoteRequest {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        let last = entry_id(self.last_term, self.last_index);
        let body = if self.pre_vote { Message::PreVote { last } } else { Message::Vote { last } };
        message(route, self.group, self.term, Some(Ok(Body::Raft(body))))
    }
}

impl Incoming for wire::RequestVoteResponse {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        let body = self.body.map(|body| {
            Ok(Body::Raft(match body {
                request_vote_response::Body::Vote(granted) => {
                    Message::VoteReply { granted: verdict(granted) }
                }
                request_vote_response::Body::PreVote(answer) => Message::PreVoteReply {
                    asked: Term::new(answer.asked),
                    granted: verdict(answer.granted),
                },
                request_vote_response::Body::HigherTerm(_) => Message::HigherTerm,
            }))
        });
        message(route, self.group, self.term, body)
    }
}

impl Incoming for wire::ForwardRequest {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        let body = self.body.map(|body| {
            Ok(match body {
                forward_request::Body::Proposals(proposals) => Body::Proposals(Proposals {
                    origin: proposals.origin,
                    previous: proposals.previous,
                    last: proposals.last,
                    count: proposals.count,
                    entries: proposals.entries,
                }),
                forward_request::Body::ReadIndex(ticket) => {
                    Body::Raft(Message::ReadIndex { ticket: ReadTicket(ticket) })
                }
            })
        });
        message(route, self.group, self.term, body)
    }
}

impl Incoming for wire::ForwardResponse {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        let body = self.body.map(|body| {
            Ok(match body {
                forward_response::Body::RefusedAfter(through) => Body::ProposalsRefused { through },
                forward_response::Body::ReadIndex(answer) => Body::Raft(Message::ReadIndexReply {
                    ticket: ReadTicket(answer.ticket),
                    index: Index::new(answer.index),
                }),
                forward_response::Body::Unwelcome(_) => Body::ProposalsUnwelcome,
            })
        });
        message(route, self.group, self.term, body)
    }
}

fn entry_id(term: u64, index: u64) -> EntryId {
    EntryId::new(Term::new(term), Index::new(index))
}

fn verdict(granted: bool) -> Verdict {
    if granted { Verdict::Granted } else { Verdict::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: Route = Route { from: NodeId::new(2), to: NodeId::new(1) };

    fn append(append: wire::Append) -> Result<PeerMessage, Malformed> {
        let body = Some(append_entries_request::Body::Append(append));
        wire::AppendEntriesRequest { group: GROUP, term: 1, body }.decode(ROUTE)
    }

    #[test]
    fn numbers_that_nothing_reaches_are_malformed() {
        let highest = wire::Append { previous_index: u64::MAX, ..wire::Append::default() };
        assert!(append(highest).is_err());
        let vote = wire::RequestVoteRequest { term: u64::MAX, ..Default::default() };
        assert!(vote.decode(ROUTE).is_err());
    }

    #[test]
    fn blocks_that_do_not_add_up_are_malformed() {
        let blocks = vec![wire::Block { term: 1, count: 2, entries: vec![0; 7].into() }];
        assert!(append(wire::Append { blocks, ..wire::Append::default() }).is_err());
    }

    #[test]
    fn messages_without_a_body_or_of_another_group_are_malformed() {
        let none = wire::AppendEntriesResponse { group: GROUP, term: 1, body: None };
        assert!(none.decode(ROUTE).is_err());
        let other = wire::RequestVoteRequest { group: 1, ..Default::default() };
        assert!(other.decode(ROUTE).is_err());
    }
}
