//! By hand: reads.

use quorate_proto::etcdserverpb::RangeRequest;
use tonic::Code;

use super::build::{compact, delete, get, put, range};
use super::session::Session;

const COMPACTED: &str = "mvcc: required revision has been compacted";
const FUTURE: &str = "mvcc: required revision is a future revision";

/// Every form of a range, with and without values, from the leader's state and a member's own.
pub(crate) async fn forms(s: &mut Session) {
    s.refused(get(""), Code::InvalidArgument, "key is not provided").await;
    s.refused(range("", "\0"), Code::InvalidArgument, "key is not provided").await;
    fill(s).await;
    let forms: [(&[u8], &[u8]); 16] = [
        (b"r1", b""),
        (b"missing", b""),
        (b"r", b"s"),
        (b"r1", b"r3"),
        (b"r1", b"r1\0"),
        (b"r1", b"r1"),
        (b"r3", b"r1"),
        (b"r3", b"\0"),
        (b"r3", b"\0\0"),
        (b"\0", b"\0"),
        (b"\0", b"r2"),
        (b"\0", b"\xff"),
        (b"\xff", b"\0"),
        (b"r\xff", b"r\xff\xff"),
        (b"r\xff", b""),
        (b"x", b"z"),
    ];
    for (key, range_end) in forms {
        for choice in 0..16 {
            let has = |bit: i32| choice >> bit & 1 == 1;
            let request = RangeRequest {
                keys_only: has(0),
                count_only: has(1),
                serializable: has(2),
                limit: if has(3) { 2 } else { 0 },
                ..range(key, range_end)
            };
            s.accepted(request).await;
        }
    }
}

/// Limits at and around the number of keys.
pub(crate) async fn limits(s: &mut Session) {
    for limit in [0, 1, 2, 5, 6, 7, 8, 100, i64::MAX, -1, -7, i64::MIN] {
        s.accepted(RangeRequest { limit, ..range("r", "s") }).await;
        s.accepted(RangeRequest { limit, ..get("r1") }).await;
        s.accepted(RangeRequest { limit, count_only: true, ..range("r", "s") }).await;
        s.accepted(RangeRequest { limit, keys_only: true, ..range("\0", "\0") }).await;
        let sorted = RangeRequest { limit, sort_order: 2, sort_target: 3, ..range("r", "s") };
        s.accepted(sorted).await;
    }
}

/// Every order of every target.
pub(crate) async fn sortings(s: &mut Session) {
    for sort_order in 0..=2 {
        for sort_target in 0..=4 {
            for limit in [0, 1, 3, 20] {
                let request = RangeRequest { sort_order, sort_target, limit, ..range("r", "s") };
                s.accepted(request.clone()).await;
                s.accepted(RangeRequest { keys_only: true, ..request.clone() }).await;
                s.accepted(RangeRequest { count_only: true, ..request.clone() }).await;
                s.accepted(RangeRequest { max_mod_revision: s.revision() - 2, ..request }).await;
            }
            s.accepted(RangeRequest { sort_order, sort_target, ..get("r1") }).await;
        }
    }
    for (sort_order, sort_target) in [(3, 0), (7, 0), (-1, 1), (0, 5), (1, 9), (2, -1), (7, 7)] {
        let request = RangeRequest { sort_order, sort_target, ..range("r", "s") };
        s.ask(request).await;
        s.ask(RangeRequest { sort_order, sort_target, ..range("", "s") }).await;
        s.ask(RangeRequest { sort_order, sort_target, revision: i64::MAX, ..get("r") }).await;
    }
}

/// Now, then, and when it was not yet.
pub(crate) async fn revisions(s: &mut Session) {
    let first = s.revision() + 1;
    s.accepted(put("h", "1")).await;
    s.accepted(put("h", "2")).await;
    s.accepted(delete("h")).await;
    s.accepted(put("h", "3")).await;
    s.accepted(put("hh", "1")).await;
    let last = s.revision();
    for revision in first - 1..=last {
        for (key, range_end) in [("h", ""), ("h", "i"), ("\0", "\0")] {
            let request = RangeRequest { revision, ..range(key, range_end) };
            s.accepted(request.clone()).await;
            s.accepted(RangeRequest { count_only: true, limit: 1, ..request.clone() }).await;
            s.accepted(RangeRequest { serializable: true, limit: 1, ..request }).await;
        }
    }
    for revision in [1, -1, -2, i64::MIN] {
        s.accepted(RangeRequest { revision, ..range("h", "i") }).await;
    }
    for revision in [last + 1, last + 2, i64::MAX] {
        let request = RangeRequest { revision, ..get("h") };
        s.refused(request.clone(), Code::OutOfRange, FUTURE).await;
        s.refused(RangeRequest { count_only: true, ..request }, Code::OutOfRange, FUTURE).await;
    }
    s.accepted(compact(first + 1)).await;
    for revision in [1, 2, first] {
        let request = RangeRequest { revision, ..range("h", "i") };
        s.refused(request.clone(), Code::OutOfRange, COMPACTED).await;
        s.refused(RangeRequest { count_only: true, ..request }, Code::OutOfRange, COMPACTED).await;
        let own = RangeRequest { revision, serializable: true, ..get("missing") };
        s.refused(own, Code::OutOfRange, COMPACTED).await;
    }
    for revision in [-1, first + 1, first + 2, first + 3, last] {
        s.accepted(RangeRequest { revision, ..range("h", "i") }).await;
        s.accepted(RangeRequest { revision, ..range("\0", "\0") }).await;
    }
}

/// Smallest and largest revisions, alone and together.
pub(crate) async fn filters(s: &mut Session) {
    let now = s.revision();
    for bound in [now, now - 3, now - 8, 1, now + 1, -1, i64::MAX, i64::MIN] {
        for choice in 1..16 {
            let bound = |bit: i32| if choice >> bit & 1 == 1 { bound } else { 0 };
            let request = RangeRequest {
                min_mod_revision: bound(0),
                max_mod_revision: bound(1),
                min_create_revision: bound(2),
                max_create_revision: bound(3),
                ..range("\0", "\0")
            };
            s.accepted(request.clone()).await;
            if choice < 4 {
                s.accepted(RangeRequest { limit: 2, ..request.clone() }).await;
                s.accepted(RangeRequest { count_only: true, limit: 1, ..request.clone() }).await;
                s.accepted(RangeRequest { sort_target: 3, limit: 2, ..request }).await;
            }
        }
    }
}

/// Keys whose order differs by target, none of them sorted like another.
async fn fill(s: &mut Session) {
    for (key, value) in [("r4", "b"), ("r1", "d"), ("r3", "a"), ("r\u{0}", ""), ("r2", "c")] {
        s.accepted(put(key, value)).await;
    }
    s.accepted(put(b"r\xff", b"\xff\x00")).await;
    for (key, times) in [("r3", 2), ("r1", 4), ("r\u{0}", 3)] {
        for time in 0..times {
            s.accepted(put(key, format!("e{time}"))).await;
        }
    }
}
