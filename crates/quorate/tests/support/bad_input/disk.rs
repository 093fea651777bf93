//! Disks that are full, and disks that fail.
//!
//! These need means that not every machine has. A test that cannot run says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use quorate_client::{Client, Code, Error, PutOptions, RangeOptions};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::support::cluster::Cluster;
use crate::support::process::{PATIENCE, run_command};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A small file system of its own, in a file.
struct SmallDisk {
    mount: PathBuf,
    _directory: TempDir,
}

impl SmallDisk {
    /// `None` if this machine does not let us: it takes root, mkfs.ext4 and loop devices.
    fn mount(megabytes: u64) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        let mount = directory.path().join("mount");
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(megabytes * 1024 * 1024).unwrap();
        let done =
            |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let is_mounted = done(Command::new("mkfs.ext4").arg("-q").arg("-F").arg(&image))
            && done(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        is_mounted.then_some(Self { mount, _directory: directory })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.mount).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{:?} stays", self.mount);
    }
}

/// The disks of all members are equally large, and they fill up: writes are refused with etcd's
/// words, reads and the leader stay, and once there is space writes go on, with nobody doing
/// anything else about it.
#[test]
fn that_is_full() {
    let Some(disks) = (0..3).map(|_| SmallDisk::mount(32)).collect::<Option<Vec<_>>>() else {
        println!("SKIPPED that_is_full: a small ext4 cannot be mounted here (root, loop devices)");
        return;
    };
    // One disk for all would not do: who is slow would find it full with what the others have
    // stored, and could not follow them.
    let ballasts: Vec<_> = disks.iter().map(|disk| disk.mount.join("ballast")).collect();
    let mut cluster = Cluster::new(3);
    for (member, disk) in cluster.members.iter_mut().zip(&disks) {
        member.data_dir = disk.mount.join("data");
    }
    for ballast in &ballasts {
        fs::write(ballast, vec![0x5a; 12 * 1024 * 1024]).unwrap();
    }
    cluster.start_all();
    let runtime = runtime();
    runtime.block_on(async {
        let clients = cluster.clients(Duration::from_secs(10));
        let leader = cluster.leader().await;
        let kept = fill(&clients[leader]).await;
        for client in &clients {
            is_refused(client).await;
            reads(client, kept).await;
        }
        let mut errors = Vec::new();
        for member in &cluster.members {
            errors.extend(member.status().await.unwrap().errors);
        }
        assert!(errors.iter().any(|error| error.contains("the disk is full")), "{errors:?}");
        for ballast in &ballasts {
            fs::remove_file(ballast).unwrap();
        }
        for client in &clients {
            writes_again(client).await;
            reads(client, kept).await;
        }
    });
    let mut said = String::new();
    for member in &mut cluster.members {
        said += &member.process().stderr.text();
        assert!(member.stop().success());
    }
    assert!(said.contains("the disk is full"), "nobody was told: {said}");
    drop(cluster);
    drop(disks);
}

fn is_space_exceeded(error: &Error) -> bool {
    error.code() == Some(Code::ResourceExhausted)
        && error.message() == Some("etcdserver: mvcc: database space exceeded")
}

/// Writes until there is no more space; returns how many keys there are.
async fn fill(client: &Client) -> usize {
    let value = vec![b'v'; 512 * 1024];
    for key in 0..200 {
        if let Err(error) = client.put(format!("fill{key}"), value.clone(), PutOptions::new()).await
        {
            assert!(is_space_exceeded(&error), "{error}");
            return key;
        }
    }
    panic!("the disk does not fill up");
}

/// Whether nobody can say what becomes of a write: it was taken, and waits.
fn is_unknown(error: &Error) -> bool {
    error.code() == Some(Code::Unavailable)
}

/// A member forwards what the leader has no space for until it hears of that; it waits for space.
async fn is_refused(client: &Client) {
    let value = vec![b'v'; 512 * 1024];
    let put = || client.put("one more", value.clone(), PutOptions::new());
    let mut error = put().await.expect_err("there is no space");
    if is_unknown(&error) {
        error = put().await.expect_err("there is no space");
    }
    assert!(is_space_exceeded(&error), "{error}");
}

async fn reads(client: &Client, kept: usize) {
    let options = RangeOptions::new().prefix().count_only();
    let answer = client.get("fill", options).await.expect("reads go on");
    assert_eq!(usize::try_from(answer.count).unwrap(), kept);
}

