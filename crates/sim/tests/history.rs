//! The two checkers of histories, against true ones and against lies.
//!
//! True histories come from the store itself: clients ask at random, the store answers at some
//! moment between question and answer, and some never hear of it. Lies are true histories with one
//! thing changed: on purpose, so that it is known what is wrong, or at random, so that the checkers
//! have only each other to agree with.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

use std::fmt;

use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest, request_op, response_op,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_sim::history::{
    Key, Operation, Outcome, Pair, Request, Response, Verdict, by_revision, prefix, search,
};
use quorate_store::{Command, Error, Reply, Store, Wants};

/// Steps for one search. None here comes near it.
const BUDGET: u64 = 2_000_000;

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

/// Each kind of lie is planted until it has been found this often.
const PLANTED: u64 = 20;

#[test]
fn planted_anomalies_are_found() {
    for Lie { what, seen_by, plant } in LIES {
        let mut planted = 0;
        for seed in 0.. {
            assert!(seed < 3_000, "{what}: planted only {planted} times");
            let mut random = Random(seed);
            // Without unknown outcomes a search cannot explain a lie away.
            let kinds = if *seen_by == SeenBy::Both { Kinds::Certain } else { Kinds::All };
            let plan = Plan { kinds, ..Plan::small(&mut random) };
            let truth = Truth::new(&plan, &mut random);
            let mut lie = truth.operations.clone();
            if plant(&mut lie, &truth, &mut random).is_none() {
                continue;
            }
            let found = by_revision(&lie);
            assert!(found.is_err(), "{what}, seed {seed}: {}", Shown(&lie));
            if *seen_by == SeenBy::Both {
                let verdict = search(&lie, BUDGET);
                let text = format!("{what}, seed {seed}: {found:?} {}", Shown(&lie));
                assert_eq!(verdict, Verdict::NotLinearizable, "{text}");
            }
            planted += 1;
            if planted == PLANTED {
                break;
            }
        }
    }
    assert!(LIES.len() >= 25, "so there were at least 500");
}

/// What is accepted by revision is always found linearizable. Both agree exactly where no write is
/// unknown and no read is serializable. Elsewhere only the check by revision refuses some: it
/// believes the log, so that an unknown write which was certainly done, or certainly never, cannot
/// stand in for another or come at another place; and it reads what serializable reads were told.
#[test]
fn both_checkers_agree_on_random_lies() {
    let (mut accepted, mut refused, mut refused_by_revision) = (0, 0, 0);
    for seed in 0..8_000 {
        let mut random = Random(seed);
        let kinds = if seed % 2 == 0 { Kinds::Certain } else { Kinds::All };
        let plan = Plan { kinds, ..Plan::small(&mut random) };
        let truth = Truth::new(&plan, &mut random);
        let mut lie = truth.operations.clone();
        for _ in 0..=random.below(3) {
            mutate(&mut lie, &truth, &mut random);
        }
        let is_certain = lie.iter().all(|operation| {
            let is_compaction = matches!(operation.request, Request::Compact { .. });
            let is_unknown = matches!(operation.outcome, Outcome::Unknown { .. });
            (is_compaction || !is_unknown) && !is_serializable(operation)
        });
        let text = || format!("seed {seed}: {:?} {}", by_revision(&lie), Shown(&lie));
        match (by_revision(&lie), search(&lie, BUDGET)) {
            (_, Verdict::OutOfBudget) => panic!("a small history took too long, {}", text()),
            (Ok(()), Verdict::Linearizable) => accepted += 1,
            (Err(_), Verdict::NotLinearizable) => refused += 1,
            (Err(_), Verdict::Linearizable) => {
                assert!(!is_certain, "only refused by revision, {}", text());
                refused_by_revision += 1;
            }
            (Ok(()), Verdict::NotLinearizable) => panic!("only refused by search, {}", text()),
        }
    }
    println!("{accepted} accepted, {refused} refused, {refused_by_revision} by revision alone");
    assert!(accepted > 500 && refused > 500, "{accepted} accepted, {refused} refused");
    assert!(refused_by_revision * 5 < refused, "{refused_by_revision} refused by revision alone");
}

fn check_true(operations: &[Operation], what: &str) {
    let text = || format!("{what}: {}", Shown(operations));
    assert_eq!(by_revision(operations), Ok(()), "{}", text());
    assert_eq!(search(operations, BUDGET), Verdict::Linearizable, "{}", text());
}

