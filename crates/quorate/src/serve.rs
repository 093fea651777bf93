//! `quorate serve`: one member of a cluster.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use quorate_node::Halted;
use quorate_server::Server;

use crate::settings::Settings;
use crate::shutdown;

/// Run one member of a cluster.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  A cluster of one, for a first look; its data is in ./default.quorate:
    quorate serve

  The first of three members (run the same with n2 and n3, each on its own host):
    quorate serve --name n1 --data-dir /var/lib/quorate \\
      --listen-client-urls http://10.0.0.1:2379 --listen-peer-urls http://10.0.0.1:2380 \\
      --initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380

  A fourth one, which was added before with 'quorate member add n4 --peer-urls …':
    quorate serve --name n4 --data-dir /var/lib/quorate \\
      --listen-client-urls http://10.0.0.4:2379 --listen-peer-urls http://10.0.0.4:2380 \\
      --initial-cluster n1=http://10.0.0.1:2380,n4=http://10.0.0.4:2380 \\
      --initial-cluster-state existing

  The same from a file, whose keys are the names of the flags:
    quorate serve --config quorate.toml

Exit status: 0 after a stop by signal or a removal from the cluster, 1 if the member cannot start
or go on, 2 for wrong usage.")]
pub(crate) struct Serve {
    /// A TOML file with settings; flags and the environment come before it
    #[arg(long, value_name = "FILE", env = "QUORATE_CONFIG")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

impl Serve {
    /// Runs the member until it is told to stop.
    pub(crate) async fn run(self) -> Result<()> {
        let settings = match &self.config {
            Some(path) => self.settings.or_file(path)?,
            None => self.settings,
        };
        let config = settings.into_config()?;
        let name = config.name.clone();
        let urls = config.advertise_client_urls.join(",");
        let server = Server::start(config).await?;
        let (id, cluster) = (format!("{:x}", server.id()), format!("{:x}", server.cluster()));
        tracing::info!(name, id, cluster, "the member runs");
        let ready = async {
            server.ready().await;
            tracing::info!(urls, "ready to serve client requests");
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = ready => {}
            halted = server.stopped() => return ended(&halted),
            signal = shutdown::signal() => tracing::info!(signal = signal?, "stopping"),
        }
        server.hand_over().await;
        match server.stop().await {
            Halted::Asked | Halted::Removed => Ok(()),
            failed @ Halted::Failed(_) => bail!("the member did not stop in order: {failed}"),
        }
    }
}

/// The member stopped by itself. One that was removed has done its work: whoever watches it is not
/// to start it again.
fn ended(halted: &Halted) -> Result<()> {
    match halted {
        Halted::Removed => {
            tracing::warn!("{halted}");
            Ok(())
        }
        Halted::Asked | Halted::Failed(_) => bail!("the member stopped: {halted}"),
    }
}
