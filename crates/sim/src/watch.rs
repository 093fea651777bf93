//! The checkers that look after every event: what must hold in the cluster as a whole.
//!
//! They see the members from outside, and believe nothing that a member says of another. What they
//! keep is indexed by term and by index, so that each event costs a few comparisons.

use std::collections::BTreeMap;

use quorate_raft::{EntryId, HardState, Index, Raft, RoleName, Term};

use crate::marks::{Mark, Marks};
use crate::violation::demand;

/// What must survive a crash of a member.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Durable {
    pub(crate) last: EntryId,
    pub(crate) hard_state: HardState,
}

/// What was last seen of a member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) term: Term,
    pub(crate) commit: Index,
    pub(crate) applied: Index,
    pub(crate) last: EntryId,
    pub(crate) is_leader: bool,
    /// It stood for election when it last did anything, or asked whether it should again.
    pub(crate) is_candidate: bool,
    /// Synced, and not truncated since.
    pub(crate) durable: Durable,
    /// The same, before the last job.
    pub(crate) durable_before: Durable,
    /// The highest term that it has spoken in, over all lives.
    pub(crate) spoken: Term,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) seen: Vec<Seen>,
    /// Who led each term.
    leaders: BTreeMap<Term, usize>,
    /// Where the entries of each term begin, and the term of the entry before.
    starts: BTreeMap<Term, (Index, Term)>,
    /// The terms of the committed entries, from index 1 on.
    committed: Vec<Term>,
    /// The terms in which they were committed.
    committed_in: Vec<Term>,
    /// Who got the vote of each member in each term.
    votes: BTreeMap<(usize, Term), u64>,
}

