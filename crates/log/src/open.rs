//! Opening a log: the lock, the identity, recovery, and the record that begins an incarnation.
//!
//! **Invariants.** The identity file appears last when a directory is created, so a directory with
//! one is complete. Nothing of a new incarnation is written before its first record is durable.

use std::fmt;
use std::io;

use bytes::Bytes;
use quorate_raft::{EntryId, HardState, Index, Run};

use crate::disk::{Disk, DiskFile};
use crate::error::{FormatError, OpenError};
use crate::format::{
    IDENTITY_BYTES, IDENTITY_FILE, IDENTITY_FILE_NEW, Position, decode_identity, encode_identity,
    segment_name, segment_number,
};
use crate::index::Records;
use crate::log::{Foundation, Log};
use crate::options::{Identity, Options};
use crate::recover::Recovery;
use crate::scan::holds_more_than_a_beginning;
use crate::snapshot_format::parse_name;
use crate::writer::Writer;

/// What was in the log when it was opened.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The latest term and vote.
    pub hard_state: HardState,
    /// The entry right before the first one; [`EntryId::ZERO`] if the log has all its entries. A
    /// member whose snapshot does not reach it has lost entries, and must not go on.
    pub base: EntryId,
    /// The terms of the entries after the base.
    pub runs: Vec<Run>,
    /// The bodies of the membership entries after the base, by index.
    pub memberships: Vec<(Index, Bytes)>,
    /// What an operator may want to know.
    pub notes: Vec<Note>,
    /// Whether the log was made just now.
    pub created: bool,
    /// Counts the openings of this log, from 1 on. May leave numbers out.
    pub incarnation: u64,
}

/// Something found while opening that needs no action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A write that was under way when the machine stopped, and that nobody was told had succeeded,
    /// is incomplete and was dropped.
    TornTail {
        /// The file.
        file: String,
        /// Where in it the log ends.
        offset: u64,
        /// What is wrong there.
        what: FormatError,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTail { file, offset, what } => write!(
                f,
                "dropped an incomplete write, never acknowledged, from {file} at offset {offset} \
                 ({what})"
            ),
        }
    }
}

impl<D: Disk> Log<D> {
    /// Opens the log in a directory, or creates it in an empty one, for the member `identity`.
    ///
    /// # Panics
    /// If `options` contradict each other.
    pub fn open(
        disk: D,
        identity: Identity,
        options: Options,
    ) -> Result<(Self, Recovered), OpenError> {
        options.check();
        let lock = lock(&disk)?;
        let names = disk.list().map_err(io_error(&disk, ""))?;
        let segments: Vec<u32> = names.iter().filter_map(|name| segment_number(name)).collect();
        let writer = Writer::new(disk.clone(), lock, options);
        if names.iter().any(|name| name == IDENTITY_FILE) {
            check_identity(&disk, identity)?;
            let recovery = Recovery::run(&disk, identity, &segments)?;
            recovery.secure(&disk)?;
            Self::resume(identity, options, recovery, writer)
        } else {
            check_empty(&disk, &names, &segments)?;
            Self::create(disk, identity, options, writer)
        }
    }

    fn create(
        disk: D,
        identity: Identity,
        options: Options,
        writer: Writer<D>,
    ) -> Result<(Self, Recovered), OpenError> {
        let foundation = Foundation {
            records: Records::new(1, EntryId::ZERO),
            hard_state: HardState::default(),
            incarnation: 1,
            tail: Position::new(1, 0),
        };
        let mut log = Self::new(identity, options, foundation, writer);
        log.begin_incarnation()?;
        write_identity(&disk, identity)?;
        let recovered = Recovered {
            hard_state: HardState::default(),
            base: EntryId::ZERO,
            runs: Vec::new(),
            memberships: Vec::new(),
            notes: Vec::new(),
            created: true,
            incarnation: 1,
        };
        Ok((log, recovered))
    }

