//! Messages, writes and events as people read them.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate_raft::{
    Append, CampaignCause, Envelope, Event, IgnoreReason, Membership, Message, Misbehaviour,
    NodeId, ProbeCause, Refusal, Run, Source, StepDownCause, Verdict, Write,
};

fn runs(runs: &[Run]) -> String {
    let runs: Vec<String> = runs.iter().map(|run| format!("{}x@{}", run.count, run.term)).collect();
    runs.join(" ")
}

fn append(append: &Append) -> String {
    let entries = if append.runs.is_empty() {
        "no entries".to_owned()
    } else {
        format!("entries {}", runs(&append.runs))
    };
    format!("append after {}, {entries}, commit {}", append.previous, append.commit)
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "granted",
        Verdict::Refused => "refused",
    }
}

fn message(message: &Message) -> String {
    match message {
        Message::Append(content) => append(content),
        Message::AppendAccepted { matched } => format!("accepted up to {matched}"),
        Message::AppendRejected { refused, hint } => format!("rejected {refused}, hint {hint}"),
        Message::InstallSnapshot { last } => format!("get a snapshot that reaches {last}"),
        // When it was sent is a number for the leader alone.
        Message::Heartbeat { commit, round, sent_at: _ } => {
            format!("heartbeat, commit {commit}, round {round}")
        }
        Message::HeartbeatReply { round, sent_at: _, support: Duration::ZERO } => {
            format!("heartbeat reply, round {round}")
        }
        Message::HeartbeatReply { round, sent_at: _, support } => {
            format!("heartbeat reply, round {round}, support for {support:?}")
        }
        Message::PreVote { last } => format!("pre-vote? last entry {last}"),
        Message::PreVoteReply { asked, granted } => {
            format!("pre-vote for term {asked} {}", verdict(*granted))
        }
        Message::Vote { last, by_transfer: false } => format!("vote? last entry {last}"),
        Message::Vote { last, by_transfer: true } => {
            format!("vote, for the leader hands over? last entry {last}")
        }
        Message::VoteReply { granted } => format!("vote {}", verdict(*granted)),
        // Tickets begin at random numbers.
        Message::ReadIndex { .. } => "read index?".to_owned(),
        Message::ReadIndexReply { index, .. } => format!("read index {index}"),
        Message::TimeoutNow => "take over".to_owned(),
        Message::HigherTerm => "higher term".to_owned(),
    }
}

pub fn envelope(envelope: &Envelope) -> String {
    let Envelope { from, to, term, message: content } = envelope;
    format!("{from} > to {to}, term {term}: {}", message(content))
}

pub fn received(envelope: &Envelope) -> String {
    format!("from {}, term {}: {}", envelope.from, envelope.term, message(&envelope.message))
}

pub fn write(write: &Write) -> String {
    let mut parts = Vec::new();
    if let Some(hard_state) = write.hard_state {
        let vote = hard_state.vote.map_or("nobody".to_owned(), |id| id.to_string());
        parts.push(format!("term {}, vote for {vote}", hard_state.term));
    }
    if let Some(point) = write.reset {
        parts.push(format!("begin after {point}"));
    }
    if let Some(entries) = &write.entries {
        let source = match &entries.source {
            Source::Proposal => "proposed".to_owned(),
            Source::TermStart => "term start".to_owned(),
            Source::Membership(content) => membership(content),
            Source::Received => "received".to_owned(),
        };
        parts.push(format!("entries from {}: {} ({source})", entries.first, runs(&entries.runs)));
    }
    format!("write {}", parts.join("; "))
}

/// `voters 1 2 3, learners 4`; of a change, `voters 1 2 4 and 1 2 3, learners 5, to become 3`.
pub fn membership(membership: &Membership) -> String {
    let ids =
        |ids: &BTreeSet<NodeId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let Membership { incoming, outgoing, learners, learners_next } = membership;
    let mut text = format!("voters {}", ids(incoming));
    for (what, set) in
        [(" and", outgoing), (", learners", learners), (", to become", learners_next)]
    {
        if !set.is_empty() {
            text += &format!("{what} {}", ids(set));
        }
    }
    text
}

fn leader(leader: Option<NodeId>) -> String {
    leader.map_or("nobody yet".to_owned(), |leader| leader.to_string())
}

