//! The same requests to quorate and to a real etcd: every answer must be the same.
//!
//! Compared are the gRPC code, the text of an error and every field of a response; not compared is
//! who answered (cluster, member, term). The few other exceptions stand with their reasons in
//! [`verdict::Exception`]. Each call goes to one member of etcd, one member of quorate, and a
//! cluster of three whose members take turns, so that forwarding is compared too.
//!
//! The etcd is the program that `QUORATE_TEST_ETCD` names (3.5.1 is what this was written against),
//! or the one on the path. Without one nothing is compared, and the tests say so.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

mod support_etcd;
mod differential {
    pub(crate) mod build;
    pub(crate) mod hashes;
    pub(crate) mod random;
    pub(crate) mod ranges;
    pub(crate) mod rest;
    pub(crate) mod session;
    pub(crate) mod target;
    pub(crate) mod txn_checks;
    pub(crate) mod txns;
    pub(crate) mod verdict;
    pub(crate) mod writes;
}

use differential::random::{Generator, Place};
use differential::session::Session;
use differential::{hashes, ranges, rest, txn_checks, txns, writes};

/// Every rule of the KV service, by hand.
#[tokio::test]
async fn the_rules_are_etcds() {
    let Some(mut session) = Session::start().await else { return };
    // The first: what follows must begin with an empty store.
    rest::members(&mut session).await;
    rest::an_empty_store(&mut session).await;
    writes::puts(&mut session).await;
    writes::removals(&mut session).await;
    ranges::forms(&mut session).await;
    ranges::limits(&mut session).await;
    ranges::sortings(&mut session).await;
    ranges::revisions(&mut session).await;
    ranges::filters(&mut session).await;
    txns::conditions(&mut session).await;
    txns::conditions_on_ranges(&mut session).await;
    txns::odd_conditions(&mut session).await;
    txns::effects(&mut session).await;
    txns::nesting(&mut session).await;
    txns::reads_at_revisions(&mut session).await;
    txn_checks::operations(&mut session).await;
    txn_checks::counts(&mut session).await;
    txn_checks::duplicates(&mut session).await;
    txn_checks::the_first_error(&mut session).await;
    rest::sizes(&mut session).await;
    rest::compactions(&mut session).await;
    hashes::revisions(&mut session).await;
    session.finish("the rules", |_| String::new());
}

/// Random requests. `QUORATE_DIFF_SEED` and `QUORATE_DIFF_STEPS` choose others and more.
#[tokio::test]
async fn random_requests_are_answered_as_by_etcd() {
    let number = |variable, default| match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")),
        Err(_) => default,
    };
    let (seed, steps) = (number("QUORATE_DIFF_SEED", 1), number("QUORATE_DIFF_STEPS", 6000));
    let Some(mut session) = Session::start().await else { return };
    let mut generator = Generator::new(seed);
    for _ in 0..steps {
        let place = Place { revision: session.revision(), compacted: session.compacted() };
        session.ask(generator.request(place)).await;
        if session.is_over() {
            break;
        }
    }
    session.finish("random requests", |step| {
        format!(
            "To stop right after the first: QUORATE_DIFF_SEED={seed} QUORATE_DIFF_STEPS={step}. \
             What led to it are the steps before that changed its keys."
        )
    });
}
