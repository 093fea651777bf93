//! `member`: shows the members of the cluster, and changes who they are.

use clap::{Args, Subcommand};
use quorate_client::MemberListOptions;
use quorate_client::message::{Member as ApiMember, MemberListResponse, ResponseHeader};
use serde::Serialize;

use super::Session;
use super::failure::Failure;
use super::message::{Header, Id, is_zero};
use super::move_leader::find;
use super::options::ClientOptions;
use super::output::{Report, Style, Table, line};

const EXAMPLES: &str = "\
Examples:
  quorate member list
  quorate member list -w json --hex

Each line has: id, started or unstarted, name, peer addresses, client addresses, whether it is a
learner (a member without a vote).";

const ADD_EXAMPLES: &str = "\
Examples:
  quorate member add n4 --peer-urls http://10.0.0.4:2380
  quorate member add n4 --peer-urls http://10.0.0.4:2380 --learner

It prints the settings to start the new member with; its data directory is to be empty. It gets the
data first, and a vote by itself as soon as it has caught up; with --learner it gets one only by
'quorate member promote'.";

const REMOVE_EXAMPLES: &str = "\
Examples:
  quorate member remove n2
  quorate member remove 8e9e05c52164694d

The member stops by itself when it learns of it. Its id and its data are of no more use: to bring
the host back, empty the data directory and add it anew. A removal is refused if too few of the
others can be reached to go on.";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  quorate member promote n4

Refused until the learner has caught up; try again then.";

const UPDATE_EXAMPLES: &str = "\
Examples:
  quorate member update n2 --peer-urls http://10.0.0.7:2380

The others connect to the new address at once; start the member there.";

/// Show the members of the cluster, and change who they are
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
    /// Add a member
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// How the new member will be called
        #[arg(value_name = "NAME")]
        name: String,

        /// Where the others will reach it, comma-separated
        #[arg(long, value_name = "URLS", value_delimiter = ',', required = true)]
        peer_urls: Vec<String>,

        /// It is to stay without a vote
        #[arg(long)]
        learner: bool,

        #[command(flatten)]
        options: ClientOptions,
    },
    /// Remove a member
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove {
        /// The member's name, or its id in hexadecimal
        #[arg(value_name = "MEMBER")]
        target: String,

        #[command(flatten)]
        options: ClientOptions,
    },
    /// Give a learner a vote
    #[command(after_help = PROMOTE_EXAMPLES)]
    Promote {
        /// The member's name, or its id in hexadecimal
        #[arg(value_name = "MEMBER")]
        target: String,

        #[command(flatten)]
        options: ClientOptions,
    },
    /// Say that a member is at other peer URLs
    #[command(after_help = UPDATE_EXAMPLES)]
    Update {
        /// The member's name, or its id in hexadecimal
        #[arg(value_name = "MEMBER")]
        target: String,

        /// Where the others reach it, comma-separated
        #[arg(long, value_name = "URLS", value_delimiter = ',', required = true)]
        peer_urls: Vec<String>,

        #[command(flatten)]
        options: ClientOptions,
    },
}

impl Member {
    pub(super) fn options(&self) -> ClientOptions {
        let (MemberCommand::List { options }
        | MemberCommand::Add { options, .. }
        | MemberCommand::Remove { options, .. }
        | MemberCommand::Promote { options, .. }
        | MemberCommand::Update { options, .. }) = &self.command;
        options.clone().or(self.options.clone())
    }

    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let client = &session.client;
        match self.command {
            MemberCommand::List { .. } => {
                let response = client.member_list(MemberListOptions::new()).await?;
                session.print(&Members { response })
            }
            MemberCommand::Add { name, peer_urls, learner, .. } => {
                let added = client.member_add(&peer_urls, learner).await?;
                let member = added.member.unwrap_or_default();
                session.print(&Done {
                    id: member.id,
                    what: "added to",
                    start_with: Some(start_with(&name, &member, &added.members)),
                    header: added.header,
                    member: Some(member),
                    members: added.members,
                })
            }
            MemberCommand::Remove { target, .. } => {
                let id = id_of(session, &target).await?;
                let done = client.member_remove(id).await?;
                session.print(&Done::new(id, "removed from", done.header, done.members))
            }
            MemberCommand::Promote { target, .. } => {
                let id = id_of(session, &target).await?;
                let done = client.member_promote(id).await?;
                session.print(&Done::new(id, "promoted in", done.header, done.members))
            }
            MemberCommand::Update { target, peer_urls, .. } => {
                let id = id_of(session, &target).await?;
                let done = client.member_update(id, &peer_urls).await?;
                session.print(&Done::new(id, "updated in", done.header, done.members))
            }
        }
    }
}

