//! Every message comes out as it went in.

use quorate_replica::PeerMessage;
use quorate_wire::{Incoming, Malformed, Outgoing, encode, from_bytes, to_bytes};

use crate::messages::{KINDS, Random, kind, route, sample, text};

/// As the node does it, without bytes.
fn through_frames(message: &PeerMessage) -> Result<PeerMessage, Malformed> {
    let route = route(message);
    match encode(message.clone()) {
        Outgoing::Append(frame) => frame.decode(route),
        Outgoing::AppendReply(frame) => frame.decode(route),
        Outgoing::Vote(frame) => frame.decode(route),
        Outgoing::VoteReply(frame) => frame.decode(route),
        Outgoing::Forward(frame) => frame.decode(route),
        Outgoing::ForwardReply(frame) => frame.decode(route),
    }
}

#[test]
fn every_kind_of_message_survives() {
    let mut random = Random(1);
    for number in (0..KINDS).cycle().take(200 * KINDS) {
        let message = sample(number, &mut random, 100);
        assert_eq!(kind(&message), Some(number));
        let bytes = to_bytes(&message);
        assert_eq!(text(&through_frames(&message).unwrap()), text(&message));
        assert_eq!(text(&from_bytes(route(&message), &bytes).unwrap()), text(&message));
    }
}

#[test]
fn a_large_append_survives() {
    let message = sample(0, &mut Random(5), 1 << 20);
    let bytes = to_bytes(&message);
    assert!(bytes.len() > 1 << 20, "the sample is of {} bytes only", bytes.len());
    let got = from_bytes(route(&message), &bytes).unwrap();
    assert!(to_bytes(&got) == bytes, "another message came out");
}

#[test]
fn the_same_message_gives_the_same_bytes() {
    for number in 0..KINDS {
        let message = sample(number, &mut Random(2), 100);
        assert_eq!(to_bytes(&message), to_bytes(&message.clone()));
    }
}
