//! What a leader knows about one peer's log, and the flow of appends to it.
//!
//! A peer is *probed* until the place is found where its log agrees with the leader's: one append
//! at a time. From then on it *replicates*: appends follow each other without waiting, within a
//! window of appends and of bytes, on the assumption that they arrive. A refusal or a silence ends
//! the assumption. A peer that lacks what is no longer in the log gets none until it has a
//! snapshot.
//!
//! Invariant: `matched < next <= last index + 1`, and `matched` never falls within a term.

use alloc::collections::VecDeque;

use crate::lease::Support;
use crate::types::{Index, Instant, NodeId};

/// One peer, as its leader sees it.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// The peer.
    pub(crate) id: NodeId,
    /// The membership entry with which this leader took it up; `ZERO` for one that was there when
    /// the term began. If it was a member earlier in the term, acks from then may still come.
    pub(crate) since: Index,
    /// The last entry known to be durable there and equal to the leader's. Never falls.
    pub(crate) matched: Index,
    /// The next entry to send.
    pub(crate) next: Index,
    /// The last entry ever sent to this peer in this term: the bound of credible acks.
    pub(crate) sent: Index,
    /// Probing or replicating.
    pub(crate) flow: Flow,
    /// When the peer was last heard (thesis 6.2).
    pub(crate) heard_at: Instant,
    /// When `matched` last rose, or the flow last changed.
    pub(crate) advanced_at: Instant,
    /// When the last heartbeat left.
    pub(crate) heartbeat_at: Instant,
    /// When the last append left.
    pub(crate) append_at: Instant,
    /// The newest round that the peer answered.
    pub(crate) round: u64,
    /// What the peer has promised.
    pub(crate) support: Support,
    /// The highest commit index that the peer was told.
    pub(crate) commit_told: Index,
}

/// How appends flow to a peer.
#[derive(Clone, Debug)]
pub(crate) enum Flow {
    /// One append at a time; `None` when the next may leave.
    Probing(Option<Sent>),
    /// Many at a time.
    Replicating(Window),
    /// None: what the peer lacks is no longer in the log.
    Snapshot(Told),
}

/// Word that a snapshot is needed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// What it must reach.
    last: Index,
    /// When it left.
    pub(crate) at: Instant,
}

/// An append under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The entry before its entries.
    pub(crate) previous: Index,
    /// Its last entry; `previous` if it has none.
    pub(crate) last: Index,
    /// Its payload bytes.
    pub(crate) bytes: u64,
    /// When it left.
    pub(crate) at: Instant,
}

/// The appends under way to a replicating peer, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    appends: VecDeque<Sent>,
    bytes: u64,
}

impl Window {
    /// How many appends are under way.
    pub(crate) fn count(&self) -> usize {
        self.appends.len()
    }

    /// How many payload bytes are under way.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    /// When the oldest append left.
    pub(crate) fn oldest_at(&self) -> Option<Instant> {
        self.appends.front().map(|sent| sent.at)
    }

    /// An append leaves.
    pub(crate) fn push(&mut self, sent: Sent) {
        self.bytes += sent.bytes;
        self.appends.push_back(sent);
    }

    /// Everything up to `matched` has arrived.
    fn free(&mut self, matched: Index) {
        while let Some(sent) = self.appends.pop_front_if(|sent| sent.last <= matched) {
            self.bytes -= sent.bytes;
        }
        assert!(!self.appends.is_empty() || self.bytes == 0, "an empty window holds no bytes");
    }
}

/// What an acknowledgement changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// Nothing: it was known.
    Known,
    /// `matched` rose.
    Advanced,
}

impl Progress {
    /// A peer of which a new leader knows nothing: the guess is that it has the whole log (§5.3).
    pub(crate) fn new(id: NodeId, last: Index, now: Instant) -> Self {
        Self {
            id,
            since: Index::ZERO,
            matched: Index::ZERO,
            next: last.next(),
            sent: Index::ZERO,
            flow: Flow::Probing(None),
            heard_at: now,
            advanced_at: now,
            heartbeat_at: now,
            append_at: now,
            round: 0,
            support: Support::default(),
            commit_told: Index::ZERO,
        }
    }

