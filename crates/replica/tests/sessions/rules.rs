//! The rules, one by one.

use bytes::Bytes;
use quorate_raft::Index;
use quorate_replica::sessions::{Limits, SessionError, Sessions, plain};
use quorate_replica::{Command, StateMachine, Wants};

use crate::rig::{Ledger, Rig, SMALL, head, reply, since};

#[test]
fn a_repeated_request_gets_the_first_reply() {
    let mut rig = Rig::new(Limits::STANDARD);
    let first = rig.ask(head(1, 1, 0), "a");
    rig.ask(head(2, 1, 0), "b").unwrap();
    assert_eq!(rig.ask(head(1, 1, 0), "a"), first);
    assert_eq!(first, Ok(reply(1, b"a")));
    assert_eq!(rig.entries(), ["a", "b"]);
}

#[test]
fn requests_may_come_in_any_order() {
    let mut rig = Rig::new(Limits::STANDARD);
    let answers = [3, 1, 2].map(|sequence| rig.ask(head(1, sequence, 0), &sequence.to_string()));
    for (place, sequence) in [(1, 3), (2, 1), (3, 2)] {
        let body = sequence.to_string();
        assert_eq!(rig.ask(head(1, sequence, 0), &body), Ok(reply(place, body.as_bytes())));
        assert_eq!(answers[place - 1], Ok(reply(place, body.as_bytes())));
    }
    assert_eq!(rig.entries(), ["3", "1", "2"]);
}

#[test]
fn what_is_acknowledged_is_forgotten_and_refused() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.ask(head(1, 1, 0), "a").unwrap();
    rig.ask(head(1, 2, 0), "b").unwrap();
    assert_eq!(rig.machine.reply_bytes(), 2 * (3 + Limits::REPLY_OVERHEAD));
    rig.ask(head(1, 3, 1), "c").unwrap();
    assert_eq!(rig.machine.reply_bytes(), 2 * (3 + Limits::REPLY_OVERHEAD));
    // Also if it was never seen, and whatever a late attempt says about acknowledged ones.
    let error = SessionError::WentBack { sequence: 1, acknowledged: 1 };
    assert_eq!(rig.ask(head(1, 1, 0), "a"), Err(error));
    assert_eq!(rig.ask(head(1, 2, 0), "b"), Ok(reply(2, b"b")));
    rig.ask(head(1, 9, 8), "d").unwrap();
    let error = SessionError::WentBack { sequence: 5, acknowledged: 8 };
    assert_eq!(rig.ask(head(1, 5, 4), "e"), Err(error));
    assert_eq!(
        error.to_string(),
        "quorate: session: sequence 5 went back: all up to 8 are acknowledged; give each new \
         request a higher one"
    );
    assert_eq!(rig.entries(), ["a", "b", "c", "d"]);
}

#[test]
fn another_request_of_the_same_sequence_is_refused() {
    let mut rig = Rig::new(Limits::STANDARD);
    rig.ask(head(1, 1, 0), "a").unwrap();
    assert_eq!(rig.ask(head(1, 1, 0), "b"), Err(SessionError::Reused { sequence: 1 }));
    assert_eq!(rig.ask(head(1, 1, 0), "a"), Ok(reply(1, b"a")));
    assert_eq!(rig.entries(), ["a"]);
}

#[test]
fn a_reply_is_kept_where_nobody_waits() {
    let mut machine = Sessions::new(Ledger::default());
    let command = |index, wants| {
        let body = head(1, 1, 0).encode(b"a");
        Command { index: Index::new(index), body, wants }
    };
    let mut replies = Vec::new();
    machine.apply(&[command(1, Wants::Nothing)], &mut replies);
    assert!(replies.is_empty());
    machine.apply(&[command(2, Wants::Reply)], &mut replies);
    assert_eq!(replies, [Ok(reply(1, b"a"))]);
}

#[test]
fn those_without_a_session_go_on_as_they_came() {
    let mut machine = Sessions::new(Ledger::default());
    let bodies: [Bytes; 6] = [
        "a".into(),
        "".into(),
        plain(b"\xffb"[..].into()),
        head(1, 1, 0).encode(b"c"),
        "d".into(),
        b"\xff"[..].into(),
    ];
    let commands: Vec<_> = (1..)
        .zip(bodies)
        .map(|(index, body)| Command { index: Index::new(index), body, wants: Wants::Reply })
        .collect();
    let mut replies = Vec::new();
    machine.apply(&commands, &mut replies);
    let expected = [
        Ok(reply(1, b"a")),
        Ok(reply(2, b"")),
        Ok(reply(3, b"\xffb")),
        Ok(reply(4, b"c")),
        Ok(reply(5, b"d")),
        Err(SessionError::Malformed),
    ];
    assert_eq!(replies, expected);
    // Those in a row were one call.
    assert_eq!(machine.machine().calls, 4);
    assert_eq!(machine.sessions(), 1);
}

#[test]
fn too_many_replies_are_refused_until_some_are_acknowledged() {
    let mut rig = Rig::new(SMALL);
    for sequence in 1..=3 {
        rig.ask(head(1, sequence, 0), "a").unwrap();
    }
    assert_eq!(rig.ask(head(1, 4, 0), "b"), Err(SessionError::Full));
    assert_eq!(rig.ask(head(1, 3, 0), "a"), Ok(reply(3, b"a")));
    assert_eq!(rig.ask(head(1, 4, 1), "b"), Ok(reply(4, b"b")));
    assert_eq!(rig.entries(), ["a", "a", "a", "b"]);
}

