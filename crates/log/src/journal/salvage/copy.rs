//! Writes the new log of a salvage, from its first block to its end. Its `HEAD` comes last: until then it is no log.

use crate::Block;
use crate::journal::Options;
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::head::Head;
use crate::journal::segment;
use crate::layout::{ALIGN, Chain, HEADER, Header, Kind};
use std::io::{self, IoSlice};

pub(super) struct Copy<'a, D: Disk> {
    disk: &'a D,
    options: Options,
    head: Head,
    /// Of the new log.
    chain: Chain,
    /// The newest segment, its size, and where the next block begins.
    current: Option<(D::File, u64, u64)>,
}

impl<'a, D: Disk> Copy<'a, D> {
    /// Of the log that begins with `source`.
    pub fn new(disk: &'a D, options: Options, source: &Head) -> Copy<'a, D> {
        let head = Head { log: options.new_log, created: options.now, ..*source };
        let chain = Chain { next: head.first, hash: head.previous, ..Chain::start(head.log) };
        Copy { disk, options, head, chain, current: None }
    }

    /// The same block in the new chain: another head over the same table, facts and payloads.
    pub fn push(&mut self, block: &Block) -> io::Result<()> {
        let header = block.header();
        assert!(header.number == self.chain.next, "numbers are dense");
        let used = header.front_len() + header.payloads_len as usize;
        self.write(*header, &block.as_bytes()[HEADER..used])
    }

    /// Gaps up to number `to`.
    pub fn gap(&mut self, to: u64) -> io::Result<()> {
        while self.chain.next < to {
            self.write(self.chain.bare(Kind::Gap, self.chain.owner), &[])?;
        }
        Ok(())
    }

    /// Ends the log with a seal, so that bad payloads in the last block do not make it a torn tail; and makes all of it durable.
    /// Returns the number of the next block.
    pub fn finish(&mut self) -> io::Result<u64> {
        if self.chain.kind != Some(Kind::Seal) {
            self.write(self.chain.bare(Kind::Seal, self.chain.owner), &[])?;
        }
        self.sync()?;
        self.disk.sync_names()?;
        self.head.write(self.disk)?;
        Ok(self.chain.next)
    }

    fn write(&mut self, header: Header, rest: &[u8]) -> io::Result<()> {
        let header = Header { log: self.chain.log, previous: self.chain.hash, ..header };
        let len = header.block_len();
        // As a writer does, with room for a seal.
        let room = (len + ALIGN) as u64;
        let (file, size, offset) = match self.current.take() {
            Some((file, size, offset)) if offset + room <= size => (file, size, offset),
            full => {
                self.current = full;
                self.sync()?;
                let file = self.disk.create(&segment::name(self.chain.next))?;
                let size = room.max(self.options.segment_bytes.into());
                file.allocate(size)?;
                (file, size, 0)
            }
        };
        let padding = [0; ALIGN];
        let head = header.encode();
        let mut parts = [IoSlice::new(&head), IoSlice::new(rest), IoSlice::new(&padding[..len - HEADER - rest.len()])];
        file.write_at(&mut parts, offset)?;
        self.current = Some((file, size, offset + len as u64));
        self.chain = self.chain.then(&header);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current.as_ref().map_or(Ok(()), |(file, ..)| file.sync())
    }
}
