//! The log in RAM, for tests and the simulator: the same blocks, the same rules, and crashes on demand. Nothing outlives the process.

use crate::layout::{Chain, Header, Kind, Owner};
use crate::log::erasure;
use crate::{
    AppendError, Batch, Block, ChainHash, ClaimError, Claimed, Damage, EraseError, EventLog, LogId, LogReader,
};
use crate::{LogWriter, ReadError, ReserveError, TruncateError};
use bytes::Bytes;
use parking_lot::Mutex;
use postrider_core::{Position, Time, limits};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Blocks that make a segment, unless it was made with another number.
const SEGMENT_BLOCKS: u64 = 256;

/// A log in RAM. Clones are the same log: claiming one fences the writer of the other.
#[derive(Clone, Debug)]
pub struct Memory {
    shared: Arc<Mutex<Shared>>,
}

/// What becomes of the block whose append fails; both may happen to a real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never reached the disk.
    Lost,
    /// It is durable, though its writer was told otherwise.
    Kept,
}

#[derive(Clone, Debug)]
struct Shared {
    /// From `first` on.
    blocks: VecDeque<Block>,
    first: u64,
    segment_blocks: u64,
    chain: Chain,
    bytes: usize,
    capacity: usize,
    next_append: Option<Fate>,
    crashed: bool,
}

impl Memory {
    /// An empty log without a bound.
    pub fn new(id: LogId) -> Memory {
        Memory::with_segments(id, SEGMENT_BLOCKS)
    }

    /// An empty log that can begin at each block whose number is a multiple of `segment_blocks`.
    pub fn with_segments(id: LogId, segment_blocks: u64) -> Memory {
        let shared = Shared {
            blocks: VecDeque::new(),
            first: 0,
            segment_blocks,
            chain: Chain::start(id),
            bytes: 0,
            capacity: usize::MAX,
            next_append: None,
            crashed: false,
        };
        Memory { shared: Arc::new(Mutex::new(shared)) }
    }

    /// From now on all blocks together may have `bytes`; what is over that is `Full`.
    pub fn set_capacity(&self, bytes: usize) {
        self.shared.lock().capacity = bytes;
    }

    /// Makes the next append fail as a disk does, with the block lost or kept.
    pub fn fail_next_append(&self, fate: Fate) {
        self.shared.lock().next_append = Some(fate);
    }

    /// Pulls the plug: every writer of this log fails from now on. Returns the log as the next process finds it.
    pub fn crash(&self) -> Memory {
        let mut shared = self.shared.lock();
        let survivor = Shared { next_append: None, ..shared.clone() };
        shared.crashed = true;
        Memory { shared: Arc::new(Mutex::new(survivor)) }
    }
}

impl EventLog for Memory {
    type Writer = Writer;
    type Reader = Reader;

    fn claim(self, shard: u32, node: u64, now: Time) -> Result<Claimed<Writer, Reader>, ClaimError> {
        let mut shared = self.shared.lock();
        let last = shared.chain;
        if last.next > 0 && last.owner.shard != shard {
            return Err(ClaimError::WrongShard { asked: shard, found: last.owner.shard });
        }
        let owner = Owner { shard, node, epoch: last.owner.epoch + 1 };
        let header = Header { time: last.time.max(now), ..last.bare(Kind::Owner, owner) };
        shared.reserve(header.block_len()).map_err(|error| match error {
            ReserveError::Full | ReserveError::TooLarge(_) => ClaimError::Full,
            ReserveError::Unavailable(why) => ClaimError::Unavailable(why),
        })?;
        shared.push(&header, &Batch::default());
        drop(shared);
        let writer = Writer { shared: self.shared.clone(), owner, tail: last.next + 1, poison: None };
        let reader = Reader { shared: self.shared };
        Ok(Claimed { writer, reader, log: last.log, owner, time: header.time })
    }
}

impl Shared {
    fn at(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first)?).ok().filter(|&at| at < self.blocks.len())
    }

    fn reserve(&self, bytes: usize) -> Result<(), ReserveError> {
        match bytes {
            _ if self.crashed => Err(ReserveError::Unavailable(Arc::new(io::Error::other("crashed")))),
            _ if bytes > limits::BLOCK_BYTES_MAX => Err(ReserveError::TooLarge(bytes)),
            // As in a journal, a seal always finds room.
            _ if self.bytes.saturating_add(bytes) > self.capacity => Err(ReserveError::Full),
            _ => Ok(()),
        }
    }

    fn push(&mut self, header: &Header, batch: &Batch) {
        let mut bytes = Vec::with_capacity(header.block_len());
        bytes.extend_from_slice(&header.encode());
        for part in [&batch.table, &batch.facts, &batch.payloads] {
            bytes.extend_from_slice(part);
        }
        bytes.resize(header.block_len(), 0);
        let block = Block::decode(bytes.into()).expect("what was just encoded decodes");
        self.bytes += block.bytes();
        self.chain = self.chain.then(header);
        self.blocks.push_back(block);
    }
}

/// Appends to a [`Memory`].
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Mutex<Shared>>,
    owner: Owner,
    tail: u64,
    poison: Option<Arc<io::Error>>,
}

