//! True histories: how they come about, and that both checkers accept them, whole or cut short.

use quorate_sim::history::{
    Key, Operation, Outcome, Pair, Request, Response, Verdict, by_revision, prefix, search,
};

use crate::BUDGET;
use crate::operations::{Shown, made, pairs_of};
use crate::random::Random;
use crate::teller::Teller;

#[test]
fn true_histories_are_accepted() {
    for seed in 0..3_000 {
        let mut random = Random(seed);
        let plan = Plan::small(&mut random);
        let truth = Truth::new(&plan, &mut random);
        check_true(&truth.operations, &format!("seed {seed}"));
    }
}

#[test]
fn prefixes_of_true_histories_are_accepted() {
    for seed in 0..40 {
        let mut random = Random(seed);
        let plan = Plan { operations: 300, ..Plan::small(&mut random) };
        let truth = Truth::new(&plan, &mut random);
        for operations in (0..60).step_by(3) {
            let cut = prefix(&truth.operations, operations);
            assert!(cut.len() <= operations, "seed {seed}");
            check_true(&cut, &format!("seed {seed}, {operations} operations"));
        }
        for operations in (60..=300).step_by(20) {
            let cut = prefix(&truth.operations, operations);
            assert_eq!(by_revision(&cut), Ok(()), "seed {seed}, {operations} operations");
        }
        assert_eq!(prefix(&truth.operations, 300).len(), truth.operations.len());
    }
}

#[test]
fn long_true_histories_are_accepted() {
    let plan =
        Plan { operations: 10_000, clients: 12, keys: 200, compactions: 8, kinds: Kinds::All };
    let truth = Truth::new(&plan, &mut Random(1));
    assert_eq!(by_revision(&truth.operations), Ok(()));
}

fn check_true(operations: &[Operation], what: &str) {
    let text = || format!("{what}: {}", Shown(operations));
    assert_eq!(by_revision(operations), Ok(()), "{}", text());
    assert_eq!(search(operations, BUDGET), Verdict::Linearizable, "{}", text());
}

/// How a history comes about.
pub(crate) struct Plan {
    pub(crate) clients: usize,
    pub(crate) operations: usize,
    pub(crate) keys: Key,
    /// Of a hundred.
    pub(crate) compactions: u64,
    pub(crate) kinds: Kinds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// Nothing remains unknown but compactions, and no read is serializable.
    Certain,
    All,
}

impl Plan {
    pub(crate) fn small(random: &mut Random) -> Self {
        Self {
            clients: 2 + random.index(5),
            operations: 8 + random.index(28),
            keys: 2 + random.key(4),
            compactions: if random.percent(30) { 40 } else { 8 },
            kinds: Kinds::All,
        }
    }
}

/// A true history, and the store behind it as if it had never been compacted.
pub(crate) struct Truth {
    pub(crate) operations: Vec<Operation>,
    pub(crate) behind: Teller,
    pub(crate) keys: Key,
}

impl Truth {
    pub(crate) fn new(plan: &Plan, random: &mut Random) -> Self {
        let mut cluster = Cluster {
            now: 0,
            operations: Vec::new(),
            leader: Teller::new(),
            behind: Teller::new(),
            follower: Teller::new(),
            log: Vec::new(),
            followed: 0,
            clients: (0..plan.clients).map(|_| Client::Idle).collect(),
            given_up: Vec::new(),
        };
        while cluster.operations.len() < plan.operations
            || cluster.clients.iter().any(|client| !matches!(client, Client::Idle))
        {
            cluster.step(plan, random);
        }
        Self { operations: cluster.operations, behind: cluster.behind, keys: plan.keys }
    }

    /// Keys as they were at a revision, or at the nearest that there was.
    pub(crate) fn pairs(&self, first: Key, end: Key, at: i64) -> Vec<Pair> {
        let at = at.clamp(1, self.behind.revision());
        pairs_of(&self.behind.read(first, end, Some(at))).to_vec()
    }

    pub(crate) fn pair(&self, key: Key, at: i64) -> Option<Pair> {
        self.pairs(key, key + 1, at).pop()
    }

    /// The answer to a read at a revision.
    pub(crate) fn answer(&self, read: &Request, revision: i64) -> Response {
        let Request::Range { first, end, at, .. } = *read else { panic!("{read}") };
        Response::Range { revision, pairs: self.pairs(first, end, at.unwrap_or(revision)) }
    }
}

/// What a client does.
enum Client {
    Idle,
    /// Waits for an operation that is still to be done.
    Waits(usize),
    /// The operation is done; the client will hear of it.
    Hears(usize, Response),
}

