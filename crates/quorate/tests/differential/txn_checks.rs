//! By hand: what is wrong with a transaction whatever the state.

use quorate_proto::etcdserverpb::{PutRequest, RangeRequest, RequestOp, TxnRequest};
use tonic::Code;

use super::build::{
    all, delete, delete_range, exists, get, is_missing, nothing, op, put, range, txn,
};
use super::session::Session;

const DUPLICATE: &str = "duplicate key given in txn request";
const TOO_MANY: &str = "too many operations in txn request";

/// Operations that would be refused alone, in both branches and further inside.
pub(crate) async fn operations(s: &mut Session) {
    let wrong = [
        (nothing(), "key not found"),
        (op(get("")), "key is not provided"),
        (op(put("", "v")), "key is not provided"),
        (op(delete("")), "key is not provided"),
        (op(PutRequest { ignore_value: true, ..put("k", "v") }), "value is provided"),
        (op(PutRequest { ignore_lease: true, lease: 1, ..put("k", "v") }), "lease is provided"),
        (op(txn([exists("")], [], [])), "key is not provided"),
    ];
    for (wrong, text) in wrong {
        let wrong = || wrong.clone();
        for request in [
            all([wrong()]),
            txn([exists("c1")], [op(put("good", ""))], [wrong()]),
            all([op(get("c1")), op(all([wrong()]))]),
            all([op(txn([], [], [op(txn([], [], [wrong()]))]))]),
        ] {
            s.refused(request, Code::InvalidArgument, text).await;
        }
    }
    for (sort_order, sort_target) in [(7, 0), (0, 9)] {
        let unsorted = RangeRequest { sort_order, sort_target, ..range("c", "d") };
        s.ask(all([op(unsorted.clone())])).await;
        s.ask(txn([exists("c1")], [op(put("good", ""))], [op(unsorted)])).await;
    }
}

/// At most 128 operations, and inside at most what is left.
pub(crate) async fn counts(s: &mut Session) {
    let puts = |count: usize| (0..count).map(|number| op(put(format!("m{number:03}"), "")));
    let gets = |count: usize| (0..count).map(|number| op(get(format!("m{number:03}"))));
    let compares =
        |count: usize| TxnRequest { compare: vec![exists("c1"); count], ..TxnRequest::default() };
    let failures = |count: usize| TxnRequest { failure: gets(count).collect(), ..compares(1) };
    let inside = |outer: usize, inner: TxnRequest| all(gets(outer - 1).chain([op(inner)]));
    for request in [
        all(puts(128)),
        all(gets(128)),
        compares(128),
        failures(128),
        TxnRequest { failure: gets(128).collect(), success: puts(128).collect(), ..compares(128) },
        inside(1, all(puts(127))),
        inside(64, all(puts(64))),
        inside(127, all(gets(1))),
        inside(128, all([])),
        inside(64, inside(32, all(gets(32)))),
        inside(126, inside(1, inside(1, all([])))),
    ] {
        s.accepted(request).await;
    }
    for request in [
        all(puts(129)),
        all(gets(129)),
        compares(129),
        failures(129),
        inside(1, all(puts(128))),
        inside(64, all(puts(65))),
        inside(127, compares(2)),
        inside(128, all(gets(1))),
        inside(64, inside(32, all(gets(33)))),
        inside(128, compares(1)),
        // Counted along the longest of the three lists, not along the one that it stands in.
        TxnRequest { failure: vec![op(all(puts(1)))], ..compares(128) },
    ] {
        s.refused(request, Code::InvalidArgument, TOO_MANY).await;
    }
}

