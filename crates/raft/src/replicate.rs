//! How a leader brings entries to its followers: pulled by whoever has room, probed until the logs
//! agree, then streamed.

use crate::common::Core;
use crate::event::{Event, IgnoreReason, Misbehaviour, ProbeCause};
use crate::leader::Leader;
use crate::message::{Append, Envelope, Message};
use crate::progress::{Ack, Flow, Sent};
use crate::ready::Sizes;
use crate::types::{EntryId, Index, NodeId};

impl Leader {
    /// The next append for a peer, or word that it needs a snapshot. Nothing while its window is
    /// full, or its probe unanswered for less than a heartbeat interval. A probe that is repeated
    /// carries one entry: a peer that does not answer may be dead, or its disk stalled, and would
    /// be sent the same over and over. (With none at all, one with a stalled disk would answer, and
    /// be streamed to.)
    pub(crate) fn pull(&mut self, core: &Core, to: NodeId, log: &impl Sizes) -> Option<Envelope> {
        let place = self.place(to)?;
        if self.peers[place].next.previous() < core.trail.base().index {
            return self.offer_snapshot(core, place);
        }
        let last = self.last_for(core, to);
        let peer = &mut self.peers[place];
        let waiting = last.next().since(peer.next);
        let mut count_max = waiting.min(core.config.append_entries_max);
        let config = &core.config;
        let mut bytes_max = config.append_bytes_max;
        let mut is_window_open = true;
        match &peer.flow {
            Flow::Probing(Some(probe)) if core.now.since(probe.at) < config.heartbeat_interval => {
                return None;
            }
            // A probe goes even without entries: to find where the logs agree.
            Flow::Probing(Some(_)) => count_max = count_max.min(1),
            Flow::Probing(None) => {}
            Flow::Replicating(window) => {
                let room = config.inflight_bytes_max.saturating_sub(window.bytes());
                if waiting == 0 || config.inflight_appends_max <= window.count() {
                    return None;
                }
                bytes_max = bytes_max.min(room);
                is_window_open = window.is_empty();
            }
            Flow::Snapshot(_) => unreachable!("what the peer lacks is not in the log"),
        }
        let previous = core.trail.entry(peer.next.previous());
        let (count, bytes) =
            if count_max == 0 { (0, 0) } else { log.fit(peer.next, count_max, bytes_max) };
        assert!(count <= count_max, "the log was asked for {count_max} entries at most");
        assert!((count == 0) == (count_max == 0), "one entry always fits");
        // One entry may be larger than the rest of the window; it waits until the window is empty.
        if bytes_max < bytes && !is_window_open {
            return None;
        }
        let end = previous.index.plus(count);
        let runs = core.trail.runs(peer.next, end);
        let memberships = core.memberships.between(previous.index, end);
        peer.commit_told = peer.commit_told.max(core.commit.min(end));
        peer.on_sent(Sent { previous: previous.index, last: end, bytes, at: core.now });
        let append = Append { previous, runs, memberships, commit: core.commit };
        assert!(core.is_term_durable(), "a leader's term is durable");
        Some(core.envelope(to, Message::Append(append)))
    }

    /// A peer has the entries up to `matched`, durably.
    pub(crate) fn on_accepted(&mut self, core: &mut Core, place: usize, matched: Index) {
        let peer = &mut self.peers[place];
        if matched < peer.since && !peer.is_answer(matched) {
            // From when the peer was a member before: what it has is to be proved anew.
            core.emit(Event::MessageIgnored { from: peer.id, reason: IgnoreReason::Stale });
            return;
        }
        if peer.sent < matched {
            // Never sent: believing it could commit what nobody has.
            let what = Misbehaviour::AckBeyondSent;
            core.emit(Event::PeerMisbehaved { peer: peer.id, what });
            return;
        }
        let was_probing = matches!(peer.flow, Flow::Probing(_) | Flow::Snapshot(_));
        let ack = peer.on_accepted(matched, core.now);
        if was_probing && matches!(peer.flow, Flow::Replicating(_)) {
            core.emit(Event::PeerReplicates { peer: peer.id, matched: peer.matched });
        }
        if ack == Ack::Advanced {
            self.maybe_commit(core);
            self.go_on_with_transfer(core);
        }
        self.maybe_tell_commit(core, place);
    }

    /// A peer lacks the entry `refused`; its log may agree with this one up to `hint` at best. Each
    /// step skips whole terms (end of §5.3).
    pub(crate) fn on_rejected(
        &mut self,
        core: &mut Core,
        place: usize,
        refused: Index,
        hint: EntryId,
    ) {
        let peer = &mut self.peers[place];
        if !peer.is_open(refused) {
            core.emit(Event::MessageIgnored { from: peer.id, reason: IgnoreReason::Stale });
            return;
        }
        // Where the logs may agree at best. If that is before the log's beginning, so is what the
        // peer lacks, wherever it is exactly; it lacks the refused one at least.
        let agreed = core.trail.last_at_or_below(hint.index, hint.term);
        let agreed = agreed.map_or(hint.index.min(refused.previous()), |agreed| agreed.index);
        if refused < hint.index || refused <= agreed {
            // It refuses what it says to have.
            let what = Misbehaviour::HintImpossible;
            core.emit(Event::PeerMisbehaved { peer: peer.id, what });
            return;
        }
        // A late copy of a refusal, from when less was known to match.
        if agreed < peer.matched {
            core.emit(Event::MessageIgnored { from: peer.id, reason: IgnoreReason::Stale });
            return;
        }
        let next = agreed.next();
        peer.probe(next, core.now);
        let cause = ProbeCause::Rejected { refused };
        core.emit(Event::PeerProbed { peer: peer.id, next, cause });
    }

    /// The connection to a peer is another now: what was under way is lost.
    pub(crate) fn probe_afresh(&mut self, core: &mut Core, place: usize) {
        let peer = &mut self.peers[place];
        let next = match &peer.flow {
            // The search for the place of agreement goes on where it was.
            Flow::Probing(_) | Flow::Snapshot(_) => peer.next,
            Flow::Replicating(_) => peer.matched.next(),
        };
        peer.probe(next, core.now);
        let cause = ProbeCause::Connection;
        core.emit(Event::PeerProbed { peer: peer.id, next, cause });
    }

    /// A peer answers heartbeats but made no progress for long, though appends are under way: they
    /// are lost.
    pub(crate) fn maybe_give_up_appends(&mut self, core: &mut Core, place: usize) {
        let peer = &mut self.peers[place];
        let Flow::Replicating(window) = &peer.flow else { return };
        let Some(oldest_at) = window.oldest_at() else { return };
        let config = &core.config;
        let patience = (config.heartbeat_interval * 2).max(config.election_timeout_min / 2);
        if core.now.since(oldest_at.max(peer.advanced_at)) < patience {
            return;
        }
        let next = peer.matched.next();
        peer.probe(next, core.now);
        let cause = ProbeCause::NoProgress;
        core.emit(Event::PeerProbed { peer: peer.id, next, cause });
    }
}
