//! Changes of membership: §6 of the paper and chapter 4 of the thesis. Each test opens with its
//! rule in our words.

mod rig;

use std::time::Duration;

use quorate_raft::{
    Append, ChangeError, Input, Membership, Message, RoleName, Run, Standing, TransferError,
};

use rig::{Cluster, entry, index, node, target, term};

/// Members 1 to `voters`, `learners` after them, all started; member 1 leads and all is committed.
fn cluster(voters: u64, learners: u64) -> Cluster {
    let mut membership = Membership::of_voters((1..=voters).map(node));
    membership.learners = (voters + 1..=voters + learners).map(node).collect();
    let mut cluster = Cluster::with_membership(&membership, 1);
    cluster.start_all();
    cluster.elect(1);
    cluster.advance(Duration::from_millis(100));
    cluster
}

fn voters(ids: &[u64]) -> Membership {
    Membership::of_voters(ids.iter().copied().map(node))
}

fn membership(cluster: &Cluster, id: u64) -> &Membership {
    cluster.raft(node(id)).membership()
}

/// Everything under way from one member to another arrives, and what the receiver's disk does.
fn bring(cluster: &mut Cluster, from: u64, to: u64) {
    let fits = |packet: &&rig::Packet| {
        packet.envelope.from == node(from) && packet.envelope.to == node(to)
    };
    let packets: Vec<rig::Packet> = cluster.network.iter().filter(fits).cloned().collect();
    cluster.drop_packets(|envelope| envelope.from == node(from) && envelope.to == node(to));
    for packet in packets {
        cluster.deliver(packet);
    }
    cluster.persist(node(to), 9);
}

/// A server always uses the latest configuration in its log, committed or not.
#[test]
fn section_6_a_configuration_counts_from_its_append_on() {
    let mut cluster = cluster(3, 1);
    cluster.change(node(1), &target(&[1, 2, 4], &[3])).expect("a change");
    let joint = Membership { learners_next: [node(3)].into(), ..joint(&[1, 2, 4], &[1, 2, 3]) };
    assert_eq!(membership(&cluster, 1), &joint, "though not durable, let alone committed");
    bring(&mut cluster, 1, 2);
    assert_eq!(membership(&cluster, 2), &joint);
    assert_eq!(membership(&cluster, 3).outgoing, [].into(), "it has not heard of it yet");
    cluster.settle();
    let after = Membership { learners: [node(3)].into(), ..voters(&[1, 2, 4]) };
    for id in 1..=4 {
        assert_eq!(membership(&cluster, id), &after, "at {id}");
        assert!(!cluster.raft(node(id)).is_change_pending(), "at {id}");
    }
    assert_eq!(cluster.raft(node(3)).standing(), Standing::Learner);
    assert_eq!(cluster.raft(node(4)).standing(), Standing::Voter);
}

fn joint(incoming: &[u64], outgoing: &[u64]) -> Membership {
    Membership { outgoing: voters(outgoing).incoming, ..voters(incoming) }
}

/// Agreement, for elections and for entries, needs separate majorities of the old and the new
/// configuration.
#[test]
fn section_6_separate_majorities_elect() {
    for (reached, is_elected) in
        [([2, 3].as_slice(), false), (&[4, 5], false), (&[2, 4], true), (&[2, 3, 4], true)]
    {
        let mut cluster = cluster(3, 2);
        cluster.change(node(1), &target(&[1, 4, 5], &[])).expect("a change");
        // Everybody has the joint entry; nobody knows that it is committed.
        for id in 2..=5 {
            bring(&mut cluster, 1, id);
        }
        cluster.drop_packets(|_| true);
        for id in 1..=5 {
            cluster.crash(node(id), 9);
        }
        cluster.start(node(1));
        for &id in reached {
            cluster.start(node(id));
        }
        for _ in 0..8 {
            cluster.time_out(node(1));
            cluster.settle();
        }
        let leader = cluster.leader();
        assert_eq!(leader.is_some(), is_elected, "with {reached:?}");
    }
}

