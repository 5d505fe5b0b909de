//! What the journal asks of a disk, so that tests can give it one that fails on purpose.

use std::fmt::Debug;
use std::io;

/// The folder of a log, flat, and the lock that guards it. Names are file names without a path.
pub trait Disk: Debug + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;
    /// Held as long as it lives.
    type Lock: Debug + Send;

    /// For messages.
    fn describe(&self) -> String;

    /// Makes the folder, durably, if it is not there.
    fn make(&self) -> io::Result<()>;

    /// Takes the lock; `None` when another process has it.
    fn lock(&self) -> io::Result<Option<Self::Lock>>;

    /// Names of all files; none if there is no folder.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens a file that is there; for reading only unless `write`.
    fn open(&self, name: &str, write: bool) -> io::Result<Self::File>;

    /// Makes an empty file, or empties the one of that name.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in the place of a file that has it. Durable after [`sync_names`](Self::sync_names).
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Durable after [`sync_names`](Self::sync_names).
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes all names durable as they are now.
    fn sync_names(&self) -> io::Result<()>;
}

/// One file of a [`Disk`].
pub trait DiskFile: Debug + Send + Sync {
    /// Its size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads from `offset` on until `buffer` is full or the file ends; returns how much that was.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all of `parts`, one after another, from `offset` on, in one write if the system allows.
    fn write_at(&self, parts: &mut [io::IoSlice<'_>], offset: u64) -> io::Result<()>;

    /// Sets `bytes` aside from the file's start on; writing there does not run out of space.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes all that was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// Whether `error` means that there is no space, as opposed to a disk that fails.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
