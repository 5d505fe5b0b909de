//! One sled database: its keys, and the little that is asked of sled.
//!
//! sled's own flush is no fsync, so a batch is durable only after [`Disk::sync`], which flushes and then syncs sled's file by its path.
//! sled can panic over a damaged file; a panic is caught here and becomes an error.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use sled::{Batch, Db, IVec};

use crate::error::{CommitError, Damage, Fault, ReadError};

/// Keys: a letter, then what it is of.
pub(crate) const CHUNK: u8 = b'c';
pub(crate) const DAY: u8 = b'd';
pub(crate) const KERNEL: u8 = b'k';
pub(crate) const MANIFEST: u8 = b'm';
pub(crate) const ROOT: &[u8] = b"root";

pub(crate) fn chunk_key(number: u64) -> [u8; 9] {
    let mut key = [CHUNK; 9];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

pub(crate) fn manifest_key(tag: u8, bucket: u64) -> [u8; 10] {
    let mut key = [MANIFEST; 10];
    key[1] = tag;
    key[2..].copy_from_slice(&bucket.to_be_bytes());
    key
}

pub(crate) fn day_key(day: u32) -> [u8; 5] {
    let mut key = [DAY; 5];
    key[1..].copy_from_slice(&day.to_be_bytes());
    key
}

pub(crate) fn kernel_key(piece: u32) -> [u8; 5] {
    let mut key = [KERNEL; 5];
    key[1..].copy_from_slice(&piece.to_be_bytes());
    key
}

/// A database that was just closed by this process may stay locked for a moment.
const LOCKED_TRIES: u32 = 100;
const LOCKED_PAUSE: Duration = Duration::from_millis(20);

/// An open sled database.
#[derive(Debug)]
pub(crate) struct Disk {
    db: Db,
    /// sled's file, opened a second time only to be synced.
    file: File,
    /// Relative to the store's folder, for messages.
    name: String,
}

impl Disk {
    /// Opens the database `name` in `folder`, or makes it. `cache_bytes` is what sled may cache.
    pub fn open(folder: &Path, name: String, cache_bytes: u64) -> Result<Disk, ReadError> {
        let path = folder.join(&name);
        let fail = |why: String| ReadError::Sled { database: name.clone(), why };
        remove_cut_off_snapshots(&path)?;
        let mut tries = 0;
        let db = loop {
            let config = sled::Config::new().path(&path).cache_capacity(cache_bytes).flush_every_ms(None);
            match guarded(|| config.open()) {
                Ok(db) => break db,
                Err(Failure::Sled(sled::Error::Io(why))) if is_locked(&why) && tries < LOCKED_TRIES => {
                    tries += 1;
                    std::thread::sleep(LOCKED_PAUSE);
                }
                Err(failure) => return Err(fail(failure.to_string())),
            }
        };
        let file = File::open(path.join("db")).map_err(|e| fail(e.to_string()))?;
        Ok(Disk { db, file, name })
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<IVec>, ReadError> {
        guarded(|| self.db.get(key)).map_err(|why| self.unreadable(&why))
    }

    /// Hands each pair whose key begins with `prefix` to `each`, in order of keys.
    pub fn scan(
        &self,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut pairs = self.db.scan_prefix(prefix);
        while let Some(pair) = guarded(|| pairs.next().transpose()).map_err(|why| self.unreadable(&why))? {
            each(&pair.0, &pair.1)?;
        }
        Ok(())
    }

    /// All or nothing of the batch is found again; durable after [`sync`](Self::sync).
    pub fn apply(&self, batch: Batch) -> Result<(), CommitError> {
        guarded(|| self.db.apply_batch(batch)).map_err(|why| self.unwritable(&why))
    }

    /// Hands all to the system: it survives the end of this process, not that of the machine.
    pub fn flush(&self) -> Result<(), CommitError> {
        guarded(|| self.db.flush()).map(drop).map_err(|why| self.unwritable(&why))
    }

    /// Makes all that was applied durable.
    pub fn sync(&self) -> Result<(), CommitError> {
        self.flush()?;
        Ok(self.file.sync_data()?)
    }

    /// Damage in this database.
    pub fn damage(&self, fault: Fault) -> ReadError {
        ReadError::Damaged(Damage { database: self.name.clone(), fault })
    }

    fn unreadable(&self, why: &Failure) -> ReadError {
        ReadError::Sled { database: self.name.clone(), why: why.to_string() }
    }

    fn unwritable(&self, why: &Failure) -> CommitError {
        CommitError::Sled { database: self.name.clone(), why: why.to_string() }
    }
}

/// Makes the names in a folder durable.
pub(crate) fn sync_names(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What sled was writing beside its snapshot when it was killed, or when there was no space: it would take that for its newest snapshot,
/// and for corruption. The snapshot before is still there, or there was none. Nobody else is in the folder: the store's lock is held.
fn remove_cut_off_snapshots(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(()),
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

/// What sled did instead of what was asked.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Sled(sled::Error),
    #[error("it panicked: {0}")]
    Panicked(String),
}

/// Runs one call into sled. Its panics are caught and nothing else: what ran into one is set aside, never used again.
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
