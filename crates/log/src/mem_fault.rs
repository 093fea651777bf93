//! What can be done to a [`crate::MemDisk`], and how it fails: the faults that were set, and when
//! their time comes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;

use crate::mem_content::SECTOR_BYTES;
use crate::number::{narrow, wide};

/// What was done to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What.
    pub kind: OperationKind,
    /// To which file; empty for the directory.
    pub name: String,
    /// From where on.
    pub offset: u64,
    /// How far.
    pub length: u64,
}

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationKind {
    /// [`crate::DiskFile::read_at`]; not recorded.
    Read,
    /// [`crate::Disk::create`] of a file that was not there.
    Create,
    /// [`crate::DiskFile::write_at`].
    Write,
    /// [`crate::DiskFile::allocate`].
    Allocate,
    /// [`crate::DiskFile::sync_data`].
    SyncData,
    /// [`crate::Disk::rename`].
    Rename,
    /// [`crate::Disk::remove`].
    Remove,
    /// [`crate::Disk::sync_dir`].
    SyncDir,
}

/// How an operation fails. A failing write writes half of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The device failed (EIO).
    Io,
    /// No space is left (ENOSPC).
    Full,
    /// The quota is used up (EDQUOT).
    Quota,
    /// The power fails before the operation; nothing works from then on.
    Power,
}

impl Fault {
    pub(crate) fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("input/output error"),
            Self::Full => io::Error::from(io::ErrorKind::StorageFull),
            Self::Quota => io::Error::from(io::ErrorKind::QuotaExceeded),
            Self::Power => io::Error::other("the power is cut"),
        }
    }
}

/// What becomes of a write that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// It never arrives.
    Lost,
    /// It arrives so many bytes further.
    Astray { by: u64 },
}

/// The faults that were set. A disk without any has none of these.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Operations until the power fails.
    pub(crate) power_left: Option<u64>,
    /// Bytes by which files may still grow.
    pub(crate) space_left: Option<u64>,
    /// For each kind: after how many more operations one fails, and how.
    once: Vec<(OperationKind, u64, Fault)>,
    /// The kinds that always fail, and how.
    always: BTreeMap<OperationKind, Fault>,
    /// After how many more good writes one is not what it seems, and how.
    lies: Vec<(u64, Lie)>,
    /// Files and their sectors that cannot be read.
    broken: BTreeSet<(usize, usize)>,
}

impl Faults {
    pub(crate) fn fail(&mut self, kind: OperationKind, skip: u64, fault: Fault) {
        self.once.push((kind, skip, fault));
    }

    pub(crate) fn fail_always(&mut self, kind: OperationKind, fault: Fault) {
        self.always.insert(kind, fault);
    }

    pub(crate) fn lie(&mut self, skip: u64, lie: Lie) {
        self.lies.push((skip, lie));
    }

    pub(crate) fn break_sector(&mut self, file: usize, sector: usize) {
        self.broken.insert((file, sector));
    }

    /// Sectors that were written can be read again.
    pub(crate) fn mend(&mut self, file: usize, sectors: Range<usize>) {
        if !self.broken.is_empty() {
            self.broken.retain(|&(at, sector)| at != file || !sectors.contains(&sector));
        }
    }

    pub(crate) fn is_broken(&self, file: usize, sectors: Range<usize>) -> bool {
        self.broken.range((file, sectors.start)..(file, sectors.end)).next().is_some()
    }

    pub(crate) fn has_no_power(&self) -> bool {
        self.power_left == Some(0)
    }

    /// What a crash leaves of them: only what is broken stays so.
    pub(crate) fn crash(&self) -> Option<Box<Self>> {
        let broken = self.broken.clone();
        (!broken.is_empty()).then(|| Box::new(Self { broken, ..Self::default() }))
    }

    /// What a recovery leaves of them: where there is no power, only a crash brings it back.
    pub(crate) fn recover(&self) -> Option<Box<Self>> {
        let power_left = Some(0);
        self.has_no_power().then(|| Box::new(Self { power_left, ..Self::default() }))
    }

