//! A replicated lock service with fencing tokens, over a line protocol.
//!
//! `lock_service ID CLIENT-ADDRESS ADDRESS…` is member ID of those at the addresses; it keeps its
//! log in `locks-ID` and serves clients at CLIENT-ADDRESS. A client connects to any member, with
//! `nc` for instance, and writes lines:
//!
//! ```text
//! lock NAME OWNER SECONDS     granted TOKEN | taken OWNER | error …
//! renew NAME TOKEN SECONDS    granted TOKEN | lost
//! unlock NAME TOKEN           free | lost
//! owner NAME                  owner OWNER TOKEN | free
//! ```
//!
//! A lock that is not renewed in time goes to the next who asks. Its old owner may not have noticed
//! (it slept, its network was cut), so a lock alone protects nothing. The *fencing token* does: it
//! grows with each grant, the owner shows it to the resource that the lock protects, and the
//! resource refuses tokens below the largest it has seen.
//!
//! What to take from it:
//! - **Time.** Members' clocks differ, and a replay of the log comes later than the first time. So
//!   `apply` asks no clock: the member that proposes a command writes its own time into it, and the
//!   machine takes the latest time of any command for "now". A clock that is behind does no harm;
//!   one that is ahead ends leases early, which the tokens make safe.
//! - **What is wrong with a request by itself** is refused before it is proposed ([`parse`]); what
//!   depends on the state is decided in `apply`, and is a reply like any other.
//! - **A retry.** The same owner that asks again for a lock it holds gets the same token, so a
//!   client that heard no answer asks again without harm.
//!
//! Proposals wait while there is no leader, so clients get a timeout and the word "unknown".

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use quorate_node::{Command, Node, StateMachine, Wants, WriteOut};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a client waits for an answer, and the bytes of its line at most.
const PATIENCE: Duration = Duration::from_secs(10);
const LINE_BYTES_MAX: u64 = 1024;

/// The state: who holds what.
#[derive(Clone, Default)]
struct Locks {
    /// The latest time that any command brought, in milliseconds since 1970.
    now: u64,
    /// The last token given out; never goes back.
    token: u64,
    held: BTreeMap<String, Lease>,
}

/// A lock that is held.
#[derive(Clone)]
struct Lease {
    owner: String,
    token: u64,
    /// When it ends, by the state's clock.
    end: u64,
}

/// What a client wants changed. Times are in milliseconds.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Lock { name: String, owner: String, time: u64 },
    Renew { name: String, token: u64, time: u64 },
    Unlock { name: String, token: u64 },
}

/// What it gets.
enum Answer {
    Granted(u64),
    Taken(String),
    Free,
    Lost,
    Owner(String, u64),
}

impl Locks {
    /// The lease that counts: one that is over is as good as none.
    fn lease(&self, name: &str) -> Option<&Lease> {
        self.held.get(name).filter(|lease| self.now < lease.end)
    }

    fn change(&mut self, change: Change) -> Answer {
        match change {
            Change::Lock { name, owner, time } => {
                let token = match self.lease(&name) {
                    Some(lease) if lease.owner == owner => lease.token,
                    Some(lease) => return Answer::Taken(lease.owner.clone()),
                    None => {
                        self.token += 1;
                        self.token
                    }
                };
                let end = self.now.saturating_add(time);
                self.held.insert(name, Lease { owner, token, end });
                Answer::Granted(token)
            }
            Change::Renew { name, token, time } => {
                let now = self.now;
                let lease = self.held.get_mut(&name);
                match lease.filter(|lease| lease.token == token && now < lease.end) {
                    Some(lease) => {
                        lease.end = now.saturating_add(time);
                        Answer::Granted(token)
                    }
                    None => Answer::Lost,
                }
            }
            Change::Unlock { name, token } => match self.held.get(&name) {
                Some(lease) if lease.token == token => {
                    self.held.remove(&name);
                    Answer::Free
                }
                Some(_) | None => Answer::Lost,
            },
        }
    }
}

impl StateMachine for Locks {
    type Reply = Answer;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Answer>) {
        for command in commands {
            // A command is the time of the member that proposed it, then the client's line.
            let parsed = command.body.split_first_chunk().and_then(|(time, line)| {
                let change = parse(std::str::from_utf8(line).ok()?).ok()?;
                Some((u64::from_be_bytes(*time), change))
            });
            // What does not decode changes nothing, on any member.
            let answer = parsed.map_or(Answer::Lost, |(time, change)| {
                self.now = self.now.max(time);
                let now = self.now;
                self.held.retain(|_, lease| now < lease.end);
                self.change(change)
            });
            if command.wants == Wants::Reply {
                replies.push(answer);
            }
        }
    }

    /// Lines of text: small, and readable in a snapshot that went wrong.
    fn snapshot(&self) -> WriteOut {
        let state = self.clone();
        Box::new(move |out| {
            writeln!(out, "{} {}", state.now, state.token)?;
            for (name, Lease { owner, token, end }) in &state.held {
                writeln!(out, "{name} {owner} {token} {end}")?;
            }
            Ok(())
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        *self = decode(&text).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "these are no locks of this version")
        })?;
        Ok(())
    }
}

