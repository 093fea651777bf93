//! Between the operations of simulated clients and etcd's requests and answers.

use std::io::Write;

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::{
    CompactionRequest, Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse,
    RequestOp, ResponseHeader, TxnRequest, TxnResponse, request_op, response_op,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_store::{Command, Error, Reply};

use crate::history::{Key, Pair, Request, Response, Value};

/// The command of an operation that changes something.
pub(super) fn to_command(request: &Request, value_bytes: usize) -> Command {
    let put = |key: Key, value: Value| PutRequest {
        key: key_bytes(key),
        value: value_of(value, value_bytes),
        prev_kv: true,
        ..Default::default()
    };
    match *request {
        Request::Range { .. } => unreachable!("a read is no command"),
        Request::Put { key, value } => Command::Put(put(key, value)),
        Request::Delete { first, end } => Command::DeleteRange(DeleteRangeRequest {
            key: key_bytes(first),
            range_end: key_bytes(end),
            prev_kv: true,
        }),
        Request::Swap { key, expected, value, also } => {
            let compare = Compare {
                result: CompareResult::Equal.into(),
                target: CompareTarget::Mod.into(),
                key: key_bytes(key),
                target_union: Some(TargetUnion::ModRevision(expected)),
                range_end: Bytes::new(),
            };
            let operation = |request| RequestOp { request: Some(request) };
            let set = |key| {
                let put = PutRequest { prev_kv: false, ..put(key, value) };
                operation(request_op::Request::RequestPut(put))
            };
            let range = RangeRequest { key: key_bytes(key), ..Default::default() };
            let read = operation(request_op::Request::RequestRange(range));
            // The inner transaction compares what stood before the outer one wrote.
            let inner = also.map(|also| {
                operation(request_op::Request::RequestTxn(TxnRequest {
                    compare: vec![compare.clone()],
                    success: vec![set(also)],
                    failure: Vec::new(),
                }))
            });
            // The read behind the write must see it.
            let success = [Some(set(key)), inner, Some(read.clone())];
            Command::Txn(TxnRequest {
                compare: vec![compare],
                success: success.into_iter().flatten().collect(),
                failure: vec![read],
            })
        }
        Request::Compact { revision } => {
            Command::Compact(CompactionRequest { revision, physical: false })
        }
    }
}

/// The request of a read.
pub(super) fn to_range(request: &Request) -> RangeRequest {
    let Request::Range { first, end, at, serializable } = *request else {
        unreachable!("only reads are questions");
    };
    let range_end = if end == first + 1 { Bytes::new() } else { key_bytes(end) };
    RangeRequest {
        key: key_bytes(first),
        range_end,
        revision: at.unwrap_or(0),
        serializable,
        ..Default::default()
    }
}

/// What a client makes of the answer to a change. An error says what no correct store answers.
pub(super) fn of_reply(reply: Reply) -> Result<Response, String> {
    match reply {
        Reply::Put(Ok(answer)) => Ok(Response::Put {
            revision: revision(answer.header)?,
            previous: answer.prev_kv.as_ref().map(pair).transpose()?,
        }),
        Reply::DeleteRange(Ok(answer)) => {
            let deleted: Vec<Pair> = answer.prev_kvs.iter().map(pair).collect::<Result<_, _>>()?;
            if i64::try_from(deleted.len()) != Ok(answer.deleted) {
                return Err(format!("{} deleted, {} told", answer.deleted, deleted.len()));
            }
            Ok(Response::Delete { revision: revision(answer.header)?, deleted })
        }
        Reply::Txn(Ok(answer)) => of_swap(answer),
        Reply::Compact(Ok(answer)) => Ok(Response::Compact { revision: revision(answer.header)? }),
        Reply::Put(Err(error))
        | Reply::DeleteRange(Err(error))
        | Reply::Txn(Err(error))
        | Reply::Compact(Err(error))
        | Reply::Malformed(error) => of_error(&error),
    }
}

fn of_swap(answer: TxnResponse) -> Result<Response, String> {
    let revision = revision(answer.header)?;
    let mut found = None;
    for response in &answer.responses {
        if let Some(response_op::Response::ResponseRange(range)) = &response.response {
            found = range.kvs.first().map(pair).transpose()?;
        }
    }
    if answer.succeeded {
        let own = found.take().is_some_and(|pair| pair.modified == revision);
        if !own {
            return Err("a read in a transaction did not see the write before it".to_owned());
        }
    }
    Ok(Response::Swap { revision, succeeded: answer.succeeded, found })
}

/// What a client makes of the answer to a read.
pub(super) fn of_range(answer: Result<RangeResponse, Error>) -> Result<Response, String> {
    match answer {
        Ok(answer) => Ok(Response::Range {
            revision: revision(answer.header)?,
            pairs: answer.kvs.iter().map(pair).collect::<Result<_, _>>()?,
        }),
        Err(error) => of_error(&error),
    }
}

fn of_error(error: &Error) -> Result<Response, String> {
    if *error == Error::Compacted {
        Ok(Response::Compacted)
    } else if *error == Error::FutureRevision {
        Ok(Response::FutureRevision)
    } else {
        Err(format!("an error that nothing led to: {error}"))
    }
}

fn revision(header: Option<ResponseHeader>) -> Result<i64, String> {
    header.map(|header| header.revision).ok_or_else(|| "an answer without a header".to_owned())
}

fn key_bytes(key: Key) -> Bytes {
    let mut bytes = *b"k00000";
    let mut rest: &mut [u8] = &mut bytes[1..];
    write!(rest, "{key:05}").expect("five digits hold every key");
    Bytes::copy_from_slice(&bytes)
}

fn value_of(value: Value, length: usize) -> Bytes {
    let mut bytes = vec![0x5a; length.max(8)];
    bytes[..8].copy_from_slice(&value.to_le_bytes());
    Bytes::from(bytes)
}

fn pair(kv: &KeyValue) -> Result<Pair, String> {
    let digits = kv.key.strip_prefix(b"k").and_then(|digits| std::str::from_utf8(digits).ok());
    let key = digits.and_then(|digits| digits.parse().ok());
    let value = kv.value.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
    let (Some(key), Some(value)) = (key, value) else {
        return Err(format!("a pair that nobody put: {kv:?}"));
    };
    let rest = &kv.value[8..];
    if rest.iter().any(|byte| *byte != 0x5a) || kv.lease != 0 {
        return Err(format!("a pair that nobody put: {kv:?}"));
    }
    Ok(Pair {
        key,
        value,
        created: kv.create_revision,
        modified: kv.mod_revision,
        version: kv.version,
    })
}
