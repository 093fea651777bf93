//! The mark of a member whose state differs from the others': a file in its directory. With it, a
//! member does not start again.
//!
//! Without it a supervisor would start the member at once, perhaps from a snapshot of the wrong
//! state, and it would serve that until the next comparison.
//!
//! **Invariant.** Whether the file is there is all that counts; its text is for people.

use std::io;

use quorate_log::{Disk, DiskFile};

use crate::effects::OpenError;

/// The file.
const NAME: &str = "diverged";

/// Leaves the mark, durably.
pub(crate) fn mark<D: Disk>(disk: &D, text: &str) -> io::Result<()> {
    let file = disk.create(NAME)?;
    file.write_at(text.as_bytes(), 0)?;
    file.sync_data()?;
    disk.sync_dir()
}

/// Refuses a directory with the mark.
pub(crate) fn check<D: Disk>(disk: &D) -> Result<(), OpenError> {
    match disk.open(NAME) {
        Ok(_) => Err(OpenError::Diverged { path: disk.path_of(NAME) }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(OpenError::Mark { path: disk.path_of(NAME), error }),
    }
}
