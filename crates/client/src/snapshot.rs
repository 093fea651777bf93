//! All that a member holds, as a stream of pieces.

use std::time::Duration;

use quorate_proto::etcdserverpb::SnapshotResponse;
use tokio::time::timeout;
use tonic::{Status, Streaming};

use crate::endpoint::Endpoint;
use crate::error::Error;

/// A snapshot on its way from a member. Its pieces, one after the other, are a file that ends with
/// the SHA-256 of all before it: whoever keeps it checks that first, for a stream that ends early
/// is not told from a whole one otherwise.
#[derive(Debug)]
pub struct Snapshot {
    endpoint: Endpoint,
    pieces: Streaming<SnapshotResponse>,
    piece_timeout: Duration,
}

impl Snapshot {
    pub(crate) fn new(
        endpoint: Endpoint,
        pieces: Streaming<SnapshotResponse>,
        piece_timeout: Duration,
    ) -> Self {
        Self { endpoint, pieces, piece_timeout }
    }

    /// The member that it comes from.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The next piece; none after the last.
    ///
    /// # Errors
    ///
    /// [`Error::NoAnswer`] if the connection or the member fails, or no piece comes within the
    /// request timeout. Nothing more comes then.
    pub async fn next(&mut self) -> Result<Option<SnapshotResponse>, Error> {
        let piece = match timeout(self.piece_timeout, self.pieces.message()).await {
            Ok(piece) => piece,
            Err(_) => {
                let text = format!("nothing more within {:?}", self.piece_timeout);
                Err(Status::deadline_exceeded(text))
            }
        };
        piece.map_err(|status| Error::NoAnswer {
            endpoint: self.endpoint.clone(),
            code: status.code(),
            message: status.message().to_owned(),
        })
    }
}
