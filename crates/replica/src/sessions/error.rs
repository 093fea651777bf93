//! Why a session's command was not applied, or its reply not repeated.

use quorate_raft::Index;

/// Why a command of a session has no reply of the machine. All members agree on it, and the
/// machine's state was not changed by the command that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The bytes are no envelope.
    #[error("quorate: session: the command does not decode")]
    Malformed,
    /// The client said before that it needs no reply to this sequence any more.
    #[error(
        "quorate: session: sequence {sequence} went back: all up to {acknowledged} are \
         acknowledged; give each new request a higher one"
    )]
    WentBack {
        /// The sequence of the request.
        sequence: u64,
        /// Up to where the client needs no replies.
        acknowledged: u64,
    },
    /// The session may have been forgotten since the request was first sent. This attempt was not
    /// applied; an earlier one may have been.
    #[error(
        "quorate: session: expired: whether an earlier attempt was applied is unknown; read back \
         before you send it as a new request"
    )]
    Expired {
        /// Where the log is: with this as [`Head::since`](super::Head::since), a request that was
        /// never sent before is applied.
        at: Index,
    },
    /// The client leaves too many replies unacknowledged.
    #[error(
        "quorate: session: too many replies are not acknowledged; raise the acknowledged sequence"
    )]
    Full,
    /// The sequence was used before, for a request with other content.
    #[error(
        "quorate: session: sequence {sequence} was another request; give each new request a \
         higher one"
    )]
    Reused {
        /// The sequence of both.
        sequence: u64,
    },
    /// The request was applied before, once, but its reply was too large to be kept.
    #[error("quorate: session: sequence {sequence} was applied, its reply was too large to keep")]
    ReplyTooLarge {
        /// The sequence of the request.
        sequence: u64,
    },
}
