//! [`restore`](super::restore()) with the directory that a replica begins with.

use std::io;

use quorate_log::Options;
use quorate_raft::{EntryId, Index, Term};
use quorate_store::Status;

use super::{Backup, RestoreError, RestoreOptions, restore};

/// The last entry that the new cluster has before its first: that of the backup, as it were.
const POINT: EntryId = EntryId::new(Term::new(1), Index::new(1));

/// Makes the data directory of a member of a new cluster of a backup. The numbers of the restored
/// store.
///
/// # Errors
/// See [`RestoreError`].
pub fn restore_member(backup: Backup, options: &RestoreOptions) -> Result<Status, RestoreError> {
    restore(backup, options, |disk, identity, members, body| {
        let log = Options::default();
        quorate_replica::bootstrap(disk, identity, log, members.into(), POINT, body)
            .map_err(io::Error::other)
    })
}