pub fn event(event: &Event) -> String {
    match event {
        Event::BecameLeader { term } => format!("leads term {term}"),
        Event::BecameFollower { term, leader: l } => {
            format!("follows {} in term {term}", leader(*l))
        }
        Event::BecamePreCandidate { term, cause } => {
            let cause = match cause {
                CampaignCause::NoLeader => "no leader is known".to_owned(),
                CampaignCause::LeaderSilent { leader } => format!("leader {leader} is silent"),
                CampaignCause::LeaderDisconnected { leader } => {
                    format!("the connection to leader {leader} broke")
                }
            };
            format!("asks for pre-votes in term {term}: {cause}")
        }
        Event::BecameCandidate { term } => format!("stands for election in term {term}"),
        Event::TermRaised { from, term } => format!("learns of term {term} from {from}"),
        Event::SteppedDown { term, cause } => {
            let cause = match cause {
                StepDownCause::HigherTerm { from } => format!("{from} has a higher term"),
                StepDownCause::QuorumLost => "no quorum was heard".to_owned(),
                StepDownCause::NotAVoter => "it has no vote any more".to_owned(),
            };
            format!("leads term {term} no longer: {cause}")
        }
        Event::TransferBegan { to } => format!("hands its leadership over to {to}"),
        Event::TransferFailed { to } => format!("goes on leading: {to} did not take over"),
        Event::VoteGranted { candidate, term } => {
            format!("gives its vote of term {term} to {candidate}")
        }
        Event::VoteRefused { candidate, reason } => {
            format!("refuses {candidate} a vote: {}", refusal(*reason))
        }
        Event::PreVoteGranted { candidate } => format!("would vote for {candidate}"),
        Event::PreVoteRefused { candidate, reason } => {
            format!("would not vote for {candidate}: {}", refusal(*reason))
        }
        Event::Truncated { first, last } => format!("removes its entries {first} to {last}"),
        Event::MembershipChanged { index } => format!("counts by the membership of {index}"),
        Event::MembershipCommitted { index } => format!("has the membership of {index} for good"),
        Event::Removed { index } => format!("is removed by {index}"),
        Event::AppendRefused { previous, hint } => {
            format!("has no entry {previous}; may agree up to {hint}")
        }
        Event::SnapshotWanted { from, last } => {
            format!("needs a snapshot that reaches {last}, as {from} says")
        }
        Event::SnapshotInstalled { point, last } => {
            format!("goes on after {point} instead of its own {last}")
        }
        Event::PeerProbed { peer, next, cause } => {
            let cause = match cause {
                ProbeCause::Rejected { refused } => format!("it refused {refused}"),
                ProbeCause::NoProgress => "it makes no progress".to_owned(),
                ProbeCause::Connection => "its connection is another".to_owned(),
            };
            format!("probes {peer} from {next}: {cause}")
        }
        Event::PeerReplicates { peer, matched } => format!("streams to {peer} from {matched} on"),
        Event::MessageIgnored { from, reason } => {
            let reason = match reason {
                IgnoreReason::LowerTerm { term } => format!("its term {term} is over"),
                IgnoreReason::Stale => "it answers nothing that is open".to_owned(),
                IgnoreReason::NotAMember => "it is not a member".to_owned(),
                IgnoreReason::Role => "not in this role".to_owned(),
            };
            format!("ignores {from}: {reason}")
        }
        Event::PeerMisbehaved { peer, what } => {
            format!("{peer} misbehaves: {}", misbehaviour(*what))
        }
    }
}

fn refusal(refusal: Refusal) -> String {
    match refusal {
        Refusal::LeaderAlive { leader } => format!("leader {leader} is alive"),
        Refusal::Promised { leader } => {
            let leader = leader.map_or("somebody, perhaps".to_owned(), |id| id.to_string());
            format!("its support is promised to {leader}")
        }
        Refusal::VotedFor { candidate } => format!("the vote went to {candidate}"),
        Refusal::LogBehind { theirs, ours } => format!("its log ends at {theirs}, ours at {ours}"),
        Refusal::TermBehind { ours } => format!("term {ours} is reached already"),
    }
}

fn misbehaviour(what: Misbehaviour) -> &'static str {
    match what {
        Misbehaviour::Misrouted => "a message for someone else",
        Misbehaviour::NumberTooLarge => "an impossible number",
        Misbehaviour::TermZero => "a term in which nobody leads or stands",
        Misbehaviour::RunEmpty => "a run without entries",
        Misbehaviour::TermsFall => "entry terms fall",
        Misbehaviour::TermAboveSender => "an entry of a term above its own",
        Misbehaviour::PositionImpossible => "an impossible position",
        Misbehaviour::MembershipInvalid => "an impossible membership",
        Misbehaviour::AckBeyondSent => "it acknowledges what was never sent",
        Misbehaviour::HintImpossible => "an impossible hint",
        Misbehaviour::CommitBeyondLog => "a commit index beyond what was acknowledged",
        Misbehaviour::RoundUnknown => "a round that never began",
        Misbehaviour::HeartbeatUnknown => "an answer to a heartbeat that was never sent",
        Misbehaviour::GrantImpossible => "a grant for a term that is over",
    }
}
