//! What can go wrong, one enum per operation.

use std::io;
use std::path::PathBuf;

/// Why bytes in a database are not what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A chunk that a manifest names is not there.
    #[error("a chunk is missing")]
    Missing,
    /// A chunk is not the one that its manifest names.
    #[error("a chunk does not match its manifest")]
    Chunk,
    /// A chunk has the crc that it should have, and yet its entries cannot be.
    #[error("a chunk's entries cannot be")]
    Entries,
    /// A manifest's or a record's own crc or form.
    #[error("a manifest or a record does not match its crc")]
    Record,
    /// Manifests are missing, or are others than the root counts.
    #[error("the manifests are not those that the root counts")]
    Manifests,
    /// The kernel's pieces.
    #[error("the kernel does not match the root")]
    Kernel,
    /// A day's database is not there, or an older state of it.
    #[error("the database of the day is missing or older than the root says")]
    Day,
}

/// Damage in one of the store's databases. All that helps is to build the store anew: see [`set_aside`](crate::set_aside).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{database}: {fault}")]
pub struct Damage {
    /// Its folder, relative to the store's.
    pub database: String,
    /// What is wrong.
    pub fault: Fault,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not what was written.
    #[error("the store is damaged: {0}")]
    Damaged(#[from] Damage),
    /// sled gave an error, or panicked, over a database.
    #[error("the store's database {database} cannot be read: {why}")]
    Sled {
        /// Its folder, relative to the store's.
        database: String,
        /// What sled said.
        why: String,
    },
    /// The disk refused.
    #[error("the store cannot be read: {0}")]
    Unavailable(#[from] io::Error),
}

/// Why a commit failed. Nothing of it may be relied on; every later one fails too. What was at W before still is.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// What it builds on could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// sled gave an error, or panicked, over a database.
    #[error("the store's database {database} cannot be written: {why}")]
    Sled {
        /// Its folder, relative to the store's.
        database: String,
        /// What sled said.
        why: String,
    },
    /// A write or a sync failed.
    #[error("the store cannot be written: {0}")]
    Unavailable(#[from] io::Error),
    /// An earlier commit failed.
    #[error("an earlier commit failed")]
    Poisoned,
    /// The mark lies before a record that was taken.
    #[error("block {asked} was to be committed, but records below block {end} were taken")]
    Backward {
        /// What the caller gave.
        asked: u64,
        /// What it must be at least.
        end: u64,
    },
    /// The mark would move history past what is pending.
    #[error("history was to be committed at block {asked}, but what is pending is at {pending}")]
    Ahead {
        /// What the caller gave.
        asked: u64,
        /// What it may be at most.
        pending: u64,
    },
}

/// Why a store was not opened, and nothing was set aside.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle in this one, has it open.
    #[error("{0} is in use")]
    Busy(PathBuf),
    /// The folder cannot be made, renamed or written.
    #[error("the store's folder {path} cannot be used: {why}")]
    Unavailable {
        /// Which folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        why: io::Error,
    },
}

/// Why a store was set aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// There is a database, and no root in it.
    #[error("it has no root record")]
    Empty,
    /// It was derived from another log.
    #[error("it belongs to another log")]
    ForeignLog,
    /// It was derived from another past of this log, or from a longer one.
    #[error("its position, block {block}, is not one of this log's chain")]
    OtherPast {
        /// Up to which it claims to cover the log.
        block: u64,
    },
    /// Written in another format.
    #[error("it has format version {0}, and this program writes another")]
    Version(u8),
    /// Something in it is not what was written.
    #[error("{0}")]
    Damaged(#[from] Damage),
    /// sled gave an error over it, or panicked.
    #[error("sled cannot open or read it: {0}")]
    Sled(String),
    /// The caller found it wanting.
    #[error("{0}")]
    Told(String),
}
