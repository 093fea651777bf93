//! The rules of the Raft paper (Ongaro and Ousterhout, extended version), by section and figure.
//! Each test opens with its rule in our words.

mod rig;

use std::time::Duration;

use quorate_raft::{
    Append, EntryId, HardState, Index, Input, Installed, Instant, Membership, Message, NodeId,
    RoleName, Run, Verdict,
};

use rig::{Cluster, entry, index, node, term};

fn hard_state(of: u64) -> HardState {
    HardState { term: term(of), vote: None }
}

/// Three members with the given logs, none started.
fn with_logs(current: u64, logs: &[&[u64]]) -> Cluster {
    let count = u64::try_from(logs.len()).expect("few logs");
    let membership = Membership::of_voters((1..=count).map(node));
    let mut cluster = Cluster::with_membership(&membership, 1);
    for (id, log) in (1..).zip(logs) {
        cluster.prepare(id, hard_state(current), log);
    }
    cluster.start_all();
    cluster
}

fn heartbeat(commit: u64) -> Message {
    Message::Heartbeat { commit: index(commit), round: 0, sent_at: Instant::default() }
}

fn commit(cluster: &Cluster, id: u64) -> u64 {
    cluster.raft(node(id)).commit().value()
}

/// The messages of one kind that wait in the network.
fn under_way(cluster: &Cluster, fits: impl Fn(&Message) -> bool) -> usize {
    cluster.network.iter().filter(|packet| fits(&packet.envelope.message)).count()
}

/// Every role learns a higher term from any message of the ordinary kind, and follows.
#[test]
fn section_5_1_a_higher_term_is_adopted_by_every_role() {
    for role in [RoleName::Follower, RoleName::PreCandidate, RoleName::Candidate, RoleName::Leader]
    {
        let mut cluster = Cluster::new(3, 1);
        match role {
            RoleName::Follower => {}
            RoleName::PreCandidate => cluster.time_out(node(1)),
            RoleName::Candidate => {
                cluster.time_out(node(1));
                let granted = Verdict::Granted;
                cluster.forge(2, 1, 0, Message::PreVoteReply { asked: term(1), granted });
            }
            RoleName::Leader => cluster.elect(1),
        }
        assert_eq!(cluster.raft(node(1)).role(), role);
        cluster.forge(2, 1, 9, heartbeat(0));
        assert_eq!(cluster.raft(node(1)).role(), RoleName::Follower);
        assert_eq!(cluster.raft(node(1)).term(), term(9));
        assert_eq!(cluster.raft(node(1)).leader(), Some(node(2)));
    }
}

/// A request of an earlier term is refused, and its sender told the current term.
#[test]
fn section_5_1_a_stale_term_is_refused_and_told() {
    let mut cluster = with_logs(5, &[&[1], &[1], &[1]]);
    cluster.forge(2, 1, 3, heartbeat(1));
    assert_eq!(cluster.raft(node(1)).leader(), None);
    cluster.forge(2, 1, 3, Message::Vote { last: entry(9, 3), by_transfer: false });
    assert_eq!(under_way(&cluster, |message| *message == Message::HigherTerm), 2);
}

/// Without a sign of life for an election timeout, a follower begins an election; winning it needs
/// the votes of a majority.
#[test]
fn section_5_2_a_silent_leader_is_replaced() {
    let mut cluster = Cluster::new(5, 3);
    cluster.elect(1);
    cluster.crash(node(1), 0);
    cluster.advance(Duration::from_secs(8));
    let leader = cluster.leader().expect("four of five elect");
    assert_ne!(leader, node(1));
    cluster.crash(leader, 0);
    let third = cluster.up()[0];
    cluster.crash(third, 0);
    cluster.advance(Duration::from_secs(8));
    assert_eq!(cluster.leader(), None, "two of five elect nobody");
}

