//! Reads of keys.
//!
//! The count is of all keys in the range, whatever limit and filters say. Two of etcd's turns are
//! kept on purpose, since clients can see them: a sort target without an order sorts upwards, but
//! only what the limit let through (and one key more); and revisions below 1 mean the current one.
//!
//! An answer that a reader gives has a bound on its bytes. Gathering ends where it goes beyond, if
//! all that is gathered is for the answer; where a sort decides that, the answer is measured after
//! it, and until then pairs cost little: they share the memory of the store.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::etcdserverpb::{RangeRequest, RangeResponse, ResponseHeader};
use quorate_proto::mvccpb::KeyValue;

use crate::Error;
use crate::leaf::Visitor;
use crate::record::{Facts, Version};
use crate::shared::{Budget, Moment, Status};
use crate::span::{End, Span};
use crate::view::Reader;

/// Answers a read.
pub(crate) fn range(moment: &Moment<'_>, request: &RangeRequest) -> Result<RangeResponse, Error> {
    let (order, target) = sorting(request)?;
    let revision = moment.status.revision_to_read(request.revision)?;
    let mut collector = Collector::new(request, (order, target), moment.budget);
    moment.scan(&Span::new(&request.key, &request.range_end), revision, &mut collector);
    collector.respond(moment.status.revision, order, target)
}

/// Answers a read of one key from the versions at hand, in one go.
pub(crate) fn get<'v>(
    at: impl FnOnce(&[u8], i64) -> Option<&'v Version>,
    status: &Status,
    request: &RangeRequest,
) -> Result<RangeResponse, Error> {
    let (order, target) = sorting(request)?;
    let revision = status.revision_to_read(request.revision)?;
    // One pair is no longer than the request that set it.
    let mut collector = Collector::new(request, (order, target), None);
    if let Some(version) = at(&request.key, revision) {
        if collector.counts_only() {
            collector.count(1);
        } else {
            collector.add(version);
        }
    }
    collector.respond(status.revision, order, target)
}

/// Whether a request names one key.
pub(crate) fn is_get(request: &RangeRequest) -> bool {
    matches!(Span::new(&request.key, &request.range_end).end, End::One)
}

/// The order and target of a request, if such exist.
pub(crate) fn sorting(request: &RangeRequest) -> Result<(SortOrder, SortTarget), Error> {
    let order = SortOrder::try_from(request.sort_order).map_err(|_| Error::InvalidSortOption)?;
    let target = SortTarget::try_from(request.sort_target).map_err(|_| Error::InvalidSortOption)?;
    Ok((order, target))
}

/// Gathers an answer.
struct Collector<'r> {
    request: &'r RangeRequest,
    /// How many pairs to gather: more would be cut off again.
    wanted: usize,
    pairs: Vec<KeyValue>,
    /// The keys seen.
    count: usize,
    budget: Option<&'r Budget>,
    /// Whether every pair that is gathered, up to the limit, will be in the answer.
    is_final: bool,
    /// Why there is no answer.
    error: Option<Error>,
}

impl<'r> Collector<'r> {
    fn new(
        request: &'r RangeRequest,
        (order, target): (SortOrder, SortTarget),
        budget: Option<&'r Budget>,
    ) -> Self {
        let wanted = if request.count_only {
            0
        } else if order != SortOrder::None || has_filter(request) {
            usize::MAX
        } else {
            limit(request).saturating_add(1)
        };
        let keeps_order = order != SortOrder::Descend && target == SortTarget::Key;
        // Values that are sorted by may be dropped afterwards.
        let keeps_values = !request.keys_only || target != SortTarget::Value;
        let is_final = keeps_values && (keeps_order || limit(request) == usize::MAX);
        Self { request, wanted, pairs: Vec::new(), count: 0, budget, is_final, error: None }
    }

    fn respond(
        self,
        revision: i64,
        order: SortOrder,
        target: SortTarget,
    ) -> Result<RangeResponse, Error> {
        let Self { request, mut pairs, count, budget, is_final, error, .. } = self;
        if let Some(error) = error {
            return Err(error);
        }
        sort(&mut pairs, order, target);
        let more = limit(request) < pairs.len();
        pairs.truncate(limit(request));
        if request.keys_only && target == SortTarget::Value {
            for pair in &mut pairs {
                pair.value.clear();
            }
        }
        if let Some(budget) = budget.filter(|_| !is_final) {
            pairs.iter().try_for_each(|pair| budget.take(bytes(pair)))?;
        }
        let count = i64::try_from(count).expect("memory has fewer keys than that");
        Ok(RangeResponse { header: header(revision), kvs: pairs, more, count })
    }

    fn add(&mut self, version: &Version) {
        self.count += 1;
        let facts = version.facts();
        if self.wants(version, &facts) {
            // Values that are only sorted by are dropped afterwards.
            let sorts_by_value = self.request.sort_target == i32::from(SortTarget::Value);
            let pair = if self.request.keys_only && !sorts_by_value {
                version.key_only(&facts)
            } else {
                version.key_value(&facts)
            };
            if self.is_final && self.pairs.len() < limit(self.request) {
                self.error = self.budget.and_then(|budget| budget.take(bytes(&pair)).err());
            }
            self.pairs.push(pair);
        }
    }

    fn wants(&self, version: &Version, facts: &Facts) -> bool {
        let request = self.request;
        let within = |value: i64, min: i64, max: i64| {
            (min == 0 || min <= value) && (max == 0 || value <= max)
        };
        within(version.revision(), request.min_mod_revision, request.max_mod_revision)
            && within(
                facts.create_revision,
                request.min_create_revision,
                request.max_create_revision,
            )
    }
}

impl Visitor for Collector<'_> {
    fn visit(&mut self, version: &Version) -> ControlFlow<()> {
        self.add(version);
        if self.error.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn counts_only(&self) -> bool {
        self.pairs.len() >= self.wanted
    }

    fn count(&mut self, keys: usize) {
        self.count += keys;
    }
}

/// The head of an answer.
#[expect(clippy::unnecessary_wraps, reason = "the message has it optional")]
pub(crate) fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}

/// What a pair counts in an answer.
fn bytes(pair: &KeyValue) -> usize {
    pair.key.len() + pair.value.len() + Reader::PAIR_BYTES
}

fn limit(request: &RangeRequest) -> usize {
    usize::try_from(request.limit).ok().filter(|&limit| limit > 0).unwrap_or(usize::MAX)
}

fn has_filter(request: &RangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

/// Sorts pairs that come in the order of their keys; equal ones stay in that order.
fn sort(pairs: &mut [KeyValue], order: SortOrder, target: SortTarget) {
    let compare = |left: &KeyValue, right: &KeyValue| match target {
        SortTarget::Key => left.key.cmp(&right.key),
        SortTarget::Version => left.version.cmp(&right.version),
        SortTarget::Create => left.create_revision.cmp(&right.create_revision),
        SortTarget::Mod => left.mod_revision.cmp(&right.mod_revision),
        SortTarget::Value => left.value.cmp(&right.value),
    };
    let compare: &dyn Fn(&KeyValue, &KeyValue) -> Ordering = match (order, target) {
        (SortOrder::None | SortOrder::Ascend, SortTarget::Key) => return,
        (SortOrder::None | SortOrder::Ascend, _) => &compare,
        (SortOrder::Descend, _) => &|left, right| compare(right, left),
    };
    pairs.sort_by(compare);
}
