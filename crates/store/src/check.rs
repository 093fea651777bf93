//! What is wrong with a request whatever the state: asked before it is proposed or read.
//!
//! Pure functions, with etcd's findings in etcd's order. Nothing here may decide what an apply
//! does, since limits are settings of a member.

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
/// With too many operations, with one that would be refused on its own or is none, or when it sets
/// a key twice or removes what it sets.
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
    /// Gathers them: this list's removals first, then inner transactions in their order, then its
    /// own puts. So a removal in a later inner transaction may meet a put of an earlier one.
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

#[cfg(test)]
mod tests {
    use quorate_proto::etcdserverpb::Compare;

    use super::*;

    fn put_op(key: &'static str) -> RequestOp {
        op(Request::RequestPut(PutRequest { key: key.into(), ..Default::default() }))
    }

    fn delete_op(key: &'static str, range_end: &'static str) -> RequestOp {
        let (key, range_end) = (key.into(), range_end.into());
        op(Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false }))
    }

    fn txn_op(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
        op(Request::RequestTxn(TxnRequest { compare: vec![], success, failure }))
    }

    fn op(request: Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn check(success: Vec<RequestOp>) -> Result<(), Error> {
        txn(&TxnRequest { success, ..Default::default() }, Limits::default())
    }

    fn puts(count: usize) -> Vec<RequestOp> {
        const NAMES: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let pair = |number: usize| [number / 50, number % 50].map(|at| &NAMES[at..=at]).concat();
        let put = |number| PutRequest { key: pair(number).into(), ..Default::default() };
        (0..count).map(|number| op(Request::RequestPut(put(number)))).collect()
    }

    #[test]
    fn every_request_needs_a_key() {
        assert_eq!(range(&RangeRequest::default()), Err(Error::EmptyKey));
        assert_eq!(put(&PutRequest::default()), Err(Error::EmptyKey));
        assert_eq!(delete_range(&DeleteRangeRequest::default()), Err(Error::EmptyKey));
        assert_eq!(check(vec![put_op("")]), Err(Error::EmptyKey));
        let compare = vec![Compare::default()];
        let request = TxnRequest { compare, ..Default::default() };
        assert_eq!(txn(&request, Limits::default()), Err(Error::EmptyKey));
        assert_eq!(compact(&CompactionRequest::default()), Ok(()));
    }

    #[test]
    fn a_sorting_must_exist() {
        let key = || RangeRequest { key: "a".into(), ..Default::default() };
        assert_eq!(range(&RangeRequest { sort_order: 2, sort_target: 4, ..key() }), Ok(()));
        let order = RangeRequest { sort_order: 3, ..key() };
        assert_eq!(range(&order), Err(Error::InvalidSortOption));
        let target = RangeRequest { sort_target: 5, ..key() };
        assert_eq!(range(&target), Err(Error::InvalidSortOption));
    }

    #[test]
    fn a_put_cannot_both_keep_and_bring() {
        let key = || PutRequest { key: "a".into(), ..Default::default() };
        let value = PutRequest { ignore_value: true, value: "1".into(), ..key() };
        assert_eq!(put(&value), Err(Error::ValueProvided));
        let lease = PutRequest { ignore_lease: true, lease: 1, ..key() };
        assert_eq!(put(&lease), Err(Error::LeaseProvided));
        assert_eq!(put(&PutRequest { ignore_lease: true, ignore_value: true, ..key() }), Ok(()));
    }

    #[test]
    fn an_operation_must_be_one() {
        assert_eq!(check(vec![RequestOp { request: None }]), Err(Error::KeyNotFound));
    }

    #[test]
    fn a_transaction_inside_has_what_the_outer_one_left() {
        assert_eq!(check(puts(128)), Ok(()));
        assert_eq!(check(puts(129)), Err(Error::TooManyOps));
        assert_eq!(check(vec![txn_op(puts(127), vec![])]), Ok(()));
        assert_eq!(check(vec![txn_op(puts(128), vec![])]), Err(Error::TooManyOps));
        let compare = vec![Compare { key: "a".into(), ..Default::default() }; 129];
        let request = TxnRequest { compare, ..Default::default() };
        assert_eq!(txn(&request, Limits::default()), Err(Error::TooManyOps));
        assert_eq!(txn(&request, Limits { txn_ops_max: 129 }), Ok(()));
    }

    #[test]
    fn the_number_is_checked_before_the_keys_and_those_before_duplicates() {
        let mut many = puts(129);
        many.insert(0, put_op(""));
        assert_eq!(check(many), Err(Error::TooManyOps));
        let both = vec![put_op("k"), put_op("k"), put_op("")];
        assert_eq!(check(both), Err(Error::EmptyKey));
    }

    #[test]
    fn no_key_is_set_twice_nor_set_and_removed() {
        let duplicates = [
            vec![put_op("k"), put_op("k")],
            vec![put_op("k"), delete_op("k", "")],
            vec![put_op("b"), delete_op("a", "c")],
            vec![put_op("k"), txn_op(vec![put_op("k")], vec![])],
            vec![delete_op("k", ""), txn_op(vec![put_op("k")], vec![])],
            vec![txn_op(vec![delete_op("k", "")], vec![]), put_op("k")],
            vec![txn_op(vec![delete_op("k", "")], vec![]), txn_op(vec![put_op("k")], vec![])],
            vec![txn_op(vec![put_op("q")], vec![put_op("k")]), txn_op(vec![put_op("k")], vec![])],
        ];
        for ops in duplicates {
            assert_eq!(check(ops.clone()), Err(Error::DuplicateKey), "{ops:?}");
        }
    }

    #[test]
    fn what_cannot_both_happen_or_does_no_harm_is_allowed() {
        let allowed = [
            vec![delete_op("a", "c"), delete_op("b", "d"), put_op("d")],
            vec![txn_op(vec![put_op("k")], vec![put_op("k")])],
            vec![txn_op(vec![put_op("k")], vec![delete_op("k", "")])],
            vec![txn_op(vec![delete_op("k", "")], vec![put_op("k")])],
            vec![put_op("c"), delete_op("a", "c")],
            // As in etcd, these are not looked for.
            vec![txn_op(vec![put_op("k")], vec![]), txn_op(vec![delete_op("k", "")], vec![])],
            vec![put_op("b"), delete_op("a", "\0")],
            vec![put_op("b"), delete_op("b", "a")],
        ];
        for ops in allowed {
            assert_eq!(check(ops.clone()), Ok(()), "{ops:?}");
        }
    }

    /// Whatever the order in which spans are added, a key is in their union or not.
    #[test]
    fn spans_are_joined_right() {
        let spans =
            [("b", "d"), ("d", "f"), ("c", ""), ("d", ""), ("h", ""), ("a", "b"), ("g", "z")];
        for chosen in 0_u32..1 << spans.len() {
            let chosen = |at: &usize| chosen >> at & 1 == 1;
            for order in [1, 3, 5] {
                let mut set = Spans::default();
                for at in (0..spans.len()).map(|at| at * order % spans.len()).filter(chosen) {
                    set.add(spans[at].0.as_bytes(), spans[at].1.as_bytes());
                }
                for key in ["a", "b", "bb", "c", "d", "e", "f", "g", "h", "hh", "z"] {
                    let within = |at: usize| match spans[at] {
                        (start, "") => key == start,
                        (start, end) => start <= key && key < end,
                    };
                    let expected = (0..spans.len()).filter(chosen).any(within);
                    assert_eq!(set.contain(key.as_bytes()), expected, "{key}");
                }
            }
        }
    }
}
