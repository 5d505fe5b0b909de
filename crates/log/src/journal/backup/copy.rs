//! The copy of a log on its disk: the same blocks at the same places, in files that end with their last block.

use crate::journal::disk::{Disk, DiskFile};
use crate::journal::reader::read_table;
use crate::journal::segment::{self, Segment};
use crate::journal::walk::{Found, damage, read_header};
use crate::layout::{ALIGN, Header};
use crate::table::Place;
use crate::{Block, Damage, Fault};
use postrider_core::{Position, Time};
use std::io::{self, IoSlice};

#[derive(Debug)]
pub(super) struct Copy<'a, D: Disk> {
    pub disk: &'a D,
    pub segments: Vec<Segment>,
    /// The newest segment.
    file: Option<D::File>,
    /// The number of the next block.
    pub next: u64,
    pub time_last: Option<Time>,
    /// Of all blocks.
    pub bytes: u64,
}

impl<'a, D: Disk> Copy<'a, D> {
    /// Of a log whose oldest block is `first`.
    pub fn new(disk: &'a D, first: u64) -> Copy<'a, D> {
        Copy { disk, segments: Vec::new(), file: None, next: first, time_last: None, bytes: 0 }
    }

    /// Removes what was copied.
    pub fn clear(&mut self, first: u64) -> io::Result<()> {
        for segment in &self.segments {
            self.disk.remove(&segment::name(segment.first))?;
        }
        *self = Copy::new(self.disk, first);
        Ok(())
    }

    /// The same block at the same place; its padding is made zeros.
    pub fn push(&mut self, found: &Found, block: &Block) -> io::Result<()> {
        let header = block.header();
        assert!(header.number == self.next, "numbers are dense");
        if found.offset == 0 {
            self.sync()?;
            self.file = Some(self.disk.create(&segment::name(found.segment))?);
            self.segments.push(Segment::new(found.segment, 0));
        }
        let (Some(file), Some(segment)) = (&self.file, self.segments.last_mut()) else {
            unreachable!("the first block of a log is the first of a segment")
        };
        assert!(
            (segment.first, segment.size) == (found.segment, found.offset),
            "blocks follow each other without gaps"
        );
        let used = header.front_len() + header.payloads_len as usize;
        let padding = [0; ALIGN];
        let mut parts = [IoSlice::new(&block.as_bytes()[..used]), IoSlice::new(&padding[..header.block_len() - used])];
        file.write_at(&mut parts, found.offset)?;
        // A segment is below 4 GiB.
        segment.note(header.number, found.offset as u32);
        segment.size += header.block_len() as u64;
        self.bytes += header.block_len() as u64;
        (self.next, self.time_last) = (header.number + 1, Some(header.time));
        Ok(())
    }

    /// A payload that was copied and does not match its crc.
    pub fn damage(&self, at: Position, is_zeros: bool) -> io::Result<Damage> {
        let fault = if is_zeros { Fault::Erased(at.index()) } else { Fault::Payload(at.index()) };
        let segment = self.segment_of(at.block());
        let (offset, _) = find(&self.disk.open(&segment::name(segment.first), false)?, segment, at.block())?;
        Ok(damage(&segment::name(segment.first), offset, at.block(), fault))
    }

    /// Makes zeros of `payloads`, ascending, durably; returns how many there were.
    pub fn erase(&mut self, payloads: &[Position]) -> io::Result<u64> {
        let mut erased = 0;
        for in_file in payloads.chunk_by(|a, b| self.segment_of(a.block()).first == self.segment_of(b.block()).first) {
            let segment = self.segment_of(in_file[0].block());
            let file = self.disk.open(&segment::name(segment.first), true)?;
            for at in in_file {
                let (offset, header) = find(&file, segment, at.block())?;
                let table = read_table(&file, offset, &header)?.map_err(io::Error::other)?;
                let place = table.place(at.index()).map_err(io::Error::other)?;
                if let Some(Place { start, len, .. }) = place.filter(|place| place.len > 0) {
                    file.write_at(&mut [IoSlice::new(&vec![0; len])], offset + start)?;
                    erased += 1;
                }
            }
            file.sync()?;
        }
        Ok(erased)
    }

    /// Makes all of it durable.
    pub fn finish(&self) -> io::Result<()> {
        self.sync()?;
        self.disk.sync_names()
    }

    fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), DiskFile::sync)
    }

    /// The segment of a block that was copied.
    fn segment_of(&self, block: u64) -> &Segment {
        &self.segments[self.segments.partition_point(|segment| segment.first <= block) - 1]
    }
}

/// Where block `number` of `segment` lies, and its head.
fn find<F: DiskFile>(file: &F, segment: &Segment, number: u64) -> io::Result<(u64, Header)> {
    let (mut at, offset) = segment.at_or_before(number);
    let mut offset = u64::from(offset);
    loop {
        let header = read_header(file, offset)?.map_err(io::Error::other)?;
        if at == number {
            return Ok((offset, header));
        }
        (at, offset) = (at + 1, offset + header.block_len() as u64);
    }
}
