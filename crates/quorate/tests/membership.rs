//! Real members are added, promoted, moved and removed while clients work.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

#[cfg(test)]
mod support;

use std::time::Duration;

use quorate_client::MemberListOptions;
use support::cluster::{Cluster, Member};
use support::ports;
use support::process::{self, Outcome, PATIENCE};
use support::scene::{ACKS_BETWEEN, Scene};
use tokio::runtime::{Builder, Runtime};

fn endpoints(members: &[Member]) -> String {
    members.iter().map(Member::client_url).collect::<Vec<_>>().join(",")
}

fn quorate(members: &[Member], arguments: &[&str]) -> Outcome {
    let endpoints = endpoints(members);
    process::run(&[&["--endpoints", &endpoints], arguments].concat())
}

/// Runs a command that must succeed; what it prints.
fn says(members: &[Member], arguments: &[&str]) -> String {
    let outcome = quorate(members, arguments);
    assert_eq!(outcome.code, Some(0), "{arguments:?}: {}", outcome.stderr);
    outcome.stdout
}

/// Runs a command that must fail; what it says.
fn fails(members: &[Member], arguments: &[&str]) -> String {
    let outcome = quorate(members, arguments);
    assert_eq!(outcome.code, Some(1), "{arguments:?}: {}", outcome.stdout);
    outcome.stderr
}

/// A member that is to take the place of `old`: not added yet, with nothing on its disk.
fn newcomer(name: &str, old: &Member) -> Member {
    let port = ports::free();
    Member {
        name: name.into(),
        client_port: ports::free(),
        peer_port: port,
        peer_listener_port: port,
        data_dir: old.data_dir.with_file_name(name),
        initial_cluster: String::new(),
        token: old.token.clone(),
        process: None,
        wrapper: Vec::new(),
        flags: vec!["--initial-cluster-state".into(), "existing".into()],
    }
}

/// Adds a member and starts it with the settings that the command prints.
fn add(members: &[Member], new: &mut Member) {
    let said = says(members, &["member", "add", &new.name, "--peer-urls", &new.peer_url()]);
    let setting = |name: &str| {
        let start = format!("QUORATE_{name}=\"");
        let line = said.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'));
        line.unwrap_or_else(|| panic!("no {name} in {said}")).to_owned()
    };
    assert_eq!(setting("NAME"), new.name);
    assert_eq!(setting("INITIAL_CLUSTER_STATE"), "existing");
    assert_eq!(setting("INITIAL_ADVERTISE_PEER_URLS"), new.peer_url());
    new.initial_cluster = setting("INITIAL_CLUSTER");
    new.start();
    new.wait_until_ready();
}

