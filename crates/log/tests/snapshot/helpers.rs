//! What the stories are told with.

use std::fmt;
use std::io::{self, Read, Write};

use quorate_log::{
    Choices, Identity, MemDisk, Received, SnapshotError, SnapshotFile, SnapshotPart,
    SnapshotWriter, snapshots,
};
use quorate_raft::{EntryId, Index, Term};

pub const IDENTITY: Identity = Identity { cluster: 0xc1, member: 1 };

/// The payload of a full chunk, and what is around it: `docs/snapshot-file.md`.
pub const PAYLOAD: usize = 64 << 10;
pub const HEADER: usize = 128;
pub const CHUNK_HEADER: usize = 16;
pub const FOOTER: usize = 64;

/// More than any file here.
pub const LIMIT: u64 = 1 << 30;

pub fn at(index: u64, term: u64) -> EntryId {
    EntryId::new(Term::new(term), Index::new(index))
}

pub fn name(point: EntryId, ending: &str) -> String {
    let (index, term) = (point.index.value(), point.term.value());
    format!("snapshot-{index:016x}-{term:016x}.{ending}")
}

/// A body in which no two chunks are alike.
pub fn body(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

/// A snapshot as a test knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Story {
    pub point: EntryId,
    pub meta: Vec<u8>,
    pub body: Vec<u8>,
}

impl Story {
    pub fn new(index: u64, body_bytes: usize) -> Self {
        let body = body(body_bytes, index);
        Self { point: at(index, 2), meta: format!("members at {index}").into(), body }
    }

    pub fn write(&self, disk: &MemDisk) -> io::Result<SnapshotFile<MemDisk>> {
        let mut writer = SnapshotWriter::create(disk, IDENTITY, self.point, &self.meta)?;
        writer.write_all(&self.body)?;
        writer.finish()
    }

    /// The bytes of its file.
    pub fn bytes(&self) -> Vec<u8> {
        let disk = MemDisk::new();
        self.write(&disk).unwrap();
        disk.content(&self.file()).unwrap()
    }

    /// The name of its file.
    pub fn file(&self) -> String {
        name(self.point, "snap")
    }

    /// The name of its file while it is received.
    pub fn part(&self) -> String {
        name(self.point, "part")
    }

    pub fn begin(&self, disk: &MemDisk) -> Result<SnapshotPart<MemDisk>, SnapshotError> {
        let length = u64::try_from(self.bytes().len()).unwrap();
        SnapshotPart::begin(disk, self.point, length, LIMIT)
    }

    /// Receives what is missing, in pieces, and puts the file in its place.
    pub fn receive(
        &self,
        disk: &MemDisk,
        piece: usize,
    ) -> Result<SnapshotFile<MemDisk>, SnapshotError> {
        let mut part = self.begin(disk)?;
        send(&mut part, &self.bytes(), piece, u64::MAX)?;
        part.finish(IDENTITY)
    }

    /// Whether an open file is this snapshot, to its last byte.
    pub fn check(&self, file: &SnapshotFile<MemDisk>) {
        assert_eq!(&Self::of(file), self);
    }

    pub fn of(file: &SnapshotFile<MemDisk>) -> Self {
        let body = read(file).unwrap();
        assert_eq!(u64::try_from(body.len()).unwrap(), file.body_bytes());
        Self { point: file.point(), meta: file.meta().to_vec(), body }
    }
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point, meta, body } = self;
        write!(f, "{point} {} {}:{:x}", meta.len(), body.len(), crc32c::crc32c(body))
    }
}

/// Sends bytes of a file until so much of it is there, or all.
pub fn send(
    part: &mut SnapshotPart<MemDisk>,
    bytes: &[u8],
    piece: usize,
    until: u64,
) -> Result<(), SnapshotError> {
    while part.received() < until && !part.is_complete() {
        let from = usize::try_from(part.received()).unwrap();
        let to = bytes.len().min(from + piece);
        assert_eq!(part.write_at(part.received(), &bytes[from..to])?, Received::Taken);
    }
    Ok(())
}

/// The body of a file, read in pieces of a length that fits nothing.
pub fn read(file: &SnapshotFile<MemDisk>) -> io::Result<Vec<u8>> {
    let mut reader = file.reader();
    let mut body = Vec::new();
    let mut piece = [0; 10_007];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(body),
            count => body.extend_from_slice(&piece[..count]),
        }
    }
}

/// All snapshots that a directory lists, the newest first. Each must be sound.
pub fn listed(disk: &MemDisk) -> Vec<Story> {
    let found = snapshots(disk, IDENTITY).unwrap();
    found.iter().map(|found| Story::of(found.file.as_ref().unwrap())).collect()
}

/// Lets `check` see the disk after crashes of all kinds at this moment.
pub fn crash_in_many_ways(disk: &MemDisk, mut check: impl FnMut(&MemDisk)) -> u64 {
    const WAYS_MAX: u64 = 256;
    const SEEDS: u64 = 24;
    let mut crashes = 0;
    if disk.crash_ways() <= WAYS_MAX {
        let mut choices = Choices::first();
        loop {
            check(&disk.crash(&mut choices));
            crashes += 1;
            if !choices.advance() {
                return crashes;
            }
        }
    }
    check(&disk.crash(&mut Choices::first()));
    check(&disk.crash(&mut Choices::last()));
    (0..SEEDS).for_each(|seed| check(&disk.crash(&mut Choices::seeded(seed))));
    SEEDS + 2
}
