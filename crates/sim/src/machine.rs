//! The state machine under test in its wrapping, and the one order in which all members must apply.
//!
//! A command in the log is the number of the client's operation, in 8 bytes, then the command of
//! the workload. So each command is another one, and one that is applied twice is noticed, whatever
//! it does. The machine within sees what it would see without the number.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use quorate_replica::{Command, StateMachine, Wants, WriteOut};

use crate::violation::demand;

/// The commands that were applied, by index: whoever comes first to an index says what is there.
#[derive(Debug, Default)]
pub(crate) struct Canon {
    applied: Vec<Option<Applied>>,
    /// For each operation: where it was applied; 0 if nowhere.
    places: Vec<u64>,
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) operation: u64,
    /// The digest of the state after it.
    pub(crate) digest: u64,
}

impl Canon {
    /// A member applied a command.
    fn apply(&mut self, member: usize, index: u64, applied: Applied) {
        let place = usize::try_from(index).expect("indexes are small here");
        if self.applied.len() <= place {
            self.applied.resize(place + 1, None);
        }
        match &self.applied[place] {
            Some(known) => demand!(
                *known == applied,
                StateMachineSafety,
                "member {member} applied operation {} at {index} and came to the state of digest \
                 {:016x}; another member applied operation {} and came to {:016x}",
                applied.operation,
                applied.digest,
                known.operation,
                known.digest
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

    /// All that was applied, with its index, in order.
    pub(crate) fn applied(&self) -> impl Iterator<Item = (u64, Applied)> {
        let applied = (0..).zip(&self.applied);
        applied.filter_map(|(index, applied)| applied.map(|applied| (index, applied)))
    }
}

/// The machine of one life of a member.
#[derive(Debug)]
pub(crate) struct Machine<M: StateMachine> {
    member: usize,
    inner: M,
    canon: Rc<RefCell<Canon>>,
    /// The replies to one command. Reused from command to command.
    replies: Vec<M::Reply>,
}

/// The answer to an operation.
#[derive(Debug)]
pub(crate) struct Numbered<R> {
    pub(crate) operation: u64,
    pub(crate) reply: R,
}

impl<M: StateMachine> Machine<M> {
    pub(crate) fn new(member: usize, inner: M, canon: Rc<RefCell<Canon>>) -> Self {
        Self { member, inner, canon, replies: Vec::new() }
    }

    /// The machine of the workload.
    pub(crate) fn inner(&self) -> &M {
        &self.inner
    }
}

/// The bytes of an operation for the log.
pub(crate) fn command(operation: u64, body: &Bytes) -> Bytes {
    let mut bytes = BytesMut::with_capacity(8 + body.len());
    bytes.put_u64_le(operation);
    bytes.extend_from_slice(body);
    bytes.freeze()
}

impl<M: StateMachine> StateMachine for Machine<M> {
    type Reply = Numbered<M::Reply>;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Self::Reply>) {
        for command in commands {
            let number = command.body.first_chunk::<8>().copied();
            let operation = u64::from_le_bytes(number.unwrap_or_default());
            let body = command.body.slice(8.min(command.body.len())..);
            let (index, wants) = (command.index, command.wants);
            self.inner.apply(&[Command { index, body, wants }], &mut self.replies);
            let wanted = usize::from(wants == Wants::Reply);
            demand!(
                self.replies.len() == wanted,
                AtMostOnce,
                "the machine of member {} gave {} replies to operation {operation}, of which it \
                 was to give {wanted}",
                self.member,
                self.replies.len()
            );
            let applied = Applied { operation, digest: self.inner.digest() };
            self.canon.borrow_mut().apply(self.member, index.value(), applied);
            replies.extend(self.replies.drain(..).map(|reply| Numbered { operation, reply }));
        }
    }

    fn snapshot(&self) -> WriteOut {
        self.inner.snapshot()
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.inner.restore(from)
    }

    fn digest(&self) -> u64 {
        self.inner.digest()
    }
}
