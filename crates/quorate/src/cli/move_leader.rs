//! `move-leader`: hands the leadership over to a member.
//!
//! Only the leader can do it, so it is looked for first, among all members: it need not be among
//! the endpoints given.

use clap::Args;
use quorate_client::message::Member;
use quorate_client::{Endpoint, MemberListOptions};
use serde::Serialize;

use super::Session;
use super::failure::Failure;
use super::options::ClientOptions;
use super::output::{Report, Style, Table, line};
use super::status::{ask, endpoints_of};

const EXAMPLES: &str = "\
Examples:
  quorate move-leader n2
  quorate move-leader 8e9e05c52164694d

Requests wait for the moment that it takes, none is lost. `quorate member list` shows names and
ids.";

/// Hand the leadership over to a member
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct MoveLeader {
    /// Who is to lead: a member's name, or its id in hexadecimal
    #[arg(value_name = "MEMBER")]
    target: String,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl MoveLeader {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        // One member's word is enough to know who they are; the leader decides the rest.
        let options = MemberListOptions::new().serializable();
        let members = session.client.member_list(options).await?.members;
        let to = find(&members, &self.target)?;
        let (from, endpoint) = leader(session, &members).await?;
        session.client.move_leader(&endpoint, to).await?;
        session.print(&Moved { from, to })
    }
}

/// The id of the member with this name, or else with this id.
pub(super) fn find(members: &[Member], target: &str) -> Result<u64, Failure> {
    if let Some(member) = members.iter().find(|member| member.name == target) {
        return Ok(member.id);
    }
    let id = u64::from_str_radix(target, 16).ok();
    let known = id.filter(|id| members.iter().any(|member| member.id == *id));
    known.ok_or_else(|| {
        let known = members.iter().map(|member| format!("{} ({:x})", member.name, member.id));
        let known = known.collect::<Vec<_>>().join(", ");
        Failure::new(format!("there is no member '{target}'; the members are {known}"))
    })
}

/// Who leads, and where it is; all are asked at once.
async fn leader(session: &Session, members: &[Member]) -> Result<(u64, Endpoint), Failure> {
    let mut endpoints: Vec<Endpoint> = session.client.endpoints().cloned().collect();
    endpoints.extend(endpoints_of(members)?);
    let count = endpoints.len();
    for (endpoint, status) in ask(session, endpoints).await {
        // Who does not answer is not asked to do anything either.
        let Ok(status) = status else { continue };
        let id = status.header.as_ref().map_or(0, |header| header.member_id);
        if id != 0 && status.leader == id {
            return Ok((id, endpoint));
        }
    }
    Err(Failure::new(format!(
        "none of {count} addresses is that of the leader; see `quorate status --cluster`, and name \
         the leader's with --endpoints"
    )))
}

/// The leadership was handed over.
struct Moved {
    from: u64,
    to: u64,
}

/// etcd's `MoveLeaderResponse`, which says nothing.
#[derive(Serialize)]
pub(super) struct MovedJson {}

impl Report for Moved {
    type Json = MovedJson;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        let text = format!("Leadership transferred from {:x} to {:x}", self.from, self.to);
        line(out, text.as_bytes(), Style::Plain);
    }

    fn json(&self, _: Style) -> MovedJson {
        MovedJson {}
    }

    fn table(&self, _: Style) -> Option<Table> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str) -> Member {
        Member { id, name: name.to_owned(), ..Member::default() }
    }

    #[test]
    fn a_member_is_found_by_its_name_before_its_id() {
        let members = [member(0xa, "n1"), member(0xb, "a")];
        assert_eq!(find(&members, "n1").ok(), Some(0xa));
        assert_eq!(find(&members, "a").ok(), Some(0xb));
        assert_eq!(find(&members, "b").ok(), Some(0xb));
        let unknown = find(&members, "c").expect_err("there is none").to_string();
        assert_eq!(unknown, "there is no member 'c'; the members are n1 (a), a (b)");
    }
}
