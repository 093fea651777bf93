//! A file of a [`crate::MemDisk`]: what a handle can do, and how it fails.

use std::io;
use std::sync::{Arc, Mutex};

use crate::disk::DiskFile;
use crate::mem_content::sectors;
use crate::mem_fault::{Fault, OperationKind};
use crate::mem_state::{State, lock};
use crate::number::{narrow, wide};

/// A file of a [`crate::MemDisk`].
#[derive(Debug)]
pub struct MemFile {
    state: Arc<Mutex<State>>,
    file: usize,
    name: String,
}

impl MemFile {
    pub(crate) fn new(state: &Arc<Mutex<State>>, file: usize, name: &str) -> Self {
        Self { state: Arc::clone(state), file, name: name.to_owned() }
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = lock(&self.state);
        let begun = state.begin(OperationKind::Read, &self.name, offset, wide(buffer.len()));
        begun.map_err(Fault::error)?;
        let count = state.files[self.file].read(buffer, narrow(offset));
        if let Some(faults) = &state.faults
            && count > 0
            && faults.is_broken(self.file, sectors(narrow(offset), count))
        {
            return Err(Fault::Io.error());
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let begun = state.begin(OperationKind::Write, &self.name, offset, wide(bytes.len()));
        if state.faults.is_some() {
            return state.write(self.file, bytes, narrow(offset), begun).map_err(Fault::error);
        }
        state.files[self.file].write(bytes, narrow(offset));
        Ok(())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let begun = state.begin(OperationKind::Allocate, &self.name, 0, length);
        begun.map_err(Fault::error)?;
        state.allocate(self.file, narrow(length)).map_err(Fault::error)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(wide(lock(&self.state).files[self.file].length()))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = lock(&self.state);
        let begun = state.begin(OperationKind::SyncData, &self.name, 0, 0);
        if begun.is_ok() {
            state.files[self.file].make_durable();
        } else if !state.has_no_power() {
            state.files[self.file].forget_writes();
        }
        begun.map_err(Fault::error)
    }
}

impl State {
    /// A write to a disk that may have faults.
    fn write(
        &mut self,
        file: usize,
        bytes: &[u8],
        offset: usize,
        begun: Result<(), Fault>,
    ) -> Result<(), Fault> {
        let content = &mut self.files[file];
        let faults = self.faults.get_or_insert_default();
        let wanted = match begun {
            Ok(()) => bytes.len(),
            Err(_) if faults.has_no_power() => 0,
            Err(_) => bytes.len() / 2,
        };
        let held = content.length();
        let granted = faults.grant(held, offset + wanted).saturating_sub(offset);
        let bytes = &bytes[..granted];
        let result = if granted < wanted { Err(Fault::Full) } else { begun };
        if bytes.is_empty() {
            return result;
        }
        let place = match result {
            Ok(()) => faults.place_of(offset, granted, held),
            Err(_) => Some(offset),
        };
        match place {
            Some(place) => {
                content.write(bytes, place);
                faults.mend(file, sectors(place, granted));
            }
            None => content.write_lost(bytes, offset),
        }
        // Wherever the bytes went: the length is right.
        content.extend(offset + granted);
        faults.on_growth(content.length() - held);
        result
    }

    fn allocate(&mut self, file: usize, length: usize) -> Result<(), Fault> {
        let content = &mut self.files[file];
        let held = content.length();
        let Some(faults) = &mut self.faults else {
            content.extend(length);
            return Ok(());
        };
        let granted = faults.grant(held, length);
        content.extend(granted);
        faults.on_growth(content.length() - held);
        if granted < length { Err(Fault::Full) } else { Ok(()) }
    }
}
