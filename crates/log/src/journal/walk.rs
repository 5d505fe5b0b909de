//! Reads the whole chain from its first block to its end, and tells the end from damage. Opening and inspecting both go this way.
//!
//! The end is where the next block should begin, in the last segment, and no whole block of this log with a higher number comes after.
//! Such a block would prove that the one before it was durable: one append is in flight at a time.

use super::disk::{Disk, DiskFile};
use super::segment;
use crate::block::check_front;
use crate::layout::{ALIGN, Chain, HEADER, Header};
use crate::{Block, Damage, Fault, ReadError};
use bytes::Bytes;
use std::io;

/// Read at first, in the hope that it holds head, table and facts.
const READ_BYTES: usize = 4096;
/// Read at once in the search for later blocks.
const SEARCH_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Walk<'d, D: Disk> {
    disk: &'d D,
    /// First blocks of the segments, ascending.
    segments: Vec<u64>,
    at: usize,
    file: Option<(D::File, u64)>,
    offset: u64,
    /// What has been read so far.
    pub chain: Chain,
    /// At the end, if the next block was begun: where, and what is wrong with it.
    pub torn: Option<Damage>,
    buffer: Vec<u8>,
}

/// A block whose head, table and facts are whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub segment: u64,
    pub offset: u64,
    pub header: Header,
    /// Whether it lies in the last segment. If not, a later segment was made after it was durable.
    pub newest: bool,
}

impl<'d, D: Disk> Walk<'d, D> {
    /// Over `segments`, ascending, from the block on that `chain` expects.
    pub fn new(disk: &'d D, segments: Vec<u64>, chain: Chain) -> Walk<'d, D> {
        Walk { disk, segments, at: 0, file: None, offset: 0, chain, torn: None, buffer: Vec::new() }
    }

    /// Goes on over `segments`, of which some may have come and some gone meanwhile. Files are opened anew.
    pub fn relist(&mut self, segments: Vec<u64>) {
        let current = self.segments.get(self.at).copied();
        self.at = segments.partition_point(|&segment| Some(segment) < current);
        if segments.get(self.at).copied() != current {
            // The one that was read is gone: the next block has to be the first of another.
            self.offset = 0;
        }
        (self.segments, self.file) = (segments, None);
    }

    /// Reads `found` whole. It was the last that came, or one before it.
    pub fn block(&self, found: &Found) -> io::Result<Result<Block, Fault>> {
        match &self.file {
            Some((file, _)) if self.segments.get(self.at) == Some(&found.segment) => {
                read_block(file, found.offset, &found.header)
            }
            _ => read_block(&self.disk.open(&segment::name(found.segment), false)?, found.offset, &found.header),
        }
    }

    /// Where the next block belongs.
    pub fn end(&self) -> (Option<u64>, u64) {
        (self.segments.get(self.at).copied(), self.offset)
    }

    /// The next block, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<Found>, ReadError> {
        // Blocks of a later segment are not looked for in this one: what lies behind its last block is of no meaning.
        if self.segments.get(self.at + 1) == Some(&self.chain.next) {
            self.at += 1;
            (self.file, self.offset) = (None, 0);
        }
        let first = match self.segments.get(self.at) {
            None if self.chain.next == 0 => return Ok(None),
            Some(&first) if self.offset > 0 || first == self.chain.next => first,
            _ => return Err(damage(&segment::name(self.chain.next), 0, self.chain.next, Fault::Missing).into()),
        };
        let (file, size) = match self.file.take() {
            Some(open) => open,
            None => {
                let file = self.disk.open(&segment::name(first), false)?;
                let size = file.size()?;
                (file, size)
            }
        };
        let newest = self.at + 1 == self.segments.len();
        let front = read_front(&file, self.offset, size, &mut self.buffer)?;
        let front = front.and_then(|header| self.chain.check(&header).map(|()| header));
        let found = match front {
            Ok(header) => {
                let found = Found { segment: first, offset: self.offset, header, newest };
                self.chain = self.chain.then(&header);
                self.offset += header.block_len() as u64;
                Some(found)
            }
            Err(fault) => {
                let damage = damage(&segment::name(first), self.offset, self.chain.next, fault);
                if !newest || fault_of_a_whole_head(&damage.fault) || self.later_block(&file)? {
                    return Err(damage.into());
                }
                if self.was_begun() {
                    self.torn = Some(damage);
                }
                None
            }
        };
        self.file = Some((file, size));
        Ok(found)
    }

    /// Whether a whole head of this log with a higher number than is expected here lies anywhere behind. Its facts do not matter: a
    /// head that matches its crc, names this log and has a number that was never reached was written after this block.
    fn later_block(&self, file: &D::File) -> io::Result<bool> {
        let later = |header: &Header| header.log == self.chain.log && header.number > self.chain.next;
        Ok(find_head(file, self.offset, later)?.is_some())
    }

    /// Whether what was read last looks like the expected block, torn, and not like what the file held before.
    fn was_begun(&self) -> bool {
        is_begun(&self.buffer, &self.chain)
    }
}

