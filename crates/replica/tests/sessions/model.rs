//! Random histories against a naive model, on two members that batch, wait and restart differently.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use quorate_raft::Index;
use quorate_replica::sessions::{Head, Limits, SessionError, Sessions, plain};
use quorate_replica::{Command, StateMachine, Wants};

use crate::rig::{Answer, Ledger, Reply, SMALL, head, reply};

/// What a client does next.
#[derive(Clone, Debug)]
enum Deed {
    /// A new request, some of the earlier ones acknowledged.
    New { client: u128, acknowledge: u64, since_age: Option<u64>, length: usize },
    /// A request that was sent before, word for word, however old.
    Again { which: prop::sample::Index },
    /// The sequence of an earlier request with another body.
    Other { which: prop::sample::Index },
    /// Without a session, or no command at all.
    Plain { first: u8 },
}

fn deed() -> impl Strategy<Value = Deed> {
    let new = (1..6_u128, 0..3_u64, prop::option::of(0..6_u64), 0..60_usize);
    prop_oneof![
        5 => new.prop_map(|(client, acknowledge, since_age, length)| {
            Deed::New { client, acknowledge, since_age, length }
        }),
        4 => any::<prop::sample::Index>().prop_map(|which| Deed::Again { which }),
        1 => any::<prop::sample::Index>().prop_map(|which| Deed::Other { which }),
        1 => (0xfd_u8..=0xff).prop_map(|first| Deed::Plain { first }),
    ]
}

/// What a naive table knows: everything by lists, with the rules written down once more.
#[derive(Default)]
struct Naive {
    sessions: BTreeMap<u128, Past>,
    evicted_through: u64,
    applied: usize,
}

struct Past {
    last_used: u64,
    acknowledged: u64,
    floor: u64,
    /// Body and reply, and what it counts.
    replies: BTreeMap<u64, (Bytes, Option<Reply>, u64)>,
}

impl Past {
    fn bytes(&self) -> u64 {
        self.replies.values().map(|(_, _, bytes)| bytes).sum()
    }
}

impl Naive {
    fn plain(&mut self, body: &[u8]) -> Answer {
        self.applied += 1;
        Ok(reply(self.applied, body))
    }

    fn evict(&mut self) {
        let oldest = self.sessions.iter().min_by_key(|(_, past)| past.last_used);
        let client = *oldest.expect("there is one").0;
        let gone = self.sessions.remove(&client).expect("there is one");
        self.evicted_through = self.evicted_through.max(gone.last_used);
    }

    fn session(&mut self, at: u64, head: Head, body: Bytes) -> Answer {
        let (client, sequence) = (head.client.value(), head.sequence);
        let since = head.since.map(Index::value);
        let expired = Err(SessionError::Expired { at: Index::new(at) });
        if !self.sessions.contains_key(&client) {
            let floor = self.evicted_through;
            if since.is_some_and(|since| since < floor) {
                return expired;
            }
            while self.sessions.len() >= 3 {
                self.evict();
            }
            let past = Past { last_used: at, acknowledged: 0, floor, replies: BTreeMap::new() };
            self.sessions.insert(client, past);
        }
        let past = self.sessions.get_mut(&client).expect("there is one");
        past.last_used = at;
        past.acknowledged = past.acknowledged.max(head.acknowledged);
        let acknowledged = past.acknowledged;
        past.replies.retain(|sequence, _| *sequence > acknowledged);
        if sequence <= acknowledged {
            return Err(SessionError::WentBack { sequence, acknowledged });
        }
        if let Some((first, reply, _)) = past.replies.get(&sequence) {
            return match (*first == body, reply) {
                (false, _) => Err(SessionError::Reused { sequence }),
                (true, None) => Err(SessionError::ReplyTooLarge { sequence }),
                (true, Some(reply)) => Ok(reply.clone()),
            };
        }
        if since.is_some_and(|since| since < past.floor) {
            return expired;
        }
        if past.replies.len() >= 3 || past.bytes() >= SMALL.client_bytes_max {
            return Err(SessionError::Full);
        }
        self.applied += 1;
        let answer = reply(self.applied, &body);
        let length = u64::try_from(answer.len()).expect("it fits");
        let kept = (length <= SMALL.reply_bytes_max).then(|| answer.clone());
        let bytes = Limits::REPLY_OVERHEAD + if kept.is_some() { length } else { 0 };
        past.replies.insert(sequence, (body, kept, bytes));
        while self.sessions.values().map(Past::bytes).sum::<u64>() > SMALL.bytes_max {
            self.evict();
        }
        Ok(answer)
    }
}

