//! The owner's part in who the members are: changes that are asked for, learners that wait for a
//! vote, streams that follow the membership, and the end of a member that was removed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::{EntryId, Event as CoreEvent, Instant, NodeId, Standing};
use quorate_replica::{ChangeOutcome, Members};

use super::Owner;
use crate::change::{Change, ChangeError, ChangeErrorKind, ChangeWaiter, Changed};
use crate::context::Context;
use crate::inbox::MembersView;
use crate::machine::Machine;

/// A removed leader that finds nobody to take over goes after so many election timeouts.
const RETIREMENT_MAX: u32 = 5;

/// What the owner keeps about members.
#[derive(Debug)]
pub(super) struct Membership {
    /// Those who wait for a change, with its first entry.
    waiters: Vec<(EntryId, ChangeWaiter)>,
    /// What was known of members when this one started: for those of whom the log says nothing.
    first: BTreeMap<NodeId, Bytes>,
    /// Learners that wait for a vote.
    candidates: Vec<NodeId>,
    /// When they are looked at next.
    promote_at: Instant,
    /// The last member that was removed for good.
    last_removed: Option<NodeId>,
    /// This member was removed.
    retirement: Option<Retirement>,
    /// An election timeout.
    patience: Duration,
}

/// The end of a member that was removed: the others learn of it before it goes.
#[derive(Clone, Copy, Debug)]
struct Retirement {
    /// When it goes, if it does not lead.
    at: Instant,
    /// When it goes in any case.
    latest: Instant,
}

impl Membership {
    pub(super) fn new(first: BTreeMap<NodeId, Bytes>, patience: Duration) -> Self {
        Self {
            waiters: Vec::new(),
            first,
            candidates: Vec::new(),
            promote_at: Instant::default(),
            last_removed: None,
            retirement: None,
            patience,
        }
    }

    /// When the owner must look at this again.
    pub(super) fn deadline(&self) -> Instant {
        self.retirement.map_or(Instant::NEVER, |retirement| retirement.at)
    }

    /// The members, with what is known of them from elsewhere than the log.
    fn complete(&self, members: &Members) -> Members {
        let mut members = members.clone();
        for id in members.membership.members().collect::<Vec<_>>() {
            if let Some(known) = self.first.get(&id) {
                members.contexts.entry(id).or_insert_with(|| known.clone());
            }
        }
        members
    }
}

fn urls(context: &Bytes) -> Vec<String> {
    Context::decode(context).unwrap_or_default().urls
}

impl<M: Machine> Owner<M> {
    pub(super) fn members_view(&self) -> MembersView {
        MembersView {
            current: self.membership.complete(self.replica.members()),
            applied: self.membership.complete(self.replica.members_applied()),
        }
    }

    /// Begins a change, or says where the leader is.
    pub(super) fn on_change(&mut self, now: Instant, change: &Change, waiter: ChangeWaiter) {
        let members = self.membership.complete(self.replica.members());
        if !self.replica.raft().is_leader() {
            let leader = self.replica.raft().leader();
            let leader = leader.and_then(|id| Some((id, urls(members.contexts.get(&id)?))));
            waiter.send(Changed::Elsewhere(leader)).ok();
            return;
        }
        match self.begin_change(now, change, &members) {
            Ok(entry) => self.membership.waiters.push((entry, waiter)),
            Err(error) => {
                waiter.send(Changed::Not(error)).ok();
            }
        }
    }

    fn begin_change(
        &mut self,
        now: Instant,
        change: &Change,
        members: &Members,
    ) -> Result<EntryId, ChangeError> {
        let plan = change.plan(members)?;
        let mut contexts = plan.contexts;
        for id in plan.target.voters.iter().chain(&plan.target.learners) {
            // What is known from the settings alone goes into the log, for those who come.
            if let Some(known) = members.contexts.get(id)
                && !self.replica.members().contexts.contains_key(id)
            {
                contexts.entry(*id).or_insert_with(|| known.clone());
            }
        }
        let entry = self.replica.change_membership(now, &plan.target, contexts)?;
        tracing::info!(?change, "the membership changes");
        Ok(entry)
    }

