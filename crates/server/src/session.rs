//! Sessions over gRPC: what clients say in a request's metadata, and what they are told.
//!
//! All names that sessions have on the wire stand here; `docs/sessions.md` explains them to
//! clients.

use bytes::{Bytes, BytesMut};
use quorate_raft::Index;
use quorate_replica::sessions::{ClientId, Head, SessionError, plain};
use quorate_store::Command;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};

/// Who sends the request: 1 to 32 hexadecimal digits.
const CLIENT_ID: &str = "quorate-client-id";
/// The request's number, from 1 on.
const SEQUENCE: &str = "quorate-sequence";
/// The client needs no reply to this and any lower sequence; 0 without it.
const ACKNOWLEDGED: &str = "quorate-acknowledged";
/// An index that the client knew of before it first sent the request.
const SINCE: &str = "quorate-since";

/// In answers: an index that is committed. With it a member says, too, that it knows sessions.
const INDEX: &str = "quorate-index";
/// With errors: that the log decided it, and how; see [`outcome`].
const OUTCOME: &str = "quorate-session";

/// The head of a request that belongs to a session; none for one that does not.
///
/// # Errors
/// If what the metadata says is incomplete or not understood.
pub(crate) fn head(metadata: &MetadataMap) -> Result<Option<Head>, Status> {
    let Some(client) = text(metadata, CLIENT_ID)? else {
        let others = [SEQUENCE, ACKNOWLEDGED, SINCE];
        return match others.iter().find(|name| metadata.contains_key(**name)) {
            Some(name) => Err(bad(name, format_args!("it needs {CLIENT_ID}"))),
            None => Ok(None),
        };
    };
    let digits = (1..=32).contains(&client.len()) && client.bytes().all(|c| c.is_ascii_hexdigit());
    let client = digits.then(|| u128::from_str_radix(client, 16).ok()).flatten();
    let client = client.ok_or_else(|| bad(CLIENT_ID, "write 1 to 32 hexadecimal digits"))?;
    let sequence = number(metadata, SEQUENCE)?
        .ok_or_else(|| bad(SEQUENCE, format_args!("{CLIENT_ID} needs it")))?;
    if sequence == 0 {
        return Err(bad(SEQUENCE, "sequences begin with 1"));
    }
    let acknowledged = number(metadata, ACKNOWLEDGED)?.unwrap_or(0);
    let since = number(metadata, SINCE)?.map(Index::new);
    let head = Head { client: ClientId::new(client), sequence, acknowledged, since };
    match head.is_sound() {
        true => Ok(Some(head)),
        false => Err(bad(ACKNOWLEDGED, format_args!("it must be below {SEQUENCE}"))),
    }
}

/// The command for the log.
pub(crate) fn command(head: Option<&Head>, command: &Command) -> Bytes {
    let Some(head) = head else { return plain(command.encode()) };
    let mut bytes = BytesMut::with_capacity(Head::BYTES_MAX + command.encoded_len());
    head.put(&mut bytes);
    command.encode_to(&mut bytes);
    bytes.freeze()
}

/// Why a session's request was not applied, as clients see it.
pub(crate) fn status(error: SessionError) -> Status {
    let code = match error {
        SessionError::Malformed => Code::Internal,
        SessionError::Full => Code::ResourceExhausted,
        SessionError::WentBack { .. }
        | SessionError::Expired { .. }
        | SessionError::Reused { .. }
        | SessionError::ReplyTooLarge { .. } => Code::FailedPrecondition,
    };
    let mut status = Status::new(code, error.to_string());
    let metadata = status.metadata_mut();
    metadata.insert(OUTCOME, MetadataValue::from_static(outcome(&error)));
    if let SessionError::Expired { at } = error {
        name_index(metadata, at.value());
    }
    status
}

/// Marks an error of the machine: it is the reply that the request has for ever.
pub(crate) fn decided(head: Option<&Head>, mut status: Status) -> Status {
    if head.is_some() {
        status.metadata_mut().insert(OUTCOME, MetadataValue::from_static("decided"));
    }
    status
}