#[test]
fn too_many_bytes_are_refused_until_some_are_acknowledged() {
    let limits = Limits { client_bytes_max: 2 * Limits::REPLY_OVERHEAD, ..SMALL };
    let mut rig = Rig::new(limits);
    rig.ask(head(1, 1, 0), "a").unwrap();
    rig.ask(head(1, 2, 0), "a").unwrap();
    assert_eq!(rig.ask(head(1, 3, 0), "a"), Err(SessionError::Full));
    rig.ask(head(1, 3, 1), "a").unwrap();
}

#[test]
fn a_reply_that_is_too_large_is_given_once() {
    let mut rig = Rig::new(SMALL);
    let body = "x".repeat(40);
    assert_eq!(rig.ask(head(1, 1, 0), &body), Ok(reply(1, body.as_bytes())));
    let error = SessionError::ReplyTooLarge { sequence: 1 };
    assert_eq!(rig.ask(head(1, 1, 0), &body), Err(error));
    assert_eq!(rig.entries().len(), 1);
    assert_eq!(rig.machine.reply_bytes(), Limits::REPLY_OVERHEAD);
}

#[test]
fn the_session_unused_for_longest_is_forgotten() {
    let mut rig = Rig::new(SMALL);
    for client in [1, 2, 3] {
        rig.ask(head(client, 1, 0), "a").unwrap();
    }
    // A repetition is a use, and so is a refusal.
    rig.ask(head(1, 1, 0), "a").unwrap();
    rig.ask(head(2, 1, 0), "b").unwrap_err();
    rig.ask(head(4, 1, 0), "d").unwrap();
    assert_eq!(rig.machine.sessions(), 3);
    for (client, place) in [(1, 1), (2, 2)] {
        assert_eq!(rig.ask(since(client, 1, 0, 0), "a"), Ok(reply(place, b"a")));
    }
    let at = Index::new(rig.at + 1);
    assert_eq!(rig.ask(since(3, 1, 0, 0), "a"), Err(SessionError::Expired { at }));
    assert_eq!(rig.entries(), ["a", "a", "a", "d"]);
}

#[test]
fn sessions_go_when_all_replies_have_too_many_bytes() {
    let mut rig = Rig::new(Limits { sessions_max: 100, ..SMALL });
    for client in 1..=2 {
        rig.ask(head(client, 1, 0), "a").unwrap();
        rig.ask(head(client, 2, 0), "a").unwrap();
    }
    assert_eq!(rig.machine.sessions(), 2);
    rig.ask(head(3, 1, 0), "a").unwrap();
    assert_eq!(rig.machine.sessions(), 3);
    rig.ask(head(3, 2, 0), "a").unwrap();
    assert_eq!(rig.machine.sessions(), 2);
    assert!(rig.machine.reply_bytes() <= SMALL.bytes_max);
    let expired = rig.ask(since(1, 2, 0, 1), "a").unwrap_err();
    assert_eq!(expired, SessionError::Expired { at: Index::new(rig.at) });
}

#[test]
fn a_client_that_comes_back_names_a_later_index() {
    let mut rig = Rig::new(Limits { sessions_max: 1, ..SMALL });
    rig.ask(since(1, 1, 0, 0), "a").unwrap();
    rig.ask(since(2, 1, 0, 1), "b").unwrap();
    let error = rig.ask(since(1, 2, 1, 0), "c").unwrap_err();
    let SessionError::Expired { at } = error else { panic!("{error}") };
    assert_eq!(rig.ask(since(1, 2, 1, at.value()), "c"), Ok(reply(3, b"c")));
    // And repeats it under that name.
    assert_eq!(rig.ask(since(1, 2, 1, at.value()), "c"), Ok(reply(3, b"c")));
}

/// The session was begun anew by another request: what is repeated belongs to the one before.
#[test]
fn a_session_begun_anew_does_not_vouch_for_the_one_before() {
    let mut rig = Rig::new(Limits { sessions_max: 1, ..SMALL });
    rig.ask(since(1, 1, 0, 0), "a").unwrap();
    rig.ask(since(2, 1, 0, 0), "b").unwrap();
    rig.ask(since(1, 2, 0, 2), "c").unwrap();
    let at = Index::new(rig.at + 1);
    assert_eq!(rig.ask(since(1, 1, 0, 0), "a"), Err(SessionError::Expired { at }));
    // One that was first sent after the other session had gone is safe.
    rig.ask(since(1, 3, 0, 2), "d").unwrap();
    assert_eq!(rig.entries(), ["a", "b", "c", "d"]);
}

/// The promise of a mere key ends with the memory of the table.
#[test]
fn without_since_a_forgotten_request_is_applied_again() {
    let mut rig = Rig::new(Limits { sessions_max: 1, ..SMALL });
    rig.ask(head(1, 1, 0), "a").unwrap();
    rig.ask(head(2, 1, 0), "b").unwrap();
    rig.ask(head(1, 1, 0), "a").unwrap();
    assert_eq!(rig.entries(), ["a", "b", "a"]);
}

/// What makes room is forgotten after the newcomer's own past was judged.
#[test]
fn a_newcomer_is_not_stopped_by_whom_it_displaces() {
    let mut rig = Rig::new(Limits { sessions_max: 1, ..SMALL });
    rig.ask(since(1, 1, 0, 0), "a").unwrap();
    rig.ask(since(2, 1, 0, 0), "b").unwrap();
    rig.ask(since(2, 2, 1, 0), "c").unwrap();
    assert_eq!(rig.ask(since(2, 2, 1, 0), "c"), Ok(reply(3, b"c")));
}
