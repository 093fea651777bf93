//! State digests compared through the log: a member whose state differs from that of a majority
//! stops, and says why.
//!
//! *How.* After so much was applied the leader puts an entry into the log that asks for a
//! comparison. Each member, when it applies that entry, notes the digest of its state at exactly
//! this place, and each voter answers with it: it tells the leader, who puts the answer into the
//! log. Answers are applied like anything else, so all members see the same ones in the same order.
//! Once a majority of the voters (of both halves, while the voters change) has answered with one
//! digest, that is the right one, and a member that noted another stops: nothing that it applied
//! in the same step is answered, and a file in its directory keeps it from starting again
//! ([`crate::diverged`]). A leader stops like any other member, and another takes over.
//!
//! *What is promised.* A member whose state differs at a comparison, and stays in touch, serves
//! nothing more once it applies the deciding answer. Between the moment when its state
//! went wrong and that one it has answered from it; the policy says how much may be applied until
//! the next comparison.
//!
//! **Invariants**
//! - Answers are told again until they are seen in the log, and may be there twice: the first of a
//!   member counts. So they need neither a sequence nor an origin, which would leave gaps in those
//!   of the clients' proposals.
//! - Nobody answers what was in its log when it started, nor what is decided, nor any but the last
//!   question. A replay of the log compares the old answers with what it computes itself, and adds
//!   none.
//! - Whoever takes in a snapshot forgets what it noted: that was another state.
//! - Only what clients propose brings the next comparison nearer: an idle cluster's log rests.
//! - What is kept here follows from the log since the start or the snapshot, so it is not part of
//! - What is kept here follows from the log since the start or the snapshot, so it is no part of
//! - A client cannot forge an answer: its bytes only ever stand in the bodies of commands, and a
//!   leader takes nothing but commands as proposals. Nor can a member speak for another: the leader
//!   writes down who the message came from.
//!
//! **No majority.** If the voters disagree and none of the digests has a majority, safety is lost
//! and nobody knows who is right. Then all say so, loudly, and nobody stops: stopping everyone
//! would make an outage, from which no restart leads out, of what may be the difference of
//! something that nobody reads, and would keep the operator from looking at the states and from
//! saving them. With two voters every difference is of this kind.
//!
//! **Left out.** A state that went wrong may have left in a snapshot before the comparison, and who
//! took that in is wrong as well; if they are a majority then, the others stop.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quorate_log::{BlockBuilder, Disk, EntryKind};
use quorate_raft::{Index, Instant, Membership, NodeId, Term};

use crate::check::CheckEntry;
use crate::diverged;
use crate::effects::{Fatal, Note};
use crate::machine::StateMachine;
use crate::message::{Body, PeerMessage};
use crate::replica::Replica;

/// Questions that are remembered.
const KEPT_MAX: usize = 8;

/// When the members compare their states: after so much was applied since the last time, whichever
/// comes first, and at most once in a heartbeat interval. `u64::MAX` in both: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckPolicy {
    /// Commands.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Default for CheckPolicy {
    fn default() -> Self {
        Self { entries: 4096, bytes: 1 << 20 }
    }
}

/// What is known of the comparisons. See the module.
#[derive(Debug)]
pub(crate) struct Checks {
    policy: CheckPolicy,
    /// The time between two questions at least.
    interval: Duration,
    /// The end of the log when this life began.
    began_with: Index,
    /// Commands that were applied since the last question, and their bytes.
    entries: u64,
    bytes: u64,
    /// The last question that this member put into the log as the leader of a term.
    asked: Option<(Term, Index)>,
    /// When the next may be put.
    ask_after: Instant,
    /// The last questions that were applied.
    kept: BTreeMap<Index, Check>,
    /// The answer that was told to a leader last, and when it is told again.
    told: Option<(Index, Term, Instant)>,
}

/// A question.
#[derive(Debug)]
struct Check {
    /// What was noted here; 0 if the machine has no digests.
    own: u64,
    /// The answers in the log.
    answers: BTreeMap<NodeId, u64>,
    /// Whose answers this member put into the log as the leader of a term.
    placed: BTreeMap<NodeId, Term>,
    outcome: Outcome,
}

/// What the answers come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Too few have answered.
    Open,
    /// A majority has this digest.
    Agreed(u64),
    /// All voters have answered, and no digest has a majority.
    Undecided,
}

