//! `put`: sets a key, or with `--json` several keys in one step.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Read, Write};

use bytes::Bytes;
use clap::Args;
use quorate_client::message::{PutResponse, TxnResponse, response_op};
use quorate_client::{Operation, PutOptions, Txn};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::failure::Failure;
use super::message::{Header, Pair};
use super::options::ClientOptions;
use super::output::{Report, Style, Table, line, pair, pairs_table};
use super::{Session, key};

const EXAMPLES: &str = "\
Examples:
  quorate put colour blue
  quorate put colour < file           the value is the file, byte for byte
  quorate put delta -- -x             what begins with a dash, after two of them
  quorate put --json '{\"y\": 7, \"name\": \"Ada\"}'
                                      both keys in one step, or none

With --json, texts are stored as they are, without quotes: name becomes Ada. All other values are
stored as their JSON text: y becomes 7. `--json -` reads the object from the standard input.";

/// Set a key, or several keys in one step
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "quorate put [OPTIONS] <KEY> [VALUE]
       quorate put [OPTIONS] --json <OBJECT>")]
pub(crate) struct Put {
    /// The key
    #[arg(required_unless_present = "json", allow_negative_numbers = true)]
    key: Option<OsString>,

    /// The value; read from the standard input if it is left out
    #[arg(allow_negative_numbers = true)]
    value: Option<OsString>,

    /// Set all pairs of a JSON object in one step
    #[arg(long, value_name = "OBJECT", conflicts_with_all = ["key", "value", "prev_kv"])]
    json: Option<String>,

    /// Print the pair as it was before
    #[arg(long)]
    prev_kv: bool,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl Put {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        if let Some(json) = self.json {
            return put_all(session, json).await;
        }
        let value = match self.value {
            Some(value) => key::bytes(value),
            None => value_from_stdin()?,
        };
        let options = match self.prev_kv {
            true => PutOptions::new().prev_kv(),
            false => PutOptions::new(),
        };
        let key = key::bytes(self.key.unwrap_or_default());
        let response = session.client.put(key, value, options).await?;
        session.print(&Done { response })
    }
}

/// Reads a value to its end, its last line end included.
fn value_from_stdin() -> Result<Bytes, Failure> {
    let value = stdin("the value")?;
    if value.is_empty() {
        let cause = "there is no value, and nothing on the standard input";
        let mend = "for an empty value, write: quorate put KEY ''";
        return Err(Failure::new(format!("{cause}; {mend}")));
    }
    Ok(value.into())
}

fn stdin(what: &str) -> Result<Vec<u8>, Failure> {
    if io::stdin().is_terminal() {
        // It is only a hint: the value can still be read if this fails.
        drop(writeln!(io::stderr().lock(), "Type {what}, then press Ctrl-D."));
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).map_err(|error| {
        Failure::new(format!("{what} cannot be read from the standard input: {error}"))
    })?;
    Ok(bytes)
}

/// Sets all pairs of a JSON object in one transaction.
async fn put_all(session: &Session, json: String) -> Result<(), Failure> {
    let json = if json == "-" { stdin("the object")? } else { json.into_bytes() };
    let pairs = parse(&json)?;
    let puts = pairs.into_iter().map(|(k, v)| Operation::put(k, v, PutOptions::new()));
    let response = session.client.txn(Txn::new().and_then(puts)).await?;
    session.print(&AllDone { response })
}

/// The pairs of a JSON object in their order: texts as they are, all else as its JSON text.
fn parse(json: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    let fail = |cause: String| {
        let mend = "write an object, such as '{\"y\": 7, \"name\": \"Ada\"}'";
        Failure::new(format!("--json: {cause}; {mend}"))
    };
    let Object(pairs) = serde_json::from_slice(json).map_err(|error| fail(error.to_string()))?;
    if pairs.is_empty() {
        return Err(fail("the object has no pairs".to_owned()));
    }
    let mut seen = BTreeSet::new();
    for (key, _) in &pairs {
        if key.is_empty() {
            return Err(fail("a key is empty".to_owned()));
        }
        if !seen.insert(key) {
            return Err(fail(format!("the key {key:?} stands in it twice")));
        }
    }
    pairs
        .iter()
        .map(|(key, raw)| {
            let text = raw.get();
            let value = match text.starts_with('"') {
                true => serde_json::from_str(text).map_err(|error| fail(error.to_string()))?,
                false => text.to_owned(),
            };
            Ok((key.clone(), value))
        })
        .collect()
}