impl Writer {
    fn write(&mut self, expected: u64, batch: &Batch, kind: Kind) -> Result<u64, AppendError> {
        if let Some(why) = &self.poison {
            return Err(AppendError::Unavailable(why.clone()));
        }
        let mut shared = self.shared.lock();
        let chain = shared.chain;
        if expected != chain.next || chain.owner != self.owner {
            return Err(AppendError::Fenced { expected, tail: chain.next });
        }
        let header = if kind == Kind::Facts { chain.facts(batch) } else { chain.bare(kind, chain.owner) };
        if kind == Kind::Facts || shared.crashed {
            shared.reserve(batch.bytes())?;
        }
        let fate = shared.next_append.take();
        if fate != Some(Fate::Lost) {
            shared.push(&header, batch);
        }
        if fate.is_some() {
            let why = Arc::new(io::Error::other("this append was to fail"));
            self.poison = Some(why.clone());
            return Err(AppendError::Unavailable(why));
        }
        self.tail = expected + 1;
        Ok(expected)
    }
}

impl LogWriter for Writer {
    fn tail(&self) -> u64 {
        self.tail
    }

    fn hash(&self) -> ChainHash {
        self.shared.lock().chain.hash
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), ReserveError> {
        match &self.poison {
            Some(why) => Err(ReserveError::Unavailable(why.clone())),
            None => self.shared.lock().reserve(bytes),
        }
    }

    fn append(&mut self, expected: u64, batch: &Batch) -> Result<u64, AppendError> {
        assert!(!batch.is_empty(), "a turn without facts appends nothing");
        let last = self.shared.lock().chain.time;
        assert!(batch.time() >= last, "record times never decrease");
        self.write(expected, batch, Kind::Facts)
    }

    fn seal(&mut self) -> Result<(), AppendError> {
        let sealed = self.poison.is_none() && self.shared.lock().chain.kind == Some(Kind::Seal);
        if sealed { Ok(()) } else { self.write(self.tail, &Batch::default(), Kind::Seal).map(drop) }
    }

    fn erase(&mut self, payloads: &[Position]) -> Result<(), EraseError> {
        let (payloads, seal) = erasure(payloads, self.tail);
        if seal {
            self.seal()?;
        }
        if let Some(why) = &self.poison {
            return Err(EraseError::Unavailable(why.clone()));
        }
        let mut shared = self.shared.lock();
        if shared.crashed {
            return Err(EraseError::Unavailable(Arc::new(io::Error::other("crashed"))));
        }
        if shared.chain.owner != self.owner {
            return Err(EraseError::Fenced { tail: shared.chain.next });
        }
        for in_block in payloads.chunk_by(|a, b| a.block() == b.block()) {
            // What is no longer in the log has nothing to erase.
            let Some(at) = shared.at(in_block[0].block()) else { continue };
            shared.blocks[at] = shared.blocks[at].erased(in_block.iter().map(|at| at.index()));
        }
        Ok(())
    }

    fn begins_segment(&self) -> bool {
        self.tail.is_multiple_of(self.shared.lock().segment_blocks)
    }

    fn truncate(&mut self, below: u64) -> Result<u64, TruncateError> {
        if let Some(why) = &self.poison {
            return Err(TruncateError::Unavailable(why.clone()));
        }
        let mut shared = self.shared.lock();
        if shared.crashed {
            return Err(TruncateError::Unavailable(Arc::new(io::Error::other("crashed"))));
        }
        let below = below.min(shared.chain.next.saturating_sub(1));
        let first = (below - below % shared.segment_blocks).max(shared.first);
        while shared.first < first {
            let gone = shared.blocks.pop_front().expect("all up to the tail are there");
            shared.bytes -= gone.bytes();
            shared.first += 1;
        }
        Ok(first)
    }

    fn bytes_from(&self, from: u64) -> u64 {
        let shared = self.shared.lock();
        let skipped = from.saturating_sub(shared.first) as usize;
        shared.blocks.iter().skip(skipped).map(|block| block.bytes() as u64).sum()
    }
}

/// Reads a [`Memory`].
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Mutex<Shared>>,
}

impl LogReader for Reader {
    fn first(&self) -> u64 {
        self.shared.lock().first
    }

    fn end(&self) -> u64 {
        self.shared.lock().chain.next
    }

    fn read_block(&self, number: u64) -> Result<Option<Block>, ReadError> {
        let shared = self.shared.lock();
        Ok(shared.at(number).map(|at| shared.blocks[at].clone()))
    }

    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        let Some(block) = self.read_block(at.block())? else {
            return Ok(None);
        };
        let damaged = |fault| Damage { file: "memory".into(), offset: 0, block: at.block(), fault };
        Ok(block.payload(at.index()).map_err(damaged)?)
    }

    fn blocks(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        let mut next = from;
        std::iter::from_fn(move || {
            let block = self.read_block(next).transpose()?;
            next += 1;
            Some(block)
        })
    }

    fn read_facts(&self, number: u64) -> Result<Option<Block>, ReadError> {
        Ok(self.read_block(number)?.map(|block| block.front()))
    }

    fn facts(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        self.blocks(from).map(|block| Ok(block?.front()))
    }
}
