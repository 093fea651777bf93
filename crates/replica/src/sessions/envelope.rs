//! Commands as the log holds them: what stands before the inner machine's command.
//!
//! | first byte | then |
//! |---|---|
//! | `0xff` | the head of a session's command, and the inner command |
//! | `0xfe` | an inner command that has no session |
//! | any other, or none | nothing stands before it: the whole is an inner command without session |
//!
//! So a command without a session costs nothing, unless it begins with one of the two bytes, as
//! neither UTF-8 nor protobuf does; and a log from before there were sessions keeps its meaning.
//! Give such commands through [`plain`], which looks.
//!
//! The head is: the client, 16 bytes, big-endian; then three numbers of up to 64 bits in groups of
//! seven, low first, the upper bit saying that another follows, in no more bytes than needed: the
//! sequence; how many sequences below it are not acknowledged; *since* + 1, or 0 for none.

use bytes::{BufMut, Bytes, BytesMut};
use quorate_raft::Index;

const SESSION: u8 = 0xff;
const PLAIN: u8 = 0xfe;

/// Names a client. Two clients with one id take each other's replies, so draw it at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u128);

impl ClientId {
    /// The client with this id.
    #[must_use]
    pub fn new(id: u128) -> Self {
        Self(id)
    }

    /// The id.
    #[must_use]
    pub fn value(self) -> u128 {
        self.0
    }
}

/// What a session's command has before the inner machine's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who sends it.
    pub client: ClientId,
    /// The request's number, which all its attempts share; above `acknowledged`.
    pub sequence: u64,
    /// The client needs no reply to this and any lower sequence, and sends none of them again.
    pub acknowledged: u64,
    /// The index of a committed entry that the client knew of before the first attempt; the same in
    /// all attempts. Without it the promise is as long as the memory of the table: see
    /// [the module](super).
    pub since: Option<Index>,
}

impl Head {
    /// The most bytes that it takes.
    pub const BYTES_MAX: usize = 1 + 16 + 3 * NUMBER_BYTES_MAX;

    /// Whether a client may send this: its sequence is above what it needs no reply to.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.acknowledged < self.sequence
    }

    /// The command for the log, with `body` for the inner machine.
    #[must_use]
    pub fn encode(&self, body: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(Self::BYTES_MAX + body.len());
        self.put(&mut out);
        out.extend_from_slice(body);
        out.freeze()
    }

    /// Writes it; the inner machine's command is to follow, to the end.
    ///
    /// # Panics
    /// If it [is not sound](Self::is_sound).
    pub fn put(&self, out: &mut BytesMut) {
        assert!(self.is_sound(), "a client never repeats what it has acknowledged");
        out.put_u8(SESSION);
        out.put_u128(self.client.0);
        put_number(out, self.sequence);
        put_number(out, self.sequence - self.acknowledged - 1);
        // The last index of all is never reached; the one before it says a little less.
        put_number(out, self.since.map_or(0, |since| since.value().saturating_add(1)));
    }

    /// Reads what [`Self::put`] wrote after its first byte; the length with that byte.
    fn take(bytes: &[u8]) -> Option<(Self, usize)> {
        let (client, mut rest) = bytes.split_first_chunk::<16>()?;
        let sequence = take_number(&mut rest)?;
        let acknowledged = sequence.checked_sub(take_number(&mut rest)?)?.checked_sub(1)?;
        let since = take_number(&mut rest)?.checked_sub(1).map(Index::new);
        let client = ClientId(u128::from_be_bytes(*client));
        let head = Self { client, sequence, acknowledged, since };
        Some((head, 1 + bytes.len() - rest.len()))
    }
}

/// The command for the log without a session: `body` itself, but for the rare ones that would be
/// taken for something else.
#[must_use]
pub fn plain(body: Bytes) -> Bytes {
    match body.first() {
        Some(&SESSION | &PLAIN) => {
            let mut out = BytesMut::with_capacity(1 + body.len());
            out.put_u8(PLAIN);
            out.extend_from_slice(&body);
            out.freeze()
        }
        Some(_) | None => body,
    }
}

