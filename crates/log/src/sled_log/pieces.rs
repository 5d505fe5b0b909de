//! How a block lies in sled: one byte that says whether a segment begins with it, then head, table, facts and payloads as in the journal,
//! cut into values of 4 KiB under ascending keys. The padding is left out.

use super::database::{Database, Failure};
use crate::block::{Block, check_payload};
use crate::layout::{HEADER, Header};
use crate::table::{Place, Table};
use crate::{Batch, Fault};
use bytes::Bytes;
use std::ops::Range;

/// A leaf of sled's holds up to 17 values; a page over 128 KiB would become a file that sled never syncs.
pub(super) const PIECE: usize = 4096;
/// Of the byte before the head. They differ in every bit.
const CONTINUES: u8 = 0x0f;
const BEGINS: u8 = 0xf0;
const LETTER: u8 = b'b';

/// Why something was not read.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is not there, or not what was written.
    Fault(Fault),
    /// sled or the disk failed.
    Failed(Failure),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

/// The key of the piece at `index` of block `number`.
pub(super) fn key(number: u64, index: u32) -> [u8; 13] {
    let mut key = [LETTER; 13];
    key[1..9].copy_from_slice(&number.to_be_bytes());
    key[9..].copy_from_slice(&index.to_be_bytes());
    key
}

/// Adds a block to what sled is to write.
pub(super) fn put(to: &mut sled::Batch, header: &Header, batch: &Batch, begins: bool) {
    let mut bytes = Vec::with_capacity(1 + HEADER + batch.table.len() + batch.facts.len() + batch.payloads.len());
    bytes.push(if begins { BEGINS } else { CONTINUES });
    bytes.extend_from_slice(&header.encode());
    for part in [&batch.table, &batch.facts, &batch.payloads] {
        bytes.extend_from_slice(part);
    }
    for (index, piece) in bytes.chunks(PIECE).enumerate() {
        // A block has at most 513.
        to.insert(&key(header.number, index as u32), piece);
    }
}

/// The head of block `number`, and whether a segment begins with it; `None` if its first piece is not there.
pub(super) fn header(db: &Database, number: u64) -> Result<Option<(Header, bool)>, Trouble> {
    let Some(piece) = db.get(&key(number, 0))? else { return Ok(None) };
    let begins = match piece.first() {
        Some(&BEGINS) => true,
        Some(&CONTINUES) => false,
        _ => return Err(Fault::Header.into()),
    };
    let header = Header::decode(&piece[1..])?;
    if header.number == number { Ok(Some((header, begins))) } else { Err(Fault::Number(header.number).into()) }
}

/// The block with `header`, without payloads: head, table and facts match their crcs.
pub(super) fn front(db: &Database, header: &Header) -> Result<Block, Trouble> {
    let bytes = read(db, header.number, 0..header.front_len())?;
    same(header, Block::decode_front(bytes.into()))
}

/// The block with `header`.
pub(super) fn block(db: &Database, header: &Header) -> Result<Block, Trouble> {
    let mut bytes = read(db, header.number, 0..header.front_len() + header.payloads_len as usize)?;
    bytes.resize(header.block_len(), 0);
    same(header, Block::decode(bytes.into()))
}

fn same(header: &Header, block: Result<Block, Fault>) -> Result<Block, Trouble> {
    let block = block?;
    if block.header() == header { Ok(block) } else { Err(Fault::Number(block.number()).into()) }
}

/// The table of the block with `header`.
pub(super) fn table(db: &Database, header: &Header) -> Result<Table, Trouble> {
    let bytes = read(db, header.number, HEADER..HEADER + header.table_len())?;
    Ok(Table::new(bytes, header)?)
}

/// The payload at `place` of block `number`, that of the fact at `index`.
pub(super) fn payload(db: &Database, number: u64, index: u32, place: Place) -> Result<Bytes, Trouble> {
    let start = place.start as usize;
    let bytes = read(db, number, start..start + place.len)?;
    check_payload(index, &bytes, place.crc)?;
    Ok(bytes.into())
}

/// Where the bytes `range` of a block lie: the pieces, and which part of each.
pub(super) fn parts(range: Range<usize>) -> impl Iterator<Item = (u32, Range<usize>)> {
    let stored = range.start + 1..range.end + 1;
    let pieces = if range.is_empty() { 0..0 } else { stored.start / PIECE..stored.end.div_ceil(PIECE) };
    pieces.map(move |index| {
        let begins = index * PIECE;
        let within = stored.start.max(begins) - begins..stored.end.min(begins + PIECE) - begins;
        (index as u32, within)
    })
}

/// The bytes `range` of block `number`.
fn read(db: &Database, number: u64, range: Range<usize>) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::with_capacity(range.len());
    for (index, within) in parts(range) {
        let piece = db.get(&key(number, index))?.ok_or(Fault::Piece(index))?;
        bytes.extend_from_slice(piece.get(within).ok_or(Fault::Piece(index))?);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_each_byte_once() {
        let stored: Vec<usize> = (0..3 * PIECE).collect();
        for range in [0..0, 0..1, 0..PIECE - 1, 0..PIECE, PIECE - 1..PIECE, 5..2 * PIECE + 7, PIECE..PIECE] {
            let found: Vec<usize> = parts(range.clone())
                .flat_map(|(index, within)| stored[index as usize * PIECE..][within].to_vec())
                .collect();
            assert_eq!(found, range.map(|byte| byte + 1).collect::<Vec<_>>());
        }
    }

    #[test]
    fn keys_are_in_the_order_of_blocks_and_pieces() {
        let keys = [(0, 0), (0, 1), (0, 256), (1, 0), (255, 9), (256, 0), (1 << 43, 0)].map(|(n, piece)| key(n, piece));
        assert!(keys.is_sorted());
    }
}
