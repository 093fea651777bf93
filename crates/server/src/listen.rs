//! Connections from clients: HTTP/1 or HTTP/2, whichever the client begins with.

use std::sync::LazyLock;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::faces::Faces;

/// Connections of clients at a time in this process; more wait to be accepted.
const CONNECTIONS_MAX: u64 = 10_000;

/// File descriptors kept for the log, the peers and all else, whatever clients do.
const DESCRIPTORS_KEPT: u64 = 128;

/// Calls at a time on one connection.
const STREAMS_MAX: u32 = 1_000;

/// What a connection may have under way towards us.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// How long a client may take for the preface of HTTP/2, or for the head of an HTTP/1 request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);

/// What a connection of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The pause before looking again whether more of a preface has come: there is no event for it.
const PREFACE_PAUSE: Duration = Duration::from_millis(20);

/// A client that is silent for so long is asked whether it lives, and has so long to answer.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// The pause after the operating system refused a connection: it may be out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The places for connections, for all members in this process, since they share its descriptors.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let places = CONNECTIONS_MAX.min(limit.saturating_sub(DESCRIPTORS_KEPT).max(1));
    Semaphore::new(usize::try_from(places).unwrap_or(Semaphore::MAX_PERMITS))
});

/// Serves connections for as long as it is polled.
pub(crate) async fn serve(listener: TcpListener, faces: Faces) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    loop {
        let Ok(place) = PLACES.acquire().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection ended as it began");
            continue;
        }
        let service = TowerToHyperService::new(faces.clone());
        let builder = builder.clone();
        tokio::spawn(async move {
            if timeout(HEAD_TIME_MAX, beginning(&stream)).await.is_err() {
                tracing::debug!("a connection ended: its client said too little in time");
                return;
            }
            let served = builder.serve_connection(TokioIo::new(stream), service).await;
            if let Err(error) = served {
                tracing::debug!(error, "a connection ended");
            }
            drop(place);
        });
    }
}

/// Waits until it is clear what the client begins with, and leaves it unread: the preface of HTTP/2
/// is whole, or it is something else, or nothing more will come.
async fn beginning(stream: &TcpStream) {
    let mut bytes = [0; PREFACE.len()];
    while let Ok(length @ 1..) = stream.peek(&mut bytes).await {
        if length == PREFACE.len() || bytes[..length] != PREFACE[..length] {
            return;
        }
        tokio::time::sleep(PREFACE_PAUSE).await;
    }
}
