//! The sessions in a snapshot; `docs/sessions.md` says what every byte means.
//!
//! Members with equal tables write equal bytes. What no table wrote is refused, and never takes
//! more memory than it has bytes: counts are believed only as far as bytes follow.

use std::io::{self, Read, Write};
use std::sync::Arc;

use quorate_raft::Index;

use super::digest::number;
use super::envelope::ClientId;
use super::saved::{Saved, SavedReply};
use super::table::{Kept, Limits, Session, Table};

/// What it begins with, whatever its version.
const MAGIC: [u8; 8] = *b"quorses\n";

/// The version that is written. Older ones are none so far.
const VERSION: u32 = 1;

/// What follows a kept reply's numbers.
const REPLY: u8 = 1;
const REPLY_TOO_LARGE: u8 = 2;

/// What it ends with, so that what follows is not taken for more of it.
const END: [u8; 8] = *b"\nsesend\n";

/// A table as it was, to be written by another thread.
#[derive(Debug)]
pub(super) struct Frozen {
    limits: Limits,
    sessions: Vec<(ClientId, Arc<Session>)>,
    evicted_through: Index,
    hash: u64,
}

impl Frozen {
    /// Shares the sessions: a later command copies the one that it changes.
    pub(super) fn of(table: &Table) -> Self {
        let sessions = table.sessions.iter();
        Self {
            limits: table.limits,
            sessions: sessions.map(|(client, session)| (client, Arc::clone(session))).collect(),
            evicted_through: table.evicted_through,
            hash: table.hash,
        }
    }

    pub(super) fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut head = Vec::new();
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        for bound in bounds(&self.limits) {
            head.extend_from_slice(&bound.to_le_bytes());
        }
        for number in [self.evicted_through.value(), self.hash, number(self.sessions.len())] {
            head.extend_from_slice(&number.to_le_bytes());
        }
        out.write_all(&head)?;
        let mut bytes = Vec::new();
        for (client, session) in &self.sessions {
            bytes.clear();
            save(&mut bytes, *client, session);
            out.write_all(&bytes)?;
        }
        out.write_all(&END)
    }
}

fn save(bytes: &mut Vec<u8>, client: ClientId, session: &Session) {
    bytes.extend_from_slice(&client.value().to_le_bytes());
    let Session { last_used, acknowledged, floor, bytes: _, kept } = session;
    for number in [last_used.value(), *acknowledged, floor.value(), number(kept.len())] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for Kept { sequence, fingerprint, reply } in kept {
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&fingerprint.to_le_bytes());
        match reply {
            Some(reply) => {
                bytes.push(REPLY);
                let reply = reply.bytes();
                bytes.extend_from_slice(&number(reply.len()).to_le_bytes());
                bytes.extend_from_slice(reply);
            }
            None => bytes.push(REPLY_TOO_LARGE),
        }
    }
}

fn bounds(limits: &Limits) -> [u64; 5] {
    let Limits { sessions_max, client_replies_max, client_bytes_max, bytes_max, reply_bytes_max } =
        *limits;
    [sessions_max, client_replies_max, client_bytes_max, bytes_max, reply_bytes_max]
}

/// Reads a table, and nothing that stands behind it.
pub(super) fn read<R: SavedReply>(from: &mut dyn Read, limits: Limits) -> io::Result<Table> {
    if array(from)? != MAGIC {
        return Err(damage("these bytes are no sessions"));
    }
    let version = u32::from_le_bytes(array(from)?);
    if version != VERSION {
        return Err(damage(format!(
            "the sessions have format {version}, known is {VERSION}: start a later version"
        )));
    }
    for expected in bounds(&limits) {
        if take(from)? != expected {
            return Err(damage("the sessions were kept with other limits than this machine has"));
        }
    }
    let mut table = Table::new(limits);
    table.evicted_through = Index::new(take(from)?);
    table.hash = take(from)?;
    let count = take(from)?;
    ensure(count <= limits.sessions_max, "more sessions than there can be")?;
    let mut sessions: Vec<(ClientId, Session)> = Vec::new();
    for _ in 0..count {
        let (client, session) = load::<R>(from, &table)?;
        let is_next = sessions.last().is_none_or(|(last, _)| *last < client);
        ensure(is_next, "the sessions are not in order")?;
        table.bytes += session.bytes;
        sessions.push((client, session));
    }
    sessions.sort_unstable_by_key(|(_, session)| session.last_used);
    let is_apart = sessions.is_sorted_by(|(_, one), (_, next)| one.last_used < next.last_used);
    ensure(is_apart, "two sessions were used by one command")?;
    let fits = table.bytes <= limits.bytes_max || count <= 1;
    ensure(fits, "more bytes of replies than there can be")?;
    ensure(array(from)? == END, "the sessions do not end where they should")?;
    for (client, session) in sessions {
        table.sessions.insert(client, session);
    }
    Ok(table)
}

/// Reads one session.
fn load<R: SavedReply>(from: &mut dyn Read, table: &Table) -> io::Result<(ClientId, Session)> {
    let limits = &table.limits;
    let client = ClientId::new(u128::from_le_bytes(array(from)?));
    let (last_used, acknowledged) = (Index::new(take(from)?), take(from)?);
    let floor = Index::new(take(from)?);
    let is_remembered = table.evicted_through < last_used && floor <= table.evicted_through;
    ensure(is_remembered, "a session that was forgotten")?;
    let count = take(from)?;
    ensure(count <= limits.client_replies_max, "more replies than a client can have")?;
    let mut session = Session::new(last_used, acknowledged, floor);
    let mut above = acknowledged;
    for _ in 0..count {
        let fits = session.bytes < limits.client_bytes_max;
        ensure(fits, "more bytes of replies than a client can have")?;
        let (sequence, fingerprint) = (take(from)?, take(from)?);
        ensure(above < sequence, "the replies of a session are not in order")?;
        above = sequence;
        let reply = match array(from)? {
            [REPLY] => {
                let length = take(from)?;
                ensure(length <= limits.reply_bytes_max, "a reply is too large")?;
                Some(load_reply::<R>(from, length)?)
            }
            [REPLY_TOO_LARGE] => None,
            [_] => return Err(damage("a reply is of no kind that there is")),
        };
        let kept = Kept { sequence, fingerprint, reply };
        session.bytes += kept.counts();
        session.kept.push_back(kept);
    }
    Ok((client, session))
}

fn load_reply<R: SavedReply>(from: &mut dyn Read, length: u64) -> io::Result<Saved> {
    let mut bytes = Vec::new();
    Read::take(&mut *from, length).read_to_end(&mut bytes)?;
    ensure(number(bytes.len()) == length, "the bytes end within a reply")?;
    let reply = R::load(&bytes).ok_or_else(|| damage("a reply does not decode"))?;
    ensure(number(reply.saved_len()) == length, "a reply is written in another way")?;
    Ok(Saved::new(&bytes))
}

fn array<const N: usize>(from: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn take(from: &mut dyn Read) -> io::Result<u64> {
    array(from).map(u64::from_le_bytes)
}

fn ensure(is_so: bool, otherwise: &'static str) -> io::Result<()> {
    if is_so { Ok(()) } else { Err(damage(otherwise)) }
}

fn damage(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
