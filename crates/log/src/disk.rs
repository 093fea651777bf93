//! All that the log knows of files.
//!
//! What the log relies on, and no more:
//! - `write_at` and `allocate` are visible to `read_at` at once, and durable after `sync_data`.
//! - Until then a crash keeps or loses each 512-byte sector by itself; a sector is never mixed, so
//!   rewriting a sector with the old bytes in place endangers none of them.
//! - `create`, `rename` and `remove` are durable after `sync_dir`; until then a crash keeps or
//!   loses each by itself.
//! - After an error of `sync_data` or `sync_dir` nothing is known, whatever a later call says.

use std::fmt::Debug;
use std::io;

/// A directory of files. Clones are handles of the same directory.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// A handle of an open file.
    type File: DiskFile;
    /// Holds the lock of the directory until it is dropped.
    type Lock: Debug + Send + Sync + 'static;

    /// Takes the directory for this process alone. [`io::ErrorKind::WouldBlock`]: it is taken.
    fn lock(&self) -> io::Result<Self::Lock>;

    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file for reading and writing, and makes it if there is none. Keeps what is in it.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file for reading and writing. [`io::ErrorKind::NotFound`]: there is none.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in the place of whatever had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a name.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every name durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// What a person calls the file, for messages.
    fn path_of(&self, name: &str) -> String;
}

/// An open file.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads into `buffer` and says how much; less than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `bytes`. After an error any part of them may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the file at least `length` bytes long and reserves the space, so that writes below
    /// `length` do not run out of it. What was never written reads as zeros. After an error the
    /// file may have grown in part.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// The length of the file.
    fn length(&self) -> io::Result<u64>;

    /// Makes the content and the length durable.
    fn sync_data(&self) -> io::Result<()>;
}
