//! The clients: what they ask, and what they were told.
//!
//! Each client begins operations at random times, at one member, and goes to another when it was
//! refused or waited in vain. Everything that it was told is remembered; an operation without an
//! answer may have been done or not.

use crate::queue::Time;
use crate::random::Random;
use crate::schedule::Settings;
use crate::workload::{Operation, Outcome, Reply, Request, Response, Turn, Workload};

/// All clients, and the history that they make.
pub(crate) struct Clients<W: Workload> {
    workload: W,
    clients: Vec<Client>,
    history: Vec<Operation<W>>,
    /// For each operation, what is still to come of it.
    open: Vec<Open<W>>,
    /// The members that clients go to.
    members: Vec<usize>,
    outstanding_max: usize,
    interval: Time,
    /// Commands that were answered.
    pub(crate) commands_answered: u64,
}

struct Client {
    random: Random,
    member: usize,
    outstanding: usize,
}

/// What is still to come of an operation.
pub(crate) struct Open<W: Workload> {
    /// Its client still waits.
    is_open: bool,
    /// Where it was proposed: the member, the member's life, and the sequence there.
    pub(crate) proposed: Option<(usize, u32, u64)>,
    /// What a member has answered, and its client does not know.
    left: Option<Response<Reply<W>, W::Answer>>,
}

impl<W: Workload> Clients<W> {
    pub(crate) fn new(workload: W, settings: &Settings, seed: u64) -> Self {
        let client = |number: usize| {
            let stream = 100 + u64::try_from(number).expect("clients are few");
            let mut random = Random::new(seed, stream);
            Client { member: random.place(settings.members), random, outstanding: 0 }
        };
        Self {
            workload,
            clients: (0..settings.clients).map(client).collect(),
            history: Vec::new(),
            open: Vec::new(),
            members: (0..settings.members).collect(),
            outstanding_max: settings.outstanding,
            interval: 1_000_000 / settings.operations,
            commands_answered: 0,
        }
    }

    pub(crate) fn workload(&self) -> &W {
        &self.workload
    }

    pub(crate) fn count(&self) -> usize {
        self.clients.len()
    }

    /// Only these members are asked from now on.
    pub(crate) fn stay_with(&mut self, members: &[usize]) {
        self.members = members.to_vec();
        for client in &mut self.clients {
            if !self.members.contains(&client.member) {
                client.member = self.members[client.random.place(self.members.len())];
            }
        }
    }

    /// When a client begins its next operation, counted from now.
    pub(crate) fn pause(&mut self, client: usize) -> Time {
        let interval = self.interval;
        self.clients[client].random.exponential(interval).max(1)
    }

    /// A client begins an operation, if it has not too many under way: the operation, and whom it
    /// asks.
    pub(crate) fn begin(
        &mut self,
        now: Time,
        client: usize,
        settings: &Settings,
    ) -> Option<(usize, usize)> {
        let here = &mut self.clients[client];
        if here.outstanding >= self.outstanding_max {
            return None;
        }
        let number = self.history.len();
        let operation = u64::try_from(number).expect("operations are few");
        let turn = Turn { random: &mut here.random, client, operation, settings };
        let request = self.workload.next(turn);
        let outcome = Outcome::Unknown { reply: None };
        self.history.push(Operation { client, invoked: now, request, outcome, index: None });
        self.open.push(Open { is_open: true, proposed: None, left: None });
        here.outstanding += 1;
        Some((number, here.member))
    }

    /// The request of an operation.
    pub(crate) fn request_of(&self, operation: usize) -> &Request<W::Command, W::Query> {
        &self.history[operation].request
    }

    /// What a member has answered to an operation, while it is on its way.
    pub(crate) fn response_of(&self, operation: usize) -> Option<&Response<Reply<W>, W::Answer>> {
        self.open[operation].left.as_ref()
    }

    /// What is still to come of an operation.
    pub(crate) fn open(&mut self, operation: usize) -> &mut Open<W> {
        &mut self.open[operation]
    }

    /// Whether the client of an operation still waits for it.
    pub(crate) fn is_open(&self, operation: usize) -> bool {
        self.open[operation].is_open
    }

    /// A member has answered an operation. A question was answered from the state at `index`.
    pub(crate) fn leaves(
        &mut self,
        operation: usize,
        response: Response<Reply<W>, W::Answer>,
        index: Option<u64>,
    ) {
        self.history[operation].index = index;
        self.open[operation].left = Some(response);
    }

    /// The answer to an operation arrives. False if its client no longer waits.
    pub(crate) fn answer(&mut self, now: Time, operation: usize) -> bool {
        if !self.close(operation) {
            return false;
        }
        let response = self.open[operation].left.take().expect("what arrives has left");
        if let Response::Reply(_) = response {
            self.commands_answered += 1;
        }
        self.history[operation].outcome = Outcome::Returned { at: now, response };
        self.workload.told(&self.history[operation]);
        true
    }

    /// A member refused an operation: it was not done. Its client goes elsewhere.
    pub(crate) fn refuse(&mut self, operation: usize) {
        if self.close(operation) {
            self.history[operation].outcome = Outcome::Refused;
            self.move_on(operation);
        }
    }

    /// The client of an operation waits no longer. False if it did not wait.
    pub(crate) fn give_up(&mut self, operation: usize) -> bool {
        let waited = self.close(operation);
        if waited {
            self.move_on(operation);
        }
        waited
    }

    fn close(&mut self, operation: usize) -> bool {
        let was_open = std::mem::replace(&mut self.open[operation].is_open, false);
        if was_open {
            self.clients[self.history[operation].client].outstanding -= 1;
        }
        was_open
    }

    fn move_on(&mut self, operation: usize) {
        let client = &mut self.clients[self.history[operation].client];
        client.member = self.members[client.random.place(self.members.len())];
    }

    /// All operations so far.
    pub(crate) fn history(&self) -> &[Operation<W>] {
        &self.history
    }

    /// The operations whose clients still wait.
    pub(crate) fn outstanding(&self) -> usize {
        self.clients.iter().map(|client| client.outstanding).sum()
    }

    /// How many operations were begun.
    pub(crate) fn operations(&self) -> usize {
        self.open.len()
    }

    /// The history, to be judged. Of a command whose client does not know, it says what a member
    /// had answered when it was too late.
    pub(crate) fn take_history(&mut self) -> Vec<Operation<W>> {
        let mut history = std::mem::take(&mut self.history);
        for (operation, open) in history.iter_mut().zip(&mut self.open) {
            if let Outcome::Unknown { reply } = &mut operation.outcome
                && let Some(Response::Reply(late)) = open.left.take()
            {
                *reply = Some(late);
            }
        }
        history
    }
}
