//! What every log promises, whatever keeps it: one writer with one append in flight, durable when it returns; any number of readers
//! that see nothing before it is durable.

use crate::{
    AppendError, Batch, Block, ChainHash, ClaimError, EraseError, LogId, Owner, ReadError, ReserveError, TruncateError,
};
use bytes::Bytes;
use postrider_core::{Position, Time};

/// An opened log that nobody writes yet.
pub trait EventLog: Sized {
    /// Appends.
    type Writer: LogWriter;
    /// Reads.
    type Reader: LogReader;

    /// Takes the log for `node` with an owner entry, which is durable when this returns and fences every writer before it. The entry
    /// is stamped with `now`, or with the last record's time if that is later.
    ///
    /// # Errors
    /// When the log holds another shard, or the entry cannot be written.
    fn claim(self, shard: u32, node: u64, now: Time) -> Result<Claimed<Self::Writer, Self::Reader>, ClaimError>;
}

/// A log that is ours.
#[derive(Debug)]
pub struct Claimed<W, R> {
    /// The only one.
    pub writer: W,
    /// Clone it freely.
    pub reader: R,
    /// Which log this is.
    pub log: LogId,
    /// Who we are now, with our epoch.
    pub owner: Owner,
    /// The last record's time: engine time starts there or later.
    pub time: Time,
}

/// The one who appends. `&mut self` keeps it at one append in flight, by type.
pub trait LogWriter: Send {
    /// The number of the next block, so that the positions of a turn are known before it is appended.
    fn tail(&self) -> u64;

    /// The hash of the block before [`tail`](Self::tail); zeros before the first.
    fn hash(&self) -> ChainHash;

    /// Makes sure of space for one block of `bytes` (see [`Batch::bytes`]) before a byte of it is written: the next append of a batch
    /// of that size, and a seal after it, cannot be `Full`.
    ///
    /// # Errors
    /// `Full` harms nothing and may be tried again.
    fn reserve(&mut self, bytes: usize) -> Result<(), ReserveError>;

    /// Appends `batch` as block `expected`; durable when it returns that number. Panics on an empty batch and on one older than the
    /// last block.
    ///
    /// # Errors
    /// After `Unavailable` the writer is poisoned. The other errors wrote nothing.
    fn append(&mut self, expected: u64, batch: &Batch) -> Result<u64, AppendError>;

    /// Appends an empty block, so that damage to the block before can be told from a torn tail. Does nothing after a seal.
    ///
    /// # Errors
    /// As for [`append`](Self::append).
    fn seal(&mut self) -> Result<(), AppendError>;

    /// Overwrites the payloads of the facts at `payloads` with zeros, where they lie; durable when it returns, with one sync a file for
    /// all. Tables, facts, crcs and the chain stay as they are: the payloads no longer match their crcs, and reading one answers
    /// [`Erased`](ReadError::Erased). What was read before stays with whoever read it.
    ///
    /// The log keeps no note of it. The caller has appended a fact that says so, and asks again at every start for what it does not
    /// know to be erased: after a crash a payload may be whole, half zeros, or zeros that only the system's cache has. Asking twice
    /// does no harm. What has no payload, or is no longer in the log, is passed over.
    ///
    /// A payload in one of the last two blocks costs a seal first: so that the loss of the last block does not make one the last whose
    /// payloads look torn. Panics if a block was not appended yet.
    ///
    /// # Errors
    /// `Damaged` and `Fenced` erased nothing. After `Unavailable` the writer is poisoned.
    fn erase(&mut self, payloads: &[Position]) -> Result<(), EraseError>;

    /// Whether the next block is the first of a segment: one that the log can be made to begin with. True at most until that block is
    /// appended; a [`reserve`](Self::reserve) can make it so.
    fn begins_segment(&self) -> bool;

    /// Lets go of whole segments in which all blocks are below `below`; their space is overwritten later. Returns the block that the
    /// log begins with now. The newest segment always stays.
    ///
    /// # Errors
    /// `Full` harms nothing; after `Unavailable` the writer is poisoned.
    fn truncate(&mut self, below: u64) -> Result<u64, TruncateError>;

    /// Bytes on disk of the segments from the one with block `from` on.
    fn bytes_from(&self, from: u64) -> u64;
}

/// Reads what is durable.
pub trait LogReader: Clone + Send + Sync {
    /// The oldest block that is still there.
    fn first(&self) -> u64;

    /// The number after that of the last durable block.
    fn end(&self) -> u64;

    /// Block `number`, whole; `None` outside of `first..end`.
    ///
    /// # Errors
    /// `Damaged` with file and offset. A damaged payload is found only by asking for it.
    fn read_block(&self, number: u64) -> Result<Option<Block>, ReadError>;

    /// The payload of the fact at `at`, if there are such a fact and payload. Reads that payload and the block's table, not the block.
    ///
    /// # Errors
    /// `Erased` when it is zeros that do not match its crc, `Damaged` when it is anything else that does not.
    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError>;

    /// The blocks from number `from` to the end. Asked again at the end, it goes on with what has come since. What follows
    /// an error is not to be relied on.
    fn blocks(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>>;

    /// As [`read_block`](Self::read_block), but without payloads: these are not read, and the block does not have them. Head, table
    /// and facts are checked as ever.
    ///
    /// # Errors
    /// `Damaged` with file and offset.
    fn read_facts(&self, number: u64) -> Result<Option<Block>, ReadError>;

    /// The hash of the block before `number`, zeros before the first one: so that what was derived from all blocks below `number` can be
    /// held against this log. `None` where the log does not know: past its end, or before its beginning.
    ///
    /// # Errors
    /// As for [`read_facts`](Self::read_facts).
    fn chain_before(&self, number: u64) -> Result<Option<ChainHash>, ReadError> {
        if let Some(block) = self.read_facts(number)? {
            return Ok(Some(block.previous()));
        }
        let Some(before) = number.checked_sub(1) else { return Ok(Some(ChainHash::default())) };
        Ok(self.read_facts(before)?.map(|block| block.hash()))
    }

    /// As [`blocks`](Self::blocks), each without payloads: what a replay needs, however large the payloads are.
    fn facts(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>>;
}

/// What an erasure has to do with `payloads`: them in order and each once, and whether a seal must come first.
pub(crate) fn erasure(payloads: &[Position], tail: u64) -> (Vec<Position>, bool) {
    let mut payloads = payloads.to_vec();
    payloads.sort_unstable();
    payloads.dedup();
    let last = payloads.last().map_or(0, |at| at.block());
    assert!(payloads.is_empty() || last < tail, "what is erased was appended");
    let seal = !payloads.is_empty() && last + 2 >= tail;
    (payloads, seal)
}
