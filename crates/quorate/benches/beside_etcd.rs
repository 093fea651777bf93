//! Three members of quorate and three of etcd, in turn, under the same closed-loop load: operations
//! per second, latency, and the processor time that all members together take for an operation.
//!
//!     QUORATE_TEST_ETCD=/path/to/etcd cargo bench -p quorate --bench beside_etcd
//!
//! Without that variable only quorate is measured. What is compared are ratios within one run: both
//! take turns, each time on fresh data. `BENCH_SECONDS` (4) and `BENCH_ROUNDS` (3) set the length.
//! `BENCH_ONLY` has only the workloads measured whose names contain it. `put, in a session` puts
//! with the metadata of docs/sessions.md, which etcd takes no notice of; what that costs quorate is
//! told beside the same puts without. The data lies in the target directory, which must be on a
//! real disk.

use std::error::Error;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{PutRequest, RangeRequest, StatusRequest};
use tokio::task::JoinSet;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const KEYS: u64 = 100_000;
const VALUE_BYTES: usize = 256;
/// Clients that share a connection.
const CLIENTS_A_CONNECTION: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);
/// Clock ticks a second in /proc, on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

#[derive(Clone, Copy, PartialEq)]
enum Work {
    Put,
    /// With a session for each client.
    SessionPut,
    Get,
}

/// Puts in sessions come right after the same without.
const WORKLOADS: [(Work, usize); 7] = [
    (Work::Put, 1),
    (Work::SessionPut, 1),
    (Work::Put, 256),
    (Work::SessionPut, 256),
    (Work::Put, 1000),
    (Work::SessionPut, 1000),
    (Work::Get, 256),
];

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Outcome<()> {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(Ok(default), |text| text.parse::<u64>())
    };
    let duration = Duration::from_secs(number("BENCH_SECONDS", 4)?);
    let rounds = number("BENCH_ROUNDS", 3)?;
    let mut servers = vec![Server::Quorate];
    match std::env::var_os("QUORATE_TEST_ETCD") {
        Some(path) => servers.insert(0, Server::Etcd(path.into())),
        None => say("QUORATE_TEST_ETCD is not set: quorate alone, no ratios")?,
    }
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    let mut workloads = WORKLOADS.to_vec();
    workloads.retain(|(work, _)| work.name().contains(&only));
    // One list of figures for each workload and server.
    let mut figures = vec![vec![Vec::new(); servers.len()]; workloads.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..servers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for server in order {
            let cluster = Cluster::start(&servers[server]).await?;
            for (which, &(work, clients)) in workloads.iter().enumerate() {
                let figure = cluster.measure(work, clients, duration).await?;
                let (name, ops) = (servers[server].name(), figure.ops);
                say(&format!("round {round}: {name} {} {clients}: {ops:.0}/s", work.name()))?;
                figures[which][server].push(figure);
            }
        }
    }
    report(&workloads, &servers, &figures)?;
    report_sessions(&workloads, &figures)
}

/// What sessions cost quorate, which is the last of the servers.
fn report_sessions(workloads: &[(Work, usize)], figures: &[Vec<Vec<Figure>>]) -> Outcome<()> {
    let medians = figures.iter().filter_map(|by_server| by_server.last()).map(|last| median(last));
    let medians: Vec<_> = workloads.iter().zip(medians).collect();
    let mut ratios = String::new();
    for pair in medians.windows(2) {
        if let [((Work::Put, clients), without), ((Work::SessionPut, _), with)] = pair {
            ratios += &format!(
                "| {clients} | {:.3} | {:.3} | {:.3} |\n",
                with.ops / without.ops,
                with.p50 / without.p50,
                with.cpu / without.cpu,
            );
        }
    }
    if !ratios.is_empty() {
        say("\nquorate, puts in sessions / without\n\n| clients | ops/s | p50 | CPU |")?;
        say("|---|---|---|---|")?;
        say(ratios.trim_end())?;
    }
    Ok(())
}

