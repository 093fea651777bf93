//! What is damaged on the way is refused, or still means the same: protobuf ignores fields that it
//! does not know, and has more than one way to write a number.

use quorate_raft::NodeId;
use quorate_replica::PeerMessage;
use quorate_wire::{Malformed, Route, from_bytes, to_bytes};

use crate::messages::{KINDS, Random, route, sample, text};

/// What became of damaged messages.
#[derive(Debug, Default)]
struct Tally {
    /// They came out as they went in.
    identical: usize,
    /// Only the checksum knew.
    checksum: usize,
    /// They made no sense in another way.
    other: usize,
}

impl Tally {
    /// Counts what came out, which must not be another message.
    fn count(&mut self, sent: &PeerMessage, got: Result<PeerMessage, Malformed>, how: &str) {
        match got {
            Ok(got) => {
                assert_eq!(text(&got), text(sent), "{how} made another message");
                self.identical += 1;
            }
            Err(reason) if reason.to_string().contains("checksum") => self.checksum += 1,
            Err(_) => self.other += 1,
        }
    }
}

#[test]
fn no_flipped_bit_makes_another_message() {
    let mut random = Random(3);
    let mut tally = Tally::default();
    for number in (0..KINDS).cycle().take(40 * KINDS) {
        let message = sample(number, &mut random, 50);
        let route = route(&message);
        let bytes = to_bytes(&message);
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            tally.count(&message, from_bytes(route, &bytes), &format!("flipping bit {bit}"));
        }
    }
    assert!(tally.checksum > 10 * tally.identical, "{tally:?}");
    assert!(tally.other > 0, "{tally:?}");
}

/// Does harm to bytes.
type Harm = fn(&mut Vec<u8>, &mut Random);

/// Ways to do it.
const HARMS: [(&str, Harm); 9] = [
    ("flipping bits", |bytes, random| {
        for _ in 0..=random.below(8) {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        }
    }),
    ("overwriting bytes", |bytes, random| {
        for _ in 0..=random.below(8) {
            let at = random.below(bytes.len());
            bytes[at] = random.byte();
        }
    }),
    ("overwriting a run", |bytes, random| {
        let (from, to) = run(bytes, random);
        bytes[from..to].fill_with(|| random.byte());
    }),
    ("zeroing a run", |bytes, random| {
        let (from, to) = run(bytes, random);
        bytes[from..to].fill(0);
    }),
    ("cutting the end off", |bytes, random| bytes.truncate(random.below(bytes.len()))),
    ("adding to the end", |bytes, random| {
        let more = 1 + random.below(16);
        bytes.extend((0..more).map(|_| random.byte()));
    }),
    ("leaving a run out", |bytes, random| {
        let (from, to) = run(bytes, random);
        bytes.drain(from..to);
    }),
    ("doubling a run", |bytes, random| {
        let (from, to) = run(bytes, random);
        let again = bytes[from..to].to_vec();
        bytes.splice(to..to, again);
    }),
    ("going on as another message", |bytes, random| {
        let kind = random.below(KINDS);
        let other = to_bytes(&sample(kind, random, 20));
        bytes.truncate(random.below(bytes.len()));
        bytes.extend_from_slice(&other[random.below(other.len())..]);
    }),
];

fn run(bytes: &[u8], random: &mut Random) -> (usize, usize) {
    let from = random.below(bytes.len());
    (from, from + 1 + random.below(bytes.len() - from))
}

/// A route that a message does not go.
fn another(route: Route, random: &mut Random) -> Route {
    let Route { from, to } = route;
    let member = NodeId::new(random.next());
    match random.below(4) {
        0 if from != to => Route { from: to, to: from },
        1 => Route { from: NodeId::new(from.value() ^ 1), to },
        2 => Route { from, to: member },
        _ => Route { from: member, to },
    }
}

#[test]
fn nothing_wrong_is_accepted() {
    const CASES: usize = 100_000;
    let mut random = Random(4);
    let mut tallies: [Tally; HARMS.len()] = Default::default();
    for case in 0..CASES {
        let message = sample(case % KINDS, &mut random, 20);
        let route = route(&message);
        let mut bytes = to_bytes(&message);
        let choice = random.below(HARMS.len() + 1);
        if let Some((name, harm)) = HARMS.get(choice) {
            harm(&mut bytes, &mut random);
            let how = format!("{name} in case {case}");
            tallies[choice].count(&message, from_bytes(route, &bytes), &how);
        } else {
            let wrong = another(route, &mut random);
            let refused = from_bytes(wrong, &bytes).expect_err("it goes another way").to_string();
            assert!(refused.contains("checksum is wrong"), "case {case}: {refused}");
        }
    }
    for ((name, _), tally) in HARMS.iter().zip(&tallies) {
        assert!(tally.checksum + tally.other > 3 * tally.identical, "{name}: {tally:?}");
    }
    let checksum: usize = tallies.iter().map(|tally| tally.checksum).sum();
    assert!(checksum > CASES / 10, "hardly anything needed the checksum: {tallies:?}");
}

#[test]
fn a_frame_on_another_stream_is_refused() {
    let mut random = Random(5);
    for number in (0..KINDS).cycle().take(20 * KINDS) {
        let message = sample(number, &mut random, 20);
        let bytes = to_bytes(&message);
        for stream in (0..=u8::MAX).filter(|stream| *stream != bytes[0]) {
            let mut bytes = bytes.clone();
            bytes[0] = stream;
            from_bytes(route(&message), &bytes).expect_err("it is a frame of another kind");
        }
    }
}

#[test]
fn noise_is_refused() {
    let mut random = Random(6);
    let route = Route { from: NodeId::new(1), to: NodeId::new(2) };
    for _ in 0..10_000 {
        let length = random.below(200);
        let mut bytes: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        if let Some(kind) = bytes.first_mut() {
            *kind %= 8;
        }
        from_bytes(route, &bytes).expect_err("it is noise");
    }
}
