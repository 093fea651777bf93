//! Transactions.
//!
//! One goes in three steps: all conditions along the path are evaluated, inner transactions' too,
//! before anything changes; then everything on that path that can fail is checked; then it is done,
//! and cannot fail any more. So a transaction changes all or nothing, and every member does the
//! same.

use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::{
    DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, ResponseHeader, ResponseOp,
    TxnRequest, TxnResponse,
};

use crate::range::{header, range, sorting};
use crate::shared::{Moment, Shared};
use crate::write::{Change, check_kept, check_lease, delete_range, put};
use crate::{Error, Wants, compare};

/// Whether a transaction changes nothing, whichever way it goes: its operations are reads, or
/// transactions that are such. It needs no place in the log.
pub fn is_read_only(request: &TxnRequest) -> bool {
    let reads = |op: &RequestOp| match &op.request {
        Some(Request::RequestRange(_)) => true,
        Some(Request::RequestTxn(inner)) => is_read_only(inner),
        Some(Request::RequestPut(_) | Request::RequestDeleteRange(_)) | None => false,
    };
    request.success.iter().chain(&request.failure).all(reads)
}

/// Answers a transaction that only reads.
pub(crate) fn read(moment: &Moment<'_>, request: &TxnRequest) -> Result<TxnResponse, Error> {
    if !is_read_only(request) {
        return Err(Error::WritesInRead);
    }
    let plan = Plan::new(moment, request);
    plan.check(moment)?;
    Ok(TxnResponse { header: header(moment.status.revision), ..plan.read(moment)? })
}

/// Applies a transaction.
pub(crate) fn apply(
    shared: &Shared,
    change: &mut Change<'_>,
    request: &TxnRequest,
    wants: Wants,
) -> Result<TxnResponse, Error> {
    let moment = Moment { shared, status: change.seen(), pin: None, budget: None };
    let plan = Plan::new(&moment, request);
    plan.check(&moment)?;
    let response = plan.apply(shared, change, wants).expect("all that can fail was checked");
    Ok(TxnResponse { header: header(change.seen().revision), ..response })
}

/// What a transaction does once its conditions are known.
struct Plan<'r> {
    succeeded: bool,
    steps: Vec<Step<'r>>,
}

/// One operation of it.
enum Step<'r> {
    Range(&'r RangeRequest),
    Put(&'r PutRequest),
    DeleteRange(&'r DeleteRangeRequest),
    Txn(Plan<'r>),
    /// An operation that says nothing; its answer says nothing either.
    Nothing,
}

impl<'r> Plan<'r> {
    fn new(moment: &Moment<'_>, request: &'r TxnRequest) -> Self {
        let succeeded = compare::all_hold(moment, &request.compare);
        let ops = if succeeded { &request.success } else { &request.failure };
        let step = |op: &'r RequestOp| match &op.request {
            Some(Request::RequestRange(request)) => Step::Range(request),
            Some(Request::RequestPut(request)) => Step::Put(request),
            Some(Request::RequestDeleteRange(request)) => Step::DeleteRange(request),
            Some(Request::RequestTxn(request)) => Step::Txn(Self::new(moment, request)),
            None => Step::Nothing,
        };
        Self { succeeded, steps: ops.iter().map(step).collect() }
    }

    /// Finds the first thing that would fail: of the puts, inner transactions' too, and then of the
    /// reads, as etcd has it.
    fn check(&self, moment: &Moment<'_>) -> Result<(), Error> {
        self.check_puts(moment)?;
        self.check_ranges(moment)
    }

    fn check_puts(&self, moment: &Moment<'_>) -> Result<(), Error> {
        for step in &self.steps {
            match step {
                Step::Put(request) => {
                    check_kept(&moment.shared.read(), moment.status.revision, request)?;
                    check_lease(request)?;
                }
                Step::Txn(plan) => plan.check_puts(moment)?,
                Step::Range(_) | Step::DeleteRange(_) | Step::Nothing => {}
            }
        }
        Ok(())
    }

    fn check_ranges(&self, moment: &Moment<'_>) -> Result<(), Error> {
        for step in &self.steps {
            match step {
                Step::Range(request) => check_range(moment, request)?,
                Step::Txn(plan) => plan.check_ranges(moment)?,
                Step::Put(_) | Step::DeleteRange(_) | Step::Nothing => {}
            }
        }
        Ok(())
    }

    /// Does it, for a plan without writes.
    fn read(&self, moment: &Moment<'_>) -> Result<TxnResponse, Error> {
        self.respond(|step| match step {
            Step::Range(request) => Ok(Some(Response::ResponseRange(range(moment, request)?))),
            Step::Txn(plan) => Ok(Some(Response::ResponseTxn(plan.read(moment)?))),
            Step::Put(_) | Step::DeleteRange(_) => Err(Error::WritesInRead),
            Step::Nothing => Ok(None),
        })
    }

    /// Does it.
    fn apply(
        &self,
        shared: &Shared,
        change: &mut Change<'_>,
        wants: Wants,
    ) -> Result<TxnResponse, Error> {
        self.respond(|step| match step {
            Step::Range(_) if wants == Wants::Nothing => Ok(None),
            Step::Range(request) => {
                let moment = Moment { shared, status: change.seen(), pin: None, budget: None };
                Ok(Some(Response::ResponseRange(range(&moment, request)?)))
            }
            Step::Put(request) => {
                let response = put(&mut shared.write(), change, request, wants);
                Ok(Some(Response::ResponsePut(response)))
            }
            Step::DeleteRange(request) => {
                let response = delete_range(shared, change, request, wants);
                Ok(Some(Response::ResponseDeleteRange(response)))
            }
            Step::Txn(plan) => Ok(Some(Response::ResponseTxn(plan.apply(shared, change, wants)?))),
            Step::Nothing => Ok(None),
        })
    }

    /// The answer, from the answer to each step. The head is there but empty: only the outermost
    /// transaction's has the revision.
    fn respond(
        &self,
        mut answer: impl FnMut(&Step<'r>) -> Result<Option<Response>, Error>,
    ) -> Result<TxnResponse, Error> {
        let mut responses = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            responses.push(ResponseOp { response: answer(step)? });
        }
        let header = Some(ResponseHeader::default());
        Ok(TxnResponse { header, succeeded: self.succeeded, responses })
    }
}

/// Whether a read inside of a transaction will succeed. Unlike outside, a revision below zero is
/// not the current one but before any compaction.
fn check_range(moment: &Moment<'_>, request: &RangeRequest) -> Result<(), Error> {
    sorting(request)?;
    if request.revision != 0 && request.revision < moment.status.compacted {
        return Err(Error::Compacted);
    }
    moment.status.revision_to_read(request.revision).map(|_| ())
}