/// A history for the reader of a failure.
struct Shown<'a>(&'a [Operation]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, Operation { client, invoked, request, outcome }) in self.0.iter().enumerate() {
            write!(f, "\n{at}: client {client} at {invoked}: {request} -> {outcome:?}")?;
        }
        Ok(())
    }
}

// Chance.

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// From `first` to `last`.
    fn between(&mut self, first: i64, last: i64) -> i64 {
        let width = u64::try_from(last - first + 1).unwrap();
        first + i64::try_from(self.below(width)).unwrap()
    }

    fn key(&mut self, keys: Key) -> Key {
        Key::try_from(self.below(keys.into())).unwrap()
    }

    fn pick<T>(&mut self, from: impl IntoIterator<Item = T>) -> Option<T> {
        let mut from: Vec<_> = from.into_iter().collect();
        if from.is_empty() {
            return None;
        }
        let at = self.index(from.len());
        Some(from.swap_remove(at))
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }
}

// The store, asked in numbers.

/// A store that answers requests as a history has them.
struct Teller(Store);

impl Teller {
    fn new() -> Self {
        Self(Store::new())
    }

    fn revision(&self) -> i64 {
        self.0.status().revision
    }

    fn answer(&mut self, request: &Request) -> Response {
        let command = match *request {
            Request::Range { first, end, at, .. } => return self.read(first, end, at),
            Request::Put { key, value } => Command::Put(put(key, value)),
            Request::Delete { first, end } => Command::DeleteRange(DeleteRangeRequest {
                key: key_bytes(first),
                range_end: key_bytes(end),
                prev_kv: true,
            }),
            Request::Swap { key, expected, value, also } => {
                Command::Txn(swap(key, expected, value, also))
            }
            Request::Compact { revision } => {
                Command::Compact(CompactionRequest { revision, physical: false })
            }
        };
        match self.0.apply(&command.encode(), Wants::Reply).unwrap() {
            Reply::Put(reply) => {
                let reply = reply.unwrap();
                let previous = reply.prev_kv.as_ref().map(pair);
                Response::Put { revision: reply.header.unwrap().revision, previous }
            }
            Reply::DeleteRange(reply) => {
                let reply = reply.unwrap();
                let deleted = reply.prev_kvs.iter().map(pair).collect();
                Response::Delete { revision: reply.header.unwrap().revision, deleted }
            }
            Reply::Txn(reply) => {
                let reply = reply.unwrap();
                let read = reply.responses[0].response.as_ref().unwrap();
                let found = if let response_op::Response::ResponseRange(range) = read {
                    range.kvs.first().map(pair)
                } else {
                    None
                };
                let revision = reply.header.unwrap().revision;
                Response::Swap { revision, succeeded: reply.succeeded, found }
            }
            Reply::Compact(Ok(reply)) => {
                Response::Compact { revision: reply.header.unwrap().revision }
            }
            Reply::Compact(Err(error)) => refusal(error),
            Reply::Malformed(error) => panic!("{error}"),
        }
    }

    fn read(&self, first: Key, end: Key, at: Option<i64>) -> Response {
        let request = RangeRequest {
            key: key_bytes(first),
            range_end: key_bytes(end),
            revision: at.unwrap_or(0),
            ..Default::default()
        };
        match self.0.reader().range(&request) {
            Ok(reply) => Response::Range {
                revision: reply.header.unwrap().revision,
                pairs: reply.kvs.iter().map(pair).collect(),
            },
            Err(error) => refusal(error),
        }
    }
}

fn refusal(error: Error) -> Response {
    if error == Error::Compacted {
        return Response::Compacted;
    }
    assert_eq!(error, Error::FutureRevision);
    Response::FutureRevision
}

fn put(key: Key, value: u64) -> PutRequest {
    let value = value.to_be_bytes().to_vec().into();
    PutRequest { key: key_bytes(key), value, prev_kv: true, ..Default::default() }
}

fn swap(key: Key, expected: i64, value: u64, also: Option<Key>) -> TxnRequest {
    let op = |request| RequestOp { request: Some(request) };
    let keys = [key].into_iter().chain(also);
    let read = RangeRequest { key: key_bytes(key), ..Default::default() };
    TxnRequest {
        compare: vec![Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: key_bytes(key),
            target_union: Some(TargetUnion::ModRevision(expected)),
            range_end: bytes::Bytes::new(),
        }],
        success: keys.map(|key| op(request_op::Request::RequestPut(put(key, value)))).collect(),
        failure: vec![op(request_op::Request::RequestRange(read))],
    }
}

fn key_bytes(key: Key) -> bytes::Bytes {
    key.to_be_bytes().to_vec().into()
}

