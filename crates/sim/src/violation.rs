//! A promise that was broken, and the checker that saw it.

use std::fmt;

use crate::named::named;

named! {
    /// Who looks at a run.
    pub enum Checker {
        /// at most one leader is elected in a term (§5.2)
        ElectionSafety = "election safety",
        /// entries of the same index and term have the same entries before them (§5.3)
        LogMatching = "log matching",
        /// a leader has all committed entries (§5.4)
        LeaderCompleteness = "leader completeness",
        /// all members apply the same commands at the same index, to the same state (§5.4.3)
        StateMachineSafety = "state machine safety",
        /// what is committed is synced on a majority, and what was synced is there after a crash
        Durability = "durability",
        /// term, commit index, applied index and revision never fall
        Monotonicity = "monotonicity",
        /// a member votes once in a term, restarts included (§5.2)
        OneVote = "one vote",
        /// what lies on a disk decodes to what its member has in memory
        DiskEqualsMemory = "disk equals memory",
        /// what clients were told is a linear history, and what one machine alone would have said
        Linearizability = "linearizability",
        /// a command is applied once at most, and answered once, to whoever proposed it
        AtMostOnce = "at most once",
        /// what a workload demands of its history beside all this
        Workload = "workload",
        /// a quorum that is connected and up elects a leader, serves, and comes to the same state
        Liveness = "liveness",
        /// an assertion in the code under test, or an invariant of the core
        Assertion = "assertion",
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The payload with which a checker ends a run.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) checker: Checker,
    pub(crate) message: String,
}

/// Ends the run.
pub(crate) fn violated(checker: Checker, message: String) -> ! {
    std::panic::panic_any(Violation { checker, message })
}

/// Ends the run unless something holds.
macro_rules! demand {
    ($condition:expr, $checker:ident, $($message:tt)+) => {
        if !$condition {
            $crate::violation::violated($crate::violation::Checker::$checker, format!($($message)+))
        }
    };
}
pub(crate) use demand;
