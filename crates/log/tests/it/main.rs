//! The log from outside: against a naive model, through crashes, damage and failing disks.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "a test program has no users")]

mod blocks;
mod crash;
mod faults;
mod model;
mod reading;
mod real;
mod rot;