fn pair(from: &KeyValue) -> Pair {
    Pair {
        key: Key::from_be_bytes(from.key[..].try_into().unwrap()),
        value: u64::from_be_bytes(from.value[..].try_into().unwrap()),
        created: from.create_revision,
        modified: from.mod_revision,
        version: from.version,
    }
}

// True histories.

/// How a history comes about.
struct Plan {
    clients: usize,
    operations: usize,
    keys: Key,
    /// Of a hundred.
    compactions: u64,
    kinds: Kinds,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kinds {
    /// Nothing remains unknown but compactions, and no read is serializable.
    Certain,
    All,
}

impl Plan {
    fn small(random: &mut Random) -> Self {
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
struct Truth {
    operations: Vec<Operation>,
    behind: Teller,
    keys: Key,
}

impl Truth {
    fn new(plan: &Plan, random: &mut Random) -> Self {
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
    fn pairs(&self, first: Key, end: Key, at: i64) -> Vec<Pair> {
        let at = at.clamp(1, self.behind.revision());
        pairs_of(&self.behind.read(first, end, Some(at))).to_vec()
    }

    fn pair(&self, key: Key, at: i64) -> Option<Pair> {
        self.pairs(key, key + 1, at).pop()
    }

    /// The answer to a read at a revision.
    fn answer(&self, read: &Request, revision: i64) -> Response {
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

fn pairs_of(response: &Response) -> &[Pair] {
    match response {
        Response::Put { previous: pair, .. } | Response::Swap { found: pair, .. } => {
            pair.as_slice()
        }
        Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. } => pairs,
        Response::Compact { .. } | Response::Compacted | Response::FutureRevision => &[],
    }
}

fn revision_of(response: &Response) -> Option<i64> {
    match *response {
        Response::Put { revision, .. }
        | Response::Range { revision, .. }
        | Response::Delete { revision, .. }
        | Response::Swap { revision, .. }
        | Response::Compact { revision } => Some(revision),
        Response::Compacted | Response::FutureRevision => None,
    }
}

/// The revision that an answer says was made.
fn made(response: &Response) -> Option<i64> {
    match response {
        Response::Put { revision, .. } | Response::Swap { revision, succeeded: true, .. } => {
            Some(*revision)
        }
        Response::Delete { revision, deleted } if !deleted.is_empty() => Some(*revision),
        Response::Delete { .. }
        | Response::Swap { .. }
        | Response::Range { .. }
        | Response::Compact { .. }
        | Response::Compacted
        | Response::FutureRevision => None,
    }
}

// Lies on purpose.

/// One thing to change in a true history so that it is none any more.
struct Lie {
    what: &'static str,
    seen_by: SeenBy,
    plant: Plant,
}

/// `None` if the history has no place for it.
type Plant = fn(&mut [Operation], &Truth, &mut Random) -> Option<()>;

#[derive(PartialEq, Eq)]
enum SeenBy {
    /// The answers alone give it away.
    Both,
    /// It is about serializable reads, which a search leaves out, or about what the log shows of an
    /// unknown write, which a search does not believe: it may have been done or not, at any time.
    RevisionAlone,
}

const fn lie(what: &'static str, plant: Plant) -> Lie {
    Lie { what, seen_by: SeenBy::Both, plant }
}

const fn hidden(what: &'static str, plant: Plant) -> Lie {
    Lie { what, seen_by: SeenBy::RevisionAlone, plant }
}

const LIES: &[Lie] = &[
    lie("a read is older than a write", stale_read),
    lie("a read goes back behind a read", read_back),
    lie("a read sees the future", read_ahead),
    lie("a read misses a key", missed_key),
    lie("a key is listed twice", key_twice),
    lie("a value nobody put", unknown_value),
    lie("a version goes on after a delete", version_goes_on),
    lie("a write is lost", lost_write),
    lie("a write is applied twice", write_twice),
    lie("a refused write is done", refused_write),
    lie("two writes at one revision", one_revision),
    lie("a wrong previous pair", wrong_previous),
    lie("a swap sees its own write", swap_sees_itself),
    lie("a swap succeeds wrongly", swap_succeeds),
    lie("a swap fails wrongly", swap_fails),
    lie("a delete lists too much", deleted_too_much),
    lie("a delete lists too little", deleted_too_little),
    lie("a delete finds nothing", deleted_nothing),
    lie("a wrong state of old", wrong_history),
    lie("a read of what is compacted", read_compacted),
    lie("compacted by nobody", compacted_by_nobody),
    lie("a past revision as future", past_as_future),
    lie("a future revision as past", future_as_past),
    lie("a compaction goes back", compaction_back),
    lie("a compaction of the future", compaction_ahead),
    lie("another's answer", other_answer),
    lie("an answer before the question", early_answer),
    hidden("seen, not in the log", effect_missing),
    hidden("twice in the log", effect_twice),
    hidden("in the log before asked", effect_early),
    hidden("a read that made one", effect_of_read),
    hidden("old, but never so", wrong_old_read),
    hidden("old, but ahead", old_read_ahead),
];

fn returned(operation: &Operation) -> Option<u64> {
    match operation.outcome {
        Outcome::Returned { at, .. } => Some(at),
        Outcome::Unknown { .. } | Outcome::Refused => None,
    }
}

fn response(operation: &Operation) -> Option<&Response> {
    match &operation.outcome {
        Outcome::Returned { response, .. } => Some(response),
        Outcome::Unknown { .. } | Outcome::Refused => None,
    }
}

fn response_mut(operation: &mut Operation) -> Option<&mut Response> {
    match &mut operation.outcome {
        Outcome::Returned { response, .. } => Some(response),
        Outcome::Unknown { .. } | Outcome::Refused => None,
    }
}

/// The pairs of an answer that is a list.
fn list_mut(operation: &mut Operation) -> Option<&mut Vec<Pair>> {
    match response_mut(operation)? {
        Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. } => Some(pairs),
        Response::Put { .. }
        | Response::Swap { .. }
        | Response::Compact { .. }
        | Response::Compacted
        | Response::FutureRevision => None,
    }
}

fn answer_with(operation: &mut Operation, answer: Response) -> Option<()> {
    *response_mut(operation)? = answer;
    Some(())
}

fn is_serializable(operation: &Operation) -> bool {
    matches!(operation.request, Request::Range { serializable: true, .. })
}

/// The revision it names.
fn seen(operation: &Operation) -> Option<i64> {
    revision_of(response(operation)?)
}

fn precedes(first: &Operation, second: &Operation) -> bool {
    returned(first).is_some_and(|returned| returned < second.invoked)
}

/// What a read read at another revision than the current, if it was answered.
fn read_at(operation: &Operation) -> Option<i64> {
    match (&operation.request, response(operation)?) {
        (Request::Range { at, .. }, Response::Range { .. }) => *at,
        _ => None,
    }
}

/// What was compacted.
fn compacted(operation: &Operation) -> Option<i64> {
    match (&operation.request, response(operation)?) {
        (Request::Compact { revision }, Response::Compact { .. }) => Some(*revision),
        _ => None,
    }
}

fn is_read_now(operation: &Operation) -> bool {
    let is_range = matches!(response(operation), Some(Response::Range { .. }));
    is_range && matches!(operation.request, Request::Range { at: None, serializable: false, .. })
}

/// An operation that this holds for.
fn any(
    history: &[Operation],
    random: &mut Random,
    holds: impl Fn(&Operation) -> bool,
) -> Option<usize> {
    random.pick((0..history.len()).filter(|&at| holds(&history[at])))
}

/// Two operations that this holds for.
fn any_two(
    history: &[Operation],
    random: &mut Random,
    hold: impl Fn(&Operation, &Operation) -> bool,
) -> Option<(usize, usize)> {
    let pairs = (0..history.len()).flat_map(|first| (0..history.len()).map(move |at| (first, at)));
    random.pick(pairs.filter(|&(first, at)| first != at && hold(&history[first], &history[at])))
}

/// Whether it made a revision that another's answer counts on.
fn is_counted_on(operation: &Operation, history: &[Operation]) -> bool {
    let made = response(operation).and_then(made);
    made.is_some_and(|made| history.iter().filter_map(seen).any(|seen| seen > made))
}

fn stale_read(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let makes = |write: &Operation| response(write).and_then(made);
    let (write, read) = any_two(history, random, |write, read| {
        is_read_now(read) && makes(write).is_some() && precedes(write, read)
    })?;
    let answer = truth.answer(&history[read].request, makes(&history[write])? - 1);
    answer_with(&mut history[read], answer)
}

fn read_back(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let (first, second) = any_two(history, random, |first, second| {
        let goes_on = seen(first).is_some_and(|seen| seen > 1) && precedes(first, second);
        is_read_now(first) && is_read_now(second) && goes_on
    })?;
    let answer = truth.answer(&history[second].request, seen(&history[first])? - 1);
    answer_with(&mut history[second], answer)
}

fn read_ahead(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let makes = |write: &Operation| response(write).and_then(made);
    let (read, write) = any_two(history, random, |read, write| {
        is_read_now(read) && makes(write).is_some() && precedes(read, write)
    })?;
    let answer = truth.answer(&history[read].request, makes(&history[write])?);
    answer_with(&mut history[read], answer)
}

fn missed_key(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        is_read_now(read) && response(read).is_some_and(|answer| !pairs_of(answer).is_empty())
    })?;
    let pairs = list_mut(&mut history[read])?;
    pairs.remove(random.index(pairs.len()));
    Some(())
}

fn key_twice(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(
        history,
        random,
        |read| matches!(response(read), Some(Response::Range { pairs, .. }) if !pairs.is_empty()),
    )?;
    let pairs = list_mut(&mut history[read])?;
    pairs.insert(0, pairs[0].clone());
    Some(())
}

/// Some pair in some answer.
fn any_pair<'h>(
    history: &'h mut [Operation],
    random: &mut Random,
    holds: impl Fn(&Pair) -> bool,
) -> Option<&'h mut Pair> {
    let pairs = history.iter_mut().filter_map(response_mut).flat_map(|answer| match answer {
        Response::Put { previous: pair, .. } | Response::Swap { found: pair, .. } => {
            pair.as_mut_slice()
        }
        Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. } => pairs,
        Response::Compact { .. } | Response::Compacted | Response::FutureRevision => &mut [],
    });
    random.pick(pairs.filter(|pair| holds(pair)))
}

