//! Writing a backup.

use std::io::{self, Write};

use prost::Message;
use quorate_log::SnapshotSink;
use quorate_proto::backup::Backup as Meta;
use quorate_proto::etcdserverpb::Member;
use quorate_raft::EntryId;
use quorate_store::Snapshot;
use sha2::{Digest, Sha256};

use super::padding;

/// What a backup says besides what is in the store.
#[derive(Clone, Debug)]
pub struct About {
    /// The cluster.
    pub cluster: u64,
    /// The member that writes it.
    pub member: u64,
    /// All members.
    pub members: Vec<Member>,
    /// An entry that is in it; some later ones may be, too.
    pub point: EntryId,
}

/// Writes a backup to `out`, piece by piece. Gives `out` back, not flushed.
///
/// # Errors
/// Those of `out`. What was written until then is no backup.
pub fn write<W: Write>(snapshot: &Snapshot, about: About, out: W) -> io::Result<W> {
    let status = snapshot.view().status();
    let meta = Meta {
        written_by: concat!("quorate ", env!("CARGO_PKG_VERSION")).to_owned(),
        revision: status.revision,
        compacted: status.compacted,
        keys: status.keys,
        member: about.member,
        members: about.members,
    };
    let out = Summed { out, sum: Sha256::new() };
    let mut sink = SnapshotSink::create(out, about.cluster, about.point, &meta.encode_to_vec())?;
    snapshot.write_to(&mut sink)?;
    let (mut out, file_bytes) = sink.finish()?;
    io::copy(&mut io::Read::take(io::repeat(0), padding(file_bytes)), &mut out)?;
    out.write_all(&file_bytes.to_le_bytes())?;
    let Summed { mut out, sum } = out;
    out.write_all(&sum.finalize())?;
    Ok(out)
}

/// Takes the sum of what goes out.
#[derive(Debug)]
struct Summed<W> {
    out: W,
    sum: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.sum.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
