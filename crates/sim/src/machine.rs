//! The state machine under test: the store, and beside it the one order in which all members must
//! apply.
//!
//! A command is the number of the client's operation, in 8 bytes, then the store's command. So each
//! command is another one, and one that is applied twice is noticed, whatever it does.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use quorate_replica::{Command, StateMachine, Wants, WriteOut};
use quorate_store::Store;

use crate::violation::demand;

/// The commands that were applied, by index: whoever comes first to an index says what is there.
#[derive(Debug, Default)]
pub(crate) struct Canon {
    applied: Vec<Option<Applied>>,
    /// For each operation: where it was applied; 0 if nowhere.
    places: Vec<u64>,
    /// The highest index that was applied by anyone.
    last: u64,
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Applied {
    operation: u64,
    /// The state after it.
    hash: u64,
    revision: i64,
    /// Whether it made the revision.
    is_change: bool,
}

impl Canon {
    /// A member applied a command.
    fn apply(&mut self, member: usize, index: u64, applied: Applied) {
        let place = usize::try_from(index).expect("indexes are small here");
        if self.applied.len() <= place {
            self.applied.resize(place + 1, None);
        }
        self.last = self.last.max(index);
        match &self.applied[place] {
            Some(known) => demand!(
                *known == applied,
                StateMachineSafety,
                "member {member} applied operation {} at {index} and came to state {:016x} and \
                 revision {}; another member applied operation {} and came to state {:016x} and \
                 revision {}",
                applied.operation,
                applied.hash,
                applied.revision,
                known.operation,
                known.hash,
                known.revision
            ),
            None => {
                self.applied[place] = Some(applied);
                self.place(member, index, applied.operation);
            }
        }
    }

    fn place(&mut self, member: usize, index: u64, operation: u64) {
        let number = usize::try_from(operation).expect("operations are few");
        if self.places.len() <= number {
            self.places.resize(number + 1, 0);
        }
        let before = std::mem::replace(&mut self.places[number], index);
        demand!(
            before == 0,
            AtMostOnce,
            "member {member} applied operation {operation} at {index}; it was applied at {before} \
             already"
        );
    }

    /// Where an operation was applied, if it was.
    pub(crate) fn place_of(&self, operation: usize) -> Option<u64> {
        self.places.get(operation).copied().filter(|place| *place > 0)
    }

    /// The revision that an operation made, if it made one.
    pub(crate) fn effect_of(&self, operation: usize) -> Option<i64> {
        let place = usize::try_from(self.place_of(operation)?).ok()?;
        let applied = self.applied.get(place).copied().flatten()?;
        applied.is_change.then_some(applied.revision)
    }
}

/// The store of one life of a member.
#[derive(Debug)]
pub(crate) struct Machine {
    member: usize,
    store: Store,
    revision: i64,
    canon: Rc<RefCell<Canon>>,
}

/// The answer to an operation.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) operation: u64,
    pub(crate) reply: quorate_store::Reply,
}

impl Machine {
    pub(crate) fn new(member: usize, canon: Rc<RefCell<Canon>>) -> Self {
        let store = Store::new();
        Self { member, revision: store.status().revision, store, canon }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The store's revision.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }
}

/// The bytes of an operation for the log.
pub(crate) fn command(operation: u64, command: &quorate_store::Command) -> Bytes {
    let body = command.encode();
    let mut bytes = BytesMut::with_capacity(8 + body.len());
    bytes.put_u64_le(operation);
    bytes.put(body);
    bytes.freeze()
}

impl StateMachine for Machine {
    type Reply = Reply;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Reply>) {
        let mut canon = self.canon.borrow_mut();
        for command in commands {
            let number = command.body.first_chunk::<8>().copied();
            let operation = u64::from_le_bytes(number.unwrap_or_default());
            let body = command.body.slice(8.min(command.body.len())..);
            let wants = match command.wants {
                Wants::Reply => quorate_store::Wants::Reply,
                Wants::Nothing => quorate_store::Wants::Nothing,
            };
            let reply = self.store.apply(&body, wants);
            let revision = self.store.status().revision;
            demand!(
                self.revision <= revision,
                Monotonicity,
                "the revision of member {} fell from {} to {revision}",
                self.member,
                self.revision
            );
            let is_change = self.revision < revision;
            self.revision = revision;
            let hash = self.store.state_hash();
            let applied = Applied { operation, hash, revision, is_change };
            canon.apply(self.member, command.index.value(), applied);
            replies.extend(reply.map(|reply| Reply { operation, reply }));
        }
    }

    fn snapshot(&self) -> WriteOut {
        let store = self.store.snapshot();
        Box::new(move |out| store.write_to(out))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.store.restore(from).map_err(io::Error::from)?;
        self.revision = self.store.status().revision;
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.store.state_hash()
    }
}