    /// Tells those whose change is decided.
    pub(super) fn answer_changes(&mut self) {
        let replica = &self.replica;
        let decided = |(entry, _): &mut (EntryId, ChangeWaiter)| {
            replica.change_outcome(*entry) != ChangeOutcome::Pending
        };
        for (entry, waiter) in self.membership.waiters.extract_if(.., decided) {
            let changed = match replica.change_outcome(entry) {
                ChangeOutcome::Done => Changed::Done,
                ChangeOutcome::Lost => Changed::Not(ChangeError::not_leader()),
                ChangeOutcome::Unknown | ChangeOutcome::Pending => {
                    let text = "whether the change was made is unknown; look at the members";
                    Changed::Not(ChangeError::new(ChangeErrorKind::Unknown, text))
                }
            };
            waiter.send(changed).ok();
        }
    }

    /// Promotes a learner that waits for a vote, if one has caught up.
    pub(super) fn promote_learners(&mut self, now: Instant) {
        if self.membership.candidates.is_empty()
            || now < self.membership.promote_at
            || !self.replica.raft().is_leader()
            || self.replica.raft().is_change_pending()
        {
            return;
        }
        self.membership.promote_at = now.after(self.late);
        let members = self.membership.complete(self.replica.members());
        for id in self.membership.candidates.clone() {
            match self.begin_change(now, &Change::Promote { id }, &members) {
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "a learner is not promoted yet"),
            }
        }
    }

    /// Something happened to the membership, perhaps: streams and candidates follow it.
    pub(super) fn follow_members(&mut self, now: Instant, events: &[CoreEvent]) {
        let is_changed = events.iter().any(|event| {
            matches!(
                event,
                CoreEvent::MembershipChanged { .. } | CoreEvent::MembershipCommitted { .. }
            )
        });
        if events.iter().any(|event| matches!(event, CoreEvent::Removed { .. })) {
            self.on_removed(now);
        }
        let last_removed = self.replica.members_applied().removed.last().copied();
        if last_removed != self.membership.last_removed {
            self.membership.last_removed = last_removed;
            self.transport.refuse(self.replica.members_applied().removed.iter().copied());
        }
        if is_changed || !self.replica.peers().eq(self.peers.iter().copied()) {
            self.connect();
        }
    }

    /// Connects to those who are members now.
    pub(super) fn connect(&mut self) {
        self.peers = self.replica.peers().collect();
        let own = self.replica.raft().id();
        let members = self.membership.complete(self.replica.members());
        let contexts = &members.contexts;
        let mut peers: BTreeMap<_, _> =
            self.peers.iter().map(|id| (*id, contexts.get(id).map(urls))).collect();
        let standing = self.replica.raft().standing();
        if standing == Standing::Stranger {
            // Its log is about members of long ago, perhaps.
            for (id, context) in &self.membership.first {
                peers.entry(*id).or_insert_with(|| Some(urls(context)));
            }
        }
        peers.remove(&own);
        self.transport.connect_to(&peers);
        let is_candidate = |id: &NodeId| {
            let context = contexts.get(id).and_then(|context| Context::decode(context));
            context.is_some_and(|context| context.is_to_vote)
        };
        let learners = members.membership.learners.iter().copied();
        self.membership.candidates = learners.filter(is_candidate).collect();
        self.membership.promote_at = Instant::default();
    }

    /// This member was removed, by its own log or as another told it.
    pub(super) fn on_removed(&mut self, now: Instant) {
        let patience = self.membership.patience;
        self.membership.retirement.get_or_insert_with(|| {
            tracing::warn!("this member was removed from the cluster: it stops in a moment");
            Retirement { at: now.after(patience), latest: now.after(patience * RETIREMENT_MAX) }
        });
    }

    /// Whether a removed member goes now: not as long as it leads and others may take over.
    pub(super) fn is_to_go(&mut self, now: Instant) -> bool {
        let Some(retirement) = &mut self.membership.retirement else { return false };
        if now < retirement.at {
            return false;
        }
        if self.replica.raft().is_leader() && now < retirement.latest {
            retirement.at = now.after(self.late);
            return false;
        }
        true
    }
}
