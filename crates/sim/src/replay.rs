//! One machine, alone, does again what the cluster agreed on, and must come to the same.
//!
//! A state machine is deterministic, so the committed commands, applied in order to a fresh one,
//! say what every reply and every state has to be. Here they are applied otherwise than at the
//! members: in batches of random sizes, each with a reply, and now and then the machine is taken
//! through a snapshot of itself. What differs then is a reply that a client should not have got, or
//! a machine that depends on more than its commands.

use std::io::{self, Read};

use bytes::Bytes;
use quorate_raft::Index;
use quorate_replica::{Command, StateMachine, Wants, WriteOut};

use crate::machine::Applied;
use crate::random::Random;
use crate::violation::{Checker, demand, violated};
use crate::workload::{Operation, Outcome, Reply, Request, Response, Workload};

/// Commands in a batch at most.
const BATCH_MAX: u64 = 64;

/// Commands from one snapshot to the next, in the mean, when snapshots cost nothing.
const SNAPSHOT_COMMANDS: u64 = 16;

/// Bytes of a snapshot that put the next one off by a command.
const SNAPSHOT_BYTES: u64 = 2;

/// Commands that are applied from the moment of a snapshot until it is written.
const LAG_MAX: u64 = 8;

/// A machine that does everything again.
pub(crate) struct Replay<'a, W: Workload> {
    workload: &'a W,
    /// What was asked, and is judged.
    history: &'a mut [Operation<W>],
    /// The commands in the order of the log, and what members came to.
    steps: &'a [(u64, Applied)],
    /// The questions that were answered, by the index of the state: the last one comes first.
    questions: Vec<usize>,
    machine: W::Machine,
    /// The digest of the initial state.
    first: u64,
    /// How many steps are done.
    at: usize,
    random: Random,
    replies: Vec<Reply<W>>,
    snapshot: Snapshot,
}

/// The next snapshot.
enum Snapshot {
    /// To be taken after so many steps.
    Due(usize),
    /// Taken after `at` steps, to be written after `until`.
    Taken { at: usize, until: usize, write_out: WriteOut },
}

impl<'a, W: Workload> Replay<'a, W> {
    pub(crate) fn new(
        workload: &'a W,
        history: &'a mut [Operation<W>],
        steps: &'a [(u64, Applied)],
        seed: u64,
    ) -> Self {
        let mut questions: Vec<usize> = (0..history.len())
            .filter(|number| match &history[*number].request {
                Request::Query(_) | Request::LocalQuery(_) => true,
                Request::Command(_) => false,
            })
            .filter(|number| history[*number].index.is_some())
            .collect();
        questions.sort_by_key(|number| std::cmp::Reverse(history[*number].index));
        let machine = workload.machine();
        let mut random = Random::new(seed, 10);
        Self {
            workload,
            first: machine.digest(),
            machine,
            history,
            steps,
            questions,
            at: 0,
            snapshot: Snapshot::Due(next_snapshot(&mut random, 0, 0)),
            random,
            replies: Vec::new(),
        }
    }

    /// Does everything again. Says of each command that was applied where, and of those whose
    /// clients do not know, what the reply is.
    pub(crate) fn run(mut self) {
        loop {
            self.ask();
            self.maybe_snapshot();
            if self.at == self.steps.len() {
                return;
            }
            self.apply();
        }
    }

    /// The questions that were answered from the state as it is now.
    fn ask(&mut self) {
        let next = self.steps.get(self.at).map_or(u64::MAX, |(index, _)| *index);
        while let Some(number) =
            self.questions.pop_if(|number| self.history[*number].index < Some(next))
        {
            let operation = &self.history[number];
            let (Request::Query(query) | Request::LocalQuery(query)) = &operation.request else {
                continue;
            };
            let expected = self.workload.query(&self.machine, query);
            if let Outcome::Returned { response: Response::Answer(answer), .. } = &operation.outcome
            {
                demand!(
                    *answer == expected,
                    Linearizability,
                    "operation {number}, {query:?}, was answered {answer:?} from the state at {}; \
                     a machine that applies the same commands alone answers {expected:?}",
                    operation.index.unwrap_or_default()
                );
            }
        }
    }

    /// Applies the next batch, which ends where something else is to be done.
    fn apply(&mut self) {
        let size = usize::try_from(self.random.magnitude(1, BATCH_MAX)).expect("small");
        let stop = match self.snapshot {
            Snapshot::Due(at) | Snapshot::Taken { until: at, .. } => at,
        };
        let end = self.steps.len().min(self.at + size).min(stop.max(self.at + 1));
        let question = self.questions.last().and_then(|number| self.history[*number].index);
        let steps = &self.steps[self.at..end];
        let count = steps.partition_point(|(index, _)| question.is_none_or(|at| *index <= at));
        let steps = &steps[..count.max(1)];
        let commands: Vec<Command> = steps.iter().map(|step| self.command(step)).collect();
        self.replies.clear();
        self.machine.apply(&commands, &mut self.replies);
        demand!(
            self.replies.len() == commands.len(),
            AtMostOnce,
            "a machine alone gave {} replies to {} commands that each want one",
            self.replies.len(),
            commands.len()
        );
        self.at += steps.len();
        for ((index, applied), reply) in steps.iter().zip(self.replies.drain(..)) {
            let number = usize::try_from(applied.operation).expect("operations are few");
            compare(number, &mut self.history[number], *index, reply);
        }
        let (index, applied) = steps[steps.len() - 1];
        let digest = self.machine.digest();
        demand!(
            digest == applied.digest,
            StateMachineSafety,
            "at {index} the members came to the state of digest {:016x}; a machine alone that was \
             given the last {} commands at once comes to {digest:016x}",
            applied.digest,
            steps.len()
        );
    }

