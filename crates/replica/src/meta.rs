//! What the replica keeps beside the body of a snapshot: the membership that counted at its last
//! entry, and how far each member's proposals are applied. See docs/snapshot-file.md.
//!
//! All numbers are little-endian. A version byte; the index of the membership's entry, 64 bits; the
//! length of the membership, 32 bits, and as many bytes, as in the log; up to which index origins
//! are forgotten, 64 bits; how many origins follow, 32 bits; for each its number, its last sequence
//! and the index of that, 64 bits each.

use quorate_raft::Index;

use crate::decided::Decided;
use crate::membership::Members;

const VERSION: u8 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The membership, with the index of its entry; 0 for the one that the cluster began with.
    pub(crate) membership: (Index, Members),
    pub(crate) decided: Decided,
}

impl Meta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let number = |length: usize| {
            u32::try_from(length).expect("members and origins are few").to_le_bytes()
        };
        let (index, members) = &self.membership;
        let body = members.encode();
        let mut out = vec![VERSION];
        out.extend_from_slice(&index.value().to_le_bytes());
        out.extend_from_slice(&number(body.len()));
        out.extend_from_slice(&body);
        out.extend_from_slice(&self.decided.forgotten.value().to_le_bytes());
        out.extend_from_slice(&number(self.decided.origins.len()));
        for (&origin, &(sequence, index)) in &self.decided.origins {
            for number in [origin, sequence, index.value()] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out
    }

    /// `None` if the bytes are none that this version knows.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (index, rest) = number(rest)?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (body, rest) = rest.split_at_checked(length)?;
        let members = Members::decode(body).filter(|members| members.membership.is_valid())?;
        let (forgotten, rest) = number(rest)?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let mut decided = Decided { forgotten: Index::new(forgotten), ..Decided::default() };
        let (origins, rest) = rest.as_chunks::<24>();
        if origins.len() != usize::try_from(u32::from_le_bytes(*count)).ok()? || !rest.is_empty() {
            return None;
        }
        for origin in origins {
            let (origin, rest) = number(origin)?;
            let (sequence, rest) = number(rest)?;
            let (index, _) = number(rest)?;
            decided.origins.insert(origin, (sequence, Index::new(index)));
        }
        Some(Self { membership: (Index::new(index), members), decided })
    }
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use quorate_raft::{Membership, NodeId};

    use super::*;

    #[test]
    fn meta_survives_its_encoding_and_nothing_shorter_is_taken_for_it() {
        let mut decided = Decided { forgotten: Index::new(3), ..Decided::default() };
        decided.note(9, 4, Index::new(7));
        decided.note(u64::MAX, 1, Index::new(8));
        let membership = Membership::of_voters([NodeId::new(1), NodeId::new(2)]);
        let meta = Meta { membership: (Index::new(5), membership.into()), decided };
        let bytes = meta.encode();
        assert_eq!(Meta::decode(&bytes), Some(meta));
        for end in 0..bytes.len() {
            assert_eq!(Meta::decode(&bytes[..end]), None, "cut at {end}");
        }
    }
}
