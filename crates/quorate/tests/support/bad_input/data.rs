//! Data directories that are not this member's, or not as it left them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::support::cluster::Cluster;
use crate::support::directory::{content, difference, newest_segment};
use crate::support::ports;
use crate::support::process::{Outcome, PATIENCE, Process, quorate, run, run_command};
use crate::support::records::{self, Kind};

/// A member alone, which has run, holds twenty keys, and was killed.
fn killed() -> Cluster {
    let mut cluster = Cluster::start(1);
    let endpoint = format!("127.0.0.1:{}", cluster.members[0].client_port);
    for key in 0..20 {
        let outcome = run(&["put", &format!("key{key}"), "value", "--endpoints", &endpoint]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    cluster.members[0].kill();
    cluster
}

/// It starts, says `line`, and has its keys.
fn recovers(cluster: &mut Cluster, line: &str) {
    let member = &mut cluster.members[0];
    member.start();
    member.wait_until_ready();
    let endpoint = format!("127.0.0.1:{}", member.client_port);
    let keys = run(&["get", "key", "--prefix", "--keys-only", "--endpoints", &endpoint]);
    assert_eq!(keys.stdout.matches("key").count(), 20, "{keys:?}");
    let said = member.process().stderr.text();
    assert_eq!(said.lines().filter(|said| said.contains(line)).count(), 1, "{said}");
}

/// It does not start, says why in one line, and changes nothing.
fn refuses(cluster: &Cluster, texts: &[&str]) {
    let member = &cluster.members[0];
    let before = content(&member.data_dir);
    let Outcome { code, stdout, stderr } = run_command(&mut member.command());
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!((stdout.as_str(), stderr.lines().count()), ("", 1), "not one line: {stderr}");
    for text in texts {
        assert!(stderr.contains(text), "'{text}' is missing: {stderr}");
    }
    assert_unchanged(&before, &member.data_dir);
}

fn assert_unchanged(before: &BTreeMap<PathBuf, Vec<u8>>, directory: &Path) {
    assert_eq!(difference(before, &content(directory)), None, "a file was changed");
}

#[test]
fn of_another_cluster_or_member() {
    let mut cluster = killed();
    let identity = cluster.members[0].data_dir.join("identity").display().to_string();
    let mend = "correct the configured directory or identity";
    let token = std::mem::replace(&mut cluster.members[0].token, "another".into());
    refuses(&cluster, &[&identity, "belongs to member", "not to member", mend]);
    cluster.members[0].token = token;
    // The same cluster, but the directory is taken for that of its second member.
    let other = format!("http://127.0.0.1:{}", ports::free());
    let member = &mut cluster.members[0];
    member.initial_cluster = format!("n0={other},{}", member.initial_cluster);
    refuses(&cluster, &[&identity, "belongs to member", "not to member", mend]);
}

#[test]
fn of_a_newer_version() {
    let cluster = killed();
    let file = cluster.members[0].data_dir.join("identity");
    let mut bytes = fs::read(&file).unwrap();
    bytes[12..16].copy_from_slice(&2_u32.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let file = file.display().to_string();
    refuses(
        &cluster,
        &[&file, "later version (format version 2)", "start that version or a later one"],
    );
}

#[test]
fn of_a_member_that_runs() {
    let mut cluster = Cluster::start(1);
    settle(&cluster);
    // Its double listens elsewhere, so that it gets as far as the directory.
    let (client, peer) = (ports::free(), ports::free());
    let member = &cluster.members[0];
    let before = content(&member.data_dir);
    let mut command = quorate(&["serve", "--name", &member.name]);
    command.arg("--data-dir").arg(&member.data_dir);
    command.args(["--initial-cluster", &member.initial_cluster]);
    command.args(["--initial-cluster-token", &member.token]);
    command.args(["--initial-advertise-peer-urls", &member.peer_url()]);
    command.args(["--listen-client-urls", &format!("http://127.0.0.1:{client}")]);
    command.args(["--listen-peer-urls", &format!("http://127.0.0.1:{peer}")]);
    let Outcome { code, stderr, .. } = run_command(&mut command);
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    for text in
        [&*member.data_dir.display().to_string(), "is in use by another process", "stop that"]
    {
        assert!(stderr.contains(text), "'{text}' is missing: {stderr}");
    }
    assert_unchanged(&before, &member.data_dir);
    assert!(cluster.members[0].stop().success(), "the first one is not disturbed");
}

/// Waits until a member has written all that it writes by itself: once it has told the cluster its
/// client URLs, and a later write is acknowledged, nothing is under way.
fn settle(cluster: &Cluster) {
    let member = &cluster.members[0];
    let endpoint = format!("127.0.0.1:{}", member.client_port);
    let begun = Instant::now();
    while !run(&["member", "list", "--endpoints", &endpoint]).stdout.contains(&member.client_url())
    {
        assert!(begun.elapsed() < PATIENCE, "the member never names its client URL");
    }
    assert_eq!(run(&["put", "last", "v", "--endpoints", &endpoint]).code, Some(0));
}

#[test]
fn with_a_torn_last_record() {
    // The crash came while the next record was written: its head is there, the rest is not.
    let mut cluster = killed();
    let segment = newest_segment(&cluster.members[0].data_dir);
    let mut bytes = fs::read(&segment).unwrap();
    let tail = records::tail(&bytes);
    let torn: Vec<u8> =
        records::MAGIC.into_iter().chain((0..100).map(|byte| byte ^ 0x5a)).collect();
    bytes.resize(bytes.len().max(tail + torn.len()), 0);
    bytes[tail..tail + torn.len()].copy_from_slice(&torn);
    fs::write(&segment, bytes).unwrap();
    let line = format!(
        "dropped an incomplete write, never acknowledged, from {} at offset {tail}",
        segment.display()
    );
    recovers(&mut cluster, &line);
}

#[test]
fn with_a_file_that_ends_early() {
    // The file had not grown yet when the crash came, except for a few bytes.
    let mut cluster = killed();
    let segment = newest_segment(&cluster.members[0].data_dir);
    let mut bytes = fs::read(&segment).unwrap();
    let tail = records::tail(&bytes);
    bytes.truncate(tail + 10);
    fs::write(&segment, bytes).unwrap();
    recovers(&mut cluster, "dropped an incomplete write");
}

#[test]
fn with_damage_before_the_end() {
    for is_in_header in [true, false] {
        let cluster = killed();
        let segment = newest_segment(&cluster.members[0].data_dir);
        let mut bytes = fs::read(&segment).unwrap();
        let all = records::read(&bytes);
        let blocks: Vec<_> = all.iter().filter(|record| record.kind == Kind::Block).collect();
        let record = blocks[blocks.len() / 2];
        bytes[record.offset + if is_in_header { 40 } else { records::HEADER + 3 }] ^= 0x10;
        fs::write(&segment, bytes).unwrap();
        let file = segment.display().to_string();
        let place = format!("is damaged at offset {}", record.offset);
        refuses(
            &cluster,
            &[&file, &place, "a checksum is wrong", "restore the file from a backup"],
        );
    }
}

#[test]
fn a_stop_by_signal_leaves_nothing_to_say() {
    let mut cluster = Cluster::start(1);
    assert!(cluster.members[0].stop().success());
    let mut process = Process::spawn(&mut cluster.members[0].command());
    process.stderr.wait_for("ready to serve");
    let said = process.stderr.text();
    assert!(!said.contains("dropped") && !said.contains("WARN"), "{said}");
    process.signal(rustix::process::Signal::INT);
    assert!(process.wait(PATIENCE).success());
}
