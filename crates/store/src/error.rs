//! What can be wrong with a request, in etcd's words.
//!
//! Clients recognise an error by its text before they look at its code, so the texts are part of
//! the interface and equal etcd's to the letter.

/// Why a request was refused. Nothing was changed by a request that got one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An answer has more bytes than a reader may give. Our own word: etcd sends whatever there is.
    #[error(
        "quorate: the answer has more than {bytes_max} bytes; ask for less at a time, with a limit \
         and then from the last key on, or raise --max-range-bytes"
    )]
    AnswerTooLarge {
        /// So many it may have.
        bytes_max: usize,
    },
    /// The revision to read at, or to compact to, is already compacted.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// Two puts of a transaction set one key, or one removes what another sets.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// A request without a key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// The revision to read at, or to compact to, has not happened yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// A sort order or sort target that does not exist.
    #[error("etcdserver: invalid sort option")]
    InvalidSortOption,
    /// A put keeps the value or lease of a key that does not exist. Also the answer to an operation
    /// of a transaction that is none.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// The lease to attach a key to does not exist.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// A put that keeps the lease brings one.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// The bytes of a command are none. Our own word: etcd has no such answer.
    #[error("quorate: the command does not decode")]
    Malformed,
    /// A transaction has more operations than allowed.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    /// A put that keeps the value brings one.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// A transaction that changes something was asked of a reader. Our own word: the caller has to
    /// propose it.
    #[error("quorate: a transaction that writes cannot be read")]
    WritesInRead,
}

impl Error {
    /// The code that goes with the text.
    pub fn code(&self) -> Code {
        match self {
            Self::Compacted | Self::FutureRevision => Code::OutOfRange,
            Self::DuplicateKey
            | Self::EmptyKey
            | Self::InvalidSortOption
            | Self::KeyNotFound
            | Self::LeaseProvided
            | Self::TooManyOps
            | Self::ValueProvided => Code::InvalidArgument,
            Self::LeaseNotFound => Code::NotFound,
            Self::AnswerTooLarge { .. } => Code::ResourceExhausted,
            Self::Malformed | Self::WritesInRead => Code::Internal,
        }
    }
}

/// The gRPC status codes that errors of this crate have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request is wrong, whatever the state.
    InvalidArgument,
    /// What the request names does not exist.
    NotFound,
    /// It needs more than may be had.
    ResourceExhausted,
    /// The revision is outside of what is kept.
    OutOfRange,
    /// A bug of ours.
    Internal,
}

impl Code {
    /// The number that gRPC knows the code by.
    pub fn number(self) -> i32 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::ResourceExhausted => 8,
            Self::OutOfRange => 11,
            Self::Internal => 13,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_codes_are_those_that_clients_match() {
        let expected = [
            (Error::Compacted, 11, "etcdserver: mvcc: required revision has been compacted"),
            (Error::FutureRevision, 11, "etcdserver: mvcc: required revision is a future revision"),
            (Error::DuplicateKey, 3, "etcdserver: duplicate key given in txn request"),
            (Error::EmptyKey, 3, "etcdserver: key is not provided"),
            (Error::InvalidSortOption, 3, "etcdserver: invalid sort option"),
            (Error::KeyNotFound, 3, "etcdserver: key not found"),
            (Error::LeaseNotFound, 5, "etcdserver: requested lease not found"),
            (Error::LeaseProvided, 3, "etcdserver: lease is provided"),
            (Error::TooManyOps, 3, "etcdserver: too many operations in txn request"),
            (Error::ValueProvided, 3, "etcdserver: value is provided"),
        ];
        for (error, code, text) in expected {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.code().number(), code, "{error:?}");
        }
    }
}
