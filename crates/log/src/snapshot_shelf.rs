//! Which snapshots a directory holds, and removing those that are no longer needed.

use std::io;

use quorate_raft::EntryId;

use crate::disk::Disk;
use crate::options::Identity;
use crate::snapshot_error::SnapshotError;
use crate::snapshot_file::SnapshotFile;
use crate::snapshot_format::{NameKind, age, parse_name};

/// A snapshot in a directory.
#[derive(Debug)]
pub struct FoundSnapshot<D: Disk> {
    /// The name in the directory.
    pub name: String,
    /// The last entry that it stands for, as the name says.
    pub point: EntryId,
    /// The file, or why it is of no use. It is left where it is all the same.
    pub file: Result<SnapshotFile<D>, SnapshotError>,
}

/// All snapshots of a directory that are complete, the newest first, each opened as
/// [`SnapshotFile::open`] does. What is listed survives a crash.
///
/// # Errors
/// If the directory cannot be read or synced. What is wrong with a file is said in its place.
pub fn snapshots<D: Disk>(disk: &D, identity: Identity) -> io::Result<Vec<FoundSnapshot<D>>> {
    let mut names = names(disk)?;
    names.retain(|(_, kind, _)| *kind == NameKind::Complete);
    if names.is_empty() {
        return Ok(Vec::new());
    }
    // The process that put a file in its place may have ended before the directory was synced.
    disk.sync_dir().map_err(|error| in_directory(disk, error))?;
    let found = |(point, _, name): (EntryId, NameKind, String)| {
        let file = SnapshotFile::open(disk, identity, &name);
        FoundSnapshot { name, point, file }
    };
    Ok(names.into_iter().rev().map(found).collect())
}

/// Removes the snapshots that are older than `keep`, sound or not, and what was being written or
/// received of snapshots that are not newer than it: what still works on those fails in the end.
/// The oldest go first.
///
/// # Errors
/// If the disk fails: some are removed then. [`io::ErrorKind::NotFound`] if there are snapshots,
/// but neither that of `keep` nor a newer one would be left: nothing is removed then.
pub fn prune<D: Disk>(disk: &D, keep: EntryId) -> io::Result<()> {
    let names = names(disk)?;
    let mut complete = names.iter().filter(|(_, kind, _)| *kind == NameKind::Complete).peekable();
    if complete.peek().is_some() && complete.all(|(point, _, _)| age(*point) < age(keep)) {
        let directory = disk.path_of("");
        let what = format!(
            "{directory} has no snapshot of entry {keep} or of a later one, so the older ones stay"
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, what));
    }
    remove_where(disk, |kind, point| match kind {
        NameKind::Complete => age(point) < age(keep),
        NameKind::Part | NameKind::Temporary => age(point) <= age(keep),
    })?;
    Ok(())
}

/// Removes what a crash left of snapshots that were being written. Is meant for the start of a
/// member: nothing may be being written. What was being received stays, to be gone on with.
///
/// # Errors
/// If the disk fails.
pub fn sweep_snapshots<D: Disk>(disk: &D) -> io::Result<()> {
    Ok(remove_where(disk, |kind, _| kind == NameKind::Temporary)?)
}

/// Removes the files of snapshots that `is_unneeded`, the oldest first.
pub(crate) fn remove_where<D: Disk>(
    disk: &D,
    is_unneeded: impl Fn(NameKind, EntryId) -> bool,
) -> Result<(), SnapshotError> {
    let mut names = names(disk)?;
    names.retain(|(point, kind, _)| is_unneeded(*kind, *point));
    for (_, _, name) in &names {
        match disk.remove(name) {
            Ok(()) => {}
            // Another thread may have put it in its place, or given it up.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(SnapshotError::io(&disk.path_of(name), 0, error)),
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    disk.sync_dir().map_err(|error| in_directory(disk, error))
}

/// The files of snapshots, the oldest first.
fn names<D: Disk>(disk: &D) -> Result<Vec<(EntryId, NameKind, String)>, SnapshotError> {
    let names = disk.list().map_err(|error| in_directory(disk, error))?;
    let parse = |name: String| parse_name(&name).map(|(kind, point)| (point, kind, name));
    let mut names: Vec<_> = names.into_iter().filter_map(parse).collect();
    names.sort_by_key(|(point, kind, _)| (age(*point), *kind));
    Ok(names)
}

fn in_directory<D: Disk>(disk: &D, error: io::Error) -> SnapshotError {
    SnapshotError::io(&disk.path_of(""), 0, error)
}