impl Checks {
    pub(crate) fn new(policy: CheckPolicy, interval: Duration, began_with: Index) -> Self {
        Self {
            policy,
            interval,
            began_with,
            entries: 0,
            bytes: 0,
            asked: None,
            ask_after: Instant::default(),
            kept: BTreeMap::new(),
            told: None,
        }
    }

    /// A command was applied.
    pub(crate) fn on_command(&mut self, bytes: usize) {
        self.entries += 1;
        self.bytes += u64::try_from(bytes).expect("lengths fit");
    }

    /// A snapshot has taken the place of the state.
    pub(crate) fn on_snapshot(&mut self) {
        self.kept.clear();
        self.told = None;
    }

    fn is_due(&self) -> bool {
        self.policy.entries <= self.entries || self.policy.bytes <= self.bytes
    }

    /// Counts anew from a question.
    fn begin_anew(&mut self) {
        (self.entries, self.bytes) = (0, 0);
    }

    fn on_asked(&mut self, index: Index, own: u64) {
        self.begin_anew();
        let (answers, placed) = (BTreeMap::new(), BTreeMap::new());
        self.kept.insert(index, Check { own, answers, placed, outcome: Outcome::Open });
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_first();
        }
    }

    /// Takes an answer from the log. Returns what was noted here and the answers, if these tell
    /// something new: a majority, or a difference.
    fn on_answered(
        &mut self,
        (member, index, digest): (NodeId, Index, u64),
        membership: &Membership,
    ) -> Option<&Check> {
        let check = self.kept.get_mut(&index)?;
        if !membership.is_voter(member) || check.answers.contains_key(&member) {
            return None;
        }
        check.answers.insert(member, digest);
        let before = check.outcome;
        if !matches!(before, Outcome::Agreed(_)) {
            check.outcome = outcome(&check.answers, membership);
        }
        let is_new = before != check.outcome || check.answers.values().any(|one| *one != digest);
        is_new.then_some(&*check)
    }

    /// The answer that `own` still owes.
    fn owed(&self, own: NodeId) -> Option<(Index, u64)> {
        let (index, check) = self.kept.last_key_value()?;
        let owes = self.began_with < *index
            && check.own != 0
            && check.outcome == Outcome::Open
            && !check.answers.contains_key(&own);
        owes.then_some((*index, check.own))
    }

    /// Whether the answer of `member` is to be put into the log by the leader of `term`, who then
    /// does so.
    fn place(&mut self, index: Index, member: NodeId, term: Term) -> bool {
        let Some(check) = self.kept.get_mut(&index) else { return false };
        !check.answers.contains_key(&member) && check.placed.insert(member, term) != Some(term)
    }
}

/// What `answers` come to.
fn outcome(answers: &BTreeMap<NodeId, u64>, membership: &Membership) -> Outcome {
    let have = |voters: &BTreeSet<NodeId>, digest: u64| {
        let count = voters.iter().filter(|voter| answers.get(voter) == Some(&digest)).count();
        voters.is_empty() || voters.len() < 2 * count
    };
    let agreed = answers.values().find(|digest| {
        have(&membership.incoming, **digest) && have(&membership.outgoing, **digest)
    });
    let mut voters = membership.incoming.union(&membership.outgoing);
    match agreed {
        Some(digest) => Outcome::Agreed(*digest),
        None if voters.all(|voter| answers.contains_key(voter)) => Outcome::Undecided,
        None => Outcome::Open,
    }
}

impl<D: Disk, M: StateMachine> Replica<D, M> {
    /// A check entry is applied; everything before it is, too, and nothing after it.
    pub(crate) fn on_check(&mut self, index: Index, body: &[u8]) -> Result<(), Fatal> {
        let (member, asked_at, digest) = match CheckEntry::decode(body) {
            None => return Ok(()),
            Some(CheckEntry::Asked) => {
                self.checks.on_asked(index, self.machine.digest());
                return Ok(());
            }
            Some(CheckEntry::Answered { member, index, digest }) => (member, index, digest),
        };
        let answer = (member, asked_at, digest);
        let Some(check) = self.checks.on_answered(answer, &self.membership.1.membership) else {
            return Ok(());
        };
        if let Outcome::Agreed(majority) = check.outcome
            && check.own != 0
            && check.own != majority
        {
            let fatal = Fatal::Diverged { index: asked_at, own: check.own, majority };
            if let Err(error) = diverged::mark(&self.snapshots.disk, &fatal.to_string()) {
                return Err(Fatal::Unmarked { diverged: Box::new(fatal), error });
            }
            return Err(fatal);
        }
        let mut digests = check.answers.values();
        let first = digests.next();
        if digests.any(|digest| Some(digest) != first) {
            let digests = check.answers.iter().map(|(member, digest)| (*member, *digest)).collect();
            let (index, outcome) = (asked_at, check.outcome);
            self.effects.notes.push(Note::Differ { index, digests, outcome });
        }
        Ok(())
    }

