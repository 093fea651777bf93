//! Commands as the log holds them, and what comes of them.
//!
//! A command is one byte that says which, then the protobuf request. The bytes are the log's
//! format: a tag, once given, keeps its meaning.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, TxnRequest, TxnResponse,
};

use crate::Error;

/// A change to the store. Reads are no commands: they need no place in the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Sets a key.
    Put(PutRequest),
    /// Removes keys.
    DeleteRange(DeleteRangeRequest),
    /// Compares, then does one of two lists of operations.
    Txn(TxnRequest),
    /// Forgets old versions.
    Compact(CompactionRequest),
}

impl Command {
    /// The bytes for the log.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(self.encoded_len());
        self.encode_to(&mut bytes);
        bytes.freeze()
    }

    /// How many bytes [`encode`](Self::encode) gives.
    pub fn encoded_len(&self) -> usize {
        1 + match self {
            Self::Put(request) => request.encoded_len(),
            Self::DeleteRange(request) => request.encoded_len(),
            Self::Txn(request) => request.encoded_len(),
            Self::Compact(request) => request.encoded_len(),
        }
    }

    /// Appends the bytes for the log, for a caller who has something to put before them.
    pub fn encode_to(&self, bytes: &mut BytesMut) {
        match self {
            Self::Put(request) => encode(bytes, TAG_PUT, request),
            Self::DeleteRange(request) => encode(bytes, TAG_DELETE_RANGE, request),
            Self::Txn(request) => encode(bytes, TAG_TXN, request),
            Self::Compact(request) => encode(bytes, TAG_COMPACT, request),
        }
    }

    /// Reads what [`encode`](Self::encode) wrote. Keys and values are slices of `bytes`, not
    /// copies.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let (&tag, _) = bytes.split_first().ok_or(Error::Malformed)?;
        let body = bytes.slice(1..);
        match tag {
            TAG_PUT => PutRequest::decode(body).map(Self::Put),
            TAG_DELETE_RANGE => DeleteRangeRequest::decode(body).map(Self::DeleteRange),
            TAG_TXN => TxnRequest::decode(body).map(Self::Txn),
            TAG_COMPACT => CompactionRequest::decode(body).map(Self::Compact),
            _ => return Err(Error::Malformed),
        }
        .map_err(|_| Error::Malformed)
    }
}

/// What a command came to. The header of a response has the revision only; whoever answers a client
/// adds who and where it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Of a put.
    Put(Result<PutResponse, Error>),
    /// Of a removal.
    DeleteRange(Result<DeleteRangeResponse, Error>),
    /// Of a transaction.
    Txn(Result<TxnResponse, Error>),
    /// Of a compaction.
    Compact(Result<CompactionResponse, Error>),
    /// Of bytes that are no command; nothing was changed.
    Malformed(Error),
}

/// Whether somebody waits for the reply to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Somebody does.
    Reply,
    /// Nobody does: the same change, and nothing built for an answer.
    Nothing,
}

fn encode(bytes: &mut BytesMut, tag: u8, request: &impl Message) {
    bytes.put_u8(tag);
    request.encode(bytes).expect("the buffer grows as needed");
}

const TAG_PUT: u8 = 1;
const TAG_DELETE_RANGE: u8 = 2;
const TAG_TXN: u8 = 3;
const TAG_COMPACT: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_back_as_it_was() {
        let commands = [
            Command::Put(PutRequest { key: "k".into(), value: "v".into(), ..Default::default() }),
            Command::DeleteRange(DeleteRangeRequest { key: "k".into(), ..Default::default() }),
            Command::Txn(TxnRequest::default()),
            Command::Compact(CompactionRequest { revision: 7, physical: true }),
        ];
        for command in commands {
            assert_eq!(command.encode().len(), command.encoded_len());
            assert_eq!(Command::decode(&command.encode()), Ok(command));
        }
    }

    #[test]
    fn the_tags_are_the_format_of_the_log() {
        let put = Command::Put(PutRequest { key: "k".into(), ..Default::default() });
        assert_eq!(put.encode(), Bytes::from_static(b"\x01\x0a\x01k"));
        let delete = Command::DeleteRange(DeleteRangeRequest::default());
        assert_eq!(delete.encode(), Bytes::from_static(b"\x02"));
        assert_eq!(Command::Txn(TxnRequest::default()).encode(), Bytes::from_static(b"\x03"));
        let compact = Command::Compact(CompactionRequest { revision: 5, physical: false });
        assert_eq!(compact.encode(), Bytes::from_static(b"\x04\x08\x05"));
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&b""[..], b"\x00", b"\x05", b"\x01\xff", b"\x01\x0a\x09k"] {
            assert_eq!(Command::decode(&Bytes::from_static(bytes)), Err(Error::Malformed));
        }
    }

    #[test]
    fn keys_and_values_are_not_copied() {
        let command = Command::Put(PutRequest { value: vec![7; 100].into(), ..Default::default() });
        let bytes = command.encode();
        let Ok(Command::Put(put)) = Command::decode(&bytes) else { panic!("a put") };
        assert!(bytes.as_ptr_range().contains(&put.value.as_ptr()));
    }
}
