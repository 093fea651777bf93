//! Between a replica's messages and the frames that carry them.
//!
//! A message becomes a protobuf frame of one of six kinds, three for requests and three for the
//! answers to them; `peer.proto` describes them. The node sends frames over gRPC, a simulator as
//! plain bytes: [`to_bytes`] and [`from_bytes`] are built on the same [`encode`] and [`Incoming`].
//!
//! **Invariant:** decoding a frame gives the message that was encoded, from the member that sent it
//! to the member it was sent to, or [`Malformed`]. Each frame carries a checksum over all that it
//! means, so a byte that is damaged on the way is noticed, with a chance of one in 2^32 that it is
//! not; TCP's own checksum has 16 bits.
//!
//! **Invariant:** no bytes make decoding panic.
//!
//! Decoding is where a peer's bytes are judged: what makes no sense never reaches the replica.
//! Left out here: streams and connections, and who may open one; bounds on a frame's length; and
//! protection from a peer that lies, since whoever can send a frame can compute its checksum.

mod as_bytes;
mod checksum;
mod decode;
mod encode;

pub use as_bytes::{from_bytes, to_bytes};
pub use decode::Incoming;
pub use encode::{Outgoing, encode};

use quorate_raft::NodeId;

/// The only group there is.
const GROUP: u32 = 0;

/// Between whom a stream runs, as both ends agreed when it was opened. A frame does not say it, but
/// its checksum covers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The member that sends.
    pub from: NodeId,
    /// The member that receives.
    pub to: NodeId,
}

/// A peer sent what no correct member sends, or it was damaged on the way. Whoever gets it ends the
/// connection it came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message: {0}")]
pub struct Malformed(&'static str);
