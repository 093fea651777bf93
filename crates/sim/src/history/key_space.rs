//! The keys with all their versions, for long histories.
//!
//! It never forgets: compactions are judged apart from it, so it answers reads at any revision.

use std::collections::BTreeMap;

use super::{Key, Pair, Request, Response, Value};

/// A store that does one request after the other.
#[derive(Debug)]
pub(super) struct KeySpace {
    revision: i64,
    /// Of each key that ever was, its versions; none is empty.
    keys: BTreeMap<Key, Vec<Version>>,
}

/// What one revision made of a key.
#[derive(Debug)]
struct Version {
    revision: i64,
    /// `None` for a removal.
    pair: Option<Pair>,
}

impl KeySpace {
    /// An empty one, at revision 1.
    pub(super) fn new() -> Self {
        Self { revision: 1, keys: BTreeMap::new() }
    }

    /// The current revision.
    pub(super) fn revision(&self) -> i64 {
        self.revision
    }

    /// Does what is asked, as if nothing had ever been compacted.
    pub(super) fn answer(&mut self, request: &Request) -> Response {
        match *request {
            Request::Put { key, value } => {
                self.revision += 1;
                let previous = self.put(key, value);
                Response::Put { revision: self.revision, previous }
            }
            Request::Range { first, end, at, .. } => match at.filter(|&at| at > 0) {
                Some(at) if at > self.revision => Response::FutureRevision,
                at => {
                    let pairs = self.pairs(first, end, at.unwrap_or(self.revision));
                    Response::Range { revision: self.revision, pairs }
                }
            },
            Request::Delete { first, end } => {
                let deleted = self.delete(first, end);
                Response::Delete { revision: self.revision, deleted }
            }
            Request::Swap { key, expected, value, also } => {
                let found = self.pair(key, self.revision).cloned();
                let succeeded = found.as_ref().map_or(0, |pair| pair.modified) == expected;
                if succeeded {
                    self.revision += 1;
                    self.put(key, value);
                    also.map(|also| self.put(also, value));
                }
                let found = found.filter(|_| !succeeded);
                Response::Swap { revision: self.revision, succeeded, found }
            }
            Request::Compact { revision } if revision < 0 => Response::Compacted,
            Request::Compact { revision } if revision > self.revision => Response::FutureRevision,
            Request::Compact { .. } => Response::Compact { revision: self.revision },
        }
    }

    /// A key as it was at a revision.
    pub(super) fn pair(&self, key: Key, revision: i64) -> Option<&Pair> {
        at(self.keys.get(&key)?, revision)?.pair.as_ref()
    }

    /// When a key was last put or removed, up to a revision.
    pub(super) fn changed(&self, key: Key, revision: i64) -> Option<i64> {
        at(self.keys.get(&key)?, revision).map(|version| version.revision)
    }

    fn pairs(&self, first: Key, end: Key, revision: i64) -> Vec<Pair> {
        if first >= end {
            return Vec::new();
        }
        let keys = self.keys.range(first..end);
        keys.filter_map(|(_, versions)| at(versions, revision)?.pair.clone()).collect()
    }

    /// Sets a key in the current revision.
    fn put(&mut self, key: Key, value: Value) -> Option<Pair> {
        let modified = self.revision;
        let versions = self.keys.entry(key).or_default();
        let previous = versions.last().and_then(|version| version.pair.clone());
        let (created, version) = match &previous {
            Some(previous) => (previous.created, previous.version + 1),
            None => (modified, 1),
        };
        let pair = Some(Pair { key, value, created, modified, version });
        versions.push(Version { revision: modified, pair });
        previous
    }

    /// Removes keys in the next revision, if there are any.
    fn delete(&mut self, first: Key, end: Key) -> Vec<Pair> {
        let deleted = self.pairs(first, end, self.revision);
        if !deleted.is_empty() {
            self.revision += 1;
        }
        for Pair { key, .. } in &deleted {
            let versions = self.keys.entry(*key).or_default();
            versions.push(Version { revision: self.revision, pair: None });
        }
        deleted
    }
}

/// The version that a revision sees; mostly that is the last.
fn at(versions: &[Version], revision: i64) -> Option<&Version> {
    let newest = versions.last()?;
    if newest.revision <= revision {
        return Some(newest);
    }
    let newer = versions.partition_point(|version| version.revision <= revision);
    versions[..newer].last()
}