fn report(
    workloads: &[(Work, usize)],
    servers: &[Server],
    figures: &[Vec<Vec<Figure>>],
) -> Outcome<()> {
    say("\n| workload | clients | server | ops/s | p50 ms | p99 ms | CPU us/op |")?;
    say("|---|---|---|---|---|---|---|")?;
    let mut ratios = String::new();
    for (&(work, clients), by_server) in workloads.iter().zip(figures) {
        let medians: Vec<_> = by_server.iter().map(|figures| median(figures)).collect();
        let work = work.name();
        for (server, figure) in servers.iter().zip(&medians) {
            let Figure { ops, p50, p99, cpu } = figure;
            let name = server.name();
            say(&format!(
                "| {work} | {clients} | {name} | {ops:.0} | {p50:.2} | {p99:.2} | {cpu:.1} |"
            ))?;
        }
        if let [etcd, quorate] = &medians[..] {
            ratios += &format!(
                "| {work} | {clients} | {:.2} | {:.2} | {:.2} |\n",
                quorate.ops / etcd.ops,
                quorate.p50 / etcd.p50,
                quorate.cpu / etcd.cpu,
            );
        }
    }
    if !ratios.is_empty() {
        say(
            "\nquorate / etcd\n\n| workload | clients | ops/s | p50 | CPU |\n|---|---|---|---|---|",
        )?;
        say(ratios.trim_end())?;
    }
    Ok(())
}

fn say(line: &str) -> Outcome<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

/// What one measurement gave.
#[derive(Clone, Copy)]
struct Figure {
    ops: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
}

fn median(figures: &[Figure]) -> Figure {
    let of = |part: fn(&Figure) -> f64| {
        let mut parts: Vec<_> = figures.iter().map(part).collect();
        parts.sort_by(f64::total_cmp);
        parts[parts.len() / 2]
    };
    Figure { ops: of(|f| f.ops), p50: of(|f| f.p50), p99: of(|f| f.p99), cpu: of(|f| f.cpu) }
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::SessionPut => "put, in a session",
            Self::Get => "get, linearizable",
        }
    }
}

enum Server {
    Quorate,
    Etcd(PathBuf),
}

impl Server {
    fn name(&self) -> &'static str {
        match self {
            Self::Quorate => "quorate",
            Self::Etcd(_) => "etcd",
        }
    }

    fn command(&self) -> Command {
        match self {
            Self::Quorate => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
                command.arg("serve");
                command
            }
            Self::Etcd(path) => Command::new(path),
        }
    }
}

/// Three members on this machine; they end with it.
struct Cluster {
    members: Vec<Child>,
    urls: Vec<String>,
    _data: tempfile::TempDir,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            // One that is gone already needs no end.
            drop(member.kill());
            drop(member.wait());
        }
    }
}

