//! The protobuf messages, and with the feature `grpc` the services, that quorate speaks.
//!
//! The `.proto` files stand beside this crate's sources; nothing else here is written by hand. Byte
//! fields are [`bytes::Bytes`], so that decoding a message shares the buffer it came in.

/// How etcd stores a key.
pub mod mvccpb {
    #![allow(
        clippy::allow_attributes,
        reason = "the next line cannot expect: what the generator writes varies"
    )]
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::wildcard_enum_match_arm,
        clippy::too_many_lines,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    include!(concat!(env!("OUT_DIR"), "/mvccpb.rs"));
}

/// The client API of etcd v3.
pub mod etcdserverpb {
    #![allow(
        clippy::allow_attributes,
        reason = "the next line cannot expect: what the generator writes varies"
    )]
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::wildcard_enum_match_arm,
        clippy::too_many_lines,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    include!(concat!(env!("OUT_DIR"), "/etcdserverpb.rs"));
}

/// What members say to each other.
pub mod peer {
    #![allow(
        clippy::allow_attributes,
        reason = "the next line cannot expect: what the generator writes varies"
    )]
    #![allow(
        missing_docs,
        unused_qualifications,
        clippy::all,
        clippy::wildcard_enum_match_arm,
        clippy::too_many_lines,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    include!(concat!(env!("OUT_DIR"), "/quorate.peer.v1.rs"));
}
