//! Holds the store beside a log against what the log says: a copy of it against one that is built from the facts, both in the folder for
//! temporary files and for as long as it takes. Nothing in the data folder is changed.

use std::io;
use std::path::Path;

pub use postrider_store::{At, CompareError, Compared, Difference};
use postrider_store::{Begun, Comparison};

use super::{InspectError, LogFolder, Progress, records_of};

/// Why log and store could not be compared.
#[derive(Debug)]
pub enum StoreError {
    /// The log can't be read.
    Log(InspectError),
    /// The store can't be copied, or another be built.
    Store(CompareError),
    /// There is no folder for temporary files, or no space in it.
    Scratch(io::Error),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Log(error) => error.fmt(f),
            StoreError::Store(error) => write!(f, "the store cannot be compared with the log: {error}"),
            StoreError::Scratch(error) => write!(f, "there is no folder for a copy of the store: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<InspectError> for StoreError {
    fn from(error: InspectError) -> StoreError {
        StoreError::Log(error)
    }
}

impl From<CompareError> for StoreError {
    fn from(error: CompareError) -> StoreError {
        StoreError::Store(error)
    }
}

impl LogFolder {
    /// Replays the log into a new store and goes through it and the one in `data` side by side, as far as that one covers the log. Asks
    /// first whether the log is whole: see [`verify`](Self::verify). Takes as much space for temporary files as two stores need.
    ///
    /// # Errors
    /// When log or store can't be read, or there is no space. A difference is no error.
    pub fn compare_store(&self, data: &Path, progress: impl Fn(Progress)) -> Result<Compared, StoreError> {
        let scratch = tempfile::tempdir().map_err(StoreError::Scratch)?;
        let mut comparison = match Comparison::begin(&data.join("store"), scratch.path(), self.0.log().0)? {
            Begun::Over(compared) => return Ok(compared),
            Begun::Comparing(comparison) => comparison,
        };
        let (mut blocks, mut end, mut hash) = (None, 0, [0; 16]);
        for stored in self.0.blocks() {
            let stored = stored.map_err(InspectError::Read)?;
            let (number, time) = (stored.block.number(), stored.block.time());
            let (first, last) = *blocks.get_or_insert((number, comparison.at().pending.block.max(number + 1) - 1));
            progress(Progress { doing: "comparing with the store", block: number, blocks: Some((first, last)) });
            comparison.block(number, time, stored.block.previous().0)?;
            (end, hash) = (number + 1, stored.block.hash().0);
            for record in records_of(stored) {
                comparison.take(&record?.record)?;
            }
        }
        Ok(comparison.finish(end, hash)?)
    }
}
