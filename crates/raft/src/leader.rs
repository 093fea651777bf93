//! The leader: commits, keeps its followers, confirms reads, and steps down when it is alone.
//! How entries get to the followers is in `replicate.rs`, how another takes over in `transfer.rs`,
//! and how the members change in `change.rs`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::change::Departure;
use crate::common::Core;
use crate::event::{Event, IgnoreReason, Misbehaviour, StepDownCause};
use crate::lease::LeaseUse;
use crate::message::{Message, ReadTicket};
use crate::progress::Progress;
use crate::quorum;
use crate::raft::Transition;
use crate::read::{Readers, Rounds};
use crate::ready::Source;
use crate::transfer::Transfer;
use crate::types::{Index, Instant, NodeId};

/// A member that leads.
#[derive(Clone, Debug)]
pub(crate) struct Leader {
    /// The other members, and those that were removed a moment ago, ordered by id.
    pub(crate) peers: Vec<Progress>,
    /// The empty entry with which the term began. Only entries from here on are committed by
    /// counting (§5.4.2).
    pub(crate) term_start: Index,
    /// The rounds that confirm reads.
    pub(crate) rounds: Rounds,
    /// The leadership is being handed over.
    pub(crate) transfer: Option<Transfer>,
    /// Who of `peers` is no member any more, and still gets entries until it knows.
    pub(crate) departures: BTreeMap<NodeId, Departure>,
    /// Whether it may use leases.
    pub(crate) lease_use: LeaseUse,
}

impl Leader {
    /// Begins a term: an empty entry, so that everything before it can be committed (§8), and a
    /// sign of life to all.
    pub(crate) fn new(core: &mut Core) -> Self {
        let last = core.trail.last_index();
        let now = core.now;
        let mut peers: Vec<Progress> = core
            .membership()
            .members()
            .filter(|&id| id != core.id())
            .map(|id| Progress::new(id, last, now))
            .collect();
        peers.sort_unstable_by_key(|peer| peer.id);
        let term_start = core.append_own(1, Source::TermStart).index;
        let mut leader = Self {
            peers,
            term_start,
            rounds: Rounds::default(),
            transfer: None,
            departures: BTreeMap::new(),
            lease_use: LeaseUse::Allowed,
        };
        for place in 0..leader.peers.len() {
            leader.send_heartbeat(core, place);
        }
        if let Some(ticket) = core.reads.waiting() {
            leader.rounds.join_local(ticket);
        }
        leader
    }

    /// When time matters next: a heartbeat, or the end of a silent quorum.
    pub(crate) fn deadline(&self, core: &Core) -> Instant {
        let heartbeats = self.peers.iter().map(|peer| self.heartbeat_due(core, peer));
        let quorum_due = self.quorum_heard_at(core).after(core.config.election_timeout_min);
        let transfer_due = self.transfer.map_or(Instant::NEVER, |transfer| transfer.deadline(core));
        let change_due = self.change_deadline(core);
        heartbeats.fold(quorum_due.min(transfer_due).min(change_due), Instant::min)
    }

    /// Time has passed.
    pub(crate) fn on_timeout(&mut self, core: &mut Core) -> Transition {
        if core.config.election_timeout_min <= core.now.since(self.quorum_heard_at(core)) {
            let cause = StepDownCause::QuorumLost;
            core.emit(Event::SteppedDown { term: core.term(), cause });
            return Transition::Follow { term: core.term(), leader: None };
        }
        for place in 0..self.peers.len() {
            if self.heartbeat_due(core, &self.peers[place]) <= core.now {
                self.send_heartbeat(core, place);
            }
        }
        self.go_on_with_transfer(core);
        if self.is_retired(core) && self.transfer.is_none() {
            let cause = StepDownCause::NotAVoter;
            core.emit(Event::SteppedDown { term: core.term(), cause });
            return Transition::Follow { term: core.term(), leader: None };
        }
        self.forget_departed(core);
        Transition::Stay
    }

