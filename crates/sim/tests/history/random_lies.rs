//! Lies at random, of which nobody knows what is wrong: there the checkers have only each other to
//! agree with.

use quorate_sim::history::{
    Operation, Outcome, Pair, Request, Response, Verdict, by_revision, search,
};

use crate::BUDGET;
use crate::operations::{
    Shown, any, effect, is_range, is_serializable, makes, response, response_mut, returned,
    revision_mut, seen,
};
use crate::random::Random;
use crate::truth::{Kinds, Plan, Truth};

/// What is accepted by revision is always found linearizable. Both agree exactly where no write is
/// unknown and no read is serializable. Elsewhere only the check by revision refuses some: it
/// believes the log, so that an unknown write which was certainly done, or certainly never, cannot
/// stand in for another or come at another place; and it reads what serializable reads were told.
#[test]
fn both_checkers_agree_on_random_lies() {
    let (mut accepted, mut refused, mut refused_by_revision) = (0, 0, 0);
    for seed in 0..8_000 {
        let mut random = Random(seed);
        let kinds = if seed % 2 == 0 { Kinds::Certain } else { Kinds::All };
        let plan = Plan { kinds, ..Plan::small(&mut random) };
        let truth = Truth::new(&plan, &mut random);
        let mut lie = truth.operations.clone();
        for _ in 0..=random.below(3) {
            mutate(&mut lie, &truth, &mut random);
        }
        let is_certain = lie.iter().all(|operation| {
            let is_compaction = matches!(operation.request, Request::Compact { .. });
            let is_unknown = matches!(operation.outcome, Outcome::Unknown { .. });
            (is_compaction || !is_unknown) && !is_serializable(operation)
        });
        let text = || format!("seed {seed}: {:?} {}", by_revision(&lie), Shown(&lie));
        match (by_revision(&lie), search(&lie, BUDGET)) {
            (_, Verdict::OutOfBudget) => panic!("a small history took too long, {}", text()),
            (Ok(()), Verdict::Linearizable) => accepted += 1,
            (Err(_), Verdict::NotLinearizable) => refused += 1,
            (Err(_), Verdict::Linearizable) => {
                assert!(!is_certain, "only refused by revision, {}", text());
                refused_by_revision += 1;
            }
            (Ok(()), Verdict::NotLinearizable) => panic!("only refused by search, {}", text()),
        }
    }
    println!("{accepted} accepted, {refused} refused, {refused_by_revision} by revision alone");
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
    assert!(refused_by_revision * 5 < refused, "{refused_by_revision} refused by revision alone");
}

/// Changes something, mostly into a lie.
fn mutate(history: &mut [Operation], truth: &Truth, random: &mut Random) {
    let at = random.index(history.len());
    match random.below(10) {
        0 => change_invocation(&mut history[at], random),
        1 => change_return(&mut history[at], random),
        2 => change_outcome(&mut history[at], random),
        3 => change_request(&mut history[at], random),
        4 => change_pairs(&mut history[at], truth, random),
        5 => change_revision(&mut history[at], random),
        6 => change_verdict(&mut history[at], truth, random),
        7 => {
            let other = random.index(history.len());
            if let (Some(one), Some(another)) = (response(&history[at]), response(&history[other]))
                && std::mem::discriminant(one) == std::mem::discriminant(another)
            {
                let (one, another) = (one.clone(), another.clone());
                *response_mut(&mut history[at]).unwrap() = another;
                *response_mut(&mut history[other]).unwrap() = one;
            }
        }
        // A read at another time: wrong, or not, by the order alone.
        _ => {
            let Some(read) = any(history, random, is_range) else { return };
            let seen = seen(&history[read]).unwrap();
            let last = truth.behind.revision();
            let now = random.between((seen - 3).max(1), (seen + 3).min(last));
            if let Request::Range { at: Some(at), .. } = &mut history[read].request {
                *at = (*at).min(now);
            }
            let answer = truth.answer(&history[read].request, now);
            *response_mut(&mut history[read]).unwrap() = answer;
        }
    }
}