fn unknown_value(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    any_pair(history, random, |_| true)?.value = 1_000_000;
    Some(())
}

fn version_goes_on(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let before =
        |pair: &Pair| (1..pair.created).rev().find_map(|revision| truth.pair(pair.key, revision));
    let pair = any_pair(history, random, |pair| before(pair).is_some())?;
    let before = before(pair)?;
    pair.created = before.created;
    pair.version += before.version;
    Some(())
}

/// Changes all revisions that are named anywhere.
fn renumber(history: &mut [Operation], to: impl Fn(i64) -> i64) {
    for operation in history {
        match &mut operation.request {
            Request::Range { at: Some(revision), .. }
            | Request::Swap { expected: revision, .. }
            | Request::Compact { revision } => *revision = to(*revision),
            Request::Range { at: None, .. } | Request::Put { .. } | Request::Delete { .. } => {}
        }
        match response_mut(operation) {
            Some(
                Response::Put { revision, .. }
                | Response::Range { revision, .. }
                | Response::Delete { revision, .. }
                | Response::Swap { revision, .. }
                | Response::Compact { revision },
            ) => *revision = to(*revision),
            Some(Response::Compacted | Response::FutureRevision) | None => {}
        }
        let pairs: &mut [Pair] = match response_mut(operation) {
            Some(Response::Put { previous: Some(pair), .. })
            | Some(Response::Swap { found: Some(pair), .. }) => std::slice::from_mut(pair),
            Some(Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. }) => pairs,
            _ => &mut [],
        };
        for pair in pairs {
            pair.created = to(pair.created);
            pair.modified = to(pair.modified);
        }
    }
}

