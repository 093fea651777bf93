//! The catalogue of partitions: who hears whom, as a directed graph, and what must come of it.
//!
//! A network seldom falls into clean halves. A cable, a switch or a rule of a firewall takes single
//! links away, often in one direction only, and then elections can go wrong without any other
//! fault: a member that hears no leader deposes one that serves (Cloudflare 2020), or whoever could
//! be elected does not ask (the cases of OmniPaxos, EuroSys 2023). Here a calm cluster elects a
//! leader, then all links outside a digraph are cut for good, and this must hold:
//!
//! - Where a majority is connected among itself, in both directions, a leader that a majority
//!   follows is there within ten of the longest election timeouts, stays, and writes are served.
//! - A leader that is still connected to a majority stays, whoever else hears it no longer.
//! - Where no member has links in both directions to a majority, nobody leads.
//! - Terms come to rest, everywhere.
//! - Once all links are open, all members come to the same state.
//!
//! In between, where a member is connected to a majority that is not connected among itself, it
//! leads if its log is not behind those of a majority. Whether it is depends on what was under way
//! when the links were cut, so a leader is possible, and not promised: votes are not for a log that
//! is behind, and whoever is ahead may not be able to ask a majority.

mod case;
mod digraph;
mod named;

use std::collections::BTreeSet;

use case::{Case, Manner, Seen, TIMEOUT};
use digraph::Digraph;

use crate::queue::Time;
use crate::random::{MILLION, Random};

/// How many election timeouts a short look takes.
const SHORT: Time = 40;

/// Ten minutes.
const LONG: Time = 600_000_000 / TIMEOUT;

fn all_of_three() -> impl Iterator<Item = Digraph> {
    (0_u32..64).map(|set| {
        let mut arc = 0;
        Digraph::of(3, |_, _| {
            arc += 1;
            set >> (arc - 1) & 1 == 1
        })
    })
}

#[test]
fn three_members_have_sixteen_digraphs_up_to_renaming() {
    let all: BTreeSet<Digraph> = all_of_three().collect();
    assert_eq!(all.len(), 64);
    let classes: BTreeSet<Digraph> = all.iter().map(|digraph| digraph.class()).collect();
    assert_eq!(classes.len(), 16);
    // For three, whoever is connected to a majority is one with it.
    assert!(all.iter().all(|digraph| digraph.has_quorum() == digraph.has_hub()));
    assert_eq!(all.iter().filter(|digraph| digraph.has_quorum()).count(), 37);
}

#[test]
fn what_must_not_be_is_refused() {
    let judge = |links: &str, seen: Seen| {
        let digraph = Digraph::parse(3, links);
        assert_eq!(digraph.to_string(), links);
        let case = Case {
            name: String::new(),
            unrest: Vec::new(),
            digraph,
            manner: Manner::Near,
            seed: 0,
            lasting: SHORT,
        };
        case.judge(&seen)
    };
    let good = Seen { is_led: true, is_electable: true, committed: SHORT, ..Seen::default() };
    assert_eq!(judge("1-2 3>1", good.clone()), Ok(()));
    let bad = [
        Seen { is_led: false, ..good.clone() },
        Seen { is_led: false, is_electable: false, ..good.clone() },
        Seen { leaderless: 11 * TIMEOUT, ..good.clone() },
        Seen { terms_after: 1, ..good.clone() },
        Seen { committed: 1, ..good.clone() },
    ];
    for seen in bad {
        assert!(judge("1>3 2-3", seen.clone()).is_err(), "{seen:?}");
    }
    for seen in [Seen { leaderless: 1, ..good.clone() }, Seen { terms_before: 1, ..good.clone() }] {
        assert_eq!(judge("1>3 2-3", seen.clone()), Ok(()));
        assert!(judge("1-2 3>1", seen.clone()).is_err(), "{seen:?}");
    }
    let nobody = Seen::default();
    assert_eq!(judge("1>2 2>3 3>1", nobody.clone()), Ok(()));
    let rising = Seen { terms_after: 1, ..nobody };
    for seen in [good, rising] {
        assert!(judge("1>2 2>3 3>1", seen.clone()).is_err(), "{seen:?}");
    }
}

#[test]
fn all_partitions_of_three() {
    let cases = all_of_three().zip(0..).flat_map(|(digraph, number)| {
        Manner::ALL.map(|manner| Case {
            name: "three".to_owned(),
            unrest: Vec::new(),
            digraph,
            manner,
            seed: number,
            lasting: SHORT,
        })
    });
    try_all("three", cases);
}

