//! A block's table without the rest of the block: where each payload lies.

use crate::Fault;
use crate::layout::{ENTRY, Header, NO_PAYLOAD, u32_at};

/// A table that matches its crc.
#[derive(Debug)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    header: Header,
}

/// Where a payload lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// From the block's first byte on.
    pub start: u64,
    pub len: usize,
    pub crc: u32,
}

impl Table {
    /// The table of the block with `header`.
    pub fn new(bytes: Vec<u8>, header: &Header) -> Result<Table, Fault> {
        let whole = crc32c::crc32c(&bytes) == header.table_crc;
        whole.then_some(Table { bytes, header: *header }).ok_or(Fault::Table)
    }

    /// The payload of the fact at `index`, if there are such a fact and payload.
    pub fn place(&self, index: u32) -> Result<Option<Place>, Fault> {
        if index >= self.header.count {
            return Ok(None);
        }
        let (before, row) = self.bytes.split_at(index as usize * ENTRY);
        let lengths = before.chunks_exact(ENTRY).map(|row| u32_at(row, 4)).filter(|&len| len != NO_PAYLOAD);
        let before: u64 = lengths.map(u64::from).sum();
        let (len, crc) = (u32_at(row, 4), u32_at(row, 8));
        match len {
            NO_PAYLOAD => Ok(None),
            _ if before + u64::from(len) > u64::from(self.header.payloads_len) => Err(Fault::Length),
            _ => Ok(Some(Place { start: self.header.front_len() as u64 + before, len: len as usize, crc })),
        }
    }
}