fn lost_write(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let lost = any(history, random, |write| is_counted_on(write, history))?;
    let at = seen(&history[lost])?;
    renumber(history, |revision| if revision > at { revision - 1 } else { revision });
    Some(())
}

fn write_twice(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let twice = any(history, random, |write| is_counted_on(write, history))?;
    let at = seen(&history[twice])?;
    renumber(history, |revision| if revision > at { revision + 1 } else { revision });
    Some(())
}

fn refused_write(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let refused = any(history, random, |write| is_counted_on(write, history))?;
    history[refused].outcome = Outcome::Refused;
    Some(())
}

fn one_revision(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let makes = |write: &Operation| response(write).and_then(made).is_some();
    let (first, second) = any_two(history, random, |first, second| makes(first) && makes(second))?;
    let one = seen(&history[first])?;
    match response_mut(&mut history[second])? {
        Response::Put { revision, .. }
        | Response::Delete { revision, .. }
        | Response::Swap { revision, .. } => *revision = one,
        Response::Range { .. }
        | Response::Compact { .. }
        | Response::Compacted
        | Response::FutureRevision => return None,
    }
    Some(())
}

fn wrong_previous(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let is_put = |put: &Operation| matches!(response(put), Some(Response::Put { .. }));
    let put = any(history, random, is_put)?;
    let Operation { request: Request::Put { key, value }, .. } = history[put] else { return None };
    let Some(Response::Put { previous, revision }) = response_mut(&mut history[put]) else {
        return None;
    };
    *previous = match previous.take() {
        Some(_) if random.percent(50) => None,
        Some(pair) => Some(Pair { version: pair.version + 1, ..pair }),
        None => {
            let (created, modified) = (*revision, *revision);
            Some(Pair { key, value, created, modified, version: 1 })
        }
    };
    Some(())
}

