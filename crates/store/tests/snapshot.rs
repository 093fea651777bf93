//! Snapshots: what is written, and that a store made of one goes on as the written one does.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

#[expect(dead_code, reason = "other stories need more words")]
#[path = "semantics/bench.rs"]
mod bench;
#[path = "model/requests.rs"]
mod requests;

mod snapshot {
    pub(crate) mod bytes;

    mod advance;
    mod beside;
    mod damage;
    mod format;
    mod random;
    mod restore;
}
