//! Partitions with a name: known from failures of others, or extreme in some way.
//!
//! The first member leads when the links are cut. `1-2`: the two hear each other; `1>2`: 2 hears 1.

use super::case::{Case, Manner};
use super::digraph::Digraph;
use crate::queue::Time;

/// A partition, and whether the cluster is led in the end.
pub(super) struct Named {
    pub(super) name: &'static str,
    members: usize,
    /// What comes before it for a time, if anything does.
    before: Option<&'static str>,
    links: &'static str,
    /// Whether somebody leads in the end.
    is_led: bool,
    /// Whether it is looked at for ten minutes too.
    pub(super) is_long: bool,
}

const fn named(name: &'static str, members: usize, links: &'static str, is_led: bool) -> Named {
    Named { name, members, before: None, links, is_led, is_long: false }
}

/// The same, looked at for ten minutes too.
const fn long(named: Named) -> Named {
    Named { is_long: true, ..named }
}

pub(super) const ALL: &[Named] = &[
    // Cloudflare 2020, and the chained case of OmniPaxos: two of three do not hear each other, and
    // each in turn would depose the other if whom both hear let it.
    long(named("chain of three, an end leads", 3, "1-3 2-3", true)),
    long(named("chain of three, the middle leads", 3, "1-2 1-3", true)),
    long(named("circle of three in one direction", 3, "1>2 2>3 3>1", false)),
    named("circle of three, all but one link", 3, "1-2 2-3 3>1", true),
    long(named("three hear a leader that hears nobody", 3, "1>2 1>3 2-3", true)),
    named("three are heard by a leader that nobody hears", 3, "2>1 3>1 2-3", true),
    long(named("one of three hears nobody, and is heard", 3, "1-2 3>1 3>2", true)),
    named("one of three is not heard, and hears", 3, "1-2 1>3 2>3", true),
    long(named("no link at all", 5, "", false)),
    // OmniPaxos: all lose the quorum but one, which hears the leader still and so must be told
    // that it lives no longer.
    long(named("quorum loss: only one follower is connected, to all", 5, "1-2 2-3 2-4 2-5", true)),
    named("only the leader is connected, to all", 5, "1-2 1-3 1-4 1-5", true),
    // OmniPaxos: the only member that could lead lacks entries that each of the others has. No
    // vote goes to it, as it must be; those who have the entries cannot ask a majority.
    long(Named {
        before: Some("1-3 1-4 1-5 2-3 2-4 2-5 3-4 3-5 4-5"),
        ..named("constrained: the only hub lacks entries", 5, "2-3 2-4 2-5", false)
    }),
    // The same, but one of those who have the entries is connected to a majority as well.
    Named {
        before: Some("1-3 1-4 1-5 2-3 2-4 2-5 3-4 3-5 4-5"),
        ..named("one hub lacks entries, another has them", 5, "2-3 2-4 2-5 3-4", true)
    },
    named("chain of five, an end leads", 5, "1-2 2-3 3-4 4-5", true),
    named("chain of five, the middle leads", 5, "2-3 3-1 1-4 4-5", true),
    // Each member hears a majority, and no two the same.
    long(named("ring of majorities", 5, "1-2 2-3 3-4 4-5 5-1", true)),
    long(named("ring in one direction", 5, "1>2 2>3 3>4 4>5 5>1", false)),
    named("tournament", 5, "1>2 1>3 2>3 2>4 3>4 3>5 4>5 4>1 5>1 5>2", false),
    long(named("bridge, a side leads", 5, "1-2 1-3 2-3 3-4 3-5 4-5", true)),
    named("bridge, the middle leads", 5, "1-2 1-3 2-3 1-4 1-5 4-5", true),
    named("the leader is with one other", 5, "1-2 3-4 3-5 4-5", true),
    named("the leader is alone", 5, "2-3 2-4 2-5 3-4 3-5 4-5", true),
    named("two pairs and one alone", 5, "1-2 3-4", false),
    long(named(
        "all hear the leader, which hears nobody",
        5,
        "1>2 1>3 1>4 1>5 2-3 2-4 2-5 3-4 3-5 4-5",
        true,
    )),
    named(
        "the leader hears all, and nobody hears it",
        5,
        "2>1 3>1 4>1 5>1 2-3 2-4 2-5 3-4 3-5 4-5",
        true,
    ),
    named(
        "all hear the leader, which hears one",
        5,
        "1-2 1>3 1>4 1>5 2-3 2-4 2-5 3-4 3-5 4-5",
        true,
    ),
    long(named(
        "a majority, and two that hear nobody and are heard by all",
        5,
        "2-3 2-4 3-4 1>2 1>3 1>4 1>5 5>1 5>2 5>3 5>4",
        true,
    )),
    named(
        "two majorities that share one member, and hear each other in one direction",
        5,
        "1-2 1-3 2-3 3-4 3-5 4-5 1>4 1>5 2>4 2>5",
        true,
    ),
];

impl Named {
    /// Whether somebody leads in the end. While nobody asks for anything there are no entries that
    /// a member could lack.
    pub(super) fn is_led(&self, manner: Manner) -> bool {
        self.is_led || self.before.is_some() && matches!(manner, Manner::Quiet)
    }

    pub(super) fn case(&self, manner: Manner, seed: u64, lasting: Time) -> Case {
        let before = self.before.map(|links| Digraph::parse(self.members, links));
        Case {
            name: self.name.to_owned(),
            unrest: before.map(|digraph| (digraph, 1_000_000)).into_iter().collect(),
            digraph: Digraph::parse(self.members, self.links),
            manner,
            seed,
            lasting,
        }
    }
}
