//! The state machine of the world: it remembers all it was told, in order.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use quorate_replica::{Command, StateMachine, Wants, WriteOut};

/// A state machine that remembers all it was told, in order.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) values: Vec<u64>,
    hash: u64,
    /// It goes wrong when it becomes so long.
    wrong_at: Rc<Cell<usize>>,
}

/// No ledger becomes so long.
pub(super) const NEVER: usize = usize::MAX;

impl Ledger {
    pub(super) fn new(wrong_at: Rc<Cell<usize>>) -> Self {
        Self { values: Vec::new(), hash: 1, wrong_at }
    }
}

impl StateMachine for Ledger {
    type Reply = usize;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<usize>) {
        for command in commands {
            let value = <[u8; 8]>::try_from(&command.body[..]).expect("commands are numbers");
            let value = u64::from_le_bytes(value);
            self.values.push(value);
            self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01B3);
            if self.values.len() == self.wrong_at.get() {
                self.hash ^= 0x55;
            }
            if command.wants == Wants::Reply {
                replies.push(self.values.len() - 1);
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let mut numbers = vec![self.hash];
        numbers.extend(&self.values);
        Box::new(move |out| {
            numbers.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        let (numbers, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty(), "a ledger is whole numbers");
        let mut numbers = numbers.iter().map(|number| u64::from_le_bytes(*number));
        self.hash = numbers.next().expect("a ledger has a hash");
        self.values = numbers.collect();
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.hash
    }
}
