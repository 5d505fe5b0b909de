//! The log wholly inside one sled database: the second log on disk, for those who want one store and can live with less.
//!
//! Owns `log/HEAD` and the database `log/sled` in the data folder. The blocks are those of the journal, byte for byte, cut into values of
//! 4 KiB, so that head, table, facts and payloads have their own crcs and the chain. Promises what every log promises: durable when
//! `append` returns, all or nothing. sled 0.34 is trusted with none of it: an fdatasync of its file follows each flush, since its flush is
//! none; values stay so small that no page of sled's becomes a blob file, which it never syncs; and `HEAD`, synced after that, says where
//! the log ends, because a flipped bit makes sled forget records without a word, the newest included.
//!
//! Refuses what it cannot do well: a damaged log is refused, never repaired or salvaged, and **sled itself writes to its files when it opens
//! them**, so a refused start does not leave them as they were. An erased payload is gone for every reader, and stays in sled's file until
//! sled uses that space again. What each log promises and costs is in `docs/logs.md`.

mod database;
mod erase;
mod head;
mod inspect;
mod pieces;
mod reader;
mod recovery;
mod shared;
mod truncate;
mod walk;
mod writer;

pub use inspect::Inspect;
pub use reader::Reader;
pub use recovery::SledLog;
pub use writer::Writer;

pub(crate) use database::ROOM_MAX;
pub(crate) use head::{MAGIC as HEAD_MAGIC, SLOTS as HEAD_SLOTS};

use crate::journal::{OpenError, Options};
use std::path::Path;

/// The database, relative to the data folder; also how damage names its place, as sled does not say where in its file anything lies.
pub(crate) const PLACE: &str = "log/sled";

/// Opens the log in the data folder `data`; makes both if they are not there. [`Options::segment_bytes`] is how many bytes of blocks make a
/// segment, which is no file here, but where the log can be made to begin.
///
/// # Errors
/// See [`OpenError`]. When it says `Damaged` or `Sled`, sled may have written to its files.
pub fn open(data: &Path, options: Options) -> Result<SledLog, OpenError> {
    SledLog::open(data, options)
}

/// Opens a copy of the log in the data folder `data`, made in the empty folder `scratch`, to look at it: sled cannot look without writing.
/// The lock is not taken; a copy of a log that is being written may look damaged.
///
/// # Errors
/// When there is no log of this kind, or sled cannot open the copy.
pub fn open_copy(data: &Path, scratch: &Path) -> Result<Inspect, OpenError> {
    Inspect::open(data, scratch)
}
