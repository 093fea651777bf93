//! The conditions of transactions.
//!
//! A key that does not exist compares as zero, but for its value, which equals nothing and differs
//! from nothing. A range holds if each of its keys does; an empty one is like one missing key. As
//! in etcd, an unknown target compares as equal, an unknown relation always holds, and an operand
//! of another target's kind counts as zero.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use quorate_proto::etcdserverpb::Compare;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};

use crate::leaf::Visitor;
use crate::record::Version;
use crate::shared::Moment;
use crate::span::Span;

/// Whether all conditions hold at the current revision.
pub(crate) fn all_hold(moment: &Moment<'_>, compares: &[Compare]) -> bool {
    compares.iter().all(|compare| holds(moment, compare))
}

fn holds(moment: &Moment<'_>, compare: &Compare) -> bool {
    let mut comparer = Comparer { compare, holds: true, found: false };
    let span = Span::new(&compare.key, &compare.range_end);
    moment.scan(&span, moment.status.revision, &mut comparer);
    if comparer.found { comparer.holds } else { holds_for_none(compare) }
}

/// Compares key after key, up to the first that does not fit.
struct Comparer<'r> {
    compare: &'r Compare,
    found: bool,
    holds: bool,
}

impl Visitor for Comparer<'_> {
    fn visit(&mut self, version: &Version) -> ControlFlow<()> {
        self.found = true;
        self.holds = holds_for(self.compare, version);
        if self.holds { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn counts_only(&self) -> bool {
        false
    }

    fn count(&mut self, _keys: usize) {}
}

fn holds_for(compare: &Compare, version: &Version) -> bool {
    let facts = version.facts();
    let ordering = match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Value) => version.value(&facts).cmp(value(compare)),
        Ok(CompareTarget::Version) => facts.version.cmp(&number(compare)),
        Ok(CompareTarget::Create) => facts.create_revision.cmp(&number(compare)),
        Ok(CompareTarget::Mod) => version.revision().cmp(&number(compare)),
        Ok(CompareTarget::Lease) => facts.lease.cmp(&number(compare)),
        Err(_) => Ordering::Equal,
    };
    relates(compare, ordering)
}

fn holds_for_none(compare: &Compare) -> bool {
    match CompareTarget::try_from(compare.target) {
        Ok(CompareTarget::Value) => false,
        Ok(
            CompareTarget::Version
            | CompareTarget::Create
            | CompareTarget::Mod
            | CompareTarget::Lease,
        ) => relates(compare, 0.cmp(&number(compare))),
        Err(_) => relates(compare, Ordering::Equal),
    }
}

fn relates(compare: &Compare, ordering: Ordering) -> bool {
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Err(_) => true,
    }
}

/// The number to compare with, if it is of the target's kind.
fn number(compare: &Compare) -> i64 {
    let target = CompareTarget::try_from(compare.target);
    match (&compare.target_union, target) {
        (Some(TargetUnion::Version(number)), Ok(CompareTarget::Version))
        | (Some(TargetUnion::CreateRevision(number)), Ok(CompareTarget::Create))
        | (Some(TargetUnion::ModRevision(number)), Ok(CompareTarget::Mod))
        | (Some(TargetUnion::Lease(number)), Ok(CompareTarget::Lease)) => *number,
        _ => 0,
    }
}

/// The value to compare with.
fn value(compare: &Compare) -> &[u8] {
    match &compare.target_union {
        Some(TargetUnion::Value(value)) => value,
        Some(
            TargetUnion::Version(_)
            | TargetUnion::CreateRevision(_)
            | TargetUnion::ModRevision(_)
            | TargetUnion::Lease(_),
        )
        | None => &[],
    }
}