/// The old and the new configuration never decide each on its own: once the entry that ends the
/// change is placed, the joint one is committed.
#[test]
fn section_6_the_end_is_not_placed_before_the_joint_entry_is_committed() {
    let mut cluster = cluster(3, 2);
    let joint_at = cluster.change(node(1), &target(&[1, 4, 5], &[])).expect("a change").index;
    cluster.persist(node(1), 9);
    for id in [4, 5] {
        bring(&mut cluster, 1, id);
        bring(&mut cluster, id, 1);
    }
    assert_eq!(cluster.raft(node(1)).last().index, joint_at, "only one of the old half has it");
    bring(&mut cluster, 1, 2);
    bring(&mut cluster, 2, 1);
    assert_eq!(cluster.raft(node(1)).commit(), joint_at);
    assert_eq!(cluster.raft(node(1)).last().index, joint_at.next(), "the end, once");
    assert_eq!(membership(&cluster, 1), &voters(&[1, 4, 5]));
}

/// New servers join as non-voting members first, so that they do not hold up commits.
#[test]
fn section_6_nobody_votes_who_has_not_caught_up() {
    let mut cluster = cluster(3, 0);
    let spare = cluster.add_spares(1, 1)[0];
    cluster.start(spare);
    let wish = target(&[1, 2, 3, 4], &[]);
    let refused = cluster.change(node(1), &wish);
    assert_eq!(refused, Err(ChangeError::NotALearner { member: spare }));
    cluster.change(node(1), &target(&[1, 2, 3], &[4])).expect("a learner");
    // The others have the entry, the learner has nothing.
    for id in [2, 3] {
        bring(&mut cluster, 1, id);
        cluster.persist(node(1), 9);
        bring(&mut cluster, id, 1);
    }
    let refused = cluster.change(node(1), &wish);
    assert_eq!(refused, Err(ChangeError::Silent { member: spare }));
    cluster.settle();
    cluster.change(node(1), &wish).expect("it has caught up");
    cluster.settle();
    assert_eq!(membership(&cluster, 4), &voters(&[1, 2, 3, 4]));
    assert!(cluster.is_waiting(spare), "a voter waits for elections");
}

/// A learner whose acks are of an earlier term, or that was silent for an election timeout, has not
/// caught up as far as this leader knows.
#[test]
fn section_6_a_learner_proves_itself_to_each_leader() {
    let mut cluster = cluster(3, 1);
    cluster.partition(&[vec![node(1), node(2), node(3)], vec![node(4)]]);
    cluster.propose(node(1), 300);
    cluster.settle();
    cluster.elect(2);
    let wish = target(&[1, 2, 3, 4], &[]);
    let refused = cluster.change(node(2), &wish);
    assert_eq!(refused, Err(ChangeError::Silent { member: node(4) }));
    cluster.cut.clear();
    cluster.input(node(2), Input::Connected(node(4)));
    // A refusal, then the first hundred: few are missing, but nothing of this term is there.
    for _ in 0..2 {
        bring(&mut cluster, 2, 4);
        bring(&mut cluster, 4, 2);
    }
    let refused = cluster.change(node(2), &wish);
    assert_eq!(refused, Err(ChangeError::Lagging { member: node(4), missing: 201 }));
    cluster.settle();
    cluster.partition(&[vec![node(1), node(2), node(3)], vec![node(4)]]);
    cluster.advance(Duration::from_millis(1000));
    let refused = cluster.change(node(2), &wish);
    assert_eq!(refused, Err(ChangeError::Silent { member: node(4) }));
    cluster.propose(node(2), 5000);
    cluster.settle();
    cluster.cut.clear();
    cluster.input(node(2), Input::Connected(node(4)));
    bring(&mut cluster, 2, 4);
    bring(&mut cluster, 4, 2);
    let refused = cluster.change(node(2), &wish);
    assert!(matches!(refused, Err(ChangeError::Lagging { .. })), "{refused:?}");
    cluster.settle();
    cluster.change(node(2), &wish).expect("now it has");
}

