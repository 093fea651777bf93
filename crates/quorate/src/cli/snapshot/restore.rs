//! `snapshot restore`: the data directory of a member of a new cluster, made of a backup.

use std::path::PathBuf;

use clap::Args;
use quorate_server::Cluster;
use quorate_server::backup::{self, Backup, RestoreOptions};
use serde::Serialize;

use super::super::Session;
use super::super::failure::Failure;
use super::super::options::ClientOptions;
use super::super::output::{Report, Style, Table, line};

const EXAMPLES: &str = "\
Examples:
  A cluster of one:
    quorate snapshot restore backup.snap --data-dir new --initial-cluster-token new
    quorate serve --data-dir new --initial-cluster-token new

  The first of three members; run the same with n2 and n3, each with the same file:
    quorate snapshot restore backup.snap --name n1 --data-dir /var/lib/quorate \\
      --initial-cluster-token after-the-fire \\
      --initial-cluster n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380,n3=http://10.0.0.3:2380

Then start `quorate serve` with the same name, directory, cluster and token. The cluster is a new
one: members of the old one cannot speak to it. The revision is moved forward and the history before
it compacted, so that no client takes a new change for one that it has seen. Nothing is written
unless every byte of the file is right.";

/// Make the data directory of a member of a new cluster
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Restore {
    /// A file that `snapshot save` made
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The name of this member, one of those in --initial-cluster
    #[arg(long, default_value = "default")]
    name: String,

    /// Where this member's data goes; must be empty or not exist [default: NAME.quorate]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// All members of the new cluster, as NAME=PEER-URL,…
    #[arg(long, value_name = "MEMBERS", default_value = "default=http://localhost:2380")]
    initial_cluster: String,

    /// Tells the new cluster from others with the same URLs
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    initial_cluster_token: String,

    /// How far to move the revision forward; 0 leaves it, and the history with it
    #[arg(long, value_name = "COUNT", default_value_t = RestoreOptions::REVISION_BUMP)]
    bump_revision: i64,

    /// Compact the history before the new revision; done in any case if the revision is moved
    #[arg(long)]
    mark_compacted: bool,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl Restore {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        let failure = |error: &dyn std::error::Error| Failure::new(error.to_string());
        if self.mark_compacted && self.bump_revision == 0 {
            let text = "--mark-compacted needs a --bump-revision above 0; leave one of them out";
            return Err(Failure::new(text));
        }
        let cluster = Cluster::parse(&self.initial_cluster, &self.initial_cluster_token)
            .map_err(|error| failure(&error))?;
        let data_dir =
            self.data_dir.unwrap_or_else(|| PathBuf::from(format!("{}.quorate", self.name)));
        let options = RestoreOptions {
            name: self.name,
            cluster,
            data_dir,
            revision_bump: self.bump_revision,
        };
        let backup = Backup::load(&self.file).map_err(|error| failure(&error))?;
        let status = backup::restore_member(backup, &options).map_err(|error| failure(&error))?;
        session.print(&Restored {
            data_dir: options.data_dir.display().to_string(),
            cluster: format!("{:x}", options.cluster.id),
            revision: status.revision,
            total_key: status.keys,
        })
    }
}

/// A directory that is there now.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Restored {
    data_dir: String,
    cluster: String,
    revision: i64,
    total_key: i64,
}

impl Report for Restored {
    type Json = Self;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        let Self { data_dir, cluster, revision, total_key } = self;
        let text = format!(
            "Snapshot restored to {data_dir}\n{total_key} keys, revision {revision}, new cluster \
             {cluster}"
        );
        line(out, text.as_bytes(), Style::Plain);
    }

    fn json(&self, _: Style) -> Self {
        self.clone()
    }

    fn table(&self, _: Style) -> Option<Table> {
        None
    }
}