/// Waits until a member votes.
async fn votes(member: &Member) {
    let voting = async {
        while member.status().await.map_or(true, |status| status.is_learner) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, voting).await.expect("it is promoted by itself");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// All three members are replaced by new ones, one after the other, under load: no acknowledged
/// write is lost, no read sees the past.
#[test]
fn all_members_are_replaced_under_load() {
    let mut scene = Scene::begin(11);
    for place in 0..3 {
        let old = &scene.cluster.members[place];
        let (old_name, old_port) = (old.name.clone(), old.client_port);
        let mut new = newcomer(&format!("n{}", place + 4), old);
        add(&scene.cluster.members, &mut new);
        scene.runtime.block_on(votes(&new));
        scene.work(ACKS_BETWEEN / 4);
        let others: Vec<_> = (0..3).filter(|other| *other != place).collect();
        let asked = &scene.cluster.members[others[0]..=others[0]];
        says(asked, &["member", "remove", &old_name]);
        let process = scene.cluster.members[place].process();
        let stderr = process.stderr.clone();
        let status = scene.cluster.members[place].ended();
        assert!(status.success(), "it stops by itself, in order: {}", stderr.text());
        assert!(stderr.text().contains("removed from the cluster"), "{}", stderr.text());
        // It starts again, with what it has, where the clients look for the old one.
        assert!(new.stop().success());
        new.client_port = old_port;
        new.start();
        new.wait_until_ready();
        scene.cluster.members[place] = new;
        scene.work(ACKS_BETWEEN);
    }
    let text = says(&scene.cluster.members, &["member", "list"]);
    for name in ["n4", "n5", "n6"] {
        assert!(text.contains(&format!(", started, {name}, ")), "{text}");
    }
    assert_eq!(text.lines().count(), 3, "{text}");
    scene.end("all members replaced");
}

/// A follower whose disk is wiped has forgotten what it promised: it is not let in again, and a new
/// member takes its place.
#[test]
fn a_wiped_member_is_replaced() {
    let mut cluster = Cluster::start(3);
    let leader = runtime().block_on(cluster.leader());
    let place = (leader + 1) % 3;
    cluster.members[place].kill();
    let wiped = cluster.members.remove(place);
    std::fs::remove_dir_all(&wiped.data_dir).unwrap();
    // What a new member is told when it is at an address that has a vote.
    let mut again = newcomer("again", &wiped);
    (again.peer_port, again.peer_listener_port) = (wiped.peer_port, wiped.peer_port);
    again.initial_cluster = wiped.initial_cluster.replace(&format!("{}=", wiped.name), "again=");
    let refused = process::run_command(&mut again.command());
    assert!(refused.stderr.contains("has a vote already"), "{}", refused.stderr);
    says(&cluster.members, &["member", "remove", &wiped.name]);
    add(&cluster.members, &mut again);
    runtime().block_on(votes(&again));
    cluster.members.push(again);
    says(&cluster.members, &["put", "a", "b"]);
    let members = says(&cluster.members, &["member", "list"]);
    assert_eq!(members.matches(", false").count(), 3, "{members}");
}

/// What cannot be done is refused, with words that say what.
#[test]
fn wrong_changes_are_refused() {
    let cluster = Cluster::start(3);
    let members = &cluster.members;
    let taken = members[0].peer_url();
    let error = fails(members, &["member", "add", "n4", "--peer-urls", &taken]);
    assert!(error.contains("etcdserver: Peer URLs already exists"), "{error}");
    let error = fails(members, &["member", "add", "n4", "--peer-urls", "h:1"]);
    assert!(error.contains("etcdserver: given member URLs are invalid"), "{error}");
    let error = fails(members, &["member", "remove", "abc"]);
    assert!(error.contains("there is no member 'abc'"), "{error}");
    let error = fails(members, &["member", "promote", "n1"]);
    assert!(error.contains("can only promote a learner member"), "{error}");
    let (runtime, client) = (runtime(), members[1].client(PATIENCE));
    let error = runtime.block_on(client.member_remove(0xabc)).unwrap_err().to_string();
    assert!(error.contains("etcdserver: member not found"), "{error}");
    // One that never starts.
    let url = format!("http://127.0.0.1:{}", ports::free());
    let said = says(members, &["member", "add", "n4", "--peer-urls", &url, "--learner"]);
    assert!(said.contains(&format!("n4={url}")), "{said}");
    let listed = runtime.block_on(client.member_list(MemberListOptions::new())).unwrap();
    let learner = listed.members.iter().find(|member| member.is_learner).unwrap();
    let id = format!("{:x}", learner.id);
    let error = fails(members, &["member", "promote", &id]);
    assert!(error.contains("which is in sync with leader"), "{error}");
    let moved = format!("http://127.0.0.1:{}", ports::free());
    says(members, &["member", "update", &id, "--peer-urls", &moved]);
    let text = says(members, &["member", "list"]);
    assert!(text.contains(&format!("{id}, unstarted, , {moved}, , true")), "{text}");
    says(members, &["member", "remove", &id]);
    assert_eq!(says(members, &["member", "list"]).lines().count(), 3);
}

/// A member moves to another address: the others find it there.
#[test]
fn a_member_moves() {
    let mut cluster = Cluster::start(3);
    let leader = runtime().block_on(cluster.leader());
    let place = (leader + 1) % 3;
    let id = runtime().block_on(cluster.members[place].status()).unwrap();
    let id = format!("{:x}", id.header.unwrap().member_id);
    assert!(cluster.members[place].stop().success());
    // It listens elsewhere; its own settings still name the old address.
    cluster.members[place].peer_listener_port = ports::free();
    let moved = format!("http://127.0.0.1:{}", cluster.members[place].peer_listener_port);
    says(&cluster.members[leader..=leader], &["member", "update", &id, "--peer-urls", &moved]);
    cluster.members[place].start();
    cluster.members[place].wait_until_ready();
    says(&cluster.members[place..=place], &["put", "a", "b"]);
    let text = says(&cluster.members[leader..=leader], &["member", "list"]);
    assert!(text.contains(&moved), "{text}");
}
