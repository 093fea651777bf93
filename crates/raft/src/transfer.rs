//! Handing the leadership over (thesis 3.10): the leader stops proposing, brings one follower up to
//! the end of its log, and tells it to stand for election at once.
//!
//! Nothing here is needed for safety: the election is one like any other, but that voters do not
//! refuse it for the leader's sake, and the leader leads until it hears of the higher term. What
//! must hold is that it comes to an end: whoever does not take over within an election timeout is
//! given up, and proposals go on here.

use crate::common::Core;
use crate::event::Event;
use crate::leader::Leader;
use crate::lease::LeaseUse;
use crate::message::Message;
use crate::ready::TransferError;
use crate::types::{Instant, NodeId};

/// A transfer under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transfer {
    /// Who is to lead.
    to: NodeId,
    /// When it is given up.
    until: Instant,
    /// When the other was told to stand for election, last.
    told_at: Option<Instant>,
}

impl Transfer {
    /// When time matters next to it.
    pub(crate) fn deadline(&self, core: &Core) -> Instant {
        let again = self.told_at.map(|told_at| told_at.after(core.config.heartbeat_interval));
        again.map_or(self.until, |again| again.min(self.until))
    }
}

impl Leader {
    /// Whom the leadership is handed over to, if it is.
    pub(crate) fn transferring(&self) -> Option<NodeId> {
        self.transfer.map(|transfer| transfer.to)
    }

    /// Begins to hand over, to the voter that has the most of the log if none is named.
    pub(crate) fn begin_transfer(
        &mut self,
        core: &mut Core,
        to: Option<NodeId>,
    ) -> Result<NodeId, TransferError> {
        let to = match to {
            Some(to) if core.membership().incoming.contains(&to) => to,
            Some(_) => return Err(TransferError::NotAVoter),
            // Whoever is to take over already will do.
            None => self
                .transferring()
                .or_else(|| self.best_successor(core))
                .ok_or(TransferError::NobodyElse)?,
        };
        match self.transferring() {
            Some(other) if other != to => return Err(TransferError::UnderWay { to: other }),
            Some(_) => return Ok(to),
            None if to == core.id() => return Ok(to),
            None => {}
        }
        let until = core.now.after(core.config.election_timeout_min);
        self.transfer = Some(Transfer { to, until, told_at: None });
        // Before anybody is told: who takes over is excused from the promises to this leader.
        self.lease_use = LeaseUse::GivenUp;
        core.emit(Event::TransferBegan { to });
        self.go_on_with_transfer(core);
        Ok(to)
    }

    /// Tells the other to stand for election once it has the whole log, again and again until it is
    /// given up.
    pub(crate) fn go_on_with_transfer(&mut self, core: &mut Core) {
        let Some(transfer) = self.transfer else { return };
        let Transfer { to, until, told_at } = transfer;
        // Whom a change of membership has taken the vote meanwhile does not take over either.
        let place = self.place(to).filter(|_| core.membership().incoming.contains(&to));
        let Some(place) = place.filter(|_| core.now < until) else {
            self.transfer = None;
            core.emit(Event::TransferFailed { to });
            if core.membership().is_joint() {
                // The end of a change waits while the leadership is being handed over.
                self.maybe_end_change(core);
            }
            return;
        };
        let interval = core.config.heartbeat_interval;
        let is_told = told_at.is_some_and(|told_at| core.now.since(told_at) < interval);
        if !is_told && self.peers[place].matched == core.trail.last_index() {
            self.transfer = Some(Transfer { told_at: Some(core.now), ..transfer });
            core.send(to, Message::TimeoutNow);
        }
    }

    /// The voter, among those heard lately, that has the most of the log.
    fn best_successor(&self, core: &Core) -> Option<NodeId> {
        let lately = core.config.election_timeout_min;
        let heard = self.peers.iter().filter(|peer| {
            // Not who is about to lose its vote: it would have to hand over in turn.
            core.membership().incoming.contains(&peer.id) && core.now.since(peer.heard_at) < lately
        });
        heard.max_by_key(|peer| (peer.matched, peer.heard_at)).map(|peer| peer.id)
    }
}
