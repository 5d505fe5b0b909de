//! The store's folder: who has it, and how one that cannot be relied on is set aside.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::day::day_named;
use crate::disk::sync_names;
use crate::error::OpenError;

/// Makes the folder if need be and takes its lock, which lasts as long as the file is open.
pub(crate) fn claim(folder: &Path) -> Result<File, OpenError> {
    fs::create_dir_all(folder.join("days")).map_err(|why| unavailable(folder, why))?;
    let path = folder.join("lock");
    let lock = File::create(&path).map_err(|why| unavailable(&path, why))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Busy(folder.to_owned())),
        Err(TryLockError::Error(why)) => Err(unavailable(&path, why)),
    }
}

/// Renames the store's folder to `<name>.broken-N`, for whoever wants to know what happened to it, and removes older ones. No store may
/// be open in it.
///
/// # Errors
/// When the folder's parent does not allow it.
pub fn set_aside(folder: &Path) -> Result<PathBuf, OpenError> {
    let fail = |why| unavailable(folder, why);
    let name =
        folder.file_name().and_then(|name| name.to_str()).ok_or_else(|| fail(io::ErrorKind::InvalidInput.into()))?;
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let prefix = format!("{name}.broken-");
    let mut older = Vec::new();
    for entry in fs::read_dir(parent).map_err(fail)? {
        let name = entry.map_err(fail)?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<u64>().ok());
        older.extend(number.map(|number| (number, parent.join(name))));
    }
    let next = older.iter().map(|(number, _)| number + 1).max().unwrap_or(1);
    let aside = parent.join(format!("{prefix}{next}"));
    fs::rename(folder, &aside).map_err(fail)?;
    older.into_iter().try_for_each(|(_, path)| fs::remove_dir_all(path)).map_err(fail)?;
    sync_names(parent).map_err(fail)?;
    Ok(aside)
}

/// Removes the folders of days that the root does not know: they were being forgotten, or never came to be.
pub(crate) fn remove_unknown_days(folder: &Path, is_known: impl Fn(u32) -> bool) -> Result<(), OpenError> {
    let days = folder.join("days");
    let fail = |why| unavailable(&days, why);
    for entry in fs::read_dir(&days).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let day = entry.file_name().to_str().and_then(day_named);
        if !day.is_some_and(&is_known) {
            match entry.file_type().map_err(fail)?.is_dir() {
                true => fs::remove_dir_all(entry.path()),
                false => fs::remove_file(entry.path()),
            }
            .map_err(fail)?;
        }
    }
    Ok(())
}

pub(crate) fn unavailable(path: &Path, why: io::Error) -> OpenError {
    OpenError::Unavailable { path: path.to_owned(), why }
}
