//! `quorate dev` and the client commands, as somebody uses them on the first day.

#[cfg(test)]
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::ports;
use support::process::{Outcome, PATIENCE, Process, quorate, run};

/// From the command to a cluster that serves.
const READY_MAX: Duration = Duration::from_secs(3);

/// From Ctrl-C to the prompt.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Three members in one process.
struct Dev {
    process: Process,
    endpoints: Vec<String>,
}

impl Dev {
    /// Starts them, and sees that they are ready in time.
    fn start(ports: &[u16], data_dir: &Path) -> Self {
        let list: Vec<_> = ports.iter().map(u16::to_string).collect();
        let mut command = quorate(&["dev", "--client-ports", &list.join(",")]);
        let begun = Instant::now();
        let process = Process::spawn(command.arg("--data-dir").arg(data_dir));
        process.stdout.wait_for("ready after");
        let took = begun.elapsed();
        assert!(took <= READY_MAX, "ready after {took:?}");
        let endpoints = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Self { process, endpoints }
    }

    /// Runs a command at one of the members.
    fn at(&self, member: usize, arguments: &[&str]) -> Outcome {
        let mut all = arguments.to_vec();
        all.extend(["--endpoints", &self.endpoints[member]]);
        run(&all)
    }

    /// The same; returns what it prints on success.
    #[track_caller]
    fn prints(&self, member: usize, arguments: &[&str]) -> String {
        let outcome = self.at(member, arguments);
        assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{arguments:?}: {outcome:?}");
        outcome.stdout
    }

    /// Ctrl-C.
    fn stop(mut self) {
        let begun = Instant::now();
        self.process.signal(Signal::INT);
        let status = self.process.wait(PATIENCE);
        let took = begun.elapsed();
        assert!(status.success(), "{status}: {}", self.process.stderr.text());
        assert!(took <= STOP_MAX, "it took {took:?} to stop");
        assert_eq!(self.process.stderr.text(), "", "nothing went wrong");
    }
}

fn three_ports() -> Vec<u16> {
    (0..3).map(|_| ports::free_pair()).collect()
}

#[test]
fn the_first_day() {
    let directory = tempfile::tempdir().unwrap();
    let ports = three_ports();
    let dev = Dev::start(&ports, directory.path());
    for member in 0..3 {
        let key = format!("colour/{member}");
        assert_eq!(dev.prints(member, &["put", &key, "blue"]), "OK\n");
        // Whoever is asked next has it.
        assert_eq!(dev.prints((member + 1) % 3, &["get", &key]), format!("{key}\nblue\n"));
    }
    let all = "colour/0\nblue\ncolour/1\nblue\ncolour/2\nblue\n";
    for member in 0..3 {
        assert_eq!(dev.prints(member, &["get", "colour/", "--prefix"]), all);
        // The member has shown it already, so no age makes it forget.
        let aged = ["get", "colour/", "--prefix", "--max-staleness", "1h"];
        assert_eq!(dev.prints(member, &aged), all);
    }
    assert_eq!(dev.prints(1, &["del", "colour/1"]), "1\n");
    assert_eq!(dev.prints(2, &["del", "colour/1"]), "0\n");
    assert_eq!(dev.prints(0, &["get", "colour/1"]), "");
    dev.stop();

    // The next day.
    let dev = Dev::start(&ports, directory.path());
    let rest = "colour/0\nblue\ncolour/2\nblue\n";
    for member in 0..3 {
        assert_eq!(dev.prints(member, &["get", "colour/", "--prefix"]), rest);
    }
    assert_eq!(dev.prints(0, &["del", "colour/", "--prefix"]), "2\n");
    dev.stop();
}

