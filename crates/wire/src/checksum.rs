//! The checksum of a frame: CRC-32C over all that the frame means.
//!
//! Not over the bytes that travel, since there is more than one way to write the same protobuf
//! message, and gRPC hides them. The canonical form is described in `peer.proto`; it is fed to the
//! checksum piece by piece and never built. No two frames have the same form: it begins with the
//! kind of the frame, each choice is named before its fields, and each length stands before what
//! varies in length.
//!
//! Frames and bodies are taken apart by name, so that a field that is new in the `.proto` file is
//! an error here until it is added.

use quorate_proto::peer as wire;
use quorate_proto::peer::{
    append_entries_request, append_entries_response, forward_request, forward_response,
    request_vote_response,
};

use crate::{Malformed, Route};

/// The kinds of frames, one for each direction of each stream. The numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Append,
    AppendReply,
    Vote,
    VoteReply,
    Forward,
    ForwardReply,
}

impl Kind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Append => 1,
            Self::AppendReply => 2,
            Self::Vote => 3,
            Self::VoteReply => 4,
            Self::Forward => 5,
            Self::ForwardReply => 6,
        }
    }

    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Append),
            2 => Some(Self::AppendReply),
            3 => Some(Self::Vote),
            4 => Some(Self::VoteReply),
            5 => Some(Self::Forward),
            6 => Some(Self::ForwardReply),
            0 | 7.. => None,
        }
    }
}

/// A frame that can be checked.
pub(crate) trait Checked {
    /// The checksum that it must carry on its way along `route`.
    fn checksum_on(&self, route: Route) -> u32;
}

/// Refuses a frame that came along `route` and says another checksum than it must carry, or none.
pub(crate) fn verify(
    said: Option<u32>,
    frame: &impl Checked,
    route: Route,
) -> Result<(), Malformed> {
    // Frames without a checksum need not be understood: no version that sends them was released.
    let said = said.ok_or(Malformed(
        "it has no checksum: it was damaged on the way, or its sender runs another release",
    ))?;
    if said != frame.checksum_on(route) {
        return Err(Malformed(
            "its checksum is wrong: it was damaged on the way or came on a wrong stream, or its \
             sender runs another release",
        ));
    }
    Ok(())
}

/// A checksum to which the canonical form is fed.
#[derive(Clone, Copy)]
struct Sum(u32);

impl Sum {
    /// What all frames begin with.
    fn frame(kind: Kind, route: Route, group: u32, term: u64) -> Self {
        let Route { from, to } = route;
        let kind = u64::from(kind.code());
        Self(0).numbers([kind, from.value(), to.value(), u64::from(group), term])
    }

    /// Numbers, each as eight bytes.
    fn numbers<const N: usize>(self, numbers: [u64; N]) -> Self {
        let bytes = numbers.map(u64::to_le_bytes);
        Self(crc32c::crc32c_append(self.0, bytes.as_flattened()))
    }

    /// A length, and as many bytes.
    fn bytes(self, bytes: &[u8]) -> Self {
        Self(crc32c::crc32c_append(self.length(bytes).0, bytes))
    }

    /// How many follow.
    fn length<T>(self, list: &[T]) -> Self {
        self.numbers([u64::try_from(list.len()).expect("no list has more than 2^64 elements")])
    }
}

impl Checked for wire::AppendEntriesRequest {
    fn checksum_on(&self, route: Route) -> u32 {
        let Self { group, term, body, checksum: _ } = self;
        let sum = Sum::frame(Kind::Append, route, *group, *term);
        let sum = match body {
            None => sum.numbers([0]),
            Some(append_entries_request::Body::Append(append)) => sum_append(sum, append),
            Some(append_entries_request::Body::Heartbeat(heartbeat)) => {
                let wire::Heartbeat { commit, round, sent_at } = heartbeat;
                sum.numbers([4, *commit, *round, *sent_at])
            }
            Some(append_entries_request::Body::TimeoutNow(is_so)) => {
                sum.numbers([5, u64::from(*is_so)])
            }
            Some(append_entries_request::Body::InstallSnapshot(told)) => {
                let wire::InstallSnapshot { last_index, last_term } = told;
                sum.numbers([6, *last_index, *last_term])
            }
        };
        sum.0
    }
}