    /// A message that only leaders get.
    pub(crate) fn on_message(&mut self, core: &mut Core, from: NodeId, message: &Message) {
        let Some(place) = self.place(from) else {
            core.emit(Event::MessageIgnored { from, reason: IgnoreReason::NotAMember });
            return;
        };
        self.peers[place].heard_at = core.now;
        match *message {
            Message::AppendAccepted { matched } => self.on_accepted(core, place, matched),
            Message::AppendRejected { refused, hint } => {
                self.on_rejected(core, place, refused, hint);
            }
            Message::HeartbeatReply { round, sent_at, support } => {
                self.on_heartbeat_reply(core, place, round, (sent_at, support));
            }
            Message::ReadIndex { ticket } => {
                self.rounds.join_remote(from, ticket);
                self.maybe_begin_round(core);
            }
            Message::Append(_)
            | Message::InstallSnapshot { .. }
            | Message::Heartbeat { .. }
            | Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::Vote { .. }
            | Message::VoteReply { .. }
            | Message::ReadIndexReply { .. }
            | Message::TimeoutNow
            | Message::HigherTerm => unreachable!("only what is meant for leaders comes here"),
        }
        self.forget_departed(core);
    }

    /// Reads of this member wait.
    pub(crate) fn on_local_read(&mut self, core: &mut Core, ticket: ReadTicket) {
        self.rounds.join_local(ticket);
        self.maybe_begin_round(core);
    }

    /// The connection to a peer broke: what is under way to it is lost.
    pub(crate) fn on_disconnected(&mut self, core: &mut Core, peer: NodeId) {
        if let Some(place) = self.place(peer) {
            self.probe_afresh(core, place);
        }
    }

    /// A connection to a peer was made: it learns at once who leads.
    pub(crate) fn on_connected(&mut self, core: &mut Core, peer: NodeId) {
        if let Some(place) = self.place(peer) {
            self.probe_afresh(core, place);
            self.send_heartbeat(core, place);
        }
    }

    /// Commits what a quorum has made durable, this member's own disk among it or not (§5.4.2).
    pub(crate) fn maybe_commit(&mut self, core: &mut Core) {
        let own = core.durable.index();
        let matched = quorum::reached(core.membership(), |id| match self.place(id) {
            Some(place) => self.peers[place].matched,
            None if id == core.id() => own,
            None => Index::ZERO,
        });
        // Entries of earlier terms are committed only along with one of this term (Figure 8).
        let Some(index) = matched.filter(|&index| self.term_start <= index) else { return };
        if index <= core.commit {
            return;
        }
        assert_eq!(
            core.trail.term_at(index),
            Some(core.term()),
            "entries from the term's start on are of this term"
        );
        core.commit_to(index);
        for place in 0..self.peers.len() {
            self.maybe_tell_commit(core, place);
        }
        self.maybe_begin_round(core);
        self.maybe_end_change(core);
    }

    /// Tells a peer the commit index at once, if no append is going to: nothing is under way to it
    /// and nothing waits to be sent.
    pub(crate) fn maybe_tell_commit(&mut self, core: &mut Core, place: usize) {
        let peer = &self.peers[place];
        let last = self.last_for(core, peer.id);
        if peer.commit_told < core.commit.min(peer.matched) && peer.is_idle(last) {
            self.send_heartbeat(core, place);
        }
    }

    /// Begins a round of reads, if one is due and the term has a committed entry: until then the
    /// commit index may miss what an earlier leader has acknowledged (§8). With a lease no round is
    /// needed, not even for those that wait for one under way.
    pub(crate) fn maybe_begin_round(&mut self, core: &mut Core) {
        if self.rounds.has_readers() && self.term_start <= core.commit && self.has_lease(core) {
            let readers = self.rounds.take_readers();
            Self::confirm(core, core.commit, readers);
            return;
        }
        while self.rounds.is_due() && self.term_start <= core.commit {
            self.rounds.begin(core.commit);
            for place in 0..self.peers.len() {
                if core.membership().is_voter(self.peers[place].id) {
                    self.send_heartbeat(core, place);
                }
            }
            // The only voter is its own quorum.
            self.maybe_finish_round(core);
        }
    }

