//! Whether a folder may become a data folder: asked before an engine touches it, so that what is refused is left as it was.

use std::fs;
use std::io;
use std::path::Path;

use postrider_engine::StartError;
use postrider_log::journal::OpenError;

/// What may lie in a folder in which there is no log yet: what a first start that was cut off leaves, what can be prepared for one, and what
/// file systems put into an empty volume.
const HARMLESS: [&str; 11] = [
    "LOCK",
    "admin.key",
    "ballast",
    "keys",
    "log",
    "lost+found",
    "master.given",
    "master.key",
    "master.new",
    "postrider.toml",
    "store",
];
/// A store that was set aside.
const STORE_ASIDE: &str = "store.broken-";

/// Refuses a folder that is not empty and not ours, and one whose log is gone: a new log there would have no use for the keys.
///
/// # Errors
/// When the folder is refused, or can't be read.
pub fn check(data: &Path) -> Result<(), StartError> {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    if !is_there(data) || is_there(&data.join("log").join("HEAD")) {
        return Ok(());
    }
    let names = names(data).map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory => io::Error::other(format!("{} is not a folder", data.display())),
        _ => error,
    });
    let names = names.map_err(OpenError::Unavailable)?;
    let is_harmless = |name: &String| HARMLESS.contains(&&**name) || name.starts_with(STORE_ASIDE);
    if !names.iter().all(is_harmless) {
        return Err(OpenError::Foreign { folder: data.display().to_string() }.into());
    }
    // A key is only ever made for a workspace, of which the log knows.
    let is_key = |name: &String| name.len() == 16 && u64::from_str_radix(name, 16).is_ok();
    let keys = data.join("keys");
    if keys.is_dir() && self::names(&keys).map_err(OpenError::Unavailable)?.iter().any(is_key) {
        return Err(StartError::LogMissing);
    }
    Ok(())
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_what_a_first_start_leaves_or_finds_is_taken() {
        let data = tempfile::tempdir().unwrap();
        assert!(check(&data.path().join("not-there")).is_ok());
        fs::create_dir(data.path().join("store.broken-1")).unwrap();
        for name in HARMLESS {
            if ["keys", "log", "lost+found", "store"].contains(&name) {
                fs::create_dir(data.path().join(name)).unwrap();
            } else {
                fs::write(data.path().join(name), "").unwrap();
            }
            assert!(check(data.path()).is_ok(), "{name}");
        }
        fs::write(data.path().join("keys/00000000000000aa.new"), "cut off").unwrap();
        assert!(check(data.path()).is_ok());
        fs::write(data.path().join("keys/00000000000000aa"), "").unwrap();
        assert!(matches!(check(data.path()), Err(StartError::LogMissing)));
        fs::write(data.path().join("log/HEAD"), "whatever it is, the log looks at it").unwrap();
        assert!(check(data.path()).is_ok());
    }

    #[test]
    fn a_folder_with_anything_else_is_refused() {
        let data = tempfile::tempdir().unwrap();
        fs::write(data.path().join("letter.txt"), "").unwrap();
        assert!(matches!(check(data.path()), Err(StartError::Open(OpenError::Foreign { .. }))));
        let error = check(&data.path().join("letter.txt")).unwrap_err().to_string();
        assert!(error.ends_with("letter.txt is not a folder"), "{error}");
    }
}