impl Cluster {
    async fn start(server: &Server) -> Outcome<Self> {
        let data = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let ports = free_ports(6)?;
        let (client, peer) = ports.split_at(3);
        let url = |port: &u16| format!("http://127.0.0.1:{port}");
        let pairs: Vec<_> =
            peer.iter().enumerate().map(|(i, port)| format!("n{i}={}", url(port))).collect();
        let mut members = Vec::new();
        for i in 0..3 {
            let (client, peer) = (url(&client[i]), url(&peer[i]));
            let member = server
                .command()
                .args(["--name", &format!("n{i}"), "--log-level", "error"])
                .arg("--data-dir")
                .arg(data.path().join(format!("n{i}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &pairs.join(",")])
                .stdout(Stdio::null())
                .spawn()?;
            members.push(member);
        }
        let urls = client.iter().map(url).collect();
        let cluster = Self { members, urls, _data: data };
        cluster.load().await?;
        Ok(cluster)
    }

    /// Puts every key once; also waits until the members serve.
    async fn load(&self) -> Outcome<()> {
        let give_up = Instant::now() + Duration::from_secs(30);
        let client = KvClient::new(Endpoint::from_shared(self.urls[0].clone())?.connect_lazy());
        while let Err(error) = client.clone().put(put(0)).await {
            if give_up < Instant::now() {
                return Err(error.into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut loaders = JoinSet::new();
        for part in 0..64 {
            let mut client = client.clone();
            loaders.spawn(async move {
                for key in (part..KEYS).step_by(64) {
                    client.put(put(key)).await?;
                }
                Ok::<_, tonic::Status>(())
            });
        }
        while let Some(loaded) = loaders.join_next().await {
            loaded??;
        }
        Ok(())
    }

    /// The member that leads.
    async fn leader(&self) -> Outcome<usize> {
        for (at, url) in self.urls.iter().enumerate() {
            let channel = Endpoint::from_shared(url.clone())?.connect().await?;
            let mut client = MaintenanceClient::new(channel);
            let status = client.status(StatusRequest {}).await?.into_inner();
            if status.header.is_some_and(|header| header.member_id == status.leader) {
                return Ok(at);
            }
        }
        Err("no member leads".into())
    }

    async fn measure(&self, work: Work, clients: usize, duration: Duration) -> Outcome<Figure> {
        // A single client talks to the leader, many to all members.
        let urls = match clients {
            1 => vec![self.urls[self.leader().await?].clone()],
            _ => self.urls.clone(),
        };
        let connections = clients.div_ceil(CLIENTS_A_CONNECTION).next_multiple_of(urls.len());
        let mut channels = Vec::new();
        for i in 0..connections {
            let endpoint = Endpoint::from_shared(urls[i % urls.len()].clone())?.tcp_nodelay(true);
            channels.push(endpoint.connect().await?);
        }
        let mut sessions = Vec::new();
        for client in 0..clients {
            let channel = channels[client % channels.len()].clone();
            sessions.push(match work {
                Work::SessionPut => Some(Session::begin(channel, clients, client).await?),
                Work::Put | Work::Get => None,
            });
        }
        let begin = Instant::now() + WARM_UP;
        let end = begin + duration;
        let mut running = JoinSet::new();
        for (client, session) in sessions.into_iter().enumerate() {
            let channel = channels[client % channels.len()].clone();
            running.spawn(closed_loop(channel, work, client as u64, session, (begin, end)));
        }
        tokio::time::sleep_until(begin.into()).await;
        let before = self.cpu_seconds()?;
        tokio::time::sleep_until(end.into()).await;
        let cpu = self.cpu_seconds()? - before;
        let mut latencies = Vec::new();
        while let Some(done) = running.join_next().await {
            latencies.extend(done??);
        }
        latencies.sort_unstable();
        let ops = latencies.len() as f64;
        let percentile = |percent: usize| {
            let at = latencies.len() * percent / 100;
            latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
        };
        Ok(Figure {
            ops: ops / duration.as_secs_f64(),
            p50: percentile(50),
            p99: percentile(99),
            cpu: cpu * 1e6 / ops,
        })
    }

    /// The processor time of all members so far.
    fn cpu_seconds(&self) -> Outcome<f64> {
        let mut ticks = 0;
        for member in &self.members {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", member.id()))?;
            // The name before it is in parentheses and may hold anything.
            let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            for field in fields.skip(11).take(2) {
                ticks += field.parse::<u64>()?;
            }
        }
        Ok(ticks as f64 / TICKS)
    }
}

/// One client: the next operation when the last is answered. Gives the latencies in the time
/// measured.
async fn closed_loop(
    channel: Channel,
    work: Work,
    seed: u64,
    mut session: Option<Session>,
    (begin, end): (Instant, Instant),
) -> Result<Vec<Duration>, tonic::Status> {
    let mut client = KvClient::new(channel);
    let mut latencies = Vec::new();
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    loop {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let key = random % KEYS;
        let start = Instant::now();
        match work {
            Work::Put | Work::SessionPut => {
                let mut request = tonic::Request::new(put(key));
                if let Some(session) = &mut session {
                    session.put_next(request.metadata_mut());
                }
                drop(client.put(request).await?);
            }
            Work::Get => {
                let request = RangeRequest { key: key_bytes(key).into(), ..Default::default() };
                drop(client.range(request).await?);
            }
        }
        let now = Instant::now();
        if end <= now {
            return Ok(latencies);
        }
        if begin <= start {
            latencies.push(now - start);
        }
    }
}

/// What one client says of itself and its requests, each of which it answers for before the next.
struct Session {
    client: MetadataValue<Ascii>,
    since: Option<MetadataValue<Ascii>>,
    sequence: u64,
}

impl Session {
    /// One of so many clients.
    async fn begin(channel: Channel, clients: usize, client: usize) -> Outcome<Self> {
        let status = MaintenanceClient::new(channel).status(StatusRequest {}).await?;
        // Ids as they are drawn: far apart.
        let number = (clients << 16 | client) as u128 + 1;
        let client =
            format!("{:032x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        let since = status.metadata().get("quorate-index").cloned();
        Ok(Self { client: client.parse()?, since, sequence: 0 })
    }

    fn put_next(&mut self, metadata: &mut MetadataMap) {
        let acknowledged = self.sequence;
        self.sequence += 1;
        metadata.insert("quorate-client-id", self.client.clone());
        metadata.insert("quorate-sequence", self.sequence.into());
        metadata.insert("quorate-acknowledged", acknowledged.into());
        if let Some(since) = &self.since {
            metadata.insert("quorate-since", since.clone());
        }
    }
}

fn put(key: u64) -> PutRequest {
    let value = vec![b'v'; VALUE_BYTES].into();
    PutRequest { key: key_bytes(key).into(), value, ..Default::default() }
}

fn key_bytes(key: u64) -> String {
    format!("k{key:015}")
}

fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    let bind = |_| TcpListener::bind("127.0.0.1:0");
    let listeners = (0..count).map(bind).collect::<std::io::Result<Vec<_>>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
