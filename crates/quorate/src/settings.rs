//! The settings of `serve`: flags, environment, file and defaults, in this order of precedence.
//!
//! Names and meanings are etcd's where there is the same thing.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use quorate_node::{LeaseConfig, SnapshotPolicy, Timing};
use quorate_server::{Cluster, ServerConfig, check_url};
use serde::Deserialize;

/// Whether the cluster is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClusterState {
    /// It begins with this start.
    New,
    /// It runs, and this member was added to it, or has its data.
    Existing,
}

/// Flags, each of them also a variable `QUORATE_…` and a key of the file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Settings {
    /// The name of this member, one of those in --initial-cluster [default: default]
    #[arg(long, env = "QUORATE_NAME")]
    name: Option<String>,

    /// Where this member keeps its data; made if there is none [default: NAME.quorate]
    #[arg(long, value_name = "DIR", env = "QUORATE_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Where to listen for clients, comma-separated [default: http://localhost:2379]
    #[arg(long, value_name = "URLS", env = "QUORATE_LISTEN_CLIENT_URLS")]
    listen_client_urls: Option<String>,

    /// What clients are told to connect to [default: the listen URLs]
    #[arg(long, value_name = "URLS", env = "QUORATE_ADVERTISE_CLIENT_URLS")]
    advertise_client_urls: Option<String>,

    /// Where to listen for the other members [default: http://localhost:2380]
    #[arg(long, value_name = "URL", env = "QUORATE_LISTEN_PEER_URLS")]
    listen_peer_urls: Option<String>,

    /// What the other members connect to [default: the listen URL]
    #[arg(long, value_name = "URLS", env = "QUORATE_INITIAL_ADVERTISE_PEER_URLS")]
    initial_advertise_peer_urls: Option<String>,

    /// All members, as NAME=PEER-URL,…; the same on each. For one that was added to a running
    /// cluster: itself, and members that run [default: this one alone]
    #[arg(long, value_name = "MEMBERS", env = "QUORATE_INITIAL_CLUSTER")]
    initial_cluster: Option<String>,

    /// Whether the cluster begins with this start, or this member was added to one that runs
    /// [default: new]
    #[arg(long, value_enum, env = "QUORATE_INITIAL_CLUSTER_STATE")]
    initial_cluster_state: Option<ClusterState>,

    /// Tells clusters apart that have the same URLs [default: etcd-cluster]
    #[arg(long, value_name = "TOKEN", env = "QUORATE_INITIAL_CLUSTER_TOKEN")]
    initial_cluster_token: Option<String>,

    /// How often a leader shows that it lives, in milliseconds [default: 100]
    #[arg(long, value_name = "MS", env = "QUORATE_HEARTBEAT_INTERVAL")]
    heartbeat_interval: Option<u64>,

    /// After how long without a leader a member stands for election, in milliseconds; each time is
    /// drawn between this and twice this [default: 1000]
    #[arg(long, value_name = "MS", env = "QUORATE_ELECTION_TIMEOUT")]
    election_timeout: Option<u64>,

    /// Let the leader answer reads without asking the others, for this many milliseconds after a
    /// heartbeat that they answered; safe only while clocks keep to --clock-drift-max. The same on
    /// all members [default: off]
    #[arg(long, value_name = "MS", env = "QUORATE_LEASE_DURATION")]
    lease_duration: Option<u64>,

    /// By how much one member's clock may run faster than another's, in thousandths; for
    /// --lease-duration [default: 100]
    #[arg(long, value_name = "THOUSANDTHS", env = "QUORATE_CLOCK_DRIFT_MAX")]
    clock_drift_max: Option<u32>,

    /// The bytes of a request at most [default: 1572864]
    #[arg(long, value_name = "BYTES", env = "QUORATE_MAX_REQUEST_BYTES")]
    max_request_bytes: Option<usize>,

    /// The operations of a transaction at most [default: 128]
    #[arg(long, value_name = "COUNT", env = "QUORATE_MAX_TXN_OPS")]
    max_txn_ops: Option<usize>,

    /// A snapshot is taken when so many bytes of log were added since the last one, or half its
    /// size, whichever is more [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "QUORATE_SNAPSHOT_LOG_BYTES")]
    snapshot_log_bytes: Option<u64>,

    /// So many bytes of log stay behind a snapshot, for members that are a little behind
    /// [default: 16777216]
    #[arg(long, value_name = "BYTES", env = "QUORATE_SNAPSHOT_TRAILING_BYTES")]
    snapshot_trailing_bytes: Option<u64>,

    /// The bytes of the answer to a read at most; a read of more is refused [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "QUORATE_MAX_RANGE_BYTES")]
    max_range_bytes: Option<usize>,
}