fn sum_append(sum: Sum, append: &wire::Append) -> Sum {
    let wire::Append { previous_index, previous_term, blocks, commit } = append;
    let sum = sum.numbers([3, *previous_index, *previous_term]).length(blocks);
    let sum = blocks.iter().fold(sum, |sum, block| {
        let wire::Block { term, count, entries } = block;
        sum.numbers([*term, u64::from(*count)]).bytes(entries)
    });
    sum.numbers([*commit])
}

impl Checked for wire::AppendEntriesResponse {
    fn checksum_on(&self, route: Route) -> u32 {
        let Self { group, term, body, checksum: _ } = self;
        let sum = Sum::frame(Kind::AppendReply, route, *group, *term);
        let sum = match body {
            None => sum.numbers([0]),
            Some(append_entries_response::Body::Accepted(matched)) => sum.numbers([3, *matched]),
            Some(append_entries_response::Body::Rejected(rejected)) => {
                let wire::Rejected { refused, hint_index, hint_term } = rejected;
                sum.numbers([4, *refused, *hint_index, *hint_term])
            }
            Some(append_entries_response::Body::Heartbeat(answer)) => {
                let wire::HeartbeatAnswer { round, sent_at, support } = answer;
                sum.numbers([5, *round, *sent_at, *support])
            }
            Some(append_entries_response::Body::HigherTerm(is_so)) => {
                sum.numbers([6, u64::from(*is_so)])
            }
        };
        sum.0
    }
}

impl Checked for wire::RequestVoteRequest {
    fn checksum_on(&self, route: Route) -> u32 {
        let Self { group, term, pre_vote, last_index, last_term, by_transfer, checksum: _ } = self;
        let sum = Sum::frame(Kind::Vote, route, *group, *term);
        let (pre_vote, by_transfer) = (u64::from(*pre_vote), u64::from(*by_transfer));
        sum.numbers([pre_vote, *last_index, *last_term, by_transfer]).0
    }
}

impl Checked for wire::RequestVoteResponse {
    fn checksum_on(&self, route: Route) -> u32 {
        let Self { group, term, body, checksum: _ } = self;
        let sum = Sum::frame(Kind::VoteReply, route, *group, *term);
        let sum = match body {
            None => sum.numbers([0]),
            Some(request_vote_response::Body::Vote(granted)) => {
                sum.numbers([3, u64::from(*granted)])
            }
            Some(request_vote_response::Body::PreVote(answer)) => {
                let wire::PreVoteAnswer { asked, granted } = answer;
                sum.numbers([4, *asked, u64::from(*granted)])
            }
            Some(request_vote_response::Body::HigherTerm(is_so)) => {
                sum.numbers([5, u64::from(*is_so)])
            }
        };
        sum.0
    }
}

impl Checked for wire::ForwardRequest {
    fn checksum_on(&self, route: Route) -> u32 {
        let Self { group, term, body, checksum: _ } = self;
        let sum = Sum::frame(Kind::Forward, route, *group, *term);
        let sum = match body {
            None => sum.numbers([0]),
            Some(forward_request::Body::Proposals(proposals)) => {
                let wire::Proposals { origin, previous, last, count, entries } = proposals;
                sum.numbers([3, *origin, *previous, *last, u64::from(*count)]).bytes(entries)
            }
            Some(forward_request::Body::ReadIndex(ticket)) => sum.numbers([4, *ticket]),
            Some(forward_request::Body::Snapshot(request)) => {
                let wire::SnapshotRequest { point_index, point_term, offset } = request;
                sum.numbers([5, *point_index, *point_term, *offset])
            }
            Some(forward_request::Body::Digest(told)) => {
                let wire::Digest { index, digest } = told;
                sum.numbers([6, *index, *digest])
            }
        };
        sum.0
    }
}