/// Tells a client an index that is committed.
pub(crate) fn name_index(metadata: &mut MetadataMap, index: u64) {
    metadata.insert(INDEX, MetadataValue::from(index));
}

/// What a program reads of an error.
fn outcome(error: &SessionError) -> &'static str {
    match error {
        SessionError::Malformed => "malformed",
        SessionError::WentBack { .. } => "went-back",
        SessionError::Expired { .. } => "expired",
        SessionError::Full => "full",
        SessionError::Reused { .. } => "reused",
        SessionError::ReplyTooLarge { .. } => "reply-too-large",
    }
}

/// A value, which must be there once at most.
fn text<'a>(metadata: &'a MetadataMap, name: &str) -> Result<Option<&'a str>, Status> {
    let mut values = metadata.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(bad(name, "it is there twice")),
    };
    value.to_str().map(Some).map_err(|_| bad(name, "write it in ASCII"))
}

fn number(metadata: &MetadataMap, name: &str) -> Result<Option<u64>, Status> {
    let Some(text) = text(metadata, name)? else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(Some(number)),
        Ok(_) | Err(_) => Err(bad(name, "write a number of at most 64 bits, in decimal digits")),
    }
}

fn bad(name: &str, mend: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("quorate: session: {name}: {mend}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Option<Head>, Status> {
        let mut metadata = MetadataMap::new();
        for (name, value) in pairs {
            metadata.append(*name, MetadataValue::from_static(value));
        }
        head(&metadata)
    }

    #[test]
    fn a_head_is_read() {
        assert_eq!(read(&[]).unwrap(), None);
        let head = read(&[(CLIENT_ID, "fF"), (SEQUENCE, "3")]).unwrap();
        let client = ClientId::new(0xff);
        let expected = Head { client, sequence: 3, acknowledged: 0, since: None };
        assert_eq!(head, Some(expected));
        let all = [(CLIENT_ID, "ff"), (SEQUENCE, "3"), (ACKNOWLEDGED, "2"), (SINCE, "9")];
        let expected = Head { acknowledged: 2, since: Some(Index::new(9)), ..expected };
        assert_eq!(read(&all).unwrap(), Some(expected));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let id = (CLIENT_ID, "1");
        let wrong: [(&[_], _); 12] = [
            (&[(SEQUENCE, "1")], SEQUENCE),
            (&[(SINCE, "1")], SINCE),
            (&[id], SEQUENCE),
            (&[id, (SEQUENCE, "0")], SEQUENCE),
            (&[id, (SEQUENCE, "-1")], SEQUENCE),
            (&[id, (SEQUENCE, "+1")], SEQUENCE),
            (&[id, (SEQUENCE, "18446744073709551616")], SEQUENCE),
            (&[id, (SEQUENCE, "1"), (SEQUENCE, "1")], SEQUENCE),
            (&[id, (SEQUENCE, "1"), (ACKNOWLEDGED, "1")], ACKNOWLEDGED),
            (&[id, (SEQUENCE, "1"), (SINCE, "soon")], SINCE),
            (&[(CLIENT_ID, "x"), (SEQUENCE, "1")], CLIENT_ID),
            (&[(CLIENT_ID, "000000000000000000000000000000001"), (SEQUENCE, "1")], CLIENT_ID),
        ];
        for (pairs, name) in wrong {
            let status = read(pairs).unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{pairs:?}");
            assert!(status.message().starts_with(&format!("quorate: session: {name}: ")));
        }
    }

    #[test]
    fn errors_say_what_the_log_decided() {
        let expired = status(SessionError::Expired { at: Index::new(7) });
        assert_eq!(expired.code(), Code::FailedPrecondition);
        assert_eq!(expired.metadata().get(OUTCOME).unwrap(), "expired");
        assert_eq!(expired.metadata().get(INDEX).unwrap(), "7");
        let back = status(SessionError::WentBack { sequence: 1, acknowledged: 2 });
        assert_eq!(back.code(), Code::FailedPrecondition);
        assert_eq!(back.metadata().get(OUTCOME).unwrap(), "went-back");
    }
}
