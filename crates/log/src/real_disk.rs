//! A directory of the operating system. The only place of this crate that touches files.
#![expect(clippy::disallowed_methods, reason = "this is the one place that touches files")]

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use crate::disk::{Disk, DiskFile};
use crate::number::{narrow, wide};

/// A directory of the operating system, private to its owner.
#[derive(Clone, Debug)]
pub struct RealDisk {
    path: Arc<Path>,
    directory: Arc<File>,
}

impl RealDisk {
    /// Takes a directory, and makes it if there is none. The directory above it must exist.
    pub fn at(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {
                // The new name is durable only once the directory that holds it is.
                if let Some(parent) = path.canonicalize()?.parent() {
                    File::open(parent)?.sync_all()?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let directory = Arc::new(File::open(&path)?);
        Ok(Self { path: path.into(), directory })
    }

    fn open_with(&self, name: &str, options: &mut OpenOptions) -> io::Result<RealFile> {
        let file = options.read(true).write(true).mode(0o600).open(self.path.join(name))?;
        Ok(RealFile(file))
    }
}

impl Disk for RealDisk {
    type File = RealFile;
    type Lock = RealLock;

    fn lock(&self) -> io::Result<RealLock> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(self.path.join("lock"))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(RealLock { _file: file })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // A name that is not text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<RealFile> {
        self.open_with(name, OpenOptions::new().create(true).truncate(false))
    }

    fn open(&self, name: &str) -> io::Result<RealFile> {
        self.open_with(name, &mut OpenOptions::new())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.directory.sync_all()
    }

    fn path_of(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// A file of a [`RealDisk`].
#[derive(Debug)]
pub struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + wide(read)) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let old = self.length()?;
        if length <= old {
            return Ok(());
        }
        loop {
            match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), old, length - old) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                // Not every file system can reserve; writing zeros takes the space as well.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return self.write_zeros(old, length),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl RealFile {
    fn write_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; narrow((to - from).min(ZEROS_BYTES_MAX))];
        let mut offset = from;
        while offset < to {
            let step = (to - offset).min(ZEROS_BYTES_MAX);
            self.write_at(&zeros[..narrow(step)], offset)?;
            offset += step;
        }
        Ok(())
    }
}

/// The lock of a [`RealDisk`]; the operating system lets go of it with the process.
#[derive(Debug)]
pub struct RealLock {
    _file: File,
}

/// The most zeros written at once.
const ZEROS_BYTES_MAX: u64 = 256 << 10;
