//! The writer of either log, and the bug of saying that something is durable before it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use postrider_core::Position;
use postrider_log::{
    AppendError, Batch, ChainHash, EraseError, LogWriter, ReserveError, TruncateError, journal, memory,
};

use super::disk::LyingDisk;

/// See the module.
pub struct Writer {
    on: On,
    /// While set, batches are kept in RAM and said to be appended.
    holds_back: Arc<AtomicBool>,
    held: Vec<Batch>,
}

enum On {
    Memory(memory::Writer),
    Disk(Box<journal::Writer<LyingDisk>>),
}

/// The same call on either.
macro_rules! either {
    ($on:expr, $writer:ident => $call:expr) => {
        match $on {
            On::Memory($writer) => $call,
            On::Disk($writer) => $call,
        }
    };
}

impl Writer {
    pub(super) fn on_memory(writer: memory::Writer, holds_back: Arc<AtomicBool>) -> Writer {
        Writer { on: On::Memory(writer), holds_back, held: Vec::new() }
    }

    pub(super) fn on_disk(writer: journal::Writer<LyingDisk>, holds_back: Arc<AtomicBool>) -> Writer {
        Writer { on: On::Disk(Box::new(writer)), holds_back, held: Vec::new() }
    }

    fn catch_up(&mut self) -> Result<(), AppendError> {
        for batch in std::mem::take(&mut self.held) {
            either!(&mut self.on, writer => writer.append(writer.tail(), &batch))?;
        }
        Ok(())
    }
}

impl LogWriter for Writer {
    fn tail(&self) -> u64 {
        either!(&self.on, writer => writer.tail()) + self.held.len() as u64
    }

    fn hash(&self) -> ChainHash {
        either!(&self.on, writer => writer.hash())
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), ReserveError> {
        either!(&mut self.on, writer => writer.reserve(bytes))
    }

    fn append(&mut self, expected: u64, batch: &Batch) -> Result<u64, AppendError> {
        if self.holds_back.load(Ordering::Relaxed) {
            self.held.push(batch.clone());
            return Ok(expected);
        }
        self.catch_up()?;
        either!(&mut self.on, writer => writer.append(expected, batch))
    }

    fn seal(&mut self) -> Result<(), AppendError> {
        self.catch_up()?;
        either!(&mut self.on, writer => writer.seal())
    }

    fn erase(&mut self, payloads: &[Position]) -> Result<(), EraseError> {
        self.catch_up()?;
        either!(&mut self.on, writer => writer.erase(payloads))
    }

    fn begins_segment(&self) -> bool {
        either!(&self.on, writer => writer.begins_segment()) && self.held.is_empty()
    }

    fn truncate(&mut self, below: u64) -> Result<u64, TruncateError> {
        either!(&mut self.on, writer => writer.truncate(below))
    }

    fn bytes_from(&self, from: u64) -> u64 {
        either!(&self.on, writer => writer.bytes_from(from))
    }
}
