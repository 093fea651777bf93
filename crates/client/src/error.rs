//! What can go wrong with a request, by what the caller may do about it.

use tonic::Code;

use crate::endpoint::{Endpoint, EndpointError};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An endpoint is not written as it should be.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// No connection could be made, so nothing was sent and nothing has changed.
    #[error("no endpoint could be connected to: {}", joined(.attempts))]
    NotConnected {
        /// What was tried, in order.
        attempts: Vec<Attempt>,
    },
    /// The server refused the request; nothing has changed.
    #[error("{endpoint}: {message} ({code:?})")]
    Refused {
        /// Who answered.
        endpoint: Endpoint,
        /// The kind of refusal.
        code: Code,
        /// The server's own text, such as `etcdserver: mvcc: required revision has been compacted`.
        message: String,
    },
    /// A read got no answer before its deadline, at any endpoint.
    #[error("{endpoint}: {message} ({code:?})")]
    NoAnswer {
        /// Who was asked last.
        endpoint: Endpoint,
        /// The kind of failure.
        code: Code,
        /// What the server or the transport said.
        message: String,
    },
    /// A write was sent and its answer did not come, from any endpoint that could have told: it may
    /// or may not have been applied.
    #[error(
        "{endpoint}: {message} ({code:?}): the outcome is unknown, \
         the write may or may not have been applied"
    )]
    OutcomeUnknown {
        /// Who was asked.
        endpoint: Endpoint,
        /// The kind of failure.
        code: Code,
        /// What the server or the transport said.
        message: String,
    },
}

impl Error {
    /// The gRPC code, if there is one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Endpoint(_) => None,
            Self::NotConnected { .. } => Some(Code::Unavailable),
            Self::Refused { code, .. }
            | Self::NoAnswer { code, .. }
            | Self::OutcomeUnknown { code, .. } => Some(*code),
        }
    }

    /// The server's or the transport's own text, if there is one.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Endpoint(_) | Self::NotConnected { .. } => None,
            Self::Refused { message, .. }
            | Self::NoAnswer { message, .. }
            | Self::OutcomeUnknown { message, .. } => Some(message),
        }
    }

    /// The endpoint that the error is about, if it is about one.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        match self {
            Self::Endpoint(_) => None,
            Self::NotConnected { attempts } => attempts.last().map(|attempt| &attempt.endpoint),
            Self::Refused { endpoint, .. }
            | Self::NoAnswer { endpoint, .. }
            | Self::OutcomeUnknown { endpoint, .. } => Some(endpoint),
        }
    }

    /// Whether the request may have been applied although it failed.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }
}

/// A connection that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint}: {cause}")]
pub struct Attempt {
    /// Where to.
    pub endpoint: Endpoint,
    /// Why not.
    pub cause: String,
}

fn joined(attempts: &[Attempt]) -> String {
    attempts.iter().map(Attempt::to_string).collect::<Vec<_>>().join(", ")
}
