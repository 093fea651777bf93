//! `compact`: forgets the history before a revision.

use clap::Args;
use quorate_client::CompactOptions;
use quorate_client::message::CompactionResponse;
use serde::Serialize;

use super::Session;
use super::failure::Failure;
use super::message::Header;
use super::options::ClientOptions;
use super::output::{Report, Style, Table, line};

const EXAMPLES: &str = "\
Examples:
  quorate compact 100               revisions before 100 can no longer be read
  quorate compact 100 --physical    and their space is free when the command ends

The newest version of each key always stays. `get KEY -w json` shows the current revision.";

/// Forget the history before a revision
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Compact {
    /// The oldest revision that can still be read
    #[arg(value_name = "REV")]
    revision: i64,

    /// Wait until the space is free
    #[arg(long)]
    physical: bool,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl Compact {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let options = match self.physical {
            true => CompactOptions::new().physical(),
            false => CompactOptions::new(),
        };
        let response = session.client.compact(self.revision, options).await?;
        session.print(&Compacted { response, revision: self.revision })
    }
}

/// The history is forgotten.
struct Compacted {
    response: CompactionResponse,
    revision: i64,
}

/// etcd's `CompactionResponse`.
#[derive(Serialize)]
pub(super) struct CompactedJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
}

impl Report for Compacted {
    type Json = CompactedJson;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        line(out, format!("compacted revision {}", self.revision).as_bytes(), Style::Plain);
    }

    fn json(&self, style: Style) -> CompactedJson {
        CompactedJson { header: Header::of(self.response.header.as_ref(), style) }
    }

    fn table(&self, _: Style) -> Option<Table> {
        None
    }
}
