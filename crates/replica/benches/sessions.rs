//! What sessions cost an apply: the server's store with and without them.
//!
//! `cargo bench -p quorate-replica --bench sessions`. Times are of the processor, for a machine
//! with other work; the least of several rounds, taken in turns, is what counts. With the number
//! of a case behind `--`, from 0 for the store alone to 3, only that one is applied, in two rounds,
//! for tools that count instructions.

#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]

use std::hint::black_box;
use std::io::{self, Read};

use bytes::Bytes;
use quorate_proto::etcdserverpb::PutRequest;
use quorate_raft::Index;
use quorate_replica::sessions::{ClientId, Head, SavedReply, Sessions};
use quorate_replica::{Command, StateMachine, Wants, WriteOut};
use quorate_store::Store;

const KEYS: u64 = 100_000;
/// Commands in one call, as a busy member has them.
const BATCH: usize = 64;
const ROUNDS: usize = 7;

fn main() {
    let cases: [(&str, Headed); 3] = [
        ("without a session", |_| None),
        ("of 64 clients", |number| Some(head(number, 64))),
        ("of 8192 clients", |number| Some(head(number, 8192))),
    ];
    let only = std::env::args().find_map(|argument| argument.parse::<usize>().ok());
    let is_chosen = |case: usize| only.is_none_or(|only| only == case);
    for wants in [Wants::Reply, Wants::Nothing] {
        let mut bare = Machine(Store::new());
        let mut best_bare = u64::MAX;
        let mut wrapped = cases.map(|_| Sessions::new(Machine(Store::new())));
        let mut best = [u64::MAX; 3];
        for round in 0..if only.is_some() { 2 } else { ROUNDS } {
            let first = u64::try_from(round).expect("it fits") * KEYS + 1;
            if is_chosen(0) {
                let commands = commands(first, wants, |_| None);
                best_bare = best_bare.min(measure(&mut bare, &commands));
            }
            for (case, (_, head)) in cases.iter().enumerate() {
                if is_chosen(case + 1) {
                    let commands = commands(first, wants, head);
                    best[case] = best[case].min(measure(&mut wrapped[case], &commands));
                }
            }
        }
        println!("update of 256 bytes, {wants:?}");
        if is_chosen(0) {
            println!("  the store alone: {best_bare} ns");
        }
        for (case, (name, _)) in cases.iter().enumerate().filter(|(case, _)| is_chosen(case + 1)) {
            println!("  with sessions, {name}: {} ns", best[case]);
        }
    }
}

/// The head of the command with a number, if it has one.
type Headed = fn(u64) -> Option<Head>;

/// The store as a state machine, as the server has it.
#[derive(Debug)]
struct Machine(Store);

/// Its reply.
#[derive(Clone, Debug)]
struct Reply(quorate_store::Reply);

impl SavedReply for Reply {
    fn saved_len(&self) -> usize {
        self.0.encoded_len()
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        quorate_store::Reply::decode(bytes).map(Self)
    }
}

impl StateMachine for Machine {
    type Reply = Reply;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Reply>) {
        for command in commands {
            let wants = match command.wants {
                Wants::Reply => quorate_store::Wants::Reply,
                Wants::Nothing => quorate_store::Wants::Nothing,
            };
            replies.extend(self.0.apply(&command.body, wants).map(Reply));
        }
    }

    fn snapshot(&self) -> WriteOut {
        let store = self.0.snapshot();
        Box::new(move |out| store.write_to(out))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.0.restore(from).map_err(io::Error::from)
    }
}

/// A request of a client that waits for each answer before the next.
fn head(number: u64, clients: u64) -> Head {
    // Ids as they are drawn: far apart.
    let client = u128::from((number % clients + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64;
    let sequence = number / clients + 1;
    let since = Some(Index::new(1));
    Head { client: ClientId::new(client), sequence, acknowledged: sequence - 1, since }
}

fn commands(first: u64, wants: Wants, head: impl Fn(u64) -> Option<Head>) -> Vec<Command> {
    let value = Bytes::from_static(&[b'v'; 256]);
    let command = |number: u64| {
        let key = format!("/keys/{:010}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % KEYS);
        let put = PutRequest { key: key.into(), value: value.clone(), ..Default::default() };
        let body = quorate_store::Command::Put(put).encode();
        let body = head(number).map_or(body.clone(), |head| head.encode(&body));
        Command { index: Index::new(number), body, wants }
    };
    (first..first + KEYS).map(command).collect()
}

/// The nanoseconds of one command.
#[inline(never)]
fn measure<M: StateMachine>(machine: &mut M, commands: &[Command]) -> u64 {
    let mut replies = Vec::with_capacity(BATCH);
    let start = processor_nanos();
    for batch in commands.chunks(BATCH) {
        machine.apply(batch, &mut replies);
        black_box(&replies);
        replies.clear();
    }
    (processor_nanos() - start) / KEYS
}

/// How long this thread has run so far.
fn processor_nanos() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = schedstat.split(' ').next().expect("its first number is the time");
    nanos.parse().expect("it is a number")
}
