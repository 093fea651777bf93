//! How a client behaves, whatever it is asked.

use std::time::Duration;

/// Which endpoint a request tries first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The one that answered last; at first, the first of the list.
    #[default]
    Sticky,
    /// Each in its turn, so that the load is spread.
    RoundRobin,
}

/// How a client behaves, whatever it is asked.
///
/// ```
/// use std::time::Duration;
/// use quorate_client::{Choice, Options};
///
/// let options = Options::new()
///     .request_timeout(Duration::from_secs(1))
///     .choice(Choice::RoundRobin);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) choice: Choice,
    pub(crate) sessions: bool,
}

impl Options {
    /// The defaults: 2 s to connect, 5 s for a request, sticky, with sessions.
    pub fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(5),
            choice: Choice::Sticky,
            sessions: true,
        }
    }

    /// How long one endpoint may take to accept a connection before the next is tried.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a request may take in all: connecting, waiting and retrying.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// Which endpoint a request tries first.
    #[must_use]
    pub fn choice(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }

    /// Whether writes carry a number, so that a server that knows sessions applies each once and
    /// one whose answer got lost can be sent again. Without it such a write is reported as unknown.
    #[must_use]
    pub fn sessions(mut self, wanted: bool) -> Self {
        self.sessions = wanted;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