impl Checked for wire::ForwardResponse {
    fn checksum_on(&self, route: Route) -> u32 {
        let Self { group, term, body, checksum: _ } = self;
        let sum = Sum::frame(Kind::ForwardReply, route, *group, *term);
        let sum = match body {
            None => sum.numbers([0]),
            Some(forward_response::Body::RefusedAfter(through)) => sum.numbers([3, *through]),
            Some(forward_response::Body::ReadIndex(answer)) => {
                let wire::ReadIndexAnswer { ticket, index } = answer;
                sum.numbers([4, *ticket, *index])
            }
            Some(forward_response::Body::Unwelcome(is_so)) => sum.numbers([5, u64::from(*is_so)]),
            Some(forward_response::Body::Overloaded(is_so)) => sum.numbers([7, u64::from(*is_so)]),
            Some(forward_response::Body::Snapshot(chunk)) => {
                let wire::SnapshotChunk { point_index, point_term, file_bytes, offset, bytes } =
                    chunk;
                sum.numbers([6, *point_index, *point_term, *file_bytes, *offset]).bytes(bytes)
            }
        };
        sum.0
    }
}

#[cfg(test)]
mod tests {
    use quorate_raft::NodeId;

    use super::*;

    const ROUTE: Route = Route { from: NodeId::new(2), to: NodeId::new(1) };

    fn form(numbers: &[u64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    #[test]
    fn the_checksum_is_over_the_form_that_peer_proto_describes() {
        let vote = wire::RequestVoteRequest {
            group: 0,
            term: 7,
            pre_vote: true,
            last_index: 9,
            last_term: 6,
            by_transfer: false,
            checksum: None,
        };
        assert_eq!(vote.checksum_on(ROUTE), crc32c::crc32c(&form(&[3, 2, 1, 0, 7, 1, 9, 6, 0])));

        let block =
            |term, entries: &'static [u8]| wire::Block { term, count: 1, entries: entries.into() };
        let append = wire::Append {
            previous_index: 8,
            previous_term: 5,
            blocks: vec![block(5, b"abc"), block(6, b"")],
            commit: 4,
        };
        let body = Some(append_entries_request::Body::Append(append));
        let append = wire::AppendEntriesRequest { group: 0, term: 6, body, checksum: None };
        let bytes =
            [form(&[1, 2, 1, 0, 6, 3, 8, 5, 2, 5, 1, 3]), b"abc".to_vec(), form(&[6, 1, 0, 4])]
                .concat();
        assert_eq!(append.checksum_on(ROUTE), crc32c::crc32c(&bytes));
    }

    #[test]
    fn a_frame_without_a_checksum_or_with_another_is_refused() {
        let body = Some(append_entries_response::Body::Accepted(3));
        let frame = wire::AppendEntriesResponse { group: 0, term: 1, body, checksum: None };
        let refused = |said, frame: &wire::AppendEntriesResponse, route| {
            verify(said, frame, route).expect_err("it is wrong").to_string()
        };
        let said = Some(frame.checksum_on(ROUTE));
        verify(said, &frame, ROUTE).expect("it is right");
        assert!(refused(None, &frame, ROUTE).contains("no checksum"));
        assert!(refused(said.map(|sum| sum ^ 1), &frame, ROUTE).contains("checksum is wrong"));
        let back = Route { from: ROUTE.to, to: ROUTE.from };
        assert!(refused(said, &frame, back).contains("checksum is wrong"));
        let later = wire::AppendEntriesResponse { term: 2, ..frame };
        assert!(refused(said, &later, ROUTE).contains("checksum is wrong"));
    }

    #[test]
    fn a_kind_is_its_code() {
        let kinds: Vec<_> = (0..=u8::MAX).filter_map(|c| Some((c, Kind::from_code(c)?))).collect();
        assert_eq!(kinds.len(), 6);
        assert!(kinds.iter().all(|(code, kind)| kind.code() == *code));
    }
}
