//! A directory in memory that can crash, tear, rot, fill up and fail: deterministic, for tests and
//! simulators.
//!
//! It keeps apart what a process sees and what a crash leaves. Of each sector that was written
//! since it was last synced, every version is kept, and a crash leaves any one of them; of the
//! names, any subset of the changes. A failed sync forgets that the sectors were written, as Linux
//! does: they stay visible, a later sync succeeds without them, and a crash loses them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::choices::Choices;
use crate::disk::Disk;
use crate::mem_content::{Content, SECTOR_BYTES};
use crate::mem_fault::{Fault, Lie, Operation, OperationKind};
use crate::mem_file::MemFile;
use crate::mem_names::NameChange;
use crate::mem_state::{State, lock};
use crate::number::{narrow, wide};

/// A directory in memory. Clones are handles of the same directory.
#[derive(Clone, Debug)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

/// The lock of a [`MemDisk`].
#[derive(Debug)]
pub struct MemLock {
    state: Arc<Mutex<State>>,
}

impl Default for MemDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemDisk {
    /// The unit in which a crash keeps or loses what was written.
    pub const SECTOR_BYTES: usize = SECTOR_BYTES;

    /// An empty directory that records what is done to it.
    #[must_use]
    pub fn new() -> Self {
        Self::of(State::recorded())
    }

    /// An empty directory that records nothing, and so can be used for as long as one likes.
    #[must_use]
    pub fn unrecorded() -> Self {
        Self::of(State::default())
    }

    /// The disk as a crash at this moment could leave it; `choices` says what is kept. Of the
    /// faults only broken sectors survive.
    #[must_use]
    pub fn crash(&self, choices: &mut Choices) -> Self {
        Self::of(self.state().crash(choices))
    }

    /// In how many ways a crash at this moment could end, as far as that can be counted.
    #[must_use]
    pub fn crash_ways(&self) -> u64 {
        self.state().crash_ways()
    }

