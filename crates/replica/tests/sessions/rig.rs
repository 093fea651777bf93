//! A machine that cannot be applied twice unnoticed, and the ways to ask it.

use std::io::{self, Read};

use bytes::Bytes;
use quorate_raft::Index;
use quorate_replica::sessions::{ClientId, Head, Limits, SessionError, Sessions};
use quorate_replica::{Command, StateMachine, Wants, WriteOut};

/// A reply tells where the command stands in all that was applied, and its body.
pub(crate) type Reply = Bytes;

/// Remembers all it was told, in order.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) entries: Vec<Bytes>,
    pub(crate) calls: usize,
}

impl StateMachine for Ledger {
    type Reply = Reply;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Reply>) {
        self.calls += 1;
        for command in commands {
            self.entries.push(Bytes::copy_from_slice(&command.body));
            if command.wants == Wants::Reply {
                replies.push(reply(self.entries.len(), &command.body));
            }
        }
    }

    fn snapshot(&self) -> WriteOut {
        let entries = self.entries.clone();
        Box::new(move |out| {
            entries.iter().try_for_each(|entry| {
                let length = u32::try_from(entry.len()).expect("entries are small");
                out.write_all(&length.to_le_bytes())?;
                out.write_all(entry)
            })
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        let (mut rest, mut entries) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
            let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
            let length = usize::try_from(u32::from_le_bytes(*length)).expect("it fits");
            let (entry, after) = after.split_at_checked(length).ok_or_else(cut)?;
            entries.push(Bytes::copy_from_slice(entry));
            rest = after;
        }
        self.entries = entries;
        Ok(())
    }

    fn digest(&self) -> u64 {
        let bytes = self.entries.iter().flat_map(|entry| entry.iter());
        bytes.fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
    }
}

/// The ledger's reply to a command that came as the `place`th. As long as its body, and a bit more.
pub(crate) fn reply(place: usize, body: &[u8]) -> Reply {
    let mut reply = place.to_string().into_bytes();
    reply.push(b':');
    reply.extend_from_slice(body);
    reply.into()
}

/// A machine, and the index of its last command.
pub(crate) struct Rig {
    pub(crate) machine: Sessions<Ledger>,
    pub(crate) at: u64,
}

pub(crate) type Answer = Result<Reply, SessionError>;

impl Rig {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { machine: Sessions::with_limits(Ledger::default(), limits), at: 0 }
    }

    /// Applies one command.
    pub(crate) fn apply(&mut self, body: Bytes) -> Answer {
        self.at += 1;
        let command = Command { index: Index::new(self.at), body, wants: Wants::Reply };
        let mut replies = Vec::new();
        self.machine.apply(&[command], &mut replies);
        assert_eq!(replies.len(), 1, "one reply to one command");
        replies.remove(0)
    }

    /// Applies a request of a client.
    pub(crate) fn ask(&mut self, head: Head, body: &str) -> Answer {
        self.apply(head.encode(body.as_bytes()))
    }

    /// What the inner machine applied.
    pub(crate) fn entries(&self) -> Vec<&str> {
        let entries = &self.machine.machine().entries;
        entries.iter().map(|entry| std::str::from_utf8(entry).expect("text")).collect()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.machine.snapshot()(&mut bytes).expect("a vector takes all");
        bytes
    }
}

/// The head of a request without `since`.
pub(crate) fn head(client: u128, sequence: u64, acknowledged: u64) -> Head {
    Head { client: ClientId::new(client), sequence, acknowledged, since: None }
}

/// The same with `since`.
pub(crate) fn since(client: u128, sequence: u64, acknowledged: u64, since: u64) -> Head {
    Head { since: Some(Index::new(since)), ..head(client, sequence, acknowledged) }
}

/// Bounds that are reached quickly.
pub(crate) const SMALL: Limits = Limits {
    sessions_max: 3,
    client_replies_max: 3,
    client_bytes_max: 4 * Limits::REPLY_OVERHEAD,
    bytes_max: 6 * Limits::REPLY_OVERHEAD,
    reply_bytes_max: 40,
};