fn change_invocation(operation: &mut Operation, random: &mut Random) {
    let by = random.below(8);
    let latest = returned(operation).unwrap_or(u64::MAX);
    let later = (operation.invoked + by).min(latest);
    operation.invoked =
        if random.percent(50) { later } else { operation.invoked.saturating_sub(by) };
}

fn change_return(operation: &mut Operation, random: &mut Random) {
    let by = random.below(8);
    if let Outcome::Returned { at, .. } = &mut operation.outcome {
        *at = if random.percent(50) {
            *at + by
        } else {
            at.saturating_sub(by).max(operation.invoked)
        };
    }
}

fn change_outcome(operation: &mut Operation, random: &mut Random) {
    let effect = makes(operation).or_else(|| effect(operation));
    operation.outcome = match random.below(4) {
        0 => Outcome::Refused,
        1 => Outcome::Unknown { effect: None },
        _ => Outcome::Unknown { effect: effect.map(|effect| effect + random.between(-1, 1)) },
    };
}

fn change_request(operation: &mut Operation, random: &mut Random) {
    let by = random.between(-2, 2);
    match &mut operation.request {
        Request::Put { key, .. } => *key ^= 1,
        Request::Range { at: Some(revision), .. }
        | Request::Compact { revision }
        | Request::Swap { expected: revision, .. } => *revision += by,
        Request::Range { end, .. } | Request::Delete { end, .. } => *end += 1,
    }
}

fn change_pairs(operation: &mut Operation, truth: &Truth, random: &mut Random) {
    let by = random.between(-1, 1);
    let key = random.key(truth.keys);
    let other = truth.pair(key, random.between(1, truth.behind.revision()));
    let change = |pair: &mut Pair, random: &mut Random| match random.below(5) {
        0 => pair.key ^= 1,
        1 => pair.value ^= 1,
        2 => pair.created += by,
        3 => pair.modified += by,
        _ => pair.version += by,
    };
    match response_mut(operation) {
        Some(Response::Put { previous: pair, .. } | Response::Swap { found: pair, .. }) => {
            match pair {
                Some(pair) if random.percent(50) => change(pair, random),
                _ => *pair = other,
            }
        }
        Some(Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. }) => {
            if pairs.is_empty() || random.percent(20) {
                pairs.extend(other);
            } else {
                let at = random.index(pairs.len());
                if random.percent(50) {
                    pairs.remove(at);
                } else {
                    change(&mut pairs[at], random);
                }
            }
        }
        Some(Response::Compact { .. } | Response::Compacted | Response::FutureRevision) | None => {}
    }
}

fn change_revision(operation: &mut Operation, random: &mut Random) {
    let by = random.between(-2, 2);
    if let Some(revision) = response_mut(operation).and_then(revision_mut) {
        *revision += by;
    }
}

/// Makes an error of a success, or the reverse.
fn change_verdict(operation: &mut Operation, truth: &Truth, random: &mut Random) {
    let revision = random.between(1, truth.behind.revision());
    let error = random.percent(50);
    let error = if error { Response::Compacted } else { Response::FutureRevision };
    let answer = match (&operation.request, response(operation)) {
        (Request::Range { at: Some(_), .. }, Some(Response::Range { .. }))
        | (Request::Compact { .. }, Some(Response::Compact { .. })) => error,
        (Request::Range { at: Some(at), .. }, Some(_)) => {
            truth.answer(&operation.request, revision.max(*at))
        }
        (Request::Compact { .. }, Some(_)) => Response::Compact { revision },
        (Request::Swap { .. }, Some(Response::Swap { succeeded, revision, found })) => {
            let (revision, found) = (*revision, found.clone().filter(|_| *succeeded));
            Response::Swap { revision, succeeded: !succeeded, found }
        }
        (_, _) => return,
    };
    *response_mut(operation).unwrap() = answer;
}
