//! The members with what the shell keeps about each, and the body of a membership entry (see
//! docs/log-format.md).
//!
//! All numbers are little-endian. A version byte, then for each of incoming voters, outgoing
//! voters, learners and next learners a 32-bit count and that many 64-bit ids in ascending order.
//! Version 1 ends there. Version 2 goes on with a 32-bit count of contexts, for each the 64-bit id
//! of its member, in ascending order, a 32-bit length and as many bytes; then a 32-bit count of
//! members that were removed, and their 64-bit ids, the newest last.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate_raft::{Membership, NodeId};

const VERSION_WITHOUT_CONTEXTS: u8 = 1;
const VERSION: u8 = 2;

/// The bytes of a member's context at most.
pub const CONTEXT_BYTES_MAX: usize = 4096;

/// How many removed members are remembered; the oldest are forgotten first.
const REMOVED_MAX: usize = 256;

/// Who the members are, with what the shell wants to be known about each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// Who votes and who learns.
    pub membership: Membership,
    /// What the shell keeps about members, such as their addresses: of no meaning here. At most
    /// [`CONTEXT_BYTES_MAX`] each.
    pub contexts: BTreeMap<NodeId, Bytes>,
    /// Who was removed, the newest last. Their ids never come back.
    pub removed: Vec<NodeId>,
}

impl From<Membership> for Members {
    fn from(membership: Membership) -> Self {
        Self { membership, ..Self::default() }
    }
}

impl Members {
    /// Those of `membership`, which comes after this one: what is known of those who stay, and
    /// `news` about some.
    pub(crate) fn followed_by(
        &self,
        membership: Membership,
        news: &BTreeMap<NodeId, Bytes>,
    ) -> Self {
        let mut contexts = self.contexts.clone();
        contexts.extend(news.iter().map(|(id, context)| (*id, context.clone())));
        contexts.retain(|id, _| membership.is_member(*id));
        let mut removed = self.removed.clone();
        removed.extend(self.membership.members().filter(|id| !membership.is_member(*id)));
        let forgotten = removed.len().saturating_sub(REMOVED_MAX);
        removed.drain(..forgotten);
        Self { membership, contexts, removed }
    }

    /// The members as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let Membership { incoming, outgoing, learners, learners_next } = &self.membership;
        for set in [incoming, outgoing, learners, learners_next] {
            put_count(&mut out, set.len());
            for id in set {
                out.extend_from_slice(&id.value().to_le_bytes());
            }
        }
        put_count(&mut out, self.contexts.len());
        for (id, context) in &self.contexts {
            out.extend_from_slice(&id.value().to_le_bytes());
            put_count(&mut out, context.len());
            out.extend_from_slice(context);
        }
        put_count(&mut out, self.removed.len());
        for id in &self.removed {
            out.extend_from_slice(&id.value().to_le_bytes());
        }
        out
    }

    /// Decodes members; `None` if the bytes are none.
    #[must_use]
    pub fn decode(body: &[u8]) -> Option<Self> {
        let (version, mut rest) = body.split_first()?;
        let mut sets = [const { BTreeSet::new() }; 4];
        for set in &mut sets {
            *set = take_ids(&mut rest)?.into_iter().collect();
        }
        let [incoming, outgoing, learners, learners_next] = sets;
        let membership = Membership { incoming, outgoing, learners, learners_next };
        let mut members = Self::from(membership);
        match *version {
            VERSION_WITHOUT_CONTEXTS => {}
            VERSION => {
                for _ in 0..take_count(&mut rest)? {
                    let id = take_id(&mut rest)?;
                    let length = take_count(&mut rest)?;
                    let (context, after) = rest.split_at_checked(length)?;
                    rest = after;
                    members.contexts.insert(id, Bytes::copy_from_slice(context));
                }
                members.removed = take_ids(&mut rest)?;
            }
            _ => return None,
        }
        rest.is_empty().then_some(members)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("members are few, and contexts are short");
    out.extend_from_slice(&count.to_le_bytes());
}

fn take_count(rest: &mut &[u8]) -> Option<usize> {
    let (count, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(*count)).ok()
}

fn take_id(rest: &mut &[u8]) -> Option<NodeId> {
    let (id, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(NodeId::new(u64::from_le_bytes(*id)))
}

fn take_ids(rest: &mut &[u8]) -> Option<Vec<NodeId>> {
    let length = take_count(rest)?.checked_mul(8)?;
    let (ids, after) = rest.split_at_checked(length)?;
    *rest = after;
    let (ids, _) = ids.as_chunks::<8>();
    Some(ids.iter().map(|id| NodeId::new(u64::from_le_bytes(*id))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
        ids.iter().copied().map(NodeId::new).collect()
    }

    fn members() -> Members {
        let membership = Membership {
            incoming: ids(&[1, 2, 3]),
            outgoing: ids(&[2, 3, u64::MAX]),
            learners: ids(&[]),
            learners_next: ids(&[7]),
        };
        let contexts = [(NodeId::new(1), "a"), (NodeId::new(u64::MAX), "")];
        let contexts = contexts.map(|(id, context)| (id, Bytes::from(context))).into();
        Members { membership, contexts, removed: vec![NodeId::new(9), NodeId::new(4)] }
    }

    #[test]
    fn members_survive_their_encoding() {
        let bytes = members().encode();
        assert_eq!(Members::decode(&bytes), Some(members()));
        for end in 0..bytes.len() {
            assert_eq!(Members::decode(&bytes[..end]), None, "cut at {end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Members::decode(&longer), None);
    }

    #[test]
    fn what_was_written_before_there_were_contexts_is_read() {
        let mut bytes = vec![1];
        for set in [&[1_u64, 2][..], &[], &[3], &[]] {
            bytes.extend_from_slice(&u32::try_from(set.len()).unwrap().to_le_bytes());
            set.iter().for_each(|id| bytes.extend_from_slice(&id.to_le_bytes()));
        }
        let membership =
            Membership { incoming: ids(&[1, 2]), learners: ids(&[3]), ..Membership::default() };
        assert_eq!(Members::decode(&bytes), Some(Members::from(membership)));
    }

    #[test]
    fn what_is_known_of_members_goes_with_them() {
        let next = Membership::of_voters([1, 5].map(NodeId::new));
        let news = [(NodeId::new(5), Bytes::from("b")), (NodeId::new(6), Bytes::new())].into();
        let after = members().followed_by(next.clone(), &news);
        assert_eq!(after.membership, next);
        let contexts = [(NodeId::new(1), Bytes::from("a")), (NodeId::new(5), Bytes::from("b"))];
        assert_eq!(after.contexts, contexts.into());
        assert_eq!(after.removed, [9, 4, 2, 3, u64::MAX].map(NodeId::new));
    }
}
