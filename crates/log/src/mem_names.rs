//! What a [`crate::MemDisk`] knows of names: what a process sees, and what a crash may leave.

use std::collections::BTreeMap;

use crate::choices::Choices;

/// The names of a directory and the files that they stand for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    /// What happened since the last sync, in order; a crash keeps or loses each by itself.
    changes: Vec<NameChange>,
}

#[derive(Clone, Debug)]
pub(crate) enum NameChange {
    Set { name: String, file: usize },
    Rename { from: String, to: String, file: usize },
    Remove { name: String },
}

impl Names {
    /// What a process finds under a name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.seen.get(name).copied()
    }

    /// What a process sees, in order of the names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.seen.iter().map(|(name, &file)| (name.as_str(), file))
    }

    pub(crate) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }

    /// Gives a name to a file, durably, whatever happened to the name.
    pub(crate) fn settle(&mut self, name: &str, file: usize) {
        self.seen.insert(name.to_owned(), file);
        self.durable.insert(name.to_owned(), file);
        self.changes.retain(|change| !change.is_about(name));
    }

    /// A sync.
    pub(crate) fn make_durable(&mut self) {
        self.durable.clone_from(&self.seen);
        self.changes.clear();
    }

    /// Whether a crash may leave less than a process sees.
    pub(crate) fn has_unsynced(&self) -> bool {
        !self.changes.is_empty() || self.seen != self.durable
    }

    /// The number of possibilities in each question that [`Self::crash`] asks.
    pub(crate) fn crash_ways(&self) -> impl Iterator<Item = u64> {
        self.changes.iter().map(|_| 2)
    }

    /// What a loss of power leaves.
    pub(crate) fn crash(&self, choices: &mut Choices) -> Self {
        let mut names = self.durable.clone();
        for change in &self.changes {
            if choices.pick(2) == 1 {
                change.apply(&mut names);
            }
        }
        Self { seen: names.clone(), durable: names, changes: Vec::new() }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set { name, file } => {
                names.insert(name.clone(), *file);
            }
            Self::Rename { from, to, file } => {
                names.remove(from);
                names.insert(to.clone(), *file);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }

    fn is_about(&self, name: &str) -> bool {
        match self {
            Self::Set { name: set, .. } | Self::Remove { name: set } => set == name,
            Self::Rename { from, to, .. } => from == name || to == name,
        }
    }
}
