//! The clients: what they ask, and what they were told.
//!
//! Each client begins operations at random times, at one member, and goes to another when it was
//! refused or waited in vain. Everything that it was told is remembered; an operation without an
//! answer may have been done or not.

use crate::history::{Key, Operation, Outcome, Request, Response};
use crate::queue::Time;
use crate::random::{MILLION, Random};
use crate::schedule::Settings;

/// All clients, and the history that they make.
#[derive(Debug)]
pub(crate) struct Clients {
    clients: Vec<Client>,
    history: Vec<Operation>,
    /// For each operation, what is still to come of it.
    open: Vec<Open>,
    /// The members that clients go to.
    members: Vec<usize>,
    keys: Key,
    outstanding_max: usize,
    interval: Time,
    /// The highest revision that any of them was told.
    revision: i64,
    /// The revision of each key's last change that any of them was told.
    modified: Vec<i64>,
    /// Writes that were answered.
    pub(crate) writes_answered: u64,
}

#[derive(Debug)]
struct Client {
    random: Random,
    member: usize,
    outstanding: usize,
}

/// What is still to come of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    /// Its client still waits.
    is_open: bool,
    /// Where it was proposed: the member, the member's life, and the sequence there.
    pub(crate) proposed: Option<(usize, u32, u64)>,
}

impl Clients {
    pub(crate) fn new(settings: &Settings, seed: u64) -> Self {
        let client = |number: usize| {
            let stream = 100 + u64::try_from(number).expect("clients are few");
            let mut random = Random::new(seed, stream);
            Client { member: random.place(settings.members), random, outstanding: 0 }
        };
        Self {
            clients: (0..settings.clients).map(client).collect(),
            history: Vec::new(),
            open: Vec::new(),
            members: (0..settings.members).collect(),
            keys: settings.keys,
            outstanding_max: settings.outstanding,
            interval: 1_000_000 / settings.operations,
            revision: 1,
            modified: vec![0; usize::from(settings.keys) + 1],
            writes_answered: 0,
        }
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
    pub(crate) fn begin(&mut self, now: Time, client: usize) -> Option<(usize, usize)> {
        if self.clients[client].outstanding >= self.outstanding_max {
            return None;
        }
        let operation = self.history.len();
        let request = self.request(client, operation);
        let number = u32::try_from(client).expect("clients are few");
        let outcome = Outcome::Unknown { effect: None };
        self.history.push(Operation { client: number, invoked: now, request, outcome });
        self.open.push(Open { is_open: true, proposed: None });
        let client = &mut self.clients[client];
        client.outstanding += 1;
        Some((operation, client.member))
    }

    /// What a client asks for next.
    fn request(&mut self, client: usize, operation: usize) -> Request {
        let (keys, latest) = (self.keys, self.revision);
        let random = &mut self.clients[client].random;
        let mut a_key = || {
            // Half of all goes to a few keys, so that operations meet.
            let keys = if random.below(2) == 0 { keys.min(4) } else { keys };
            Key::try_from(random.below(u64::from(keys))).expect("a key fits")
        };
        let (key, other) = (a_key(), a_key());
        // A value is known by its operation.
        let value = u64::try_from(operation).expect("operations are few");
        let (first, end) = (key.min(other), key.max(other) + 1);
        let about = |random: &mut Random, back: u64| {
            let back = i64::try_from(random.magnitude(1, back)).expect("small");
            latest + 2 - back
        };
        match random.below(100) {
            0..34 => Request::Put { key, value },
            34..52 => Request::Range { first: key, end: key + 1, at: None, serializable: false },
            52..60 => Request::Range { first, end, at: None, serializable: false },
            60..69 => Request::Range { first, end, at: None, serializable: true },
            69..74 => {
                let at = Some(about(random, 400).max(1));
                Request::Range { first, end, at, serializable: false }
            }
            74..80 => Request::Delete { first: key, end: key + 1 },
            80..82 => Request::Delete { first, end },
            82..99 => {
                let expected =
                    if random.chance(MILLION / 20) { 0 } else { self.modified[usize::from(key)] };
                let also = (random.below(3) == 0 && other != key).then_some(other);
                Request::Swap { key, expected, value, also }
            }
            _ => Request::Compact { revision: about(random, 200).max(1) },
        }
    }

    /// The request of an operation.
    pub(crate) fn request_of(&self, operation: usize) -> &Request {
        &self.history[operation].request
    }

    /// What is still to come of an operation.
    pub(crate) fn open(&mut self, operation: usize) -> &mut Open {
        &mut self.open[operation]
    }

    /// Whether the client of an operation still waits for it.
    pub(crate) fn is_open(&self, operation: usize) -> bool {
        self.open[operation].is_open
    }

    /// An operation was answered. False if its client no longer waits.
    pub(crate) fn answer(&mut self, now: Time, operation: usize, response: Response) -> bool {
        if !self.close(operation) {
            return false;
        }
        self.learn(operation, &response);
        self.history[operation].outcome = Outcome::Returned { at: now, response };
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
            self.client_of(operation).outstanding -= 1;
        }
        was_open
    }

    fn client_of(&mut self, operation: usize) -> &mut Client {
        let client = usize::try_from(self.history[operation].client).expect("clients are few");
        &mut self.clients[client]
    }

    fn move_on(&mut self, operation: usize) {
        let members = std::mem::take(&mut self.members);
        let client = self.client_of(operation);
        client.member = members[client.random.place(members.len())];
        self.members = members;
    }

    /// Takes in what an answer says of the revisions.
    fn learn(&mut self, operation: usize, response: &Response) {
        let revision = match response {
            Response::Put { revision, .. }
            | Response::Range { revision, .. }
            | Response::Delete { revision, .. }
            | Response::Swap { revision, .. }
            | Response::Compact { revision } => *revision,
            Response::Compacted | Response::FutureRevision => return,
        };
        self.revision = self.revision.max(revision);
        let (changed, found) = match (&self.history[operation].request, response) {
            (Request::Put { key, .. }, _) => (Some(*key), None),
            (Request::Swap { key, .. }, Response::Swap { succeeded: true, .. }) => {
                (Some(*key), None)
            }
            (Request::Swap { key, .. }, Response::Swap { found, .. }) => {
                self.modified[usize::from(*key)] = found.as_ref().map_or(0, |pair| pair.modified);
                (None, None)
            }
            (Request::Range { at: None, .. }, Response::Range { pairs, .. }) => (None, Some(pairs)),
            _ => (None, None),
        };
        if let Some(key) = changed {
            self.modified[usize::from(key)] = revision;
        }
        for pair in found.into_iter().flatten() {
            self.modified[usize::from(pair.key)] = pair.modified;
        }
        if !matches!(self.history[operation].request, Request::Range { .. }) {
            self.writes_answered += 1;
        }
    }

    /// The highest revision that any client was told.
    pub(crate) fn revision(&self) -> i64 {
        self.revision
    }

    /// All operations so far.
    pub(crate) fn history(&self) -> &[Operation] {
        &self.history
    }

    /// The operations whose clients still wait.
    pub(crate) fn outstanding(&self) -> usize {
        self.clients.iter().map(|client| client.outstanding).sum()
    }

    /// Says of each operation without an answer what became of it in the end.
    pub(crate) fn decide(&mut self, effect_of: impl Fn(usize) -> Option<i64>) {
        for (number, operation) in self.history.iter_mut().enumerate() {
            if let Outcome::Unknown { effect } = &mut operation.outcome {
                *effect = effect_of(number);
            }
        }
    }
}