/// Keys set twice, or set and removed: refused where both could happen.
pub(crate) async fn duplicates(s: &mut Session) {
    let set = || op(put("k", ""));
    let inner = |success: Vec<RequestOp>, failure: Vec<RequestOp>| {
        op(TxnRequest { compare: vec![is_missing("k")], success, failure })
    };
    let duplicates: [Vec<RequestOp>; 18] = [
        vec![set(), set()],
        vec![set(), op(delete("k"))],
        vec![op(delete("k")), set()],
        vec![set(), op(delete_range("j", "l"))],
        vec![set(), op(delete_range("k", "l"))],
        vec![set(), op(delete_range("k", "k\0"))],
        vec![set(), op(delete_range("\0", "\u{7f}"))],
        vec![set(), inner(vec![set()], vec![])],
        vec![set(), inner(vec![], vec![set()])],
        vec![inner(vec![set()], vec![]), set()],
        vec![inner(vec![set()], vec![]), inner(vec![set()], vec![])],
        vec![inner(vec![set()], vec![]), inner(vec![], vec![set()])],
        vec![inner(vec![set(), set()], vec![])],
        vec![inner(vec![inner(vec![set()], vec![])], vec![]), set()],
        vec![op(delete("k")), inner(vec![set()], vec![])],
        vec![op(delete("k")), inner(vec![], vec![inner(vec![], vec![set()])])],
        vec![inner(vec![op(delete("k"))], vec![]), set()],
        vec![inner(vec![op(delete("k"))], vec![]), inner(vec![], vec![set()])],
    ];
    for ops in duplicates {
        s.refused(all(ops.clone()), Code::InvalidArgument, DUPLICATE).await;
        let request = TxnRequest { failure: ops, ..TxnRequest::default() };
        s.refused(request, Code::InvalidArgument, DUPLICATE).await;
    }
    let allowed: [Vec<RequestOp>; 11] = [
        vec![set(), op(put("k\0", ""))],
        vec![op(delete("k")), op(delete("k")), op(delete_range("j", "l"))],
        vec![set(), op(delete_range("j", "k"))],
        vec![set(), op(delete_range("k\0", "l"))],
        vec![set(), op(delete_range("l", "j"))],
        vec![set(), op(delete_range("j", "\0"))],
        vec![set(), op(get("k")), op(range("j", "l"))],
        vec![inner(vec![set()], vec![set()])],
        vec![inner(vec![set()], vec![op(delete("k"))])],
        vec![inner(vec![op(delete("k"))], vec![set()])],
        vec![inner(vec![set()], vec![]), inner(vec![op(delete("k"))], vec![])],
    ];
    for ops in allowed {
        s.accepted(all(ops.clone())).await;
        s.accepted(txn([exists("k")], [op(inner_of(ops.clone()))], [])).await;
        s.accepted(range("k", "l")).await;
        let success = vec![op(delete("k"))];
        s.accepted(TxnRequest { compare: vec![exists("k")], success, failure: ops }).await;
    }
}

fn inner_of(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success, ..TxnRequest::default() }
}

/// Which of several errors is told.
pub(crate) async fn the_first_error(s: &mut Session) {
    let future = || op(RangeRequest { revision: i64::MAX, ..get("c1") });
    let past = || op(RangeRequest { revision: 1, ..get("c1") });
    let leased = || op(PutRequest { lease: 5, ..put("k1", "") });
    let keeping = || op(PutRequest { ignore_value: true, ..put("missing", "") });
    let both = || op(PutRequest { ignore_value: true, lease: 5, ..put("missing", "") });
    let duplicate = || [op(put("k", "")), op(put("k", ""))];
    let [first, second] = duplicate();
    for request in [
        // Found in the request before any in the state, and the shape before duplicates.
        all(duplicate().into_iter().chain([nothing()])),
        all(duplicate().into_iter().chain([future()])),
        txn([exists("")], [nothing()], []),
        txn([], [op(get(""))], [nothing()]),
        txn([], [first.clone(), second.clone()], [nothing()]),
        txn([exists("c1")], [future()], [first, second]),
        all((0..129).map(|_| nothing())),
        all([op(all((0..128).map(|_| nothing())))]),
        all([nothing(), op(all((0..128).map(|_| nothing())))]),
        // Found in the state: which comes first, by kind or by place?
        all([future(), keeping()]),
        all([keeping(), future()]),
        all([past(), leased()]),
        all([leased(), past()]),
        all([leased(), keeping()]),
        all([keeping(), leased()]),
        all([both()]),
        all([future(), past()]),
        all([past(), future()]),
        all([op(all([future()])), keeping()]),
        all([future(), op(all([leased()]))]),
        all([op(put("k2", "")), future(), op(all([op(all([both()]))]))]),
    ] {
        s.ask(request).await;
    }
    s.accepted(range("k", "l")).await;
}