#[test]
fn a_look_around() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(&three_ports(), directory.path());
    let all = dev.endpoints.join(",");
    let status = run(&["status", "--endpoints", &all]);
    assert_eq!(status.code, Some(0), "{status:?}");
    assert_eq!(status.stdout.lines().count(), 3, "{status:?}");
    assert_eq!(status.stdout.matches("true, false").count(), 1, "one leads: {status:?}");
    let cluster = dev.prints(2, &["status", "--cluster"]);
    assert_eq!(cluster.lines().count(), 3, "{cluster}");
    let members = dev.prints(1, &["member", "list"]);
    for (place, endpoint) in dev.endpoints.iter().enumerate() {
        let line = members.lines().find(|line| line.contains(&format!("dev{}", place + 1)));
        assert!(line.is_some_and(|line| line.contains(endpoint)), "{members}");
    }

    for value in ["one", "two", "three"] {
        dev.prints(0, &["put", "k", value]);
    }
    assert_eq!(dev.prints(0, &["get", "k", "--rev", "2"]), "k\none\n");
    assert_eq!(dev.prints(1, &["compact", "4"]), "compacted revision 4\n");
    let compacted = "etcdserver: mvcc: required revision has been compacted";
    fails(&dev.at(0, &["get", "k", "--rev", "2"]), &[compacted, "ask for a later revision"]);
    fails(&dev.at(1, &["compact", "4"]), &[compacted]);
    fails(&dev.at(2, &["get", "k", "--rev", "99"]), &["future revision", "an earlier revision"]);
    fails(&dev.at(2, &["get", ""]), &["key is not provided"]);
    let nobody = format!("127.0.0.1:{}", ports::free());
    fails(&run(&["get", "k", "--endpoints", &nobody]), &[&nobody, "is a member running there?"]);
    fails(&run(&["put", "k", "v", "--endpoints", "no/where"]), &["no/where"]);
    // One that answers is enough for a command, but `status` says who does not.
    let two = format!("{nobody},{}", dev.endpoints[0]);
    assert_eq!(run(&["get", "k", "--endpoints", &two]).stdout, "k\nthree\n");
    let status = run(&["status", "--endpoints", &two]);
    assert_eq!((status.code, status.stdout.lines().count()), (Some(1), 1), "{status:?}");
    assert!(status.stderr.contains(&nobody), "{status:?}");
    dev.stop();
}

/// Exit status 1, nothing on standard output, one line on standard error.
#[track_caller]
fn fails(outcome: &Outcome, texts: &[&str]) {
    let Outcome { code, stdout, stderr } = outcome;
    assert_eq!((*code, &**stdout, stderr.lines().count()), (Some(1), "", 1), "{outcome:?}");
    for text in texts {
        assert!(stderr.contains(text), "'{text}' is missing: {stderr}");
    }
}

#[test]
fn what_cannot_start() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data").display().to_string();
    let dev = |arguments: &[&str]| {
        let mut all = vec!["dev", "--data-dir", &data_dir];
        all.extend(arguments);
        run(&all)
    };
    fails(&dev(&["--client-ports", "1,2"]), &["names 2 ports for 3 members", "give one a member"]);
    let port = ports::free_pair();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port + 1)).unwrap();
    let outcome = dev(&["--members", "1", "--client-ports", &port.to_string()]);
    fails(&outcome, &[&format!("http://127.0.0.1:{}", port + 1), "the port is in use"]);
    drop(taken);
    assert!(!directory.path().join("data").exists(), "something was written");
}

/// A member alone is a cluster, too, and a second one does not get at its data.
#[test]
fn one_member() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().display().to_string();
    let port = ports::free_pair().to_string();
    let mut command = quorate(&["dev", "--members", "1", "--client-ports", &port, "--data-dir"]);
    let mut process = Process::spawn(command.arg(directory.path()));
    process.stdout.wait_for("ready after");
    let other = ports::free_pair().to_string();
    let outcome =
        run(&["dev", "--members", "1", "--client-ports", &other, "--data-dir", &data_dir]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(1), 1), "{outcome:?}");
    assert!(outcome.stderr.contains("in use by another process"), "{outcome:?}");
    process.signal(Signal::TERM);
    assert!(process.wait(PATIENCE).success());
}

/// The clients' port answers plain HTTP as well.
#[test]
fn version_and_health_over_plain_http() {
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::start(&three_ports(), directory.path());
    for endpoint in &dev.endpoints {
        let version = get(endpoint, "/version");
        assert!(version.starts_with("HTTP/1.1 200 "), "{version}");
        assert!(version.contains(r#""etcdserver":"3.6.4""#), "{version}");
        for path in ["/health", "/health?serializable=true"] {
            let health = get(endpoint, path);
            assert!(health.ends_with(r#"{"health":"true","reason":""}"#), "{path}: {health}");
        }
        assert!(get(endpoint, "/nothing").starts_with("HTTP/1.1 404 "));
    }
    dev.stop();
}

fn get(endpoint: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(endpoint).expect("the member listens");
    let head = format!("GET {path} HTTP/1.1\r\nhost: {endpoint}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the member reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the member answers");
    answer
}
