//! What the writer and its readers share: the database, and which blocks are durable.

use super::database::{Database, Failure};
use super::pieces::Trouble;
use super::walk::damage;
use crate::{LogId, ReadError};
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::io;

#[derive(Debug)]
pub(super) struct Shared {
    /// `None` once the writer has ended: sled's lock goes with it, however long a reader is kept.
    db: RwLock<Option<Database>>,
    pub log: LogId,
    pub durable: RwLock<Durable>,
    /// Held while payloads are overwritten. A reader that finds a bad one waits for it and looks again.
    pub erasing: Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Durable {
    pub segments: VecDeque<Segment>,
    /// The oldest block.
    pub first: u64,
    /// The number after that of the last one.
    pub end: u64,
}

/// Blocks that go together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub first: u64,
    /// Of its blocks, with padding, as if they lay in a file.
    pub bytes: u64,
}

impl Shared {
    pub fn new(db: Database, log: LogId, durable: Durable) -> Shared {
        Shared { db: RwLock::new(Some(db)), log, durable: RwLock::new(durable), erasing: Mutex::default() }
    }

    /// Closes the database.
    pub fn close(&self) {
        self.db.write().take();
    }

    /// Runs `call` on the database.
    pub fn on<T, E: From<Failure>>(&self, call: impl FnOnce(&Database) -> Result<T, E>) -> Result<T, E> {
        match &*self.db.read() {
            Some(db) => call(db),
            None => Err(Failure::Disk(io::Error::other("the log was closed")).into()),
        }
    }

    /// What was looked for in block `number`, which was durable; `None` if it was let go of meanwhile.
    pub fn judge<T>(&self, number: u64, looked: Result<T, Trouble>) -> Result<Option<T>, ReadError> {
        match looked {
            Ok(found) => Ok(Some(found)),
            Err(Trouble::Fault(_)) if number < self.durable.read().first => Ok(None),
            Err(Trouble::Fault(fault)) => Err(damage(number, fault).into()),
            Err(Trouble::Failed(failure)) => Err(ReadError::Unavailable(failure.into())),
        }
    }
}
