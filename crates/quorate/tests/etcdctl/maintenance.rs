//! What operators do now and then: hashes, snapshots, defragmentation.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::ctl::Ctl;
use crate::support_etcd::{Servers, without_settings};

/// The hash of each member, which is the same of all at one revision.
pub(crate) fn hashes(ctl: &Ctl, servers: &Servers) {
    assert_eq!(ctl.says(&["put", "hashed", "1"]), "OK\n");
    let revision = ctl.json(&["get", "hashed"])["header"]["revision"].as_i64().unwrap();
    assert_eq!(ctl.says(&["put", "hashed", "2"]), "OK\n");
    // A member that is behind says that the revision is to come; a read at each brings it up.
    for url in &servers.urls {
        assert_eq!(ctl.at(url).says(&["get", "hashed"]), "hashed\n2\n");
    }
    let at = |revision: i64| {
        let answer = ctl.json(&["endpoint", "hashkv", "--rev", &revision.to_string()]);
        let all = answer.as_array().unwrap().clone();
        assert_eq!(all.len(), servers.urls.len());
        for one in &all {
            let [first, hash] = [&all[0]["HashKV"], &one["HashKV"]];
            assert_eq!(hash["hash"], first["hash"], "{answer}");
            assert_eq!(hash["compact_revision"], first["compact_revision"], "{answer}");
            assert_eq!(hash["header"]["revision"], revision.max(first_revision(first)), "{answer}");
        }
        all[0]["HashKV"]["hash"].as_u64().unwrap()
    };
    let (before, after) = (at(revision), at(revision + 1));
    assert_ne!(before, after);
    assert_eq!((at(revision), at(0)), (before, after));
    let text = ctl.says(&["endpoint", "hashkv"]);
    assert_eq!(text.lines().count(), servers.urls.len(), "{text}");
    let one = ctl.at(&servers.urls[0]);
    let error = one.fails(&["endpoint", "hashkv", "--rev", &(revision + 2).to_string()]);
    assert!(error.contains("etcdserver: mvcc: required revision is a future revision"), "{error}");
}

fn first_revision(hash: &Value) -> i64 {
    hash["header"]["revision"].as_i64().unwrap()
}

/// A snapshot of each member comes whole. Ours is one that we read.
pub(crate) fn snapshots(ctl: &Ctl, servers: &Servers, is_ours: bool) {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(ctl.says(&["put", "kept", &"v".repeat(100_000)]), "OK\n");
    for (number, url) in servers.urls.iter().enumerate() {
        let file = directory.path().join(number.to_string());
        let path = file.to_str().unwrap();
        let text = ctl.at(url).says_anywhere(&["snapshot", "save", path]);
        assert!(text.contains(&format!("Snapshot saved at {path}")), "{text}");
        assert!(fs::metadata(&file).unwrap().len() % 512 == 32);
        if is_ours {
            let mut quorate = Command::new(env!("CARGO_BIN_EXE_quorate"));
            without_settings(&mut quorate);
            let output = quorate.args(["snapshot", "status", "-w", "json", path]).output().unwrap();
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{error}");
            let status: Value = serde_json::from_slice(&output.stdout).unwrap();
            let hash = &ctl.at(url).json(&["endpoint", "hashkv"])[0]["HashKV"];
            assert_eq!(status["revision"], hash["header"]["revision"]);
            assert_eq!(status["hash"], hash["hash"], "the file has what the member has");
            let cluster = hash["header"]["cluster_id"].as_u64().unwrap();
            assert_eq!(status["cluster"], format!("{cluster:x}"));
        }
    }
}

/// There is nothing to be done, and it is done.
pub(crate) fn defragmentation(ctl: &Ctl, servers: &Servers) {
    let text = ctl.says_anywhere(&["defrag"]);
    let done = "Finished defragmenting etcd member";
    assert_eq!(text.matches(done).count(), servers.urls.len(), "{text}");
}
