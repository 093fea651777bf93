//! What a member does with settings and disks that cannot be: a typed error, never a panic. And
//! with messages that cannot be: an event, never a panic.

mod rig;

use std::time::Duration;

use quorate_raft::{
    Append, Config, ConfigError, EntryId, Envelope, Event, HardState, Index, Input, Instant,
    LeaseConfig, Membership, Message, NodeId, Raft, ReadTicket, RestoreError, Restored, Run, Term,
    Verdict,
};

use rig::{config, entry, index, node, term};

fn sound_config() -> Config {
    config(node(1), 7)
}

fn lease(duration: u64, clock_drift_max: u32) -> Option<LeaseConfig> {
    Some(LeaseConfig { duration: Duration::from_millis(duration), clock_drift_max })
}

fn voters(ids: &[u64]) -> Membership {
    Membership::of_voters(ids.iter().copied().map(node))
}

fn restored(current: u64, runs: &[(u64, u64)]) -> Restored {
    Restored {
        hard_state: HardState { term: term(current), vote: None },
        base: EntryId::ZERO,
        commit: Index::ZERO,
        runs: runs.iter().map(|&(of, count)| Run { term: term(of), count }).collect(),
        memberships: vec![(Index::ZERO, voters(&[1, 2, 3]))],
    }
}

fn start(restored: Restored) -> Result<Raft, RestoreError> {
    Raft::new(sound_config(), restored, Instant::default())
}

#[test]
fn impossible_settings_are_refused_by_name() {
    type Change = fn(&mut Config);
    let second = Duration::from_secs(1);
    let cases: [(Change, ConfigError); 9] = [
        (|config| config.heartbeat_interval = Duration::ZERO, ConfigError::HeartbeatZero),
        (
            |config| config.heartbeat_interval = config.election_timeout_min,
            ConfigError::HeartbeatTooLong {
                heartbeat_interval: second,
                election_timeout_min: second,
            },
        ),
        (
            |config| config.election_timeout_max = Duration::from_millis(999),
            ConfigError::ElectionTimeoutsSwapped {
                election_timeout_min: second,
                election_timeout_max: Duration::from_millis(999),
            },
        ),
        (
            |config| config.election_timeout_max = Duration::from_secs(4000),
            ConfigError::ElectionTimeoutTooLong { election_timeout_max: 4000 * second },
        ),
        (
            |config| config.inflight_bytes_max = 0,
            ConfigError::LimitZero { setting: "inflight_bytes_max" },
        ),
        (
            |config| config.append_entries_max = 0,
            ConfigError::LimitZero { setting: "append_entries_max" },
        ),
        (
            |config| config.lease = lease(100, 100),
            ConfigError::LeaseTooShort {
                duration: sound_config().heartbeat_interval,
                heartbeat_interval: sound_config().heartbeat_interval,
            },
        ),
        (
            // 800 ms and a quarter of it are the whole timeout: the promise must stay below.
            |config| config.lease = lease(800, 250),
            ConfigError::LeaseTooLong { support: second, election_timeout_min: second },
        ),
        (
            |config| config.lease = lease(200, 1001),
            ConfigError::ClockDriftTooLarge { clock_drift_max: 1001 },
        ),
    ];
    assert_eq!(sound_config().check(), Ok(()));
    for (change, error) in cases {
        let mut config = sound_config();
        change(&mut config);
        assert_eq!(config.check(), Err(error));
        let raft = Raft::new(config, restored(0, &[]), Instant::default());
        assert_eq!(raft.map(|_| ()), Err(RestoreError::Config(error)));
    }
    let text = ConfigError::LimitZero { setting: "append_bytes_max" }.to_string();
    assert_eq!(
        text,
        "append_bytes_max is zero, so nothing could be replicated; set it to 1 or more"
    );
}

