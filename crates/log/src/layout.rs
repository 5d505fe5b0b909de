//! The bytes of a block's head and table, and the chain that orders blocks. `docs/log-format.md` says the same in prose.
//!
//! Offsets and ordinals here are fixed for ever: a change is a new `VERSION`. All integers are little-endian.

use crate::Batch;
use crate::Fault;
use postrider_core::{Position, Time, limits};
use sha2::{Digest, Sha256};
use std::fmt;

/// The version of the format that this code writes, and the newest that it reads.
pub const VERSION: u16 = 1;
/// Blocks begin at multiples of this, so that an append never rewrites a sector that holds a durable block.
pub(crate) const ALIGN: usize = 512;
/// Bytes of a block's head.
pub(crate) const HEADER: usize = 104;
/// Bytes of one entry of the table.
pub(crate) const ENTRY: usize = 12;
/// In an entry's payload length: this fact has none (which is not a payload of no bytes).
pub(crate) const NO_PAYLOAD: u32 = u32::MAX;
const MAGIC: [u8; 8] = *b"PRblock\n";

/// Names one log for ever; drawn once, when the log is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub [u8; 16]);

/// What a block hands to its successor: SHA-256 over its head, cut to 16 bytes. The head holds the crc of the facts, so this names
/// the block and all that came before it, at the price of hashing 104 bytes and not a megabyte.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChainHash(pub [u8; 16]);

macro_rules! hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
hex!(LogId);
hex!(ChainHash);

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// One group commit.
    Facts = 1,
    /// A claim: from here on the log belongs to the node and epoch in its head.
    Owner = 2,
    /// Nothing: it proves that the block before it was durable, so that damage to that one is no torn tail.
    Seal = 3,
    /// Stands for a block that was lost, so that numbers stay dense and positions what they were: only a salvage writes it.
    Gap = 4,
}

/// Who writes: every block says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Which shard the log holds.
    pub shard: u32,
    /// The claiming node.
    pub node: u64,
    /// Claims so far, from 1.
    pub epoch: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: Kind,
    pub count: u32,
    pub log: LogId,
    pub number: u64,
    pub time: Time,
    pub owner: Owner,
    pub facts_len: u32,
    pub payloads_len: u32,
    pub table_crc: u32,
    pub facts_crc: u32,
    pub previous: ChainHash,
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(10, &[self.kind as u8, 0]);
        put(12, &self.count.to_le_bytes());
        put(16, &self.log.0);
        put(32, &self.number.to_le_bytes());
        put(40, &self.time.0.to_le_bytes());
        put(48, &self.owner.epoch.to_le_bytes());
        put(56, &self.owner.node.to_le_bytes());
        put(64, &self.owner.shard.to_le_bytes());
        put(68, &self.facts_len.to_le_bytes());
        put(72, &self.payloads_len.to_le_bytes());
        put(76, &self.table_crc.to_le_bytes());
        put(80, &self.facts_crc.to_le_bytes());
        put(84, &self.previous.0);
        let crc = crc32c::crc32c(&out[..100]);
        out[100..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The head at the start of `bytes`, whole and with lengths that a block may have.
    pub fn decode(bytes: &[u8]) -> Result<Header, Fault> {
        let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(Fault::PastEnd)?;
        if bytes[..8] != MAGIC {
            return Err(Fault::NoBlock);
        }
        if u32_at(bytes, 100) != crc32c::crc32c(&bytes[..100]) {
            return Err(Fault::Header);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(Fault::Version(version));
        }
        let kind = match bytes[10] {
            1 => Kind::Facts,
            2 => Kind::Owner,
            3 => Kind::Seal,
            4 => Kind::Gap,
            other => return Err(Fault::Kind(other)),
        };
        let header = Header {
            kind,
            count: u32_at(bytes, 12),
            log: LogId(hash_at(bytes, 16)),
            number: u64_at(bytes, 32),
            time: Time(u64_at(bytes, 40)),
            owner: Owner { epoch: u64_at(bytes, 48), node: u64_at(bytes, 56), shard: u32_at(bytes, 64) },
            facts_len: u32_at(bytes, 68),
            payloads_len: u32_at(bytes, 72),
            table_crc: u32_at(bytes, 76),
            facts_crc: u32_at(bytes, 80),
            previous: ChainHash(hash_at(bytes, 84)),
        };
        let (front, payloads) =
            (u64::from(header.count) * ENTRY as u64 + u64::from(header.facts_len), header.payloads_len);
        let fits = front + u64::from(payloads) + HEADER as u64 <= limits::BLOCK_BYTES_MAX as u64;
        let bare = header.kind == Kind::Facts || front + u64::from(payloads) == 0;
        if fits && bare && header.number <= Position::BLOCK_MAX { Ok(header) } else { Err(Fault::Length) }
    }

    /// How block `number` of `log` begins: the magic, then from byte 16 on the log's id and the number.
    pub fn prefix(log: LogId, number: u64) -> ([u8; 8], [u8; 24]) {
        let mut middle = [0; 24];
        middle[..16].copy_from_slice(&log.0);
        middle[16..].copy_from_slice(&number.to_le_bytes());
        (MAGIC, middle)
    }

    /// Bytes of the table.
    pub fn table_len(&self) -> usize {
        self.count as usize * ENTRY
    }

    /// Bytes under the crcs of head, table and facts: all that opening reads.
    pub fn front_len(&self) -> usize {
        HEADER + self.table_len() + self.facts_len as usize
    }

    /// Bytes on disk, with the zeros up to the next multiple of [`ALIGN`].
    pub fn block_len(&self) -> usize {
        (self.front_len() + self.payloads_len as usize).next_multiple_of(ALIGN)
    }

    pub fn hash(&self) -> ChainHash {
        let digest = Sha256::digest(self.encode());
        let mut hash = ChainHash::default();
        hash.0.copy_from_slice(&digest[..16]);
        hash
    }
}

