//! Members that do not belong together: both sides say so, and neither follows the other.

use std::time::Duration;

use quorate_client::PutOptions;

use crate::support::cluster::{Cluster, READY};

#[test]
fn of_two_clusters() {
    let mut cluster = Cluster::new(2);
    cluster.members[1].token = "another".into();
    for member in &mut cluster.members {
        member.start();
    }
    for member in &mut cluster.members {
        let stderr = &member.process().stderr;
        let refused = stderr.wait_for("a caller at the peer URL was refused");
        assert!(refused.contains("ERROR") && refused.contains("cluster id "), "{refused}");
        let refused = stderr.wait_for("a peer refused this member");
        for text in
            ["ERROR", "cluster id ", "--initial-cluster-token must be the same on all members"]
        {
            assert!(refused.contains(text), "'{text}' is missing: {refused}");
        }
    }
    neither_serves(&mut cluster);
}

#[test]
fn with_swapped_urls() {
    // The second member believes that it is reached where the first one listens, and the other way
    // round.
    let mut cluster = Cluster::new(2);
    let (first, second) = (cluster.members[0].peer_port, cluster.members[1].peer_port);
    cluster.members[0].peer_listener_port = second;
    cluster.members[1].peer_listener_port = first;
    for member in &mut cluster.members {
        member.start();
    }
    for member in &mut cluster.members {
        let stderr = &member.process().stderr;
        let refused = stderr.wait_for("a caller at the peer URL was refused");
        assert!(refused.contains("ERROR") && refused.contains("this is member "), "{refused}");
        let refused = stderr.wait_for("a peer refused this member");
        for text in
            ["ERROR", "this is member ", "a peer URL in --initial-cluster leads to the wrong"]
        {
            assert!(refused.contains(text), "'{text}' is missing: {refused}");
        }
    }
    neither_serves(&mut cluster);
}

/// Without a majority nothing is agreed on, and a signal still ends the members in order.
fn neither_serves(cluster: &mut Cluster) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = cluster.members[0].client(Duration::from_secs(1));
        client.put("k", "v", PutOptions::new()).await.expect_err("there is no majority");
    });
    for member in &mut cluster.members {
        assert!(!member.process().stderr.text().contains(READY));
        assert!(member.stop().success());
    }
}
