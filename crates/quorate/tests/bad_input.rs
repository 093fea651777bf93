//! Whatever comes in that should not: settings, data directories, bytes on the wire, requests, a
//! disk that is full or fails, members of another cluster.
//!
//! The promise is the same for all of them: nothing is lost and nothing is changed by it, everybody
//! else is served on, and one line says what is wrong and what to do.

#[cfg(test)]
mod support;

#[cfg(test)]
#[path = "support/bad_input/settings.rs"]
mod settings;

#[cfg(test)]
#[path = "support/bad_input/data.rs"]
mod data;

#[cfg(test)]
#[path = "support/bad_input/wire.rs"]
mod wire;

#[cfg(test)]
#[path = "support/bad_input/requests.rs"]
mod requests;

#[cfg(test)]
#[path = "support/bad_input/disk.rs"]
mod disk;

#[cfg(test)]
#[path = "support/bad_input/peers.rs"]
mod peers;

#[cfg(test)]
#[path = "support/bad_input/backup.rs"]
mod backup;