/// It may take a while until a member has another look at its disk, but not long.
async fn writes_again(client: &Client) {
    let begun = Instant::now();
    loop {
        let Err(error) = client.put("after", "all", PutOptions::new()).await else { return };
        assert!(is_space_exceeded(&error), "{error}");
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "there is space again, but writes are refused: {error}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Writes that were taken before the disk was found full wait for space. A member that is told to
/// stop does not wait with them: nobody was told that they had succeeded.
#[test]
fn that_is_full_when_the_member_is_to_stop() {
    let Some(disk) = SmallDisk::mount(24) else {
        println!(
            "SKIPPED that_is_full_when_the_member_is_to_stop: a small ext4 cannot be mounted here"
        );
        return;
    };
    let mut cluster = Cluster::new_in(&disk.mount, 1);
    cluster.start_all();
    let member = &mut cluster.members[0];
    runtime().block_on(async {
        let client = member.client(Duration::from_secs(1));
        let value = vec![b'v'; 1_400_000];
        let mut writes = JoinSet::new();
        for key in 0..20 {
            let (client, value) = (client.clone(), value.clone());
            writes
                .spawn(async move { client.put(key.to_string(), value, PutOptions::new()).await });
        }
        let outcomes = writes.join_all().await;
        assert!(outcomes.iter().any(Result::is_err), "the disk does not fill up");
    });
    let mut process = member.process.take().unwrap();
    process.signal(Signal::TERM);
    process.wait(Duration::from_secs(10));
}

/// A sync fails, once: the member acknowledges nothing more, ends and says why. What it had
/// acknowledged is there when it is started again.
#[test]
fn that_fails_to_sync() {
    let strace = Command::new("strace").args(["-e", "inject=fdatasync:error=EIO", "true"]).output();
    if !strace.is_ok_and(|output| output.status.success()) {
        println!("SKIPPED that_fails_to_sync: there is no strace here, or it may not trace");
        return;
    }
    let mut cluster = Cluster::new(1);
    let member = &mut cluster.members[0];
    let inject = "inject=fdatasync:error=EIO:when=30";
    let tracer = ["strace", "-D", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"];
    member.wrapper = tracer.into_iter().chain([inject]).map(str::to_owned).collect();
    member.start();
    member.wait_until_ready();
    let acked = runtime().block_on(async {
        let client = member.client(Duration::from_secs(10));
        let mut acked = 0;
        while client.put(format!("key{acked:03}"), "v", PutOptions::new()).await.is_ok() {
            acked += 1;
            assert!(acked < 1000, "no sync failed");
        }
        for _ in 0..3 {
            client.put("late", "v", PutOptions::new()).await.expect_err("nothing is acknowledged");
        }
        acked
    });
    let mut process = member.process.take().unwrap();
    let status = process.wait(PATIENCE);
    let said = process.stderr.text();
    assert_eq!(status.code(), Some(1), "{said}");
    let last = said.lines().last().unwrap_or_default();
    let segment = member.data_dir.join("log-0000000000000001.seg").display().to_string();
    for text in
        ["Error: ", &segment, "could not be made durable", "Input/output error", "check the disk"]
    {
        assert!(last.contains(text), "'{text}' is missing: {last}");
    }
    member.wrapper.clear();
    member.start();
    member.wait_until_ready();
    let keys = runtime().block_on(async {
        let client = member.client(PATIENCE);
        client.get("key", RangeOptions::new().prefix().count_only()).await.unwrap().count
    });
    // The write that failed may be there or not; nobody was told.
    assert!(keys == acked || keys == acked + 1, "{acked} acknowledged, {keys} there");
}

/// The file of the data directory's place cannot be made: said with its name, and no panic.
#[test]
fn that_is_read_only() {
    let Some(disk) = SmallDisk::mount(16) else {
        println!("SKIPPED that_is_read_only: a small ext4 cannot be mounted here");
        return;
    };
    let remount = |mount: &Path, how: &str| {
        let status = Command::new("mount").args(["-o", how]).arg(mount).status();
        assert!(status.is_ok_and(|status| status.success()));
    };
    remount(&disk.mount, "remount,ro");
    let cluster = Cluster::new_in(&disk.mount, 1);
    let outcome = run_command(&mut cluster.members[0].command());
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1), "{outcome:?}");
    let directory = cluster.members[0].data_dir.display().to_string();
    for text in [directory.as_str(), "Read-only file system"] {
        assert!(outcome.stderr.contains(text), "'{text}' is missing: {outcome:?}");
    }
}
