//! Replies as bytes: what sessions keep of them in snapshots.
//!
//! A reply is one byte that says of what, then one byte: 0 and etcd's protobuf message, or the
//! number of the error. Numbers, once given, keep their meaning.

use prost::Message;
use quorate_proto::etcdserverpb::{
    CompactionResponse, DeleteRangeResponse, PutResponse, TxnResponse,
};

use crate::{Error, Reply};

impl Reply {
    /// How many bytes [`Self::encode`] appends.
    pub fn encoded_len(&self) -> usize {
        2 + match self {
            Self::Put(result) => length(result),
            Self::DeleteRange(result) => length(result),
            Self::Txn(result) => length(result),
            Self::Compact(result) => length(result),
            Self::Malformed(_) => 0,
        }
    }

    /// Appends the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Put(result) => put(out, TAG_PUT, result),
            Self::DeleteRange(result) => put(out, TAG_DELETE_RANGE, result),
            Self::Txn(result) => put(out, TAG_TXN, result),
            Self::Compact(result) => put(out, TAG_COMPACT, result),
            Self::Malformed(error) => out.extend_from_slice(&[TAG_MALFORMED, number(*error)]),
        }
    }

    /// Reads what [`Self::encode`] appended, all of it; none if it is something else.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[tag, outcome], body) = bytes.split_first_chunk::<2>()?;
        Some(match tag {
            TAG_PUT => Self::Put(take::<PutResponse>(outcome, body)?),
            TAG_DELETE_RANGE => Self::DeleteRange(take::<DeleteRangeResponse>(outcome, body)?),
            TAG_TXN => Self::Txn(take::<TxnResponse>(outcome, body)?),
            TAG_COMPACT => Self::Compact(take::<CompactionResponse>(outcome, body)?),
            TAG_MALFORMED if body.is_empty() => Self::Malformed(error(outcome)?),
            _ => return None,
        })
    }
}

fn length(result: &Result<impl Message, Error>) -> usize {
    result.as_ref().map_or(0, Message::encoded_len)
}

fn put(out: &mut Vec<u8>, tag: u8, result: &Result<impl Message, Error>) {
    match result {
        Ok(message) => {
            out.extend_from_slice(&[tag, OK]);
            message.encode(out).expect("the buffer grows as needed");
        }
        Err(error) => out.extend_from_slice(&[tag, number(*error)]),
    }
}

fn take<M: Message + Default>(outcome: u8, body: &[u8]) -> Option<Result<M, Error>> {
    match outcome {
        OK => M::decode(body).ok().map(Ok),
        _ if body.is_empty() => error(outcome).map(Err),
        _ => None,
    }
}

fn number(error: Error) -> u8 {
    match error {
        Error::AnswerTooLarge { .. } => unreachable!("only reads have a bound on their answer"),
        Error::Compacted => 1,
        Error::DuplicateKey => 2,
        Error::EmptyKey => 3,
        Error::FutureRevision => 4,
        Error::InvalidSortOption => 5,
        Error::KeyNotFound => 6,
        Error::LeaseNotFound => 7,
        Error::LeaseProvided => 8,
        Error::Malformed => 9,
        Error::TooManyOps => 10,
        Error::ValueProvided => 11,
        Error::WritesInRead => 12,
    }
}

fn error(number: u8) -> Option<Error> {
    Some(match number {
        1 => Error::Compacted,
        2 => Error::DuplicateKey,
        3 => Error::EmptyKey,
        4 => Error::FutureRevision,
        5 => Error::InvalidSortOption,
        6 => Error::KeyNotFound,
        7 => Error::LeaseNotFound,
        8 => Error::LeaseProvided,
        9 => Error::Malformed,
        10 => Error::TooManyOps,
        11 => Error::ValueProvided,
        12 => Error::WritesInRead,
        _ => return None,
    })
}

const OK: u8 = 0;

const TAG_PUT: u8 = 1;
const TAG_DELETE_RANGE: u8 = 2;
const TAG_TXN: u8 = 3;
const TAG_COMPACT: u8 = 4;
const TAG_MALFORMED: u8 = 5;

#[cfg(test)]
mod tests {
    use quorate_proto::etcdserverpb::ResponseHeader;
    use quorate_proto::mvccpb::KeyValue;

    use super::*;

    fn bytes(reply: &Reply) -> Vec<u8> {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        bytes
    }

    #[test]
    fn every_reply_comes_back_as_it_was() {
        let header = Some(ResponseHeader { revision: 7, ..Default::default() });
        let prev_kv = Some(KeyValue { key: "k".into(), value: "v".into(), ..Default::default() });
        let mut replies = vec![
            Reply::Put(Ok(PutResponse { header, prev_kv })),
            Reply::DeleteRange(Ok(DeleteRangeResponse { header, deleted: 3, prev_kvs: vec![] })),
            Reply::Txn(Ok(TxnResponse { header, succeeded: true, responses: vec![] })),
            Reply::Compact(Ok(CompactionResponse { header })),
        ];
        for error in (0..=u8::MAX).filter_map(error) {
            replies.extend([
                Reply::Put(Err(error)),
                Reply::DeleteRange(Err(error)),
                Reply::Txn(Err(error)),
                Reply::Compact(Err(error)),
                Reply::Malformed(error),
            ]);
        }
        assert_eq!(replies.len(), 4 + 12 * 5);
        for reply in replies {
            let bytes = bytes(&reply);
            assert_eq!(bytes.len(), reply.encoded_len());
            assert_eq!(Reply::decode(&bytes), Some(reply));
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [
            &b""[..],
            b"\x01",
            b"\x00\x00",
            b"\x06\x00",
            b"\x01\x0d",
            b"\x01\x01x",
            b"\x05\x00",
            b"\x05\x09x",
            b"\x01\x00\xff",
        ] {
            assert_eq!(Reply::decode(bytes), None, "{bytes:?}");
        }
    }
}