/// The id of the member with this name, or else with this id.
async fn id_of(session: &Session, target: &str) -> Result<u64, Failure> {
    let members = session.client.member_list(MemberListOptions::new()).await?.members;
    find(&members, target)
}

/// The settings to start a new member with.
fn start_with(name: &str, new: &ApiMember, members: &[ApiMember]) -> String {
    let mut cluster = Vec::new();
    for member in members.iter().filter(|member| member.id != new.id) {
        // One that was added and has not started has no name yet: its id tells it apart.
        let known =
            if member.name.is_empty() { format!("{:x}", member.id) } else { member.name.clone() };
        cluster.extend(member.peer_ur_ls.iter().map(|url| format!("{known}={url}")));
    }
    cluster.extend(new.peer_ur_ls.iter().map(|url| format!("{name}={url}")));
    format!(
        "QUORATE_NAME=\"{name}\"\nQUORATE_INITIAL_CLUSTER=\"{}\"\n\
         QUORATE_INITIAL_ADVERTISE_PEER_URLS=\"{}\"\nQUORATE_INITIAL_CLUSTER_STATE=\"existing\"",
        cluster.join(","),
        new.peer_ur_ls.join(","),
    )
}

/// A change of membership was made.
struct Done {
    id: u64,
    /// What was done to it, before "cluster".
    what: &'static str,
    /// How to start the new member.
    start_with: Option<String>,
    header: Option<ResponseHeader>,
    /// The new member.
    member: Option<ApiMember>,
    members: Vec<ApiMember>,
}

impl Done {
    fn new(
        id: u64,
        what: &'static str,
        header: Option<ResponseHeader>,
        members: Vec<ApiMember>,
    ) -> Self {
        Self { id, what, start_with: None, header, member: None, members }
    }
}

/// etcd's answers to changes of membership.
#[derive(Serialize)]
struct DoneJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<MemberJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<MemberJson>,
}

impl Report for Done {
    type Json = DoneJson;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        let cluster = self.header.as_ref().map_or(0, |header| header.cluster_id);
        let text = format!("Member {:x} {} cluster {cluster:x}", self.id, self.what);
        line(out, text.as_bytes(), Style::Plain);
        if let Some(settings) = &self.start_with {
            line(out, b"", Style::Plain);
            line(out, settings.as_bytes(), Style::Plain);
        }
    }

    fn json(&self, style: Style) -> DoneJson {
        DoneJson {
            header: Header::of(self.header.as_ref(), style),
            member: self.member.as_ref().map(|member| MemberJson::of(member, style)),
            members: self.members.iter().map(|member| MemberJson::of(member, style)).collect(),
        }
    }

    fn table(&self, _: Style) -> Option<Table> {
        None
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

impl MemberJson {
    fn of(member: &ApiMember, style: Style) -> Self {
        Self {
            id: Id::of(member.id, style),
            name: member.name.clone(),
            peer_urls: member.peer_ur_ls.clone(),
            client_urls: member.client_ur_ls.clone(),
            is_learner: member.is_learner,
        }
    }
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
        MembersJson {
            header: Header::of(self.response.header.as_ref(), style),
            members: self
                .response
                .members
                .iter()
                .map(|member| MemberJson::of(member, style))
                .collect(),
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