    fn resume(
        identity: Identity,
        options: Options,
        recovery: Recovery,
        writer: Writer<D>,
    ) -> Result<(Self, Recovered), OpenError> {
        let incarnation = recovery.next_incarnation();
        let recovered = Recovered {
            hard_state: recovery.hard_state,
            base: recovery.records.base(),
            runs: recovery.records.runs(),
            memberships: recovery.memberships,
            notes: recovery.notes,
            created: false,
            incarnation: u64::from(incarnation),
        };
        let foundation = Foundation {
            records: recovery.records,
            hard_state: recovery.hard_state,
            incarnation,
            tail: recovery.tail,
        };
        let mut log = Self::new(identity, options, foundation, writer);
        log.begin_incarnation()?;
        Ok((log, recovered))
    }

    /// Makes the first record of this incarnation durable, alone.
    fn begin_incarnation(&mut self) -> Result<(), OpenError> {
        self.append_opened();
        let job = self.begin_sync().expect("a record waits and no job is out");
        let synced = job.run().map_err(|failure| failure.into_open())?;
        self.finish_sync(synced);
        Ok(())
    }
}

fn lock<D: Disk>(disk: &D) -> Result<D::Lock, OpenError> {
    disk.lock().map_err(|error| {
        if error.kind() == io::ErrorKind::WouldBlock {
            OpenError::Locked { directory: disk.path_of("") }
        } else {
            OpenError::Io { file: disk.path_of(""), error }
        }
    })
}

fn check_identity<D: Disk>(disk: &D, expected: Identity) -> Result<(), OpenError> {
    let file = disk.open(IDENTITY_FILE).map_err(io_error(disk, IDENTITY_FILE))?;
    let mut bytes = [0; IDENTITY_BYTES];
    let read = file.read_at(&mut bytes, 0).map_err(io_error(disk, IDENTITY_FILE))?;
    let path = disk.path_of(IDENTITY_FILE);
    match decode_identity(&bytes[..read]) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => Err(OpenError::Foreign { file: path, found, expected }),
        Err(what @ FormatError::Version(_)) => {
            Err(OpenError::Newer { file: path, offset: 0, what })
        }
        Err(what) => Err(OpenError::Damaged { file: path, offset: 0, what }),
    }
}

/// Without an identity there may be the remains of a creation that a crash cut short, no more. A
/// snapshot is none of them, not even one in the making: a member with a log writes or receives it.
fn check_empty<D: Disk>(disk: &D, names: &[String], segments: &[u32]) -> Result<(), OpenError> {
    let has_snapshot = names.iter().any(|name| parse_name(name).is_some());
    let is_beginning = match segments {
        _ if has_snapshot => false,
        [] => true,
        [1] => {
            let name = segment_name(1);
            let file = disk.open(&name).map_err(io_error(disk, &name))?;
            !holds_more_than_a_beginning(&file).map_err(io_error(disk, &name))?
        }
        _ => false,
    };
    if is_beginning {
        return Ok(());
    }
    let file = disk.path_of(IDENTITY_FILE);
    Err(OpenError::Damaged { file, offset: 0, what: FormatError::Missing })
}

fn write_identity<D: Disk>(disk: &D, identity: Identity) -> Result<(), OpenError> {
    let in_file = || io_error(disk, IDENTITY_FILE_NEW);
    let file = disk.create(IDENTITY_FILE_NEW).map_err(in_file())?;
    file.write_at(&encode_identity(identity), 0).map_err(in_file())?;
    file.sync_data().map_err(in_file())?;
    disk.rename(IDENTITY_FILE_NEW, IDENTITY_FILE).map_err(in_file())?;
    disk.sync_dir().map_err(io_error(disk, ""))
}

/// Turns an error of the disk into ours.
pub(crate) fn io_error<D: Disk>(disk: &D, name: &str) -> impl FnOnce(io::Error) -> OpenError {
    move |error| {
        let file = disk.path_of(name);
        if crate::error::is_full(&error) {
            OpenError::Full { file, error }
        } else {
            OpenError::Io { file, error }
        }
    }
}
