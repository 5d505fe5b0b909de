//! Looks at a data folder without an engine: offline, read-only, without its lock.

use std::path::Path;

use postrider_core::fact::Record;
use postrider_log::journal::{self, Folder, OpenError, Stored};
pub use postrider_log::journal::{Stats, VerifyError};
use postrider_log::{Kind, ReadError, codec};

/// A log at rest.
pub struct LogFolder(journal::Inspect<Folder>);

/// One fact, and where its block lies.
pub struct StoredRecord {
    /// Relative to the data folder.
    pub file: String,
    /// Of the block, in bytes.
    pub offset: u64,
    /// The fact with its position and time.
    pub record: Record,
    /// Bytes of its payload, if it has one.
    pub payload_bytes: Option<usize>,
}

/// Why a log can't be shown.
#[derive(Debug)]
pub enum InspectError {
    /// It can't be read, or is damaged.
    Read(ReadError),
    /// A fact that this version does not know.
    Decode(codec::DecodeError),
}

impl std::fmt::Display for InspectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            InspectError::Read(error) => error.fmt(f),
            InspectError::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InspectError {}

impl LogFolder {
    /// Opens the log in a data folder.
    ///
    /// # Errors
    /// When there is none that this version can read.
    pub fn open(data: &Path) -> Result<LogFolder, OpenError> {
        journal::open_read_only(data).map(LogFolder)
    }

    /// All facts in order, up to the end or the first error.
    pub fn records(&self) -> impl Iterator<Item = Result<StoredRecord, InspectError>> {
        self.0.blocks().flat_map(|stored| match stored {
            Ok(stored) => records_of(stored),
            Err(error) => vec![Err(InspectError::Read(error))],
        })
    }

    /// Reads everything, payloads too, and checks every checksum and the chain.
    ///
    /// # Errors
    /// The first fault, with file and offset.
    pub fn verify(&self) -> Result<Stats, VerifyError> {
        self.0.verify()
    }
}

fn records_of(stored: Stored) -> Vec<Result<StoredRecord, InspectError>> {
    let Stored { file, offset, block } = stored;
    if block.kind() != Kind::Facts {
        return Vec::new();
    }
    let record = |(index, (position, bytes)): (usize, _)| {
        let record = codec::decode(position, block.time(), bytes).map_err(InspectError::Decode)?;
        Ok(StoredRecord { file: file.clone(), offset, record, payload_bytes: block.payload_len(index as u32) })
    };
    block.facts().enumerate().map(record).collect()
}
