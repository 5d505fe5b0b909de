//! Key files: written whole or not at all, for their owner only, and on disk when it is said that they are.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::KeyringError;

/// Whole or not at all: written beside, synced, renamed, folder synced. Readable by its owner only.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let beside = path.with_extension("new");
    let write = || {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|e| file_error(path, e))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Gone when this returns; it need not have been there.
pub fn remove_synced(path: &Path) -> Result<(), KeyringError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(file_error(path, e)),
        _ => sync_folder(path.parent().unwrap_or(Path::new("."))),
    }
}

/// What is in a file; `None` when it is not there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, KeyringError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(file_error(path, e)),
    }
}

pub fn sync_folder(folder: &Path) -> Result<(), KeyringError> {
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(|e| file_error(folder, e))
}

pub fn file_error(path: &Path, source: io::Error) -> KeyringError {
    KeyringError::File { path: path.into(), source }
}
