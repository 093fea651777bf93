//! A client for etcd's v3 API, made for quorate's clusters and good for any that speak it.
//!
//! A [`Client`] knows several [`Endpoint`]s, connects to them when a request needs it, and stays
//! with the one that works. Each request has one deadline that covers connecting, waiting and
//! retrying.
//!
//! ```no_run
//! use quorate_client::{Client, Options, PutOptions, RangeOptions};
//!
//! # async fn example() -> Result<(), quorate_client::Error> {
//! let members = ["127.0.0.1:2379", "127.0.0.1:22379", "127.0.0.1:32379"];
//! let client = Client::connect(members, Options::new())?;
//! client.put("colour", "blue", PutOptions::new()).await?;
//! let answer = client.get("colour", RangeOptions::new()).await?;
//! assert_eq!(answer.kvs[0].value, "blue");
//! # Ok(())
//! # }
//! ```
//!
//! # What is retried
//!
//! - A read that finds a member unavailable, or slow, goes on to the next endpoint, until the
//!   deadline.
//! - A write that found no connection goes on to the next endpoint.
//! - A write whose answer got lost may or may not have been applied. A member of quorate that is
//!   sent it again finds that out: the client has numbered it, and the cluster applies a number
//!   once and repeats the first answer. So it goes on as a read does, until the deadline. A client
//!   asks each member once a connection whether it knows such numbers; [`Options::sessions`] turns
//!   them off.
//! - Without them (at etcd, or turned off) a write that was sent is never sent again.
//! - What is unknown in the end is said: [`Error::OutcomeUnknown`]. Only the caller can tell what
//!   is right then: read and compare, or send it again if it does no harm twice.
//!
//! # What is left out
//!
//! TLS, users and tokens, watches and leases: the server does not have them yet.

mod client;
mod endpoint;
mod error;
mod options;
mod pool;
mod request;
mod retry;
mod session;
mod snapshot;
mod txn;

pub use client::Client;
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Attempt, Error};
pub use options::{Choice, Options};
pub use request::{
    CompactOptions, DeleteOptions, MemberListOptions, PutOptions, RangeOptions, SortBy, SortOrder,
};
pub use snapshot::Snapshot;
pub use tonic::Code;
pub use txn::{Condition, Operation, Txn};

/// The messages that answers consist of.
pub mod message {
    pub use quorate_proto::etcdserverpb::{
        CompactionResponse, DeleteRangeResponse, Member, MemberAddResponse, MemberListResponse,
        MemberPromoteResponse, MemberRemoveResponse, MemberUpdateResponse, PutResponse,
        RangeResponse, ResponseHeader, ResponseOp, SnapshotResponse, StatusResponse, TxnResponse,
        response_op,
    };
    pub use quorate_proto::mvccpb::KeyValue;
}
