//! The state machine around a state machine.

use std::io::{self, Read};

use super::digest;
use super::envelope::{self, Head, Opened};
use super::error::SessionError;
use super::format;
use super::saved::SavedReply;
use super::table::{Limits, Table};
use crate::machine::{Command, StateMachine, Wants, WriteOut};

/// A state machine that applies each request of a client once. See [the module](super).
///
/// Commands for it are made by [`Head::encode`](super::Head::encode), or by
/// [`plain`](super::plain) for those without a session.
#[derive(Debug)]
pub struct Sessions<M: StateMachine> {
    machine: M,
    table: Table,
    /// Reused from call to call.
    replies: Vec<M::Reply>,
}

impl<M: StateMachine<Reply: SavedReply>> Sessions<M> {
    /// Around a machine in its initial state.
    #[must_use]
    pub fn new(machine: M) -> Self {
        Self::with_limits(machine, Limits::STANDARD)
    }

    /// The same with other bounds; see [`Limits`] for what that takes.
    ///
    /// # Panics
    /// If the table could have no session at all.
    #[must_use]
    pub fn with_limits(machine: M, limits: Limits) -> Self {
        Self { machine, table: Table::new(limits), replies: Vec::new() }
    }

    /// The inner machine.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// How many sessions are remembered.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.table.sessions.len()
    }

    /// What the kept replies count, as [`Limits::bytes_max`] bounds it.
    #[must_use]
    pub fn reply_bytes(&self) -> u64 {
        self.table.bytes
    }

    /// Has commands without a session applied.
    fn apply_plain(
        &mut self,
        commands: &[Command],
        replies: &mut Vec<Result<M::Reply, SessionError>>,
    ) {
        if !commands.is_empty() {
            self.machine.apply(commands, &mut self.replies);
            replies.extend(self.replies.drain(..).map(Ok));
        }
    }

    /// Has a session's command applied, unless it was before.
    fn apply_once(
        &mut self,
        command: &Command,
        head: &Head,
        begin: usize,
    ) -> Option<Result<M::Reply, SessionError>> {
        let body = command.body.slice(begin..);
        let is_wanted = command.wants == Wants::Reply;
        let (machine, replies) = (&mut self.machine, &mut self.replies);
        self.table.command(command.index, head, &command.body[begin..], is_wanted, || {
            // Also where nobody waits: this member may be asked for the reply later.
            let inner = Command { index: command.index, body, wants: Wants::Reply };
            machine.apply(std::slice::from_ref(&inner), replies);
            let reply = replies.pop().expect("the machine replies where it is asked to");
            assert!(replies.is_empty(), "one reply to one command");
            reply
        })
    }
}

impl<M: StateMachine<Reply: SavedReply>> StateMachine for Sessions<M> {
    type Reply = Result<M::Reply, SessionError>;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Self::Reply>) {
        // Those without a session go on in runs, as they came.
        let mut run = 0;
        for (place, command) in commands.iter().enumerate() {
            let opened = envelope::open(&command.body);
            if opened == Opened::Whole {
                continue;
            }
            self.apply_plain(&commands[run..place], replies);
            run = place + 1;
            match opened {
                Opened::Whole => {}
                Opened::Plain { begin } => {
                    let inner = Command { body: command.body.slice(begin..), ..command.clone() };
                    self.apply_plain(std::slice::from_ref(&inner), replies);
                }
                Opened::Session { head, begin } => {
                    replies.extend(self.apply_once(command, &head, begin));
                }
                Opened::Malformed => {
                    let is_wanted = command.wants == Wants::Reply;
                    replies.extend(is_wanted.then_some(Err(SessionError::Malformed)));
                }
            }
        }
        self.apply_plain(&commands[run..], replies);
    }

    /// The sessions, then the inner machine to the end.
    fn snapshot(&self) -> WriteOut {
        let table = format::Frozen::of(&self.table);
        let machine = self.machine.snapshot();
        Box::new(move |out| {
            table.write_to(out)?;
            machine(out)
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let table = format::read::<M::Reply>(from, self.table.limits)?;
        self.machine.restore(from)?;
        self.table = table;
        Ok(())
    }

    fn digest(&self) -> u64 {
        digest::both(self.table.hash, self.machine.digest())
    }
}
