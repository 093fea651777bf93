//! A cluster of `quorate serve` processes on this machine, each of which can be killed, paused and
//! started again.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use quorate_client::message::StatusResponse;
use quorate_client::{Client, Endpoint, Error, Options};
use rustix::process::Signal;
use tempfile::TempDir;

use super::ports;
use super::process::{PATIENCE, PROGRAM, Process, quorate};

/// What a member says once it can serve.
pub(crate) const READY: &str = "ready to serve client requests";

/// Timers fast enough for a test, slow enough for a busy machine.
pub(crate) const HEARTBEAT_MS: u64 = 30;
/// See [`HEARTBEAT_MS`].
pub(crate) const ELECTION_MS: u64 = 300;

/// Several members that know each other.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) members: Vec<Member>,
    _directory: Option<TempDir>,
}

/// One member: how to start it, and its process while it runs.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) client_port: u16,
    /// Where the others look for it.
    pub(crate) peer_port: u16,
    /// Where it listens for them; the same, unless somebody made a mistake.
    pub(crate) peer_listener_port: u16,
    pub(crate) data_dir: PathBuf,
    pub(crate) initial_cluster: String,
    pub(crate) token: String,
    pub(crate) process: Option<Process>,
    /// What stands before the program, such as a tracer.
    pub(crate) wrapper: Vec<String>,
    /// Further flags of the program.
    pub(crate) flags: Vec<String>,
}

impl Cluster {
    /// Members that are not started yet.
    pub(crate) fn new(count: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let members = Self::new_in(directory.path(), count).members;
        Self { members, _directory: Some(directory) }
    }

    /// The same, in a directory of the caller's.
    pub(crate) fn new_in(directory: &Path, count: usize) -> Self {
        let ports: Vec<_> = (0..count).map(|_| (ports::free(), ports::free())).collect();
        let name = |place: usize| format!("n{}", place + 1);
        let pairs: Vec<_> = (ports.iter().enumerate())
            .map(|(place, (_, peer))| format!("{}=http://127.0.0.1:{peer}", name(place)))
            .collect();
        let member = |(place, &(client_port, peer_port))| Member {
            name: name(place),
            client_port,
            peer_port,
            peer_listener_port: peer_port,
            data_dir: directory.join(name(place)),
            initial_cluster: pairs.join(","),
            token: "fault-tests".into(),
            process: None,
            wrapper: Vec::new(),
            flags: Vec::new(),
        };
        let members = ports.iter().enumerate().map(member).collect();
        Self { members, _directory: None }
    }

    /// Members that are ready.
    pub(crate) fn start(count: usize) -> Self {
        let mut cluster = Self::new(count);
        cluster.start_all();
        cluster
    }

    /// Starts all members and waits until they are ready.
    pub(crate) fn start_all(&mut self) {
        for member in &mut self.members {
            member.start();
        }
        for member in &self.members {
            member.wait_until_ready();
        }
    }

    /// A client of each member, with nowhere else to go.
    pub(crate) fn clients(&self, patience: Duration) -> Vec<Client> {
        self.members.iter().map(|member| member.client(patience)).collect()
    }

    /// The place of the member that leads. Asks until those that run agree on one of them.
    pub(crate) async fn leader(&self) -> usize {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut states = Vec::new();
            for member in &self.members {
                if member.process.is_some() {
                    states.push(member.status().await.ok());
                }
            }
            if let Some(Some(first)) = states.first()
                && first.leader != 0
                && states.iter().flatten().filter(|state| state.leader == first.leader).count()
                    == states.len()
                && let Some(place) = self.place_of(first.leader).await
            {
                return place;
            }
            assert!(tokio::time::Instant::now() < deadline, "no leader after {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn place_of(&self, id: u64) -> Option<usize> {
        for (place, member) in self.members.iter().enumerate() {
            if member.process.is_some()
                && let Ok(state) = member.status().await
                && state.header.is_some_and(|header| header.member_id == id)
            {
                return Some(place);
            }
        }
        None
    }
}

impl Member {
    pub(crate) fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client_port)
    }

    pub(crate) fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer_port)
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        format!("127.0.0.1:{}", self.client_port).parse().unwrap()
    }

    /// The command that runs it.
    pub(crate) fn command(&self) -> Command {
        let data_dir = self.data_dir.display().to_string();
        let (client, peer) = (self.client_url(), self.peer_url());
        let listener = format!("http://127.0.0.1:{}", self.peer_listener_port);
        let (heartbeat, election) = (HEARTBEAT_MS.to_string(), ELECTION_MS.to_string());
        let serve = [
            "serve",
            "--name",
            &self.name,
            "--data-dir",
            &data_dir,
            "--listen-client-urls",
            &client,
            "--listen-peer-urls",
            &listener,
            "--initial-advertise-peer-urls",
            &peer,
            "--initial-cluster",
            &self.initial_cluster,
            "--initial-cluster-token",
            &self.token,
            "--heartbeat-interval",
            &heartbeat,
            "--election-timeout",
            &election,
        ];
        let mut command = quorate(&serve);
        if let Some((tracer, options)) = self.wrapper.split_first() {
            let mut traced = Command::new(tracer);
            traced.args(options).arg(PROGRAM).args(serve).env("NO_COLOR", "1");
            command = traced;
        }
        command.args(&self.flags);
        command
    }

    /// Starts it; it need not be ready yet.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "{} runs already", self.name);
        self.process = Some(Process::spawn(&mut self.command()));
    }

    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the member runs")
    }

    pub(crate) fn wait_until_ready(&self) {
        self.process.as_ref().expect("the member runs").stderr.wait_for(READY);
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.take().expect("the member runs").kill();
    }

    /// Stops it in order.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.process().signal(Signal::TERM);
        self.ended()
    }

    /// Waits for the end of one that was told to stop.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.process.take().expect("the member runs").wait(PATIENCE)
    }

    /// A client that asks nobody else.
    pub(crate) fn client(&self, patience: Duration) -> Client {
        let options = Options::new().connect_timeout(patience).request_timeout(patience);
        Client::connect([self.client_url()], options).unwrap()
    }

    pub(crate) async fn status(&self) -> Result<StatusResponse, Error> {
        self.client(Duration::from_secs(1)).status(&self.endpoint()).await
    }
}