/// The clients: they number their requests and remember what they sent.
#[derive(Default)]
struct Clients {
    sent: Vec<(Head, Bytes)>,
    last: BTreeMap<u128, u64>,
}

impl Clients {
    /// The command that a deed leads to, and what it is to be told apart by, if it is a session's.
    fn command(&mut self, deed: &Deed, at: u64) -> (Bytes, Option<(Head, Bytes)>) {
        let of = |head: Head, body: Bytes| (head.encode(&body), Some((head, body)));
        match deed {
            Deed::New { client, acknowledge, since_age, length } => {
                let last = self.last.entry(*client).or_default();
                *last += 1;
                // What it knows of is older than this entry.
                let since = since_age.map(|age| Index::new((at - 1).saturating_sub(age)));
                let acknowledged = last.saturating_sub(1 + acknowledge);
                let head = Head { since, ..head(*client, *last, acknowledged) };
                // Never two of the same body.
                let body = Bytes::from(format!("{at}{}", "x".repeat(*length)));
                self.sent.push((head, body.clone()));
                of(head, body)
            }
            Deed::Again { which } if !self.sent.is_empty() => {
                let (head, body) = which.get(&self.sent);
                of(*head, body.clone())
            }
            Deed::Other { which } if !self.sent.is_empty() => {
                let (head, _) = which.get(&self.sent);
                of(*head, Bytes::from_static(b"other"))
            }
            Deed::Plain { first } => (Bytes::copy_from_slice(&[*first, b'p']), None),
            Deed::Again { .. } | Deed::Other { .. } => (plain(Bytes::from_static(b"p")), None),
        }
    }
}

/// A member that has its own batches, waiters and restarts.
struct Member {
    machine: Sessions<Ledger>,
    batch: Vec<Command>,
}

impl Member {
    fn new() -> Self {
        Self { machine: Sessions::with_limits(Ledger::default(), SMALL), batch: Vec::new() }
    }

    fn flush(&mut self) -> Vec<Answer> {
        let mut replies = Vec::new();
        self.machine.apply(&self.batch, &mut replies);
        self.batch.clear();
        replies
    }

    /// Goes on from its own snapshot.
    fn restart(&mut self) {
        self.flush();
        let mut bytes = Vec::new();
        self.machine.snapshot()(&mut bytes).expect("a vector takes all");
        let digest = self.machine.digest();
        *self = Self::new();
        self.machine.restore(&mut &bytes[..]).expect("it is whole");
        assert_eq!(self.machine.digest(), digest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn members_agree_with_the_model_and_each_other(
        deeds in prop::collection::vec((deed(), 0..10_u8, 0..10_u8), 1..120),
    ) {
        let (mut naive, mut clients) = (Naive::default(), Clients::default());
        let (mut one, mut other) = (Member::new(), Member::new());
        let mut ever = BTreeMap::<(u128, u64), (Head, BTreeSet<Bytes>)>::new();
        for ((deed, chance, wish), at) in deeds.iter().zip(1..) {
            let (body, session) = clients.command(deed, at);
            let expected = match &session {
                Some((head, inner)) => naive.session(at, *head, inner.clone()),
                None if body[0] == 0xff => Err(SessionError::Malformed),
                None if body[0] == 0xfe => naive.plain(&body[1..]),
                None => naive.plain(&body),
            };
            let command = |wants| Command { index: Index::new(at), body: body.clone(), wants };
            one.batch.push(command(Wants::Reply));
            prop_assert_eq!(one.flush(), [expected.clone()]);
            // The other member has nobody waiting, and larger batches.
            other.batch.push(command(Wants::Nothing));
            if *wish < 3 {
                prop_assert_eq!(other.flush(), []);
            }
            match chance {
                0 => one.restart(),
                1 => other.restart(),
                2.. => {}
            }
            // The promise itself, without a table: with `since`, one reply for ever.
            if let (Some((head, inner)), Ok(reply)) = (session, expected)
                && head.since.is_some()
            {
                let key = (head.client.value(), head.sequence);
                let (_, replies) = ever.entry(key).or_insert_with(|| (head, BTreeSet::new()));
                replies.insert(reply);
                prop_assert_eq!(replies.len(), 1, "{:?} of {:?} was applied twice", inner, key);
            }
        }
        other.flush();
        let snapshot = |member: &Member| {
            let mut bytes = Vec::new();
            member.machine.snapshot()(&mut bytes).expect("a vector takes all");
            bytes
        };
        prop_assert_eq!(snapshot(&one), snapshot(&other));
        prop_assert_eq!(one.machine.digest(), other.machine.digest());
        prop_assert_eq!(one.machine.machine().entries.len(), naive.applied);
    }
}