    /// Asks for a comparison if this member leads and it is time, and gives the answer that it
    /// owes.
    pub(crate) fn go_on_comparing(&mut self, now: Instant) {
        if self.checks.is_due() && self.may_place_check(now) {
            self.maybe_ask(now);
        }
        let own = self.raft.id();
        if !self.membership.1.membership.is_voter(own) {
            return;
        }
        let Some((index, digest)) = self.checks.owed(own) else { return };
        let Some(leader) = self.raft.leader() else { return };
        if leader == own {
            self.place_answer(now, own, index, digest);
            return;
        }
        let term = self.raft.term();
        let is_told = self
            .checks
            .told
            .is_some_and(|(told, at, again)| (told, at) == (index, term) && now < again);
        if !is_told {
            self.checks.told = Some((index, term, now.after(self.patience)));
            let body = Body::Digest { index, digest };
            self.effects.messages.push(PeerMessage { from: own, to: leader, term, body });
        }
    }

    /// When an answer is told again.
    pub(crate) fn check_deadline(&self) -> Option<Instant> {
        let own = self.raft.id();
        let leader = self.raft.leader().filter(|leader| *leader != own);
        let (told, term, again) = self.checks.told?;
        let owed = self.checks.owed(own).filter(|_| self.membership.1.membership.is_voter(own));
        let waits = (owed?.0, self.raft.term()) == (told, term) && leader.is_some();
        waits.then_some(again)
    }

    /// A member says what it noted.
    pub(crate) fn on_digest(&mut self, now: Instant, from: NodeId, index: Index, digest: u64) {
        if digest != 0 && self.membership.1.membership.is_voter(from) {
            self.place_answer(now, from, index, digest);
        }
    }

    fn may_place_check(&self, now: Instant) -> bool {
        self.raft.is_leader() && self.raft.transferring().is_none() && self.has_room(now)
    }

    fn maybe_ask(&mut self, now: Instant) {
        let term = self.raft.term();
        // One that this leader asked for and has not applied yet may still count.
        let is_asked = self
            .checks
            .asked
            .is_some_and(|(asked_in, index)| asked_in == term && self.applied.index < index);
        if is_asked || now < self.checks.ask_after {
            return;
        }
        if self.membership.1.membership.members().nth(1).is_none() || self.machine.digest() == 0 {
            // There is nobody, or nothing, to compare with.
            self.checks.begin_anew();
            return;
        }
        self.checks.ask_after = now.after(self.checks.interval);
        let index = self.append_check(now, CheckEntry::Asked);
        self.checks.asked = Some((term, index));
    }

    fn place_answer(&mut self, now: Instant, member: NodeId, index: Index, digest: u64) {
        if self.may_place_check(now) && self.checks.place(index, member, self.raft.term()) {
            self.append_check(now, CheckEntry::Answered { member, index, digest });
        }
    }

