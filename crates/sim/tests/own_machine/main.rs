//! State machines of a user in the simulated world: sound ones pass, and bugs that people plant in
//! such machines without knowing are found.

mod counter;
mod locks;

use std::panic::{AssertUnwindSafe, catch_unwind};

use quorate_sim::{Options, Workload, check};

/// What [`check`] says of a workload that fails.
fn complaint<W: Workload>(workload: W, options: Options) -> String {
    let result = catch_unwind(AssertUnwindSafe(|| check(workload, options)));
    let payload = result.expect_err("the bug is found");
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn a_counter_in_ten_lines() {
    check(counter::Counting::default(), Options::seeds(6).seconds(4));
}

#[test]
fn a_lock_service_with_a_rule_of_its_own() {
    check(locks::Locking::default(), Options::seeds(6).seconds(4));
}

/// The members' digests are of the count alone, so they agree: what clients were told does not.
#[test]
fn a_field_that_no_snapshot_has_is_found() {
    let workload = counter::Counting { bug: counter::Bug::ForgetsField };
    let complaint = complaint(workload, Options::seeds(20).seconds(4));
    assert!(complaint.contains("linearizability"), "{complaint}");
    assert!(complaint.contains("a machine that applies the same commands alone"), "{complaint}");
    assert!(complaint.contains("to run it again: Options::seed("), "{complaint}");
}

/// A snapshot shares what further commands change.
#[test]
fn a_snapshot_that_is_not_of_one_moment_is_found() {
    let workload = counter::Counting { bug: counter::Bug::SharesState };
    let complaint = complaint(workload, Options::seeds(20).seconds(4));
    assert!(complaint.contains("state machine safety"), "{complaint}");
    assert!(complaint.contains("commands later and restored"), "{complaint}");
}

#[test]
fn a_snapshot_that_is_half_restored_when_reading_fails_is_found() {
    let workload = counter::Counting { bug: counter::Bug::RestoresHalf };
    let complaint = complaint(workload, Options::seeds(20).seconds(4));
    assert!(complaint.contains("the reading of a snapshot failed"), "{complaint}");
}

/// One reply is built from what the commands of one call left together.
#[test]
fn a_reply_that_depends_on_the_batch_is_found() {
    let workload = counter::Counting { bug: counter::Bug::LooksAtBatch };
    let complaint = complaint(workload, Options::seeds(20).seconds(4));
    assert!(complaint.contains("linearizability"), "{complaint}");
}

/// Those who wait for a lock are kept in the order of their hashes, another one at each member.
#[test]
fn a_hash_order_that_decides_is_found() {
    let workload = locks::Locking { bug: locks::Bug::HashOrder };
    let complaint = complaint(workload, Options::seeds(20).seconds(4));
    assert!(complaint.contains("safety") || complaint.contains("linearizability"), "{complaint}");
}

/// Deterministic, and wrong: every member gives the lock to two.
#[test]
fn a_rule_that_only_the_user_knows_is_checked() {
    let workload = locks::Locking { bug: locks::Bug::TwoHolders };
    let complaint = complaint(workload, Options::seeds(20).seconds(4));
    assert!(complaint.contains("failed: workload"), "{complaint}");
    assert!(complaint.contains("holds lock"), "{complaint}");
}

#[test]
fn an_assertion_of_the_machine_is_a_failure_with_its_place() {
    let workload = counter::Counting { bug: counter::Bug::Panics };
    let complaint = complaint(workload, Options::seeds(20).seconds(4));
    assert!(complaint.contains("failed: assertion"), "{complaint}");
    assert!(complaint.contains("counter.rs:"), "{complaint}");
}
