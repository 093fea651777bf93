//! When a person or a supervisor wants the process to end.

use std::io;

use tokio::signal::unix::{SignalKind, signal as on};

/// Waits for Ctrl-C or a termination, and names it.
pub(crate) async fn signal() -> io::Result<&'static str> {
    let mut interrupt = on(SignalKind::interrupt())?;
    let mut terminate = on(SignalKind::terminate())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "interrupt",
        _ = terminate.recv() => "terminate",
    })
}
