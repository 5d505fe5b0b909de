//! Copies what is whole of a damaged data folder into a new one: the log, and the keys without which its secrets cannot be opened.
//!
//! The damaged folder is only read; it is held meanwhile, so that no server starts on it. The keys go first and the log's `HEAD` last, so
//! that a salvage which was cut off leaves a folder that an engine refuses, and never a log without its keys.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use postrider_core::Position;
use postrider_engine::{Hands, SystemHands};
pub use postrider_log::Damage;
use postrider_log::journal::{self, OpenError, Options};
pub use postrider_log::journal::{Missing, SalvageProgress as Progress, Salvaged};
use postrider_log::{Fault, LogId, LogKind};

use crate::inspect::{InspectError, LogFolder};
use crate::new_folder::{self, FolderError, Keys, MASTER_GIVEN, MASTER_KEY};

/// What a salvage has brought.
#[derive(Debug)]
pub struct Salvage {
    /// What became of the log. Its `payloads` are those that no fact of the new log says were erased.
    pub log: Salvaged,
    /// Files with keys that were copied, relative to the data folder.
    pub keys: Vec<String>,
}

impl Salvage {
    /// Whether everything is there that was ever acknowledged, as far as the damaged log tells.
    pub fn is_whole(&self) -> bool {
        let lost = !self.log.missing.is_empty() || !self.log.payloads.is_empty() || self.has_foreign_end();
        !lost && self.has_master_key()
    }

    /// Whether the log ends at a block that belongs to another log or past: no crash leaves that, and what followed is lost.
    pub fn has_foreign_end(&self) -> bool {
        let foreign =
            |damage: &Damage| matches!(damage.fault, Fault::ForeignLog(_) | Fault::Chain | Fault::Time | Fault::Epoch);
        self.log.torn.as_ref().is_some_and(foreign)
    }

    /// Whether there was a master key, or a word that it is given from outside. Without one no secret in the log can be opened.
    pub fn has_master_key(&self) -> bool {
        self.keys.iter().any(|key| [MASTER_KEY, MASTER_GIVEN].contains(&&**key))
    }
}

/// Why nothing was salvaged.
#[derive(Debug)]
pub enum SalvageError {
    /// The folder for what is whole holds something already. Nothing was changed.
    NotEmpty(PathBuf),
    /// A process runs on the damaged folder. Nothing was changed.
    InUse(PathBuf),
    /// The log is not a journal. Nothing was changed.
    NotAJournal(LogKind),
    /// The log could not be salvaged.
    Log(journal::SalvageError),
    /// A folder or a key could not be read or written.
    File(PathBuf, io::Error),
    /// The new log is written, but a fact in it is not one that this version knows.
    Facts(InspectError),
}

impl std::fmt::Display for SalvageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SalvageError::NotEmpty(folder) => write!(f, "{} is not an empty folder", folder.display()),
            SalvageError::InUse(folder) => write!(f, "{} is in use by another process", folder.display()),
            SalvageError::NotAJournal(kind) => {
                write!(f, "the log is kept as `{kind}`, and only a journal can be salvaged")
            }
            SalvageError::Log(error) => error.fmt(f),
            SalvageError::File(path, error) => write!(f, "{}: {error}", path.display()),
            SalvageError::Facts(error) => write!(f, "the log was salvaged, but {error}"),
        }
    }
}

impl std::error::Error for SalvageError {}

impl From<journal::SalvageError> for SalvageError {
    fn from(error: journal::SalvageError) -> SalvageError {
        SalvageError::Log(error)
    }
}

impl From<OpenError> for SalvageError {
    fn from(error: OpenError) -> SalvageError {
        SalvageError::Log(error.into())
    }
}

impl From<FolderError> for SalvageError {
    fn from(error: FolderError) -> SalvageError {
        match error {
            FolderError::NotEmpty(folder) => SalvageError::NotEmpty(folder),
            FolderError::File(path, error) => SalvageError::File(path, error),
        }
    }
}

/// Copies every whole block of the log in the data folder `from`, and all keys, into the data folder `to`, which is empty or not there.
///
/// # Errors
/// See [`SalvageError`]. What lies in `to` then is no log, and an engine refuses it.
pub fn salvage(from: &Path, to: &Path, progress: impl FnMut(Progress)) -> Result<Salvage, SalvageError> {
    // Whether there is anything to salvage, before anything is made.
    match LogKind::of(from).map_err(OpenError::Unavailable)? {
        Some(kind @ LogKind::Sled) => return Err(SalvageError::NotAJournal(kind)),
        Some(LogKind::Journal) | None => drop(LogFolder::open(from)?),
    }
    let _held = hold(from)?;
    new_folder::make_empty(to)?;
    let keys = Keys::read(from)?.write(to)?;
    let mut log = journal::salvage(from, to, Options::new(new_log_id(), SystemHands.wall()), progress)?;
    let erased = LogFolder::open(to)?.erased().map_err(SalvageError::Facts)?;
    log.payloads.retain(|damage| position(damage).is_none_or(|at| !erased.contains_key(&at)));
    Ok(Salvage { log, keys })
}

/// The fact whose payload is bad.
pub fn position(damage: &Damage) -> Option<Position> {
    match damage.fault {
        Fault::Payload(index) | Fault::Erased(index) => Some(Position::new(damage.block, index)),
        _ => None,
    }
}

/// Keeps engines away from `data` as long as it lives; `None` where there is no lock file to hold, as in a copy.
fn hold(data: &Path) -> Result<Option<File>, SalvageError> {
    let Ok(file) = File::open(data.join("LOCK")) else { return Ok(None) };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Err(SalvageError::InUse(data.into())),
        // A file system without locks.
        Err(fs::TryLockError::Error(_)) => Ok(None),
    }
}

#[expect(clippy::disallowed_methods, reason = "names a log and decides nothing; there is no engine here to draw it")]
fn new_log_id() -> LogId {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the operating system gives random numbers once it has booted");
    LogId(id)
}