/// Reads what [`Locks::snapshot`] wrote.
fn decode(text: &str) -> Option<Locks> {
    let mut lines = text.lines();
    let (now, token) = lines.next()?.split_once(' ')?;
    let mut locks =
        Locks { now: now.parse().ok()?, token: token.parse().ok()?, held: BTreeMap::new() };
    for line in lines {
        let mut words = line.split(' ');
        let name = words.next()?.to_owned();
        let owner = words.next()?.to_owned();
        let (token, end) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        locks.held.insert(name, Lease { owner, token, end });
    }
    Some(locks)
}

/// Reads a client's line; the error says what is wrong with it.
fn parse(line: &str) -> Result<Change, &'static str> {
    let words: Vec<_> = line.split_whitespace().collect();
    let number = |text: &str| text.parse::<u64>().map_err(|_| "a number is expected");
    let time = |text: &str| number(text).map(|seconds| seconds.saturating_mul(1000));
    match words[..] {
        ["lock", name, owner, seconds] => {
            Ok(Change::Lock { name: name.into(), owner: owner.into(), time: time(seconds)? })
        }
        ["renew", name, token, seconds] => {
            Ok(Change::Renew { name: name.into(), token: number(token)?, time: time(seconds)? })
        }
        ["unlock", name, token] => Ok(Change::Unlock { name: name.into(), token: number(token)? }),
        _ => {
            Err("lock NAME OWNER SECONDS, renew NAME TOKEN SECONDS, unlock NAME TOKEN, owner NAME")
        }
    }
}

/// The command for a line that [`parse`] takes.
fn command(line: &str) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    [&now.to_be_bytes(), line.as_bytes()].concat()
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted(token) => write!(f, "granted {token}"),
            Self::Taken(owner) => write!(f, "taken {owner}"),
            Self::Free => write!(f, "free"),
            Self::Lost => write!(f, "lost"),
            Self::Owner(owner, token) => write!(f, "owner {owner} {token}"),
        }
    }
}

/// Answers one line.
async fn answer(node: &Node<Locks>, line: &str) -> String {
    let answered = if let Some(("owner", name)) = line.split_once(' ') {
        let name = name.trim().to_owned();
        let owner = node.read(move |locks| match locks.lease(&name) {
            Some(lease) => Answer::Owner(lease.owner.clone(), lease.token),
            None => Answer::Free,
        });
        timeout(PATIENCE, owner).await
    } else if let Err(reason) = parse(line) {
        return format!("error {reason}");
    } else {
        timeout(PATIENCE, node.propose(command(line))).await
    };
    match answered {
        Ok(Ok(answer)) => answer.to_string(),
        Ok(Err(error)) => format!("error {error}"),
        Err(_) => "unknown: no answer in time; ask again".into(),
    }
}

/// Serves one client until it leaves or writes what is no line.
async fn serve(node: Node<Locks>, mut stream: TcpStream) -> io::Result<()> {
    let (from, mut to) = stream.split();
    let mut from = BufReader::new(from);
    loop {
        let mut line = String::new();
        let read = (&mut from).take(LINE_BYTES_MAX).read_line(&mut line).await?;
        if read == 0 || !line.ends_with('\n') {
            return Ok(());
        }
        let answer = answer(&node, line.trim()).await;
        to.write_all(format!("{answer}\n").as_bytes()).await?;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    const USAGE: &str = "usage: lock_service ID CLIENT-ADDRESS ADDRESS…";
    let mut arguments = std::env::args().skip(1);
    let id = arguments.next().ok_or(USAGE)?.parse()?;
    let clients = TcpListener::bind(arguments.next().ok_or(USAGE)?).await?;
    let node = Node::builder(id, format!("locks-{id}"), Locks::default())
        .cluster("locks")
        .members((1..).zip(arguments))
        .start()
        .await?;
    loop {
        tokio::select! {
            accepted = clients.accept() => {
                let (stream, _) = accepted?;
                // A client that breaks its connection is no concern of the others.
                tokio::spawn(serve(node.clone(), stream));
            }
            halted = node.stopped() => return Err(halted.to_string().into()),
        }
    }
}
