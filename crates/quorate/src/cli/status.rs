//! `status`: shows the state of each endpoint.
//!
//! The members are asked one beside the other, so that a dead one delays nobody. Those that answer
//! are shown even if others do not; then the command fails all the same.

use clap::Args;
use quorate_client::message::{Member, StatusResponse};
use quorate_client::{Endpoint, Error, MemberListOptions};
use serde::Serialize;
use tokio::task::JoinSet;

use super::Session;
use super::failure::Failure;
use super::message::{Header, Id, is_zero};
use super::options::ClientOptions;
use super::output::{Report, Style, Table, line};

const EXAMPLES: &str = "\
Examples:
  quorate status
  quorate status --cluster -w table
  quorate status --endpoints 127.0.0.1:2379,127.0.0.1:22379

Each line has: endpoint, id, version, size of the data, whether it leads, whether it is a learner,
term, last index, last applied index, errors. If a member does not answer, the others are shown
and the exit status is 1.";

/// Show the state of each endpoint
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Ask every member of the cluster, not only the endpoints given
    #[arg(long)]
    cluster: bool,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl Status {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let endpoints = match self.cluster {
            true => members(session).await?,
            false => session.client.endpoints().cloned().collect(),
        };
        let mut rows = Vec::new();
        let mut failures = Vec::new();
        for (endpoint, answer) in ask(session, endpoints).await {
            match answer {
                Ok(status) => rows.push(Row { endpoint, status }),
                Err(error) => failures.push(error),
            }
        }
        let all = rows.len() + failures.len();
        if !rows.is_empty() {
            session.print(&Rows { rows })?;
        }
        if failures.is_empty() {
            return Ok(());
        }
        let causes: Vec<String> = failures.iter().map(cause).collect();
        let (count, causes) = (failures.len(), causes.join(", "));
        Err(Failure::new(format!("{count} of {all} endpoints failed: {causes}; are they running?")))
    }
}

/// What went wrong with one endpoint, without what the library says about several.
fn cause(error: &Error) -> String {
    match error {
        Error::NotConnected { attempts } if attempts.len() == 1 => attempts[0].to_string(),
        Error::NotConnected { .. }
        | Error::Endpoint(_)
        | Error::Refused { .. }
        | Error::NoAnswer { .. }
        | Error::OutcomeUnknown { .. } => error.to_string(),
    }
}

/// The client addresses of all members that have started. One member's word is enough: who asks
/// for the status may do so because there is no quorum.
async fn members(session: &Session) -> Result<Vec<Endpoint>, Failure> {
    let options = MemberListOptions::new().serializable();
    endpoints_of(&session.client.member_list(options).await?.members)
}

/// The client addresses of these members.
pub(super) fn endpoints_of(members: &[Member]) -> Result<Vec<Endpoint>, Failure> {
    let urls = members.iter().flat_map(|member| &member.client_ur_ls);
    let parsed = urls.map(|url| url.parse().map_err(Error::from)).collect::<Result<_, _>>()?;
    Ok(parsed)
}

/// Asks all at once; the answers are in the order of the endpoints.
pub(super) async fn ask(
    session: &Session,
    endpoints: Vec<Endpoint>,
) -> Vec<(Endpoint, Result<StatusResponse, Error>)> {
    let mut tasks = JoinSet::new();
    for (position, endpoint) in endpoints.into_iter().enumerate() {
        let client = session.client.clone();
        tasks.spawn(async move {
            let answer = client.status(&endpoint).await;
            (position, endpoint, answer)
        });
    }
    let mut answers = tasks.join_all().await;
    answers.sort_by_key(|(position, ..)| *position);
    answers.into_iter().map(|(_, endpoint, answer)| (endpoint, answer)).collect()
}

/// The members that answered.
struct Rows {
    rows: Vec<Row>,
}

struct Row {
    endpoint: Endpoint,
    status: StatusResponse,
}

/// As etcdctl shapes it.
#[derive(Serialize)]
pub(super) struct RowJson {
    #[serde(rename = "Endpoint")]
    endpoint: String,
    #[serde(rename = "Status")]
    status: StatusJson,
}

