//! The node's time.

use std::time::Duration;

use quorate_raft::Instant;

/// Time as the core sees it: since the start of the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: tokio::time::Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: tokio::time::Instant::now() }
    }

    pub(crate) fn now(self) -> Instant {
        Instant::new(self.origin.elapsed())
    }

    pub(crate) fn at(self, instant: Instant) -> tokio::time::Instant {
        // Beyond any run of a process, and short of what the timer takes.
        const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
        self.origin + instant.since_origin().min(FAR)
    }
}
