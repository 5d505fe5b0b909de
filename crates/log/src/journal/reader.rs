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

    /// The head of block `number`, and where it is; hops from the nearest indexed block.
    pub(super) fn find(&self, number: u64) -> Result<Option<(Spot, Header)>, ReadError> {
        let Some(spot) = self.shared.durable.read().locate(number) else {
            return Ok(None);
        };
        self.hop(spot, number)
    }

    fn hop(&self, mut spot: Spot, number: u64) -> Result<Option<(Spot, Header)>, ReadError> {
        loop {
            let Some(header) = self.look(spot, |file| read_header(file, spot.offset))? else {
                return Ok(None);
            };
            if header.number != spot.number || header.log != self.shared.log {
                return self.judge(spot, Fault::Number(header.number));
            }
            if spot.number == number {
                return Ok(Some((spot, header)));
            }
            spot = Spot { number: spot.number + 1, offset: spot.offset + header.block_len() as u64, ..spot };
        }
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

    fn block_at(&self, spot: Spot, header: &Header, part: Part) -> Result<Option<Block>, ReadError> {
        self.look(spot, |file| match part {
            Part::Whole => read_block(file, spot.offset, header),
            Part::Facts => read_facts(file, spot.offset, header),
        })
    }

    /// Block `number`, known to begin at `hint` if it is of the same segment; and where the next one begins.
    fn step(&self, number: u64, hint: Option<Spot>, part: Part) -> Result<Option<(Block, Spot)>, ReadError> {
        let durable = self.shared.durable.read();
        let hinted =
            hint.filter(|_| (durable.first..durable.end).contains(&number) && !durable.is_first_of_segment(number));
        let Some(spot) = hinted.or_else(|| durable.locate(number)) else {
            return Ok(None);
        };
        drop(durable);
        let Some((spot, header)) = self.hop(spot, number)? else {
            return Ok(None);
        };
        let Some(block) = self.block_at(spot, &header, part)? else {
            return Ok(None);
        };
        let next = Spot { number: number + 1, offset: spot.offset + header.block_len() as u64, ..spot };
        Ok(Some((block, next)))
    }

    fn steps(&self, from: u64, part: Part) -> impl Iterator<Item = Result<Block, ReadError>> {
        let (mut number, mut hint) = (from, None);
        std::iter::from_fn(move || match self.step(number, hint, part).transpose()? {
            Ok((block, next)) => {
                (number, hint) = (next.number, Some(next));
                Some(Ok(block))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

/// The payload at `index` of the block at `offset`: reads its table and the payload.
fn read_payload<F: DiskFile>(file: &F, offset: u64, header: &Header, index: u32) -> Looked<Option<Bytes>> {
    let place = match read_table(file, offset, header)?.and_then(|table| table.place(index)) {
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
        Ok(self.step(number, None, Part::Whole)?.map(|(block, _)| block))
    }

    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        let Some((spot, header)) = self.find(at.block())? else {
            return Ok(None);
        };
        let look = || self.look(spot, |file| read_payload(file, spot.offset, &header, at.index()));
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
        Ok(self.step(number, None, Part::Facts)?.map(|(block, _)| block))
    }

    fn facts(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        self.steps(from, Part::Facts)
    }
}
