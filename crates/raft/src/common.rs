//! What a member has in every role: identity, term and vote, the log's shape, the way to the disk,
//! and the outbox. Roles get it as `&mut Core` beside their own data.

use alloc::vec::Vec;
use core::time::Duration;

use crate::durable::Durable;
use crate::event::Event;
use crate::lease::Promise;
use crate::membership::{Membership, Memberships, Removal};
use crate::message::{Append, Envelope, Message};
use crate::read::LocalReads;
use crate::ready::{Config, HardState, ReadReady, Source, WantedSnapshot};
use crate::rng::Rng;
use crate::trail::Trail;
use crate::types::{EntryId, Index, Instant, NodeId, Term};

/// Messages that wait for their term to be durable, at most; beyond, the oldest is lost, as any
/// message may be.
const HELD_MESSAGES_MAX: usize = 64;

/// How many candidacies a member in a hurry may lose before it takes its time. So that a network
/// slower than the hurry still elects a leader.
const EAGER_CANDIDACIES_MAX: u32 = 8;

/// The part of a member that does not depend on its role.
#[derive(Clone, Debug)]
pub(crate) struct Core {
    /// The settings.
    pub(crate) config: Config,
    /// The latest time that an input brought; never falls. Changed by [`Core::advance`] alone.
    pub(crate) now: Instant,
    /// Where time stood when an input last brought an earlier one.
    pub(crate) time_fell_at: Option<Instant>,
    /// What this member owes to a leader's lease, whatever its role.
    pub(crate) promise: Promise,
    /// Term and vote, perhaps not durable yet. Changed by [`Core::set_hard_state`] alone.
    pub(crate) hard_state: HardState,
    /// The terms of the log's entries, durable or not.
    pub(crate) trail: Trail,
    /// The memberships of the log's entries; the last one counts.
    pub(crate) memberships: Memberships,
    /// The writes under way, and what is durable.
    pub(crate) durable: Durable,
    /// The last index known to be committed. Never falls; not durable, since a quorum is.
    pub(crate) commit: Index,
    /// Whether this member hurries to find a leader.
    pub(crate) pace: Pace,
    /// The reads that wait at this member.
    pub(crate) reads: LocalReads,
    /// What the next `Ready` will carry besides the write.
    pub(crate) outbox: Outbox,
    /// The generator of all that is random here.
    pub(crate) rng: Rng,
}

/// How soon a member without a leader tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Within a heartbeat interval or so: it heard no leader in this life, or its connection to the
    /// leader broke. Set at the start and by a broken connection.
    Eager {
        /// How many candidacies may still be lost at this pace.
        candidacies_left: u32,
    },
    /// After an election timeout, as in the paper. Set by hearing a leader.
    Patient,
}

impl Pace {
    /// In a hurry.
    pub(crate) const EAGER: Self = Self::Eager { candidacies_left: EAGER_CANDIDACIES_MAX };
}

/// What waits to be handed out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    /// Messages that may leave.
    pub(crate) messages: Vec<Envelope>,
    /// Messages of the present term that wait for it to be durable. Dropped when the term changes.
    pub(crate) held: Vec<Envelope>,
    /// Confirmed reads.
    pub(crate) reads: Vec<ReadReady>,
    /// A snapshot is needed.
    pub(crate) wanted: Option<WantedSnapshot>,
    /// Events.
    pub(crate) events: Vec<Event>,
}

impl Core {
    /// This member.
    pub(crate) const fn id(&self) -> NodeId {
        self.config.id
    }

    /// The current term.
    pub(crate) const fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The membership that counts: the last one in the log, committed or not (§6).
    pub(crate) fn membership(&self) -> &Membership {
        self.memberships.current()
    }

    /// Whether this member is a voter by its own log.
    pub(crate) fn is_voter(&self) -> bool {
        self.membership().is_voter(self.id())
    }

    /// Whether this member may stand for election: voters only, by its own log. And one whose vote
    /// is taken by an entry that is not known to be committed (thesis 4.2.2): if it led until then,
    /// its log may be the longest of all and its vote be needed, so that nobody but itself can be
    /// elected. It does not count itself.
    pub(crate) fn can_campaign(&self) -> bool {
        let was_voter = || self.memberships.previous().is_some_and(|m| m.is_voter(self.id()));
        self.is_voter() || (self.commit < self.memberships.current_index() && was_voter())
    }

    /// The last entry that is durable here: what a candidate may boast of, since only that survives
    /// a crash.
    pub(crate) fn durable_last(&self) -> EntryId {
        self.trail.entry(self.durable.index())
    }

    /// Whether the current term and vote are durable.
    pub(crate) fn is_hard_state_durable(&self) -> bool {
        self.durable.hard_state() == self.hard_state
    }

    /// Whether messages of the current term may leave.
    pub(crate) fn is_term_durable(&self) -> bool {
        self.durable.term() == self.term()
    }

    /// Changes term or vote; the next write carries both, in one record.
    pub(crate) fn set_hard_state(&mut self, hard_state: HardState) {
        assert!(self.term() <= hard_state.term, "the term never falls");
        if hard_state.term == self.term() {
            assert!(self.hard_state.vote.is_none(), "a vote is given once in a term");
        } else {
            self.outbox.held.clear();
        }
        self.hard_state = hard_state;
        self.durable.stage_hard_state(hard_state);
    }

    /// Appends entries of this member's own term: it leads.
    pub(crate) fn append_own(&mut self, count: u64, source: Source) -> EntryId {
        let first = EntryId::new(self.term(), self.trail.last_index().next());
        self.durable.stage_entries(&self.trail, first.index, source);
        self.trail.append(first.term, count);
        first
    }

