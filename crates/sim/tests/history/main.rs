//! The two checkers of histories, against true ones and against lies.
//!
//! True histories come from the store itself: clients ask at random, the store answers at some
//! moment between question and answer, and some never hear of it. Lies are true histories with one
//! thing changed: on purpose, so that it is known what is wrong, or at random, so that the checkers
//! have only each other to agree with.

#![expect(clippy::unwrap_used, reason = "the helpers of a test are a test too")]

mod operations;
mod planted;
mod random;
mod random_lies;
mod teller;
mod truth;

/// Steps for one search. None here comes near it.
const BUDGET: u64 = 2_000_000;
