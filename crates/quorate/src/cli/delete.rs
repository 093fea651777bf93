//! `del`: deletes a key or a range of keys.

use std::ffi::OsString;

use clap::Args;
use quorate_client::DeleteOptions;
use quorate_client::message::DeleteRangeResponse;
use serde::Serialize;

use super::failure::Failure;
use super::message::{Header, Pair, is_zero};
use super::options::ClientOptions;
use super::output::{Report, Style, Table, line, pair, pairs_table};
use super::{Session, key};

const EXAMPLES: &str = "\
Examples:
  quorate del colour                prints 1, or 0 if there was no such key
  quorate del --prefix fruit/       all keys that begin with fruit/
  quorate del a c                   all keys from a on, before c
  quorate del colour --prev-kv      prints what is gone, too

Deleting a key that does not exist is no failure: the exit status is 0.";

/// Delete a key or a range of keys
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Delete {
    /// The key, or the first of a range
    #[arg(allow_negative_numbers = true)]
    key: OsString,

    /// The end of the range; it is not part of it
    #[arg(conflicts_with_all = ["prefix", "from_key"], allow_negative_numbers = true)]
    end: Option<OsString>,

    /// Delete all keys that begin with KEY; with an empty KEY, all there are
    #[arg(long, conflicts_with = "from_key")]
    prefix: bool,

    /// Delete KEY and all keys after it
    #[arg(long)]
    from_key: bool,

    /// Print the pairs as they were before
    #[arg(long)]
    prev_kv: bool,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl Delete {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut options = DeleteOptions::new();
        if let Some(end) = self.end {
            options = options.until(key::bytes(end));
        }
        if self.prefix {
            options = options.prefix();
        }
        if self.from_key {
            options = options.from_key();
        }
        if self.prev_kv {
            options = options.prev_kv();
        }
        let response = session.client.delete(key::bytes(self.key), options).await?;
        session.print(&Deleted { response })
    }
}

/// What was deleted.
struct Deleted {
    response: DeleteRangeResponse,
}

/// etcd's `DeleteRangeResponse`.
#[derive(Serialize)]
pub(super) struct DeletedJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "is_zero")]
    deleted: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prev_kvs: Vec<Pair>,
}

impl Report for Deleted {
    type Json = DeletedJson;

    fn simple(&self, style: Style, out: &mut Vec<u8>) {
        line(out, self.response.deleted.to_string().as_bytes(), Style::Plain);
        self.response.prev_kvs.iter().for_each(|kv| pair(out, kv, style));
    }

    fn json(&self, style: Style) -> DeletedJson {
        DeletedJson {
            header: Header::of(self.response.header.as_ref(), style),
            deleted: self.response.deleted,
            prev_kvs: Pair::all(&self.response.prev_kvs),
        }
    }

    fn table(&self, style: Style) -> Option<Table> {
        if !self.response.prev_kvs.is_empty() {
            return Some(pairs_table(&self.response.prev_kvs, style));
        }
        let mut table = Table::new(["DELETED"]);
        table.row([self.response.deleted.to_string()]);
        Some(table)
    }
}
