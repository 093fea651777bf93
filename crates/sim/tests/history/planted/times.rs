//! Compactions and answers at a wrong time, and unknown writes at a wrong place in the log.

use quorate_sim::history::{Operation, Outcome, Request};

use crate::operations::{
    any, any_two, compacted, effect, is_serializable, precedes, returned, seen,
};
use crate::random::Random;
use crate::truth::Truth;

use super::{Lie, hidden, lie};

pub(crate) const LIES: &[Lie] = &[
    lie("a compaction goes back", compaction_back),
    lie("a compaction of the future", compaction_ahead),
    lie("an answer before the question", early_answer),
    hidden("seen, not in the log", effect_missing),
    hidden("twice in the log", effect_twice),
    hidden("in the log before asked", effect_early),
    hidden("a read that made one", effect_of_read),
];

fn compaction_back(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (first, second) = any_two(history, random, |first, second| {
        compacted(first).is_some() && compacted(second).is_some() && precedes(first, second)
    })?;
    let to = compacted(&history[first])? - random.between(0, 1);
    history[second].request = Request::Compact { revision: to };
    Some(())
}

fn compaction_ahead(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let compaction = any(history, random, |compaction| compacted(compaction).is_some())?;
    let revision = seen(&history[compaction])? + 1;
    history[compaction].request = Request::Compact { revision };
    Some(())
}

fn early_answer(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let early = any(history, random, |operation| {
        returned(operation).is_some() && operation.invoked > 0 && !is_serializable(operation)
    })?;
    let before = history[early].invoked - 1;
    let Outcome::Returned { at, .. } = &mut history[early].outcome else { return None };
    *at = before;
    Some(())
}

fn effect_missing(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let highest = history.iter().filter_map(seen).max();
    let write = any(history, random, |write| effect(write).is_some() && effect(write) <= highest)?;
    history[write].outcome = Outcome::Unknown { effect: None };
    Some(())
}

fn effect_twice(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (first, second) = any_two(history, random, |first, second| {
        effect(first).is_some() && effect(second).is_some()
    })?;
    history[second].outcome = history[first].outcome.clone();
    Some(())
}

fn effect_early(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (read, write) = any_two(history, random, |read, write| {
        effect(write).is_some() && seen(read) >= effect(write) && !is_serializable(read)
    })?;
    history[write].invoked = returned(&history[read])? + 1;
    Some(())
}

fn effect_of_read(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        let is_read = matches!(read.request, Request::Range { .. } | Request::Compact { .. });
        is_read && matches!(read.outcome, Outcome::Unknown { .. })
    })?;
    history[read].outcome = Outcome::Unknown { effect: Some(2) };
    Some(())
}
