//! Servers as processes, for the tests against etcd's own programs.
//!
//! Each server listens on ports of the loopback that were free a moment before, and keeps its data
//! in a directory that goes with it. What was started here ends when its handle is dropped, and
//! nothing else does.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_proto::etcdserverpb::RangeRequest;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(60);

/// The name of the first member, of whichever server.
pub(crate) const FIRST_NAME: &str = "m1";

/// Running servers that make one cluster.
pub(crate) struct Servers {
    /// Where clients reach each of them.
    pub(crate) urls: Vec<String>,
    /// Where they reach each other.
    pub(crate) peer_urls: Vec<String>,
    processes: Vec<Process>,
    /// Outlives the processes, being dropped after them.
    _directory: TempDir,
}

impl Servers {
    /// Starts a cluster of quorate and waits until every member answers.
    pub(crate) async fn quorate(count: usize) -> Self {
        let servers = Self::start("quorate", count, |place, cluster| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
            command.args(["--log-level", "warn", "serve"]);
            // Members that share few processors with each other must not take slowness for death.
            command.args(["--heartbeat-interval", "200", "--election-timeout", "2000"]);
            place.arguments(&mut command, cluster);
            command
        });
        servers.ready().await
    }

    /// Starts one member of etcd and waits until it answers.
    pub(crate) async fn etcd(program: &Path) -> Self {
        let servers = Self::start("etcd", 1, |place, cluster| {
            let mut command = Command::new(program);
            command.args(["--log-level", "error", "--logger", "zap"]);
            place.arguments(&mut command, cluster);
            command
        });
        servers.ready().await
    }

    fn start(what: &str, count: usize, command: impl Fn(&Place, &str) -> Command) -> Self {
        let directory = directory();
        let mut ports = free_ports(2 * count).into_iter();
        let mut url = || format!("http://127.0.0.1:{}", ports.next().unwrap());
        let places: Vec<_> = (1..=count)
            .map(|number| Place {
                name: format!("m{number}"),
                client_url: url(),
                peer_url: url(),
                data: directory.path().join(format!("m{number}")),
            })
            .collect();
        let pairs: Vec<_> = places.iter().map(|p| format!("{}={}", p.name, p.peer_url)).collect();
        let processes = places.iter().map(|place| {
            let name = format!("{what}-{}", place.name);
            Process::start(directory.path(), name, command(place, &pairs.join(",")))
        });
        Self {
            processes: processes.collect(),
            urls: places.iter().map(|place| place.client_url.clone()).collect(),
            peer_urls: places.into_iter().map(|place| place.peer_url).collect(),
            _directory: directory,
        }
    }

    /// Waits until each answers a linearizable read.
    async fn ready(mut self) -> Self {
        let begun = Instant::now();
        for (process, url) in self.processes.iter_mut().zip(&self.urls) {
            while let Err(reason) = probe(url).await {
                process.check();
                let log = process.log();
                assert!(
                    begun.elapsed() < START_MAX,
                    "{} is not ready: {reason}\n{log}",
                    process.name
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        self
    }

    /// Panics, with what it said, if one of them is no more.
    pub(crate) fn check(&mut self) {
        for process in &mut self.processes {
            process.check();
        }
    }
}

/// A connection to a server.
pub(crate) async fn channel(url: &str) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_shared(url.to_owned()).unwrap().connect().await
}

async fn probe(url: &str) -> Result<(), String> {
    let mut client = KvClient::new(channel(url).await.map_err(|error| error.to_string())?);
    let request = RangeRequest { key: "ready".into(), ..RangeRequest::default() };
    let answer = tokio::time::timeout(Duration::from_secs(5), client.range(request)).await;
    answer.map_err(|_| "no answer".to_owned())?.map_err(|status| status.to_string())?;
    Ok(())
}

/// One member's settings.
struct Place {
    name: String,
    client_url: String,
    peer_url: String,
    data: PathBuf,
}

impl Place {
    /// The flags, which are the same for etcd and quorate.
    fn arguments(&self, command: &mut Command, cluster: &str) {
        command.args(["--name", &self.name, "--initial-cluster", cluster]);
        command.arg("--data-dir").arg(&self.data);
        command.args(["--listen-client-urls", &self.client_url]);
        command.args(["--advertise-client-urls", &self.client_url]);
        command.args(["--listen-peer-urls", &self.peer_url]);
        command.args(["--initial-advertise-peer-urls", &self.peer_url]);
    }
}

/// A process that ends with its handle.
struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(directory: &Path, name: String, mut command: Command) -> Self {
        let log = directory.join(format!("{name}.log"));
        let file = File::create(&log).unwrap();
        without_settings(&mut command);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, child, log }
    }

    fn check(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("{} has ended, {status}:\n{}", self.name, self.log());
        }
    }

    /// The end of what it said.
    fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(4000)..];
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Takes the settings out of a command's environment that whoever runs the tests has in theirs.
pub(crate) fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["ETCD", "QUORATE_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
}

/// The program that a variable names, else the one of that name on the path.
pub(crate) fn find(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} is {}, where no program is", path.display());
        return Some(path);
    }
    on_path(name)
}

/// The program of that name on the path.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Says something that is seen even of a test that passes.
pub(crate) fn say(text: &str) {
    writeln!(io::stderr().lock(), "{text}").unwrap();
}

/// In memory where that can be: these tests ask for answers, not for durability.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("quorate-test-").tempdir_in(folder).unwrap()
}

/// Ports that nobody listens on, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}
