//! The arithmetic of majorities: pure functions over a membership.
//!
//! During a change of membership a decision needs a majority of the incoming voters *and* one of
//! the outgoing ones (§6), never a majority of the union. Everything that a quorum decides here has
//! the form "the largest value that a quorum has reached": the commit index, the newest confirmed
//! round of reads, the time up to which a quorum was heard.

use alloc::collections::BTreeSet;

use crate::membership::Membership;
use crate::types::NodeId;

/// How many of `voters` make a majority.
pub(crate) const fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// The largest value that a joint quorum has reached: `None` without voters.
pub(crate) fn reached<T: Ord + Copy>(
    membership: &Membership,
    value: impl Fn(NodeId) -> T,
) -> Option<T> {
    let incoming = reached_by_majority(&membership.incoming, &value)?;
    if membership.outgoing.is_empty() {
        return Some(incoming);
    }
    Some(incoming.min(reached_by_majority(&membership.outgoing, &value)?))
}

/// Whether a joint quorum agrees.
pub(crate) fn agrees(membership: &Membership, agrees: impl Fn(NodeId) -> bool) -> bool {
    reached(membership, agrees) == Some(true)
}

/// The largest value that a majority of `voters` has reached. Quadratic in the number of voters,
/// and free of allocation: memberships are small.
fn reached_by_majority<T: Ord + Copy>(
    voters: &BTreeSet<NodeId>,
    value: &impl Fn(NodeId) -> T,
) -> Option<T> {
    let enough = majority(voters.len());
    let is_reached =
        |&goal: &T| enough <= voters.iter().filter(|&&voter| goal <= value(voter)).count();
    voters.iter().map(|&voter| value(voter)).filter(is_reached).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use alloc::vec::Vec;

    fn nodes(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    /// Straight from the definition: sort downwards, take the value at the majority's place.
    fn naive_half(voters: &BTreeSet<NodeId>, values: &[u64]) -> u64 {
        let mut of_voters: Vec<u64> =
            voters.iter().map(|id| values[usize::try_from(id.value()).unwrap()]).collect();
        of_voters.sort_unstable();
        of_voters.reverse();
        let mut best = 0;
        for goal in 0..=values.iter().copied().max().unwrap() {
            let count = of_voters.iter().filter(|&&value| value >= goal).count();
            if 2 * count > of_voters.len() {
                best = goal;
            }
        }
        best
    }

    #[test]
    fn a_majority_is_more_than_half() {
        let expected = [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)];
        for (voters, enough) in expected {
            assert_eq!(majority(voters), enough, "of {voters}");
        }
    }

    #[test]
    fn without_voters_nothing_is_reached() {
        assert_eq!(reached(&Membership::default(), |_| 1), None);
        assert!(!agrees(&Membership::default(), |_| true));
    }

    #[test]
    fn even_sizes_need_more_than_half() {
        let four = Membership::of_voters(nodes(&[1, 2, 3, 4]));
        assert!(!agrees(&four, |id| id.value() <= 2));
        assert!(agrees(&four, |id| id.value() <= 3));
        let two = Membership::of_voters(nodes(&[1, 2]));
        assert!(!agrees(&two, |id| id.value() == 1));
    }

    #[test]
    fn both_halves_must_agree_and_the_union_is_not_enough() {
        let joint = Membership {
            incoming: nodes(&[1, 2, 3]),
            outgoing: nodes(&[3, 4, 5]),
            ..Membership::default()
        };
        // Four of five in the union, but only one of the outgoing half.
        assert!(!agrees(&joint, |id| id.value() <= 3));
        assert!(agrees(&joint, |id| id.value() != 1 && id.value() != 5));
    }

    #[test]
    fn learners_never_count() {
        let mut membership = Membership::of_voters(nodes(&[1, 2, 3]));
        membership.learners = nodes(&[4, 5]);
        assert!(!agrees(&membership, |id| id.value() == 1 || 4 <= id.value()));
    }

    #[test]
    fn equals_the_naive_definition() {
        let mut rng = Rng::new(42);
        for _ in 0..2_000 {
            let values: Vec<u64> = (0..8).map(|_| rng.next() % 6).collect();
            let half = |rng: &mut Rng| -> BTreeSet<NodeId> {
                (0..8).filter(|_| rng.next().is_multiple_of(2)).map(NodeId::new).collect()
            };
            let membership = Membership {
                incoming: half(&mut rng),
                outgoing: half(&mut rng),
                ..Membership::default()
            };
            let got = reached(&membership, |id| values[usize::try_from(id.value()).unwrap()]);
            let expected = match (membership.incoming.len(), membership.outgoing.len()) {
                (0, _) => None,
                (_, 0) => Some(naive_half(&membership.incoming, &values)),
                _ => Some(
                    naive_half(&membership.incoming, &values)
                        .min(naive_half(&membership.outgoing, &values)),
                ),
            };
            assert_eq!(got, expected, "{membership:?} {values:?}");
        }
    }
}