fn swap_sees_itself(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let swap = any(history, random, |swap| {
        matches!(response(swap), Some(Response::Swap { succeeded: true, .. }))
    })?;
    let revision = seen(&history[swap])?;
    let Request::Swap { key, .. } = history[swap].request else { return None };
    let found = truth.pair(key, revision);
    answer_with(&mut history[swap], Response::Swap { revision, succeeded: false, found })
}

fn swap_succeeds(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let swap = any(history, random, |swap| {
        matches!(response(swap), Some(Response::Swap { succeeded: true, .. }))
    })?;
    let Request::Swap { expected, .. } = &mut history[swap].request else { return None };
    *expected += 1;
    Some(())
}

fn swap_fails(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let swap = any(history, random, |swap| {
        matches!(response(swap), Some(Response::Swap { succeeded: false, .. }))
    })?;
    let modified = pairs_of(response(&history[swap])?).first().map_or(0, |pair| pair.modified);
    let Request::Swap { expected, .. } = &mut history[swap].request else { return None };
    *expected = modified;
    Some(())
}

/// A removal of at least so many keys.
fn any_delete(history: &[Operation], random: &mut Random, keys: usize) -> Option<usize> {
    any(history, random, |delete| match response(delete) {
        Some(Response::Delete { deleted, .. }) => keys <= deleted.len(),
        _ => false,
    })
}

fn deleted_too_much(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let delete = any_delete(history, random, 1)?;
    let Request::Delete { end, .. } = history[delete].request else { return None };
    let deleted = list_mut(&mut history[delete])?;
    let more = Pair { key: end, ..deleted[0].clone() };
    deleted.push(more);
    Some(())
}

fn deleted_too_little(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let delete = any_delete(history, random, 2)?;
    let deleted = list_mut(&mut history[delete])?;
    deleted.remove(random.index(deleted.len()));
    Some(())
}

fn deleted_nothing(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let delete = any_delete(history, random, 1)?;
    let revision = seen(&history[delete])? - 1;
    answer_with(&mut history[delete], Response::Delete { revision, deleted: Vec::new() })
}

fn wrong_history(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| read_at(read).is_some() && !is_serializable(read))?;
    let Request::Range { first, end, .. } = history[read].request else { return None };
    let revision = seen(&history[read])?;
    let at = read_at(&history[read])?;
    let right = truth.pairs(first, end, at);
    let others = (1..=revision).map(|at| truth.pairs(first, end, at));
    let pairs = random.pick(others.filter(|pairs| *pairs != right))?;
    answer_with(&mut history[read], Response::Range { revision, pairs })
}

fn read_compacted(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let (compaction, read) = any_two(history, random, |compaction, read| {
        let Request::Range { at: Some(at), .. } = read.request else { return false };
        let refused = matches!(response(read), Some(Response::Compacted));
        refused && precedes(compaction, read) && compacted(compaction).is_some_and(|to| to > at)
    })?;
    let before = history.iter().filter(|first| precedes(first, &history[read]));
    let revision = before.filter_map(seen).max().max(seen(&history[compaction]))?;
    let answer = truth.answer(&history[read].request, revision);
    answer_with(&mut history[read], answer)
}

fn compacted_by_nobody(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        let Some(at) = read_at(read) else { return false };
        let mut before = history.iter().filter(|first| Some(first.invoked) <= returned(read));
        !before.any(|first| matches!(first.request, Request::Compact { revision } if revision > at))
    })?;
    answer_with(&mut history[read], Response::Compacted)
}

fn past_as_future(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (_, read) = any_two(history, random, |first, read| {
        read_at(read).is_some_and(|at| at > 1 && seen(first) >= Some(at)) && precedes(first, read)
    })?;
    answer_with(&mut history[read], Response::FutureRevision)
}

fn future_as_past(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| read_at(read).is_some() && !is_serializable(read))?;
    let revision = seen(&history[read])?;
    let Request::Range { at, .. } = &mut history[read].request else { return None };
    *at = Some(revision + 1);
    Some(())
}

