//! A counter, with the mistakes that even a counter can have.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_replica::{Command, StateMachine, Wants, WriteOut};
use quorate_sim::{Request, Turn, Workload};

/// What is wrong with the counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bug {
    #[default]
    Nothing,
    ForgetsField,
    SharesState,
    RestoresHalf,
    LooksAtBatch,
    Panics,
}

/// How much was added, and in how many commands.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    bug: Bug,
    sum: Arc<AtomicU64>,
    commands: u64,
}

impl Counter {
    fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }
}

impl StateMachine for Counter {
    type Reply = (u64, u64);

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<(u64, u64)>) {
        let batch = u64::try_from(commands.len()).expect("a batch is small");
        for command in commands {
            let by = command.body.first().copied().map_or(0, u64::from);
            assert!(self.bug != Bug::Panics || by != 3, "nobody adds three");
            self.sum.fetch_add(by, Ordering::Relaxed);
            self.commands += 1;
            let commands = if self.bug == Bug::LooksAtBatch {
                self.commands.next_multiple_of(batch)
            } else {
                self.commands
            };
            if command.wants == Wants::Reply {
                replies.push((self.sum(), commands));
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let (bug, commands) = (self.bug, self.commands);
        let (now, shared) = (self.sum(), Arc::clone(&self.sum));
        Box::new(move |out| {
            let sum = if bug == Bug::SharesState { shared.load(Ordering::Relaxed) } else { now };
            out.write_all(&sum.to_le_bytes())?;
            out.write_all(&commands.to_le_bytes())
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let (mut sum, mut commands) = ([0; 8], [0; 8]);
        from.read_exact(&mut sum)?;
        if self.bug == Bug::RestoresHalf {
            self.sum.store(u64::from_le_bytes(sum), Ordering::Relaxed);
        }
        from.read_exact(&mut commands)?;
        self.sum = Arc::new(AtomicU64::new(u64::from_le_bytes(sum)));
        if self.bug != Bug::ForgetsField {
            self.commands = u64::from_le_bytes(commands);
        }
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.sum()
    }
}

/// Clients that add up to three, and ask what it came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    pub(crate) bug: Bug,
}

impl Workload for Counting {
    type Machine = Counter;
    type Command = Vec<u8>;
    type Query = ();
    type Answer = u64;

    fn machine(&self) -> Counter {
        Counter { bug: self.bug, ..Counter::default() }
    }

    fn next(&mut self, turn: Turn<'_>) -> Request<Vec<u8>, ()> {
        match turn.random.below(6) {
            0 => Request::Query(()),
            1 => Request::LocalQuery(()),
            by => Request::Command(vec![u8::try_from(by - 2).expect("small")]),
        }
    }

    fn query(&self, machine: &Counter, (): &()) -> u64 {
        machine.sum()
    }
}