#[test]
fn a_sample_of_the_partitions_of_five() {
    let count = std::env::var("QUORATE_PARTITIONS").ok().and_then(|count| count.parse().ok());
    let cases = (0..count.unwrap_or(200)).map(|number| {
        let mut random = Random::new(number, 9);
        let digraph = draw(&mut random);
        let unrest = match number % 3 {
            0 => vec![(draw(&mut random), random.below(6 * TIMEOUT))],
            _ => Vec::new(),
        };
        let manner = Manner::ALL[random.place(Manner::ALL.len())];
        Case { name: "five".to_owned(), unrest, digraph, manner, seed: number, lasting: SHORT }
    });
    try_all("five", cases);
}

/// A digraph of five members of some density: single links or whole connections, and for every
/// other a majority that is connected among itself.
fn draw(random: &mut Random) -> Digraph {
    const MEMBERS: usize = 5;
    let density = MILLION / 10 * u32::try_from(random.between(1, 9)).expect("small");
    let is_symmetric = random.below(2) == 0;
    let planted = random.place(2 * MEMBERS);
    let mut links = Vec::new();
    Digraph::of(MEMBERS, |from, to| {
        let is_planted = |member: usize| (member + planted) % MEMBERS < 3;
        let is_open = if is_symmetric && to < from {
            links.contains(&(to, from))
        } else {
            random.chance(density)
        };
        if is_open {
            links.push((from, to));
        }
        is_open || planted < MEMBERS && is_planted(from) && is_planted(to)
    })
}

#[test]
fn partitions_with_a_name() {
    let cases = named::ALL.iter().zip(0..).flat_map(|(named, number)| {
        Manner::ALL.map(|manner| (named.case(manner, number, SHORT), named.is_led(manner)))
    });
    let mut wrong = Vec::new();
    for (case, is_led) in cases {
        match case.run() {
            Ok(seen) if seen.is_led == is_led => {}
            Ok(seen) => wrong.push(format!("{case}\nwhether it is led is wrong: {seen:?}")),
            Err(failure) => wrong.push(failure),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn partitions_of_ten_minutes() {
    let named = named::ALL.iter().filter(|named| named.is_long).zip(1000..);
    let manners = Manner::ALL.into_iter().cycle();
    let cases = named.zip(manners).map(|((named, seed), manner)| named.case(manner, seed, LONG));
    try_all("ten minutes", cases);
}

/// Runs them, and fails with all that failed.
fn try_all(name: &str, cases: impl Iterator<Item = Case>) {
    let mut summary = Summary::default();
    let mut failures = Vec::new();
    for case in cases {
        match case.run() {
            Ok(seen) => summary.add(&case, &seen),
            Err(failure) => failures.push(failure),
        }
    }
    summary.tell(name);
    let count = failures.len();
    assert!(failures.is_empty(), "{count} partitions failed:\n{}", failures.join("\n"));
}

/// What many cases came to.
#[derive(Debug, Default)]
struct Summary {
    cases: usize,
    /// With a majority that is connected among itself.
    promised: usize,
    /// With somebody who could lead, and no such majority; and how many of them were led.
    possible: usize,
    possible_led: usize,
    /// Over the promised: when there was no leader with a majority for the last time.
    leaderless: Vec<Time>,
    terms_before: Vec<u64>,
    terms_after: Vec<u64>,
    committed: Vec<u64>,
    healed: Vec<Time>,
}

impl Summary {
    fn add(&mut self, case: &Case, seen: &Seen) {
        self.cases += 1;
        if case.digraph.has_quorum() {
            self.promised += 1;
            self.leaderless.push(seen.leaderless);
            self.committed.push(seen.committed);
        } else if case.digraph.has_hub() {
            self.possible += 1;
            self.possible_led += usize::from(seen.is_led);
        }
        self.terms_before.push(seen.terms_before);
        self.terms_after.push(seen.terms_after);
        self.healed.push(seen.healed);
    }

    /// Says it, to those who ask for the output of tests.
    fn tell(&mut self, name: &str) {
        eprintln!(
            "{name}: {} cases; {} with a connected majority; {} of {} others that could be led \
             were led",
            self.cases, self.promised, self.possible_led, self.possible
        );
        for (what, numbers) in [
            ("without a leader, us", &mut self.leaderless),
            ("terms before the settling", &mut self.terms_before),
            ("terms after it", &mut self.terms_after),
            ("entries committed", &mut self.committed),
            ("healed after, us", &mut self.healed),
        ] {
            numbers.sort_unstable();
            let at = |share: usize| numbers.get((numbers.len().max(1) - 1) * share / 100);
            let at = |share| at(share).copied().unwrap_or_default();
            eprintln!("  {what}: 0 {}, 50 {}, 90 {}, 100 {}", at(0), at(50), at(90), at(100));
        }
    }
}
