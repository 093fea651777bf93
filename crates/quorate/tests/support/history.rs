//! What clients did to a cluster and what they were told, and whether that can be true.
//!
//! Every write has a revision of its own and every read says at which revision it was made, so the
//! order in which the store claims to have done everything is known. It is to be held against the
//! clients' clocks: what began after something else had ended stands behind it. Writes whose
//! outcome is unknown may have happened at any time, even long after, or never.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Instant;

use tokio::sync::watch;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was made at this revision.
    Acked(i64),
    /// It was certainly not made.
    Failed,
    /// It may have been made.
    Unknown,
}

/// What somebody did.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// A write.
    Write { key: String, value: u64, outcome: Outcome },
    /// A linearizable read at a revision: the value, and the revision it was written at.
    Read { key: String, seen: Option<(u64, i64)>, revision: i64 },
    /// A linearizable read that was not answered.
    Unanswered,
}

/// A deed in its time.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) member: usize,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) deed: Deed,
}

impl Event {
    /// Where the store says that it stands.
    fn revision(&self) -> Option<i64> {
        match self.deed {
            Deed::Write { outcome: Outcome::Acked(revision), .. } => Some(revision),
            Deed::Read { revision, .. } => Some(revision),
            Deed::Write { .. } | Deed::Unanswered => None,
        }
    }
}

/// All that was done, and a count of acknowledged writes to wait for.
#[derive(Debug)]
pub(crate) struct History {
    events: Mutex<Vec<Event>>,
    acked: watch::Sender<u64>,
}

/// How much was done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) acked: usize,
    pub(crate) failed: usize,
    pub(crate) unknown: usize,
    pub(crate) reads: usize,
    pub(crate) unanswered: usize,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { events: Mutex::new(Vec::new()), acked: watch::channel(0).0 }
    }

    /// Notes what began at `begun` and has ended just now.
    pub(crate) fn note(&self, member: usize, begun: Instant, deed: Deed) {
        self.note_at(member, begun, Instant::now(), deed);
    }

    /// Notes what ended at `ended`.
    pub(crate) fn note_at(&self, member: usize, begun: Instant, ended: Instant, deed: Deed) {
        let acked = matches!(deed, Deed::Write { outcome: Outcome::Acked(_), .. });
        self.events.lock().unwrap().push(Event { member, begun, ended, deed });
        if acked {
            self.acked.send_modify(|count| *count += 1);
        }
    }

    /// Waits until so many more writes are acknowledged.
    pub(crate) async fn more_acks(&self, count: u64) {
        let mut acked = self.acked.subscribe();
        let goal = *acked.borrow() + count;
        acked.wait_for(|acked| *acked >= goal).await.unwrap();
    }

    /// The keys, of those wanted, whose writes were certainly not made.
    pub(crate) fn failed_writes(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let failed = |deed: &Deed| match deed {
            Deed::Write { key, outcome: Outcome::Failed, .. } if is_wanted(key) => {
                Some(key.clone())
            }
            Deed::Write { .. } | Deed::Read { .. } | Deed::Unanswered => None,
        };
        self.events.lock().unwrap().iter().filter_map(|event| failed(&event.deed)).collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for event in &*self.events.lock().unwrap() {
            match event.deed {
                Deed::Write { outcome: Outcome::Acked(_), .. } => summary.acked += 1,
                Deed::Write { outcome: Outcome::Failed, .. } => summary.failed += 1,
                Deed::Write { outcome: Outcome::Unknown, .. } => summary.unknown += 1,
                Deed::Read { .. } => summary.reads += 1,
                Deed::Unanswered => summary.unanswered += 1,
            }
        }
        summary
    }

    /// The keys that anybody tried to write.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let key = |event: &Event| match &event.deed {
            Deed::Write { key, .. } => Some(key.clone()),
            Deed::Read { .. } | Deed::Unanswered => None,
        };
        self.events.lock().unwrap().iter().filter_map(key).collect()
    }

    /// How many writes to a key are acknowledged, and how many are unknown.
    pub(crate) fn writes_of(&self, key: &str) -> (u64, u64) {
        let (mut acked, mut unknown) = (0, 0);
        for event in &*self.events.lock().unwrap() {
            match &event.deed {
                Deed::Write { key: k, outcome: Outcome::Acked(_), .. } if k == key => acked += 1,
                Deed::Write { key: k, outcome: Outcome::Unknown, .. } if k == key => unknown += 1,
                Deed::Write { .. } | Deed::Read { .. } | Deed::Unanswered => {}
            }
        }
        (acked, unknown)
    }

    /// Panics with the first contradiction between what the clients were told.
    pub(crate) fn check(&self) {
        let events = self.events.lock().unwrap();
        let writes = Writes::of(&events);
        check_order(&events);
        for event in &*events {
            writes.check_read(event);
        }
    }
}

