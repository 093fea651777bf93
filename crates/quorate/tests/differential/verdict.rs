//! Whether two answers are the same, and the few ways in which they need not be.

use bytes::Bytes;
use prost::Message;
use quorate_proto::etcdserverpb::range_request::SortTarget;
use quorate_proto::etcdserverpb::request_op::Request as Op;
use quorate_proto::etcdserverpb::response_op::Response as OpAnswer;
use quorate_proto::etcdserverpb::{
    RangeRequest, RangeResponse, RequestOp, TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;

use super::target::{Answer, Request};

/// Why an answer need not be etcd's. There are no other reasons: what is not explained here is a
/// failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exception {
    /// See [`why`](Self::why), here and below.
    Ties,
    SortOption,
    Envelope,
    OpenRemoval,
}

impl Exception {
    /// What is different, and the reason.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::Ties => {
                "pairs that a sort finds equal may come in any order, and the limit may leave any \
                 of them: etcd sorts with an algorithm that is not stable, quorate with one that is"
            }
            Self::SortOption => {
                "a sort order or target that does not exist is refused by quorate and by new \
                 releases of etcd; older ones ignore such an order and crash on such a target, so \
                 they are not asked"
            }
            Self::Envelope => {
                "the last 64 bytes below the limit on requests are not tried: both add an envelope \
                 of their own before they measure, and the envelopes differ by some bytes"
            }
            Self::OpenRemoval => {
                "a transaction that removes a range which is open or ends before its first key, \
                 and sets some key, is not asked if there are other removals or kept values in \
                 it: such a range confuses the tree in which etcd looks for keys both set and \
                 removed, and etcd crashes where a put finds nothing to keep because of it"
            }
        }
    }
}

/// How two answers compare.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    Excused(Exception),
    Different,
}

/// Compares etcd's answer with ours.
pub(crate) fn compare(request: &Request, theirs: &Answer, ours: &Answer) -> Verdict {
    if theirs == ours {
        return Verdict::Same;
    }
    let (mut theirs, mut ours) = (theirs.clone(), ours.clone());
    untie(request, &mut theirs);
    untie(request, &mut ours);
    if theirs == ours { Verdict::Excused(Exception::Ties) } else { Verdict::Different }
}

/// The largest request by default.
pub(crate) const REQUEST_BYTES_MAX: usize = 1_572_864;

/// Why a request is asked of nobody, if so.
pub(crate) fn not_asked(request: &Request) -> Option<Exception> {
    let bytes = match request {
        Request::Range(request) => request.encoded_len(),
        Request::Put(request) => request.encoded_len(),
        Request::DeleteRange(request) => request.encoded_len(),
        Request::Txn(request) => request.encoded_len(),
        Request::Compact(request) => request.encoded_len(),
    };
    if (REQUEST_BYTES_MAX - 64..=REQUEST_BYTES_MAX).contains(&bytes) {
        return Some(Exception::Envelope);
    }
    let Request::Txn(request) = request else { return None };
    let confuses = |ops: &[RequestOp]| {
        let mut writes = Writes::default();
        writes.count(ops);
        let Writes { puts, keeping_puts, removals, open_removals } = writes;
        open_removals > 0 && puts > 0 && (removals > 1 || keeping_puts > 0)
    };
    (confuses(&request.success) || confuses(&request.failure)).then_some(Exception::OpenRemoval)
}

/// The writes in a list of operations, inner transactions' too.
#[derive(Default)]
struct Writes {
    puts: usize,
    keeping_puts: usize,
    removals: usize,
    open_removals: usize,
}

impl Writes {
    fn count(&mut self, ops: &[RequestOp]) {
        for op in ops {
            match &op.request {
                Some(Op::RequestPut(put)) => {
                    self.puts += 1;
                    self.keeping_puts += usize::from(put.ignore_value || put.ignore_lease);
                }
                Some(Op::RequestDeleteRange(removal)) => {
                    self.removals += 1;
                    let is_open = !removal.range_end.is_empty() && removal.range_end <= removal.key;
                    self.open_removals += usize::from(is_open);
                }
                Some(Op::RequestTxn(inner)) => {
                    self.count(&inner.success);
                    self.count(&inner.failure);
                }
                Some(Op::RequestRange(_)) | None => {}
            }
        }
    }
}

/// Whether a request names a sorting that does not exist, in whichever branch.
pub(crate) fn has_unknown_sorting(request: &Request) -> bool {
    fn range(request: &RangeRequest) -> bool {
        !(0..=2).contains(&request.sort_order) || !(0..=4).contains(&request.sort_target)
    }
    fn txn(request: &TxnRequest) -> bool {
        request.success.iter().chain(&request.failure).any(|RequestOp { request }| match request {
            Some(Op::RequestRange(request)) => range(request),
            Some(Op::RequestTxn(request)) => txn(request),
            Some(Op::RequestPut(_) | Op::RequestDeleteRange(_)) | None => false,
        })
    }
    match request {
        Request::Range(request) => range(request),
        Request::Txn(request) => txn(request),
        Request::Put(_) | Request::DeleteRange(_) | Request::Compact(_) => false,
    }
}

/// Brings pairs that a sort found equal into one order.
fn untie(request: &Request, answer: &mut Answer) {
    match (request, answer) {
        (Request::Range(request), Answer::Range(answer)) => untie_range(request, answer),
        (Request::Txn(request), Answer::Txn(answer)) => untie_txn(request, answer),
        _ => {}
    }
}

fn untie_txn(request: &TxnRequest, answer: &mut TxnResponse) {
    let ops = if answer.succeeded { &request.success } else { &request.failure };
    for (op, answer) in ops.iter().zip(&mut answer.responses) {
        match (&op.request, &mut answer.response) {
            (Some(Op::RequestRange(request)), Some(OpAnswer::ResponseRange(answer))) => {
                untie_range(request, answer);
            }
            (Some(Op::RequestTxn(request)), Some(OpAnswer::ResponseTxn(answer))) => {
                untie_txn(request, answer);
            }
            _ => {}
        }
    }
}

fn untie_range(request: &RangeRequest, answer: &mut RangeResponse) {
    let rank = |pair: &KeyValue| -> (i64, Bytes) {
        match request.sort_target() {
            SortTarget::Key => (0, pair.key.clone()),
            SortTarget::Version => (pair.version, Bytes::new()),
            SortTarget::Create => (pair.create_revision, Bytes::new()),
            SortTarget::Mod => (pair.mod_revision, Bytes::new()),
            // Without the values one cannot tell: then all are equal.
            SortTarget::Value => (0, pair.value.clone()),
        }
    };
    if answer.more {
        // Any of those that equal the last one may have been left out for another.
        let last = answer.kvs.last().map(rank);
        for pair in answer.kvs.iter_mut().rev().take_while(|pair| Some(rank(pair)) == last) {
            *pair = KeyValue { key: Bytes::from_static(b"one of several"), ..KeyValue::default() };
        }
    }
    for run in answer.kvs.chunk_by_mut(|left, right| rank(left) == rank(right)) {
        run.sort_by(|left, right| left.key.cmp(&right.key));
    }
}
