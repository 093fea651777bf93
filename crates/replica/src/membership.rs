//! The body of a membership entry: four lists of member ids (see docs/log-format.md).
//!
//! A version byte, then for each of incoming voters, outgoing voters, learners and next learners a
//! 32-bit count and that many 64-bit ids in ascending order, all little-endian.

use std::collections::BTreeSet;

use quorate_raft::{Membership, NodeId};

const VERSION: u8 = 1;

/// Encodes a membership.
pub(crate) fn encode(membership: &Membership) -> Vec<u8> {
    let mut out = vec![VERSION];
    for set in [
        &membership.incoming,
        &membership.outgoing,
        &membership.learners,
        &membership.learners_next,
    ] {
        let count = u32::try_from(set.len()).expect("a cluster has fewer than 2^32 members");
        out.extend_from_slice(&count.to_le_bytes());
        for id in set {
            out.extend_from_slice(&id.value().to_le_bytes());
        }
    }
    out
}

/// Decodes a membership; `None` if the bytes are none.
pub(crate) fn decode(body: &[u8]) -> Option<Membership> {
    let (version, mut rest) = body.split_first()?;
    if *version != VERSION {
        return None;
    }
    let mut set = || -> Option<BTreeSet<NodeId>> {
        let (count, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*count)).ok()?.checked_mul(8)?;
        let (ids, after) = after.split_at_checked(length)?;
        rest = after;
        let (ids, _) = ids.as_chunks::<8>();
        Some(ids.iter().map(|id| NodeId::new(u64::from_le_bytes(*id))).collect())
    };
    let membership =
        Membership { incoming: set()?, outgoing: set()?, learners: set()?, learners_next: set()? };
    rest.is_empty().then_some(membership)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_membership_survives_its_encoding() {
        let ids = |ids: &[u64]| ids.iter().copied().map(NodeId::new).collect::<BTreeSet<_>>();
        let membership = Membership {
            incoming: ids(&[1, 2, 3]),
            outgoing: ids(&[2, 3, u64::MAX]),
            learners: ids(&[]),
            learners_next: ids(&[7]),
        };
        let bytes = encode(&membership);
        assert_eq!(decode(&bytes), Some(membership));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
        }
    }
}
