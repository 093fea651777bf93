//! What is looked at after every step of a member, and what now and then.

use quorate_log::{Choices, Log};
use quorate_raft::{
    CampaignCause, EntryId, Event as CoreEvent, IgnoreReason, Index, ProbeCause, Refusal, Run,
    StepDownCause, invariants,
};

use crate::marks::Mark;
use crate::member::{Fitness, setup};
use crate::violation::{Checker, demand, violated};
use crate::workload::Workload;
use crate::world::{Event, LOOK_INTERVAL, World};

/// Entries by which a member is far behind.
const FAR_BEHIND: u64 = 300;

impl<W: Workload> World<W> {
    /// The checkers that look at every event, and the marks that its reasons tell.
    pub(crate) fn check(&mut self, member: usize, events: &[CoreEvent]) {
        for event in events {
            self.on_core_event(member, event);
        }
        let Some(replica) = &self.members[member].replica else { return };
        let (raft, applied) = (replica.raft(), replica.applied().index);
        let changes = self.watch.on_event(member, raft, applied);
        invariants::check_state(raft);
        if changes.committed {
            self.watch.check_durable(&mut self.marks);
        }
        if changes.of_earlier_term {
            self.marks.hit(Mark::EarlierTermCommitted);
        }
        if !self.watch.holds(member, applied) {
            self.marks.hit(Mark::AppliedUnsynced);
        }
        let behind = self.watch.commit().since(applied);
        if behind > FAR_BEHIND {
            self.members[member].is_behind = true;
        } else if behind == 0 && std::mem::take(&mut self.members[member].is_behind) {
            self.marks.hit(Mark::CaughtUp);
        }
    }

    fn on_core_event(&mut self, member: usize, event: &CoreEvent) {
        if self.trace.is_spoken() {
            self.trace.say(format_args!(" {event:?}"));
        }
        if let CoreEvent::Truncated { first, .. } = event {
            self.on_truncated(member, *first);
        }
        if let CoreEvent::SnapshotInstalled { point, .. } = event {
            self.on_reset(member, *point);
        }
        // Nobody lies here: what no correct member sends was sent by code that is not. A member
        // that forgot what it acknowledged is another matter.
        demand!(
            !matches!(event, CoreEvent::PeerMisbehaved { .. })
                || self.schedule.settings.wiped_return,
            Assertion,
            "member {} was sent what no correct member sends: {event:?}",
            member + 1
        );
        if let CoreEvent::SteppedDown { .. } = event {
            self.on_deposed(member);
        }
        if let CoreEvent::BecameCandidate { .. } = event
            && self.watch.seen[member].is_candidate
        {
            self.marks.hit(Mark::CandidateAgain);
        }
        if let CoreEvent::BecameLeader { term } = event {
            if self.members[member].called == *term {
                self.marks.hit(Mark::TransferTaken);
            }
            self.on_elected(member);
            if self.members.iter().filter(|member| member.is_leader()).count() > 1 {
                self.marks.hit(Mark::TwoLeaders);
            }
        }
        if let Some(mark) = mark_of(event) {
            self.marks.hit(mark);
        }
    }

    fn on_truncated(&mut self, member: usize, first: Index) {
        let Some(replica) = &self.members[member].replica else { return };
        let kept = first.previous();
        if first <= self.watch.seen[member].durable.last.index {
            self.marks.hit(Mark::TruncatedDurable);
        }
        // By now something else stands at `first`; what was kept has its term still.
        let kept = EntryId::new(replica.raft().term_at(kept).unwrap_or_default(), kept);
        self.watch.on_truncated(member, kept);
        if let Some(job) = &mut self.members[member].job
            && kept.index < job.covers.last.index
        {
            job.covers.last = kept;
        }
    }

    fn on_deposed(&mut self, member: usize) {
        let here = &self.members[member];
        if !here.readers.is_empty() {
            self.marks.hit(Mark::DeposedWithReads);
        }
        if self.watch.commit()
            < here.replica.as_ref().map_or(Index::ZERO, |r| r.raft().last().index)
        {
            self.marks.hit(Mark::DeposedWithProposals);
        }
    }

    /// The costly checkers look at a member, now and then.
    pub(crate) fn look(&mut self, member: usize) {
        self.check_disk(member);
        self.queue.push(self.now + LOOK_INTERVAL, Event::Look { member });
    }

