//! From a replica's message to its frame.

use std::time::Duration;

use quorate_log::Block;
use quorate_proto::peer as wire;
use quorate_proto::peer::{
    append_entries_request, append_entries_response, forward_request, forward_response,
    request_vote_response,
};
use quorate_raft::{EntryId, Message, Verdict};
use quorate_replica::{Body, PeerMessage};

use crate::checksum::Checked;
use crate::{GROUP, Route};

/// A finished frame, by the stream it travels on.
#[derive(Debug)]
pub enum Outgoing {
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

impl Outgoing {
    /// Writes the checksum into the finished frame.
    fn seal(&mut self, route: Route) {
        match self {
            Self::Append(frame) => frame.checksum = Some(frame.checksum_on(route)),
            Self::AppendReply(frame) => frame.checksum = Some(frame.checksum_on(route)),
            Self::Vote(frame) => frame.checksum = Some(frame.checksum_on(route)),
            Self::VoteReply(frame) => frame.checksum = Some(frame.checksum_on(route)),
            Self::Forward(frame) => frame.checksum = Some(frame.checksum_on(route)),
            Self::ForwardReply(frame) => frame.checksum = Some(frame.checksum_on(route)),
        }
    }
}

/// Puts a message into the form and onto the stream it travels in; payloads are shared, not copied.
///
/// # Panics
///
/// If the body is the core's append: the replica gives appends their payload.
#[must_use]
pub fn encode(message: PeerMessage) -> Outgoing {
    let PeerMessage { from, to, term, body } = message;
    let mut outgoing = encode_body(term.value(), body);
    outgoing.seal(Route { from, to });
    outgoing
}

fn encode_body(term: u64, body: Body) -> Outgoing {
    match body {
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
        Body::ProposalsOverloaded => forward_reply(term, forward_response::Body::Overloaded(true)),
        Body::SnapshotRequest { point, offset } => forward_request(
            term,
            forward_request::Body::Snapshot(wire::SnapshotRequest {
                point_index: point.index.value(),
                point_term: point.term.value(),
                offset,
            }),
        ),
        Body::Digest { index, digest } => forward_request(
            term,
            forward_request::Body::Digest(wire::Digest { index: index.value(), digest }),
        ),
        Body::SnapshotChunk(chunk) => forward_reply(
            term,
            forward_response::Body::Snapshot(wire::SnapshotChunk {
                point_index: chunk.point.index.value(),
                point_term: chunk.point.term.value(),
                file_bytes: chunk.file_bytes,
                offset: chunk.offset,
                bytes: chunk.bytes,
            }),
        ),
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
        Message::InstallSnapshot { last } => append_request(
            term,
            append_entries_request::Body::InstallSnapshot(wire::InstallSnapshot {
                last_index: last.index.value(),
                last_term: last.term.value(),
            }),
        ),
        Message::Heartbeat { commit, round, sent_at } => append_request(
            term,
            append_entries_request::Body::Heartbeat(wire::Heartbeat {
                commit: commit.value(),
                round,
                sent_at: nanoseconds(sent_at.since_origin()),
            }),
        ),
        Message::HeartbeatReply { round, sent_at, support } => append_reply(
            term,
            append_entries_response::Body::Heartbeat(wire::HeartbeatAnswer {
                round,
                sent_at: nanoseconds(sent_at.since_origin()),
                support: nanoseconds(support),
            }),
        ),
        Message::PreVote { last } => vote_request(term, last, true, false),
        Message::Vote { last, by_transfer } => vote_request(term, last, false, by_transfer),
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
        Message::TimeoutNow => append_request(term, append_entries_request::Body::TimeoutNow(true)),
        Message::HigherTerm => append_reply(term, append_entries_response::Body::HigherTerm(true)),
    }
}

/// Beyond 584 years it says too little, which makes a heartbeat older and a promise shorter.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn append_request(term: u64, body: append_entries_request::Body) -> Outgoing {
    Outgoing::Append(wire::AppendEntriesRequest {
        group: GROUP,
        term,
        body: Some(body),
        checksum: None,
    })
}

fn append_reply(term: u64, body: append_entries_response::Body) -> Outgoing {
    Outgoing::AppendReply(wire::AppendEntriesResponse {
        group: GROUP,
        term,
        body: Some(body),
        checksum: None,
    })
}

fn vote_request(term: u64, last: EntryId, pre_vote: bool, by_transfer: bool) -> Outgoing {
    Outgoing::Vote(wire::RequestVoteRequest {
        group: GROUP,
        term,
        pre_vote,
        last_index: last.index.value(),
        last_term: last.term.value(),
        by_transfer,
        checksum: None,
    })
}

fn vote_reply(term: u64, body: request_vote_response::Body) -> Outgoing {
    Outgoing::VoteReply(wire::RequestVoteResponse {
        group: GROUP,
        term,
        body: Some(body),
        checksum: None,
    })
}

fn forward_request(term: u64, body: forward_request::Body) -> Outgoing {
    Outgoing::Forward(wire::ForwardRequest { group: GROUP, term, body: Some(body), checksum: None })
}

fn forward_reply(term: u64, body: forward_response::Body) -> Outgoing {
    Outgoing::ForwardReply(wire::ForwardResponse {
        group: GROUP,
        term,
        body: Some(body),
        checksum: None,
    })
}

fn encode_block(block: Block) -> wire::Block {
    wire::Block { term: block.term().value(), count: block.count(), entries: block.bytes().clone() }
}
