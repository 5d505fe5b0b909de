//! The sled database: the little that is asked of sled, and what sled has to be helped with.
//!
//! sled's own flush is no fsync, so a batch is durable only after [`Database::sync`], which flushes and then syncs sled's file by its path.
//! sled can panic over a damaged file; a panic is caught here and becomes an error. A disk without space poisons sled for good, so space is
//! set aside beyond the end of its file before anything is written.

use rustix::fs::FallocateFlags;
use sled::{Batch, IVec};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// What sled may cache.
const CACHE_BYTES: u64 = 64 << 20;
/// A database that was just closed by this process may stay locked for a moment.
const LOCKED_TRIES: u32 = 100;
const LOCKED_PAUSE: Duration = Duration::from_millis(20);

/// Bytes that sled writes for a byte of ours, at the most that was seen: links, then whole pages, then pages that are moved.
const AMPLIFIED: u64 = 6;
/// Segments of sled's, of 512 KiB each, that it opens before one is full.
const ROOM_LEAST: u64 = 2 << 20;
/// Space for the largest block and the seal behind it.
pub(crate) const ROOM_MAX: u64 = postrider_core::limits::BLOCK_BYTES_MAX as u64 * AMPLIFIED + ROOM_LEAST;

/// An open sled database. Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Database {
    db: sled::Db,
    /// sled's file, opened a second time to be synced, and to have space set aside.
    file: File,
}

/// What sled did instead of what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Sled(sled::Error),
    #[error("it panicked: {0}")]
    Panicked(String),
    #[error("{0}")]
    Disk(#[from] io::Error),
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        match failure {
            Failure::Disk(error) | Failure::Sled(sled::Error::Io(error)) => error,
            failure => io::Error::other(format!("sled: {failure}")),
        }
    }
}

impl Database {
    /// Opens the database in `folder`, or makes it. All that sled has written meanwhile is durable then: its snapshot has to be, since
    /// it cannot open beside a torn one.
    pub fn open(folder: &Path) -> Result<Database, Failure> {
        remove_cut_off_snapshots(folder)?;
        let mut tries = 0;
        let db = loop {
            let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
            match guarded(|| config.open()) {
                Err(Failure::Sled(sled::Error::Io(why))) if is_locked(&why) && tries < LOCKED_TRIES => {
                    tries += 1;
                    thread::sleep(LOCKED_PAUSE);
                }
                opened => break opened?,
            }
        };
        let file = OpenOptions::new().write(true).open(Database::file_in(folder))?;
        let database = Database { db, file };
        database.sync()?;
        for entry in fs::read_dir(folder)? {
            File::open(entry?.path())?.sync_all()?;
        }
        File::open(folder)?.sync_all()?;
        Ok(database)
    }

    /// Whether there is one in `folder`: sled would make an empty one in its place.
    pub fn is_in(folder: &Path) -> io::Result<bool> {
        Database::file_in(folder).try_exists()
    }

    fn file_in(folder: &Path) -> std::path::PathBuf {
        folder.join("db")
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<IVec>, Failure> {
        guarded(|| self.db.get(key))
    }

    /// Keys from `from` on and below `to`, in order, `max` at the most.
    pub fn keys(&self, from: &[u8], to: &[u8], max: usize) -> Result<Vec<IVec>, Failure> {
        guarded(|| self.db.range(from..to).keys().take(max).collect())
    }

    /// All or nothing of `batch` is found again; durable after the next [`sync`](Self::sync).
    pub fn apply(&self, batch: Batch) -> Result<(), Failure> {
        guarded(|| self.db.apply_batch(batch))
    }

    /// Makes all that was applied durable.
    pub fn sync(&self) -> Result<(), Failure> {
        guarded(|| self.db.flush())?;
        Ok(self.file.sync_data()?)
    }

    /// Sets space aside for a commit of `bytes`, beyond the end of sled's file and without moving that end, so that sled finds it when it
    /// writes there.
    ///
    /// # Errors
    /// When there is not so much; nothing is lost by that.
    pub fn make_room(&self, bytes: u64) -> Result<(), Failure> {
        let end = self.file.metadata()?.len();
        let bytes = bytes * AMPLIFIED + ROOM_LEAST;
        Ok(rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, end, bytes).map_err(io::Error::from)?)
    }
}

/// What sled was writing beside its snapshot when it was killed, or when there was no space: it would take that for its newest snapshot,
/// and for corruption. The snapshot before is still there, or there was none.
fn remove_cut_off_snapshots(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_locked(why: &io::Error) -> bool {
    why.to_string().contains("could not acquire lock")
}

/// Runs one call into sled. Its panics are caught and nothing else: what ran into one is not used again.
fn guarded<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(Failure::Sled),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
            Err(Failure::Panicked(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_within_sled_becomes_an_error() {
        let panicked = guarded::<()>(|| panic!("snapshot corrupt"));
        assert!(matches!(panicked, Err(Failure::Panicked(text)) if text == "snapshot corrupt"));
        let refused = guarded::<()>(|| Err(sled::Error::Unsupported("x".into())));
        assert!(matches!(refused, Err(Failure::Sled(_))));
    }
}