/// The writes, by what identifies them.
#[derive(Default)]
struct Writes {
    /// The acknowledged ones.
    acked: HashMap<i64, (String, u64)>,
    /// The revisions of the acknowledged ones of each key.
    revisions: HashMap<String, BTreeSet<i64>>,
    /// Those that may have happened.
    unknown: BTreeSet<(String, u64)>,
}

impl Writes {
    fn of(events: &[Event]) -> Self {
        let mut writes = Self::default();
        for event in events {
            let Deed::Write { key, value, outcome } = &event.deed else { continue };
            match outcome {
                Outcome::Acked(revision) => {
                    let before = writes.acked.insert(*revision, (key.clone(), *value));
                    assert!(
                        before.is_none(),
                        "two writes at revision {revision}: {before:?}, {event:?}"
                    );
                    writes.revisions.entry(key.clone()).or_default().insert(*revision);
                }
                Outcome::Unknown => {
                    writes.unknown.insert((key.clone(), *value));
                }
                Outcome::Failed => {}
            }
        }
        writes
    }

    /// A read sees what was written, and the latest of it.
    fn check_read(&self, event: &Event) {
        let Deed::Read { key, seen, revision } = &event.deed else { return };
        let written = match *seen {
            Some((value, written)) => {
                assert!(written <= *revision, "a read sees its future: {event:?}");
                match self.acked.get(&written) {
                    Some(write) => {
                        assert_eq!(*write, (key.clone(), value), "not what was written: {event:?}");
                    }
                    None => assert!(
                        self.unknown.contains(&(key.clone(), value)),
                        "nobody wrote that, or it was refused: {event:?}"
                    ),
                }
                written
            }
            None => 0,
        };
        let later = self.revisions.get(key).and_then(|all| all.range(written + 1..).next());
        if let Some(later) = later {
            assert!(later > revision, "the write at revision {later} is lost to {event:?}");
        }
    }
}

/// What began after something else had ended stands behind it in the order of revisions.
fn check_order(events: &[Event]) {
    let placed = || events.iter().filter(|event| event.revision().is_some());
    let mut begun: Vec<_> = placed().collect();
    begun.sort_by_key(|event| event.begun);
    let mut ended: Vec<_> = placed().collect();
    ended.sort_by_key(|event| event.ended);
    let mut ended = ended.into_iter().peekable();
    let mut latest: Option<&Event> = None;
    for event in begun {
        while let Some(done) = ended.next_if(|done| done.ended < event.begun) {
            if latest.is_none_or(|latest| latest.revision() < done.revision()) {
                latest = Some(done);
            }
        }
        let Some(before) = latest else { continue };
        let is_write = matches!(event.deed, Deed::Write { .. });
        let in_order = match is_write {
            true => before.revision() < event.revision(),
            false => before.revision() <= event.revision(),
        };
        assert!(in_order, "{event:#?}\nbegan after the end of\n{before:#?}\nbut stands before it");
    }
}

/// The values of all keys, as one answer said.
pub(crate) type Content = BTreeMap<String, (u64, i64)>;
