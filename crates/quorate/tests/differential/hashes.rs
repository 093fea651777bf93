//! The hash of the content: not the number, which is each one's own, but which revisions have one,
//! and what is said with it.

use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{DefragmentRequest, HashKvRequest, HashRequest};
use tonic::Code;

use super::build::{compact, delete, put};
use super::session::Session;
use crate::support_etcd::{Servers, channel};

/// What is said besides the hash.
type Said = Result<(i64, i64), (Code, String)>;

/// Hashes around the compacted and the current revision.
pub(crate) async fn revisions(s: &mut Session) {
    for request in [put("h1", "1"), put("h2", "1"), put("h1", "2")] {
        s.accepted(request).await;
    }
    s.accepted(delete("h2")).await;
    s.accepted(put("h2", "3")).await;
    let now = s.revision();
    s.accepted(compact(now - 3)).await;
    // At the compacted revision itself 3.5 has none, 3.6 and quorate have one.
    let asked = [0, now, now - 1, now - 2, now - 4, 1, now + 1, i64::MAX];
    let mut hashes = Vec::new();
    for revision in asked {
        let (_, theirs) = hash_kv(&s.etcd, revision).await;
        let (hash, ours) = hash_kv(&s.single, revision).await;
        assert_eq!(ours, theirs, "the hash at {revision}, with {now} the current one");
        hashes.push(hash);
    }
    assert_eq!(hashes[0], hashes[1], "0 is the current one");
    assert!(hashes[1] != hashes[2] && hashes[2] != hashes[3], "{hashes:?}");
    for servers in [&s.etcd, &s.single] {
        let mut client = MaintenanceClient::new(channel(&servers.urls[0]).await.unwrap());
        let answer = client.hash(HashRequest {}).await.unwrap().into_inner();
        assert_eq!(answer.header.unwrap().revision, now);
        let answer = client.defragment(DefragmentRequest {}).await.unwrap().into_inner();
        assert_eq!(answer.header, None);
    }
}

async fn hash_kv(servers: &Servers, revision: i64) -> (u32, Said) {
    let mut client = MaintenanceClient::new(channel(&servers.urls[0]).await.unwrap());
    match client.hash_kv(HashKvRequest { revision }).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            (answer.hash, Ok((answer.header.unwrap().revision, answer.compact_revision)))
        }
        Err(status) => (0, Err((status.code(), status.message().to_owned()))),
    }
}
