//! Events and members as short texts, for the lines of a trace.

use std::fmt;

use quorate_log::MemDisk;
use quorate_raft::RoleName;
use quorate_replica::{Body, PeerMessage, Replica, StateMachine};

use crate::machine::Machine;
use crate::workload::Workload;
use crate::world::{Event, World};

/// An event, in a few words.
pub(crate) struct Brief<'a, W: Workload> {
    pub(crate) event: &'a Event,
    pub(crate) world: &'a World<W>,
}

impl<W: Workload> fmt::Display for Brief<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.event {
            Event::Arrive { message, connection } => {
                let old = if connection.is_none() { " (old)" } else { "" };
                write!(f, "from m{}{old} {}", message.from, Words(message))
            }
            Event::Timer { .. } => f.write_str("timer"),
            Event::Synced { number, .. } => write!(f, "disk job {number} ends"),
            Event::SnapshotDone { number, .. } => write!(f, "snapshot job {number} ends"),
            Event::Start { .. } => f.write_str("start"),
            Event::Connected { peer, .. } => write!(f, "connected to m{}", peer + 1),
            Event::Disconnected { peer, .. } => write!(f, "connection to m{} broke", peer + 1),
            Event::Continue { .. } => f.write_str("goes on"),
            Event::Fault { number } => {
                write!(f, "fault {number}: {:?}", self.world.schedule.faults[*number].what)
            }
            Event::FaultEnds { number } => write!(f, "fault {number} ends"),
            Event::Begin { .. } => f.write_str("begins"),
            Event::Ask { operation, .. } => {
                let request = self.world.clients.request_of(*operation);
                write!(f, "operation {operation} asks {request:?}")
            }
            Event::Answer { operation } => {
                let late = if self.world.clients.is_open(*operation) { "" } else { " too late" };
                write!(f, "operation {operation} answered{late}")?;
                let response = self.world.clients.response_of(*operation);
                response.map_or(Ok(()), |response| write!(f, " {response:?}"))
            }
            Event::Refuse { operation } => write!(f, "operation {operation} refused"),
            Event::GiveUp { operation } => {
                let open = self.world.clients.is_open(*operation);
                let what = if open { "given up" } else { "was answered in time" };
                write!(f, "operation {operation} {what}")
            }
            Event::Look { .. } => f.write_str("look"),
            Event::Heal => f.write_str("a quorum is healed"),
            Event::CheckHealing => f.write_str("has it healed?"),
        }
    }
}

struct Words<'a>(&'a PeerMessage);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(message) = self;
        match &message.body {
            Body::Raft(body) => write!(f, "t{} {body:?}", message.term),
            Body::Append(append) => {
                let count: u32 = append.blocks.iter().map(|block| block.count()).sum();
                write!(
                    f,
                    "t{} Append {{ after {}, {count} entries, commit {} }}",
                    message.term, append.previous, append.commit
                )
            }
            Body::Proposals(proposals) => write!(
                f,
                "t{} Proposals {{ {} to {} after {} }}",
                message.term,
                proposals.last + 1 - u64::from(proposals.count),
                proposals.last,
                proposals.previous
            ),
            Body::ProposalsRefused { through } => {
                write!(f, "t{} ProposalsRefused {{ through {through} }}", message.term)
            }
            Body::ProposalsUnwelcome => write!(f, "t{} ProposalsUnwelcome", message.term),
            Body::ProposalsOverloaded => write!(f, "t{} ProposalsOverloaded", message.term),
            Body::SnapshotRequest { point, offset } => {
                write!(f, "SnapshotRequest {{ of {point}, from {offset} }}")
            }
            Body::Digest { index, digest } => {
                write!(f, "Digest {{ {digest:016x} at {index} }}")
            }
            Body::SnapshotChunk(chunk) => write!(
                f,
                "SnapshotChunk {{ of {}, {} bytes of {} from {} }}",
                chunk.point,
                chunk.bytes.len(),
                chunk.file_bytes,
                chunk.offset
            ),
        }
    }
}

/// What a member is after an event.
pub(crate) struct State<'a, M: StateMachine> {
    pub(crate) replica: &'a Replica<MemDisk, Machine<M>>,
}

impl<M: StateMachine> fmt::Display for State<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let raft = self.replica.raft();
        let status = raft.status();
        write!(
            f,
            "{:?} t{} last {} durable {} commit {} applied {} state {:016x}",
            status.role,
            status.term,
            status.last,
            status.durable,
            status.commit,
            self.replica.applied().index,
            self.replica.machine().digest()
        )
    }
}

/// A number for a role.
pub(crate) const fn role_code(role: RoleName) -> u64 {
    match role {
        RoleName::Follower => 0,
        RoleName::PreCandidate => 1,
        RoleName::Candidate => 2,
        RoleName::Leader => 3,
    }
}
