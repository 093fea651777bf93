//! Lies on purpose: in a true history one thing is changed, and it is known what is wrong then.

mod reads;
mod times;
mod writes;

use quorate_sim::history::{Operation, Verdict, by_revision, search};

use crate::BUDGET;
use crate::operations::Shown;
use crate::random::Random;
use crate::truth::{Kinds, Plan, Truth};

/// Each kind of lie is planted until it has been found this often.
const PLANTED: u64 = 20;

#[test]
fn planted_anomalies_are_found() {
    let lies: Vec<&Lie> = [reads::LIES, writes::LIES, times::LIES].into_iter().flatten().collect();
    for Lie { what, seen_by, plant } in &lies {
        let mut planted = 0;
        for seed in 0.. {
            assert!(seed < 3_000, "{what}: planted only {planted} times");
            let mut random = Random(seed);
            // Without unknown outcomes a search cannot explain a lie away.
            let kinds = if *seen_by == SeenBy::Both { Kinds::Certain } else { Kinds::All };
            let plan = Plan { kinds, ..Plan::small(&mut random) };
            let truth = Truth::new(&plan, &mut random);
            let mut lie = truth.operations.clone();
            if plant(&mut lie, &truth, &mut random).is_none() {
                continue;
            }
            let found = by_revision(&lie);
            assert!(found.is_err(), "{what}, seed {seed}: {}", Shown(&lie));
            if *seen_by == SeenBy::Both {
                let verdict = search(&lie, BUDGET);
                let text = format!("{what}, seed {seed}: {found:?} {}", Shown(&lie));
                assert_eq!(verdict, Verdict::NotLinearizable, "{text}");
            }
            planted += 1;
            if planted == PLANTED {
                break;
            }
        }
    }
    assert!(lies.len() >= 25, "so there were at least 500");
}

/// One thing to change in a true history so that it is none any more.
struct Lie {
    what: &'static str,
    seen_by: SeenBy,
    plant: Plant,
}

/// `None` if the history has no place for it.
type Plant = fn(&mut [Operation], &Truth, &mut Random) -> Option<()>;

#[derive(PartialEq, Eq)]
enum SeenBy {
    /// The answers alone give it away.
    Both,
    /// It is about serializable reads, which a search leaves out, or about what the log shows of an
    /// unknown write, which a search does not believe: it may have been done or not, at any time.
    RevisionAlone,
}

const fn lie(what: &'static str, plant: Plant) -> Lie {
    Lie { what, seen_by: SeenBy::Both, plant }
}

const fn hidden(what: &'static str, plant: Plant) -> Lie {
    Lie { what, seen_by: SeenBy::RevisionAlone, plant }
}
