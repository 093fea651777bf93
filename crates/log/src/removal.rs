//! Removing segments that are no longer needed, the oldest first.
//!
//! **Invariants.** The removal of a segment is durable before the next one is touched, so what a
//! crash leaves has no gap. What an earlier process removed is durable since the opening: its job
//! takes over the last segment, and so syncs the directory.

use std::io;

use crate::disk::Disk;
use crate::format::segment_name;

/// Which segments are there.
#[derive(Debug)]
pub(crate) struct Removal {
    /// The first segment that is there.
    oldest: u32,
}

impl Removal {
    pub(crate) const fn new(oldest: u32) -> Self {
        Self { oldest }
    }

    /// The first segment that is there.
    pub(crate) const fn oldest(&self) -> u32 {
        self.oldest
    }

    /// Removes the segments before `first`, until one cannot be removed; that one is tried again
    /// next time. Says whether any is gone. An error is one of a sync.
    pub(crate) fn run<D: Disk>(&mut self, disk: &D, first: u32) -> io::Result<bool> {
        let before = self.oldest;
        while self.oldest < first {
            match disk.remove(&segment_name(self.oldest)) {
                Ok(()) => {}
                // An attempt that failed did it all the same.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(_) => break,
            }
            disk.sync_dir()?;
            self.oldest += 1;
        }
        Ok(self.oldest > before)
    }
}