/// A leader that is not in the new configuration manages a group that it is not part of: it does
/// not count itself, and leads no more once that configuration is committed.
#[test]
fn section_6_a_removed_leader_does_not_count_itself() {
    let mut cluster = cluster(3, 0);
    cluster.change(node(1), &target(&[2, 3], &[])).expect("a change");
    cluster.persist(node(1), 9);
    for id in [2, 3] {
        bring(&mut cluster, 1, id);
        bring(&mut cluster, id, 1);
    }
    let end = cluster.raft(node(1)).last().index;
    assert_eq!(membership(&cluster, 1), &voters(&[2, 3]));
    assert_eq!(cluster.raft(node(1)).standing(), Standing::Stranger);
    cluster.persist(node(1), 9);
    bring(&mut cluster, 1, 2);
    bring(&mut cluster, 2, 1);
    assert!(cluster.raft(node(1)).commit() < end, "it and one of the two voters have it");
    cluster.input(node(1), Input::Timeout);
    assert!(cluster.raft(node(1)).is_leader(), "until that configuration is committed");
    bring(&mut cluster, 1, 3);
    bring(&mut cluster, 3, 1);
    assert_eq!(cluster.raft(node(1)).commit(), end);
    assert!(cluster.raft(node(1)).transferring().is_some(), "another is to take over");
    cluster.advance(Duration::from_millis(200));
    assert_eq!(cluster.raft(node(1)).role(), RoleName::Follower);
    assert!(!cluster.is_waiting(node(1)), "it waits for no elections");
    let leader = cluster.leader().expect("one of the others leads");
    assert_ne!(leader, node(1));
    assert!(cluster.propose(leader, 1));
    cluster.settle();
    assert_eq!(cluster.raft(leader).commit(), cluster.raft(leader).last().index);
}

/// Nor does it count itself among those whom it hears: without a majority of the others it steps
/// down.
#[test]
fn section_6_a_removed_leader_does_not_hear_itself() {
    let mut cluster = cluster(3, 0);
    cluster.change(node(1), &target(&[2, 3], &[])).expect("a change");
    cluster.persist(node(1), 9);
    for id in [2, 3] {
        bring(&mut cluster, 1, id);
        bring(&mut cluster, id, 1);
    }
    assert_eq!(membership(&cluster, 1), &voters(&[2, 3]));
    cluster.crash(node(3), 9);
    cluster.advance(Duration::from_secs(3));
    assert!(cluster.raft(node(1)).is_change_pending(), "one of two voters has it");
    assert_eq!(cluster.leader(), None);
}

/// Removed servers do not disrupt: one that does not know of its removal asks in vain, and raises
/// nobody's term.
#[test]
fn section_6_a_removed_member_that_does_not_know_disrupts_nobody() {
    let mut cluster = cluster(3, 0);
    cluster.partition(&[vec![node(1), node(2)], vec![node(3)]]);
    cluster.change(node(1), &target(&[1, 2], &[])).expect("a change");
    cluster.advance(Duration::from_secs(3));
    assert!(!cluster.raft(node(1)).is_change_pending());
    cluster.cut.clear();
    cluster.advance(Duration::from_secs(10));
    assert_eq!(cluster.leader(), Some(node(1)));
    assert_eq!(cluster.raft(node(1)).term(), term(1));
    assert_eq!(cluster.raft(node(3)).role(), RoleName::PreCandidate, "it asks, and nobody agrees");
}

/// Servers answer requests for votes from servers that are not in their configuration: a voter that
/// missed a change is needed by those who know it as one.
#[test]
fn section_6_a_voter_that_is_behind_blocks_nobody() {
    let mut cluster = cluster(3, 3);
    cluster.change(node(1), &target(&[4, 5, 6], &[])).expect("a change");
    cluster.partition(&[(1..=5).map(node).collect(), vec![node(6)]]);
    cluster.advance(Duration::from_secs(2));
    assert_eq!(membership(&cluster, 4), &voters(&[4, 5, 6]));
    assert_eq!(cluster.raft(node(6)).standing(), Standing::Learner, "as far as it knows");
    for id in [1, 2, 3, 5] {
        cluster.crash(node(id), 0);
    }
    cluster.cut.clear();
    cluster.advance(Duration::from_secs(5));
    assert_eq!(cluster.leader(), Some(node(4)));
    assert_eq!(cluster.raft(node(6)).standing(), Standing::Voter);
}

