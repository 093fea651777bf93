//! Reading a snapshot.
//!
//! Everything is built beside the present state, so a snapshot that turns out wrong at its last
//! byte has changed nothing.

use std::io::Read;
use std::ops::RangeInclusive;

use super::input::Input;
use super::{MAGIC, NUMBER_MAX, RestoreError, VERSION};
use crate::hash::StateHash;
use crate::record::{Fields, Version};
use crate::shared::Status;
use crate::tree::Tree;

/// What a snapshot says.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) tree: Tree,
    pub(crate) status: Status,
    pub(crate) hash: StateHash,
}

/// Reads a snapshot, which is all of `source`.
///
/// # Errors
/// If it is none, or cannot be read.
pub(crate) fn read(source: &mut dyn Read) -> Result<Restored, RestoreError> {
    let mut input = Input::new(source);
    if input.array()? != MAGIC {
        return Err(RestoreError::NoSnapshot);
    }
    let version = u32::from_le_bytes(input.array()?);
    if VERSION < version {
        return Err(RestoreError::Newer { found: version, known: VERSION });
    }
    if version != VERSION {
        return Err(input.damaged("no format has this number"));
    }
    let revision = fixed(&mut input, 1..=NUMBER_MAX, "the revision is out of range")?;
    let compacted = fixed(&mut input, -1..=revision, "the compacted revision is out of range")?;
    let hash = StateHash::from_value(u64::from_le_bytes(input.array()?));
    let status = Status { revision, compacted, keys: 0, versions: 0, bytes: 0, bytes_live: 0 };
    let mut loader = Loader { input, tree: Tree::new(), status, key: None, keys: 0 };
    while loader.key()? {}
    loader.end()?;
    Ok(Restored { tree: loader.tree, status: loader.status, hash })
}

/// What was read so far.
struct Loader<'r> {
    input: Input<'r>,
    tree: Tree,
    /// The revisions, and the numbers of what is in the tree. These are counted and not read: what
    /// a version takes of memory is no business of the format.
    status: Status,
    /// The last key.
    key: Option<Vec<u8>>,
    /// How many keys, dead ones included.
    keys: u64,
}

/// A version, but for its value.
#[derive(Clone, Copy)]
struct Head {
    revision: i64,
    sub: i64,
    /// None for a tombstone.
    life: Option<Life>,
}

/// Since when a key lives, and how often it was set since.
#[derive(Clone, Copy)]
struct Life {
    create_revision: i64,
    version: i64,
}