/// Whether `bytes`, at least a head if there are so many, look like the next block of `chain`, torn. Only the beginning says so; if that never
/// reached the disk, nothing can. One byte of it may be wrong: a flipped bit is not to hide that a block was there. What the file held
/// before is a whole head of another number.
pub(crate) fn is_begun(bytes: &[u8], chain: &Chain) -> bool {
    let (magic, middle) = Header::prefix(chain.log, chain.next);
    let (Some(at_magic), Some(at_middle)) = (bytes.get(..8), bytes.get(16..40)) else { return false };
    let expected = magic.iter().chain(&middle);
    match at_magic.iter().chain(at_middle).zip(expected).filter(|(found, expected)| found != expected).count() {
        0 => true,
        1 => Header::decode(bytes).is_err(),
        _ => false,
    }
}

/// Where from `from` on, a place where a block may begin, the first whole head lies that is `wanted`.
pub(crate) fn find_head<F: DiskFile>(file: &F, from: u64, wanted: impl Fn(&Header) -> bool) -> io::Result<Option<u64>> {
    let mut chunk = vec![0; SEARCH_BYTES];
    let mut at = from;
    loop {
        let read = file.read_at(&mut chunk, at)?;
        let is_wanted = |sector: &[u8]| Header::decode(sector).is_ok_and(|header| wanted(&header));
        if let Some(sectors) = chunk[..read].chunks(ALIGN).position(is_wanted) {
            return Ok(Some(at + (sectors * ALIGN) as u64));
        }
        if read < chunk.len() {
            return Ok(None);
        }
        at += read as u64;
    }
}

/// Whether the bytes where the next block belongs are a whole head that has no business there. Space is recycled within one log and
/// numbers only grow, so the worst that may lie behind the end is a lower number.
pub(crate) fn fault_of_a_whole_head(fault: &Fault) -> bool {
    matches!(fault, Fault::ForeignLog(_) | Fault::Chain | Fault::Time | Fault::Epoch)
}

/// A fault with its place, as a report names it.
pub(crate) fn damage(file: &str, offset: u64, block: u64, fault: Fault) -> Damage {
    Damage { file: format!("log/{file}"), offset, block, fault }
}

/// The head at `offset`, with table and facts read behind it into `buffer`, all matching their crcs.
fn read_front<F: DiskFile>(
    file: &F,
    offset: u64,
    size: u64,
    buffer: &mut Vec<u8>,
) -> io::Result<Result<Header, Fault>> {
    buffer.resize(READ_BYTES, 0);
    let read = file.read_at(buffer, offset)?;
    buffer.truncate(read);
    let header = match Header::decode(buffer) {
        Ok(header) => header,
        Err(fault) => return Ok(Err(fault)),
    };
    // Also keeps a wrong length from asking for memory.
    if offset + header.block_len() as u64 > size {
        return Ok(Err(Fault::PastEnd));
    }
    if header.front_len() > buffer.len() {
        let had = buffer.len();
        buffer.resize(header.front_len(), 0);
        if file.read_at(&mut buffer[had..], offset + had as u64)? < header.front_len() - had {
            return Ok(Err(Fault::PastEnd));
        }
    }
    Ok(check_front(&header, buffer).map(|()| header))
}

/// The head at `offset`, alone.
pub(crate) fn read_header<F: DiskFile>(file: &F, offset: u64) -> io::Result<Result<Header, Fault>> {
    let mut bytes = [0; HEADER];
    let read = file.read_at(&mut bytes, offset)?;
    Ok(Header::decode(&bytes[..read]))
}

/// The block at `offset`, whose head was read before.
pub(crate) fn read_block<F: DiskFile>(file: &F, offset: u64, header: &Header) -> io::Result<Result<Block, Fault>> {
    let bytes = read_bytes(file, offset, header.block_len())?;
    Ok(same(header, Block::decode(bytes)))
}

/// The block at `offset` without its payloads: in one read, where head, table and facts are small.
pub(crate) fn read_facts<F: DiskFile>(file: &F, offset: u64) -> io::Result<Result<Block, Fault>> {
    let mut front = vec![0; READ_BYTES];
    let had = file.read_at(&mut front, offset)?;
    front.truncate(had);
    let header = match Header::decode(&front) {
        Ok(header) => header,
        Err(fault) => return Ok(Err(fault)),
    };
    front.resize(header.front_len(), 0);
    if header.front_len() > had {
        let more = file.read_at(&mut front[had..], offset + had as u64)?;
        front.truncate(had + more);
    }
    Ok(Block::decode_front(front.into()))
}

fn read_bytes<F: DiskFile>(file: &F, offset: u64, len: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, offset)?;
    bytes.truncate(read);
    Ok(bytes.into())
}

fn same(header: &Header, block: Result<Block, Fault>) -> Result<Block, Fault> {
    // The file may be overwritten between two reads, once its blocks are gone from the log.
    block.and_then(|b| if b.header() == header { Ok(b) } else { Err(Fault::Number(b.number())) })
}
