//! Snapshots: what they keep, and what is refused.

use proptest::prelude::*;
use quorate_replica::StateMachine;
use quorate_replica::sessions::{Limits, SessionError, Sessions};

use crate::rig::{Ledger, Rig, SMALL, head, reply, since};

/// A table in which everything occurs.
fn rich() -> Rig {
    let mut rig = Rig::new(SMALL);
    for client in 1..=4 {
        rig.ask(since(client, 1, 0, rig.at), "first").expect("it is in order");
        rig.ask(since(client, 3, 1, rig.at), "third").expect("it is in order");
    }
    rig.ask(head(4, 4, 1), &"x".repeat(50)).expect("it is in order");
    rig
}

#[test]
fn a_restored_machine_goes_on_as_the_other() {
    let (mut old, mut new) = (rich(), Rig::new(SMALL));
    let bytes = old.bytes();
    new.machine.restore(&mut &bytes[..]).unwrap();
    new.at = old.at;
    assert_eq!(new.bytes(), bytes);
    assert_eq!(new.machine.digest(), old.machine.digest());
    assert_eq!(new.machine.reply_bytes(), old.machine.reply_bytes());
    let mut both = |head, body: &str| {
        let answer = old.ask(head, body);
        assert_eq!(new.ask(head, body), answer);
        answer
    };
    assert_eq!(both(head(4, 3, 1), "third"), Ok(reply(8, b"third")));
    let large = both(head(4, 4, 1), &"x".repeat(50));
    assert_eq!(large, Err(SessionError::ReplyTooLarge { sequence: 4 }));
    assert!(matches!(both(since(1, 3, 1, 1), "third"), Err(SessionError::Expired { .. })));
    both(head(9, 1, 0), "new").unwrap();
    assert!(matches!(both(since(2, 3, 1, 3), "third"), Err(SessionError::Expired { .. })));
    assert_eq!(new.bytes(), old.bytes());
}

/// What is written is the state at the moment of the snapshot, whatever is applied meanwhile.
#[test]
fn a_snapshot_stands_still() {
    let mut rig = rich();
    let (before, write) = (rig.bytes(), rig.machine.snapshot());
    rig.ask(head(4, 5, 4), "later").unwrap();
    rig.ask(head(7, 1, 0), "later").unwrap();
    let mut written = Vec::new();
    write(&mut written).unwrap();
    assert_eq!(written, before);
}

#[test]
fn the_digest_covers_table_and_machine() {
    let digest = |rig: &Rig| rig.machine.digest();
    let (mut one, mut other) = (rich(), rich());
    assert_eq!(digest(&one), digest(&other));
    // The ledger gets the same, the tables do not.
    one.ask(head(4, 5, 4), "same").unwrap();
    other.ask(head(5, 5, 4), "same").unwrap();
    assert_ne!(digest(&one), digest(&other));
    let (mut one, mut other) = (rich(), rich());
    one.apply("one".into()).unwrap();
    other.apply("other".into()).unwrap();
    assert_ne!(digest(&one), digest(&other));
}

#[test]
fn what_is_cut_off_changes_nothing() {
    let (whole, mut rig) = (rich().bytes(), Rig::new(SMALL));
    rig.ask(head(8, 1, 0), "mine").unwrap();
    let before = rig.bytes();
    // The ledger ends with any entry, so the cut is to be before its first.
    let table =
        whole.len() - rich().machine.machine().entries.iter().fold(0, |n, e| n + 4 + e.len());
    for length in 0..table {
        rig.machine.restore(&mut &whole[..length]).unwrap_err();
        assert_eq!(rig.bytes(), before, "after {length} bytes");
    }
    rig.machine.restore(&mut &whole[..whole.len() - 1]).unwrap_err();
    assert_eq!(rig.bytes(), before);
}

#[test]
fn other_limits_and_versions_are_refused_by_name() {
    let bytes = rich().bytes();
    let refusal = |limits: Limits, bytes: &[u8]| {
        let mut machine = Sessions::with_limits(Ledger::default(), limits);
        machine.restore(&mut &bytes[..]).unwrap_err().to_string()
    };
    assert!(refusal(Limits::STANDARD, &bytes).contains("other limits"));
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert!(refusal(SMALL, &newer).contains("format 2, known is 1"));
    assert!(refusal(SMALL, b"something else").contains("no sessions"));
}

proptest! {
    /// Damage is refused or makes some other table that works; it never makes the program stop.
    #[test]
    fn damage_does_no_harm(place: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = rich().bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let mut rig = Rig::new(SMALL);
        if rig.machine.restore(&mut &bytes[..]).is_ok() {
            rig.at = 1 << 40;
            assert_eq!(rig.bytes(), bytes);
            for client in 1..10 {
                rig.ask(head(client, 3, 1), "third").ok();
                rig.ask(head(client, 1 << 60, 1 << 59), "late").ok();
            }
        }
    }
}
