//! What is wrong with a request whatever the state: asked before it is proposed or read.
//!
//! Pure functions, with etcd's findings in etcd's order. Nothing here may decide what an apply does,
//! since limits are settings of a member.

use std::collections::{BTreeMap, BTreeSet};

use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
};

use crate::Error;
use crate::range::sorting;

/// What a member allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The operations of a transaction: the longest of its conditions and its two lists. One inside
    /// another may have what the outer one left.
    pub txn_ops_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { txn_ops_max: 128 }
    }
}

/// Checks a read.
///
/// # Errors
/// Without a key, or with a sorting that does not exist.
pub fn range(request: &RangeRequest) -> Result<(), Error> {
    has_key(&request.key)?;
    sorting(request).map(|_| ())
}

/// Checks a put.
///
/// # Errors
/// Without a key, or with a value or lease beside the wish to keep the present one.
pub fn put(request: &PutRequest) -> Result<(), Error> {
    has_key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(Error::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Error::LeaseProvided);
    }
    Ok(())
}

/// Checks a removal.
///
/// # Errors
/// Without a key.
pub fn delete_range(request: &DeleteRangeRequest) -> Result<(), Error> {
    has_key(&request.key)
}

/// Checks a transaction.
///
/// # Errors
/// With too many operations, with one that would be refused on its own or is none, or when it sets a
/// key twice or removes what it sets.
pub fn txn(request: &TxnRequest, limits: Limits) -> Result<(), Error> {
    ops(request, limits.txn_ops_max)?;
    Writes::of(&request.success)?;
    Writes::of(&request.failure)?;
    Ok(())
}

/// Checks a compaction: whatever can be wrong with one is wrong by the state.
///
/// # Errors
/// None so far.
pub fn compact(_request: &CompactionRequest) -> Result<(), Error> {
    Ok(())
}

fn has_key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}

/// Checks each operation, and their number.
fn ops(request: &TxnRequest, ops_max: usize) -> Result<(), Error> {
    let count = request.compare.len().max(request.success.len()).max(request.failure.len());
    let rest = ops_max.checked_sub(count).ok_or(Error::TooManyOps)?;
    for compare in &request.compare {
        has_key(&compare.key)?;
    }
    for op in request.success.iter().chain(&request.failure) {
        match &op.request {
            Some(Request::RequestRange(request)) => range(request)?,
            Some(Request::RequestPut(request)) => put(request)?,
            Some(Request::RequestDeleteRange(request)) => delete_range(request)?,
            Some(Request::RequestTxn(request)) => ops(request, rest)?,
            None => return Err(Error::KeyNotFound),
        }
    }
    Ok(())
}

/// What a list of operations sets and removes, whichever way its inner transactions go.
#[derive(Default)]
struct Writes<'r> {
    sets: BTreeSet<&'r [u8]>,
    removes: Spans<'r>,
}

impl<'r> Writes<'r> {
    /// Gathers them: this list's removals first, then inner transactions in their order, then its own
    /// puts. So a removal in a later inner transaction may meet a put of an earlier one.
    fn of(ops: &'r [RequestOp]) -> Result<Self, Error> {
        let mut writes = Self::default();
        for op in ops {
            if let Some(Request::RequestDeleteRange(request)) = &op.request {
                writes.removes.add(&request.key, &request.range_end);
            }
        }
        for op in ops {
            if let Some(Request::RequestTxn(request)) = &op.request {
                writes.inner(request)?;
            }
        }
        for op in ops {
            if let Some(Request::RequestPut(request)) = &op.request {
                writes.set(&request.key)?;
            }
        }
        Ok(writes)
    }

    /// Takes in an inner transaction. Only one of its lists runs, so both may set one key.
    fn inner(&mut self, request: &'r TxnRequest) -> Result<(), Error> {
        let success = Self::of(&request.success)?;
        let failure = Self::of(&request.failure)?;
        for &key in &success.sets {
            self.set(key)?;
        }
        for &key in failure.sets.difference(&success.sets) {
            self.set(key)?;
        }
        self.removes.join(success.removes);
        self.removes.join(failure.removes);
        Ok(())
    }

    fn set(&mut self, key: &'r [u8]) -> Result<(), Error> {
        if self.removes.contain(key) || !self.sets.insert(key) {
            return Err(Error::DuplicateKey);
        }
        Ok(())
    }
}

/// A set of keys: disjoint spans by their first keys.
#[derive(Default)]
struct Spans<'r>(BTreeMap<&'r [u8], Before<'r>>);

/// The end of a span: this key, and itself too or not.
type Before<'r> = (&'r [u8], Includes);

/// Whether the end of a span belongs to it. Ordered, so that of two ends the later is the greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Includes {
    No,
    Yes,
}

impl<'r> Spans<'r> {
    /// Adds what a removal names. As in etcd, one that ends at or before its first key has no keys
    /// here, and neither has one without an end, which is written so.
    fn add(&mut self, key: &'r [u8], range_end: &'r [u8]) {
        if range_end.is_empty() {
            self.insert(key, (key, Includes::Yes));
        } else if key < range_end {
            self.insert(key, (range_end, Includes::No));
        }
    }

    fn join(&mut self, other: Self) {
        for (start, end) in other.0 {
            self.insert(start, end);
        }
    }

    /// Adds a span, and swallows those that it meets.
    fn insert(&mut self, mut start: &'r [u8], mut end: Before<'r>) {
        while let Some((&other_start, &other_end)) = self.0.range(..=end.0).next_back() {
            if other_end.0 < start {
                break;
            }
            self.0.remove(other_start);
            start = start.min(other_start);
            end = end.max(other_end);
        }
        self.0.insert(start, end);
    }

    fn contain(&self, key: &[u8]) -> bool {
        let below = self.0.range(..=key).next_back();
        below.is_some_and(|(_, &end)| key < end.0 || end == (key, Includes::Yes))
    }
}
