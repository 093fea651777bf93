//! `member list`: shows the members of the cluster.

use clap::{Args, Subcommand};
use quorate_client::MemberListOptions;
use quorate_client::message::{Member as ApiMember, MemberListResponse};
use serde::Serialize;

use super::Session;
use super::failure::Failure;
use super::message::{Header, Id, is_zero};
use super::options::ClientOptions;
use super::output::{Report, Style, Table, line};

const EXAMPLES: &str = "\
Examples:
  quorate member list
  quorate member list -w json --hex

Each line has: id, started or unstarted, name, peer addresses, client addresses, whether it is a
learner (a member without a vote).";

/// Show the members of the cluster
#[derive(Args, Debug)]
pub(crate) struct Member {
    #[command(subcommand)]
    command: MemberCommand,

    #[command(flatten)]
    options: ClientOptions,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// List the members
    #[command(after_help = EXAMPLES)]
    List {
        #[command(flatten)]
        options: ClientOptions,
    },
}

impl Member {
    pub(super) fn options(&self) -> ClientOptions {
        match &self.command {
            MemberCommand::List { options } => options.clone().or(self.options.clone()),
        }
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self.command {
            MemberCommand::List { .. } => {
                let response = session.client.member_list(MemberListOptions::new()).await?;
                session.print(&Members { response })
            }
        }
    }
}

/// Who the members are.
struct Members {
    response: MemberListResponse,
}

/// etcd's `MemberListResponse`.
#[derive(Serialize)]
pub(super) struct MembersJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<MemberJson>,
}

/// etcd's `Member`.
#[derive(Serialize)]
struct MemberJson {
    #[serde(rename = "ID", skip_serializing_if = "is_zero")]
    id: Id,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: String,
    #[serde(rename = "peerURLs", skip_serializing_if = "Vec::is_empty")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs", skip_serializing_if = "Vec::is_empty")]
    client_urls: Vec<String>,
    #[serde(rename = "isLearner", skip_serializing_if = "is_zero")]
    is_learner: bool,
}

/// A member as words, in the order of the heading.
fn cells(member: &ApiMember) -> [String; 6] {
    let state = if member.name.is_empty() { "unstarted" } else { "started" };
    [
        format!("{:x}", member.id),
        state.to_owned(),
        member.name.clone(),
        member.peer_ur_ls.join(","),
        member.client_ur_ls.join(","),
        member.is_learner.to_string(),
    ]
}

impl Report for Members {
    type Json = MembersJson;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        for member in &self.response.members {
            line(out, cells(member).join(", ").as_bytes(), Style::Plain);
        }
    }

    fn json(&self, style: Style) -> MembersJson {
        let member = |member: &ApiMember| MemberJson {
            id: Id::of(member.id, style),
            name: member.name.clone(),
            peer_urls: member.peer_ur_ls.clone(),
            client_urls: member.client_ur_ls.clone(),
            is_learner: member.is_learner,
        };
        MembersJson {
            header: Header::of(self.response.header.as_ref(), style),
            members: self.response.members.iter().map(member).collect(),
        }
    }

    fn table(&self, _: Style) -> Option<Table> {
        let heading = ["ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER"];
        let mut table = Table::new(heading);
        for member in &self.response.members {
            table.row(cells(member));
        }
        Some(table)
    }
}