/// The election timeout may be configured from and to these.
const ELECTION_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 10..=50_000;

/// The clock drift that leases assume if nothing is said, in thousandths: far more than quartz and
/// slewing come to, and still short of what it costs an election.
const CLOCK_DRIFT_DEFAULT: u32 = 100;

/// The largest request may be configured from and to these: what is proposed must fit into one
/// message between members.
const REQUEST_BYTES: std::ops::RangeInclusive<usize> = 1..=32 * 1024 * 1024;

/// Snapshots may be configured to come with so much log between them, or more.
const SNAPSHOT_LOG_BYTES_MIN: u64 = 4096;

/// The largest answer may be configured from and to these: any pair that can be set must fit, and
/// etcd's clients take no answer of 2 GiB.
const RANGE_BYTES: std::ops::RangeInclusive<usize> = 1024 * 1024..=2_000_000_000;

impl Settings {
    /// Fills what is not set from the file.
    pub(crate) fn or_file(self, path: &Path) -> Result<Self> {
        let file = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the configuration file {file} cannot be read"))?;
        let rest: Self = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            let reason = error.message().replace('\n', " ");
            anyhow!("{file}, line {line}: {reason}; see 'quorate serve --help' for the keys")
        })?;
        Ok(Self {
            name: self.name.or(rest.name),
            data_dir: self.data_dir.or(rest.data_dir),
            listen_client_urls: self.listen_client_urls.or(rest.listen_client_urls),
            advertise_client_urls: self.advertise_client_urls.or(rest.advertise_client_urls),
            listen_peer_urls: self.listen_peer_urls.or(rest.listen_peer_urls),
            initial_advertise_peer_urls: self
                .initial_advertise_peer_urls
                .or(rest.initial_advertise_peer_urls),
            initial_cluster: self.initial_cluster.or(rest.initial_cluster),
            initial_cluster_state: self.initial_cluster_state.or(rest.initial_cluster_state),
            initial_cluster_token: self.initial_cluster_token.or(rest.initial_cluster_token),
            heartbeat_interval: self.heartbeat_interval.or(rest.heartbeat_interval),
            election_timeout: self.election_timeout.or(rest.election_timeout),
            lease_duration: self.lease_duration.or(rest.lease_duration),
            clock_drift_max: self.clock_drift_max.or(rest.clock_drift_max),
            max_request_bytes: self.max_request_bytes.or(rest.max_request_bytes),
            max_txn_ops: self.max_txn_ops.or(rest.max_txn_ops),
            snapshot_log_bytes: self.snapshot_log_bytes.or(rest.snapshot_log_bytes),
            snapshot_trailing_bytes: self.snapshot_trailing_bytes.or(rest.snapshot_trailing_bytes),
            max_range_bytes: self.max_range_bytes.or(rest.max_range_bytes),
        })
    }

    /// Checks the settings against each other and binds the ports; nothing is written.
    pub(crate) fn into_config(self) -> Result<ServerConfig> {
        let name = self.name.unwrap_or_else(|| "default".into());
        let data_dir = self.data_dir.unwrap_or_else(|| format!("{name}.quorate").into());
        let listen_client = self.listen_client_urls.unwrap_or("http://localhost:2379".into());
        let listen_peer = self.listen_peer_urls.unwrap_or("http://localhost:2380".into());
        for url in self.advertise_client_urls.iter().flat_map(|list| urls(list)) {
            check_url(&url).context("--advertise-client-urls")?;
        }
        let advertise_client = self.advertise_client_urls.unwrap_or(listen_client.clone());
        let advertise_peer = self.initial_advertise_peer_urls.unwrap_or(listen_peer.clone());
        let members = self.initial_cluster.unwrap_or_else(|| {
            let pairs: Vec<_> =
                urls(&advertise_peer).iter().map(|url| format!("{name}={url}")).collect();
            pairs.join(",")
        });
        let token = self.initial_cluster_token.unwrap_or("etcd-cluster".into());
        let cluster = Cluster::parse(&members, &token)?;
        let timing = timing(self.heartbeat_interval, self.election_timeout)?;
        let lease = lease(self.lease_duration, self.clock_drift_max, timing)?;
        if let Some(seat) = cluster.seat(&name) {
            let mut advertised = urls(&advertise_peer);
            advertised.sort();
            ensure!(
                seat.peer_urls == advertised,
                "--initial-cluster says that {name} is at {}, --initial-advertise-peer-urls says \
                 {}; set both to the URL that the other members reach it at",
                seat.peer_urls.join(","),
                advertised.join(","),
            );
        }
        let request_bytes_max = self.max_request_bytes.unwrap_or(ServerConfig::REQUEST_BYTES_MAX);
        ensure!(
            REQUEST_BYTES.contains(&request_bytes_max),
            "--max-request-bytes is {request_bytes_max}; it must be between {} and {}",
            REQUEST_BYTES.start(),
            REQUEST_BYTES.end(),
        );
        let range_bytes_max = self.max_range_bytes.unwrap_or(ServerConfig::RANGE_BYTES_MAX);
        ensure!(
            RANGE_BYTES.contains(&range_bytes_max),
            "--max-range-bytes is {range_bytes_max}; it must be between {} and {}",
            RANGE_BYTES.start(),
            RANGE_BYTES.end(),
        );
        let empty = std::fs::read_dir(&data_dir).map_or(true, |mut files| files.next().is_none());
        let joins = self.initial_cluster_state == Some(ClusterState::Existing);
        if joins && empty && cluster.seats.iter().all(|seat| seat.name == name) {
            bail!(
                "--initial-cluster-state is existing, but --initial-cluster names nobody else and \
                 {} is empty; name members that run, as 'quorate member add' prints them, or give \
                 'new' if the cluster begins now",
                data_dir.display()
            );
        }
        let [peer_url] = &urls(&listen_peer)[..] else {
            bail!("--listen-peer-urls takes one URL, got '{listen_peer}'");
        };
        let client_listeners = urls(&listen_client)
            .iter()
            .map(|url| bind("--listen-client-urls", url))
            .collect::<Result<Vec<_>>>()?;
        ensure!(
            !client_listeners.is_empty(),
            "--listen-client-urls is empty; give at least one URL"
        );
        Ok(ServerConfig {
            peer_listener: bind("--listen-peer-urls", peer_url)?,
            client_listeners,
            advertise_client_urls: urls(&advertise_client),
            name,
            cluster,
            joins,
            data_dir,
            timing,
            snapshots: snapshots(self.snapshot_log_bytes, self.snapshot_trailing_bytes)?,
            lease,
            request_bytes_max,
            txn_ops_max: self.max_txn_ops.unwrap_or(ServerConfig::TXN_OPS_MAX),
            range_bytes_max,
        })
    }
}