fn compaction_back(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (first, second) = any_two(history, random, |first, second| {
        compacted(first).is_some() && compacted(second).is_some() && precedes(first, second)
    })?;
    let to = compacted(&history[first])? - random.between(0, 1);
    history[second].request = Request::Compact { revision: to };
    Some(())
}

fn compaction_ahead(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let compaction = any(history, random, |compaction| compacted(compaction).is_some())?;
    let revision = seen(&history[compaction])? + 1;
    history[compaction].request = Request::Compact { revision };
    Some(())
}

fn other_answer(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let kind = |operation: &Operation| response(operation).map(std::mem::discriminant);
    let (first, second) = any_two(history, random, |first, second| {
        let is_put = matches!(second.request, Request::Put { .. });
        is_put && kind(first).is_some() && kind(second).is_some() && kind(first) != kind(second)
    })?;
    let answer = response(&history[first])?.clone();
    answer_with(&mut history[second], answer)
}

fn early_answer(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let early = any(history, random, |operation| {
        returned(operation).is_some() && operation.invoked > 0 && !is_serializable(operation)
    })?;
    let before = history[early].invoked - 1;
    let Outcome::Returned { at, .. } = &mut history[early].outcome else { return None };
    *at = before;
    Some(())
}

fn effect(operation: &Operation) -> Option<i64> {
    match operation.outcome {
        Outcome::Unknown { effect } => effect,
        Outcome::Returned { .. } | Outcome::Refused => None,
    }
}

fn effect_missing(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let highest = history.iter().filter_map(seen).max();
    let write = any(history, random, |write| effect(write).is_some() && effect(write) <= highest)?;
    history[write].outcome = Outcome::Unknown { effect: None };
    Some(())
}

fn effect_twice(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (first, second) = any_two(history, random, |first, second| {
        effect(first).is_some() && effect(second).is_some()
    })?;
    history[second].outcome = history[first].outcome.clone();
    Some(())
}

fn effect_early(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let (read, write) = any_two(history, random, |read, write| {
        effect(write).is_some() && seen(read) >= effect(write) && !is_serializable(read)
    })?;
    history[write].invoked = returned(&history[read])? + 1;
    Some(())
}

fn effect_of_read(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        let is_read = matches!(read.request, Request::Range { .. } | Request::Compact { .. });
        is_read && matches!(read.outcome, Outcome::Unknown { .. })
    })?;
    history[read].outcome = Outcome::Unknown { effect: Some(2) };
    Some(())
}

fn wrong_old_read(history: &mut [Operation], _: &Truth, random: &mut Random) -> Option<()> {
    let read = any(history, random, |read| {
        is_serializable(read) && response(read).is_some_and(|answer| !pairs_of(answer).is_empty())
    })?;
    let pairs = list_mut(&mut history[read])?;
    pairs.remove(random.index(pairs.len()));
    Some(())
}

fn old_read_ahead(history: &mut [Operation], truth: &Truth, random: &mut Random) -> Option<()> {
    let makes = |write: &Operation| response(write).and_then(made);
    let (read, write) = any_two(history, random, |read, write| {
        let is_range = matches!(response(read), Some(Response::Range { .. }));
        is_range && is_serializable(read) && makes(write).is_some() && precedes(read, write)
    })?;
    let answer = truth.answer(&history[read].request, makes(&history[write])?);
    answer_with(&mut history[read], answer)
}

// Lies at random.

/// Changes something, mostly into a lie.
fn mutate(history: &mut [Operation], truth: &Truth, random: &mut Random) {
    let at = random.index(history.len());
    match random.below(10) {
        0 => change_invocation(&mut history[at], random),
        1 => change_return(&mut history[at], random),
        2 => change_outcome(&mut history[at], random),
        3 => change_request(&mut history[at], random),
        4 => change_pairs(&mut history[at], truth, random),
        5 => change_revision(&mut history[at], random),
        6 => change_verdict(&mut history[at], truth, random),
        7 => {
            let other = random.index(history.len());
            if let (Some(one), Some(another)) = (response(&history[at]), response(&history[other]))
                && std::mem::discriminant(one) == std::mem::discriminant(another)
            {
                let (one, another) = (one.clone(), another.clone());
                *response_mut(&mut history[at]).unwrap() = another;
                *response_mut(&mut history[other]).unwrap() = one;
            }
        }
        // A read at another time: wrong, or not, by the order alone.
        _ => {
            let is_range =
                |read: &Operation| matches!(response(read), Some(Response::Range { .. }));
            let Some(read) = any(history, random, is_range) else { return };
            let seen = seen(&history[read]).unwrap();
            let last = truth.behind.revision();
            let now = random.between((seen - 3).max(1), (seen + 3).min(last));
            if let Request::Range { at: Some(at), .. } = &mut history[read].request {
                *at = (*at).min(now);
            }
            let answer = truth.answer(&history[read].request, now);
            *response_mut(&mut history[read]).unwrap() = answer;
        }
    }
}