struct Cluster {
    now: u64,
    operations: Vec<Operation>,
    leader: Teller,
    /// Is never compacted.
    behind: Teller,
    /// Answers serializable reads, having followed the log so far.
    follower: Teller,
    log: Vec<Request>,
    followed: usize,
    clients: Vec<Client>,
    /// What nobody waits for any more and may still be done.
    given_up: Vec<usize>,
}

impl Cluster {
    fn step(&mut self, plan: &Plan, random: &mut Random) {
        // Sometimes it stands still: operations at one time are concurrent.
        self.now += random.below(3);
        if random.percent(30) && self.followed < self.log.len() {
            self.follower.answer(&self.log[self.followed]);
            self.followed += 1;
        }
        if random.percent(10) && !self.given_up.is_empty() {
            let at = random.index(self.given_up.len());
            let operation = self.given_up.swap_remove(at);
            let response = self.done(operation, random);
            self.operations[operation].outcome = Outcome::Unknown { effect: made(&response) };
        }
        let at = random.index(self.clients.len());
        let client = std::mem::replace(&mut self.clients[at], Client::Idle);
        let gives_up = match client {
            Client::Idle => false,
            Client::Waits(operation) | Client::Hears(operation, _) => {
                let request = &self.operations[operation].request;
                let may_be_unknown = matches!(request, Request::Compact { .. });
                (plan.kinds == Kinds::All || may_be_unknown) && random.percent(8)
            }
        };
        self.clients[at] = match client {
            Client::Idle if self.operations.len() < plan.operations => {
                self.invoke(at, plan, random)
            }
            Client::Idle => Client::Idle,
            Client::Waits(operation) if gives_up => {
                self.given_up.push(operation);
                Client::Idle
            }
            Client::Waits(operation) => Client::Hears(operation, self.done(operation, random)),
            Client::Hears(operation, response) => {
                self.operations[operation].outcome = if gives_up {
                    Outcome::Unknown { effect: made(&response) }
                } else {
                    Outcome::Returned { at: self.now, response }
                };
                Client::Idle
            }
        };
    }

    fn invoke(&mut self, at: usize, plan: &Plan, random: &mut Random) -> Client {
        let operation = self.operations.len();
        let request = self.request(plan, random);
        let client = u32::try_from(at).unwrap();
        let outcome = Outcome::Unknown { effect: None };
        self.operations.push(Operation { client, invoked: self.now, request, outcome });
        if random.percent(4) {
            self.operations[operation].outcome = Outcome::Refused;
            return Client::Idle;
        }
        Client::Waits(operation)
    }

    fn request(&self, plan: &Plan, random: &mut Random) -> Request {
        let revision = self.leader.revision();
        let key = random.key(plan.keys);
        let value = u64::try_from(self.operations.len()).unwrap() + 100;
        let (first, end) = (key, key + 1 + random.key(3));
        if random.percent(plan.compactions) {
            let revision = random.between((revision - 6).max(-1), revision + 1);
            return Request::Compact { revision };
        }
        match random.below(92) {
            0..25 => Request::Put { key, value },
            25..45 => Request::Range { first, end, at: None, serializable: false },
            45..57 => {
                let at = Some(random.between((revision - 8).max(1), revision + 1));
                let serializable = plan.kinds == Kinds::All && random.percent(20);
                Request::Range { first, end, at, serializable }
            }
            57..65 => {
                let serializable = plan.kinds == Kinds::All;
                Request::Range { first, end, at: None, serializable }
            }
            65..78 => Request::Delete { first, end },
            _ => {
                let now = self.behind.read(key, key + 1, None);
                let now = pairs_of(&now).first().map_or(0, |pair| pair.modified);
                let expected = if random.percent(60) { now } else { random.between(0, revision) };
                let also = random.percent(40).then(|| (key + 1 + random.key(2)) % (plan.keys + 3));
                let also = also.filter(|&also| also != key);
                Request::Swap { key, expected, value, also }
            }
        }
    }

    /// Does an operation.
    fn done(&mut self, operation: usize, random: &mut Random) -> Response {
        let request = &self.operations[operation].request;
        if let Request::Range { serializable, .. } = request {
            let lags = *serializable && random.percent(70);
            return if lags { &mut self.follower } else { &mut self.leader }.answer(request);
        }
        if !matches!(request, Request::Compact { .. }) {
            self.behind.answer(request);
        }
        self.log.push(request.clone());
        self.leader.answer(request)
    }
}
