//! Settings that cannot be right: refused in one line, before anything is written.

use std::fs;
use std::net::TcpListener;

use tempfile::TempDir;

use crate::support::ports;
use crate::support::process::{Outcome, quorate, run_command};

/// A member's settings, to be spoilt.
struct Settings {
    directory: TempDir,
    flags: Vec<(&'static str, String)>,
}

impl Settings {
    fn sound() -> Self {
        let (client, peer) = (ports::free(), ports::free());
        let flags = vec![
            ("--name", "n1".into()),
            ("--listen-client-urls", format!("http://127.0.0.1:{client}")),
            ("--listen-peer-urls", format!("http://127.0.0.1:{peer}")),
        ];
        Self { directory: tempfile::tempdir().unwrap(), flags }
    }

    /// Sets a flag, or replaces it.
    fn with(mut self, flag: &'static str, value: impl Into<String>) -> Self {
        self.flags.retain(|(known, _)| *known != flag);
        self.flags.push((flag, value.into()));
        self
    }

    /// The value of a flag.
    fn value(&self, flag: &str) -> String {
        self.flags.iter().find(|(known, _)| *known == flag).unwrap().1.clone()
    }

    fn run(&self) -> Outcome {
        let data_dir = self.directory.path().join("data");
        let mut command = quorate(&["serve"]);
        command.current_dir(self.directory.path()).arg("--data-dir").arg(&data_dir);
        for (flag, value) in &self.flags {
            command.arg(format!("{flag}={value}"));
        }
        run_command(&mut command)
    }

    /// Refused with one line that has all of `texts`, with nothing written.
    fn is_refused(&self, texts: &[&str]) {
        let Outcome { code, stdout, stderr } = self.run();
        let case = format!("{:?}: {stderr}", self.flags);
        assert_eq!(code, Some(1), "{case}");
        assert_eq!(stdout, "", "{case}");
        assert!(
            stderr.starts_with("Error: ") && stderr.lines().count() == 1,
            "not one line: {case}"
        );
        for text in texts {
            assert!(stderr.contains(text), "'{text}' is missing: {case}");
        }
        assert!(!self.directory.path().join("data").exists(), "something was written: {case}");
    }
}

#[test]
fn wrong_usage_is_explained_with_status_2() {
    for (arguments, named) in [
        (&["serve", "--no-such-flag"][..], "--no-such-flag"),
        (&["no-such-command"][..], "no-such-command"),
        (&["serve", "--election-timeout", "soon"][..], "--election-timeout"),
        (&["serve", "--initial-cluster-state", "old"][..], "--initial-cluster-state"),
        (&["dev", "--members", "0"][..], "--members"),
        (&["dev", "--members", "7"][..], "--members"),
        (&["get"][..], "<KEY>"),
        (&["get", "k", "--write-out", "xml"][..], "--write-out"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let outcome = run_command(quorate(arguments).current_dir(directory.path()));
        assert_eq!(outcome.code, Some(2), "{arguments:?}: {outcome:?}");
        assert!(outcome.stderr.contains(named), "{arguments:?}: {outcome:?}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "{arguments:?}");
    }
}

#[test]
fn a_variable_is_judged_as_its_flag_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = quorate(&["serve"]);
    command.current_dir(directory.path()).env("QUORATE_ELECTION_TIMEOUT", "soon");
    let outcome = run_command(&mut command);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("'soon' for '--election-timeout"), "{outcome:?}");
}

#[test]
fn urls_to_listen_on() {
    for flag in ["--listen-client-urls", "--listen-peer-urls"] {
        for (url, reason) in [
            ("127.0.0.1:2379", "is no URL; write http://host:port"),
            ("ftp://127.0.0.1:2379", "is no URL; write http://host:port"),
            ("http://127.0.0.1", "has no valid port; write http://host:port"),
            ("http://127.0.0.1:99999", "has no valid port; write http://host:port"),
            ("http://127.0.0.1:2379/path", "has no valid port; write http://host:port"),
            ("https://127.0.0.1:2379", "TLS is not supported yet; write http://host:port"),
            ("http://192.0.2.1:2379", "cannot listen there"),
        ] {
            // The peer URL is also the member's address by default: that one stays sound.
            let settings = Settings::sound();
            let advertised = settings.value("--listen-peer-urls");
            let settings = settings.with("--initial-advertise-peer-urls", advertised);
            settings.with(flag, url).is_refused(&[flag, url, reason]);
        }
    }
    Settings::sound()
        .with("--listen-client-urls", "")
        .is_refused(&["--listen-client-urls is empty"]);
    let two = "http://127.0.0.1:2380,http://127.0.0.1:2381";
    let settings = Settings::sound().with("--listen-peer-urls", two);
    settings.is_refused(&["--listen-peer-urls takes one URL"]);
}

#[test]
fn urls_to_be_reached_at() {
    for (url, reason) in [
        ("127.0.0.1:2380", "it does not begin with http://"),
        ("http://127.0.0.1", "it has no port"),
        ("http://127.0.0.1:x", "its port is no number up to 65535"),
        ("https://127.0.0.1:2380", "TLS is not supported yet"),
    ] {
        let settings = Settings::sound().with("--initial-advertise-peer-urls", url);
        settings.is_refused(&[url, reason, "write http://host:port"]);
    }
    for url in ["nonsense", "127.0.0.1:2379", "https://127.0.0.1:2379", "http://127.0.0.1"] {
        // What clients are told to connect to must be what they can connect to.
        let settings = Settings::sound().with("--advertise-client-urls", url);
        settings.is_refused(&["--advertise-client-urls", url, "write http://host:port"]);
    }
}

#[test]
fn ports_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    for flag in ["--listen-client-urls", "--listen-peer-urls"] {
        let settings = Settings::sound().with(flag, &url);
        settings.is_refused(&[flag, &url, "the port is in use", "choose another"]);
    }
    // One port cannot be for both.
    let settings = Settings::sound();
    let own = settings.value("--listen-peer-urls");
    settings.with("--listen-client-urls", &own).is_refused(&[&own, "the port is in use"]);
}