/// What the next block must be: the end of a chain of whole blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    pub log: LogId,
    pub next: u64,
    pub hash: ChainHash,
    pub time: Time,
    pub owner: Owner,
    /// Of the last block.
    pub kind: Option<Kind>,
}

impl Chain {
    /// Before the first block of a log.
    pub fn start(log: LogId) -> Chain {
        Chain { log, next: 0, hash: ChainHash::default(), time: Time(0), owner: Owner::default(), kind: None }
    }

    /// Why `header` is not that of the next block.
    pub fn check(&self, header: &Header) -> Result<(), Fault> {
        match header {
            h if h.log != self.log => Err(Fault::ForeignLog(h.log)),
            h if h.number != self.next => Err(Fault::Number(h.number)),
            h if h.previous != self.hash => Err(Fault::Chain),
            h if h.time < self.time => Err(Fault::Time),
            h if h.owner.epoch < self.owner.epoch => Err(Fault::Epoch),
            _ => Ok(()),
        }
    }

    /// The chain with `header` as its last block.
    pub fn then(&self, header: &Header) -> Chain {
        Chain {
            log: self.log,
            next: header.number + 1,
            hash: header.hash(),
            time: header.time,
            owner: header.owner,
            kind: Some(header.kind),
        }
    }

    /// The head of a group commit that comes next.
    pub fn facts(&self, batch: &Batch) -> Header {
        Header {
            kind: Kind::Facts,
            count: batch.len(),
            time: batch.time(),
            facts_len: batch.facts.len() as u32,
            payloads_len: batch.payloads.len() as u32,
            table_crc: crc32c::crc32c(&batch.table),
            facts_crc: crc32c::crc32c(&batch.facts),
            ..self.bare(Kind::Facts, self.owner)
        }
    }

    /// The head of an owner entry, a seal or a gap that comes next, at the time of the last block.
    pub fn bare(&self, kind: Kind, owner: Owner) -> Header {
        Header {
            kind,
            count: 0,
            log: self.log,
            number: self.next,
            time: self.time,
            owner,
            facts_len: 0,
            payloads_len: 0,
            table_crc: 0,
            facts_crc: 0,
            previous: self.hash,
        }
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

pub(crate) fn hash_at(bytes: &[u8], at: usize) -> [u8; 16] {
    bytes[at..].first_chunk().map_or([0; 16], |b| *b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_next_block_of_this_chain_is_taken() {
        let start = Chain { next: 7, time: Time(50), ..Chain::start(LogId([1; 16])) };
        let owner = Owner { shard: 1, node: 2, epoch: 3 };
        let last = start.bare(Kind::Owner, owner);
        let chain = start.then(&last);
        let next = chain.bare(Kind::Seal, owner);
        assert_eq!((next.number, next.previous, next.time), (8, last.hash(), Time(50)));
        assert_eq!(chain.check(&next), Ok(()));
        assert_eq!(chain.check(&Header { time: Time(51), ..next }), Ok(()));

        let refused = [
            (Header { log: LogId([2; 16]), ..next }, Fault::ForeignLog(LogId([2; 16]))),
            (Header { number: 9, ..next }, Fault::Number(9)),
            (last, Fault::Number(7)),
            (Header { previous: ChainHash([0; 16]), ..next }, Fault::Chain),
            (Header { time: Time(49), ..next }, Fault::Time),
            (Header { owner: Owner { epoch: 2, ..owner }, ..next }, Fault::Epoch),
        ];
        for (header, fault) in refused {
            assert_eq!(chain.check(&header), Err(fault));
        }
    }
}