    /// The bytes of a command, as they were proposed.
    fn command(&self, (index, applied): &(u64, Applied)) -> Command {
        let number = usize::try_from(applied.operation).expect("operations are few");
        let request = self.history.get(number).map(|operation| &operation.request);
        let Some(Request::Command(command)) = request else {
            violated(
                Checker::AtMostOnce,
                format!("operation {number} was applied at {index}, and is no command of a client"),
            );
        };
        let body: Bytes = command.clone().into();
        Command { index: Index::new(*index), body, wants: Wants::Reply }
    }

    /// Takes a snapshot, or goes on from one, if it is time.
    fn maybe_snapshot(&mut self) {
        if let Snapshot::Due(at) = self.snapshot
            && at == self.at
        {
            let lag = usize::try_from(self.random.below(LAG_MAX + 1)).expect("small");
            let until = self.steps.len().min(at + lag);
            self.snapshot = Snapshot::Taken { at, until, write_out: self.machine.snapshot() };
        }
        let never = Snapshot::Due(usize::MAX);
        self.snapshot = match std::mem::replace(&mut self.snapshot, never) {
            Snapshot::Taken { at, until, write_out } if until == self.at => {
                Snapshot::Due(self.go_on_from(at, until, write_out))
            }
            waiting @ (Snapshot::Due(_) | Snapshot::Taken { .. }) => waiting,
        };
    }

    /// Writes a snapshot that was taken after `at` steps and goes on from it, in a fresh machine or
    /// in one that has a state already. Returns after how many steps the next one is taken.
    fn go_on_from(&mut self, at: usize, until: usize, write_out: WriteOut) -> usize {
        let mut bytes = Vec::new();
        if let Err(error) = write_out(&mut bytes) {
            violated(
                Checker::StateMachineSafety,
                format!("a snapshot is not written into memory: {error}"),
            );
        }
        if self.random.below(2) == 0 {
            self.machine = self.workload.machine();
        }
        if self.random.below(4) == 0 {
            self.fail_to_restore(&bytes);
        }
        let mut from = Torn { bytes: &bytes, breaks: false };
        if let Err(error) = self.machine.restore(&mut from) {
            violated(
                Checker::StateMachineSafety,
                format!("a snapshot of {} bytes is not restored: {error}", bytes.len()),
            );
        }
        demand!(
            from.bytes.is_empty(),
            StateMachineSafety,
            "a snapshot was restored without the last {} of its {} bytes",
            from.bytes.len(),
            bytes.len()
        );
        let known = at.checked_sub(1).map_or(self.first, |last| self.steps[last].1.digest);
        let digest = self.machine.digest();
        demand!(
            digest == known,
            StateMachineSafety,
            "a snapshot of the state of digest {known:016x}, written {} commands later and \
             restored, is a state of digest {digest:016x}",
            until - at
        );
        self.at = at;
        let bytes = u64::try_from(bytes.len()).expect("lengths fit");
        next_snapshot(&mut self.random, until, bytes)
    }

    /// A snapshot that cannot be read to its end must change nothing.
    fn fail_to_restore(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let before = self.machine.digest();
        let end = self.random.place(bytes.len());
        let result = self.machine.restore(&mut Torn { bytes: &bytes[..end], breaks: true });
        let after = self.machine.digest();
        demand!(
            result.is_err() && after == before,
            StateMachineSafety,
            "the reading of a snapshot failed after {end} of {} bytes: the restore came to \
             {result:?}, and the digest of the state from {before:016x} to {after:016x}",
            bytes.len()
        );
    }
}

/// After how many steps the next snapshot is taken.
fn next_snapshot(random: &mut Random, done: usize, bytes: u64) -> usize {
    let mean = SNAPSHOT_COMMANDS + bytes / SNAPSHOT_BYTES;
    done + usize::try_from(random.between(1, 2 * mean)).expect("small")
}

/// Compares what was told with what had to be.
fn compare<W: Workload>(number: usize, here: &mut Operation<W>, index: u64, reply: Reply<W>) {
    let told = match &here.outcome {
        Outcome::Returned { response: Response::Reply(told), .. } => Some(told),
        Outcome::Unknown { reply } => reply.as_ref(),
        Outcome::Returned { response: Response::Answer(_), .. } | Outcome::Refused => None,
    };
    demand!(
        told.is_none_or(|told| *told == reply),
        Linearizability,
        "operation {number}, {:?}, applied at {index}, was answered {told:?}; a machine that \
         applies the same commands alone answers {reply:?}",
        here.request
    );
    here.index = Some(index);
    match &mut here.outcome {
        Outcome::Unknown { reply: unknown } => *unknown = Some(reply),
        Outcome::Returned { .. } => {}
        Outcome::Refused => violated(
            Checker::AtMostOnce,
            format!("operation {number} was refused, and applied at {index}"),
        ),
    }
}

/// Bytes of which some may be missing.
struct Torn<'a> {
    bytes: &'a [u8],
    /// At their end comes an error.
    breaks: bool,
}

impl Read for Torn<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && self.breaks && !buffer.is_empty() {
            return Err(io::Error::other("the snapshot is damaged from here on"));
        }
        self.bytes.read(buffer)
    }
}
