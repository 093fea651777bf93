//! What etcd's clients rely on, rule by rule.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

mod semantics {
    pub(crate) mod bench;

    mod bounds;
    mod compaction;
    mod content;
    mod ranges;
    mod revisions;
    mod txns;
    mod views;
    mod writes;
}
