//! The log from outside: against a naive model, through crashes, damage and failing disks.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(unreachable_pub, reason = "a test program has no users")]

mod blocks;
mod compacted_crash;
mod compacted_rot;
mod compaction;
mod crash;
mod faults;
mod mem_faults;
mod mem_model;
mod mem_naive;
mod model;
mod reading;
mod real;
mod rot;
