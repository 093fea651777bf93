//! The protobuf messages, and with the feature `grpc` the services, that quorate speaks.
//!
//! The `.proto` files stand beside this crate's sources; nothing else here is written by hand. Byte
//! fields are [`bytes::Bytes`], so that decoding a message shares the buffer it came in.

/// A module of what was generated from one protobuf package.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        #[allow(
            clippy::allow_attributes,
            reason = "the next attribute cannot expect: what the generator writes varies"
        )]
        #[allow(
            missing_docs,
            unused_qualifications,
            clippy::all,
            clippy::wildcard_enum_match_arm,
            clippy::too_many_lines,
            clippy::use_self,
            clippy::allow_attributes_without_reason,
            reason = "generated code"
        )]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), $file));
        }
    };
}

package! {
    /// How etcd stores a key.
    mvccpb, "/mvccpb.rs"
}

package! {
    /// The client API of etcd v3.
    etcdserverpb, "/etcdserverpb.rs"
}

package! {
    /// What stands beside the store in a backup.
    backup, "/backup.rs"
}

package! {
    /// What members say to each other.
    peer, "/quorate.peer.v1.rs"
}
