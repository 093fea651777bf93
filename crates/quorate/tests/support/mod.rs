//! What the tests of the finished program share: processes, ports, clusters, and what was read and
//! written in them.
#![allow(
    clippy::allow_attributes,
    reason = "the next line cannot expect: each test binary uses another part"
)]
#![allow(dead_code, reason = "each test binary uses another part")]

pub(crate) mod cluster;
pub(crate) mod directory;
pub(crate) mod history;
pub(crate) mod http2;
pub(crate) mod load;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod records;
pub(crate) mod scene;
