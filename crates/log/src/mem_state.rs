//! What all handles of a [`crate::MemDisk`] share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::choices::Choices;
use crate::mem_content::Content;
use crate::mem_fault::{Fault, Faults, Operation, OperationKind};
use crate::mem_names::Names;

#[derive(Debug, Default)]
pub(crate) struct State {
    /// By number. None is ever forgotten, since a handle may outlive its name.
    pub(crate) files: Vec<Content>,
    pub(crate) names: Names,
    pub(crate) is_locked: bool,
    /// What was done, if that is recorded.
    pub(crate) operations: Option<Vec<Operation>>,
    /// None as long as no fault was set, so that a sound disk has one thing to check.
    pub(crate) faults: Option<Box<Faults>>,
}

impl State {
    pub(crate) fn recorded() -> Self {
        Self { operations: Some(Vec::new()), ..Self::default() }
    }

    /// What a loss of power leaves.
    pub(crate) fn crash(&self, choices: &mut Choices) -> Self {
        let names = self.names.crash(choices);
        let mut files: Vec<_> = self.files.iter().map(|content| content.crash(choices)).collect();
        let mut is_named = vec![false; files.len()];
        names.iter().for_each(|(_, file)| is_named[file] = true);
        for (content, is_named) in files.iter_mut().zip(is_named) {
            if !is_named {
                // There are no handles any more; only the number stays taken.
                *content = Content::default();
            }
        }
        let operations = self.operations.is_some().then(Vec::new);
        let faults = self.faults.as_ref().and_then(|faults| faults.crash());
        Self { files, names, is_locked: false, operations, faults }
    }

    /// The same content without anything else.
    pub(crate) fn fork(&self) -> Self {
        let (files, names) = (self.files.clone(), self.names.clone());
        let operations = self.operations.is_some().then(Vec::new);
        Self { files, names, is_locked: false, operations, faults: None }
    }

    pub(crate) fn crash_ways(&self) -> u64 {
        let contents = self.files.iter().map(Content::crash_ways);
        self.names.crash_ways().chain(contents).fold(1, u64::saturating_mul)
    }

    /// Whether the worst crash may leave less than a process sees.
    pub(crate) fn has_unsynced(&self) -> bool {
        let is_unsynced = |(_, file): (&str, usize)| self.files[file].has_unsynced();
        self.names.has_unsynced() || self.names.iter().any(is_unsynced)
    }

    /// Makes a file without a name.
    pub(crate) fn make(&mut self) -> usize {
        self.files.push(Content::default());
        self.files.len() - 1
    }

    pub(crate) fn faults_mut(&mut self) -> &mut Faults {
        self.faults.get_or_insert_default()
    }

    pub(crate) fn has_no_power(&self) -> bool {
        self.faults.as_ref().is_some_and(|faults| faults.has_no_power())
    }

    /// Takes note of an operation, and lets it fail if its time has come.
    pub(crate) fn begin(
        &mut self,
        kind: OperationKind,
        name: &str,
        offset: u64,
        length: u64,
    ) -> Result<(), Fault> {
        if self.has_no_power() {
            return Err(Fault::Power);
        }
        if let Some(operations) = &mut self.operations
            && kind != OperationKind::Read
        {
            operations.push(Operation { kind, name: name.to_owned(), offset, length });
        }
        self.faults.as_mut().map_or(Ok(()), |faults| faults.on_operation(kind))
    }
}

pub(crate) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // A test that panicked elsewhere is the one to look at; the state is only for looking at then.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
