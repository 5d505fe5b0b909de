//! Reads blocks and payloads beside the writer. Nothing is taken on trust: whatever comes off the disk is checked again.

use super::disk::{Disk, DiskFile};
use super::segment;
use super::shared::{Shared, Spot};
use super::walk::{damage, read_block, read_facts, read_header};
use crate::block::check_payload;
use crate::layout::{HEADER, Header};
use crate::table::Table;
use crate::{Block, Fault, LogReader, ReadError};
use bytes::Bytes;
use postrider_core::Position;
use std::io;
use std::sync::Arc;

/// Reads a journal; cheap to clone.
#[derive(Debug)]
pub struct Reader<D: Disk> {
    shared: Arc<Shared<D>>,
}

/// How much of a block is read.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    Facts,
}

/// The outcome of looking at bytes on disk: a fault is turned into damage, or into absence if the block is gone meanwhile.
pub(super) type Looked<T> = io::Result<Result<T, Fault>>;

impl<D: Disk> Reader<D> {
    pub(super) fn new(shared: Arc<Shared<D>>) -> Reader<D> {
        Reader { shared }
    }

    /// The head of block `number`, and where it is.
    pub(super) fn find(&self, number: u64) -> Result<Option<(Spot, Header)>, ReadError> {
        let Some(spot) = self.reach(number)? else { return Ok(None) };
        let Some(header) = self.head(spot)? else { return Ok(None) };
        self.remember(spot, &header);
        Ok(Some((spot, header)))
    }

    /// Where block `number` is: hops from the nearest one whose place is known.
    fn reach(&self, number: u64) -> Result<Option<Spot>, ReadError> {
        let Some(mut spot) = self.shared.locate(number) else { return Ok(None) };
        while spot.number < number {
            let Some(header) = self.head(spot)? else { return Ok(None) };
            spot = next(spot, &header);
        }
        Ok(Some(spot))
    }

    fn head(&self, spot: Spot) -> Result<Option<Header>, ReadError> {
        self.look(spot, |file| Ok(read_header(file, spot.offset)?.and_then(|header| self.expect(spot, header))))
    }

    fn expect(&self, spot: Spot, header: Header) -> Result<Header, Fault> {
        let is_it = header.number == spot.number && header.log == self.shared.log;
        if is_it { Ok(header) } else { Err(Fault::Number(header.number)) }
    }

    fn remember(&self, spot: Spot, header: &Header) {
        self.shared.remember([spot, next(spot, header)]);
    }

    /// Where block `number` is, and its table.
    fn table(&self, number: u64) -> Result<Option<(Spot, Arc<Table>)>, ReadError> {
        if let Some(found) = self.shared.table(number) {
            return Ok(Some(found));
        }
        let Some((spot, header)) = self.find(number)? else { return Ok(None) };
        let table = self.look(spot, |file| read_table(file, spot.offset, &header))?.map(Arc::new);
        if let Some(table) = &table {
            self.shared.keep_table(spot, Arc::clone(table));
        }
        Ok(table.map(|table| (spot, table)))
    }

    /// Runs `look` on the segment's file.
    pub(super) fn look<T>(&self, spot: Spot, look: impl FnOnce(&D::File) -> Looked<T>) -> Result<Option<T>, ReadError> {
        match self.shared.file(spot.segment).and_then(|file| look(&file)) {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(fault)) => self.judge(spot, fault),
            Err(_) if self.is_gone(spot) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the block was truncated away after it was located; then its bytes may be anything.
    fn is_gone(&self, spot: Spot) -> bool {
        spot.number < self.first()
    }

    fn judge<T>(&self, spot: Spot, fault: Fault) -> Result<Option<T>, ReadError> {
        if self.is_gone(spot) {
            return Ok(None);
        }
        Err(damage(&segment::name(spot.segment), spot.offset, spot.number, fault).into())
    }

    /// Block `number`, if it is there.
    fn block(&self, number: u64, part: Part) -> Result<Option<Block>, ReadError> {
        let Some(spot) = self.reach(number)? else { return Ok(None) };
        let block = self.look(spot, |file| {
            let read = match part {
                Part::Whole => match read_header(file, spot.offset)? {
                    Ok(header) => read_block(file, spot.offset, &header)?,
                    Err(fault) => Err(fault),
                },
                Part::Facts => read_facts(file, spot.offset)?,
            };
            Ok(read.and_then(|block| self.expect(spot, *block.header()).map(|_| block)))
        })?;
        if let Some(block) = &block {
            self.remember(spot, block.header());
        }
        Ok(block)
    }

    fn steps(&self, from: u64, part: Part) -> impl Iterator<Item = Result<Block, ReadError>> {
        let mut number = from;
        std::iter::from_fn(move || {
            let block = self.block(number, part).transpose()?;
            number += u64::from(block.is_ok());
            Some(block)
        })
    }
}

/// Where the block behind the one at `spot` begins, if that is of the same segment.
fn next(spot: Spot, header: &Header) -> Spot {
    Spot { number: spot.number + 1, offset: spot.offset + header.block_len() as u64, ..spot }
}

/// The payload at `index` of the block at `offset`, which has this table.
fn read_payload<F: DiskFile>(file: &F, offset: u64, table: &Table, index: u32) -> Looked<Option<Bytes>> {
    let place = match table.place(index) {
        Ok(Some(place)) => place,
        Ok(None) => return Ok(Ok(None)),
        Err(fault) => return Ok(Err(fault)),
    };
    let mut payload = vec![0; place.len];
    if file.read_at(&mut payload, offset + place.start)? < place.len {
        return Ok(Err(Fault::PastEnd));
    }
    Ok(check_payload(index, &payload, place.crc).map(|()| Some(payload.into())))
}

/// The table of the block at `offset`.
pub(super) fn read_table<F: DiskFile>(file: &F, offset: u64, header: &Header) -> Looked<Table> {
    let mut bytes = vec![0; header.table_len()];
    file.read_at(&mut bytes, offset + HEADER as u64)?;
    Ok(Table::new(bytes, header))
}

impl<D: Disk> Clone for Reader<D> {
    fn clone(&self) -> Reader<D> {
        Reader { shared: self.shared.clone() }
    }
}

impl<D: Disk> LogReader for Reader<D> {
    fn first(&self) -> u64 {
        self.shared.durable.read().first
    }

    fn end(&self) -> u64 {
        self.shared.durable.read().end
    }

    fn read_block(&self, number: u64) -> Result<Option<Block>, ReadError> {
        self.block(number, Part::Whole)
    }

    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        let Some((spot, table)) = self.table(at.block())? else {
            return Ok(None);
        };
        let look = || self.look(spot, |file| read_payload(file, spot.offset, &table, at.index()));
        let found = match look() {
            // Perhaps it is being erased at this moment: once that has written, the bytes tell.
            Err(ReadError::Damaged(_)) => {
                drop(self.shared.erasing.lock());
                look()
            }
            found => found,
        };
        Ok(found?.flatten())
    }

    fn blocks(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        self.steps(from, Part::Whole)
    }

    fn read_facts(&self, number: u64) -> Result<Option<Block>, ReadError> {
        self.block(number, Part::Facts)
    }

    fn facts(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        self.steps(from, Part::Facts)
    }
}
