//! A data directory of a new cluster, made of a backup.
//!
//! Every member of the new cluster is restored from the same file, with the same settings but its
//! own name; the stores come out equal. The cluster has another id than the old one, so that
//! members of the old one that still run cannot speak to it; the names and URLs of the old members
//! are forgotten.
//!
//! The directory is made under another name and gets its own when everything in it is durable.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use quorate_log::{Identity, RealDisk};
use quorate_raft::{Membership, NodeId};
use quorate_replica::{StateMachine, WriteOut};
use quorate_store::{AdvanceError, Status};

use super::Backup;
use crate::identity::Cluster;
use crate::machine::{Attributes, Machine};

/// What is to be made of a backup.
#[derive(Clone, Debug)]
pub struct RestoreOptions {
    /// The member's name, one of the cluster's.
    pub name: String,
    /// The new cluster.
    pub cluster: Cluster,
    /// Where the member's data goes. Nothing may be there.
    pub data_dir: PathBuf,
    /// How far to move the revision; 0 leaves it, with all history.
    pub revision_bump: i64,
}

impl RestoreOptions {
    /// How far the revision is moved by default: more than any cluster changes between two backups.
    pub const REVISION_BUMP: i64 = 1_000_000_000;
}

/// Why nothing was made of a backup. There is nothing new on the disk then.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The name is none of the cluster's.
    #[error(
        "'{name}' is not in the initial cluster ({known}); add it there, or set the name to one of \
         these"
    )]
    Nameless {
        /// The name.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The new cluster would have the id of the old one.
    #[error(
        "the new cluster would have the id of the old one, {id:x}, and members of both could take \
         each other for their own; give another --initial-cluster-token, here and to `serve`"
    )]
    SameCluster {
        /// The id.
        id: u64,
    },
    /// There is something already.
    #[error("{path} is not empty; give a directory that is, or does not exist")]
    Taken {
        /// The data directory.
        path: PathBuf,
    },
    /// The revision cannot be moved.
    #[error("--bump-revision: {0}")]
    Bump(#[from] AdvanceError),
    /// The disk failed or is full.
    #[error("{path} cannot be made ({error}); check the path, its permissions and the disk")]
    Write {
        /// The data directory.
        path: PathBuf,
        /// What the operating system said.
        error: io::Error,
    },
}

/// Makes a data directory of a backup. `bootstrap` writes what a replica begins with into a new
/// directory: identity, membership, and the state. The numbers of the restored store.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore(
    backup: Backup,
    options: &RestoreOptions,
    bootstrap: impl FnOnce(&RealDisk, Identity, Membership, WriteOut) -> io::Result<()>,
) -> Result<Status, RestoreError> {
    let RestoreOptions { name, cluster, data_dir, revision_bump } = options;
    let seat = cluster.seat(name).ok_or_else(|| {
        let known: Vec<_> = cluster.seats.iter().map(|seat| seat.name.as_str()).collect();
        RestoreError::Nameless { name: name.clone(), known: known.join(", ") }
    })?;
    if cluster.id == backup.cluster {
        return Err(RestoreError::SameCluster { id: cluster.id });
    }
    let failed = |error| RestoreError::Write { path: data_dir.clone(), error };
    if !is_free(data_dir).map_err(failed)? {
        return Err(RestoreError::Taken { path: data_dir.clone() });
    }
    let mut store = backup.store;
    if *revision_bump != 0 {
        store.advance(*revision_bump)?;
    }
    let status = store.status();
    let body = Machine::new(store, Attributes::default()).snapshot();
    let identity = Identity { cluster: cluster.id, member: seat.id };
    let members = Membership::of_voters(cluster.seats.iter().map(|seat| NodeId::new(seat.id)));
    let staging = staging(data_dir);
    let made = make(&staging, data_dir, |disk| bootstrap(disk, identity, members, body));
    if let Err(error) = made {
        // It is the first error that counts. What is left is removed by the next attempt.
        fs::remove_dir_all(&staging).ok();
        return Err(failed(error));
    }
    Ok(status)
}

/// Whether nothing is at a path, or an empty directory.
fn is_free(path: &Path) -> io::Result<bool> {
    match fs::read_dir(path) {
        Ok(mut files) => Ok(files.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Where the directory is until it is complete.
fn staging(data_dir: &Path) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    data_dir.with_file_name(name)
}

fn make(
    staging: &Path,
    data_dir: &Path,
    fill: impl FnOnce(&RealDisk) -> io::Result<()>,
) -> io::Result<()> {
    match fs::remove_dir_all(staging) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fill(&RealDisk::at(staging)?)?;
    File::open(staging)?.sync_all()?;
    fs::rename(staging, data_dir)?;
    match data_dir.canonicalize()?.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
