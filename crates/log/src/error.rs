//! What can go wrong, one enum per operation; and damage, which always names its file and offset.

use crate::layout::LogId;
use std::io;
use std::sync::Arc;

/// Why bytes are not the block that belongs there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No magic.
    #[error("no block begins here")]
    NoBlock,
    /// The head's crc.
    #[error("the block's head does not match its crc")]
    Header,
    /// Written by another version of this format.
    #[error("the block has format version {0}, which this program does not read")]
    Version(u16),
    /// An unknown kind.
    #[error("the block is of the unknown kind {0}")]
    Kind(u8),
    /// A whole head from somewhere else.
    #[error("the block belongs to another log, {0}")]
    ForeignLog(LogId),
    /// A whole head of another block.
    #[error("the block here has number {0}")]
    Number(u64),
    /// A whole head whose predecessor is not the one that is here.
    #[error("the block does not follow the one before it")]
    Chain,
    /// Record times never decrease.
    #[error("the block is older than the one before it")]
    Time,
    /// Epochs never decrease.
    #[error("the block's owner was replaced before it was written")]
    Epoch,
    /// Lengths that no block can have, or that contradict each other.
    #[error("the block's lengths cannot be")]
    Length,
    /// The table's crc.
    #[error("the block's table does not match its crc")]
    Table,
    /// The facts' crc.
    #[error("the block's facts do not match their crc")]
    Facts,
    /// One payload's crc.
    #[error("the payload of fact {0} does not match its crc")]
    Payload(u32),
    /// Zeros whose crc is not that of the payload. The log does not know whether it was erased: a fact of the caller's says so.
    #[error("the payload of fact {0} is all zeros and does not match its crc")]
    Erased(u32),
    /// No fault of the log's: payloads were left out when the block was read.
    #[error("the block was read without the payload of fact {0}")]
    NotRead(u32),
    /// Bytes between the last payload and the end of the last sector.
    #[error("the block's padding is not zero")]
    Padding,
    /// The file is too short.
    #[error("the file ends within the block")]
    PastEnd,
    /// A segment file is not there, though a later one is; or all of a sled log's database.
    #[error("the file with this block is missing")]
    Missing,
    /// `HEAD` says that it was durable, and sled knows nothing of it.
    #[error("the block was durable and is not there")]
    Lost,
    /// One value of a block in sled.
    #[error("piece {0} of the block is missing or cut off")]
    Piece(u32),
}

/// A fault, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: block {block}: {fault}", place(file, *offset))]
pub struct Damage {
    /// Relative to the data folder.
    pub file: String,
    /// In bytes, of the block's first. 0 in a sled log: sled does not say where in its file anything lies.
    pub offset: u64,
    /// The block that should be there.
    pub block: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

fn place(file: &str, offset: u64) -> String {
    if file == crate::sled_log::PLACE { file.to_owned() } else { format!("{file} at byte {offset}") }
}

/// Why a log could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// The log holds another shard.
    #[error("this is the log of shard {found}, not of {asked}")]
    WrongShard {
        /// What the caller wants.
        asked: u32,
        /// What the log holds.
        found: u32,
    },
    /// No space for the owner entry.
    #[error("no space is left for the log")]
    Full,
    /// The owner entry could not be made durable.
    #[error("the log cannot be written: {0}")]
    Unavailable(#[source] Arc<io::Error>),
}

/// Why no space was set aside. Nothing was written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReserveError {
    /// No space; the writer goes on when there is some again.
    #[error("no space is left for the log")]
    Full,
    /// More than a block may have; never succeeds.
    #[error("a block of {0} bytes is over the limit")]
    TooLarge(usize),
    /// The writer is poisoned: only a new claim helps.
    #[error("the log cannot be written: {0}")]
    Unavailable(#[source] Arc<io::Error>),
}

/// Why a block was not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// The block that was expected to come next is not the next one: someone else writes.
    #[error("block {expected} was to be written, but {tail} is next")]
    Fenced {
        /// What the caller took for the tail.
        expected: u64,
        /// What it is.
        tail: u64,
    },
    /// No space; nothing was written. Never after [`reserve`](crate::LogWriter::reserve) gave enough.
    #[error("no space is left for the log")]
    Full,
    /// More than a block may have; nothing was written.
    #[error("a block of {0} bytes is over the limit")]
    TooLarge(usize),
    /// A write or a sync failed, now or before. The block may or may not be found after the next claim; the writer is poisoned and
    /// every later call returns this.
    #[error("the log cannot be written: {0}")]
    Unavailable(#[source] Arc<io::Error>),
}

impl From<ReserveError> for AppendError {
    fn from(error: ReserveError) -> AppendError {
        match error {
            ReserveError::Full => AppendError::Full,
            ReserveError::TooLarge(bytes) => AppendError::TooLarge(bytes),
            ReserveError::Unavailable(why) => AppendError::Unavailable(why),
        }
    }
}

/// Why payloads were not erased. Asking again is always right.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EraseError {
    /// Someone else writes; nothing was erased.
    #[error("the log has another writer, whose next block is {tail}")]
    Fenced {
        /// The next block.
        tail: u64,
    },
    /// A block that holds one of them cannot be relied on to say where; nothing was erased.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// A read, write or sync failed, now or before. Some may be erased and others not; the writer is poisoned.
    #[error("the log cannot be written: {0}")]
    Unavailable(#[source] Arc<io::Error>),
}

impl From<AppendError> for EraseError {
    /// Of the seal before the erasure, which always has space.
    fn from(error: AppendError) -> EraseError {
        match error {
            AppendError::Fenced { tail, .. } => EraseError::Fenced { tail },
            AppendError::Unavailable(why) => EraseError::Unavailable(why),
            AppendError::Full | AppendError::TooLarge(_) => EraseError::Unavailable(Arc::new(io::Error::other(error))),
        }
    }
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is there, but not what was written.
    #[error(transparent)]
    Damaged(Damage),
    /// Zeros in the place of a payload, with [`Fault::Erased`]. Whoever has a fact that says it was erased takes this for the answer;
    /// to everyone else it is damage.
    #[error(transparent)]
    Erased(Damage),
    /// The disk refused.
    #[error("the log cannot be read: {0}")]
    Unavailable(#[from] io::Error),
}

impl From<Damage> for ReadError {
    fn from(damage: Damage) -> ReadError {
        match damage.fault {
            Fault::Erased(_) => ReadError::Erased(damage),
            _ => ReadError::Damaged(damage),
        }
    }
}

/// Why the log still begins where it did.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TruncateError {
    /// No space to note the new beginning; nothing has changed.
    #[error("no space is left for the log")]
    Full,
    /// A write or a sync failed, now or before; the writer is poisoned.
    #[error("the log cannot be written: {0}")]
    Unavailable(#[source] Arc<io::Error>),
}
