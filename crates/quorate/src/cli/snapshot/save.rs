//! `snapshot save`: a backup of what one member holds.
//!
//! What comes goes to `FILE.part`, which gets its name once its checksum was found right and it is
//! durable. So a file of that name is whole, or what was there before.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_client::{Endpoint, Error, Snapshot};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::Session;
use super::super::failure::Failure;
use super::super::options::ClientOptions;
use super::super::output::{Report, Style, Table, line};
use super::super::status::size;

const EXAMPLES: &str = "\
Examples:
  quorate snapshot save backup.snap
  quorate snapshot save --force --endpoints 10.0.0.2:2379 /var/backups/quorate.snap
  quorate snapshot status backup.snap

The first of the endpoints that answers is asked, and gives what it has applied; it needs no quorum
for that. Nobody waits for it: writes go on meanwhile, and are not in the file. The file has all
keys in clear; it is readable for its owner only.";

/// Save all keys, with their history, as a file
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Save {
    /// Where to save it
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Replace the file if there is one
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    pub(super) options: ClientOptions,
}

impl Save {
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let file = self.file;
        if !self.force && file.symlink_metadata().is_ok() {
            let file = file.display();
            return Err(Failure::new(format!(
                "{file} is there already; give another name, or --force to replace it"
            )));
        }
        let mut name = file.file_name().map(ToOwned::to_owned).ok_or_else(|| {
            Failure::new(format!("{} is no name of a file; give one", file.display()))
        })?;
        name.push(".part");
        let part = file.with_file_name(name);
        let snapshot = begin(session).await?;
        let saved = keep(snapshot, &part, &file).await;
        if saved.is_err() {
            // Of no use to anybody; that it cannot be removed would not be news.
            fs::remove_file(&part).ok();
        }
        session.print(&saved?)
    }
}

/// Asks one endpoint after the other, as long as none can be connected to.
async fn begin(session: &Session) -> Result<Snapshot, Failure> {
    let endpoints: Vec<Endpoint> = session.client.endpoints().cloned().collect();
    let mut unconnected = Vec::new();
    for endpoint in &endpoints {
        match session.client.snapshot(endpoint).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(Error::NotConnected { attempts }) => unconnected.extend(attempts),
            Err(
                error @ (Error::Endpoint(_)
                | Error::Refused { .. }
                | Error::NoAnswer { .. }
                | Error::OutcomeUnknown { .. }),
            ) => return Err(error.into()),
        }
    }
    Err(Error::NotConnected { attempts: unconnected }.into())
}

/// Takes the snapshot, and gives it its name if it is whole.
async fn keep(mut snapshot: Snapshot, part: &Path, file: &Path) -> Result<Saved, Failure> {
    let failed = |error: io::Error| {
        let part = part.display();
        Failure::new(format!("{part} cannot be written ({error}); check the path and the disk"))
    };
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut out = options.open(part).map_err(failed)?;
    let bar = bar();
    let mut sum = Sum::default();
    let mut revision = 0;
    while let Some(piece) = snapshot.next().await? {
        revision = piece.header.as_ref().map_or(revision, |header| header.revision);
        out.write_all(&piece.blob).map_err(failed)?;
        sum.update(&piece.blob);
        bar.set_length(sum.bytes.saturating_add(piece.remaining_bytes));
        bar.set_position(sum.bytes);
    }
    bar.finish_and_clear();
    let bytes = sum.bytes;
    let Some(sha256) = sum.check() else {
        let endpoint = snapshot.endpoint();
        return Err(Failure::new(format!(
            "{endpoint}: what came is not whole: its {bytes} bytes do not end with their SHA-256; \
             try again"
        )));
    };
    out.sync_all().map_err(failed)?;
    fs::rename(part, file).map_err(failed)?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|it| it.sync_all()).map_err(failed)?;
    let endpoint = snapshot.endpoint().as_given().to_owned();
    Ok(Saved { file: file.display().to_string(), endpoint, revision, bytes, sha256 })
}

/// How far it is, for somebody who waits. Without a terminal nothing is shown.
fn bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("{bar:24} {bytes} of about {total_bytes}, {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The length of a sum.
const SHA_BYTES: usize = 32;

/// Takes the sum of all but the last bytes, which should be it.
#[derive(Default)]
struct Sum {
    sum: Sha256,
    last: Vec<u8>,
    bytes: u64,
}

impl Sum {
    fn update(&mut self, bytes: &[u8]) {
        self.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.last.extend_from_slice(bytes);
        let over = self.last.len().saturating_sub(SHA_BYTES);
        self.sum.update(&self.last[..over]);
        self.last.drain(..over);
    }

    /// The sum in hexadecimal, if the bytes end with it.
    fn check(self) -> Option<String> {
        let sum = self.sum.finalize();
        let hex = || sum.iter().map(|byte| format!("{byte:02x}")).collect();
        (sum.as_slice() == self.last).then(hex)
    }
}

/// A file that is there now.
struct Saved {
    file: String,
    endpoint: String,
    revision: i64,
    bytes: u64,
    sha256: String,
}

impl Report for Saved {
    type Json = SavedJson;

    fn simple(&self, _: Style, out: &mut Vec<u8>) {
        let Self { file, endpoint, revision, bytes, .. } = self;
        let size = size(i64::try_from(*bytes).unwrap_or(i64::MAX));
        let text =
            format!("Snapshot saved at {file}\n{size}, revision {revision}, from {endpoint}");
        line(out, text.as_bytes(), Style::Plain);
    }

    fn json(&self, _: Style) -> SavedJson {
        let Self { file, endpoint, revision, bytes, sha256 } = self;
        let (file, endpoint, sha256) = (file.clone(), endpoint.clone(), sha256.clone());
        SavedJson { file, endpoint, revision: *revision, total_size: *bytes, sha256 }
    }

    fn table(&self, _: Style) -> Option<Table> {
        None
    }
}

/// What was saved.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SavedJson {
    file: String,
    endpoint: String,
    revision: i64,
    total_size: u64,
    sha256: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_at_the_end_is_that_of_all_before_however_it_comes() {
        let mut bytes = vec![7; 1000];
        bytes.extend_from_slice(&Sha256::digest(&bytes));
        for piece in [1, 31, 32, 33, 500, 2000] {
            let mut sum = Sum::default();
            bytes.chunks(piece).for_each(|piece| sum.update(piece));
            assert_eq!(sum.bytes, 1032);
            assert!(sum.check().is_some(), "pieces of {piece}");
        }
        for cut in [0, 31, 1000, 1031] {
            let mut sum = Sum::default();
            sum.update(&bytes[..cut]);
            assert!(sum.check().is_none(), "{cut} bytes");
        }
    }
}
