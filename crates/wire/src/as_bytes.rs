//! Frames as plain bytes, for links that are not gRPC: one byte for the kind of the frame, then the
//! frame in protobuf.

use prost::Message;
use quorate_proto::peer as wire;
use quorate_replica::PeerMessage;

use crate::checksum::Kind;
use crate::{Incoming, Malformed, Outgoing, Route, encode};

/// A message as the bytes that carry it.
///
/// # Panics
///
/// As [`encode`].
#[must_use]
pub fn to_bytes(message: &PeerMessage) -> Vec<u8> {
    match encode(message.clone()) {
        Outgoing::Append(frame) => with_kind(Kind::Append, &frame),
        Outgoing::AppendReply(frame) => with_kind(Kind::AppendReply, &frame),
        Outgoing::Vote(frame) => with_kind(Kind::Vote, &frame),
        Outgoing::VoteReply(frame) => with_kind(Kind::VoteReply, &frame),
        Outgoing::Forward(frame) => with_kind(Kind::Forward, &frame),
        Outgoing::ForwardReply(frame) => with_kind(Kind::ForwardReply, &frame),
    }
}

fn with_kind(kind: Kind, frame: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + frame.encoded_len());
    bytes.push(kind.code());
    frame.encode(&mut bytes).expect("a vector has room for all that fits into memory");
    bytes
}

/// The message that these bytes carry from `route.from` to `route.to`, if they are those of
/// [`to_bytes`] still.
pub fn from_bytes(route: Route, bytes: &[u8]) -> Result<PeerMessage, Malformed> {
    let (code, frame) = bytes.split_first().ok_or(Malformed("it is empty"))?;
    let kind = Kind::from_code(*code).ok_or(Malformed("a kind that this version does not know"))?;
    match kind {
        Kind::Append => frame_from::<wire::AppendEntriesRequest>(route, frame),
        Kind::AppendReply => frame_from::<wire::AppendEntriesResponse>(route, frame),
        Kind::Vote => frame_from::<wire::RequestVoteRequest>(route, frame),
        Kind::VoteReply => frame_from::<wire::RequestVoteResponse>(route, frame),
        Kind::Forward => frame_from::<wire::ForwardRequest>(route, frame),
        Kind::ForwardReply => frame_from::<wire::ForwardResponse>(route, frame),
    }
}

fn frame_from<F: Message + Default + Incoming>(
    route: Route,
    bytes: &[u8],
) -> Result<PeerMessage, Malformed> {
    let frame = <F as Message>::decode(bytes).map_err(|_| Malformed("it is not in protobuf"))?;
    frame.decode(route)
}
