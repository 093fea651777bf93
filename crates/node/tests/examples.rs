//! The examples do what they say: real processes, killed and started again.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The example's program, which Cargo builds with the tests.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this program has a path");
    let target = test.parent().and_then(Path::parent).expect("it lies in target/…/deps");
    let program = target.join("examples").join(example);
    assert!(program.exists(), "build it: cargo build -p quorate-node --examples");
    program
}

/// Addresses that were free a moment ago.
fn addresses(count: usize) -> Vec<String> {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let listeners: Vec<_> = std::iter::repeat_with(bind).take(count).collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
    listeners.iter().map(address).collect()
}

/// A running example; killed when dropped.
struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Process {
    fn start(example: &str, dir: &Path, arguments: &[String]) -> Self {
        let mut child = Command::new(program(example))
            .args(arguments)
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let (line, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|l| line.send(l)));
        Self { input: child.stdin.take().expect("it is piped"), child, lines }
    }

    /// What it answers to a line.
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").expect("it reads its input");
        self.lines.recv_timeout(PATIENCE).expect("it answers in time")
    }
}

impl Drop for Process {
    /// Without warning, as a crash is.
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn arguments(id: usize, addresses: &[String]) -> Vec<String> {
    [&[id.to_string()], addresses].concat()
}

#[test]
fn a_counter_outlives_any_one_of_its_members() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = addresses(3);
    let start = |id| Process::start("counter", dir.path(), &arguments(id, &addresses));
    let mut members: Vec<_> = (1..=3).map(start).collect();
    assert_eq!(members[0].ask("5"), "5");
    assert_eq!(members[1].ask("-2"), "3");
    assert_eq!(members[2].ask("?"), "3");
    for (killed, value) in [(0, "4"), (1, "5"), (2, "6")] {
        drop(members.remove(killed));
        assert_eq!(members[0].ask("1"), value);
        members.insert(killed, start(killed + 1));
        assert_eq!(members[killed].ask("?"), value);
    }
}

/// A client of the lock service.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects as soon as somebody listens.
    fn connect(address: &str) -> Self {
        let begun = Instant::now();
        let stream = std::iter::repeat_with(|| TcpStream::connect(address))
            .inspect(|_| thread::yield_now())
            .take_while(|_| begun.elapsed() < PATIENCE)
            .find_map(Result::ok)
            .expect("somebody listens in time");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, line: &str) -> String {
        let line = format!("{line}\n");
        self.0.get_mut().write_all(line.as_bytes()).expect("the member reads");
        let mut answer = String::new();
        self.0.read_line(&mut answer).expect("the member answers in time");
        answer.trim_end().to_owned()
    }
}

#[test]
fn locks_have_one_owner_and_growing_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let (peers, clients) = (addresses(3), addresses(3));
    let start = |id: usize| {
        let arguments = [&[id.to_string(), clients[id - 1].clone()], &peers[..]].concat();
        Process::start("lock_service", dir.path(), &arguments)
    };
    let mut members: Vec<_> = (1..=3).map(start).collect();
    let mut first = Client::connect(&clients[0]);
    let mut second = Client::connect(&clients[1]);
    assert_eq!(first.ask("lock door ann 1000"), "granted 1");
    assert_eq!(second.ask("lock door bob 1000"), "taken ann");
    assert_eq!(second.ask("owner door"), "owner ann 1");
    assert_eq!(first.ask("lock door ann 1000"), "granted 1", "a retry is harmless");

    // The others know it when the member that was asked has gone.
    drop(members.remove(0));
    assert_eq!(second.ask("lock door bob 1000"), "taken ann");
    assert_eq!(second.ask("renew door 1 1000"), "granted 1");
    assert_eq!(second.ask("unlock door 1"), "free");
    assert_eq!(second.ask("lock door bob 1000"), "granted 2");
    assert_eq!(second.ask("unlock door 1"), "lost", "an old token opens nothing");

    // A lease that is over goes to the next.
    assert_eq!(second.ask("lock gate bob 0"), "granted 3");
    assert_eq!(second.ask("lock gate ann 1000"), "granted 4");
    assert_eq!(second.ask("renew gate 3 1000"), "lost");

    assert!(second.ask("lock door").starts_with("error lock NAME OWNER SECONDS"));
    assert_eq!(second.ask("lock door bob soon"), "error a number is expected");

    // And it comes back to a member that starts again.
    members.insert(0, start(1));
    assert_eq!(Client::connect(&clients[0]).ask("owner gate"), "owner ann 4");
}

#[test]
fn a_table_on_disk_skips_what_it_holds_already() {
    let dir = tempfile::tempdir().unwrap();
    let addresses = addresses(3);
    let start = |id| Process::start("disk_machine", dir.path(), &arguments(id, &addresses));
    let mut members: Vec<_> = (1..=3).map(start).collect();
    for (member, key) in members.iter_mut().zip(["a", "b", "c"]) {
        assert!(member.ask(&format!("set {key} of {key}")).starts_with("set at "));
    }
    assert_eq!(members[0].ask("get b"), "of b");
    assert_eq!(members[0].ask("get d"), "(nothing)");
    assert_eq!(members[0].ask("applied"), "0 at the start");

    drop(members.remove(0));
    let state = dir.path().join("table-1").join("state");
    let whole = std::fs::metadata(&state).unwrap().len();
    assert!(members[0].ask("set a another").starts_with("set at "));
    // A crash tears the last record: the log brings it again.
    let file = std::fs::OpenOptions::new().write(true).open(&state).unwrap();
    file.set_len(whole - 1).unwrap();
    members.insert(0, start(1));
    assert_eq!(members[0].ask("get a"), "another");
    assert_eq!(members[0].ask("get c"), "of c");
    let applied = members[0].ask("applied");
    assert!(applied != "0 at the start" && applied.ends_with(" at the start"), "{applied}");
    assert!(whole < std::fs::metadata(&state).unwrap().len());
}