/// Each server that may have to end a change knows of it from its log: at whatever point the leader
/// dies, the next one ends it or undoes it, and there is always one.
#[test]
fn section_6_a_change_ends_whenever_the_leader_dies() {
    for steps in 0..40 {
        let mut cluster = cluster(3, 1);
        cluster.change(node(1), &target(&[2, 3, 4], &[1])).expect("a change");
        for step in 0..steps {
            if step % 3 == 0 {
                for id in cluster.up() {
                    cluster.persist(id, 1);
                }
            } else if !cluster.network.is_empty() {
                cluster.deliver_at(0);
            }
        }
        cluster.crash(node(1), 0);
        cluster.advance(Duration::from_secs(20));
        let leader = cluster.leader().filter(|&id| id != node(1)).expect("two of three and more");
        let raft = cluster.raft(leader);
        assert!(!raft.is_change_pending(), "after {steps} steps");
        let after = Membership { learners: [node(1)].into(), ..voters(&[2, 3, 4]) };
        let before = Membership { learners: [node(4)].into(), ..voters(&[1, 2, 3]) };
        assert!([after, before].contains(raft.membership()), "after {steps} steps");
        cluster.start(node(1));
        cluster.advance(Duration::from_secs(5));
        let last = cluster.raft(cluster.leader().expect("a leader")).last();
        assert!((1..=4).all(|id| cluster.raft(node(id)).last() == last), "after {steps} steps");
    }
}

/// Whether a member waits for elections is for the membership that counts at each moment, also when
/// one is undone; but who loses its vote keeps waiting until that is committed (thesis 4.2.2).
#[test]
fn thesis_4_timers_follow_the_membership() {
    let mut cluster = cluster(3, 1);
    let append = |of: u64, members: Option<Membership>, commit: u64| {
        Message::Append(Append {
            previous: entry(1, 1),
            runs: vec![Run { term: term(of), count: 1 }],
            memberships: members.into_iter().map(|members| (index(2), members)).collect(),
            commit: index(commit),
        })
    };
    assert!(!cluster.is_waiting(node(4)));
    cluster.forge(1, 4, 1, append(1, Some(voters(&[1, 2, 3, 4])), 1));
    assert!(cluster.is_waiting(node(4)), "a learner was made a voter");
    cluster.forge(2, 4, 2, append(2, None, 1));
    assert!(!cluster.is_waiting(node(4)), "that was undone");
    let demoted = Membership { learners: [node(3), node(4)].into(), ..voters(&[1, 2]) };
    cluster.forge(1, 3, 1, append(1, Some(demoted), 1));
    assert!(cluster.is_waiting(node(3)), "perhaps nobody else can be elected");
    cluster.forge(1, 3, 1, append(1, None, 2));
    assert!(!cluster.is_waiting(node(3)), "it is committed");
}

/// Nobody takes over who has no vote by its own log, or is about to lose it.
#[test]
fn thesis_3_10_leadership_goes_to_those_who_keep_their_vote() {
    let mut cluster = cluster(3, 0);
    cluster.change(node(1), &target(&[1, 2], &[3])).expect("a change");
    let raft = cluster.member(node(1)).raft.as_mut().expect("it runs");
    let now = raft.deadline();
    assert_eq!(raft.transfer(now, Some(node(3))), Err(TransferError::NotAVoter));
    assert_eq!(raft.transfer(now, None), Ok(node(2)));
    cluster.settle();
    cluster.advance(Duration::from_secs(1));
    let leader = cluster.leader().expect("somebody leads");
    cluster.forge(leader.value(), 3, cluster.raft(leader).term().value(), Message::TimeoutNow);
    assert_eq!(cluster.raft(node(3)).role(), RoleName::Follower);
    assert_eq!(cluster.raft(node(3)).standing(), Standing::Learner);
}

/// A change that would leave too few voters that can be reached is refused, also right after an
/// election, when a leader has not heard of some for sure.
#[test]
fn a_change_that_would_stop_the_cluster_is_refused() {
    let mut cluster = cluster(3, 0);
    cluster.crash(node(3), 0);
    cluster.transfer(node(1), Some(node(2)));
    cluster.settle();
    let wish = target(&[2, 3], &[]);
    assert_eq!(cluster.change(node(2), &wish), Err(ChangeError::QuorumUnreachable));
    cluster.start(node(3));
    cluster.advance(Duration::from_millis(200));
    cluster.change(node(2), &wish).expect("it is there again");
}
