//! A data folder in the making, for what copies one: empty before, for its owner only, with the keys of another.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub const MASTER_KEY: &str = "master.key";
/// Says that the master key is given from outside, and in no file on purpose.
pub const MASTER_GIVEN: &str = "master.given";
const KEYS: &str = "keys";
/// Beside the folder of keys.
const KEY_FILES: [&str; 3] = [MASTER_KEY, MASTER_GIVEN, "admin.key"];
/// How often the keys are read while another master key takes its place.
const READS_MAX: usize = 8;

/// Why a folder could not be made, or a key not be copied.
#[derive(Debug)]
pub enum FolderError {
    /// It holds something already. Nothing was changed.
    NotEmpty(PathBuf),
    /// A folder or a key could not be read or written.
    File(PathBuf, io::Error),
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FolderError {
    |error| FolderError::File(path.into(), error)
}

/// Makes `folder` unless it is there and empty. Whether it was made.
///
/// # Errors
/// See [`FolderError`].
pub fn make_empty(folder: &Path) -> Result<bool, FolderError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(false),
            Some(_) => Err(FolderError::NotEmpty(folder.into())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(folder).map(|()| true).map_err(failed(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(FolderError::NotEmpty(folder.into())),
        Err(error) => Err(failed(folder)(error)),
    }
}

/// The files with keys of a data folder, as they are: sealing keys are wrapped by the master key.
pub struct Keys {
    /// By path in the data folder: permissions and bytes.
    files: BTreeMap<String, (u32, Vec<u8>)>,
}

impl Keys {
    /// Those of the data folder `data`.
    ///
    /// # Errors
    /// When a file can't be read.
    pub fn read(data: &Path) -> Result<Keys, FolderError> {
        let mut keys = Keys::read_once(data)?;
        for _ in 1..READS_MAX {
            let again = Keys::read_once(data)?;
            if again.files.get(MASTER_KEY) == keys.files.get(MASTER_KEY) {
                break;
            }
            keys = again;
        }
        Ok(keys)
    }

    fn read_once(data: &Path) -> Result<Keys, FolderError> {
        let mut files = BTreeMap::new();
        let mut names: Vec<String> = KEY_FILES.iter().map(|&name| name.to_owned()).collect();
        let folder = data.join(KEYS);
        if folder.is_dir() {
            for entry in fs::read_dir(&folder).map_err(failed(&folder))? {
                let name = entry.map_err(failed(&folder))?.file_name();
                // What is being written, or was when a crash came, has another name.
                let name = name.to_string_lossy();
                if name.len() == 16 && u64::from_str_radix(&name, 16).is_ok() {
                    names.push(format!("{KEYS}/{name}"));
                }
            }
        }
        for name in names {
            let path = data.join(&name);
            let read = || io::Result::Ok((fs::metadata(&path)?, fs::read(&path)?));
            match read() {
                Ok((metadata, bytes)) if metadata.is_file() => {
                    files.insert(name, (metadata.permissions().mode() & 0o777, bytes));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Ok(Keys { files })
    }

    /// Whether this file is among them.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Whether the master key is among them, or is in no file on purpose.
    pub fn has_master(&self) -> bool {
        self.has(MASTER_KEY) || self.has(MASTER_GIVEN)
    }

    /// Lets go of sealing keys that are not `wanted`.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.files.retain(|name, _| KEY_FILES.contains(&&**name) || wanted(name));
    }

    /// Writes them under `data`; durable when it returns. Says which there are, relative to the folder.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, data: &Path) -> Result<Vec<String>, FolderError> {
        let folder = data.join(KEYS);
        if self.files.keys().any(|name| !KEY_FILES.contains(&&**name)) {
            make(&folder).map_err(failed(&folder))?;
        }
        for (name, (mode, bytes)) in &self.files {
            let path = data.join(name);
            write_key(&path, *mode, bytes).map_err(failed(&path))?;
        }
        for folder in [data, &folder].into_iter().filter(|folder| folder.is_dir()) {
            sync(folder).map_err(failed(folder))?;
        }
        Ok(self.files.keys().cloned().collect())
    }
}

/// The path of a sealing key in a data folder.
pub fn sealing_key(id: impl std::fmt::Display) -> String {
    format!("{KEYS}/{id}")
}

/// Durable when it returns, but for its name. For its owner only, until it is written.
fn write_key(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()
}

/// With what is above it; for its owner only.
fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    match folder.canonicalize()?.parent() {
        Some(parent) => sync(parent),
        None => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes what was made in a folder that was empty, as far as it can be; and the folder, if it was made.
pub fn clear(data: &Path, is_made: bool) {
    // Whoever clears has a better error to tell than one of these.
    for folder in ["log", KEYS] {
        let _ = fs::remove_dir_all(data.join(folder));
    }
    for file in KEY_FILES.into_iter().chain(["LOCK"]) {
        let _ = fs::remove_file(data.join(file));
    }
    if is_made {
        let _ = fs::remove_dir(data);
    }
}
