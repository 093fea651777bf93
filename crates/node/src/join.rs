//! How a member that is added to a running cluster begins: with an empty log, and with what the
//! others say of the cluster.
//!
//! **Invariants.** The members that it begins with are committed, and it is none of them: what it
//! is, its log will tell. All of this is on the disk before the log is made, so a later start asks
//! nobody. A member whose log is gone but who has voted does not begin anew.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::{Membership, NodeId};
use quorate_replica::Members;

use crate::config::Timing;
use crate::context::Context;
use crate::transport::{Patience, members};

/// The file in the data directory: these first bytes, the cluster and the member as 64-bit numbers,
/// little-endian, the members as in the log, and the FNV-1a hash of all of that.
const FILE: &str = "joined";
const MAGIC: &[u8; 8] = b"QJOINED1";

/// How long the others are asked until they know the new member.
const ASK_MAX: Duration = Duration::from_secs(10);
const ASK_PAUSE: Duration = Duration::from_millis(200);

/// What a member that was added to a cluster began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The cluster's id.
    pub cluster: u64,
    /// This member's.
    pub member: NodeId,
    /// The members of then, without this one.
    pub members: Members,
}

/// Why a member cannot join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody answered.
    #[error("no member of the cluster answers ({reason}); name the peer URL of one that runs")]
    Unreachable {
        /// What the last one said.
        reason: String,
    },
    /// The cluster does not know the member.
    #[error(
        "no member of the cluster has the peer URL {urls}; add it first ('quorate member add'), \
         with the URL that it is started with"
    )]
    Unknown {
        /// Its URLs.
        urls: String,
    },
    /// The member voted in an earlier life, and has forgotten it.
    #[error(
        "member {:x} has a vote already, but its data directory is empty: it has forgotten what \
         it promised; remove it ('quorate member remove'), and add it anew",
        member.value()
    )]
    Forgetful {
        /// Who.
        member: NodeId,
    },
    /// The data directory cannot be used.
    #[error("{path} cannot be used ({error}); check the data directory")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

impl Joined {
    /// Reads what an earlier start in this directory has left; `None` if the member did not join.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, JoinError> {
        let path = data_dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JoinError::Io { path, error }),
        };
        match Self::decode(&bytes) {
            Some(joined) => Ok(Some(joined)),
            None => Err(JoinError::Io { path, error: io::Error::other("the file is damaged") }),
        }
    }

    /// Asks at the peer URLs who the members are, until one of them is at `own`, and keeps the
    /// answer in the directory.
    ///
    /// # Errors
    /// If nobody answers or knows the member, or it has lost its data.
    pub async fn find(
        peer_urls: &[String],
        own: &[String],
        data_dir: &Path,
        timing: Timing,
    ) -> Result<Self, JoinError> {
        let patience = Patience { silence_max: timing.election_timeout * 2 };
        let ends_at = tokio::time::Instant::now() + ASK_MAX;
        loop {
            let mut failed = JoinError::Unreachable { reason: "there is none to ask".to_owned() };
            for url in peer_urls.iter().filter(|url| !own.contains(url)) {
                match members::list(url, patience).await {
                    Ok((cluster, members)) => match find_own(&members, own) {
                        Some(member) => return Self::begin(cluster, member, members, data_dir),
                        None => failed = JoinError::Unknown { urls: own.join(",") },
                    },
                    Err(status) if matches!(failed, JoinError::Unreachable { .. }) => {
                        let reason = format!("{url}: {}", status.message());
                        failed = JoinError::Unreachable { reason };
                    }
                    Err(_) => {}
                }
            }
            if ends_at <= tokio::time::Instant::now() {
                return Err(failed);
            }
            tokio::time::sleep(ASK_PAUSE).await;
        }
    }

    fn begin(
        cluster: u64,
        member: NodeId,
        mut members: Members,
        data_dir: &Path,
    ) -> Result<Self, JoinError> {
        if members.membership.is_voter(member) {
            return Err(JoinError::Forgetful { member });
        }
        // What it is itself, only the log may say: else it would find itself removed on the way.
        let learners = std::mem::take(&mut members.membership.learners);
        members.membership = Membership {
            learners: learners.into_iter().filter(|id| *id != member).collect(),
            ..members.membership
        };
        members.contexts.remove(&member);
        let joined = Self { cluster, member, members };
        let path = data_dir.join(FILE);
        joined.save(data_dir, &path).map_err(|error| JoinError::Io { path, error })?;
        Ok(joined)
    }

    fn save(&self, data_dir: &Path, path: &Path) -> io::Result<()> {
        fs::create_dir_all(data_dir)?;
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&self.encode())?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        File::open(data_dir)?.sync_all()
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.cluster.to_le_bytes());
        out.extend_from_slice(&self.member.value().to_le_bytes());
        out.extend_from_slice(&self.members.encode());
        let hash = crate::builder::fnv(out.iter().copied());
        out.extend_from_slice(&hash.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, hash) = bytes.split_last_chunk::<8>()?;
        if u64::from_le_bytes(*hash) != crate::builder::fnv(content.iter().copied()) {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?;
        let (cluster, rest) = rest.split_first_chunk::<8>()?;
        let (member, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            cluster: u64::from_le_bytes(*cluster),
            member: NodeId::new(u64::from_le_bytes(*member)),
            members: Members::decode(rest).filter(|members| members.membership.is_valid())?,
        })
    }
}

/// The member that is at these URLs.
fn find_own(members: &Members, own: &[String]) -> Option<NodeId> {
    let is_own = |context: &Bytes| {
        let known = Context::decode(context).unwrap_or_default().urls;
        known.iter().any(|url| own.contains(url))
    };
    let found = members.contexts.iter().find(|(_, context)| is_own(context));
    found.map(|(id, _)| *id).filter(|id| members.membership.is_member(*id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members() -> Members {
        let context = |url: &str| Context { urls: vec![url.into()], is_to_vote: true }.encode();
        let (one, two) = (NodeId::new(1), NodeId::new(2));
        Members {
            contexts: [(one, context("http://h:1")), (two, context("http://h:2"))].into(),
            ..Membership { learners: [two].into(), ..Membership::of_voters([one]) }.into()
        }
    }

    #[test]
    fn what_a_member_began_with_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Joined::load(dir.path()).unwrap(), None);
        let two = NodeId::new(2);
        let joined = Joined::begin(7, two, members(), dir.path()).unwrap();
        assert!(!joined.members.membership.is_member(two));
        assert_eq!(Joined::load(dir.path()).unwrap(), Some(joined));
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).unwrap();
        bytes[9] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Joined::load(dir.path()).unwrap_err().to_string().contains("damaged"));
    }

    #[test]
    fn who_has_voted_does_not_begin_anew() {
        let dir = tempfile::tempdir().unwrap();
        let one = find_own(&members(), &["http://h:1".to_owned()]).unwrap();
        let error = Joined::begin(7, one, members(), dir.path()).unwrap_err();
        assert!(matches!(error, JoinError::Forgetful { .. }), "{error}");
        assert_eq!(Joined::load(dir.path()).unwrap(), None);
    }
}
