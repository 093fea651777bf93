//! `get`: reads a key or a range of keys.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use quorate_client::message::RangeResponse;
use quorate_client::{RangeOptions, SortBy, SortOrder};
use serde::Serialize;

use super::failure::Failure;
use super::message::{Header, Pair, is_zero};
use super::options::{ClientOptions, duration};
use super::output::{Report, Style, Table, line, pair, pairs_table};
use super::{Session, key};

const EXAMPLES: &str = "\
Examples:
  quorate get colour                      the key, then its value
  quorate get --prefix fruit/             all keys that begin with fruit/
  quorate get a c                         all keys from a on, before c
  quorate get --prefix '' --keys-only     every key there is
  quorate get colour --rev 7              as it was at revision 7
  quorate get colour --print-value-only   for scripts
  quorate get colour --max-staleness 1s   from the asked member, if it is up to date to a second

A key that does not exist prints nothing and is no failure: the exit status is 0, as etcdctl's.
To tell a missing key from an empty value, use -w json or --count-only.";

/// Read a key or a range of keys
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// The key, or the first of a range
    #[arg(allow_negative_numbers = true)]
    key: OsString,

    /// The end of the range; it is not part of it
    #[arg(conflicts_with_all = ["prefix", "from_key"], allow_negative_numbers = true)]
    end: Option<OsString>,

    /// Read all keys that begin with KEY; with an empty KEY, all there are
    #[arg(long, conflicts_with = "from_key")]
    prefix: bool,

    /// Read KEY and all keys after it
    #[arg(long)]
    from_key: bool,

    /// Read at this revision; 0 is the newest
    #[arg(long, value_name = "N", default_value_t = 0)]
    rev: i64,

    /// Read at most so many keys; 0 is all
    #[arg(long, value_name = "N", default_value_t = 0)]
    limit: i64,

    /// The order [default: ascend]
    #[arg(long, value_enum, ignore_case = true)]
    order: Option<Order>,

    /// What to order by [default: key]
    #[arg(long, value_enum, ignore_case = true)]
    sort_by: Option<By>,

    /// Print the keys without their values
    #[arg(long)]
    keys_only: bool,

    /// Print only how many keys there are
    #[arg(long, conflicts_with_all = ["keys_only", "print_value_only"])]
    count_only: bool,

    /// Print the values without their keys
    #[arg(long)]
    print_value_only: bool,

    /// Let the asked member answer alone: works without a quorum, and may be old
    #[arg(long)]
    serializable: bool,

    /// Let the asked member answer alone if its state is no older than this, such as 250ms; else it
    /// asks the leader
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "serializable")]
    max_staleness: Option<Duration>,

    /// As etcdctl spells it: l for linearizable, s for serializable
    #[arg(long, value_enum, hide = true, conflicts_with_all = ["serializable", "max_staleness"])]
    consistency: Option<Consistency>,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

/// The order by its name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// Smallest first
    Ascend,
    /// Largest first
    Descend,
}

/// What is ordered by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// The key
    Key,
    /// How often it was changed since its creation
    Version,
    /// The revision of its creation
    Create,
    /// The revision of its last change
    Modify,
    /// The value
    Value,
}

/// etcdctl's `--consistency`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Consistency {
    /// Agreed on by a quorum
    #[value(name = "l")]
    Linearizable,
    /// The asked member's own
    #[value(name = "s")]
    Serializable,
}

impl Get {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let options = self.range_options();
        let response = session.client.get(key::bytes(self.key), options).await?;
        let show = match (self.count_only, self.print_value_only) {
            (true, _) => Show::Count,
            (false, true) => Show::Values,
            (false, false) => Show::Pairs,
        };
        session.print(&Found { response, show })
    }

    fn range_options(&self) -> RangeOptions {
        let mut options = RangeOptions::new().revision(self.rev).limit(self.limit);
        if let Some(end) = &self.end {
            options = options.until(key::bytes(end.clone()));
        }
        if self.prefix {
            options = options.prefix();
        }
        if self.from_key {
            options = options.from_key();
        }
        if self.order.is_some() || self.sort_by.is_some() {
            options = options.sort(self.by(), self.order());
        }
        if self.keys_only {
            options = options.keys_only();
        }
        if self.count_only {
            options = options.count_only();
        }
        if self.serializable || self.consistency == Some(Consistency::Serializable) {
            options = options.serializable();
        }
        if let Some(staleness) = self.max_staleness {
            options = options.max_staleness(staleness);
        }
        options
    }

    fn by(&self) -> SortBy {
        match self.sort_by {
            None | Some(By::Key) => SortBy::Key,
            Some(By::Version) => SortBy::Version,
            Some(By::Create) => SortBy::Create,
            Some(By::Modify) => SortBy::Modify,
            Some(By::Value) => SortBy::Value,
        }
    }

    fn order(&self) -> SortOrder {
        match self.order {
            None | Some(Order::Ascend) => SortOrder::Ascending,
            Some(Order::Descend) => SortOrder::Descending,
        }
    }
}

