//! Appends: one batch of sled's, flushed and synced, then the new end in `HEAD`, synced as well.

use super::head::HeadFile;
use super::pieces;
use super::shared::{Segment, Shared};
use crate::journal::Options;
use crate::journal::is_full;
use crate::layout::{ALIGN, Chain, ChainHash, Header, Kind, Owner};
use crate::{AppendError, Batch, ClaimError, EraseError, LogWriter, ReserveError, TruncateError};
use postrider_core::{Position, Time, limits};
use std::fs::File;
use std::io;
use std::sync::Arc;

/// The one who appends to a sled log. Closes the database when it is dropped, and then gives up the lock.
#[derive(Debug)]
pub struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) chain: Chain,
    pub(super) head: HeadFile,
    segment_bytes: u64,
    pub(super) poison: Option<Arc<io::Error>>,
    _lock: File,
}

/// What opening hands over.
pub(super) struct Parts {
    pub lock: File,
    pub options: Options,
    pub head: HeadFile,
    pub chain: Chain,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, parts: Parts) -> Writer {
        let Parts { lock, options, head, chain } = parts;
        Writer { shared, chain, head, segment_bytes: options.segment_bytes.into(), poison: None, _lock: lock }
    }

    /// Removes what a cut-off truncation or append left in the database, and takes the log with an owner entry.
    pub(super) fn own(&mut self, owner: Owner, time: Time) -> Result<(), ClaimError> {
        let header = Header { time, ..self.chain.bare(Kind::Owner, owner) };
        self.make_room(header.block_len()).map_err(claim_error)?;
        let (first, next) = (self.head.head().first, self.chain.next);
        let cleared = self.remove(0..first).and_then(|()| self.remove(next..u64::MAX));
        cleared.map_err(|error| ClaimError::Unavailable(self.poison(error)))?;
        self.write(&header, &Batch::default()).map_err(claim_error)
    }

    /// Room for a block of `bytes` and a seal behind it.
    fn make_room(&mut self, bytes: usize) -> Result<(), ReserveError> {
        if let Some(why) = &self.poison {
            return Err(ReserveError::Unavailable(why.clone()));
        }
        if bytes > limits::BLOCK_BYTES_MAX {
            return Err(ReserveError::TooLarge(bytes));
        }
        match self.shared.on(|db| db.make_room((bytes + ALIGN) as u64)).map_err(io::Error::from) {
            Err(error) if is_full(&error) => Err(ReserveError::Full),
            made => made.map_err(|error| ReserveError::Unavailable(self.poison(error))),
        }
    }

    /// Writes a block, and makes it known once it is durable and `HEAD` says so.
    fn write(&mut self, header: &Header, batch: &Batch) -> Result<(), ReserveError> {
        assert!(
            header.number == self.chain.next && header.time >= self.chain.time,
            "numbers are dense, times never decrease"
        );
        let begins = self.begins_segment();
        let mut pieces = sled::Batch::default();
        pieces::put(&mut pieces, header, batch, begins);
        let next = self.chain.then(header);
        let written = self.shared.on(|db| db.apply(pieces).and_then(|()| db.sync())).map_err(io::Error::from);
        if let Err(error) = written.and_then(|()| self.head.end_at(next.next, next.hash)) {
            return Err(ReserveError::Unavailable(self.poison(error)));
        }
        let mut durable = self.shared.durable.write();
        if begins {
            durable.segments.push_back(Segment { first: header.number, bytes: 0 });
        }
        durable.segments.back_mut().expect("the first block begins one").bytes += header.block_len() as u64;
        durable.end = next.next;
        drop(durable);
        self.chain = next;
        Ok(())
    }

    /// Ends the writer: nothing is written after `error`.
    pub(super) fn poison(&mut self, error: io::Error) -> Arc<io::Error> {
        self.poison.insert(Arc::new(error)).clone()
    }
}

fn claim_error(error: ReserveError) -> ClaimError {
    match error {
        ReserveError::Full | ReserveError::TooLarge(_) => ClaimError::Full,
        ReserveError::Unavailable(why) => ClaimError::Unavailable(why),
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl LogWriter for Writer {
    fn tail(&self) -> u64 {
        self.chain.next
    }

    fn hash(&self) -> ChainHash {
        self.chain.hash
    }

    /// A disk that is full is found here. What sled moves about within its file can exceed what was set aside; then the append fails and
    /// poisons, and nothing that was acknowledged is lost.
    fn reserve(&mut self, bytes: usize) -> Result<(), ReserveError> {
        self.make_room(bytes)
    }

    fn append(&mut self, expected: u64, batch: &Batch) -> Result<u64, AppendError> {
        assert!(!batch.is_empty(), "a turn without facts appends nothing");
        assert!(batch.time() >= self.chain.time, "record times never decrease");
        if let Some(why) = &self.poison {
            return Err(AppendError::Unavailable(why.clone()));
        }
        if expected != self.chain.next {
            return Err(AppendError::Fenced { expected, tail: self.chain.next });
        }
        self.make_room(batch.bytes())?;
        let header = self.chain.facts(batch);
        self.write(&header, batch)?;
        Ok(expected)
    }

    fn seal(&mut self) -> Result<(), AppendError> {
        if let Some(why) = &self.poison {
            return Err(AppendError::Unavailable(why.clone()));
        }
        if self.chain.kind == Some(Kind::Seal) {
            return Ok(());
        }
        // Every other block left room for it.
        let header = self.chain.bare(Kind::Seal, self.chain.owner);
        Ok(self.write(&header, &Batch::default())?)
    }

    fn erase(&mut self, payloads: &[Position]) -> Result<(), EraseError> {
        self.zero(payloads)
    }

    fn begins_segment(&self) -> bool {
        self.shared.durable.read().segments.back().is_none_or(|segment| segment.bytes >= self.segment_bytes)
    }

    fn truncate(&mut self, below: u64) -> Result<u64, TruncateError> {
        self.begin_at(below)
    }

    fn bytes_from(&self, from: u64) -> u64 {
        let durable = self.shared.durable.read();
        let after = durable.segments.partition_point(|segment| segment.first <= from);
        durable.segments.iter().skip(after.saturating_sub(1)).map(|segment| segment.bytes).sum()
    }
}
