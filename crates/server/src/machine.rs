//! The server's state machine: the store, and what members say of themselves. Around it stand the
//! sessions ([`quorate_replica::sessions`]).
//!
//! A command begins with a byte that tells whose it is; the store's commands begin with its own
//! tags, all of them below [`PUBLISH`].

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use quorate_proto::etcdserverpb::Member;
use quorate_replica::sessions::SavedReply;
use quorate_replica::{Command, StateMachine, Wants, WriteOut};
use quorate_store::Store;

/// The first byte of a command in which a member says its name and client URLs.
const PUBLISH: u8 = 0x80;

/// The store and the members' attributes.
#[derive(Debug)]
pub(crate) struct Machine {
    store: Store,
    attributes: Attributes,
}

/// What members have said of themselves, by id; shared with those who read it.
pub(crate) type Attributes = Arc<RwLock<BTreeMap<u64, Member>>>;

/// What a command answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The store's reply.
    Store(quorate_store::Reply),
    /// The attributes are known.
    Published,
}

/// What [`Reply::Published`] is saved as; the store's replies begin with other bytes.
const SAVED_PUBLISHED: u8 = PUBLISH;

impl SavedReply for Reply {
    fn saved_len(&self) -> usize {
        match self {
            Self::Store(reply) => reply.encoded_len(),
            Self::Published => 1,
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        match self {
            Self::Store(reply) => reply.encode(out),
            Self::Published => out.push(SAVED_PUBLISHED),
        }
    }

    fn load(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [SAVED_PUBLISHED] => Some(Self::Published),
            _ => quorate_store::Reply::decode(bytes).map(Self::Store),
        }
    }
}

impl Machine {
    pub(crate) fn new(store: Store, attributes: Attributes) -> Self {
        Self { store, attributes }
    }

    fn publish(&self, body: &Bytes) {
        // What does not decode changes nothing, on any member.
        if let Ok(member) = Member::decode(body.slice(1..)) {
            let mut known = self.attributes.write().unwrap_or_else(PoisonError::into_inner);
            known.insert(member.id, member);
        }
    }
}

/// The command in which a member says its name and client URLs.
pub(crate) fn publish(member: &Member) -> Bytes {
    let mut body = BytesMut::with_capacity(1 + member.encoded_len());
    body.put_u8(PUBLISH);
    member.encode(&mut body).expect("the buffer grows");
    body.freeze()
}

impl StateMachine for Machine {
    type Reply = Reply;

    fn apply(&mut self, commands: &[Command], replies: &mut Vec<Reply>) {
        for command in commands {
            let wants = command.wants == Wants::Reply;
            if command.body.first() == Some(&PUBLISH) {
                self.publish(&command.body);
                if wants {
                    replies.push(Reply::Published);
                }
                continue;
            }
            let store_wants =
                if wants { quorate_store::Wants::Reply } else { quorate_store::Wants::Nothing };
            let reply = self.store.apply(&command.body, store_wants);
            replies.extend(reply.map(Reply::Store));
        }
    }

    /// The members' attributes, then the store to the end; see `docs/snapshot-format.md`.
    fn snapshot(&self) -> WriteOut {
        let known = self.attributes.read().unwrap_or_else(PoisonError::into_inner).clone();
        let store = self.store.snapshot();
        Box::new(move |out| {
            write_attributes(&known, out)?;
            store.write_to(out)
        })
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let known = read_attributes(from)?;
        self.store.restore(from)?;
        *self.attributes.write().unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    fn digest(&self) -> u64 {
        self.store.state_hash()
    }
}

/// Writes how many there are, then each after its length, as 32-bit numbers, little-endian.
fn write_attributes(known: &BTreeMap<u64, Member>, out: &mut dyn Write) -> io::Result<()> {
    let number = |number: usize| {
        let number = u32::try_from(number);
        number
            .map(u32::to_le_bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    };
    out.write_all(&number(known.len())?)?;
    for member in known.values() {
        let bytes = member.encode_to_vec();
        out.write_all(&number(bytes.len())?)?;
        out.write_all(&bytes)?;
    }
    Ok(())
}

fn read_attributes(from: &mut dyn Read) -> io::Result<BTreeMap<u64, Member>> {
    let mut known = BTreeMap::new();
    for _ in 0..read_number(from)? {
        let length = u64::from(read_number(from)?);
        let mut bytes = Vec::new();
        // What is cut off is seen by the store, which then has no bytes to begin with.
        Read::take(&mut *from, length).read_to_end(&mut bytes)?;
        let member = Member::decode(&bytes[..])
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        known.insert(member.id, member);
    }
    Ok(known)
}

fn read_number(from: &mut dyn Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}
