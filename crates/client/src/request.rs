//! What can be asked beside the key: small builders that turn into etcd's messages.

use std::time::Duration;

use bytes::Bytes;
use quorate_proto::etcdserverpb::range_request;
use quorate_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, MemberListRequest, PutRequest, RangeRequest,
};
use tonic::metadata::{Ascii, MetadataValue};

/// The metadata that says how old an answer may be.
pub(crate) const MAX_STALENESS: &str = "quorate-max-staleness";

/// Whoever allows more than a year's age does not mind any.
const STALENESS_LIMIT: Duration = Duration::from_hours(366 * 24);

/// Which keys, counted from the key given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Span {
    /// That key alone.
    #[default]
    One,
    /// All that begin with it.
    Prefix,
    /// It and all after it.
    FromKey,
    /// It and all after it up to this one, exclusive.
    Until(Bytes),
}

/// How etcd writes "from the first key on" and "to the last one".
const ZERO: Bytes = Bytes::from_static(b"\0");

impl Span {
    /// The first key and the end, as etcd writes them.
    fn bounds(&self, key: Bytes) -> (Bytes, Bytes) {
        // An empty key is no key to etcd, but "all that begin with nothing" has a meaning.
        let first = |key: Bytes| if key.is_empty() { ZERO } else { key };
        match self {
            Self::One => (key, Bytes::new()),
            Self::FromKey => (first(key), ZERO),
            Self::Prefix => {
                let end = prefix_end(&key);
                (first(key), end)
            }
            Self::Until(end) => (key, end.clone()),
        }
    }
}

/// The first key after all that begin with `prefix`, or [`ZERO`] if there is no such key.
fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end.into();
        }
    }
    ZERO
}

/// In which order keys come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

/// By what keys are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    /// The key.
    Key,
    /// How often it was changed since its creation.
    Version,
    /// The revision of its creation.
    Create,
    /// The revision of its last change.
    Modify,
    /// The value.
    Value,
}

/// What to read, and how.
///
/// ```
/// use quorate_client::RangeOptions;
///
/// let first_ten = RangeOptions::new().prefix().limit(10);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeOptions {
    span: Span,
    /// All but the keys; the client never sends another field of it.
    rest: RangeRequest,
    max_staleness: Option<Duration>,
}

impl RangeOptions {
    /// The one key, newest revision, agreed on by a quorum.
    pub fn new() -> Self {
        Self::default()
    }

    /// All keys that begin with the one given; all there are, if that is empty.
    #[must_use]
    pub fn prefix(mut self) -> Self {
        self.span = Span::Prefix;
        self
    }

    /// The key given and all after it.
    #[must_use]
    pub fn from_key(mut self) -> Self {
        self.span = Span::FromKey;
        self
    }

    /// The key given and all after it up to `end`, exclusive.
    #[must_use]
    pub fn until(mut self, end: impl Into<Bytes>) -> Self {
        self.span = Span::Until(end.into());
        self
    }

    /// As it was at this revision; 0 means now.
    #[must_use]
    pub fn revision(mut self, revision: i64) -> Self {
        self.rest.revision = revision;
        self
    }

    /// At most so many keys; 0 means all.
    #[must_use]
    pub fn limit(mut self, limit: i64) -> Self {
        self.rest.limit = limit;
        self
    }

    /// In this order.
    #[must_use]
    pub fn sort(mut self, by: SortBy, order: SortOrder) -> Self {
        let target = match by {
            SortBy::Key => range_request::SortTarget::Key,
            SortBy::Version => range_request::SortTarget::Version,
            SortBy::Create => range_request::SortTarget::Create,
            SortBy::Modify => range_request::SortTarget::Mod,
            SortBy::Value => range_request::SortTarget::Value,
        };
        let order = match (by, order) {
            // Keys come in this order by themselves; asking for it makes the server sort.
            (SortBy::Key, SortOrder::Ascending) => range_request::SortOrder::None,
            (_, SortOrder::Ascending) => range_request::SortOrder::Ascend,
            (_, SortOrder::Descending) => range_request::SortOrder::Descend,
        };
        self.rest.set_sort_target(target);
        self.rest.set_sort_order(order);
        self
    }

    /// From the asked member's own state: fast, works without a quorum, and may be old.
    #[must_use]
    pub fn serializable(mut self) -> Self {
        self.rest.serializable = true;
        self
    }

    /// From the asked member's own state, if that shows everything acknowledged up to `staleness`
    /// before the request came there; else that member asks the leader. Of quorate alone: etcd
    /// takes no notice, and answers as for any read agreed on by a quorum. Within a transaction it
    /// has no effect. Counted in whole milliseconds, the rest is dropped.
    #[must_use]
    pub fn max_staleness(mut self, staleness: Duration) -> Self {
        self.max_staleness = Some(staleness);
        self
    }

    /// Without the values.
    #[must_use]
    pub fn keys_only(mut self) -> Self {
        self.rest.keys_only = true;
        self
    }

    /// Only how many there are.
    #[must_use]
    pub fn count_only(mut self) -> Self {
        self.rest.count_only = true;
        self
    }

    pub(crate) fn into_request(self, key: Bytes) -> RangeRequest {
        let (key, range_end) = self.span.bounds(key);
        RangeRequest { key, range_end, ..self.rest }
    }

    /// What the request says in its metadata about the age of the answer.
    pub(crate) fn staleness(&self) -> Option<MetadataValue<Ascii>> {
        let staleness = self.max_staleness?.min(STALENESS_LIMIT);
        let text = format!("{}ms", staleness.as_millis());
        Some(text.parse().expect("digits and letters are metadata"))
    }
}

