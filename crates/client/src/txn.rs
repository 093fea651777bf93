//! Several operations in one step, under conditions.

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::{Compare, RequestOp, TxnRequest};

use crate::request::{DeleteOptions, PutOptions, RangeOptions};

/// Several operations in one step: if all conditions hold, one list of them, else another.
///
/// ```
/// use quorate_client::{Condition, Operation, PutOptions, Txn};
///
/// let create = Txn::new()
///     .when([Condition::is_missing("lock")])
///     .and_then([Operation::put("lock", "mine", PutOptions::new())]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Txn {
    request: TxnRequest,
}

impl Txn {
    /// Does nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds conditions; without any, they hold.
    #[must_use]
    pub fn when(mut self, conditions: impl IntoIterator<Item = Condition>) -> Self {
        self.request.compare.extend(conditions.into_iter().map(|condition| condition.compare));
        self
    }

    /// Adds operations that run if all conditions hold.
    #[must_use]
    pub fn and_then(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.request.success.extend(operations.into_iter().map(Operation::into_op));
        self
    }

    /// Adds operations that run if a condition does not hold.
    #[must_use]
    pub fn or_else(mut self, operations: impl IntoIterator<Item = Operation>) -> Self {
        self.request.failure.extend(operations.into_iter().map(Operation::into_op));
        self
    }

    pub(crate) fn into_request(self) -> TxnRequest {
        self.request
    }
}

/// A condition on one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    compare: Compare,
}

impl Condition {
    /// The key has this value.
    pub fn value_is(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        let value = TargetUnion::Value(value.into());
        Self::equal(key.into(), CompareTarget::Value, value)
    }

    /// The key was last changed at this revision.
    pub fn mod_revision_is(key: impl Into<Bytes>, revision: i64) -> Self {
        Self::equal(key.into(), CompareTarget::Mod, TargetUnion::ModRevision(revision))
    }

    /// The key was created at this revision.
    pub fn create_revision_is(key: impl Into<Bytes>, revision: i64) -> Self {
        Self::equal(key.into(), CompareTarget::Create, TargetUnion::CreateRevision(revision))
    }

    /// The key was changed so often since its creation.
    pub fn version_is(key: impl Into<Bytes>, version: i64) -> Self {
        Self::equal(key.into(), CompareTarget::Version, TargetUnion::Version(version))
    }

    /// There is no such key.
    pub fn is_missing(key: impl Into<Bytes>) -> Self {
        Self::create_revision_is(key, 0)
    }

    /// There is such a key.
    pub fn exists(key: impl Into<Bytes>) -> Self {
        let mut condition = Self::is_missing(key);
        condition.compare.set_result(CompareResult::NotEqual);
        condition
    }

    fn equal(key: Bytes, target: CompareTarget, value: TargetUnion) -> Self {
        let mut compare = Compare { key, target_union: Some(value), ..Compare::default() };
        compare.set_result(CompareResult::Equal);
        compare.set_target(target);
        Self { compare }
    }
}

/// An operation inside a [`Txn`].
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    request: Request,
}

impl Operation {
    /// Reads.
    pub fn get(key: impl Into<Bytes>, options: RangeOptions) -> Self {
        Self { request: Request::RequestRange(options.into_request(key.into())) }
    }

    /// Sets.
    pub fn put(key: impl Into<Bytes>, value: impl Into<Bytes>, options: PutOptions) -> Self {
        Self { request: Request::RequestPut(options.into_request(key.into(), value.into())) }
    }

    /// Deletes.
    pub fn delete(key: impl Into<Bytes>, options: DeleteOptions) -> Self {
        Self { request: Request::RequestDeleteRange(options.into_request(key.into())) }
    }

    /// Runs another transaction inside this one.
    pub fn txn(inner: Txn) -> Self {
        Self { request: Request::RequestTxn(inner.into_request()) }
    }

    fn into_op(self) -> RequestOp {
        RequestOp { request: Some(self.request) }
    }
}

/// Whether a transaction only reads, whichever way its conditions go.
pub(crate) fn is_read_only(request: &TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).all(|operation| match &operation.request {
        None | Some(Request::RequestRange(_)) => true,
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) => false,
        Some(Request::RequestTxn(inner)) => is_read_only(inner),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_anywhere_makes_a_write() {
        let get = || Operation::get("a", RangeOptions::new());
        let put = || Operation::put("a", "1", PutOptions::new());
        let reads = Txn::new().and_then([get()]).or_else([get()]);
        assert!(is_read_only(&reads.clone().into_request()));
        let nested = Txn::new().and_then([Operation::txn(reads)]);
        assert!(is_read_only(&nested.into_request()));
        let writes = Txn::new().and_then([get()]).or_else([put()]);
        assert!(!is_read_only(&writes.clone().into_request()));
        let nested = Txn::new().and_then([get(), Operation::txn(writes)]);
        assert!(!is_read_only(&nested.into_request()));
        let delete = Txn::new().and_then([Operation::delete("a", DeleteOptions::new())]);
        assert!(!is_read_only(&delete.into_request()));
    }

    #[test]
    fn conditions_are_etcds() {
        let exists = Condition::exists("k").compare;
        assert_eq!(exists.result(), CompareResult::NotEqual);
        assert_eq!(exists.target(), CompareTarget::Create);
        assert_eq!(exists.target_union, Some(TargetUnion::CreateRevision(0)));
        let value = Condition::value_is("k", "v").compare;
        assert_eq!(value.result(), CompareResult::Equal);
        assert_eq!(value.target(), CompareTarget::Value);
    }
}