    /// What lies on a member's disk is what it has in memory.
    pub(crate) fn check_disk(&self, member: usize) {
        let here = &self.members[member];
        let Some(replica) = &here.replica else { return };
        let log = replica.log();
        if here.fitness != Fitness::Sound || here.job.is_some() || log.appended() != log.durable() {
            return;
        }
        let setup = setup(&self.schedule.settings, 0, member, 0);
        // The worst crash: all that was not synced is gone.
        let disk = here.disk.crash(&mut Choices::first());
        let (found, recovered) = match Log::open(disk.clone(), setup.identity, setup.log) {
            Ok(opened) => opened,
            Err(error) => violated(
                Checker::DiskEqualsMemory,
                format!("the log of member {} does not open: {error}", member + 1),
            ),
        };
        let raft = replica.raft();
        self.check_snapshots(member, &disk, found.base().index);
        // What the log is about to forget may still be there.
        let starts = starts_of(recovered.base, &recovered.runs, raft.base());
        demand!(
            recovered.hard_state == log.hard_state()
                && found.last() == raft.last()
                && found.base().index <= raft.base().index
                && starts == raft.term_starts(),
            DiskEqualsMemory,
            "member {} has {:?} and a log up to {} on its disk, and {:?} and {} in memory",
            member + 1,
            recovered.hard_state,
            found.last(),
            log.hard_state(),
            raft.last()
        );
    }
}

/// Where the entries of each term begin in a log that begins after `base`, of those after `from`.
fn starts_of(base: EntryId, runs: &[Run], from: EntryId) -> Vec<EntryId> {
    let mut next = base.index.next();
    let mut starts: Vec<EntryId> = Vec::new();
    for run in runs {
        let (first, end) = (next.max(from.index.next()), next.plus(run.count));
        if first < end && starts.last().is_none_or(|start| start.term < run.term) {
            starts.push(EntryId::new(run.term, first));
        }
        next = end;
    }
    starts
}

/// The mark that an event of the core stands for.
fn mark_of(event: &CoreEvent) -> Option<Mark> {
    Some(match event {
        CoreEvent::BecameLeader { .. } => Mark::Elected,
        CoreEvent::BecamePreCandidate { cause, .. } => match cause {
            CampaignCause::NoLeader => Mark::AskedWithoutLeader,
            CampaignCause::LeaderSilent { .. } => Mark::AskedSilent,
            CampaignCause::LeaderDisconnected { .. } => Mark::AskedDisconnected,
        },
        CoreEvent::BecameCandidate { .. } => Mark::Candidate,
        CoreEvent::TermRaised { .. } => Mark::TermRaised,
        CoreEvent::SteppedDown { cause, .. } => match cause {
            StepDownCause::HigherTerm { .. } => Mark::DeposedByTerm,
            StepDownCause::QuorumLost => Mark::DeposedByQuorum,
            StepDownCause::NotAVoter => return None,
        },
        CoreEvent::TransferBegan { .. } => Mark::TransferBegan,
        CoreEvent::TransferFailed { .. } => Mark::TransferFailed,
        CoreEvent::VoteGranted { .. } => Mark::VoteGranted,
        CoreEvent::VoteRefused { reason, .. } => match reason {
            Refusal::LeaderAlive { .. } => Mark::VoteLeaderAlive,
            Refusal::VotedFor { .. } => Mark::VoteTaken,
            Refusal::LogBehind { .. } => Mark::VoteLogBehind,
            Refusal::TermBehind { .. } | Refusal::Promised { .. } => return None,
        },
        CoreEvent::PreVoteGranted { .. } => Mark::PreVoteGranted,
        CoreEvent::PreVoteRefused { reason, .. } => match reason {
            Refusal::LeaderAlive { .. } => Mark::PreVoteLeaderAlive,
            Refusal::LogBehind { .. } => Mark::PreVoteLogBehind,
            Refusal::TermBehind { .. } => Mark::PreVoteTermBehind,
            Refusal::VotedFor { .. } | Refusal::Promised { .. } => return None,
        },
        CoreEvent::Truncated { .. } => Mark::Truncated,
        CoreEvent::AppendRefused { .. } => Mark::AppendRefused,
        CoreEvent::PeerProbed { cause, .. } => match cause {
            ProbeCause::Rejected { .. } => Mark::ProbedRejected,
            ProbeCause::NoProgress => Mark::ProbedNoProgress,
            ProbeCause::Connection => Mark::ProbedConnection,
        },
        CoreEvent::PeerReplicates { .. } => Mark::Replicates,
        CoreEvent::MessageIgnored { reason, .. } => match reason {
            IgnoreReason::LowerTerm { .. } => Mark::IgnoredLowerTerm,
            IgnoreReason::Stale => Mark::IgnoredStale,
            IgnoreReason::Role => Mark::IgnoredRole,
            IgnoreReason::NotAMember => return None,
        },
        CoreEvent::SnapshotWanted { .. } => Mark::SnapshotWanted,
        // No schedule changes the membership yet.
        CoreEvent::MembershipChanged { .. }
        | CoreEvent::MembershipCommitted { .. }
        | CoreEvent::Removed { .. }
        | CoreEvent::SnapshotInstalled { .. }
        | CoreEvent::BecameFollower { .. }
        | CoreEvent::PeerMisbehaved { .. } => return None,
    })
}
