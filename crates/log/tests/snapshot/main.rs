//! Snapshot files from outside: written, read, received, listed and pruned, through crashes,
//! damage and failing disks.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "a test program has no users")]

mod crash;
mod damage;
mod faults;
mod helpers;
mod receive;
mod shelf;
mod stream;
mod write;
