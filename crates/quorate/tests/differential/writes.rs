//! By hand: puts and removals.

use quorate_proto::etcdserverpb::{DeleteRangeRequest, PutRequest};
use tonic::Code;

use super::build::{delete, delete_range, get, put, range};
use super::session::Session;

/// Every option of a put, and every error.
pub(crate) async fn puts(s: &mut Session) {
    s.refused(put("", "v"), Code::InvalidArgument, "key is not provided").await;
    s.accepted(put("k", "1")).await;
    s.accepted(put("k", "1")).await;
    s.accepted(PutRequest { prev_kv: true, ..put("k", "2") }).await;
    s.accepted(PutRequest { prev_kv: true, ..put("new", "") }).await;
    s.accepted(get("k")).await;
    s.accepted(get("new")).await;

    for value in [&b""[..], b"\0", b"\xff\xfe\x00\x01", "größer".as_bytes()] {
        for key in [&b"\0"[..], b"\0\0", b"\xff", b"\xff\xff", b"k\0", b"\x80\x00"] {
            s.accepted(PutRequest { prev_kv: true, ..put(key, value) }).await;
            s.accepted(get(key)).await;
        }
    }

    let keep_value = |key| PutRequest { ignore_value: true, prev_kv: true, ..put(key, "") };
    s.accepted(keep_value("k")).await;
    s.accepted(get("k")).await;
    s.accepted(keep_value("new")).await;
    let missing = "key not found";
    s.refused(keep_value("missing"), Code::InvalidArgument, missing).await;
    let both = PutRequest { ignore_value: true, ..put("k", "v") };
    s.refused(both, Code::InvalidArgument, "value is provided").await;
    let both = PutRequest { ignore_value: true, ..put("", "v") };
    s.refused(both, Code::InvalidArgument, "key is not provided").await;

    let keep_lease = |key, value| PutRequest { ignore_lease: true, ..put(key, value) };
    s.accepted(keep_lease("k", "3")).await;
    s.accepted(keep_lease("k", "")).await;
    s.refused(keep_lease("missing", "3"), Code::InvalidArgument, missing).await;
    let both = PutRequest { lease: 5, ..keep_lease("k", "3") };
    s.refused(both.clone(), Code::InvalidArgument, "lease is provided").await;
    let all = PutRequest { ignore_value: true, ..both };
    s.refused(all, Code::InvalidArgument, "value is provided").await;
    let neither = PutRequest { ignore_lease: true, ..keep_value("k") };
    s.accepted(neither.clone()).await;
    let neither = PutRequest { key: "missing".into(), ..neither };
    s.refused(neither, Code::InvalidArgument, missing).await;

    for lease in [1, -1, i64::MAX, i64::MIN] {
        let leased = PutRequest { lease, ..put("k", "4") };
        s.refused(leased.clone(), Code::NotFound, "requested lease not found").await;
        let kept = PutRequest { ignore_value: true, lease, ..put("missing", "") };
        s.refused(kept, Code::NotFound, "requested lease not found").await;
    }
    // None of the refused left a trace.
    s.accepted(range("\0", "\0")).await;
}

/// Every form of a removal.
pub(crate) async fn removals(s: &mut Session) {
    s.refused(delete(""), Code::InvalidArgument, "key is not provided").await;
    s.refused(delete_range("", "z"), Code::InvalidArgument, "key is not provided").await;
    s.accepted(delete("missing")).await;
    s.accepted(delete_range("l", "m")).await;
    fill(s).await;
    s.accepted(DeleteRangeRequest { prev_kv: false, ..delete("d1") }).await;
    s.accepted(delete("d1")).await;
    s.accepted(get("d1")).await;
    // Ends before it begins, or where it begins.
    s.accepted(delete_range("d3", "d2")).await;
    s.accepted(delete_range("d3", "d3")).await;
    s.accepted(delete_range("d3", "d3\0")).await;
    s.accepted(delete_range("d", "d5")).await;
    s.accepted(DeleteRangeRequest { prev_kv: false, ..delete_range("d5", "d7") }).await;
    s.accepted(delete_range("d8", "\0")).await;
    s.accepted(range("\0", "\0")).await;
    // A key that comes back begins anew.
    s.accepted(PutRequest { prev_kv: true, ..put("d1", "again") }).await;
    s.accepted(put("d1", "and again")).await;
    s.accepted(get("d1")).await;
    fill(s).await;
    s.accepted(delete_range("\0", "\0")).await;
    s.accepted(delete_range("\0", "\0")).await;
    s.accepted(range("\0", "\0")).await;
}

async fn fill(s: &mut Session) {
    for digit in b'0'..=b'9' {
        s.accepted(put([b'd', digit], [digit])).await;
    }
}
