//! A directory in memory that can crash, tear, rot, fill up and fail: deterministic, for tests and
//! simulators.
//!
//! It keeps apart what a process sees and what a crash leaves. Of each sector that was written
//! since it was last synced, every version is kept, and a crash leaves any one of them; of the
//! names, any subset of the changes. A failed sync forgets that the sectors were written, as Linux
//! does: they stay visible, a later sync succeeds without them, and a crash loses them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::choices::Choices;
use crate::disk::{Disk, DiskFile};
use crate::mem_content::{Content, NameChange, SECTOR_BYTES};
use crate::number::{narrow, wide};

/// A directory in memory. Clones are handles of the same directory.
#[derive(Clone, Debug, Default)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

/// A file of a [`MemDisk`].
#[derive(Debug)]
pub struct MemFile {
    state: Arc<Mutex<State>>,
    id: u64,
    name: String,
}

/// The lock of a [`MemDisk`].
#[derive(Debug)]
pub struct MemLock {
    state: Arc<Mutex<State>>,
}

/// What was done to the disk, in order.
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
    /// [`DiskFile::read_at`]; not recorded.
    Read,
    /// [`Disk::create`] of a file that was not there.
    Create,
    /// [`DiskFile::write_at`].
    Write,
    /// [`DiskFile::allocate`].
    Allocate,
    /// [`DiskFile::sync_data`].
    SyncData,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::remove`].
    Remove,
    /// [`Disk::sync_dir`].
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
    fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("input/output error"),
            Self::Full => io::Error::from(io::ErrorKind::StorageFull),
            Self::Quota => io::Error::from(io::ErrorKind::QuotaExceeded),
            Self::Power => io::Error::other("the power is cut"),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    names_durable: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    files_made: u64,
    is_locked: bool,
    operations: Vec<Operation>,
    /// Operations until the power fails.
    power_left: Option<u64>,
    /// Bytes by which files may still grow.
    space_left: Option<u64>,
    /// For each kind: after how many more operations one fails, and how.
    faults: Vec<(OperationKind, u64, Fault)>,
}

impl MemDisk {
    /// The unit in which a crash keeps or loses what was written.
    pub const SECTOR_BYTES: usize = SECTOR_BYTES;

    /// An empty directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk as a crash at this moment could leave it; `choices` says what is kept.
    #[must_use]
    pub fn crash(&self, choices: &mut Choices) -> Self {
        let state = self.state();
        let mut names = state.names_durable.clone();
        for change in &state.name_changes {
            if choices.pick(2) == 1 {
                change.apply(&mut names);
            }
        }
        let mut files = state.files.clone();
        for content in files.values_mut() {
            content.crash(choices);
        }
        let state = State {
            files,
            names_durable: names.clone(),
            names,
            files_made: state.files_made,
            ..State::default()
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// In how many ways a crash at this moment could end, as far as that can be counted.
    #[must_use]
    pub fn crash_ways(&self) -> u64 {
        let state = self.state();
        let changes = state.name_changes.iter().map(|_| 2);
        let contents = state.files.values().map(Content::crash_ways);
        changes.chain(contents).fold(1, u64::saturating_mul)
    }

    /// What was done so far, reading and locking excepted.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.state().operations.clone()
    }

    /// Lets so many more operations succeed, reading excepted; then everything fails.
    pub fn cut_power_after(&self, operations: u64) {
        self.state().power_left = Some(operations);
    }

    /// Lets files grow by so many more bytes together; without a number, for ever.
    pub fn limit_space(&self, bytes: Option<u64>) {
        self.state().space_left = bytes;
    }

    /// Lets one operation of a kind fail, after `skip` more that succeed.
    pub fn fail(&self, kind: OperationKind, skip: u64, fault: Fault) {
        self.state().faults.push((kind, skip, fault));
    }

    /// The content of a file as a process sees it.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let id = state.names.get(name)?;
        Some(state.files.get(id)?.bytes.clone())
    }

    /// Gives a file another, durable content, or makes it: damage of any kind. Handles stay valid.
    pub fn set_content(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let id = state.names.get(name).copied().unwrap_or_else(|| state.make(name));
        state.names_durable.insert(name.to_owned(), id);
        state.name_changes.retain(|change| !change.is_about(name));
        state.files.insert(id, Content::durable(bytes));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
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
        Ok(self.state().names.keys().cloned().collect())
    }

    fn create(&self, name: &str) -> io::Result<MemFile> {
        if let Ok(file) = self.open(name) {
            return Ok(file);
        }
        let mut state = self.state();
        state.begin(OperationKind::Create, name, 0, 0)?;
        let id = state.make(name);
        state.name_changes.push(NameChange::Set { name: name.to_owned(), id });
        Ok(MemFile { state: Arc::clone(&self.state), id, name: name.to_owned() })
    }

    fn open(&self, name: &str) -> io::Result<MemFile> {
        let id = *self.state().names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(MemFile { state: Arc::clone(&self.state), id, name: name.to_owned() })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin(OperationKind::Rename, from, 0, 0)?;
        let id = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        let change = NameChange::Rename { from: from.to_owned(), to: to.to_owned(), id };
        change.apply(&mut state.names);
        state.name_changes.push(change);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.begin(OperationKind::Remove, name, 0, 0)?;
        if !state.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let change = NameChange::Remove { name: name.to_owned() };
        change.apply(&mut state.names);
        state.name_changes.push(change);
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        let result = state.begin(OperationKind::SyncDir, "", 0, 0);
        if result.is_ok() {
            state.names_durable = state.names.clone();
            state.name_changes.clear();
        }
        result
    }

    fn path_of(&self, name: &str) -> String {
        format!("memory/{name}")
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = lock(&self.state);
        state.begin(OperationKind::Read, &self.name, offset, wide(buffer.len()))?;
        let bytes = &state.content(self.id).bytes;
        let start = bytes.len().min(narrow(offset));
        let count = buffer.len().min(bytes.len() - start);
        buffer[..count].copy_from_slice(&bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let length = wide(bytes.len());
        let mut result = state.begin(OperationKind::Write, &self.name, offset, length);
        let mut written = if result.is_ok() {
            length
        } else if state.power_left == Some(0) {
            0
        } else {
            length / 2
        };
        let granted = state.grow(self.id, offset + written);
        if granted < offset + written {
            written = granted.saturating_sub(offset);
            result = Err(Fault::Full.error());
        }
        state.content(self.id).write(&bytes[..narrow(written)], narrow(offset));
        result
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.begin(OperationKind::Allocate, &self.name, 0, length)?;
        let granted = state.grow(self.id, length);
        let content = state.content(self.id);
        if granted > wide(content.bytes.len()) {
            content.bytes.resize(narrow(granted), 0);
        }
        if granted < length { Err(Fault::Full.error()) } else { Ok(()) }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(wide(lock(&self.state).content(self.id).bytes.len()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        let result = state.begin(OperationKind::SyncData, &self.name, 0, 0);
        if result.is_err() && state.power_left == Some(0) {
            return result;
        }
        let content = state.content(self.id);
        if result.is_ok() {
            content.make_durable();
        } else {
            content.forget_writes();
        }
        result
    }
}

impl Drop for MemLock {
    fn drop(&mut self) {
        lock(&self.state).is_locked = false;
    }
}

impl State {
    /// Takes note of an operation, and lets it fail if its time has come.
    fn begin(
        &mut self,
        kind: OperationKind,
        name: &str,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        if self.power_left == Some(0) {
            return Err(Fault::Power.error());
        }
        if kind != OperationKind::Read {
            self.power_left = self.power_left.map(|left| left - 1);
            self.operations.push(Operation { kind, name: name.to_owned(), offset, length });
        }
        let mut failing = None;
        for (at, fault) in self.faults.iter_mut().enumerate() {
            if fault.0 == kind {
                match fault.1.checked_sub(1) {
                    Some(left) => fault.1 = left,
                    None => failing = Some(at),
                }
            }
        }
        let Some(at) = failing else { return Ok(()) };
        let (_, _, fault) = self.faults.remove(at);
        if fault == Fault::Power {
            self.power_left = Some(0);
        }
        Err(fault.error())
    }

    fn make(&mut self, name: &str) -> u64 {
        let id = self.files_made;
        self.files_made += 1;
        self.files.insert(id, Content::default());
        self.names.insert(name.to_owned(), id);
        id
    }

    fn content(&mut self, id: u64) -> &mut Content {
        self.files.get_mut(&id).expect("files are never forgotten")
    }

    /// How long the file may be, if it is to be `length` bytes long: takes the space for it.
    fn grow(&mut self, id: u64, length: u64) -> u64 {
        let held = wide(self.content(id).bytes.len());
        let more = length.saturating_sub(held);
        let granted = self.space_left.map_or(more, |left| left.min(more));
        self.space_left = self.space_left.map(|left| left - granted);
        if granted < more { held + granted } else { length }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A test that panicked elsewhere is the one to look at; the state is only for looking at then.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