/// What of the answer the lines show.
#[derive(Clone, Copy, Debug)]
enum Show {
    /// Keys and values. Without values (`--keys-only`) their lines stay, empty, as etcdctl's.
    Pairs,
    /// Values alone.
    Values,
    /// How many there are.
    Count,
}

/// What was read.
struct Found {
    response: RangeResponse,
    show: Show,
}

/// etcd's `RangeResponse`.
#[derive(Serialize)]
pub(super) struct FoundJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kvs: Vec<Pair>,
    #[serde(skip_serializing_if = "is_zero")]
    more: bool,
    #[serde(skip_serializing_if = "is_zero")]
    count: i64,
}

impl Report for Found {
    type Json = FoundJson;

    fn simple(&self, style: Style, out: &mut Vec<u8>) {
        match self.show {
            Show::Pairs => self.response.kvs.iter().for_each(|kv| pair(out, kv, style)),
            Show::Values => self.response.kvs.iter().for_each(|kv| line(out, &kv.value, style)),
            Show::Count => line(out, self.response.count.to_string().as_bytes(), Style::Plain),
        }
    }

    fn json(&self, style: Style) -> FoundJson {
        FoundJson {
            header: Header::of(self.response.header.as_ref(), style),
            kvs: Pair::all(&self.response.kvs),
            more: self.response.more,
            count: self.response.count,
        }
    }

    fn table(&self, style: Style) -> Option<Table> {
        match self.show {
            Show::Pairs | Show::Values => Some(pairs_table(&self.response.kvs, style)),
            Show::Count => {
                let mut table = Table::new(["COUNT"]);
                table.row([self.response.count.to_string()]);
                Some(table)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate_client::message::{KeyValue, ResponseHeader};

    use super::super::output::{Format, render};
    use super::*;

    /// One pair of two, as a server with large ids answers.
    fn found(show: Show) -> Found {
        let header = ResponseHeader {
            cluster_id: 15_875_391_935_852_295_136,
            member_id: 7,
            revision: 29,
            raft_term: 2,
        };
        let kv = KeyValue {
            key: "a".into(),
            value: "\n".into(),
            create_revision: 28,
            mod_revision: 28,
            version: 1,
            lease: 0,
        };
        let (header, kvs) = (Some(header), vec![kv]);
        Found { response: RangeResponse { header, kvs, more: true, count: 2 }, show }
    }

    fn rendered(show: Show, format: Format, style: Style) -> String {
        String::from_utf8(render(&found(show), format, style).unwrap()).unwrap()
    }

    #[test]
    fn lines_are_etcdctls() {
        let lines = |show, style| rendered(show, Format::Simple, style);
        assert_eq!(lines(Show::Pairs, Style::Plain), "a\n\n\n");
        assert_eq!(lines(Show::Pairs, Style::Hex), "\\x61\n\\x0a\n");
        assert_eq!(lines(Show::Values, Style::Plain), "\n\n");
        assert_eq!(lines(Show::Count, Style::Plain), "2\n");
    }

    #[test]
    fn json_is_etcdctls() {
        let json = |style| rendered(Show::Pairs, Format::Json, style);
        assert_eq!(
            json(Style::Plain),
            "{\"header\":{\"cluster_id\":15875391935852295136,\"member_id\":7,\"revision\":29,\
             \"raft_term\":2},\"kvs\":[{\"key\":\"YQ==\",\"create_revision\":28,\
             \"mod_revision\":28,\"version\":1,\"value\":\"Cg==\"}],\"more\":true,\"count\":2}\n"
        );
        assert!(json(Style::Hex).contains("\"cluster_id\":\"dc50b8daae93b3e0\""));
    }

    #[test]
    fn a_table_has_a_row_a_pair() {
        let table = rendered(Show::Pairs, Format::Table, Style::Plain);
        assert!(table.contains("| a   | \\n    | 28      | 28       | 1       |\n"), "{table}");
    }
}