/// An object with its pairs in order, none lost, its values untouched.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Object(pairs))
    }
}

/// One key is set.
struct Done {
    response: PutResponse,
}

/// etcd's `PutResponse`.
#[derive(Serialize)]
pub(super) struct DoneJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_kv: Option<Pair>,
}

impl DoneJson {
    fn of(response: &PutResponse, style: Style) -> Self {
        Self {
            header: Header::of(response.header.as_ref(), style),
            prev_kv: response.prev_kv.as_ref().map(Pair::of),
        }
    }
}

impl Report for Done {
    type Json = DoneJson;

    fn simple(&self, style: Style, out: &mut Vec<u8>) {
        line(out, b"OK", Style::Plain);
        if let Some(kv) = &self.response.prev_kv {
            pair(out, kv, style);
        }
    }

    fn json(&self, style: Style) -> DoneJson {
        DoneJson::of(&self.response, style)
    }

    fn table(&self, style: Style) -> Option<Table> {
        self.response.prev_kv.as_ref().map(|kv| pairs_table(std::slice::from_ref(kv), style))
    }
}

/// Several keys are set.
struct AllDone {
    response: TxnResponse,
}

/// etcd's `TxnResponse`.
#[derive(Serialize)]
pub(super) struct AllDoneJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    succeeded: bool,
    responses: Vec<OperationJson>,
}

/// etcd's `ResponseOp`, which Go wraps once more.
#[derive(Serialize)]
struct OperationJson {
    #[serde(rename = "Response")]
    response: OperationKindJson,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum OperationKindJson {
    ResponsePut(DoneJson),
}

impl Report for AllDone {
    type Json = AllDoneJson;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        line(out, b"OK", Style::Plain);
    }

    fn json(&self, style: Style) -> AllDoneJson {
        let put = |op: &response_op::Response| match op {
            response_op::Response::ResponsePut(response) => Some(OperationJson {
                response: OperationKindJson::ResponsePut(DoneJson::of(response, style)),
            }),
            response_op::Response::ResponseRange(_)
            | response_op::Response::ResponseDeleteRange(_)
            | response_op::Response::ResponseTxn(_) => None,
        };
        let responses = self.response.responses.iter();
        AllDoneJson {
            header: Header::of(self.response.header.as_ref(), style),
            succeeded: self.response.succeeded,
            responses: responses.filter_map(|op| op.response.as_ref().and_then(put)).collect(),
        }
    }

    fn table(&self, _: Style) -> Option<Table> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_json_text() {
        let json =
            r#"{"n": 7, "s": "a\nb", "b": true, "o": {"x": [1, 2.50]}, "z": null, "e": 1e400}"#;
        let pairs = parse(json.as_bytes()).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("n", "7"),
                ("s", "a\nb"),
                ("b", "true"),
                ("o", "{\"x\": [1, 2.50]}"),
                ("z", "null"),
                ("e", "1e400"),
            ]
        );
    }

    #[test]
    fn what_is_no_object_of_pairs_is_refused() {
        let cause = |json: &str| parse(json.as_bytes()).unwrap_err().to_string();
        assert!(cause("{}").contains("has no pairs"));
        assert!(cause("[1]").contains("expected a JSON object"));
        assert!(cause("{\"a\": }").contains("line 1 column 7"));
        assert!(cause("{\"a\": 1, \"a\": 2}").contains("\"a\" stands in it twice"));
        assert!(cause("{\"\": 1}").contains("a key is empty"));
    }
}