    /// Ends the round under way, if a quorum has answered it.
    pub(crate) fn maybe_finish_round(&mut self, core: &mut Core) {
        if !self.rounds.is_under_way() {
            return;
        }
        let number = self.rounds.number;
        let confirmed = quorum::agrees(core.membership(), |id| match self.place(id) {
            Some(place) => number <= self.peers[place].round,
            None => id == core.id(),
        });
        if !confirmed {
            return;
        }
        let (index, readers) = self.rounds.finish();
        Self::confirm(core, index, readers);
    }

    /// The reads may be served from `index` on.
    fn confirm(core: &mut Core, index: Index, readers: Readers) {
        if let Some(ticket) = readers.local {
            core.reads.confirm(ticket, index, &mut core.outbox);
        }
        for (reader, ticket) in readers.remote {
            core.send(reader, Message::ReadIndexReply { ticket, index });
        }
    }

    fn on_heartbeat_reply(
        &mut self,
        core: &mut Core,
        place: usize,
        round: u64,
        (sent_at, support): (Instant, Duration),
    ) {
        let peer = &mut self.peers[place];
        if self.rounds.number < round {
            let what = Misbehaviour::RoundUnknown;
            core.emit(Event::PeerMisbehaved { peer: peer.id, what });
            return;
        }
        if peer.heartbeat_at < sent_at {
            let what = Misbehaviour::HeartbeatUnknown;
            core.emit(Event::PeerMisbehaved { peer: peer.id, what });
            return;
        }
        peer.round = peer.round.max(round);
        peer.support.on_promised(core, sent_at, support);
        self.maybe_finish_round(core);
        self.maybe_begin_round(core);
        self.maybe_give_up_appends(core, place);
    }

    /// Sends a heartbeat. Its commit index stays within what the peer is known to hold.
    pub(crate) fn send_heartbeat(&mut self, core: &mut Core, place: usize) {
        let round = self.rounds.number;
        let peer = &mut self.peers[place];
        let commit = core.commit.min(peer.matched);
        peer.heartbeat_at = core.now;
        peer.commit_told = peer.commit_told.max(commit);
        core.send(peer.id, Message::Heartbeat { commit, round, sent_at: core.now });
    }

    /// When a peer needs a sign of life. An append is one too, but it confirms no round, and its
    /// answer waits for the peer's disk: so it counts up to when the peer was heard only. Else
    /// appends to a stalled disk would take the place of the heartbeats whose answers prove that
    /// the peer is reached, and check-quorum would depose a healthy leader. Nor does its answer
    /// promise anything: with leases on, heartbeats go on.
    fn heartbeat_due(&self, core: &Core, peer: &Progress) -> Instant {
        let owes_round = self.rounds.is_under_way() && peer.round < self.rounds.number;
        let since = if owes_round || core.config.lease.is_some() {
            peer.heartbeat_at
        } else {
            peer.heartbeat_at.max(peer.append_at.min(peer.heard_at))
        };
        since.after(core.config.heartbeat_interval)
    }

    /// Up to when a quorum was heard, this member included (thesis 6.2).
    fn quorum_heard_at(&self, core: &Core) -> Instant {
        let heard_at = quorum::reached(core.membership(), |id| match self.place(id) {
            Some(place) => self.peers[place].heard_at,
            // The only voter is never alone.
            None => Instant::NEVER,
        });
        heard_at.expect("a membership has voters")
    }

    /// The place of a peer in `peers`.
    pub(crate) fn place(&self, id: NodeId) -> Option<usize> {
        self.peers.iter().position(|peer| peer.id == id)
    }
}
