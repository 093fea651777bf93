//! `snapshot status`: checks a backup, and shows what is in it. No member is asked.

use std::path::PathBuf;

use clap::Args;
use quorate_server::backup::Backup;
use serde::Serialize;

use super::super::Session;
use super::super::failure::Failure;
use super::super::options::ClientOptions;
use super::super::output::{Report, Style, Table, line};
use super::super::status::size;

const EXAMPLES: &str = "\
Examples:
  quorate snapshot status backup.snap
  quorate snapshot status backup.snap -w table

The whole file is read and every byte checked; that takes as much memory as a member with these
keys. The line has: hash, revision, live keys, size of the file, cluster. The hash is that which
`etcdctl endpoint hashkv --rev REVISION` shows of the members that are compacted alike.

Exit status: 0 if the file is sound, 1 if not; one line says what is wrong with it.";

/// Check a file, and show what is in it
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Status {
    /// A file that `snapshot save` made
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl Status {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        let backup = Backup::load(&self.file).map_err(|error| Failure::new(error.to_string()))?;
        let view = backup.store.reader().view();
        let hash = view.content_hash(0).map_err(|error| Failure::new(error.to_string()))?;
        let status = view.status();
        let mut members: Vec<String> = backup
            .members
            .iter()
            .map(|member| format!("{}={}", member.name, member.peer_ur_ls.join(",")))
            .collect();
        members.sort();
        session.print(&Content(ContentJson {
            hash,
            revision: status.revision,
            total_key: status.keys,
            total_size: backup.bytes,
            version: backup.written_by,
            compacted: status.compacted,
            cluster: format!("{:x}", backup.cluster),
            member: format!("{:x}", backup.member),
            members,
        }))
    }
}

/// What is in a backup.
struct Content(ContentJson);

/// As etcdctl shapes it, and some more.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ContentJson {
    hash: u32,
    revision: i64,
    total_key: i64,
    total_size: u64,
    version: String,
    compacted: i64,
    cluster: String,
    member: String,
    members: Vec<String>,
}

impl Content {
    fn cells(&self) -> [String; 5] {
        let content = &self.0;
        [
            format!("{:x}", content.hash),
            content.revision.to_string(),
            content.total_key.to_string(),
            size(i64::try_from(content.total_size).unwrap_or(i64::MAX)),
            content.cluster.clone(),
        ]
    }
}

impl Report for Content {
    type Json = ContentJson;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        line(out, self.cells().join(", ").as_bytes(), Style::Plain);
    }

    fn json(&self, _: Style) -> ContentJson {
        self.0.clone()
    }

    fn table(&self, _: Style) -> Option<Table> {
        let mut table = Table::new(["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "CLUSTER"]);
        table.row(self.cells());
        Some(table)
    }
}
