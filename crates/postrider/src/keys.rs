//! The keys of a data folder while no engine runs on it: another master key for all of them.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use postrider_engine::KeyringError;
pub use postrider_engine::NewMaster;

use crate::MasterKey;

/// Why the master key was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// It is no data folder: it has no keys. Nothing was changed.
    #[error("{} is no data folder: it has no folder keys", .0.display())]
    NoKeys(PathBuf),
    /// An engine runs on the folder. Nothing was changed.
    #[error("{} is in use by another process: stop the server first", .0.display())]
    InUse(PathBuf),
    /// The lock could not be taken. Nothing was changed.
    #[error("{}: {}", .0.display(), .1)]
    Lock(PathBuf, io::Error),
    /// A key could not be read, opened or written.
    #[error(transparent)]
    Keys(#[from] KeyringError),
}

/// Wraps all keys of the data folder `data` by another master key; says how many there are. `given` is the present one, where it is not in the
/// folder. The secrets in the log stay as they are. Wherever this is cut off, the folder opens with the old master key or with the new one;
/// done again, it comes to its end.
///
/// # Errors
/// See [`RotateError`].
pub fn rotate_master(data: &Path, given: Option<&MasterKey>, new: &NewMaster) -> Result<usize, RotateError> {
    if !data.join("keys").is_dir() {
        return Err(RotateError::NoKeys(data.into()));
    }
    let path = data.join("LOCK");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|error| RotateError::Lock(path.clone(), error))?;
    lock.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => RotateError::InUse(data.into()),
        fs::TryLockError::Error(error) => RotateError::Lock(path, error),
    })?;
    Ok(postrider_engine::rotate_master(data, given, new)?)
}
