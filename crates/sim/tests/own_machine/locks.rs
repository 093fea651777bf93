//! Locks: who asks first holds it, who asks later waits, and gets it when it is released.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};

use bytes::Bytes;
use quorate_replica::{Command, StateMachine, Wants, WriteOut};
use quorate_sim::workload::{Outcome, Reply, Response};
use quorate_sim::{History, Request, Turn, Workload};

const LOCKS: u64 = 3;

/// What is wrong with the locks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bug {
    #[default]
    Nothing,
    HashOrder,
    TwoHolders,
}

/// What a client wants of a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    Acquire { lock: u8, client: u8 },
    Release { lock: u8, client: u8 },
}

impl From<Ask> for Bytes {
    fn from(ask: Ask) -> Self {
        Self::copy_from_slice(&match ask {
            Ask::Acquire { lock, client } => [0, lock, client],
            Ask::Release { lock, client } => [1, lock, client],
        })
    }
}

/// A lock: the first in the line holds it.
type Line = VecDeque<u8>;

#[derive(Debug, Default)]
pub(crate) struct Locks {
    bug: Bug,
    lines: BTreeMap<u8, Line>,
}

impl Locks {
    fn apply_one(&mut self, body: &[u8]) -> Option<u8> {
        let &[what, lock, client] = body else { return None };
        let line = self.lines.entry(lock).or_default();
        if what == 0 && !line.contains(&client) {
            line.push_back(client);
        } else if what == 1 && line.front() == Some(&client) {
            line.pop_front();
            if self.bug == Bug::HashOrder {
                // As if those who wait were kept in a hash set.
                let hashes = RandomState::new();
                line.make_contiguous().sort_by_key(|client| hashes.hash_one(client));
            }
        }
        if self.bug == Bug::TwoHolders && line.len() > 2 {
            return Some(client);
        }
        line.front().copied()
    }

    fn bytes(&self) -> Vec<u8> {
        let of = |(lock, line): (&u8, &Line)| {
            let length = u8::try_from(line.len()).expect("a line is short");
            [*lock, length].into_iter().chain(line.iter().copied()).collect::<Vec<_>>()
        };
        self.lines.iter().flat_map(of).collect()
    }
}

impl StateMachine for Locks {
    /// Who holds the lock now.
    type Reply = Option<u8>;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Option<u8>>) {
        for command in commands {
            let holder = self.apply_one(&command.body);
            if command.wants == Wants::Reply {
                replies.push(holder);
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let bytes = self.bytes();
        Box::new(move |out| out.write_all(&bytes))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        let mut lines = BTreeMap::new();
        let mut rest = &bytes[..];
        while let [lock, length, behind @ ..] = rest {
            let length = usize::from(*length);
            let line = behind.get(..length).ok_or(io::ErrorKind::InvalidData)?;
            lines.insert(*lock, line.iter().copied().collect());
            rest = &behind[length..];
        }
        self.lines = lines;
        Ok(())
    }

    fn digest(&self) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        self.bytes().into_iter().fold(0xcbf2_9ce4_8422_2325, step)
    }
}

/// Clients that acquire and release, and ask who holds a lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locking {
    pub(crate) bug: Bug,
}

impl Workload for Locking {
    type Machine = Locks;
    type Command = Ask;
    type Query = u8;
    type Answer = Option<u8>;

    fn machine(&self) -> Locks {
        Locks { bug: self.bug, ..Locks::default() }
    }

    fn next(&mut self, turn: Turn<'_>) -> Request<Ask, u8> {
        let lock = u8::try_from(turn.random.below(LOCKS)).expect("small");
        let client = u8::try_from(turn.client).expect("clients are few");
        match turn.random.below(5) {
            0 | 1 => Request::Command(Ask::Acquire { lock, client }),
            2 | 3 => Request::Command(Ask::Release { lock, client }),
            _ => Request::Query(lock),
        }
    }

    fn query(&self, machine: &Locks, lock: &u8) -> Option<u8> {
        machine.lines.get(lock)?.front().copied()
    }

    /// A lock passes to another only when its holder releases it.
    fn check(&self, history: History<Self>) -> Result<(), String> {
        let mut holders: BTreeMap<u8, u8> = BTreeMap::new();
        for number in history.applied {
            let operation = &history.operations[number];
            let Request::Command(ask) = operation.request else { continue };
            let holder: Reply<Self> = match operation.outcome {
                Outcome::Returned { response: Response::Reply(holder), .. }
                | Outcome::Unknown { reply: Some(holder) } => holder,
                Outcome::Returned { .. } | Outcome::Unknown { .. } | Outcome::Refused => continue,
            };
            let (Ask::Acquire { lock, .. } | Ask::Release { lock, .. }) = ask;
            let before = holders.get(&lock).copied();
            let releases = matches!(ask, Ask::Release { client, .. } if before == Some(client));
            if let (Some(before), Some(now)) = (before, holder)
                && before != now
                && !releases
            {
                return Err(format!(
                    "operation {number}, {ask:?}: client {now} holds lock {lock}, and client \
                     {before} did not release it"
                ));
            }
            match holder {
                Some(holder) => holders.insert(lock, holder),
                None => holders.remove(&lock),
            };
        }
        Ok(())
    }
}