/// Each server votes for at most one candidate in a term, first come, first served.
#[test]
fn section_5_2_one_vote_in_a_term() {
    let mut cluster = Cluster::new(3, 1);
    for candidate in [1, 3, 1] {
        cluster.forge(candidate, 2, 1, Message::Vote { last: EntryId::ZERO, by_transfer: false });
        cluster.persist(node(2), 9);
    }
    let answers: Vec<(NodeId, Message)> = cluster
        .network
        .iter()
        .map(|packet| (packet.envelope.to, packet.envelope.message.clone()))
        .collect();
    let granted = Message::VoteReply { granted: Verdict::Granted };
    let refused = Message::VoteReply { granted: Verdict::Refused };
    let expected = [(node(1), granted.clone()), (node(3), refused), (node(1), granted)];
    assert_eq!(answers, expected);
}

/// A candidate that hears a leader of its term, or a later one, follows it; one of an earlier term
/// it ignores.
#[test]
fn section_5_2_a_candidate_yields_to_a_legitimate_leader_only() {
    let mut cluster = with_logs(4, &[&[1], &[1], &[1]]);
    cluster.time_out(node(1));
    let granted = Verdict::Granted;
    cluster.forge(2, 1, 4, Message::PreVoteReply { asked: term(5), granted });
    cluster.forge(3, 1, 4, heartbeat(0));
    assert_eq!(cluster.raft(node(1)).role(), RoleName::Candidate);
    cluster.forge(3, 1, 5, heartbeat(0));
    assert_eq!(cluster.raft(node(1)).leader(), Some(node(3)));
}

/// Election timeouts are random, so that split votes are rare and are resolved fast.
#[test]
fn section_5_2_timeouts_are_random_within_their_range() {
    let mut delays = Vec::new();
    for seed in 0..50 {
        let mut cluster = Cluster::new(3, seed);
        cluster.elect(1);
        let deadline = cluster.raft(node(2)).deadline();
        delays.push(deadline.since(cluster.now));
    }
    let range = Duration::from_millis(1000)..=Duration::from_millis(2000);
    assert!(delays.iter().all(|delay| range.contains(delay)));
    delays.sort_unstable();
    delays.dedup();
    assert!(45 < delays.len(), "hardly two are equal");
}

/// An entry is committed when its leader has it on a majority of servers; the leader tells the
/// highest committed index in later messages.
#[test]
fn section_5_3_a_majority_commits_and_followers_learn_it() {
    let mut cluster = Cluster::new(5, 1);
    cluster.elect(1);
    cluster.propose(node(1), 1);
    cluster.persist(node(1), 9);
    for (follower, expected) in [(2, 1), (3, 2)] {
        let message = Message::AppendAccepted { matched: index(2) };
        let place = cluster.network.iter().position(|p| p.envelope.to == node(follower));
        cluster.deliver_at(place.expect("an append"));
        cluster.persist(node(follower), 9);
        let place = cluster.network.iter().position(|packet| packet.envelope.message == message);
        cluster.deliver_at(place.expect("an ack"));
        assert_eq!(commit(&cluster, 1), expected);
    }
    cluster.settle();
    assert!((1..=5).all(|id| commit(&cluster, id) == 2));
}

/// The consistency check: a follower without the entry before the new ones refuses them, and so
/// does one that has another entry there. For an empty append too.
#[test]
fn section_5_3_the_consistency_check() {
    for previous in [entry(5, 3), entry(3, 3)] {
        let mut cluster = with_logs(3, &[&[1], &[1, 1, 2], &[1]]);
        let append =
            Append { previous, runs: Vec::new(), memberships: Vec::new(), commit: index(3) };
        cluster.forge(1, 2, 3, Message::Append(append));
        assert_eq!(commit(&cluster, 2), 0);
        let rejected = |message: &Message| matches!(message, Message::AppendRejected { .. });
        assert_eq!(under_way(&cluster, rejected), 1);
        assert_eq!(cluster.terms(2), [1, 1, 2]);
    }
}

/// A conflicting entry is deleted with all that follow; entries that are there already stay.
#[test]
fn section_5_3_conflicts_are_overwritten_and_matches_kept() {
    let mut cluster = with_logs(3, &[&[1], &[1, 1, 2, 2], &[1]]);
    let append = |previous, runs: &[(u64, u64)]| {
        let runs = runs.iter().map(|&(of, count)| Run { term: term(of), count });
        Message::Append(Append {
            previous,
            runs: runs.collect(),
            memberships: Vec::new(),
            commit: Index::ZERO,
        })
    };
    cluster.forge(1, 2, 4, append(entry(1, 1), &[(1, 1)]));
    assert_eq!(cluster.terms(2), [1, 1, 2, 2], "what agrees stays, and what follows it");
    cluster.forge(1, 2, 4, append(entry(1, 1), &[(1, 1), (3, 1)]));
    assert_eq!(cluster.terms(2), [1, 1, 3]);
}