    /// Puts an entry into the log, as the leader. Returns its index.
    fn append_check(&mut self, now: Instant, entry: CheckEntry) -> Index {
        let mut builder = BlockBuilder::new();
        builder.push(EntryKind::Check, 0, 0, &entry.encode());
        self.append_as_leader(now, builder.finish(Index::new(1), Term::ZERO));
        self.raft.last().index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(id: u64) -> NodeId {
        NodeId::new(id)
    }

    fn voters(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    fn come_to(answers: &[(u64, u64)], membership: &Membership) -> Outcome {
        outcome(&answers.iter().map(|(id, digest)| (node(*id), *digest)).collect(), membership)
    }

    #[test]
    fn a_majority_of_the_voters_is_right_and_nothing_less() {
        let four =
            Membership { learners: voters(&[9]), ..Membership::of_voters(voters(&[1, 2, 3, 4])) };
        assert_eq!(come_to(&[], &four), Outcome::Open);
        assert_eq!(come_to(&[(1, 7), (2, 7)], &four), Outcome::Open, "half is no majority");
        assert_eq!(come_to(&[(1, 7), (2, 7), (9, 7)], &four), Outcome::Open, "9 has no vote");
        assert_eq!(come_to(&[(1, 7), (2, 7), (3, 8), (4, 7)], &four), Outcome::Agreed(7));
        assert_eq!(come_to(&[(1, 7), (2, 7), (3, 8), (4, 8)], &four), Outcome::Undecided);
    }

    #[test]
    fn while_the_voters_change_both_halves_must_agree() {
        let joint = Membership {
            incoming: voters(&[1, 2, 3]),
            outgoing: voters(&[3, 4, 5]),
            ..Membership::default()
        };
        assert_eq!(come_to(&[(1, 7), (2, 7), (3, 7)], &joint), Outcome::Open);
        assert_eq!(come_to(&[(1, 7), (2, 7), (3, 7), (4, 7)], &joint), Outcome::Agreed(7));
        let split = [(1, 7), (2, 7), (3, 7), (4, 8), (5, 8)];
        assert_eq!(come_to(&split, &joint), Outcome::Undecided, "each half has its own majority");
    }

    fn checks(began_with: u64) -> Checks {
        Checks::new(CheckPolicy::default(), Duration::from_millis(20), Index::new(began_with))
    }

    #[test]
    fn the_first_answer_of_a_member_counts() {
        let three = Membership::of_voters(voters(&[1, 2, 3]));
        let mut checks = checks(0);
        let at = Index::new(10);
        checks.on_asked(at, 7);
        assert!(checks.on_answered((node(1), at, 7), &three).is_none(), "nothing to tell yet");
        assert!(checks.on_answered((node(1), at, 8), &three).is_none(), "it has answered");
        assert!(checks.on_answered((node(9), at, 7), &three).is_none(), "it has no vote");
        assert!(checks.on_answered((node(2), Index::new(9), 7), &three).is_none(), "no question");
        let check = checks.on_answered((node(2), at, 7), &three).expect("a majority");
        assert_eq!(check.outcome, Outcome::Agreed(7));
        let check = checks.on_answered((node(3), at, 8), &three).expect("it differs");
        assert_eq!(check.outcome, Outcome::Agreed(7));
    }

    #[test]
    fn only_the_last_open_question_of_this_life_is_owed_an_answer() {
        let three = Membership::of_voters(voters(&[1, 2, 3]));
        let mut checks = checks(10);
        checks.on_asked(Index::new(10), 7);
        assert_eq!(checks.owed(node(1)), None, "it was in the log");
        checks.on_asked(Index::new(20), 8);
        assert_eq!(checks.owed(node(1)), Some((Index::new(20), 8)));
        checks.on_answered((node(1), Index::new(20), 8), &three);
        assert_eq!(checks.owed(node(1)), None, "it is given");
        checks.on_answered((node(2), Index::new(20), 8), &three);
        assert_eq!(checks.owed(node(3)), None, "it is decided");
        checks.on_asked(Index::new(30), 0);
        assert_eq!(checks.owed(node(1)), None, "there is no digest");
        checks.on_asked(Index::new(40), 9);
        checks.on_snapshot();
        assert_eq!(checks.owed(node(1)), None, "another state is here");
        for index in 50..100 {
            checks.on_asked(Index::new(index), 1);
        }
        assert_eq!(checks.kept.len(), KEPT_MAX);
    }

    #[test]
    fn a_leader_puts_an_answer_into_the_log_once_in_its_term() {
        let mut checks = checks(0);
        let at = Index::new(10);
        assert!(!checks.place(at, node(2), Term::new(1)), "nobody asked there");
        checks.on_asked(at, 7);
        assert!(checks.place(at, node(2), Term::new(1)));
        assert!(!checks.place(at, node(2), Term::new(1)));
        assert!(checks.place(at, node(3), Term::new(1)));
        assert!(checks.place(at, node(2), Term::new(3)), "the entry may be lost");
        checks.on_answered((node(2), at, 7), &Membership::of_voters(voters(&[1, 2, 3])));
        assert!(!checks.place(at, node(2), Term::new(4)), "it is in the log");
    }
}