#[test]
fn impossible_disks_are_refused_by_cause() {
    let at = Index::new;
    let cases = [
        (restored(3, &[(1, 2), (2, 0)]), RestoreError::RunEmpty { at: at(3) }),
        (restored(3, &[(2, 2), (1, 1)]), RestoreError::TermsFall { at: at(3), term: term(1) }),
        (restored(3, &[(0, 1)]), RestoreError::TermsFall { at: at(1), term: Term::ZERO }),
        (restored(3, &[(1, u64::MAX)]), RestoreError::NumberTooLarge),
        (restored(u64::MAX, &[]), RestoreError::NumberTooLarge),
        (
            restored(1, &[(1, 1), (2, 1)]),
            RestoreError::TermMissing { term: term(1), last: term(2) },
        ),
    ];
    for (restored, error) in cases {
        assert_eq!(start(restored).map(|_| ()), Err(error));
    }
    let with = |memberships| Restored { memberships, ..restored(1, &[(1, 2)]) };
    let two_roles = Membership { learners: [node(2)].into(), ..voters(&[1, 2]) };
    let cases = [
        (vec![], RestoreError::MembershipMissing),
        (vec![(at(1), voters(&[1]))], RestoreError::MembershipMissing),
        (vec![(at(0), voters(&[]))], RestoreError::MembershipInvalid { at: at(0) }),
        (vec![(at(0), two_roles)], RestoreError::MembershipInvalid { at: at(0) }),
        (
            vec![(at(0), voters(&[1])), (at(3), voters(&[1, 2]))],
            RestoreError::MembershipMisplaced { at: at(3) },
        ),
        (
            vec![(at(0), voters(&[1])), (at(2), voters(&[1, 2])), (at(1), voters(&[1]))],
            RestoreError::MembershipMisplaced { at: at(1) },
        ),
    ];
    for (memberships, error) in cases {
        assert_eq!(start(with(memberships)).map(|_| ()), Err(error));
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn the_membership_of_a_removed_entry_is_rolled_back() {
    let mut restored = restored(2, &[(1, 2), (2, 1)]);
    restored.memberships.push((index(3), voters(&[1, 2, 3, 4])));
    let mut raft = start(restored).expect("a sound disk");
    assert_eq!(raft.membership(), &voters(&[1, 2, 3, 4]));
    assert_eq!(raft.peers().count(), 3);
    let append = Append {
        previous: entry(2, 1),
        runs: vec![Run { term: term(3), count: 2 }],
        memberships: vec![(index(4), voters(&[1, 2, 3, 5]))],
        commit: Index::ZERO,
    };
    // First without, then with the new membership: both take effect on append.
    let shorter = Append {
        runs: vec![Run { term: term(3), count: 1 }],
        memberships: Vec::new(),
        ..append.clone()
    };
    for (append, expected) in [(shorter, voters(&[1, 2, 3])), (append, voters(&[1, 2, 3, 5]))] {
        let message = Message::Append(append);
        let envelope = Envelope { from: node(2), to: node(1), term: term(3), message };
        raft.step(Instant::default(), Input::Receive(envelope));
        assert_eq!(raft.membership(), &expected);
    }
}

/// Whether a member has a timer is for the membership that the append brings, not for the one
/// before: a learner made a voter would else wait for ever, if its leader dies right then.
#[test]
fn a_learner_promoted_by_an_append_has_a_timer_at_once() {
    let mut learner = voters(&[2, 3]);
    learner.learners = [node(1)].into();
    let mut raft =
        start(Restored { memberships: vec![(Index::ZERO, learner)], ..restored(1, &[]) })
            .expect("a sound disk");
    assert_eq!(raft.deadline(), Instant::NEVER);
    let append = Append {
        previous: EntryId::ZERO,
        runs: vec![Run { term: term(1), count: 1 }],
        memberships: vec![(index(1), voters(&[1, 2, 3]))],
        commit: Index::ZERO,
    };
    let message = Message::Append(append);
    let envelope = Envelope { from: node(2), to: node(1), term: term(1), message };
    raft.step(Instant::default(), Input::Receive(envelope));
    let timeouts = sound_config().election_timeout_min..=sound_config().election_timeout_max;
    assert!(timeouts.contains(&raft.deadline().since_origin()), "{:?}", raft.deadline());
}

/// During a change of membership, elections need both halves; who is elected then ends the change.
#[test]
fn a_joint_membership_elects_with_both_halves() {
    let joint = Membership {
        incoming: [node(1), node(2), node(3)].into(),
        outgoing: [node(1), node(4), node(5)].into(),
        ..Membership::default()
    };
    let mut cluster = rig::Cluster::with_membership(&joint, 1);
    // All of the incoming half and a minority of the outgoing one.
    for id in [1, 2, 3] {
        cluster.start(node(id));
    }
    for _ in 0..5 {
        cluster.time_out(node(1));
        cluster.settle();
        assert_eq!(cluster.leader(), None);
    }
    cluster.start(node(4));
    cluster.elect(1);
    assert_eq!(cluster.raft(node(1)).membership(), &voters(&[1, 2, 3]));
    assert_eq!(cluster.raft(node(1)).membership_index(), index(2), "after the term's first entry");
    assert!(!cluster.raft(node(1)).is_change_pending());
}

/// Whatever comes, the only panics are proofs of lost safety; a lone member has committed nothing
/// and follows nobody for long, so there are none here.
#[test]
fn random_messages_never_stop_a_member() {
    for seed in 0..200 {
        let mut state: u64 = seed;
        let mut roll = |sides: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            (state >> 33) % sides
        };
        let mut raft = start(restored(3, &[(1, 2), (3, 3)])).expect("a sound disk");
        for step in 1..200_u64 {
            let mut number = || [0, 1, 2, 3, 5, 8, 1 << 62, u64::MAX][usize_of(roll(8))];
            let (a, b, c, d) = (number(), number(), number(), number());
            let message = message(roll(12), a, b, c, d);
            // Each term has its own leader, as far as anyone can tell.
            let of = 3 + roll(3);
            let envelope =
                Envelope { from: node(2 + of % 2), to: node(1), term: term(of), message };
            let now = Instant::new(Duration::from_millis(step));
            raft.step(now, Input::Receive(envelope));
            quorate_raft::invariants::check_state(&raft);
            while raft.has_ready() {
                let ready = raft.ready();
                if let Some(write) = ready.write
                    && roll(2) == 0
                {
                    raft.step(now, Input::Persisted(write.receipt));
                }
                let _: Vec<Event> = ready.events;
            }
        }
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("small")
}

fn message(kind: u64, a: u64, b: u64, c: u64, d: u64) -> Message {
    let granted = if d < 3 { Verdict::Granted } else { Verdict::Refused };
    let position = EntryId::new(term(b), index(a));
    match kind {
        // Entries that a leader would not contradict itself with: it only ever asks for the check.
        0 | 1 => Message::Append(Append {
            previous: position,
            runs: if c == 1 || c == 0 { vec![Run { term: term(c), count: d }] } else { Vec::new() },
            memberships: vec![(index(c), voters(&[1, 2]))],
            commit: Index::ZERO,
        }),
        2 => Message::AppendAccepted { matched: index(a) },
        3 => Message::AppendRejected { refused: index(c), hint: position },
        4 => Message::Heartbeat { commit: Index::ZERO, round: c, sent_at: Instant::default() },
        5 => Message::HeartbeatReply {
            round: a,
            sent_at: Instant::new(Duration::from_millis(b)),
            support: Duration::from_secs(d),
        },
        6 => Message::PreVote { last: position },
        7 => Message::PreVoteReply { asked: term(a), granted },
        8 => Message::Vote { last: position, by_transfer: false },
        9 => Message::VoteReply { granted },
        11 => Message::Vote { last: position, by_transfer: true },
        12 => Message::TimeoutNow,
        10 => Message::ReadIndex { ticket: ReadTicket(a) },
        _ => Message::ReadIndexReply { ticket: ReadTicket(a), index: index(b) },
    }
}

/// A member knows its peers: all others, each once.
#[test]
fn peers_are_the_others() {
    let raft = start(restored(0, &[])).expect("a sound disk");
    assert_eq!(raft.peers().collect::<Vec<NodeId>>(), [node(2), node(3)]);
}