/// What to set beside the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    prev_kv: bool,
    lease: i64,
}

impl PutOptions {
    /// Nothing beside.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answer with the pair as it was before.
    #[must_use]
    pub fn prev_kv(mut self) -> Self {
        self.prev_kv = true;
        self
    }

    /// Attach the key to this lease; 0 means none.
    #[must_use]
    pub fn lease(mut self, lease: i64) -> Self {
        self.lease = lease;
        self
    }

    pub(crate) fn into_request(self, key: Bytes, value: Bytes) -> PutRequest {
        let Self { prev_kv, lease } = self;
        PutRequest { key, value, lease, prev_kv, ..PutRequest::default() }
    }
}

/// What to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteOptions {
    span: Span,
    prev_kv: bool,
}

impl DeleteOptions {
    /// The one key.
    pub fn new() -> Self {
        Self::default()
    }

    /// All keys that begin with the one given; all there are, if that is empty.
    #[must_use]
    pub fn prefix(mut self) -> Self {
        self.span = Span::Prefix;
        self
    }

    /// The key given and all after it.
    #[must_use]
    pub fn from_key(mut self) -> Self {
        self.span = Span::FromKey;
        self
    }

    /// The key given and all after it up to `end`, exclusive.
    #[must_use]
    pub fn until(mut self, end: impl Into<Bytes>) -> Self {
        self.span = Span::Until(end.into());
        self
    }

    /// Answer with the pairs as they were before.
    #[must_use]
    pub fn prev_kv(mut self) -> Self {
        self.prev_kv = true;
        self
    }

    pub(crate) fn into_request(self, key: Bytes) -> DeleteRangeRequest {
        let (key, range_end) = self.span.bounds(key);
        DeleteRangeRequest { key, range_end, prev_kv: self.prev_kv }
    }
}

/// How to forget history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactOptions {
    physical: bool,
}

impl CompactOptions {
    /// Answer as soon as it is agreed on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answer when the space is free, not before.
    #[must_use]
    pub fn physical(mut self) -> Self {
        self.physical = true;
        self
    }

    pub(crate) fn into_request(self, revision: i64) -> CompactionRequest {
        CompactionRequest { revision, physical: self.physical }
    }
}

/// Whom to ask for the members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberListOptions {
    serializable: bool,
}

impl MemberListOptions {
    /// The quorum.
    pub fn new() -> Self {
        Self::default()
    }

    /// The asked member alone: works without a quorum, and may be old.
    #[must_use]
    pub fn serializable(mut self) -> Self {
        self.serializable = true;
        self
    }

    pub(crate) fn into_request(self) -> MemberListRequest {
        MemberListRequest { linearizable: !self.serializable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(options: RangeOptions, key: &'static str) -> (Bytes, Bytes) {
        let request = options.into_request(key.into());
        (request.key, request.range_end)
    }

    #[test]
    fn one_key_has_no_end() {
        assert_eq!(bounds(RangeOptions::new(), "a"), ("a".into(), Bytes::new()));
        assert_eq!(bounds(RangeOptions::new().until("c"), "a"), ("a".into(), "c".into()));
    }

    #[test]
    fn a_prefix_ends_at_the_next_key_that_does_not_begin_with_it() {
        assert_eq!(bounds(RangeOptions::new().prefix(), "ab"), ("ab".into(), "ac".into()));
        assert_eq!(prefix_end(b"a\xff\xff"), "b");
        assert_eq!(prefix_end(b"\xff\xff"), ZERO);
    }

    #[test]
    fn an_empty_prefix_is_everything() {
        assert_eq!(bounds(RangeOptions::new().prefix(), ""), (ZERO, ZERO));
        assert_eq!(bounds(RangeOptions::new().from_key(), ""), (ZERO, ZERO));
        assert_eq!(bounds(RangeOptions::new().from_key(), "k"), ("k".into(), ZERO));
        let delete = DeleteOptions::new().prefix().into_request(Bytes::new());
        assert_eq!((delete.key, delete.range_end), (ZERO, ZERO));
    }

    #[test]
    fn an_age_is_said_in_whole_milliseconds() {
        let said = |age| {
            let value = RangeOptions::new().max_staleness(age).staleness().unwrap();
            value.to_str().unwrap().to_owned()
        };
        assert_eq!(RangeOptions::new().staleness(), None);
        assert_eq!(said(Duration::from_micros(250_999)), "250ms");
        assert_eq!(said(Duration::MAX), "31622400000ms");
    }

    #[test]
    fn the_quorum_is_asked_for_the_members_unless_told_otherwise() {
        assert!(MemberListOptions::new().into_request().linearizable);
        assert!(!MemberListOptions::new().serializable().into_request().linearizable);
    }

    #[test]
    fn keys_in_their_own_order_are_not_sorted_again() {
        let sorted = |by, order| {
            let request = RangeOptions::new().sort(by, order).into_request("a".into());
            (request.sort_target(), request.sort_order())
        };
        use range_request::SortOrder as Order;
        use range_request::SortTarget as Target;
        assert_eq!(sorted(SortBy::Key, SortOrder::Ascending), (Target::Key, Order::None));
        assert_eq!(sorted(SortBy::Key, SortOrder::Descending), (Target::Key, Order::Descend));
        assert_eq!(sorted(SortBy::Value, SortOrder::Ascending), (Target::Value, Order::Ascend));
    }
}