    /// A disk of its own with the same content, what waits for a sync included, without faults and
    /// not locked: for looking at what is there without disturbing it.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.state().fork())
    }

    /// What was done so far, reading and locking excepted. Nothing if it is not recorded.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.state().operations.clone().unwrap_or_default()
    }

    /// The names and lengths of all files as a process sees them, in order of the names.
    #[must_use]
    pub fn files(&self) -> Vec<(String, u64)> {
        let state = self.state();
        let length = |file: usize| wide(state.files[file].length());
        state.names.iter().map(|(name, file)| (name.to_owned(), length(file))).collect()
    }

    /// The content of a file as a process sees it; broken sectors are no obstacle.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let file = state.names.find(name)?;
        Some(state.files[file].bytes())
    }

    /// Gives a file another, durable content, or makes it: damage of any kind. Handles stay valid.
    pub fn set_content(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let file = state.names.find(name).unwrap_or_else(|| state.make());
        state.names.settle(name, file);
        state.files[file] = Content::durable(bytes);
        if let Some(faults) = &mut state.faults {
            faults.mend(file, 0..usize::MAX);
        }
    }

    /// Whether the worst crash would lose something that a process sees: a write, a length or a
    /// name that was not synced, a write that a failed sync forgot, or one that the disk lost.
    #[must_use]
    pub fn unsynced(&self) -> bool {
        self.state().has_unsynced()
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Faults. Unless they say otherwise, they end with a crash, or with [`Self::recover`].
impl MemDisk {
    /// Lets so many more operations succeed, reading excepted; then everything fails. Models a
    /// power failure: only the disk that [`Self::crash`] returns works again.
    pub fn cut_power_after(&self, operations: u64) {
        self.state().faults_mut().power_left = Some(operations);
    }

    /// Lets files grow by so many more bytes together; without a number, for ever. Models a file
    /// system that others fill up and clear.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.state().faults_mut().space_left = bytes;
    }

    /// Lets one operation of a kind fail, after `skip` more that succeed. Models a hiccup.
    pub fn fail(&self, kind: OperationKind, skip: u64, fault: Fault) {
        self.state().faults_mut().fail(kind, skip, fault);
    }

    /// Lets every operation of a kind fail. Models a device that is gone, or a file system that
    /// was remounted for reading only after an error.
    pub fn fail_always(&self, kind: OperationKind, fault: Fault) {
        self.state().faults_mut().fail_always(kind, fault);
    }

    /// Flips the bits of `mask` in one byte of a file: in what processes see, in what is durable
    /// and in all that a crash could leave instead. False if there is no such byte. Models bits
    /// that decay unnoticed by the device; nothing mends them but another write.
    pub fn rot(&self, name: &str, offset: u64, mask: u8) -> bool {
        let mut state = self.state();
        let (Some(file), Ok(offset)) = (state.names.find(name), usize::try_from(offset)) else {
            return false;
        };
        state.files[file].rot(offset, mask)
    }

    /// Lets reads that touch a sector of a file fail (EIO) until some of it is written again.
    /// Survives a crash. Models a latent sector error: the device notices the damage itself, and
    /// finds another place for the sector with the next write. A write of a part leaves the rest as
    /// it was, as if it still was in the page cache. Does nothing if there is no such file.
    pub fn break_sector(&self, name: &str, sector: u64) {
        let mut state = self.state();
        if let Some(file) = state.names.find(name) {
            state.faults_mut().break_sector(file, narrow(sector));
        }
    }

    /// Lets one write be lost, after `skip` more that go well: it succeeds and is visible, but is
    /// never durable, even though later syncs succeed. Models a disk that lies about what it has
    /// written: after a crash the old sectors are there. The file's length is not lost. A later
    /// write to one of the sectors takes along what is visible of the sector, as the page cache
    /// does.
    pub fn lose_write(&self, skip: u64) {
        self.state().faults_mut().lie(skip, Lie::Lost);
    }

    /// Lets one write go astray, after `skip` more that go well: it succeeds, but its bytes land,
    /// and become durable, `by` bytes further, while the right place keeps what was there. Models a
    /// disk that addresses the wrong sectors: the distance is rounded up to whole sectors, at least
    /// one, and counts on from the beginning where the file ended before the write. If that is the
    /// right place, it is one sector more. If the file has no other place for the write, the next
    /// write goes astray in its stead. The file's length becomes what it should be.
    pub fn misdirect_write(&self, skip: u64, by: u64) {
        self.state().faults_mut().lie(skip, Lie::Astray { by });
    }

    /// Ends all faults, those to come included; what they did to the content stays. Power that is
    /// already cut stays cut. Models the repair of a machine under a running process.
    pub fn recover(&self) {
        let mut state = self.state();
        state.faults = state.faults.as_ref().and_then(|faults| faults.recover());
    }
}

impl Disk for MemDisk {
    type File = MemFile;
    type Lock = MemLock;

    fn lock(&self) -> io::Result<MemLock> {
        let mut state = self.state();
        if state.is_locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        state.is_locked = true;
        Ok(MemLock { state: Arc::clone(&self.state) })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.iter().map(|(name, _)| name.to_owned()).collect())
    }

    fn create(&self, name: &str) -> io::Result<MemFile> {
        let mut state = self.state();
        if let Some(file) = state.names.find(name) {
            return Ok(MemFile::new(&self.state, file, name));
        }
        state.begin(OperationKind::Create, name, 0, 0).map_err(Fault::error)?;
        let file = state.make();
        state.names.change(NameChange::Set { name: name.to_owned(), file });
        Ok(MemFile::new(&self.state, file, name))
    }

    fn open(&self, name: &str) -> io::Result<MemFile> {
        let file = self.state().names.find(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(MemFile::new(&self.state, file, name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin(OperationKind::Rename, from, 0, 0).map_err(Fault::error)?;
        let file = state.names.find(from).ok_or(io::ErrorKind::NotFound)?;
        let (from, to) = (from.to_owned(), to.to_owned());
        state.names.change(NameChange::Rename { from, to, file });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin(OperationKind::Remove, name, 0, 0).map_err(Fault::error)?;
        state.names.find(name).ok_or(io::ErrorKind::NotFound)?;
        state.names.change(NameChange::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.begin(OperationKind::SyncDir, "", 0, 0).map_err(Fault::error)?;
        state.names.make_durable();
        Ok(())
    }

    fn path_of(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

impl Drop for MemLock {
    fn drop(&mut self) {
        lock(&self.state).is_locked = false;
    }
}
