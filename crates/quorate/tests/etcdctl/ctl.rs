//! Runs etcdctl and takes apart what it says.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support_etcd::without_settings;

/// An etcdctl that talks to certain members.
#[derive(Clone)]
pub(crate) struct Ctl {
    program: PathBuf,
    endpoints: String,
}

impl Ctl {
    pub(crate) fn new(program: &Path, urls: &[String]) -> Self {
        let hosts: Vec<_> = urls.iter().map(|url| url.trim_start_matches("http://")).collect();
        Self { program: program.to_owned(), endpoints: hosts.join(",") }
    }

    /// The same program, asking one member only.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self::new(&self.program, &[url.to_owned()])
    }

    /// Whether a command has a flag, which depends on the release.
    pub(crate) fn has_flag(&self, command: &str, flag: &str) -> bool {
        self.run(&[command, "--help"], "").stdout.contains(flag)
    }

    /// What it prints when it succeeds, which it must.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        self.answers(arguments, "")
    }

    /// What it prints when it succeeds, wherever: where exactly depends on the release.
    pub(crate) fn says_anywhere(&self, arguments: &[&str]) -> String {
        let Outcome { succeeded, stdout, stderr } = self.run(arguments, "");
        assert!(succeeded, "etcdctl {}: {stdout}{stderr}", arguments.join(" "));
        stdout + &stderr
    }

    /// What it prints when it is told something.
    pub(crate) fn answers(&self, arguments: &[&str], input: &str) -> String {
        let Outcome { succeeded, stdout, stderr } = self.run(arguments, input);
        assert!(succeeded, "etcdctl {}: {stdout}{stderr}", arguments.join(" "));
        stdout
    }

    /// What it prints when it is told to print JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.says(&[arguments, &["--write-out", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The rows of the table that it prints, each cell without its blanks, the head first.
    pub(crate) fn table(&self, arguments: &[&str]) -> Vec<Vec<String>> {
        let text = self.says(&[arguments, &["--write-out", "table"]].concat());
        let rows = text.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
        rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
    }

    /// The last line of the error that it prints, failing, as it must.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let Outcome { succeeded, stdout, stderr } = self.run(arguments, "");
        assert!(!succeeded, "etcdctl {} should fail: {stdout}", arguments.join(" "));
        stderr.lines().last().unwrap_or_default().to_owned()
    }

    fn run(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = Command::new(&self.program);
        without_settings(&mut command);
        command.env("ETCDCTL_API", "3").args(["--endpoints", &self.endpoints]);
        // A busy machine is slow; none of these tests is about time.
        command.args(["--command-timeout", "30s", "--dial-timeout", "30s"]).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Dropping the pipe ends the input. One that does not read it may have gone already.
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Outcome {
            succeeded: output.status.success(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

struct Outcome {
    succeeded: bool,
    stdout: String,
    stderr: String,
}