/// etcd's `StatusResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "is_zero")]
    db_size: i64,
    #[serde(skip_serializing_if = "is_zero")]
    leader: Id,
    #[serde(skip_serializing_if = "is_zero")]
    raft_index: u64,
    #[serde(skip_serializing_if = "is_zero")]
    raft_term: u64,
    #[serde(skip_serializing_if = "is_zero")]
    raft_applied_index: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    db_size_in_use: i64,
    #[serde(skip_serializing_if = "is_zero")]
    is_learner: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    storage_version: String,
    #[serde(skip_serializing_if = "is_zero")]
    db_size_quota: i64,
}

impl Row {
    /// The row as words, in the order of the heading.
    fn cells(&self) -> [String; 10] {
        let status = &self.status;
        let id = status.header.as_ref().map_or(0, |header| header.member_id);
        [
            self.endpoint.as_given().to_owned(),
            format!("{id:x}"),
            status.version.clone(),
            size(status.db_size),
            (id != 0 && status.leader == id).to_string(),
            status.is_learner.to_string(),
            status.raft_term.to_string(),
            status.raft_index.to_string(),
            status.raft_applied_index.to_string(),
            status.errors.join(", "),
        ]
    }

    fn json(&self, style: Style) -> RowJson {
        let status = &self.status;
        RowJson {
            endpoint: self.endpoint.as_given().to_owned(),
            status: StatusJson {
                header: Header::of(status.header.as_ref(), style),
                version: status.version.clone(),
                db_size: status.db_size,
                leader: Id::of(status.leader, style),
                raft_index: status.raft_index,
                raft_term: status.raft_term,
                raft_applied_index: status.raft_applied_index,
                errors: status.errors.clone(),
                db_size_in_use: status.db_size_in_use,
                is_learner: status.is_learner,
                storage_version: status.storage_version.clone(),
                db_size_quota: status.db_size_quota,
            },
        }
    }
}

impl Report for Rows {
    type Json = Vec<RowJson>;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        for row in &self.rows {
            line(out, row.cells().join(", ").as_bytes(), Style::Plain);
        }
    }

    fn json(&self, style: Style) -> Vec<RowJson> {
        self.rows.iter().map(|row| row.json(style)).collect()
    }

    fn table(&self, _: Style) -> Option<Table> {
        let mut table = Table::new([
            "ENDPOINT",
            "ID",
            "VERSION",
            "DB SIZE",
            "IS LEADER",
            "IS LEARNER",
            "RAFT TERM",
            "RAFT INDEX",
            "RAFT APPLIED INDEX",
            "ERRORS",
        ]);
        for row in &self.rows {
            table.row(row.cells());
        }
        Some(table)
    }
}

/// A number of bytes with two digits, in powers of 1000, as etcdctl writes it: `25 kB`, `2.1 MB`.
pub(super) fn size(bytes: i64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let bytes = bytes.unsigned_abs();
    let mut scale: u64 = 1;
    let mut unit = 0;
    while bytes / scale >= 1000 && unit + 1 < UNITS.len() {
        scale *= 1000;
        unit += 1;
    }
    // Tenths, rounded; the sum is taken apart so that it cannot overflow.
    let whole = bytes / scale;
    let tenths = (bytes % scale * 10 + scale / 2) / scale;
    let (whole, tenths) = if tenths == 10 { (whole + 1, 0) } else { (whole, tenths) };
    match (unit, whole) {
        (0, _) => format!("{bytes} B"),
        (_, 0..10) => format!("{whole}.{tenths} {}", UNITS[unit]),
        (_, _) => format!("{} {}", (bytes + scale / 2) / scale, UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1000), "1.0 kB");
        assert_eq!(size(20_480), "20 kB");
        assert_eq!(size(45_056), "45 kB");
        assert_eq!(size(2_097_152), "2.1 MB");
        assert_eq!(size(9_960_000), "10 MB");
        assert_eq!(size(i64::MAX), "9.2 EB");
    }
}