/// A voter refuses a candidate whose log is less up to date: by the last term, then by length.
#[test]
fn section_5_4_1_the_up_to_date_check() {
    let cases = [
        (entry(3, 2), Verdict::Granted),
        (entry(4, 2), Verdict::Granted),
        (entry(2, 2), Verdict::Refused),
        (entry(9, 1), Verdict::Refused),
        (entry(1, 3), Verdict::Granted),
    ];
    for (last, granted) in cases {
        let mut cluster = with_logs(3, &[&[1], &[1, 1, 2], &[1]]);
        cluster.forge(1, 2, 4, Message::Vote { last, by_transfer: false });
        cluster.persist(node(2), 9);
        let answer = Message::VoteReply { granted };
        assert_eq!(under_way(&cluster, |message| *message == answer), 1, "{last}");
    }
}

/// Entries of earlier terms are never committed by counting replicas.
#[test]
fn section_5_4_2_only_entries_of_the_own_term_are_counted() {
    let mut cluster = with_logs(2, &[&[1, 2], &[1, 2], &[1]]);
    cluster.time_out(node(1));
    // Whatever reaches the others, they acknowledge no entry of term 3.
    for _ in 0..100 {
        for id in cluster.up() {
            cluster.persist(id, 9);
        }
        cluster.drop_packets(|envelope| matches!(envelope.message, Message::Append(_)));
        if cluster.network.is_empty() {
            break;
        }
        cluster.deliver_at(0);
    }
    assert!(cluster.raft(node(1)).is_leader());
    cluster.forge(2, 1, 3, Message::AppendRejected { refused: index(2), hint: entry(1, 1) });
    cluster.drop_packets(|envelope| matches!(envelope.message, Message::Append(_)));
    cluster.forge(2, 1, 3, Message::AppendAccepted { matched: index(2) });
    assert_eq!(commit(&cluster, 1), 0, "a majority has entry 2, of term 2");
    cluster.forge(2, 1, 3, Message::AppendAccepted { matched: index(3) });
    assert_eq!(commit(&cluster, 1), 3, "entry 3 is of term 3, and commits what is before it");
}

