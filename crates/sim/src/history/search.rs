//! The search for an order in which one store would have given the answers of a history.
//!
//! After Wing and Gong: take any operation that can be next, go on from there, and come back if it
//! leads nowhere. After Lowe: what was reached once, by whatever way, is not tried again; that is
//! the set of operations done and the state they left.
//!
//! Serializable reads are left out, since they may be older than the order of time allows.

use std::collections::BTreeMap;

use super::state::State;
use super::{Operation, Outcome, Request, Response};

/// What a search found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An order in which one store gives these answers.
    Linearizable,
    /// That there is none.
    NotLinearizable,
    /// Nothing yet, in the steps that it was given.
    OutOfBudget,
}

/// Searches in at most `budget` steps of the model. It believes nothing but the answers: an unknown
/// operation may come anywhere after its invocation, or never, whatever its effect is said to be.
/// Each step may leave a state to remember, so the budget bounds the memory too.
///
/// # Panics
/// If more than 64 operations take part. Those refused do not, nor do serializable reads, nor reads
/// without an answer.
pub fn search(history: &[Operation], budget: u64) -> Verdict {
    let mut entries: Vec<_> = history.iter().filter_map(Entry::new).collect();
    assert!(entries.len() <= 64, "a search is for up to 64 operations, not {}", entries.len());
    // What returned first comes first, the unknown last: mostly that is the order.
    entries.sort_by_key(|entry| (entry.returned(), entry.invoked));
    let answered = entries.iter().enumerate().filter(|(_, entry)| entry.answer.is_some());
    let answered = answered.fold(0, |set, (at, _)| set | bit(at));
    let mut search = Search { entries, answered, tried: BTreeMap::new(), budget };
    search.go_on(0, State::new())
}

/// An operation that takes part.
struct Entry<'h> {
    invoked: u64,
    request: &'h Request,
    /// When it returned and with what.
    answer: Option<(u64, &'h Response)>,
}

impl<'h> Entry<'h> {
    fn new(operation: &'h Operation) -> Option<Self> {
        let Operation { invoked, request, outcome, .. } = operation;
        let answer = match outcome {
            Outcome::Returned { at, response } => Some((*at, response)),
            Outcome::Unknown { .. } => None,
            Outcome::Refused => return None,
        };
        let takes_part = match request {
            Request::Range { serializable, .. } => answer.is_some() && !serializable,
            Request::Put { .. }
            | Request::Delete { .. }
            | Request::Swap { .. }
            | Request::Compact { .. } => true,
        };
        takes_part.then_some(Self { invoked: *invoked, request, answer })
    }

    fn returned(&self) -> u64 {
        self.answer.map_or(u64::MAX, |(returned, _)| returned)
    }
}

/// A search under way. A set of operations is a number with a bit for each entry.
struct Search<'h> {
    entries: Vec<Entry<'h>>,
    /// Those that must be done in the end.
    answered: u64,
    /// By the set of those done, the states that led nowhere or are being tried.
    tried: BTreeMap<u64, Vec<State>>,
    /// The steps left.
    budget: u64,
}

/// What comes of doing an operation next.
enum Step {
    /// It was answered otherwise.
    Differs,
    /// The answer is right, and the state stays.
    Stays,
    /// The answer is right or unknown, and the state changes.
    Changes(State),
    OutOfBudget,
}

impl Search<'_> {
    /// Whether the rest can be done, after a set of operations that left this state.
    fn go_on(&mut self, mut done: u64, state: State) -> Verdict {
        let mut ways = Vec::new();
        // What changes nothing is best done as soon as it can be: any order that has it later is
        // as good with it here. Doing it may let others be next, so they are looked at again.
        loop {
            let before = done;
            ways.clear();
            for at in self.candidates(done) {
                match self.step(at, &state) {
                    Step::Differs => {}
                    Step::Stays => done |= bit(at),
                    Step::Changes(next) => ways.push((at, next)),
                    Step::OutOfBudget => return Verdict::OutOfBudget,
                }
            }
            if done == before {
                break;
            }
        }
        if done & self.answered == self.answered {
            return Verdict::Linearizable;
        }
        if self.is_too_late(done, &state) || !self.is_new(done, state) {
            return Verdict::NotLinearizable;
        }
        for (at, next) in ways {
            match self.go_on(done | bit(at), next) {
                Verdict::NotLinearizable => {}
                found @ (Verdict::Linearizable | Verdict::OutOfBudget) => return found,
            }
        }
        Verdict::NotLinearizable
    }

    /// What can be next: no other that is still to be done had returned before it was invoked.
    fn candidates(&self, done: u64) -> Vec<usize> {
        let open = || self.entries.iter().enumerate().filter(|(at, _)| done & bit(*at) == 0);
        let first = open().map(|(_, entry)| entry.returned()).min().unwrap_or(u64::MAX);
        open().filter(|(_, entry)| entry.invoked <= first).map(|(at, _)| at).collect()
    }

    fn step(&mut self, at: usize, state: &State) -> Step {
        let Some(budget) = self.budget.checked_sub(1) else { return Step::OutOfBudget };
        self.budget = budget;
        let entry = &self.entries[at];
        let (response, next) = state.step(entry.request);
        match (entry.answer, next) {
            (Some((_, answer)), _) if *answer != response => Step::Differs,
            (Some(_), None) => Step::Stays,
            // To do it here is no other than never to do it.
            (None, None) => Step::Differs,
            (Some(_) | None, Some(next)) => Step::Changes(next),
        }
    }

    /// Whether an answer is still open that names a revision already gone.
    fn is_too_late(&self, done: u64, state: &State) -> bool {
        let open = self.entries.iter().enumerate().filter(|(at, _)| done & bit(*at) == 0);
        open.filter_map(|(_, entry)| entry.answer?.1.revision())
            .any(|revision| revision < state.revision())
    }

    /// Whether nobody was here before.
    fn is_new(&mut self, done: u64, state: State) -> bool {
        let states = self.tried.entry(done).or_default();
        let is_new = !states.contains(&state);
        if is_new {
            states.push(state);
        }
        is_new
    }
}

fn bit(at: usize) -> u64 {
    1 << at
}