    /// Counts an operation that has power, and lets it fail if its time has come.
    pub(crate) fn on_operation(&mut self, kind: OperationKind) -> Result<(), Fault> {
        if kind != OperationKind::Read {
            self.power_left = self.power_left.map(|left| left - 1);
        }
        let always = self.always.get(&kind).copied();
        let Some(fault) = always.or_else(|| self.due(kind)) else { return Ok(()) };
        if fault == Fault::Power {
            self.power_left = Some(0);
        }
        Err(fault)
    }

    fn due(&mut self, kind: OperationKind) -> Option<Fault> {
        let mut due = None;
        for (at, (_, skip, _)) in self.once.iter_mut().enumerate().filter(|(_, one)| one.0 == kind)
        {
            match skip.checked_sub(1) {
                Some(left) => *skip = left,
                None => due = Some(at),
            }
        }
        due.map(|at| self.once.remove(at).2)
    }

    /// Takes note of a write that goes well, of so many bytes at `offset` of a file of `length`
    /// bytes, and says where it goes: `None` if it is lost. Of the faults that are due, the first
    /// that was set comes first; the others wait for the next write.
    pub(crate) fn place_of(&mut self, offset: usize, bytes: usize, length: usize) -> Option<usize> {
        let mut due = None;
        for (at, (skip, _)) in self.lies.iter_mut().enumerate() {
            match skip.checked_sub(1) {
                Some(left) => *skip = left,
                None => due = due.or(Some(at)),
            }
        }
        let Some(at) = due else { return Some(offset) };
        let place = match self.lies[at].1 {
            Lie::Lost => None,
            Lie::Astray { by } => match astray(by, offset, bytes, length) {
                Some(place) => Some(place),
                // The next write may have another place.
                None => return Some(offset),
            },
        };
        self.lies.remove(at);
        place
    }

    /// How long a file of `held` bytes can become, if it is to have `length` bytes.
    pub(crate) fn grant(&self, held: usize, length: usize) -> usize {
        let left = self.space_left.unwrap_or(u64::MAX);
        narrow(wide(length).min(wide(held).saturating_add(left)))
    }

    /// Takes the space by which a file grew.
    pub(crate) fn on_growth(&mut self, bytes: usize) {
        self.space_left = self.space_left.map(|left| left - wide(bytes));
    }
}

/// Another place in the file for as many bytes, `by` bytes further, with its sectors cut in the
/// same way; beyond the end it goes on at the beginning. `None`: there is no other place.
fn astray(by: u64, offset: usize, bytes: usize, length: usize) -> Option<usize> {
    let within = offset % SECTOR_BYTES;
    let last = length.checked_sub(within + bytes)? / SECTOR_BYTES;
    let right = offset / SECTOR_BYTES;
    let places = last + 1;
    let further = by.div_ceil(wide(SECTOR_BYTES));
    let wrong = (right + narrow(further % wide(places))) % places;
    let wrong = if wrong == right { (right + 1) % places } else { wrong };
    (wrong != right).then_some(wrong * SECTOR_BYTES + within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_goes_astray_by_whole_sectors_inside_the_file() {
        // Rounded up, and at least one sector.
        assert_eq!(astray(512, 0, 100, 4096), Some(512));
        assert_eq!(astray(1, 700, 100, 4096), Some(1212));
        assert_eq!(astray(0, 700, 100, 4096), Some(1212));
        // Beyond the end the count goes on at the beginning: there are 8 places for it, or 7.
        assert_eq!(astray(1024, 3584, 512, 4096), Some(512));
        assert_eq!(astray(1024, 3072, 513, 4096), Some(512));
        assert_eq!(astray(u64::MAX, 0, 512, 4096), Some(512));
        // Not the right place.
        assert_eq!(astray(4096, 512, 512, 4096), Some(1024));
        assert_eq!(astray(4096, 3584, 512, 4096), Some(0));
        // A write that makes the file longer lands in what there was.
        assert_eq!(astray(512, 4096, 512, 4096), Some(512));
        // There is no other place.
        assert_eq!(astray(512, 0, 512, 1023), None);
        assert_eq!(astray(512, 0, 512, 100), None);
        assert_eq!(astray(512, 512, 512, 512), Some(0));
    }
}