/// Figure 7: the leader of term 8 brings every one of the six followers to its own log.
#[test]
fn figure_7_all_six_followers_converge() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [(&str, &[u64]); 6] = [
        ("a", &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
        ("b", &[1, 1, 1, 4]),
        ("c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        ("d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        ("e", &[1, 1, 1, 4, 4, 4, 4]),
        ("f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
    ];
    for (name, follower) in followers {
        // A third member that votes for the leader whatever the follower says.
        let mut cluster = with_logs(7, &[leader, follower, leader]);
        cluster.elect(1);
        let mut expected = leader.to_vec();
        expected.push(8);
        assert_eq!(cluster.terms(2), expected, "follower ({name})");
        assert_eq!(commit(&cluster, 2), 11, "follower ({name})");
    }
}

/// Figure 7, all in one cluster: with a, b, e and f and itself, the leader has its majority.
#[test]
fn figure_7_one_cluster_of_seven() {
    let logs: [&[u64]; 7] = [
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    let mut cluster = with_logs(7, &logs);
    cluster.elect(1);
    for id in 1..=7 {
        assert_eq!(cluster.terms(id), [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8], "member {id}");
    }
}

/// Figure 8: an entry of term 2 that is on a majority may still be overwritten (d), unless an entry
/// of the leader's own term is on a majority too (e).
#[test]
fn figure_8_d_an_old_entry_on_a_majority_can_be_overwritten() {
    // (c): member 1 has brought its entry of term 2 to a majority, and has written one of term 4.
    let mut cluster = with_logs(4, &[&[1, 2, 4], &[1, 2], &[1, 2], &[1], &[1, 3]]);
    cluster.crash(node(1), 0);
    cluster.elect(5);
    for id in 2..=5 {
        assert_eq!(cluster.terms(id), [1, 3, 5], "member {id}");
    }
    cluster.start(node(1));
    cluster.input(node(5), Input::Connected(node(1)));
    cluster.settle();
    assert_eq!(cluster.terms(1), [1, 3, 5]);
}

/// Figure 8 (e): with an entry of term 4 on a majority, member 5 cannot win any more.
#[test]
fn figure_8_e_a_committed_entry_cannot_be_overwritten() {
    let mut cluster = with_logs(4, &[&[1, 2, 4], &[1, 2, 4], &[1, 2, 4], &[1], &[1, 3]]);
    cluster.crash(node(1), 0);
    for _ in 0..5 {
        cluster.time_out(node(5));
        cluster.settle();
        assert_ne!(cluster.leader(), Some(node(5)));
    }
    cluster.elect(2);
    assert_eq!(cluster.terms(5), [1, 2, 4, 5]);
}

/// A follower or candidate that crashes gets its messages again: they are idempotent.
#[test]
fn section_5_5_repeated_messages_do_no_harm() {
    let mut cluster = Cluster::new(3, 1);
    cluster.elect(1);
    cluster.propose(node(1), 3);
    let twice: Vec<rig::Packet> = cluster.network.clone();
    cluster.network.extend(twice);
    cluster.settle();
    assert_eq!(cluster.terms(2), [1, 1, 1, 1]);
    assert!((1..=3).all(|id| commit(&cluster, id) == 4));
}

/// A leader begins its term with an empty entry, and so learns what is committed.
#[test]
fn section_8_a_new_leader_commits_an_empty_entry() {
    let mut cluster = with_logs(2, &[&[1, 2], &[1, 2], &[1, 2]]);
    cluster.elect(3);
    assert_eq!(cluster.terms(3), [1, 2, 3]);
    assert_eq!(commit(&cluster, 3), 3);
}

/// Nobody acknowledges what it was not sent: to believe it could commit what nobody has.
#[test]
fn section_5_3_what_was_not_sent_is_not_acknowledged() {
    let mut cluster = Cluster::tuned(3, 1, |config| {
        config.append_entries_max = 1;
        config.inflight_appends_max = 1;
    });
    cluster.elect(1);
    cluster.settle();
    let before = commit(&cluster, 1);
    cluster.propose(node(1), 5);
    cluster.persist(node(1), 9);
    for id in [2, 3] {
        cluster.forge(id, 1, 1, Message::AppendAccepted { matched: index(before + 5) });
    }
    assert_eq!(commit(&cluster, 1), before);
}

/// A snapshot of what is committed here already changes nothing, whether the log still has its last
/// entry or has forgotten it: to take it in would lose what came after.
#[test]
fn section_7_an_older_snapshot_changes_nothing() {
    let mut cluster = Cluster::new(3, 1);
    cluster.elect(1);
    cluster.propose(node(1), 5);
    cluster.settle();
    cluster.advance(Duration::from_millis(100));
    cluster.compact(node(2), 4);
    let now = cluster.now;
    let member = cluster.member(node(2));
    let membership = member.snapshot_membership();
    let raft = member.raft.as_mut().expect("it runs");
    let before = raft.status();
    for older in [2, 4, 5, 6] {
        let point = entry(older, 1);
        assert!(!raft.would_install(point), "{point}");
        assert_eq!(raft.install(now, point, membership.clone()), Installed::Nothing, "{point}");
        assert_eq!(raft.status(), before, "{point}");
    }
}

/// If the log has the snapshot's last entry, what follows it stays: it may have been acknowledged.
#[test]
fn section_7_what_follows_the_snapshot_stays() {
    let mut cluster = Cluster::new(3, 1);
    cluster.elect(1);
    let before = commit(&cluster, 2);
    let append = Message::Append(Append {
        previous: entry(1, 1),
        runs: vec![Run { term: term(1), count: 4 }],
        memberships: vec![],
        commit: index(before),
    });
    cluster.forge(1, 2, 1, append);
    cluster.persist(node(2), 9);
    let now = cluster.now;
    let member = cluster.member(node(2));
    let membership = member.snapshot_membership();
    let raft = member.raft.as_mut().expect("it runs");
    assert_eq!(raft.install(now, entry(3, 1), membership), Installed::Kept);
    assert_eq!((raft.last(), raft.commit()), (entry(5, 1), index(3)));
    assert_eq!(raft.status().durable, index(5));
}

/// No entry counts as durable before its term does, also if it comes with a snapshot: a crash would
/// leave a log of a later term than the member knows of.
#[test]
fn section_7_a_snapshot_waits_for_its_term() {
    let mut cluster = Cluster::new(3, 1);
    cluster.elect(1);
    cluster.forge(2, 3, 9, heartbeat(0));
    let now = cluster.now;
    let member = cluster.member(node(3));
    let membership = member.snapshot_membership();
    let raft = member.raft.as_mut().expect("it runs");
    let before = raft.status();
    assert_eq!(before.term, term(9));
    assert_eq!(raft.install(now, entry(7, 9), membership.clone()), Installed::Nothing);
    assert_eq!(raft.status(), before);
    cluster.persist(node(3), 9);
    let raft = cluster.member(node(3)).raft.as_mut().expect("it runs");
    assert_eq!(raft.install(now, entry(7, 9), membership), Installed::Reset);
}

/// A pre-vote is an answer to one question: one that was asked in an earlier term says nothing now.
#[test]
fn thesis_9_6_an_answer_to_an_earlier_question_counts_for_nothing() {
    let mut cluster = with_logs(5, &[&[1], &[1], &[1]]);
    cluster.time_out(node(1));
    let reply = |asked| Message::PreVoteReply { asked: term(asked), granted: Verdict::Granted };
    cluster.forge(2, 1, 4, reply(5));
    assert_eq!(cluster.raft(node(1)).role(), RoleName::PreCandidate);
    cluster.forge(2, 1, 5, reply(6));
    assert_eq!(cluster.raft(node(1)).role(), RoleName::Candidate);
}

/// A leader must hear a majority before it serves a read: one that was replaced, unknowingly, must
/// not serve stale data.
#[test]
fn section_8_a_deposed_leader_serves_no_read() {
    let mut cluster = Cluster::new(3, 1);
    cluster.elect(1);
    cluster.partition(&[vec![node(1)], vec![node(2), node(3)]]);
    cluster.elect(2);
    cluster.propose(node(2), 1);
    cluster.settle();
    let served = cluster.checker.served;
    assert!(cluster.raft(node(1)).is_leader(), "it does not know");
    cluster.read(node(1));
    cluster.settle();
    assert_eq!(cluster.checker.served, served);
    cluster.cut.clear();
    cluster.input(node(2), Input::Connected(node(1)));
    cluster.settle();
    assert_eq!(cluster.checker.served, served + 1, "the new leader confirms it, up to date");
}

/// Members without a vote are no part of a majority: that they answer proves nothing.
#[test]
fn section_8_learners_confirm_no_read() {
    let mut membership = Membership::of_voters([1, 2, 3].map(node));
    membership.learners = [4, 5].map(node).into();
    let mut cluster = Cluster::with_membership(&membership, 1);
    cluster.start_all();
    cluster.elect(1);
    cluster.settle();
    cluster.partition(&[[1, 4, 5].map(node).to_vec(), [2, 3].map(node).to_vec()]);
    cluster.elect(2);
    let served = cluster.checker.served;
    assert!(cluster.raft(node(1)).is_leader(), "it does not know");
    cluster.read(node(1));
    for learner in [4, 5] {
        // It is told of the round, and answers.
        cluster.input(node(1), Input::Connected(node(learner)));
    }
    cluster.settle();
    assert_eq!(cluster.checker.served, served);
}

/// Disruptive servers (end of §6): a server that heard a leader within the shortest election
/// timeout neither votes nor adopts the term of who asks.
#[test]
fn section_6_removed_servers_do_not_disrupt() {
    let mut cluster = Cluster::new(3, 1);
    cluster.elect(1);
    for voter in [1, 2] {
        cluster.forge(3, voter, 50, Message::Vote { last: entry(9, 50), by_transfer: false });
        assert_eq!(cluster.raft(node(voter)).term(), term(1));
    }
    assert_eq!(cluster.leader(), Some(node(1)));
}
