//! From a frame to the replica's message, or to the reason why it is none.

use std::time::Duration;

use quorate_log::Block;
use quorate_proto::peer as wire;
use quorate_proto::peer::{
    append_entries_request, append_entries_response, forward_request, forward_response,
    request_vote_response,
};
use quorate_raft::{EntryId, Index, Instant, Message, ReadTicket, Term, Verdict};
use quorate_replica::{Append, Body, PeerMessage, Proposals, SnapshotChunk};

use crate::checksum::verify;
use crate::{GROUP, Malformed, Route};

/// Terms and indexes beyond it are none: a member that took one over could not count on.
const NUMBER_MAX: u64 = 1 << 60;

/// A frame that came in on a stream of its kind.
pub trait Incoming {
    /// Takes the frame apart, if it is one that `route.from` made for `route.to`.
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
        verify(self.checksum, &self, route)?;
        let body = self.body.map(|body| match body {
            append_entries_request::Body::Append(append) => decode_append(append),
            append_entries_request::Body::Heartbeat(heartbeat) => {
                Ok(Body::Raft(Message::Heartbeat {
                    commit: Index::new(heartbeat.commit),
                    round: heartbeat.round,
                    sent_at: Instant::new(Duration::from_nanos(heartbeat.sent_at)),
                }))
            }
            append_entries_request::Body::TimeoutNow(_) => Ok(Body::Raft(Message::TimeoutNow)),
            append_entries_request::Body::InstallSnapshot(told) => {
                let last = entry_id(told.last_term, told.last_index);
                Ok(Body::Raft(Message::InstallSnapshot { last }))
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
        verify(self.checksum, &self, route)?;
        let body = self.body.map(|body| {
            Ok(Body::Raft(match body {
                append_entries_response::Body::Accepted(matched) => {
                    Message::AppendAccepted { matched: Index::new(matched) }
                }
                append_entries_response::Body::Rejected(rejected) => Message::AppendRejected {
                    refused: Index::new(rejected.refused),
                    hint: entry_id(rejected.hint_term, rejected.hint_index),
                },
                append_entries_response::Body::Heartbeat(answer) => Message::HeartbeatReply {
                    round: answer.round,
                    sent_at: Instant::new(Duration::from_nanos(answer.sent_at)),
                    support: Duration::from_nanos(answer.support),
                },
                append_entries_response::Body::HigherTerm(_) => Message::HigherTerm,
            }))
        });
        message(route, self.group, self.term, body)
    }
}

impl Incoming for wire::RequestVoteRequest {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        verify(self.checksum, &self, route)?;
        let last = entry_id(self.last_term, self.last_index);
        let by_transfer = self.by_transfer;
        let body = match (self.pre_vote, by_transfer) {
            (true, true) => return Err(Malformed("a rehearsal of a transfer, which has none")),
            (true, false) => Message::PreVote { last },
            (false, _) => Message::Vote { last, by_transfer },
        };
        message(route, self.group, self.term, Some(Ok(Body::Raft(body))))
    }
}

impl Incoming for wire::RequestVoteResponse {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        verify(self.checksum, &self, route)?;
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
        verify(self.checksum, &self, route)?;
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
                forward_request::Body::Snapshot(request) => Body::SnapshotRequest {
                    point: entry_id(request.point_term, request.point_index),
                    offset: request.offset,
                },
                forward_request::Body::Digest(told) => {
                    Body::Digest { index: Index::new(told.index), digest: told.digest }
                }
            })
        });
        message(route, self.group, self.term, body)
    }
}

impl Incoming for wire::ForwardResponse {
    fn decode(self, route: Route) -> Result<PeerMessage, Malformed> {
        verify(self.checksum, &self, route)?;
        let body = self.body.map(|body| {
            Ok(match body {
                forward_response::Body::RefusedAfter(through) => Body::ProposalsRefused { through },
                forward_response::Body::ReadIndex(answer) => Body::Raft(Message::ReadIndexReply {
                    ticket: ReadTicket(answer.ticket),
                    index: Index::new(answer.index),
                }),
                forward_response::Body::Unwelcome(_) => Body::ProposalsUnwelcome,
                forward_response::Body::Overloaded(_) => Body::ProposalsOverloaded,
                forward_response::Body::Snapshot(chunk) => Body::SnapshotChunk(SnapshotChunk {
                    point: entry_id(chunk.point_term, chunk.point_index),
                    file_bytes: chunk.file_bytes,
                    offset: chunk.offset,
                    bytes: chunk.bytes,
                }),
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
    use quorate_raft::NodeId;

    use super::*;
    use crate::checksum::Checked;

    const ROUTE: Route = Route { from: NodeId::new(2), to: NodeId::new(1) };

    /// Why a frame is refused though its checksum is right: its sender is to blame.
    macro_rules! refused {
        ($frame:expr) => {{
            let mut frame = $frame;
            frame.checksum = Some(frame.checksum_on(ROUTE));
            frame.decode(ROUTE).expect_err("it makes no sense").to_string()
        }};
    }

    fn append(append: wire::Append) -> wire::AppendEntriesRequest {
        let body = Some(append_entries_request::Body::Append(append));
        wire::AppendEntriesRequest { group: GROUP, term: 1, body, checksum: None }
    }

    #[test]
    fn numbers_that_nothing_reaches_are_malformed() {
        let highest = wire::Append { previous_index: u64::MAX, ..wire::Append::default() };
        assert!(refused!(append(highest)).contains("an index that no log reaches"));
        let vote = wire::RequestVoteRequest { term: u64::MAX, ..Default::default() };
        assert!(refused!(vote).contains("a term that no run of elections reaches"));
    }

    #[test]
    fn blocks_that_do_not_add_up_are_malformed() {
        let blocks = vec![wire::Block { term: 1, count: 2, entries: vec![0; 7].into() }];
        let frame = append(wire::Append { blocks, ..wire::Append::default() });
        assert!(refused!(frame).contains("a block whose entries do not add up"));
    }

    #[test]
    fn messages_without_a_body_or_of_another_group_are_malformed() {
        let none = wire::AppendEntriesResponse { term: 1, ..Default::default() };
        assert!(refused!(none).contains("no body"));
        let other = wire::RequestVoteRequest { group: 1, ..Default::default() };
        assert!(refused!(other).contains("a group"));
    }

    #[test]
    fn a_frame_without_a_checksum_is_malformed() {
        let frame = append(wire::Append::default());
        let reason = frame.decode(ROUTE).expect_err("it is not checked").to_string();
        assert!(reason.contains("no checksum"), "{reason}");
    }
}