fn timing(heartbeat: Option<u64>, election: Option<u64>) -> Result<Timing> {
    let (heartbeat, election) = (heartbeat.unwrap_or(100), election.unwrap_or(1000));
    ensure!(
        ELECTION_TIMEOUT_MS.contains(&election),
        "--election-timeout is {election} ms; it must be between {} and {} ms",
        ELECTION_TIMEOUT_MS.start(),
        ELECTION_TIMEOUT_MS.end(),
    );
    ensure!(heartbeat > 0, "--heartbeat-interval is 0; it must be at least 1 ms");
    ensure!(
        heartbeat.saturating_mul(3) <= election,
        "--election-timeout is {election} ms, less than three times --heartbeat-interval of \
         {heartbeat} ms; raise the one or lower the other, or leaders are deposed for nothing",
    );
    Ok(Timing {
        heartbeat_interval: Duration::from_millis(heartbeat),
        election_timeout: Duration::from_millis(election),
    })
}

fn snapshots(log_bytes: Option<u64>, trailing_bytes: Option<u64>) -> Result<SnapshotPolicy> {
    let default = SnapshotPolicy::default();
    let log_bytes = log_bytes.unwrap_or(default.log_bytes);
    ensure!(
        log_bytes >= SNAPSHOT_LOG_BYTES_MIN,
        "--snapshot-log-bytes is {log_bytes}; it must be at least {SNAPSHOT_LOG_BYTES_MIN}, or the \
         member would do nothing but take snapshots",
    );
    Ok(SnapshotPolicy {
        log_bytes,
        trailing_bytes: trailing_bytes.unwrap_or(default.trailing_bytes),
    })
}

