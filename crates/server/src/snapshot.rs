//! The stream of a backup to a client.
//!
//! A thread walks over the store and writes; a task passes the pieces on as the client takes them.
//! So little waits in memory, however slow the client is. But while it goes on, compactions free
//! nothing that the backup needs: a client that takes nothing for [`STALL_MAX`] is given up.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use quorate_proto::etcdserverpb::{Member as MemberRecord, ResponseHeader, SnapshotResponse};
use quorate_raft::{EntryId, Index, Term};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tonic::Status;

use crate::backup::{self, About};
use crate::member::Member;
use crate::status;

/// The bytes of a piece.
const PIECE_BYTES: usize = 64 * 1024;

/// How many pieces wait in each of the two queues.
const PIECES_MAX: usize = 2;

/// How long a client may take nothing.
const STALL_MAX: Duration = Duration::from_secs(60);

/// Begins a backup of what this member has applied. `place` is given back at its end.
pub(crate) fn stream(
    member: &Arc<Member>,
    members: Vec<MemberRecord>,
    place: OwnedSemaphorePermit,
) -> Pieces {
    // Read before the store is: what it says was applied is in there.
    let node = member.node.status();
    let snapshot = member.reader.snapshot();
    let about = About {
        cluster: member.cluster,
        member: member.id,
        members,
        point: EntryId::new(Term::new(node.term), Index::new(node.applied)),
    };
    let (pieces, written) = mpsc::channel(PIECES_MAX);
    let (passed, taken) = mpsc::channel(PIECES_MAX);
    let header = member.header(snapshot.view().revision());
    let cutter = Cutter { pieces, bytes: BytesMut::new() };
    let left = snapshot.bytes_estimate();
    tokio::task::spawn_blocking(move || {
        // It fails only if nobody takes the pieces any more, and then nobody is to be told.
        if let Ok(mut cutter) = backup::write(&snapshot, about, cutter) {
            cutter.cut(true).ok();
        }
        drop(place);
    });
    tokio::spawn(pass(written, passed));
    Pieces { taken, header, left, is_ended: false }
}

/// Passes pieces on until they end, or the client takes none for too long.
async fn pass(mut written: mpsc::Receiver<Piece>, passed: mpsc::Sender<Piece>) {
    while let Some(piece) = written.recv().await {
        match timeout(STALL_MAX, passed.send(piece)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::warn!("a snapshot was given up: its client takes nothing");
                return;
            }
        }
    }
}

/// A part of the file.
struct Piece {
    bytes: Bytes,
    is_last: bool,
}

/// Cuts what is written into pieces.
struct Cutter {
    pieces: mpsc::Sender<Piece>,
    bytes: BytesMut,
}

impl Cutter {
    /// Sends what is there.
    fn cut(&mut self, is_last: bool) -> io::Result<()> {
        let piece = Piece { bytes: self.bytes.split().freeze(), is_last };
        let sent = self.pieces.blocking_send(piece);
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

impl Write for Cutter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() == PIECE_BYTES {
            self.cut(false)?;
        }
        let room = PIECE_BYTES - self.bytes.len();
        self.bytes.reserve(room);
        let count = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The answers of the stream. Only the last says that nothing is left; a stream that ends without
/// it was given up.
#[derive(Debug)]
pub(crate) struct Pieces {
    taken: mpsc::Receiver<Piece>,
    header: ResponseHeader,
    /// About how many bytes are left.
    left: u64,
    is_ended: bool,
}

impl Stream for Pieces {
    type Item = Result<SnapshotResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let Some(Piece { bytes, is_last }) = ready!(self.taken.poll_recv(context)) else {
            self.is_ended = true;
            return Poll::Ready(Some(Err(status::given_up())));
        };
        self.is_ended = is_last;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        // An estimate, but never "nothing" before the end.
        self.left = self.left.saturating_sub(length).max(1);
        Poll::Ready(Some(Ok(SnapshotResponse {
            header: Some(self.header),
            remaining_bytes: if is_last { 0 } else { self.left },
            blob: bytes,
            version: VERSION.to_owned(),
        })))
    }
}

/// What wrote it, and hence can read it.
const VERSION: &str = concat!("quorate ", env!("CARGO_PKG_VERSION"));
