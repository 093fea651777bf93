//! The answers as JSON: the same names, order and omissions as etcdctl's.
//!
//! Fields that are zero, empty or false are left out; bytes are base64.

use quorate_client::message as api;
use serde::{Serialize, Serializer};

use super::base64;
use super::output::Style;

pub(super) use api::KeyValue;

/// The head of an answer.
#[derive(Serialize)]
pub(super) struct Header {
    #[serde(skip_serializing_if = "is_zero")]
    cluster_id: Id,
    #[serde(skip_serializing_if = "is_zero")]
    member_id: Id,
    #[serde(skip_serializing_if = "is_zero")]
    revision: i64,
    #[serde(skip_serializing_if = "is_zero")]
    raft_term: u64,
}

impl Header {
    /// From the head of an answer, which etcd leaves out of some.
    pub(super) fn of(header: Option<&api::ResponseHeader>, style: Style) -> Option<Self> {
        header.map(|header| Self {
            cluster_id: Id::of(header.cluster_id, style),
            member_id: Id::of(header.member_id, style),
            revision: header.revision,
            raft_term: header.raft_term,
        })
    }
}

/// A pair.
#[derive(Serialize)]
pub(super) struct Pair {
    #[serde(skip_serializing_if = "str::is_empty")]
    key: String,
    #[serde(skip_serializing_if = "is_zero")]
    create_revision: i64,
    #[serde(skip_serializing_if = "is_zero")]
    mod_revision: i64,
    #[serde(skip_serializing_if = "is_zero")]
    version: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    value: String,
    #[serde(skip_serializing_if = "is_zero")]
    lease: i64,
}

impl Pair {
    pub(super) fn of(kv: &KeyValue) -> Self {
        Self {
            key: base64::encode(&kv.key),
            create_revision: kv.create_revision,
            mod_revision: kv.mod_revision,
            version: kv.version,
            value: base64::encode(&kv.value),
            lease: kv.lease,
        }
    }

    pub(super) fn all(kvs: &[KeyValue]) -> Vec<Self> {
        kvs.iter().map(Self::of).collect()
    }
}

/// An id: a number, or with `--hex` its hexadecimal text.
#[derive(Clone, Copy)]
pub(super) enum Id {
    Number(u64),
    Hex(u64),
}

impl Id {
    pub(super) fn of(id: u64, style: Style) -> Self {
        match style {
            Style::Plain => Self::Number(id),
            Style::Hex => Self::Hex(id),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(id) => serializer.serialize_u64(*id),
            Self::Hex(id) => serializer.serialize_str(&format!("{id:x}")),
        }
    }
}

/// What is left out when it is nothing.
pub(super) trait Zero {
    /// Whether it is.
    fn is_zero(&self) -> bool;
}

impl Zero for Id {
    fn is_zero(&self) -> bool {
        matches!(self, Self::Number(0) | Self::Hex(0))
    }
}

impl Zero for u64 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Zero for i64 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Zero for bool {
    fn is_zero(&self) -> bool {
        !*self
    }
}

/// For `skip_serializing_if`.
pub(super) fn is_zero(value: &impl Zero) -> bool {
    value.is_zero()
}