#[test]
fn initial_clusters() {
    let member = |text: &str| Settings::sound().with("--initial-cluster", text);
    member("n1").is_refused(&["'n1' in the initial cluster is not name=URL"]);
    member("=http://a:1").is_refused(&["is not name=URL"]);
    member(",").is_refused(&["the initial cluster has no members"]);
    member("n1=http://a:1,n2=http://a:1").is_refused(&["http://a:1 stands twice"]);
    member("n1=https://a:1").is_refused(&["https://a:1", "TLS is not supported yet"]);
    member("n2=http://a:1,n3=http://b:1")
        .is_refused(&["'n1' is not in the initial cluster", "n2, n3"]);
    member("n1=http://elsewhere:1").is_refused(&[
        "--initial-cluster says that n1 is at http://elsewhere:1",
        "--initial-advertise-peer-urls says http://127.0.0.1:",
        "set both to",
    ]);
    Settings::sound().with("--initial-cluster-state", "existing").is_refused(&[
        "--initial-cluster-state is existing",
        "is empty",
        "name members that run",
    ]);
}

#[test]
fn timers_and_limits() {
    let with = |flag, value: &str| Settings::sound().with(flag, value);
    with("--election-timeout", "9")
        .is_refused(&["--election-timeout is 9 ms", "between 10 and 50000"]);
    with("--election-timeout", "50001").is_refused(&["between 10 and 50000"]);
    with("--heartbeat-interval", "0").is_refused(&["--heartbeat-interval is 0", "at least 1 ms"]);
    with("--heartbeat-interval", "400").is_refused(&["less than three times --heartbeat-interval"]);
    with("--lease-duration", "999").is_refused(&["must be below --election-timeout"]);
    with("--clock-drift-max", "5").is_refused(&["give --lease-duration too"]);
}

#[test]
fn numbers_beyond_all_bounds() {
    let most = u64::MAX.to_string();
    Settings::sound().with("--heartbeat-interval", &most).is_refused(&["--heartbeat-interval"]);
    // A request that does not fit into a message between members could never be agreed on.
    Settings::sound().with("--max-request-bytes", &most).is_refused(&["--max-request-bytes"]);
    Settings::sound()
        .with("--max-request-bytes", "1000000000")
        .is_refused(&["--max-request-bytes"]);
    for bytes in ["0", "1000", "2147483648"] {
        let bounds = "it must be between 1048576 and 2000000000";
        Settings::sound().with("--max-range-bytes", bytes).is_refused(&[bytes, bounds]);
    }
}

#[test]
fn configuration_files() {
    let settings = Settings::sound();
    let file = settings.directory.path().join("quorate.toml");
    let path = file.display().to_string();
    let settings = settings.with("--config", &path);
    settings.is_refused(&[&path, "cannot be read", "No such file"]);
    for (text, reason) in [
        ("election-timeout = 500\nno-such-key = 1", "line 2: unknown field `no-such-key`"),
        ("election-timeout = 500\nname = [", "line 2: "),
        ("election-timeout = 'long'", "line 1: invalid type: string \"long\""),
        ("initial-cluster-state = 'old'", "line 1: unknown variant `old`"),
    ] {
        fs::write(&file, text).unwrap();
        settings.is_refused(&[&path, reason, "see 'quorate serve --help' for the keys"]);
    }
    fs::write(&file, [0xff, 0xfe]).unwrap();
    settings.is_refused(&[&path, "cannot be read"]);
    // What the file says is judged as a flag is.
    fs::write(&file, "election-timeout = 5").unwrap();
    settings.is_refused(&["--election-timeout is 5 ms"]);
}

#[test]
fn data_directories_that_are_none() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "precious").unwrap();
    for data_dir in [file.clone(), file.join("below")] {
        let (client, peer) = (ports::free(), ports::free());
        let mut command = quorate(&["serve", "--data-dir"]);
        command.arg(&data_dir);
        command.args(["--listen-client-urls", &format!("http://127.0.0.1:{client}")]);
        command.args(["--listen-peer-urls", &format!("http://127.0.0.1:{peer}")]);
        let Outcome { code, stderr, .. } = run_command(&mut command);
        assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
        assert!(stderr.contains(&file.display().to_string()), "names the file: {stderr}");
        assert_eq!(fs::read(&file).unwrap(), b"precious");
    }
}