/// What a command turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// Without a session, as it is.
    Whole,
    /// Without a session; the inner command begins so far on.
    Plain { begin: usize },
    /// Of a session; the inner command begins so far on.
    Session { head: Head, begin: usize },
    /// Of no form that there is.
    Malformed,
}

/// Looks what a command is.
pub(super) fn open(bytes: &[u8]) -> Opened {
    match bytes.split_first() {
        Some((&SESSION, rest)) => match Head::take(rest) {
            Some((head, begin)) => Opened::Session { head, begin },
            None => Opened::Malformed,
        },
        Some((&PLAIN, _)) => Opened::Plain { begin: 1 },
        Some(_) | None => Opened::Whole,
    }
}

/// The bytes of the largest number.
const NUMBER_BYTES_MAX: usize = 10;

fn put_number(out: &mut BytesMut, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            out.put_u8(low & 0x7f);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for group in 0..NUMBER_BYTES_MAX {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * u32::try_from(group).ok()?;
        let is_whole = bits << shift >> shift == bits;
        // One way only to write a number: no empty last group, no bits beyond 64.
        if !is_whole || (byte == 0 && group > 0) {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(client: u128, sequence: u64, acknowledged: u64, since: Option<u64>) -> Head {
        let since = since.map(Index::new);
        Head { client: ClientId::new(client), sequence, acknowledged, since }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            client: u128,
            sequence in 1..=u64::MAX,
            below: u64,
            since in proptest::option::of(0..u64::MAX - 1),
            body: Vec<u8>,
        ) {
            let head = head(client, sequence, below % sequence, since);
            let bytes = head.encode(&body);
            let Opened::Session { head: read, begin } = open(&bytes) else {
                panic!("a session's command: {bytes:?}")
            };
            prop_assert_eq!(read, head);
            prop_assert_eq!(&bytes[begin..], &body[..]);
            prop_assert!(begin <= Head::BYTES_MAX);
            let plain = plain(body.clone().into());
            let begin = match open(&plain) {
                Opened::Whole => 0,
                Opened::Plain { begin } => begin,
                Opened::Session { .. } | Opened::Malformed => panic!("it is plain"),
            };
            prop_assert_eq!(&plain[begin..], &body[..]);
        }

        #[test]
        fn any_bytes_are_something(mut bytes: Vec<u8>) {
            open(&bytes);
            bytes.insert(0, SESSION);
            if let Opened::Session { head, begin } = open(&bytes) {
                prop_assert!(head.is_sound());
                // One way only to write it.
                prop_assert_eq!(&head.encode(&bytes[begin..])[..], &bytes[..]);
            }
        }
    }

    #[test]
    fn the_bytes_are_the_format_of_the_log() {
        let bytes = head(0x0102, 300, 297, Some(4)).encode(b"body");
        let expected = b"\xff\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x02\xac\x02\x02\x05body";
        assert_eq!(&bytes[..], expected);
        assert_eq!(&head(0, 1, 0, None).encode(b"")[17..], b"\x01\x00\x00");
        assert_eq!(&plain(Bytes::from_static(b"body"))[..], b"body");
        assert_eq!(&plain(Bytes::from_static(b"\xffbody"))[..], b"\xfe\xffbody");
        assert_eq!(&plain(Bytes::from_static(b"\xfebody"))[..], b"\xfe\xfebody");
    }

    #[test]
    fn what_is_cut_off_or_unsound_is_malformed() {
        let whole = head(7, 300, 0, Some(500)).encode(b"");
        for length in 1..whole.len() {
            assert_eq!(open(&whole[..length]), Opened::Malformed, "{length} bytes");
        }
        let of = |numbers: &[u8]| open(&[&[SESSION; 17], numbers].concat());
        assert_eq!(of(b"\x00\x00\x00"), Opened::Malformed, "sequence 0");
        assert_eq!(of(b"\x05\x05\x00"), Opened::Malformed, "acknowledged below 0");
        assert_eq!(of(b"\x85\x00\x00\x00"), Opened::Malformed, "more bytes than needed");
        let large = [&[0xff; 9][..], b"\x02\x00\x00"].concat();
        assert_eq!(of(&large), Opened::Malformed, "more than 64 bits");
    }
}
