//! `quorate dev`: a durable cluster in one process, to try things out and to develop against.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use quorate_node::{Halted, SnapshotPolicy, Timing};
use quorate_server::{Cluster, Server, ServerConfig};
use tokio::task::JoinSet;

use crate::settings::bind;
use crate::{output, shutdown};

/// Run a durable cluster in this process.
#[derive(Args, Debug)]
#[command(after_help = "\
Members listen for clients on 127.0.0.1:2379, :22379, :32379, … and for each other one port above.
The data stays when the cluster is stopped, and is there again at the next start.

Examples:
  quorate dev
  quorate dev --members 1 --data-dir /tmp/scratch

Exit status: 0 after Ctrl-C, 1 if a member cannot start or go on, 2 for wrong usage.")]
pub(crate) struct Dev {
    /// How many members
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=6))]
    members: u16,

    /// Where the data is kept
    #[arg(long, value_name = "DIR", default_value = "quorate-dev", env = "QUORATE_DATA_DIR")]
    data_dir: PathBuf,

    /// The clients' ports, one a member, when the usual ones are taken; peers get the next port up
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    client_ports: Vec<u16>,
}

/// One member's place.
struct Place {
    name: String,
    client_url: String,
    peer_url: String,
}

impl Dev {
    /// Runs the cluster until it is told to stop.
    pub(crate) async fn run(self) -> Result<()> {
        let begun = Instant::now();
        let places = self.places()?;
        let pairs: Vec<_> = places.iter().map(|p| format!("{}={}", p.name, p.peer_url)).collect();
        let cluster = Cluster::parse(&pairs.join(","), "quorate-dev")?;
        // All ports first, so that nothing is written when one is taken.
        let mut configs = Vec::new();
        for place in &places {
            configs.push(self.config(place, &cluster)?);
        }
        let mut servers = Vec::new();
        for config in configs {
            let directory = config.data_dir.display().to_string();
            let server = Server::start(config).await;
            servers
                .push(server.with_context(|| format!("the member in {directory} cannot start"))?);
        }
        output::print(&self.table(&places, &servers))?;
        let ready = async {
            for server in &servers {
                server.ready().await;
            }
        };
        tokio::select! {
            () = ready => {}
            halted = first_to_stop(&servers) => bail!("a member stopped: {halted}"),
            signal = shutdown::signal() => return stop(servers, signal?).await,
        }
        output::print(&advice(&places, &servers, begun.elapsed()))?;
        let signal = tokio::select! {
            halted = first_to_stop(&servers) => bail!("a member stopped: {halted}"),
            signal = shutdown::signal() => signal?,
        };
        stop(servers, signal).await
    }

    fn places(&self) -> Result<Vec<Place>> {
        let ports: Vec<u16> = if self.client_ports.is_empty() {
            let port = |i| if i == 0 { 2379 } else { (i + 1) * 10_000 + 2379 };
            (0..self.members).map(port).collect()
        } else {
            self.client_ports.clone()
        };
        ensure!(
            ports.len() == usize::from(self.members),
            "--client-ports names {} ports for {} members; give one a member",
            ports.len(),
            self.members,
        );
        for port in &ports {
            let peer = port.saturating_add(1);
            ensure!(
                !ports.contains(&peer) && ports.iter().filter(|other| *other == port).count() == 1,
                "--client-ports: {port} and {peer} are one member's ports, for clients and peers; \
                 leave at least one port between any two",
            );
        }
        let place = |(i, port): (usize, u16)| {
            let peer = port.checked_add(1).context("a client port must be below 65535")?;
            Ok(Place {
                name: format!("dev{}", i + 1),
                client_url: format!("http://127.0.0.1:{port}"),
                peer_url: format!("http://127.0.0.1:{peer}"),
            })
        };
        ports.into_iter().enumerate().map(place).collect()
    }

    fn config(&self, place: &Place, cluster: &Cluster) -> Result<ServerConfig> {
        Ok(ServerConfig {
            name: place.name.clone(),
            cluster: cluster.clone(),
            joins: false,
            data_dir: self.data_dir.join(&place.name),
            client_listeners: vec![bind("client URL", &place.client_url)?],
            advertise_client_urls: vec![place.client_url.clone()],
            peer_listener: bind("peer URL", &place.peer_url)?,
            timing: Timing::default(),
            snapshots: SnapshotPolicy::default(),
            lease: None,
            request_bytes_max: ServerConfig::REQUEST_BYTES_MAX,
            txn_ops_max: ServerConfig::TXN_OPS_MAX,
            range_bytes_max: ServerConfig::RANGE_BYTES_MAX,
        })
    }

    fn table(&self, places: &[Place], servers: &[Server]) -> String {
        let mut text = format!(
            "quorate dev: {} in this process, data in {}\n\n  {:<8} {:<24} {:<24} id\n",
            if places.len() == 1 { "1 member".into() } else { format!("{} members", places.len()) },
            self.data_dir.display(),
            "member",
            "clients",
            "peers",
        );
        for (place, server) in places.iter().zip(servers) {
            let Place { name, client_url, peer_url } = place;
            let id = server.id();
            text += &format!("  {name:<8} {client_url:<24} {peer_url:<24} {id:x}\n");
        }
        text
    }
}

fn advice(places: &[Place], servers: &[Server], took: Duration) -> String {
    let leader = places.iter().zip(servers).find(|(_, server)| server.is_leader());
    let leader = leader.map_or("a member", |(place, _)| &place.name);
    let program = std::env::args().next().unwrap_or_else(|| "quorate".into());
    let all: Vec<_> =
        places.iter().map(|place| place.client_url.trim_start_matches("http://")).collect();
    let last = all.last().unwrap_or(&"127.0.0.1:2379");
    format!(
        "\nready after {:.2} s; {leader} leads. In another terminal:\n\n  \
         {program} put greeting hello\n  \
         {program} get greeting --endpoints {last}\n  \
         {program} status --endpoints {}\n\n\
         Ctrl-C stops the cluster; its data stays.\n",
        took.as_secs_f64(),
        all.join(","),
    )
}

/// Waits until a member stops by itself, which none should.
async fn first_to_stop(servers: &[Server]) -> Halted {
    let mut stops = JoinSet::new();
    for server in servers {
        stops.spawn(server.watch());
    }
    match stops.join_next().await {
        Some(Ok(halted)) => halted,
        Some(Err(error)) => Halted::Failed(error.to_string()),
        None => std::future::pending().await,
    }
}

async fn stop(servers: Vec<Server>, signal: &str) -> Result<()> {
    tracing::info!(signal, "stopping");
    for server in servers {
        if let failed @ Halted::Failed(_) = server.stop().await {
            bail!("a member did not stop in order: {failed}");
        }
    }
    Ok(())
}