    /// An append leaves.
    pub(crate) fn on_sent(&mut self, sent: Sent) {
        assert!(self.next == sent.previous.next(), "appends follow each other");
        self.append_at = sent.at;
        self.sent = self.sent.max(sent.last);
        match &mut self.flow {
            Flow::Probing(probe) => *probe = Some(sent),
            Flow::Replicating(window) => {
                window.push(sent);
                self.next = sent.last.next();
            }
            Flow::Snapshot(_) => unreachable!("appends to a peer without a place begin by probing"),
        }
    }

    /// The peer is told to get a snapshot that reaches `last`.
    pub(crate) fn on_offered(&mut self, last: Index, now: Instant) {
        assert!(self.matched < last, "nobody needs a snapshot of what it has");
        self.append_at = now;
        self.sent = self.sent.max(last);
        self.flow = Flow::Snapshot(Told { last, at: now });
    }

    /// The entries up to `matched` are durable at the peer. The caller checked that they were sent.
    pub(crate) fn on_accepted(&mut self, matched: Index, now: Instant) -> Ack {
        assert!(matched <= self.sent, "an ack beyond what was sent is never taken");
        let ack = if self.matched < matched { Ack::Advanced } else { Ack::Known };
        if ack == Ack::Advanced {
            self.matched = matched;
            self.advanced_at = now;
        }
        match &mut self.flow {
            Flow::Replicating(window) => {
                window.free(matched);
                self.next = self.next.max(matched.next());
            }
            // Any answer that confirms the probe, or more than was known, ends the probing.
            Flow::Probing(probe) => {
                let answers_probe = probe.is_some_and(|probe| probe.previous <= matched);
                if answers_probe || ack == Ack::Advanced {
                    let mut window = Window::default();
                    self.next = self.matched.next();
                    if let Some(probe) =
                        probe.filter(|probe| answers_probe && self.matched < probe.last)
                    {
                        // The rest of the probe's entries still waits for the peer's disk.
                        self.next = probe.last.next();
                        window.push(probe);
                    }
                    self.advanced_at = now;
                    self.flow = Flow::Replicating(window);
                }
            }
            // It has what it was told to get, or found more than was known.
            Flow::Snapshot(_) if ack == Ack::Advanced => {
                self.next = self.matched.next();
                self.flow = Flow::Replicating(Window::default());
            }
            Flow::Snapshot(_) => {}
        }
        assert!(self.matched < self.next, "the next entry lies beyond those that match");
        ack
    }

    /// Looks for the place where the logs agree, with `next` as the next guess.
    pub(crate) fn probe(&mut self, next: Index, now: Instant) {
        assert!(self.matched < next, "entries that match are never sent again");
        self.next = next;
        self.flow = Flow::Probing(None);
        self.advanced_at = now;
    }

    /// Whether an ack of the entries up to `matched` can answer what was sent since the peer was
    /// taken up. One that tells of a part of what it verified, since the disk is not done with the
    /// rest, may be taken for one that does not; the rest follows.
    pub(crate) fn is_answer(&self, matched: Index) -> bool {
        match &self.flow {
            Flow::Probing(probe) => {
                probe.is_some_and(|probe| (probe.previous..=probe.last).contains(&matched))
            }
            Flow::Replicating(_) => matched <= self.sent,
            // It has just what it was told to get.
            Flow::Snapshot(told) => matched == told.last,
        }
    }

    /// Whether a refusal of the entry `refused` answers something that is still open.
    pub(crate) fn is_open(&self, refused: Index) -> bool {
        if refused <= self.matched {
            return false;
        }
        match &self.flow {
            Flow::Probing(probe) => probe.is_some_and(|probe| probe.previous == refused),
            Flow::Replicating(window) => window.appends.iter().any(|sent| sent.previous == refused),
            Flow::Snapshot(_) => false,
        }
    }

    /// Whether the peer has everything that was sent, and all of it is told apart from `last`.
    pub(crate) fn is_idle(&self, last: Index) -> bool {
        match &self.flow {
            Flow::Probing(_) | Flow::Snapshot(_) => false,
            Flow::Replicating(window) => window.is_empty() && last < self.next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ack from when the peer was a member before may come late; its disk may be another now.
    #[test]
    fn only_its_last_entry_acknowledges_an_offered_snapshot() {
        let mut peer = Progress::new(NodeId::new(2), Index::new(20), Instant::default());
        peer.on_offered(Index::new(10), Instant::default());
        assert!(peer.is_answer(Index::new(10)));
        assert!(!peer.is_answer(Index::new(9)));
        assert!(!peer.is_answer(Index::new(11)));
    }
}