impl Watch {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            seen: vec![Seen::default(); members],
            leaders: BTreeMap::new(),
            starts: BTreeMap::new(),
            committed: Vec::new(),
            committed_in: Vec::new(),
            votes: BTreeMap::new(),
        }
    }

    /// The last index that any member knows to be committed.
    pub(crate) fn commit(&self) -> Index {
        Index::new(u64::try_from(self.committed.len()).expect("lengths fit"))
    }

    /// Whether a member that starts still has what was durable once.
    pub(crate) fn has(durable: Durable, raft: &Raft) -> bool {
        let Durable { last, hard_state } = durable;
        // What is before the log's beginning is in a snapshot.
        (last.index < raft.base().index || raft.term_at(last.index) == Some(last.term))
            && hard_state.term <= raft.term()
            && (hard_state.term < raft.term() || hard_state.vote == raft.status().vote)
    }

    /// A member started: its log must hold what was durable.
    pub(crate) fn on_start(&mut self, member: usize, raft: &Raft) {
        let durable = self.seen[member].durable;
        let Durable { last, hard_state } = durable;
        let name = member + 1;
        demand!(
            hard_state.term <= raft.term(),
            Durability,
            "member {name} starts in term {}, but term {} was synced",
            raft.term(),
            hard_state.term
        );
        let vote = raft.status().vote;
        demand!(
            hard_state.term < raft.term() || hard_state.vote.is_none() || hard_state.vote == vote,
            Durability,
            "member {name} starts with vote {vote:?} in term {}, but {:?} was synced",
            raft.term(),
            hard_state.vote
        );
        let spoken = self.seen[member].spoken;
        demand!(
            spoken <= raft.term(),
            Durability,
            "member {name} starts in term {}, but has spoken in term {spoken}",
            raft.term()
        );
        demand!(
            last.index < raft.base().index || raft.term_at(last.index) == Some(last.term),
            Durability,
            "member {name} starts with a log up to {}, but {last} was synced",
            raft.last()
        );
        self.check_starts(member, raft, 0);
        // A life begins knowing only that to be committed which is in a snapshot.
        demand!(
            raft.commit() <= self.commit(),
            StateMachineSafety,
            "member {name} starts with a snapshot up to {}; only {} is committed",
            raft.commit(),
            self.commit()
        );
        self.seen[member] = Seen {
            term: raft.term(),
            last: raft.last(),
            commit: raft.commit(),
            durable,
            spoken,
            ..Seen::default()
        };
    }

    /// A snapshot up to `point` took the place of a member's log; it is durable.
    pub(crate) fn on_reset(&mut self, member: usize, point: EntryId) {
        let seen = &mut self.seen[member];
        seen.durable.last = point;
        seen.durable_before.last = point;
    }

    /// A job succeeded that covered what was appended up to then.
    pub(crate) fn on_synced(&mut self, member: usize, durable: Durable) {
        let before = std::mem::replace(&mut self.seen[member].durable, durable);
        self.seen[member].durable_before = before;
    }

    /// A member truncated its log: what is durable ends before it.
    pub(crate) fn on_truncated(&mut self, member: usize, kept: EntryId) {
        let seen = &mut self.seen[member];
        for durable in [&mut seen.durable, &mut seen.durable_before] {
            if kept.index < durable.last.index {
                durable.last = kept;
            }
        }
    }

    /// A member says something that only one of its term can say.
    pub(crate) fn on_spoken(&mut self, member: usize, term: Term) {
        let spoken = &mut self.seen[member].spoken;
        *spoken = term.max(*spoken);
    }

    /// A member's vote leaves it.
    pub(crate) fn on_vote(&mut self, member: usize, term: Term, candidate: u64) {
        let before = *self.votes.entry((member, term)).or_insert(candidate);
        demand!(
            before == candidate,
            OneVote,
            "member {} votes for member {candidate} in term {term}; it voted for member {before}",
            member + 1
        );
    }

    /// An event happened at a member.
    pub(crate) fn on_event(&mut self, member: usize, raft: &Raft, applied: Index) -> Changes {
        let (term, commit, last) = (raft.term(), raft.commit(), raft.last());
        let is_leader = raft.role() == RoleName::Leader;
        let seen = &mut self.seen[member];
        let mut changes = Changes::default();
        let name = member + 1;
        demand!(
            seen.term <= term,
            Monotonicity,
            "the term of member {name} fell from {} to {term}",
            seen.term
        );
        demand!(
            seen.commit <= commit,
            Monotonicity,
            "the commit index of member {name} fell from {} to {commit}",
            seen.commit
        );
        demand!(
            seen.applied <= applied && applied <= commit,
            Monotonicity,
            "member {name} has applied {applied} of {commit}, and had applied {}",
            seen.applied
        );
        let became_leader = is_leader && (!seen.is_leader || seen.term != term);
        let before = std::mem::replace(&mut seen.last, last);
        let commit_before = std::mem::replace(&mut seen.commit, commit);
        demand!(
            !(seen.is_leader && is_leader && seen.term == term)
                || raft.term_at(before.index) == Some(before.term),
            LogMatching,
            "the leader of term {term}, member {name}, removed or replaced its own entry {before}"
        );
        seen.term = term;
        seen.applied = applied;
        seen.is_leader = is_leader;
        seen.is_candidate = match raft.role() {
            RoleName::Candidate => true,
            RoleName::PreCandidate => seen.is_candidate,
            RoleName::Follower | RoleName::Leader => false,
        };
        if became_leader {
            self.on_leader(member, raft);
        }
        if last != before {
            let is_longer = raft.term_at(before.index) == Some(before.term);
            self.check_starts(member, raft, if is_longer { before.index.value() } else { 0 });
        }
        if commit_before < commit {
            demand!(
                !is_leader || raft.term_at(commit) == Some(term),
                LeaderCompleteness,
                "the leader of term {term}, member {name}, commits up to {commit} by counting, an \
                 entry of term {:?} (§5.4.2)",
                raft.term_at(commit)
            );
            let known = self.commit();
            self.on_commit(member, raft, commit_before);
            changes.committed = known < commit;
            let first = raft.term_at(known.next()).unwrap_or_default();
            changes.of_earlier_term = changes.committed && is_leader && first < term;
        }
        changes
    }

    /// Election safety and leader completeness.
    fn on_leader(&mut self, member: usize, raft: &Raft) {
        let (name, term) = (member + 1, raft.term());
        let leader = *self.leaders.entry(term).or_insert(member);
        demand!(
            leader == member,
            ElectionSafety,
            "members {} and {name} both lead term {term}",
            leader + 1
        );
        // Whoever is elected late in an earlier term need not have what was committed since.
        let count = self.committed_in.partition_point(|committed_in| *committed_in < term);
        let commit = Index::new(u64::try_from(count).expect("lengths fit"));
        demand!(
            commit <= raft.last().index,
            LeaderCompleteness,
            "member {name} leads term {term} with a log up to {}; {commit} is committed",
            raft.last()
        );
        let base = raft.base().index.value();
        for (at, committed) in (1..).zip(&self.committed[..count]).filter(|(at, _)| base <= *at) {
            let held = raft.term_at(Index::new(at));
            demand!(
                held == Some(*committed),
                LeaderCompleteness,
                "member {name} leads term {term} with an entry of term {held:?} at {at}; one of \
                 term {committed} is committed there"
            );
        }
    }

    /// Log matching: the entries of a term are one leader's, in a row, so in every log that has
    /// some of them they begin at the same place behind an entry of the same term.
    fn check_starts(&mut self, member: usize, raft: &Raft, checked: u64) {
        let starts = raft.term_starts();
        // Where the entries of the log's first term begin is forgotten with what was before.
        let first = usize::from(raft.base().index > Index::ZERO);
        for at in (first..starts.len()).rev() {
            let start = starts[at];
            let before = at.checked_sub(1).map_or(Term::ZERO, |at| starts[at].term);
            let known = *self.starts.entry(start.term).or_insert((start.index, before));
            demand!(
                known == (start.index, before),
                LogMatching,
                "in the log of member {} the entries of term {} begin at {} after term {before}; \
                 elsewhere they begin at {} after term {}",
                member + 1,
                start.term,
                start.index,
                known.0,
                known.1
            );
            if start.index.value() <= checked {
                break;
            }
        }
    }

    /// State machine safety as far as terms tell, and durability.
    fn on_commit(&mut self, member: usize, raft: &Raft, from: Index) {
        let name = member + 1;
        let commit = raft.commit();
        let mut index = from;
        while index < commit {
            index = index.next();
            let place = usize::try_from(index.value() - 1).expect("indexes are small here");
            if index < raft.base().index {
                demand!(
                    place < self.committed.len(),
                    StateMachineSafety,
                    "member {name} took in a snapshot up to {}; only {} is committed",
                    raft.base(),
                    self.commit()
                );
                continue;
            }
            let term = raft.term_at(index).unwrap_or_default();
            match self.committed.get(place) {
                Some(committed) => demand!(
                    *committed == term,
                    StateMachineSafety,
                    "member {name} takes an entry of term {term} at {index} for committed; one of \
                     term {committed} is"
                ),
                None => {
                    self.committed.push(term);
                    self.committed_in.push(raft.term());
                }
            }
        }
    }

    /// Whether the entry at `index` is durable at a member, as far as that is known.
    pub(crate) fn holds(&self, member: usize, index: Index) -> bool {
        let last = self.seen[member].durable.last;
        let place = usize::try_from(index.value()).expect("indexes are small here");
        let term = place.checked_sub(1).and_then(|place| self.committed.get(place));
        index <= last.index && term.is_none_or(|term| *term <= last.term)
    }

    /// What was just committed must be durable on a majority of the voters.
    pub(crate) fn check_durable(&self, marks: &mut Marks) {
        let commit = self.commit();
        let holders = (0..self.seen.len()).filter(|member| self.holds(*member, commit)).count();
        demand!(
            holders * 2 > self.seen.len(),
            Durability,
            "entry {commit} is committed, but durable on {holders} of {} members only",
            self.seen.len()
        );
        let leader = self.seen.iter().position(|seen| seen.is_leader);
        if leader.is_some_and(|leader| !self.holds(leader, commit)) {
            marks.hit(Mark::CommittedByOthers);
        }
    }
}

/// What an event changed for the cluster.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    /// More is committed than anybody knew before.
    pub(crate) committed: bool,
    /// It began with an entry of a term before the leader's.
    pub(crate) of_earlier_term: bool,
}
