//! The log in segment files: the default, and what production runs on.
//!
//! Owns the folder `log` in the data folder and the lock beside it. Promises: one process at a time; one write and one sync a commit;
//! at opening every block's head and facts are read and must match their crcs and the chain; what cannot be explained by a power cut
//! during the last append is damage, and damage refuses to open and changes nothing.
//!
//! Refuses to repair in place, to skip unasked (a salvage copies what is whole into another folder), and to work on a file system that cannot set space aside.

mod backup;
mod disk;
mod erase;
mod folder;
mod head;
mod inspect;
mod reader;
mod recovery;
mod salvage;
mod segment;
mod shared;
mod truncate;
mod walk;
mod writer;

pub use backup::{Backup, BackupError, Copied, Step};
pub use disk::{Disk, DiskFile};
pub use folder::Folder;
pub use inspect::{Inspect, Stats, Stored, VerifyError};
pub use reader::Reader;
pub use recovery::{Journal, OpenError, Report};
pub use salvage::{Missing, Progress as SalvageProgress, SalvageError, Salvaged, salvage, salvage_on};
pub use writer::Writer;

pub(crate) use disk::is_full;
pub(crate) use head::MAGIC as HEAD_MAGIC;

use crate::LogId;
use postrider_core::Time;
use std::path::Path;

/// How a journal is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size of a new segment file, in bytes. Existing ones keep theirs.
    pub segment_bytes: u32,
    /// The id of the log if there is none yet. Drawn at random by the caller: two logs with one id could take each other's blocks.
    pub new_log: LogId,
    /// Written into a new log as the time of its making.
    pub now: Time,
}

impl Options {
    /// Segments of 64 MiB.
    pub fn new(new_log: LogId, now: Time) -> Options {
        Options { segment_bytes: 64 << 20, new_log, now }
    }
}

/// Opens the log in the data folder `data`; makes both if they are not there.
///
/// # Errors
/// See [`OpenError`]. Nothing has been changed then, but that folders and lock file may have been made.
pub fn open(data: &Path, options: Options) -> Result<Journal<Folder>, OpenError> {
    Journal::open_on(Folder::new(data), options)
}

/// Opens the log in the data folder `data` to look at it, without the lock and without changing anything. Of a log that is being
/// written meanwhile, the newest blocks may look torn.
///
/// # Errors
/// When there is no log, or none that this version can read.
pub fn open_read_only(data: &Path) -> Result<Inspect<Folder>, OpenError> {
    Inspect::open_on(Folder::new(data))
}
