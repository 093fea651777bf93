//! Reading a backup.
//!
//! One pass from the beginning to the end: the snapshot file in front checks itself chunk by chunk
//! while the store is made of it, so damage is named with its offset; the SHA-256 at the end covers
//! all of it once more, and what is between.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use prost::Message;
use quorate_log::SnapshotSource;
use quorate_proto::backup::Backup as Meta;
use quorate_proto::etcdserverpb::Member;
use quorate_raft::EntryId;
use quorate_store::{RestoreError, Store};
use sha2::{Digest, Sha256};

use super::error::BackupError;
use super::{LENGTH_BYTES, SECTOR_BYTES, SHA_BYTES, padding};

/// A backup that was read as a whole, every byte of it checked.
#[derive(Debug)]
pub struct Backup {
    /// Where it is.
    pub path: PathBuf,
    /// How long the file is.
    pub bytes: u64,
    /// The cluster that it is of.
    pub cluster: u64,
    /// The member that wrote it.
    pub member: u64,
    /// The members that there were.
    pub members: Vec<Member>,
    /// What wrote it, as `quorate 0.1.0`.
    pub written_by: String,
    /// An entry that is in it; some later ones may be, too.
    pub point: EntryId,
    /// The store.
    pub store: Store,
}

impl Backup {
    /// Reads a backup.
    ///
    /// # Errors
    /// If the file cannot be read, is something else, is cut off, damaged, or of a later version.
    pub fn load(path: &Path) -> Result<Self, BackupError> {
        let mut file = File::open(path).map_err(|error| BackupError::read(path, error))?;
        let (bytes, file_bytes) = measure(path, &mut file)?;
        let from =
            Summed { from: BufReader::with_capacity(BUFFER_BYTES, file), sum: Sha256::new() };
        let source = SnapshotSource::open(from, "the backup", file_bytes);
        let mut source = source.map_err(|error| BackupError::of_snapshot(path, error))?;
        let meta = Meta::decode(source.meta())
            .map_err(|error| BackupError::content(path, format!("its meta part: {error}")))?;
        let mut store = Store::new();
        store.restore(&mut source).map_err(|error| match error {
            RestoreError::Read(error) => BackupError::of_body(path, error),
            RestoreError::Newer { found: version, .. } => {
                BackupError::Newer { path: path.to_owned(), version }
            }
            error @ (RestoreError::Cut { .. }
            | RestoreError::Damaged { .. }
            | RestoreError::NoSnapshot) => BackupError::content(path, error.to_string()),
        })?;
        let status = store.status();
        if (meta.revision, meta.compacted, meta.keys)
            != (status.revision, status.compacted, status.keys)
        {
            return Err(BackupError::content(path, "it says other numbers of itself"));
        }
        let (cluster, point) = (source.cluster(), source.point());
        check_end(path, source.into_inner(), file_bytes)?;
        let Meta { written_by, member, members, .. } = meta;
        let path = path.to_owned();
        Ok(Self { path, bytes, cluster, member, members, written_by, point, store })
    }
}

/// The length of a file, and of the snapshot file in front. Leaves the file at its beginning.
fn measure(path: &Path, file: &mut File) -> Result<(u64, u64), BackupError> {
    let read = |error| BackupError::read(path, error);
    let is_file = file.metadata().map_err(read)?.is_file();
    let bytes = if is_file { file.seek(SeekFrom::End(0)).map_err(read)? } else { 0 };
    let mut head = Vec::new();
    file.rewind().map_err(read)?;
    Read::take(&mut *file, HEAD_BYTES).read_to_end(&mut head).map_err(read)?;
    if !head.starts_with(MAGIC) {
        let is_etcd = head.get(ETCD_MAGIC_AT..ETCD_MAGIC_AT + ETCD_MAGIC.len());
        return Err(match is_etcd == Some(ETCD_MAGIC) {
            true => BackupError::Etcd { path: path.to_owned() },
            false => BackupError::Other { path: path.to_owned() },
        });
    }
    let trailer = SHA_BYTES + LENGTH_BYTES;
    let cut = || BackupError::Cut { path: path.to_owned(), bytes };
    if bytes < trailer || bytes % SECTOR_BYTES != SHA_BYTES {
        return Err(cut());
    }
    let mut length = [0; 8];
    file.seek(SeekFrom::Start(bytes - trailer)).map_err(read)?;
    file.read_exact(&mut length).map_err(read)?;
    file.rewind().map_err(read)?;
    let file_bytes = u64::from_le_bytes(length);
    let fits = file_bytes < bytes && file_bytes + padding(file_bytes) + trailer == bytes;
    if fits { Ok((bytes, file_bytes)) } else { Err(cut()) }
}

/// Checks what stands behind the snapshot file.
fn check_end<R: Read>(path: &Path, from: Summed<R>, file_bytes: u64) -> Result<(), BackupError> {
    let mut from = from;
    let read = |error| BackupError::read(path, error);
    let mut rest = Vec::new();
    let rest_bytes = padding(file_bytes) + LENGTH_BYTES;
    Read::take(&mut from, rest_bytes).read_to_end(&mut rest).map_err(read)?;
    let mut expected = Vec::new();
    let Summed { mut from, sum } = from;
    from.read_to_end(&mut expected).map_err(read)?;
    if sum.finalize().as_slice() != expected {
        let what = "the SHA-256 at the end is not that of the file";
        return Err(BackupError::damaged(path, file_bytes + rest_bytes, what));
    }
    Ok(())
}

/// Takes the sum of what is read.
#[derive(Debug)]
struct Summed<R> {
    from: R,
    sum: Sha256,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.sum.update(&buffer[..count]);
        Ok(count)
    }
}

const BUFFER_BYTES: usize = 1 << 18;

/// How a snapshot file begins.
const MAGIC: &[u8] = b"quorsn\r\n";

/// Where a database of etcd says that it is one, and how.
const ETCD_MAGIC_AT: usize = 16;
const ETCD_MAGIC: &[u8] = &[0xed, 0xda, 0x0c, 0xed];

/// As much as is needed to see either.
const HEAD_BYTES: u64 = 20;
