//! Linearizable reads without a write: ReadIndex (§8, thesis 6.4).
//!
//! A leader that wants to serve a read must know two things: its commit index covers everything
//! that was acknowledged before, which holds once an entry of its own term is committed; and it
//! still leads, which a quorum confirms by answering a heartbeat that was sent *after* the read
//! came. The heartbeats carry a number chosen by the leader. Reads that come while a round is under
//! way wait for the next one, so under load one round serves many.

use alloc::vec::Vec;

use crate::common::Outbox;
use crate::message::ReadTicket;
use crate::ready::ReadReady;
use crate::types::{Index, NodeId};

/// The reads that wait at this member, whatever its role. A newer ticket covers all older ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalReads {
    /// The newest ticket given out.
    newest: u64,
    /// The newest ticket confirmed; never above `newest`.
    confirmed: u64,
}

impl LocalReads {
    /// Tickets begin at a random place, so that an answer to an earlier life finds no reader.
    pub(crate) const fn new(random: u64) -> Self {
        // Room for as many tickets as anyone will ever ask for.
        let start = random >> 2;
        Self { newest: start, confirmed: start }
    }

    /// Gives out a ticket.
    pub(crate) const fn issue(&mut self) -> ReadTicket {
        self.newest += 1;
        ReadTicket(self.newest)
    }

    /// The newest ticket, if it waits.
    pub(crate) fn waiting(&self) -> Option<ReadTicket> {
        (self.confirmed < self.newest).then_some(ReadTicket(self.newest))
    }

    /// Whether `ticket` waits.
    pub(crate) const fn is_waiting(&self, ticket: ReadTicket) -> bool {
        self.confirmed < ticket.0 && ticket.0 <= self.newest
    }

    /// Everything up to `ticket`, which waits, may be served from `index` on.
    pub(crate) fn confirm(&mut self, ticket: ReadTicket, index: Index, outbox: &mut Outbox) {
        assert!(self.is_waiting(ticket), "only a waiting ticket is confirmed");
        self.confirmed = ticket.0;
        outbox.reads.push(ReadReady { ticket, index });
    }
}

/// The rounds of a leader. Dropped when it steps down: local reads stay in [`LocalReads`], other
/// members ask the next leader.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rounds {
    /// The number of the newest round; 0 before the first. Never falls within a term.
    pub(crate) number: u64,
    /// The round under way: that of `number`.
    current: Option<Round>,
    /// Who waits for the next round.
    next: Readers,
}

/// A round under way.
#[derive(Clone, Debug)]
struct Round {
    /// The commit index when it began: not below that of the moment when any of its reads came.
    index: Index,
    readers: Readers,
}

/// Who waits for a round: the newest ticket of each member covers its older ones, so there are
/// never more than there are members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readers {
    /// The newest ticket of this member.
    pub(crate) local: Option<ReadTicket>,
    /// The newest tickets of other members.
    pub(crate) remote: Vec<(NodeId, ReadTicket)>,
}

impl Rounds {
    /// A read of this member waits for the next round.
    pub(crate) const fn join_local(&mut self, ticket: ReadTicket) {
        self.next.local = Some(ticket);
    }

    /// A read of another member waits for the next round. An older request that comes late changes
    /// nothing. Nor does the first one after a restart, if its random number is below that of one
    /// that waits; but the member repeats it, and the next round is free of the earlier life.
    pub(crate) fn join_remote(&mut self, from: NodeId, ticket: ReadTicket) {
        match self.next.remote.iter_mut().find(|(id, _)| *id == from) {
            Some((_, waiting)) => *waiting = ticket.max(*waiting),
            None => self.next.remote.push((from, ticket)),
        }
    }

    /// Whether a round should begin now.
    pub(crate) fn is_due(&self) -> bool {
        self.current.is_none() && (self.next.local.is_some() || !self.next.remote.is_empty())
    }

    /// Whether anybody waits, for the round under way or for the next.
    pub(crate) const fn has_readers(&self) -> bool {
        self.current.is_some() || self.next.local.is_some() || !self.next.remote.is_empty()
    }

    /// Lets go all who wait: they are confirmed in another way. What still answers a round under
    /// way confirms nothing any more.
    pub(crate) fn take_readers(&mut self) -> Readers {
        let mut readers = core::mem::take(&mut self.next);
        if let Some(round) = self.current.take() {
            readers.local = readers.local.max(round.readers.local);
            readers.remote.extend(round.readers.remote);
        }
        readers
    }

    /// Whether a round is under way.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.current.is_some()
    }

    /// Begins a round for all who wait.
    pub(crate) fn begin(&mut self, index: Index) {
        assert!(self.is_due(), "a round begins when someone waits and none is under way");
        self.number += 1;
        self.current = Some(Round { index, readers: core::mem::take(&mut self.next) });
    }

    /// The round under way is confirmed.
    pub(crate) fn finish(&mut self) -> (Index, Readers) {
        let round = self.current.take().expect("a round is under way");
        (round.index, round.readers)
    }
}
