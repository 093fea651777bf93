//! What must hold for the cluster as a whole, whatever happens (Figure 3 of the paper).
//!
//! - Election safety: a term has one leader.
//! - Log matching: equal entries have equal pasts.
//! - Leader completeness: a leader has what was committed in earlier terms.
//! - State machine safety: nobody commits another entry at an index.
//! - Durability: what is committed is on the disks of a quorum.
//! - Linearizable reads: a read is served at an index that covers all that was known to be
//!   committed anywhere when it was asked.

use std::collections::BTreeMap;

use quorate_raft::{Index, NodeId, ReadReady, ReadTicket, RoleName, Term};

use super::member::{Entry, Member};

pub struct Checker {
    /// Whether the test makes up messages: then a complaint about a peer is no failure.
    pub is_forging: bool,
    leaders: BTreeMap<Term, NodeId>,
    /// The committed entries, with the term in which each was first seen to be.
    pub committed: Vec<(Entry, Term)>,
    seen: BTreeMap<NodeId, Seen>,
    /// How many reads were served.
    pub served: u64,
    /// How many of them were stale, where that is no failure.
    pub stale: Option<u64>,
}

/// What was seen of one member in its present life.
#[derive(Default)]
struct Seen {
    commit: Index,
    /// The reads that wait: ticket, and the commit index that an answer must cover.
    reads: Vec<(ReadTicket, usize)>,
    /// The ticket before the first.
    first_ticket: Option<ReadTicket>,
    leads: Option<Term>,
}

impl Checker {
    pub fn new() -> Self {
        Self {
            is_forging: false,
            leaders: BTreeMap::new(),
            committed: Vec::new(),
            seen: BTreeMap::new(),
            served: 0,
            stale: None,
        }
    }

    pub fn on_start(&mut self, id: NodeId) {
        self.seen.insert(id, Seen::default());
    }

    pub fn on_crash(&mut self, id: NodeId) {
        self.seen.remove(&id);
    }

    pub fn on_read(&mut self, id: NodeId, ticket: ReadTicket) {
        let needed = self.committed.len();
        let seen = self.seen.entry(id).or_default();
        seen.first_ticket.get_or_insert(ticket);
        seen.reads.push((ticket, needed));
    }

    /// The number of a read in the member's life: tickets themselves begin at random.
    pub fn read_number(&self, id: NodeId, ticket: ReadTicket) -> u64 {
        let first = self.seen.get(&id).and_then(|seen| seen.first_ticket);
        first.map_or(0, |first| ticket.0 - first.0 + 1)
    }

    pub fn commit_of(&self, id: NodeId) -> Index {
        self.seen.get(&id).map_or(Index::ZERO, |seen| seen.commit)
    }

    /// After an input of `id`.
    pub fn check(&mut self, members: &BTreeMap<NodeId, Member>, id: NodeId, reads: &[ReadReady]) {
        let member = &members[&id];
        let raft = member.raft.as_ref().expect("the member runs");
        assert_eq!(
            raft.last().index.value(),
            u64::try_from(member.log.len()).expect("logs of tests are small")
        );
        if raft.role() == RoleName::Leader {
            self.check_leader(member, id, raft.term());
        }
        self.check_commit(members, id, raft.commit(), raft.term());
        self.check_reads(id, reads);
    }

    fn check_leader(&mut self, member: &Member, id: NodeId, term: Term) {
        let leader = *self.leaders.entry(term).or_insert(id);
        assert_eq!(leader, id, "election safety: two leaders in term {term}");
        let seen = self.seen.entry(id).or_default();
        if seen.leads == Some(term) {
            return;
        }
        seen.leads = Some(term);
        for (place, (entry, committed_in)) in self.committed.iter().enumerate() {
            if *committed_in < term {
                assert_eq!(
                    member.log.get(place),
                    Some(entry),
                    "leader completeness: leader {id} of term {term} lacks entry {}",
                    place + 1
                );
            }
        }
    }

    fn check_commit(
        &mut self,
        members: &BTreeMap<NodeId, Member>,
        id: NodeId,
        commit: Index,
        term: Term,
    ) {
        let log = &members[&id].log;
        let seen = self.seen.entry(id).or_default();
        assert!(seen.commit <= commit, "the commit index of {id} fell");
        for index in seen.commit.value() + 1..=commit.value() {
            let place = usize::try_from(index - 1).expect("logs of tests are small");
            if let Some((entry, _)) = self.committed.get(place) {
                assert_eq!(entry, &log[place], "state machine safety: {id} at {index}");
                continue;
            }
            let entry = log[place];
            // A membership needs its own quorum (one that is joint both halves, though the one that
            // ends the change may count by now); other entries that of whoever commits them first.
            let raft = members[&id].raft.as_ref().expect("the member runs");
            let own = raft.membership_at(Index::new(index));
            let membership = own.unwrap_or_else(|| raft.membership());
            for half in [&membership.incoming, &membership.outgoing] {
                let durable =
                    half.iter().filter(|voter| members[voter].disk.durable(place) == Some(&entry));
                let is_quorum = half.len() < 2 * durable.count() || half.is_empty();
                assert!(
                    is_quorum || self.is_forging,
                    "durability: {index} is committed by {id} in term {term}"
                );
            }
            self.committed.push((entry, term));
        }
        seen.commit = commit;
    }

    fn check_reads(&mut self, id: NodeId, reads: &[ReadReady]) {
        let seen = self.seen.entry(id).or_default();
        for read in reads {
            let waiting = seen.reads.len();
            seen.reads.retain(|&(ticket, needed)| {
                let is_served = ticket <= read.ticket;
                let index = usize::try_from(read.index.value()).expect("logs of tests are small");
                let is_stale = is_served && index < needed;
                if let Some(stale) = &mut self.stale {
                    *stale += u64::from(is_stale);
                } else {
                    assert!(!is_stale, "linearizability: a stale read at {id}");
                }
                !is_served
            });
            assert!(seen.reads.len() < waiting, "a ticket is served once");
            self.served += 1;
        }
    }

    /// Log matching, over all pairs of logs.
    pub fn check_logs(members: &BTreeMap<NodeId, Member>) {
        let logs: Vec<&Vec<Entry>> = members
            .values()
            .map(|member| if member.raft.is_some() { &member.log } else { &member.disk.entries })
            .collect();
        for (place, one) in logs.iter().enumerate() {
            for other in &logs[place + 1..] {
                let agree = one.iter().zip(other.iter()).rposition(|(a, b)| a.term == b.term);
                let end = agree.map_or(0, |agree| agree + 1);
                assert_eq!(one[..end], other[..end], "log matching");
            }
        }
    }
}
