//! A run of the program: what it says, how it ends, and signals to it. It ends with the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate");

/// How long anything may take that is not measured: far longer than it does, even on a busy
/// machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program with these arguments, in a surrounding that does not change what it does.
pub(crate) fn quorate(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::null());
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("QUORATE_") {
            command.env_remove(variable);
        }
    }
    command.env("NO_COLOR", "1");
    command
}

/// How a run that ends by itself went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    run_command(&mut quorate(arguments))
}

/// How long a run that ends by itself may take.
const RUN_MAX: Duration = Duration::from_secs(20);

/// Runs a command to its end, which must come soon.
pub(crate) fn run_command(command: &mut Command) -> Outcome {
    let mut process = Process::spawn(command);
    let status = process.wait(RUN_MAX);
    Outcome {
        code: status.code(),
        stdout: process.stdout.lines().concat(),
        stderr: process.stderr.lines().concat(),
    }
}

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.has_ended().is_none() {
            // Not reaped yet, so the id is still this process's.
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// `kill -9`: it ends at once, with nothing written or said.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self, patience: Duration) -> ExitStatus {
        let ended = self.stderr.wait_for_end(patience) && self.stdout.wait_for_end(patience);
        assert!(ended, "still running after {patience:?}; it said:\n{}", self.stderr.text());
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a process has said, line by line, as it comes.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    inner: Arc<(Mutex<Said>, Condvar)>,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let inner = Arc::new((Mutex::new(Said::default()), Condvar::new()));
        let lines = Self { inner: inner.clone() };
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            loop {
                let mut line = Vec::new();
                let read = reader.read_until(b'\n', &mut line).unwrap_or(0);
                let mut said = inner.0.lock().unwrap();
                if read == 0 {
                    said.ended = true;
                } else {
                    said.lines.push(String::from_utf8_lossy(&line).into_owned());
                }
                inner.1.notify_all();
                if said.ended {
                    break;
                }
            }
        });
        lines
    }

    /// All lines so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.inner.0.lock().unwrap().lines.clone()
    }

    /// The same in one piece.
    pub(crate) fn text(&self) -> String {
        self.lines().concat()
    }

    /// Waits for a line with `text` in it, and returns it.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_any(&[text])
    }

    /// Waits for a line with one of `texts` in it, and returns it.
    pub(crate) fn wait_for_any(&self, texts: &[&str]) -> String {
        let find = |said: &Said| {
            let has = |line: &&String| texts.iter().any(|text| line.contains(text));
            said.lines.iter().find(has).cloned()
        };
        let until = |said: &Said| said.ended || find(said).is_some();
        let said = self.wait_until(PATIENCE, until);
        let found = find(&said.lock().unwrap());
        found.unwrap_or_else(|| panic!("{texts:?} was not said, but:\n{}", self.text()))
    }

    fn wait_for_end(&self, patience: Duration) -> bool {
        self.wait_until(patience, |said| said.ended).lock().unwrap().ended
    }

    /// Waits until something is so, or for too long.
    fn wait_until(&self, patience: Duration, is_so: impl Fn(&Said) -> bool) -> &Mutex<Said> {
        let (said, changed) = &*self.inner;
        let begun = Instant::now();
        let mut guard = said.lock().unwrap();
        while !is_so(&guard) {
            let left = patience.saturating_sub(begun.elapsed());
            if left.is_zero() {
                break;
            }
            guard = changed.wait_timeout(guard, left).unwrap().0;
        }
        drop(guard);
        said
    }
}