impl Loader<'_> {
    /// Reads a key with its versions. Whether there was one, not the end mark.
    fn key(&mut self) -> Result<bool, RestoreError> {
        let versions = self.input.number()?;
        if versions == 0 {
            return Ok(false);
        }
        let key = self.next_key()?;
        let mut last = None;
        let mut live_bytes = None;
        for _ in 0..versions {
            let head = match last {
                None => self.first()?,
                Some(last) => self.later(last)?,
            };
            let version = self.version(&key, head)?;
            self.status.versions += 1;
            self.status.bytes += version.bytes();
            live_bytes = (!version.is_tombstone()).then(|| version.bytes());
            self.tree.append(&key, version);
            last = Some(head);
        }
        if let Some(bytes) = live_bytes {
            self.status.keys += 1;
            self.status.bytes_live += bytes;
        }
        self.keys += 1;
        self.key = Some(key);
        Ok(true)
    }

    /// Reads a key, in the memory of the last one.
    fn next_key(&mut self) -> Result<Vec<u8>, RestoreError> {
        let length = self.length()?;
        if KEY_BYTES_MAX < length {
            return Err(self.input.damaged("a key is longer than any request"));
        }
        let bytes = self.input.take(length)?;
        let is_next = self.key.as_deref().is_none_or(|last| last < bytes);
        let mut key = self.key.take().unwrap_or_default();
        key.clear();
        key.extend_from_slice(bytes);
        if is_next { Ok(key) } else { Err(self.input.damaged("a key is not after the last one")) }
    }

    /// Reads the head of a key's oldest version, which says all.
    fn first(&mut self) -> Result<Head, RestoreError> {
        let Status { revision: current, compacted, .. } = self.status;
        let (since, is_tombstone) = self.stamp()?;
        let head = self.place(0, since)?;
        if is_tombstone {
            if head.revision != compacted {
                return Err(self.input.damaged("a key begins with a removal"));
            }
            return Ok(head);
        }
        let again = self.number(0..=NUMBER_MAX - 1, "a key was set too often")?;
        let age = if again == 0 {
            0
        } else if compacted < head.revision {
            return Err(self.input.damaged("a key begins in the middle of its history"));
        } else {
            self.number(0..=current, "a key was created too early")?
        };
        let create_revision = head.revision - age;
        if create_revision < FIRST_REVISION {
            return Err(self.input.damaged("a key was created too early"));
        }
        Ok(Head { life: Some(Life { create_revision, version: again + 1 }), ..head })
    }

    /// Reads the head of a version that comes after `last`.
    fn later(&mut self, last: Head) -> Result<Head, RestoreError> {
        let (since, is_tombstone) = self.stamp()?;
        let head = self.place(last.revision, since)?;
        if head.revision == last.revision && head.sub <= last.sub {
            return Err(self.input.damaged("versions are out of order"));
        }
        let compacted = self.status.compacted;
        if head.revision < compacted || (head.revision == compacted && last.revision < compacted) {
            return Err(self.input.damaged("a version can not be read at any revision"));
        }
        let life = match (last.life, is_tombstone) {
            (Some(_), true) => None,
            (None, true) => return Err(self.input.damaged("a key is removed twice")),
            (None, false) => Some(Life { create_revision: head.revision, version: 1 }),
            (Some(Life { version, .. }), false) if NUMBER_MAX <= version => {
                return Err(self.input.damaged("a key was set too often"));
            }
            (Some(life), false) => Some(Life { version: life.version + 1, ..life }),
        };
        Ok(Head { life, ..head })
    }

    /// Reads how much later a version is than the last, and whether it is a tombstone.
    fn stamp(&mut self) -> Result<(i64, bool), RestoreError> {
        let stamp = self.input.number()?;
        Ok(((stamp >> 1).cast_signed(), stamp & 1 == 1))
    }

    /// The place of a version so much later than `last`, as a tombstone so far.
    fn place(&mut self, last: i64, since: i64) -> Result<Head, RestoreError> {
        let revisions = FIRST_REVISION..=self.status.revision;
        let revision = last.checked_add(since).filter(|revision| revisions.contains(revision));
        let Some(revision) = revision else {
            return Err(self.input.damaged("a version has a revision that did not happen"));
        };
        let sub = self.number(0..=NUMBER_MAX, "a revision has too many changes")?;
        Ok(Head { revision, sub, life: None })
    }

    /// Reads the rest of a version.
    fn version(&mut self, key: &[u8], head: Head) -> Result<Version, RestoreError> {
        let Head { revision, sub, life } = head;
        let Some(Life { create_revision, version }) = life else {
            return Ok(Version::tombstone(revision, sub, key));
        };
        let lease = self.input.number()?.cast_signed();
        let length = self.length()?;
        let value = self.input.take(length)?;
        let fields = Fields { create_revision, version, lease, value };
        Ok(Version::set(revision, sub, key, fields))
    }

    /// Compares what the end mark says with what was there.
    fn end(&mut self) -> Result<(), RestoreError> {
        let live = self.status.keys.cast_unsigned();
        for expected in [self.keys, self.status.versions.cast_unsigned(), live] {
            if self.input.number()? != expected {
                return Err(self.input.damaged("the end mark counts differently"));
            }
        }
        self.input.finish()
    }

    fn number(
        &mut self,
        range: RangeInclusive<i64>,
        what: &'static str,
    ) -> Result<i64, RestoreError> {
        let number = self.input.number()?;
        let number = i64::try_from(number).ok().filter(|number| range.contains(number));
        number.ok_or_else(|| self.input.damaged(what))
    }

    fn length(&mut self) -> Result<usize, RestoreError> {
        let length = self.input.number()?;
        usize::try_from(length).map_err(|_| self.input.damaged("a length is beyond all memory"))
    }
}

/// Reads a number of eight bytes.
fn fixed(
    input: &mut Input<'_>,
    range: RangeInclusive<i64>,
    what: &'static str,
) -> Result<i64, RestoreError> {
    let number = i64::from_le_bytes(input.array()?);
    if range.contains(&number) { Ok(number) } else { Err(input.damaged(what)) }
}

/// That of the first change to a store.
const FIRST_REVISION: i64 = 2;

/// No message of protobuf brings a longer one, and leaves count on that.
const KEY_BYTES_MAX: usize = (1 << 31) - 1;