    /// Appends a membership as an entry of this member's own term; it counts from now on.
    pub(crate) fn append_membership(&mut self, membership: Membership) -> EntryId {
        let entry = self.append_own(1, Source::Membership(membership.clone()));
        self.memberships.append(entry.index, membership);
        self.emit(Event::MembershipChanged { index: entry.index });
        entry
    }

    /// Replaces whatever the log holds from `first` on by the entries of `append` from there on.
    pub(crate) fn splice(&mut self, append: &Append, first: Index) {
        assert!(self.commit < first, "committed entries are never replaced");
        assert!(append.previous.index < first, "the entries follow those that agree");
        self.durable.stage_entries(&self.trail, first, Source::Received);
        self.trail.truncate(first.previous());
        let mut is_membership_changed = first <= self.memberships.current_index();
        self.memberships.truncate(first.previous());
        let mut at = append.previous.index.next();
        for run in &append.runs {
            let end = at.plus(run.count);
            if first < end {
                self.trail.append(run.term, end.since(at.max(first)));
            }
            at = end;
        }
        for (index, membership) in &append.memberships {
            if first <= *index {
                self.memberships.append(*index, membership.clone());
                is_membership_changed = true;
            }
        }
        if is_membership_changed {
            self.emit(Event::MembershipChanged { index: self.memberships.current_index() });
        }
        assert_eq!(self.trail.last_index(), append.last(), "the log ends with the new entries");
    }

    /// Entries up to `index` are committed, as far as they are new.
    pub(crate) fn commit_to(&mut self, index: Index) {
        assert!(index <= self.trail.last_index(), "only entries of the log can be committed");
        let before = self.commit;
        self.commit = self.commit.max(index);
        if before < self.memberships.current_index() {
            self.announce_memberships(before);
        }
    }

    /// Says which memberships after `before` are committed now.
    fn announce_memberships(&mut self, before: Index) {
        for (index, removal) in self.memberships.removals(before, self.commit, self.id()) {
            self.emit(Event::MembershipCommitted { index });
            match removal {
                Removal::Removed => self.emit(Event::Removed { index }),
                Removal::None => {}
            }
        }
    }

    /// Sends a message of the current term. Nothing of a term leaves before the term is durable.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        if self.is_term_durable() {
            self.outbox.messages.push(envelope);
            return;
        }
        if self.outbox.held.len() == HELD_MESSAGES_MAX {
            self.outbox.held.remove(0);
        }
        self.outbox.held.push(envelope);
    }

    /// Sends a message that promises nothing and so need not wait for the disk: an answer about
    /// terms or pre-votes.
    pub(crate) fn send_at_once(&mut self, to: NodeId, message: Message) {
        let envelope = self.envelope(to, message);
        self.outbox.messages.push(envelope);
    }

    /// Lets the messages go that waited for the term, once it is durable.
    pub(crate) fn release_held(&mut self) {
        if self.is_term_durable() {
            self.outbox.messages.append(&mut self.outbox.held);
        }
    }

    /// A message from this member in its current term.
    pub(crate) const fn envelope(&self, to: NodeId, message: Message) -> Envelope {
        Envelope { from: self.id(), to, term: self.term(), message }
    }

    /// Notes what happened.
    pub(crate) fn emit(&mut self, event: Event) {
        self.outbox.events.push(event);
    }

    /// The time of the next election timeout, drawn anew (§5.2).
    pub(crate) fn draw_election_due(&mut self) -> Instant {
        let (min, max) = (self.config.election_timeout_min, self.config.election_timeout_max);
        self.draw_due(min, max)
    }

    /// When to ask for pre-votes again, if the round just begun does not succeed. In a hurry, the
    /// wait doubles with each round in a row that was `unanswered`, so that a member without peers
    /// does not go on asking all of them every moment.
    pub(crate) fn draw_pre_vote_due(&mut self, unanswered: u32) -> Instant {
        match self.pace {
            Pace::Eager { .. } => {
                let longest = self.config.election_timeout_min;
                let wait = doubled(self.config.heartbeat_interval, unanswered).min(longest);
                self.draw_due(wait / 2, wait)
            }
            Pace::Patient => self.draw_election_due(),
        }
    }

    /// When to try again, if the election just begun, or just voted in, has no winner. In a hurry,
    /// the wait doubles with each candidacy of this member, the present one included: perhaps the
    /// network is slower than the hurry, and then it is the haste itself that loses elections.
    pub(crate) fn draw_candidacy_due(&mut self) -> Instant {
        match self.pace {
            Pace::Eager { candidacies_left } => {
                let config = &self.config;
                let (min, max) = (config.election_timeout_min, config.election_timeout_max);
                let candidacies = EAGER_CANDIDACIES_MAX - candidacies_left;
                let wait = doubled(config.heartbeat_interval, candidacies);
                self.draw_due((wait / 2).min(min), wait.saturating_mul(2).min(max))
            }
            Pace::Patient => self.draw_election_due(),
        }
    }

    /// One more candidacy begins: a member does not hurry for ever.
    pub(crate) const fn count_candidacy(&mut self) {
        self.pace = match self.pace {
            Pace::Eager { candidacies_left: 0 | 1 } | Pace::Patient => Pace::Patient,
            Pace::Eager { candidacies_left } => {
                Pace::Eager { candidacies_left: candidacies_left - 1 }
            }
        };
    }

    /// A random point between `least` and `most` from now.
    pub(crate) fn draw_due(&mut self, least: Duration, most: Duration) -> Instant {
        let delay = self.rng.between(least, most);
        self.now.after(delay)
    }
}

/// `duration`, doubled so many times.
const fn doubled(duration: Duration, times: u32) -> Duration {
    duration.saturating_mul(2_u32.saturating_pow(times))
}