/// A lease, if its duration is given; checked as the core does, in terms of the flags.
fn lease(duration: Option<u64>, drift: Option<u32>, timing: Timing) -> Result<Option<LeaseConfig>> {
    let Some(milliseconds) = duration else {
        ensure!(
            drift.is_none(),
            "--clock-drift-max is for leases, which are off; give --lease-duration too, or neither"
        );
        return Ok(None);
    };
    let duration = Duration::from_millis(milliseconds);
    let clock_drift_max = drift.unwrap_or(CLOCK_DRIFT_DEFAULT);
    let lease = LeaseConfig { duration, clock_drift_max };
    ensure!(
        clock_drift_max <= 1000,
        "--clock-drift-max is {clock_drift_max} thousandths; it must be at most 1000, and leases \
         are not for clocks that are worse",
    );
    ensure!(
        timing.heartbeat_interval < duration,
        "--lease-duration is {milliseconds} ms, not above --heartbeat-interval of {:?}, so it \
         would end before it is renewed; raise it to several of those",
        timing.heartbeat_interval,
    );
    ensure!(
        lease.support() < timing.election_timeout,
        "--lease-duration is {milliseconds} ms, with {clock_drift_max} thousandths for clock drift \
         {:?}: that must be below --election-timeout of {:?}; lower the one or raise the other",
        lease.support(),
        timing.election_timeout,
    );
    Ok(Some(lease))
}

fn urls(list: &str) -> Vec<String> {
    let urls = list.split(',').map(|url| url.trim().trim_end_matches('/'));
    urls.filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

/// Binds the port of a URL.
pub(crate) fn bind(flag: &str, url: &str) -> Result<TcpListener> {
    if url.starts_with("https://") {
        bail!("{flag} '{url}': TLS is not supported yet; write http://host:port");
    }
    let Some(address) = url.strip_prefix("http://") else {
        bail!("{flag} '{url}' is no URL; write http://host:port");
    };
    listen(address).map_err(|error| {
        if error.kind() == ErrorKind::AddrInUse {
            anyhow!(
                "{flag} {url}: the port is in use; stop what uses it (another member?), or choose \
                 another"
            )
        } else if error.kind() == ErrorKind::InvalidInput {
            anyhow!("{flag} '{url}' has no valid port; write http://host:port")
        } else {
            anyhow!("{flag} {url}: cannot listen there: {error}; check host and port")
        }
    })
}

/// Binds a host and port. A name that stands for several addresses means the first of IPv4, if
/// there is one: that is where clients look for "localhost".
fn listen(address: &str) -> std::io::Result<TcpListener> {
    let mut addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    TcpListener::bind(&addresses[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<Settings> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quorate.toml");
        std::fs::write(&path, text).unwrap();
        Settings::default().or_file(&path)
    }

    #[test]
    fn flags_come_before_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quorate.toml");
        std::fs::write(&path, "name = 'b'\nelection-timeout = 300").unwrap();
        let flags = Settings { name: Some("a".into()), ..Settings::default() };
        let both = flags.or_file(&path).unwrap();
        assert_eq!((both.name.as_deref(), both.election_timeout), (Some("a"), Some(300)));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = file("name = 'a'\nelection-time = 3").unwrap_err().to_string();
        assert!(error.contains("line 2: unknown field `election-time`"), "{error}");
    }

    #[test]
    fn timers_that_contradict_each_other_are_refused() {
        assert!(timing(None, None).is_ok());
        let reason = |heartbeat, election| timing(heartbeat, election).unwrap_err().to_string();
        assert!(reason(Some(400), None).contains("less than three times"));
        assert!(reason(Some(0), None).contains("at least 1 ms"));
        assert!(reason(None, Some(60_000)).contains("between 10 and 50000"));
    }

    #[test]
    fn leases_are_off_unless_asked_for_and_bounded_by_the_election_timeout() {
        let lease = |duration, drift| lease(duration, drift, Timing::default());
        assert_eq!(lease(None, None).unwrap(), None);
        let expected = LeaseConfig { duration: Duration::from_millis(800), clock_drift_max: 100 };
        assert_eq!(lease(Some(800), None).unwrap(), Some(expected));
        let reason = |duration, drift| lease(duration, drift).unwrap_err().to_string();
        assert!(reason(None, Some(10)).contains("give --lease-duration too"));
        assert!(reason(Some(800), Some(1001)).contains("at most 1000"));
        assert!(reason(Some(100), None).contains("not above --heartbeat-interval"));
        assert!(reason(Some(910), None).contains("1.001s: that must be below --election-timeout"));
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", taken.local_addr().unwrap());
        let error = bind("--listen-peer-urls", &url).unwrap_err().to_string();
        assert!(error.contains(&url) && error.contains("the port is in use"), "{error}");
        assert!(bind("--x", "localhost:1").unwrap_err().to_string().contains("is no URL"));
        assert!(bind("--x", "http://localhost").unwrap_err().to_string().contains("valid port"));
    }
}
