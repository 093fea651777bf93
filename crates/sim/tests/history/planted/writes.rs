//! Writes that were lost, done twice or answered wrongly, and values that come from none.

use quorate_sim::history::{Operation, Outcome, Pair, Request, Response};

use crate::operations::{
    answer_with, any, any_two, list_mut, makes, pairs_mut, pairs_of, response, response_mut,
    revision_mut, seen,
};
use crate::random::Random;
use crate::truth::Truth;

use super::{Lie, lie};

pub(crate) const LIES: &[Lie] = &[
    lie("a value nobody put", unknown_value),
    lie("a version goes on after a delete", version_goes_on),
    lie("a write is lost", lost_write),
    lie("a write is applied twice", write_twice),
    lie("a refused write is done", refused_write),
    lie("two writes at one revision", one_revision),
    lie("a wrong previous pair", wrong_previous),
    lie("a swap sees its own write", swap_sees_itself),
    lie("a swap succeeds wrongly", swap_succeeds),
    lie("a swap fails wrongly", swap_fails),
    lie("a delete lists too much", deleted_too_much),
    lie("a delete lists too little", deleted_too_little),
    lie("a delete finds nothing", deleted_nothing),
    lie("another's answer", other_answer),
];

fn unknown_value(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    any_pair(history, random, |_| true)?.value = 1_000_000;
    Some(())
}

fn version_goes_on(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let before =
        |pair: &Pair| (1..pair.created).rev().find_map(|revision| truth.pair(pair.key, revision));
    let pair = any_pair(history, random, |pair| before(pair).is_some())?;
    let before = before(pair)?;
    pair.created = before.created;
    pair.version += before.version;
    Some(())
}

fn lost_write(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let lost = any(history, random, |write| is_counted_on(write, history))?;
    let at = seen(&history[lost])?;
    renumber(history, |revision| if revision > at { revision - 1 } else { revision });
    Some(())
}

fn write_twice(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let twice = any(history, random, |write| is_counted_on(write, history))?;
    let at = seen(&history[twice])?;
    renumber(history, |revision| if revision > at { revision + 1 } else { revision });
    Some(())
}

fn refused_write(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let refused = any(history, random, |write| is_counted_on(write, history))?;
    history[refused].outcome = Outcome::Refused;
    Some(())
}

fn one_revision(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (first, second) = any_two(history, random, |first, second| {
        makes(first).is_some() && makes(second).is_some()
    })?;
    let one = seen(&history[first])?;
    *revision_mut(response_mut(&mut history[second])?)? = one;
    Some(())
}

fn wrong_previous(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let is_put = |put: &Operation| matches!(response(put), Some(Response::Put { .. }));
    let put = any(history, random, is_put)?;
    let Operation { request: Request::Put { key, value }, .. } = history[put] else { return None };
    let Some(Response::Put { previous, revision }) = response_mut(&mut history[put]) else {
        return None;
    };
    *previous = match previous.take() {
        Some(_) if random.percent(50) => None,
        Some(pair) => Some(Pair { version: pair.version + 1, ..pair }),
        None => {
            let (created, modified) = (*revision, *revision);
            Some(Pair { key, value, created, modified, version: 1 })
        }
    };
    Some(())
}

fn swap_sees_itself(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let swap = any_swap(history, random, true)?;
    let revision = seen(&history[swap])?;
    let Request::Swap { key, .. } = history[swap].request else { return None };
    let found = truth.pair(key, revision);
    answer_with(&mut history[swap], Response::Swap { revision, succeeded: false, found })
}

fn swap_succeeds(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let swap = any_swap(history, random, true)?;
    let Request::Swap { expected, .. } = &mut history[swap].request else { return None };
    *expected += 1;
    Some(())
}

fn swap_fails(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let swap = any_swap(history, random, false)?;
    let modified = pairs_of(response(&history[swap])?).first().map_or(0, |pair| pair.modified);
    let Request::Swap { expected, .. } = &mut history[swap].request else { return None };
    *expected = modified;
    Some(())
}

fn deleted_too_much(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let delete = any_delete(history, random, 1)?;
    let Request::Delete { end, .. } = history[delete].request else { return None };
    let deleted = list_mut(&mut history[delete])?;
    let more = Pair { key: end, ..deleted[0].clone() };
    deleted.push(more);
    Some(())
}

fn deleted_too_little(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let delete = any_delete(history, random, 2)?;
    let deleted = list_mut(&mut history[delete])?;
    deleted.remove(random.index(deleted.len()));
    Some(())
}

fn deleted_nothing(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let delete = any_delete(history, random, 1)?;
    let revision = seen(&history[delete])? - 1;
    answer_with(&mut history[delete], Response::Delete { revision, deleted: Vec::new() })
}

fn other_answer(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let kind = |operation: &Operation| response(operation).map(std::mem::discriminant);
    let (first, second) = any_two(history, random, |first, second| {
        let is_put = matches!(second.request, Request::Put { .. });
        is_put && kind(first).is_some() && kind(second).is_some() && kind(first) != kind(second)
    })?;
    let answer = response(&history[first])?.clone();
    answer_with(&mut history[second], answer)
}

/// Some pair in some answer.
fn any_pair<'h>(
    history: &'h mut [Operation],
    random: &mut Random,
    holds: impl Fn(&Pair) -> bool,
) -> Option<&'h mut Pair> {
    let pairs = history.iter_mut().filter_map(response_mut).flat_map(pairs_mut);
    random.pick(pairs.filter(|pair| holds(pair)))
}

/// Changes all revisions that are named anywhere.
fn renumber(history: &mut [Operation], to: impl Fn(i64) -> i64) {
    for operation in history {
        match &mut operation.request {
            Request::Range { at: Some(revision), .. }
            | Request::Swap { expected: revision, .. }
            | Request::Compact { revision } => *revision = to(*revision),
            Request::Range { at: None, .. } | Request::Put { .. } | Request::Delete { .. } => {}
        }
        let Some(response) = response_mut(operation) else { continue };
        if let Some(revision) = revision_mut(response) {
            *revision = to(*revision);
        }
        for pair in pairs_mut(response) {
            pair.created = to(pair.created);
            pair.modified = to(pair.modified);
        }
    }
}

/// Whether it made a revision that another's answer counts on.
fn is_counted_on(operation: &Operation, history: &[Operation]) -> bool {
    makes(operation).is_some_and(|made| history.iter().filter_map(seen).any(|seen| seen > made))
}

fn any_swap(history: &[Operation], random: &mut Random, succeeded: bool) -> Option<usize> {
    any(history, random, |swap| match response(swap) {
        Some(Response::Swap { succeeded: did, .. }) => *did == succeeded,
        _ => false,
    })
}

/// A removal of at least so many keys.
fn any_delete(history: &[Operation], random: &mut Random, keys: usize) -> Option<usize> {
    any(history, random, |delete| match response(delete) {
        Some(Response::Delete { deleted, .. }) => keys <= deleted.len(),
        _ => false,
    })
}
