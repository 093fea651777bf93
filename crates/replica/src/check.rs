//! The body of a check entry (see docs/log-format.md).
//!
//! A version byte and a byte that says what it is: 0 asks the members to compare their states
//! here, 1 is the answer of one of them, followed by its id, the index of the entry that asked, and
//! its digest, 64 bits each, little-endian.
//!
//! An entry in a form that this version does not know is passed over: it changes no state.

use quorate_raft::{Index, NodeId};

const VERSION: u8 = 1;
const ASKED: u8 = 0;
const ANSWERED: u8 = 1;

/// What a check entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckEntry {
    /// Every member notes the digest of its state as it is before this entry.
    Asked,
    /// What a member noted.
    Answered {
        /// The member.
        member: NodeId,
        /// Where it was asked.
        index: Index,
        /// What it noted.
        digest: u64,
    },
}

impl CheckEntry {
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Asked => vec![VERSION, ASKED],
            Self::Answered { member, index, digest } => {
                let mut out = vec![VERSION, ANSWERED];
                for number in [member.value(), index.value(), digest] {
                    out.extend_from_slice(&number.to_le_bytes());
                }
                out
            }
        }
    }

    /// `None` if the bytes are none that this version knows.
    pub(crate) fn decode(body: &[u8]) -> Option<Self> {
        match body {
            [VERSION, ASKED] => Some(Self::Asked),
            [VERSION, ANSWERED, rest @ ..] => {
                let ([member, index, digest], []) = rest.as_chunks::<8>() else { return None };
                Some(Self::Answered {
                    member: NodeId::new(u64::from_le_bytes(*member)),
                    index: Index::new(u64::from_le_bytes(*index)),
                    digest: u64::from_le_bytes(*digest),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_entry_is_as_documented_and_nothing_shorter_or_longer_is_taken_for_one() {
        let answered = CheckEntry::Answered {
            member: NodeId::new(0x0102),
            index: Index::new(7),
            digest: u64::MAX - 1,
        };
        let documented = [
            &[1, 1][..],
            &[2, 1, 0, 0, 0, 0, 0, 0],
            &[7, 0, 0, 0, 0, 0, 0, 0],
            &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ];
        assert_eq!(answered.encode(), documented.concat());
        assert_eq!(CheckEntry::Asked.encode(), [1, 0]);
        for entry in [CheckEntry::Asked, answered] {
            let bytes = entry.encode();
            assert_eq!(CheckEntry::decode(&bytes), Some(entry));
            for end in 0..bytes.len() {
                assert_eq!(CheckEntry::decode(&bytes[..end]), None, "cut at {end}");
            }
            assert_eq!(CheckEntry::decode(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(CheckEntry::decode(&[2, 0]), None, "a later version");
        assert_eq!(CheckEntry::decode(&[1, 2]), None, "another kind");
    }
}
