//! A store as plain as can be, for the search: it keeps the whole of every revision.
//!
//! A step leaves the state before it as it was, and shares with it what did not change. It is
//! written apart from the model of the long histories, so that each checks the other.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Key, Pair, Request, Response, Value};

/// All keys of one revision.
type Keys = BTreeMap<Key, Pair>;

/// A store at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The highest revision that it was compacted to; -1 before the first time.
    compacted: i64,
    /// From revision 1 to the current one.
    revisions: Vec<Rc<Keys>>,
}

impl State {
    /// An empty store.
    pub(super) fn new() -> Self {
        Self { compacted: -1, revisions: vec![Rc::default()] }
    }

    /// The current revision.
    pub(super) fn revision(&self) -> i64 {
        i64::try_from(self.revisions.len()).expect("a history is short")
    }

    /// What the store answers, and what becomes of it; `None` if it stays as it is.
    pub(super) fn step(&self, request: &Request) -> (Response, Option<Self>) {
        let revision = self.revision();
        match *request {
            Request::Put { key, value } => {
                let previous = self.current().get(&key).cloned();
                let next = self.with(&[key], value);
                (Response::Put { revision: revision + 1, previous }, Some(next))
            }
            Request::Range { first, end, at, .. } => (self.range(first, end, at), None),
            Request::Delete { first, end } => {
                let is_inside = |key: &Key| (first..end).contains(key);
                let (gone, kept): (Vec<_>, Vec<_>) =
                    self.current().values().cloned().partition(|pair| is_inside(&pair.key));
                if gone.is_empty() {
                    return (Response::Delete { revision, deleted: gone }, None);
                }
                let next = self.next(kept.into_iter().map(|pair| (pair.key, pair)).collect());
                (Response::Delete { revision: revision + 1, deleted: gone }, Some(next))
            }
            Request::Swap { key, expected, value, also } => {
                let found = self.current().get(&key).cloned();
                let modified = found.as_ref().map_or(0, |pair| pair.modified);
                if modified != expected {
                    return (Response::Swap { revision, succeeded: false, found }, None);
                }
                let keys: Vec<_> = [key].into_iter().chain(also).collect();
                let next = self.with(&keys, value);
                let revision = revision + 1;
                (Response::Swap { revision, succeeded: true, found: None }, Some(next))
            }
            Request::Compact { revision: wanted } => {
                if wanted <= self.compacted {
                    return (Response::Compacted, None);
                }
                if wanted > revision {
                    return (Response::FutureRevision, None);
                }
                let next = Self { compacted: wanted, ..self.clone() };
                (Response::Compact { revision }, Some(next))
            }
        }
    }

    fn range(&self, first: Key, end: Key, at: Option<i64>) -> Response {
        let revision = self.revision();
        let at = at.filter(|&at| at > 0).unwrap_or(revision);
        if at > revision {
            return Response::FutureRevision;
        }
        if at < self.compacted {
            return Response::Compacted;
        }
        let keys = usize::try_from(at - 1).ok().and_then(|at| self.revisions.get(at));
        let keys = keys.expect("every revision from 1 to the current one is kept");
        let pairs = keys.values().filter(|pair| (first..end).contains(&pair.key));
        Response::Range { revision, pairs: pairs.cloned().collect() }
    }

    fn current(&self) -> &Keys {
        self.revisions.last().expect("there is always a revision")
    }

    /// After a revision that sets some keys.
    fn with(&self, keys: &[Key], value: Value) -> Self {
        let modified = self.revision() + 1;
        let mut all = self.current().clone();
        for &key in keys {
            let pair = all.entry(key).or_insert(Pair {
                key,
                value,
                created: modified,
                modified,
                version: 0,
            });
            *pair = Pair { value, modified, version: pair.version + 1, ..*pair };
        }
        self.next(all)
    }

    fn next(&self, keys: Keys) -> Self {
        let mut next = self.clone();
        next.revisions.push(Rc::new(keys));
        next
    }
}