fn change_invocation(operation: &mut Operation, random: &mut Random) {
    let by = random.below(8);
    let latest = returned(operation).unwrap_or(u64::MAX);
    let later = (operation.invoked + by).min(latest);
    operation.invoked =
        if random.percent(50) { later } else { operation.invoked.saturating_sub(by) };
}

fn change_return(operation: &mut Operation, random: &mut Random) {
    let by = random.below(8);
    if let Outcome::Returned { at, .. } = &mut operation.outcome {
        *at = if random.percent(50) {
            *at + by
        } else {
            at.saturating_sub(by).max(operation.invoked)
        };
    }
}

fn change_outcome(operation: &mut Operation, random: &mut Random) {
    let effect = response(operation).and_then(made).or_else(|| effect(operation));
    operation.outcome = match random.below(4) {
        0 => Outcome::Refused,
        1 => Outcome::Unknown { effect: None },
        _ => Outcome::Unknown { effect: effect.map(|effect| effect + random.between(-1, 1)) },
    };
}

fn change_request(operation: &mut Operation, random: &mut Random) {
    let by = random.between(-2, 2);
    match &mut operation.request {
        Request::Put { key, .. } => *key ^= 1,
        Request::Range { at: Some(revision), .. }
        | Request::Compact { revision }
        | Request::Swap { expected: revision, .. } => *revision += by,
        Request::Range { end, .. } | Request::Delete { end, .. } => *end += 1,
    }
}

fn change_pairs(operation: &mut Operation, truth: &Truth, random: &mut Random) {
    let by = random.between(-1, 1);
    let key = random.key(truth.keys);
    let other = truth.pair(key, random.between(1, truth.behind.revision()));
    let change = |pair: &mut Pair, random: &mut Random| match random.below(5) {
        0 => pair.key ^= 1,
        1 => pair.value ^= 1,
        2 => pair.created += by,
        3 => pair.modified += by,
        _ => pair.version += by,
    };
    match response_mut(operation) {
        Some(Response::Put { previous: pair, .. } | Response::Swap { found: pair, .. }) => {
            match pair {
                Some(pair) if random.percent(50) => change(pair, random),
                _ => *pair = other,
            }
        }
        Some(Response::Range { pairs, .. } | Response::Delete { deleted: pairs, .. }) => {
            if pairs.is_empty() || random.percent(20) {
                pairs.extend(other);
            } else {
                let at = random.index(pairs.len());
                if random.percent(50) {
                    pairs.remove(at);
                } else {
                    change(&mut pairs[at], random);
                }
            }
        }
        Some(Response::Compact { .. } | Response::Compacted | Response::FutureRevision) | None => {}
    }
}

fn change_revision(operation: &mut Operation, random: &mut Random) {
    let by = random.between(-2, 2);
    match response_mut(operation) {
        Some(
            Response::Put { revision, .. }
            | Response::Range { revision, .. }
            | Response::Delete { revision, .. }
            | Response::Swap { revision, .. }
            | Response::Compact { revision },
        ) => *revision += by,
        Some(Response::Compacted | Response::FutureRevision) | None => {}
    }
}

/// Makes an error of a success, or the reverse.
fn change_verdict(operation: &mut Operation, truth: &Truth, random: &mut Random) {
    let revision = random.between(1, truth.behind.revision());
    let error = random.percent(50);
    let error = if error { Response::Compacted } else { Response::FutureRevision };
    let answer = match (&operation.request, response(operation)) {
        (Request::Range { at: Some(_), .. }, Some(Response::Range { .. }))
        | (Request::Compact { .. }, Some(Response::Compact { .. })) => error,
        (Request::Range { at: Some(at), .. }, Some(_)) => {
            truth.answer(&operation.request, revision.max(*at))
        }
        (Request::Compact { .. }, Some(_)) => Response::Compact { revision },
        (Request::Swap { .. }, Some(Response::Swap { succeeded, revision, found })) => {
            let (revision, found) = (*revision, found.clone().filter(|_| *succeeded));
            Response::Swap { revision, succeeded: !succeeded, found }
        }
        (_, _) => return,
    };
    *response_mut(operation).unwrap() = answer;
}
