//! Ports that nobody uses.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that the system gives to outgoing connections: one of those could take a
/// member's port while the member is down.
const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// Where this process looks next.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port on 127.0.0.1 that is free now, another one each time.
pub(crate) fn free() -> u16 {
    // Test processes that run side by side begin at different places.
    let start = u16::try_from(std::process::id() * 131 % u32::from(COUNT)).unwrap();
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < COUNT, "no port is free");
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A free port with a free one right above it.
pub(crate) fn free_pair() -> u16 {
    let mut port = free();
    loop {
        let above = free();
        if above == port + 1 {
            return port;
        }
        port = above;
    }
}
