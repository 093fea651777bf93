//! Messages of every kind, drawn from a seed.

use std::time::Duration;

use bytes::Bytes;
use quorate_log::{Block, BlockBuilder, EntryKind};
use quorate_raft::{EntryId, Index, Instant, Message, NodeId, ReadTicket, Term, Verdict};
use quorate_replica::{Append, Body, PeerMessage, Proposals, SnapshotChunk};
use quorate_wire::Route;

/// SplitMix64, as in the core.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn is_so(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// Of any length in bits.
    fn number(&mut self) -> u64 {
        let bits = self.next() % 65;
        self.next().checked_shr(u32::try_from(bits).unwrap()).unwrap_or(0)
    }

    /// As [`Self::number`], but one that terms and indexes can reach.
    fn reachable(&mut self) -> u64 {
        self.number() >> 4
    }

    fn term(&mut self) -> Term {
        Term::new(self.reachable())
    }

    fn index(&mut self) -> Index {
        Index::new(self.reachable())
    }

    fn entry(&mut self) -> EntryId {
        EntryId::new(self.term(), self.index())
    }

    fn verdict(&mut self) -> Verdict {
        if self.is_so() { Verdict::Granted } else { Verdict::Refused }
    }

    /// A block of up to four entries with up to `body_bytes_max` each.
    fn block(&mut self, first: Index, body_bytes_max: usize) -> Block {
        let mut builder = BlockBuilder::new();
        for _ in 0..=self.below(4) {
            let kind = match self.below(4) {
                0 => EntryKind::NoOp,
                3 => EntryKind::Check,
                1 => EntryKind::Membership,
                _ => EntryKind::Command,
            };
            let length = self.below(body_bytes_max + 1);
            let body: Vec<u8> = (0..length).map(|_| self.byte()).collect();
            builder.push(kind, self.number(), self.number(), &body);
        }
        builder.finish(first, self.term())
    }

    fn append(&mut self, blocks: usize, body_bytes_max: usize) -> Append {
        let previous = self.entry();
        let mut next = previous.index.next();
        let blocks = (0..blocks).map(|_| {
            let block = self.block(next, body_bytes_max);
            next = block.next();
            block
        });
        Append { previous, blocks: blocks.collect(), commit: Index::new(0) }
    }
}

/// How many kinds there are.
pub(crate) const KINDS: usize = 21;

/// The kind of a message, counted from 0: one that is new has no number until it has a sample too.
pub(crate) fn kind(message: &PeerMessage) -> Option<usize> {
    match &message.body {
        Body::Append(_) => Some(0),
        Body::Proposals(_) => Some(1),
        Body::ProposalsRefused { .. } => Some(2),
        Body::ProposalsUnwelcome => Some(3),
        Body::Raft(message) => match message {
            Message::Append(_) => None,
            Message::AppendAccepted { .. } => Some(4),
            Message::AppendRejected { .. } => Some(5),
            Message::Heartbeat { .. } => Some(6),
            Message::HeartbeatReply { .. } => Some(7),
            Message::PreVote { .. } => Some(8),
            Message::PreVoteReply { .. } => Some(9),
            Message::Vote { .. } => Some(10),
            Message::VoteReply { .. } => Some(11),
            Message::ReadIndex { .. } => Some(12),
            Message::ReadIndexReply { .. } => Some(13),
            Message::HigherTerm => Some(14),
            Message::TimeoutNow => Some(15),
            Message::InstallSnapshot { .. } => Some(16),
        },
        Body::SnapshotRequest { .. } => Some(17),
        Body::SnapshotChunk(_) => Some(18),
        Body::Digest { .. } => Some(19),
        Body::ProposalsOverloaded => Some(20),
    }
}

/// A message of a kind, with bodies of up to `body_bytes_max`.
pub(crate) fn sample(kind: usize, random: &mut Random, body_bytes_max: usize) -> PeerMessage {
    let body = match kind {
        0 => {
            let blocks = random.below(4);
            let append = random.append(blocks, body_bytes_max);
            Body::Append(Append { commit: random.index(), ..append })
        }
        1 => {
            let block = random.block(Index::new(1), body_bytes_max);
            Body::Proposals(Proposals {
                origin: random.number(),
                previous: random.number(),
                last: random.number(),
                count: block.count(),
                entries: if random.is_so() { block.bytes().clone() } else { Bytes::new() },
            })
        }
        2 => Body::ProposalsRefused { through: random.number() },
        3 => Body::ProposalsUnwelcome,
        20 => Body::ProposalsOverloaded,
        4 => Body::Raft(Message::AppendAccepted { matched: random.index() }),
        5 => Body::Raft(Message::AppendRejected { refused: random.index(), hint: random.entry() }),
        6 => Body::Raft(Message::Heartbeat {
            commit: random.index(),
            round: random.number(),
            sent_at: Instant::new(Duration::from_nanos(random.number())),
        }),
        7 => Body::Raft(Message::HeartbeatReply {
            round: random.number(),
            sent_at: Instant::new(Duration::from_nanos(random.number())),
            support: Duration::from_nanos(random.number()),
        }),
        8 => Body::Raft(Message::PreVote { last: random.entry() }),
        9 => Body::Raft(Message::PreVoteReply { asked: random.term(), granted: random.verdict() }),
        10 => {
            let (last, by_transfer) = (random.entry(), random.is_so());
            Body::Raft(Message::Vote { last, by_transfer })
        }
        11 => Body::Raft(Message::VoteReply { granted: random.verdict() }),
        12 => Body::Raft(Message::ReadIndex { ticket: ReadTicket(random.number()) }),
        13 => {
            let (ticket, index) = (ReadTicket(random.number()), random.index());
            Body::Raft(Message::ReadIndexReply { ticket, index })
        }
        14 => Body::Raft(Message::HigherTerm),
        15 => Body::Raft(Message::TimeoutNow),
        16 => Body::Raft(Message::InstallSnapshot { last: random.entry() }),
        17 => Body::SnapshotRequest { point: random.entry(), offset: random.number() },
        18 => {
            let length = random.below(body_bytes_max + 1);
            Body::SnapshotChunk(SnapshotChunk {
                point: random.entry(),
                file_bytes: random.number(),
                offset: random.number(),
                bytes: (0..length).map(|_| random.byte()).collect(),
            })
        }
        19 => Body::Digest { index: random.index(), digest: random.number() },
        _ => panic!("there is no kind {kind}"),
    };
    let (from, to) = (NodeId::new(random.number()), NodeId::new(random.number()));
    PeerMessage { from, to, term: random.term(), body }
}

/// The way a message goes.
pub(crate) fn route(message: &PeerMessage) -> Route {
    Route { from: message.from, to: message.to }
}

/// All that is in a message.
pub(crate) fn text(message: &PeerMessage) -> String {
    format!("{message:?}")
}
