//! The codec from outside: what goes through unharmed, and that nothing else does.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod damage;
mod messages;
mod round_trip;
