//! Reads that were told something else than was there, now or at an older revision.

use quorate_sim::history::{Operation, Request, Response};

use crate::operations::{
    answer_with, any, any_two, compacted, is_range, is_serializable, list_mut, makes, pairs_of,
    precedes, response, returned, seen,
};
use crate::random::Random;
use crate::truth::Truth;

use super::{Lie, hidden, lie};

pub(crate) const LIES: &[Lie] = &[
    lie("a read is older than a write", stale_read),
    lie("a read goes back behind a read", read_back),
    lie("a read sees the future", read_ahead),
    lie("a read misses a key", missed_key),
    lie("a key is listed twice", key_twice),
    lie("a wrong state of old", wrong_history),
    lie("a read of what is compacted", read_compacted),
    lie("compacted by nobody", compacted_by_nobody),
    lie("a past revision as future", past_as_future),
    lie("a future revision as past", future_as_past),
    hidden("old, but never so", wrong_old_read),
    hidden("old, but ahead", old_read_ahead),
];

fn stale_read(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let (write, read) = any_two(history, random, |write, read| {
        is_read_now(read) && makes(write).is_some() && precedes(write, read)
    })?;
    let answer = truth.answer(&history[read].request, makes(&history[write])? - 1);
    answer_with(&mut history[read], answer)
}

fn read_back(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let (first, second) = any_two(history, random, |first, second| {
        let goes_on = seen(first).is_some_and(|seen| seen > 1) && precedes(first, second);
        is_read_now(first) && is_read_now(second) && goes_on
    })?;
    let answer = truth.answer(&history[second].request, seen(&history[first])? - 1);
    answer_with(&mut history[second], answer)
}

fn read_ahead(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let (read, write) = any_two(history, random, |read, write| {
        is_read_now(read) && makes(write).is_some() && precedes(read, write)
    })?;
    let answer = truth.answer(&history[read].request, makes(&history[write])?);
    answer_with(&mut history[read], answer)
}

fn missed_key(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        is_read_now(read) && response(read).is_some_and(|answer| !pairs_of(answer).is_empty())
    })?;
    let pairs = list_mut(&mut history[read])?;
    pairs.remove(random.index(pairs.len()));
    Some(())
}

fn key_twice(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(
        history,
        random,
        |read| matches!(response(read), Some(Response::Range { pairs, .. }) if !pairs.is_empty()),
    )?;
    let pairs = list_mut(&mut history[read])?;
    pairs.insert(0, pairs[0].clone());
    Some(())
}

fn wrong_history(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| read_at(read).is_some() && !is_serializable(read))?;
    let Request::Range { first, end, .. } = history[read].request else { return None };
    let revision = seen(&history[read])?;
    let at = read_at(&history[read])?;
    let right = truth.pairs(first, end, at);
    let others = (1..=revision).map(|at| truth.pairs(first, end, at));
    let pairs = random.pick(others.filter(|pairs| *pairs != right))?;
    answer_with(&mut history[read], Response::Range { revision, pairs })
}

fn read_compacted(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let (compaction, read) = any_two(history, random, |compaction, read| {
        let Request::Range { at: Some(at), .. } = read.request else { return false };
        let refused = matches!(response(read), Some(Response::Compacted));
        refused && precedes(compaction, read) && compacted(compaction).is_some_and(|to| to > at)
    })?;
    let before = history.iter().filter(|first| precedes(first, &history[read]));
    let revision = before.filter_map(seen).max().max(seen(&history[compaction]))?;
    let answer = truth.answer(&history[read].request, revision);
    answer_with(&mut history[read], answer)
}

fn compacted_by_nobody(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        let Some(at) = read_at(read) else { return false };
        let mut before = history.iter().filter(|first| Some(first.invoked) <= returned(read));
        !before.any(|first| matches!(first.request, Request::Compact { revision } if revision > at))
    })?;
    answer_with(&mut history[read], Response::Compacted)
}

fn past_as_future(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (_, read) = any_two(history, random, |first, read| {
        read_at(read).is_some_and(|at| at > 1 && seen(first) >= Some(at)) && precedes(first, read)
    })?;
    answer_with(&mut history[read], Response::FutureRevision)
}

fn future_as_past(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| read_at(read).is_some() && !is_serializable(read))?;
    let revision = seen(&history[read])?;
    let Request::Range { at, .. } = &mut history[read].request else { return None };
    *at = Some(revision + 1);
    Some(())
}

fn wrong_old_read(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        is_serializable(read) && response(read).is_some_and(|answer| !pairs_of(answer).is_empty())
    })?;
    let pairs = list_mut(&mut history[read])?;
    pairs.remove(random.index(pairs.len()));
    Some(())
}

fn old_read_ahead(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let (read, write) = any_two(history, random, |read, write| {
        is_range(read) && is_serializable(read) && makes(write).is_some() && precedes(read, write)
    })?;
    let answer = truth.answer(&history[read].request, makes(&history[write])?);
    answer_with(&mut history[read], answer)
}

/// What a read read at another revision than the current, if it was answered.
fn read_at(operation: &Operation) -> Option<i64> {
    match (&operation.request, response(operation)?) {
        (Request::Range { at, .. }, Response::Range { .. }) => *at,
        _ => None,
    }
}

fn is_read_now(operation: &Operation) -> bool {
    is_range(operation)
        && matches!(operation.request, Request::Range { at: None, serializable: false, .. })
}
