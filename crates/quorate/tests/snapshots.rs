//! Real members take snapshots, forget their logs, and get the snapshots of others.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

#[cfg(test)]
mod support;

use std::fs;
use std::path::Path;

use quorate_client::{Client, CompactOptions, PutOptions, RangeOptions};
use support::cluster::{Cluster, Member};
use support::process::PATIENCE;
use tokio::runtime::{Builder, Runtime};

/// Values so long that a few dozen of them fill a segment of the log.
const VALUE_BYTES: usize = 1024 * 1024;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A cluster whose members take a snapshot every few megabytes and keep no log behind it.
fn eager(count: usize) -> Cluster {
    let mut cluster = Cluster::new(count);
    for member in &mut cluster.members {
        let settings = ["QUORATE_SNAPSHOT_LOG_BYTES=8000000", "QUORATE_SNAPSHOT_TRAILING_BYTES=0"];
        member.wrapper = ["env"].into_iter().chain(settings).map(str::to_owned).collect();
    }
    cluster
}

/// Overwrites a few keys again and again, and forgets their history: the log grows, the state does
/// not.
async fn write(client: &Client, from: usize, count: usize) {
    for number in from..from + count {
        let value = format!("{number:08}").repeat(VALUE_BYTES / 8);
        let put = client.put(format!("key{}", number % 4), value, PutOptions::new());
        let put = put.await.expect("a majority is there");
        if number % 8 == 7 {
            let revision = put.header.expect("answers have a header").revision;
            let compacted = client.compact(revision, CompactOptions::new()).await;
            compacted.expect("the revision is the newest");
        }
    }
}

/// The last writes, as `member` has them.
async fn holds(member: &Member, last: usize) {
    let client = member.client(PATIENCE);
    let answer = client.get("key", RangeOptions::new().prefix().serializable()).await.unwrap();
    let numbers: Vec<usize> = answer
        .kvs
        .iter()
        .map(|kv| std::str::from_utf8(&kv.value[..8]).unwrap().parse().unwrap())
        .collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (last - 3..=last).collect::<Vec<_>>(), "{}", member.name);
}

fn bytes_of(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// One was away while the others wrote more than their logs hold. It comes back by itself, through
/// a snapshot, and so does the whole cluster after a loss of power.
#[test]
fn who_was_away_for_long_comes_back_by_itself() {
    let mut cluster = eager(3);
    cluster.start_all();
    let runtime = runtime();
    let leader = runtime.block_on(cluster.leader());
    let away = (leader + 1) % 3;
    let client = cluster.members[leader].client(PATIENCE);
    runtime.block_on(write(&client, 0, 8));
    cluster.members[away].kill();
    runtime.block_on(write(&client, 8, 112));
    let held = bytes_of(&cluster.members[leader].data_dir);
    assert!(held < 100 << 20, "120 MiB were written, and {held} bytes are still there");
    cluster.members[away].start();
    let said = &cluster.members[away].process().stderr;
    said.wait_for("took in another member's snapshot");
    cluster.members[away].wait_until_ready();
    runtime.block_on(holds(&cluster.members[away], 119));
    // It takes part again, and starts again from what it was sent.
    runtime.block_on(write(&client, 120, 4));
    for member in &mut cluster.members {
        member.kill();
    }
    cluster.start_all();
    for member in &cluster.members {
        runtime.block_on(holds(member, 123));
    }
    for member in &mut cluster.members {
        assert!(member.stop().success());
    }
}
