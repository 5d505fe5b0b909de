//! The reader of either log, and the bug of not looking at checksums.

use bytes::Bytes;
use postrider_core::Position;
use postrider_log::{Block, Damage, LogReader, ReadError, journal, memory};

use super::disk::LyingDisk;
use crate::fault::Fault;

/// See the module.
#[derive(Clone)]
pub enum Reader {
    /// Of the log in memory.
    Memory(memory::Reader),
    /// Of the journal, and its disk.
    Disk(journal::Reader<LyingDisk>, LyingDisk),
}

/// The same call on either.
macro_rules! either {
    ($on:expr, $reader:ident => $call:expr) => {
        match $on {
            Reader::Memory($reader) => $call,
            Reader::Disk($reader, _) => $call,
        }
    };
}

type Blocks<'a> = Box<dyn Iterator<Item = Result<Block, ReadError>> + 'a>;

impl LogReader for Reader {
    fn first(&self) -> u64 {
        either!(self, reader => reader.first())
    }

    fn end(&self) -> u64 {
        either!(self, reader => reader.end())
    }

    fn read_block(&self, number: u64) -> Result<Option<Block>, ReadError> {
        either!(self, reader => reader.read_block(number))
    }

    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        match (self, either!(self, reader => reader.payload(at))) {
            (Reader::Disk(_, disk), Err(ReadError::Damaged(damage)))
                if disk.fault() == Some(Fault::ChecksumUnchecked) =>
            {
                Ok(unchecked(disk, &damage, at.index()))
            }
            (_, read) => read,
        }
    }

    fn blocks(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        either!(self, reader => Box::new(reader.blocks(from)) as Blocks<'_>)
    }

    fn read_facts(&self, number: u64) -> Result<Option<Block>, ReadError> {
        either!(self, reader => reader.read_facts(number))
    }

    fn facts(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        either!(self, reader => Box::new(reader.facts(from)) as Blocks<'_>)
    }
}

/// The payload of the fact at `index` as it lies on the disk, by `docs/log-format.md`.
fn unchecked(disk: &LyingDisk, damage: &Damage, index: u32) -> Option<Bytes> {
    let bytes = disk.inner().bytes(damage.file.trim_start_matches("log/"))?;
    let block = &bytes[damage.offset as usize..];
    let word = |at: usize| u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]) as usize;
    let (count, facts_len) = (word(12), word(68));
    let payload_len = |row: usize| Some(word(104 + row * 12 + 4)).filter(|&len| len != u32::MAX as usize);
    let before: usize = (0..index as usize).filter_map(payload_len).sum();
    let start = 104 + count * 12 + facts_len + before;
    Some(Bytes::copy_from_slice(&block[start..start + payload_len(index as usize)?]))
}
