//! Clients at members: operations begin, reach a member, are proposed or read, and are answered.

use bytes::Bytes;
use quorate_raft::ReadTicket;

use crate::machine::command;
use crate::marks::Mark;
use crate::workload::{Request, Response, Workload};
use crate::world::{Event, World};

impl<W: Workload> World<W> {
    /// A client begins an operation, and sets out for the next.
    pub(crate) fn begin_operation(&mut self, client: usize) {
        if self.is_closing {
            return;
        }
        let begun = self.clients.begin(self.now, client, &self.schedule.settings);
        if let Some((operation, member)) = begun {
            let arrival = self.now + self.network.latency();
            self.queue.push(arrival, Event::Ask { operation, member });
            let end = self.now + self.schedule.settings.patience;
            self.queue.push(end, Event::GiveUp { operation });
        }
        let next = self.now + self.clients.pause(client);
        self.queue.push(next, Event::Begin { client });
    }

    /// An operation reaches a member.
    pub(crate) fn ask(&mut self, operation: usize, member: usize) {
        let local = self.local(member);
        let here = &mut self.members[member];
        let Some(replica) = &mut here.replica else {
            return self.refuse(operation);
        };
        match self.clients.request_of(operation) {
            Request::Command(change) => {
                let body = change.clone().into();
                self.propose(operation, member, &body);
                self.settle(member);
            }
            Request::LocalQuery(_) if here.catching_up.is_some() => {
                here.local_readers.push(operation);
            }
            Request::LocalQuery(_) => self.read(member, operation),
            Request::Query(_) => {
                let ticket = replica.read(local);
                here.readers.push((ticket, operation));
                self.settle(member);
            }
        }
    }

    /// A member is asked to propose the command of an operation.
    fn propose(&mut self, operation: usize, member: usize, body: &Bytes) {
        let local = self.local(member);
        let here = &mut self.members[member];
        let Some(replica) = &mut here.replica else { return };
        if replica.raft().transferring().is_some() {
            self.marks.hit(Mark::TransferHeld);
        }
        let number = u64::try_from(operation).expect("operations are few");
        match replica.propose(local, [command(number, body)]) {
            Ok(sequence) => {
                let proposed = Some((member, here.life, sequence));
                self.clients.open(operation).proposed = proposed;
            }
            Err(refused) => {
                self.marks.hit(match refused {
                    quorate_replica::Refused::Overloaded => Mark::Overloaded,
                    quorate_replica::Refused::DiskFull => Mark::RefusedFull,
                });
                self.refuse(operation);
            }
        }
    }

    fn refuse(&mut self, operation: usize) {
        let at = self.now + self.network.latency();
        self.queue.push(at, Event::Refuse { operation });
    }

    /// Every read up to `ticket` may be served.
    pub(crate) fn serve_reads(&mut self, member: usize, ticket: ReadTicket) {
        let here = &mut self.members[member];
        let mut operations: Vec<usize> = Vec::new();
        if here.catching_up.is_some_and(|waits| waits <= ticket) {
            here.catching_up = None;
            operations.append(&mut here.local_readers);
        }
        let is_leader = here.is_leader();
        let served = here.readers.extract_if(.., |(waits, _)| *waits <= ticket);
        let before = operations.len();
        operations.extend(served.map(|(_, operation)| operation));
        if before < operations.len() {
            let mark = if is_leader { Mark::ReadAtLeader } else { Mark::ReadAtFollower };
            self.marks.hit(mark);
        }
        for operation in operations {
            self.read(member, operation);
        }
    }

    /// Answers a question from a member's state as it is.
    fn read(&mut self, member: usize, operation: usize) {
        let Some(replica) = &self.members[member].replica else { return };
        let (Request::Query(query) | Request::LocalQuery(query)) =
            self.clients.request_of(operation)
        else {
            return;
        };
        let answer = self.clients.workload().query(replica.machine().inner(), query);
        let index = replica.applied().index.value();
        self.answer(operation, Response::Answer(answer), Some(index));
    }
}
