//! Reads blocks and payloads beside the writer. Nothing is taken on trust: whatever sled answers is checked again.

use super::pieces::{self, Trouble};
use super::shared::Shared;
use crate::layout::Header;
use crate::{Block, Fault, LogReader, ReadError};
use bytes::Bytes;
use postrider_core::Position;
use std::sync::Arc;

/// Reads a sled log; cheap to clone. Once the writer has ended there is nothing to read from.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    /// What `look` finds in block `number` by its head; `None` if the block is not in the log.
    pub(super) fn look<T>(
        &self,
        number: u64,
        look: impl FnOnce(&super::database::Database, &Header) -> Result<T, Trouble>,
    ) -> Result<Option<T>, ReadError> {
        let durable = self.shared.durable.read();
        if !(durable.first..durable.end).contains(&number) {
            return Ok(None);
        }
        drop(durable);
        let looked = self.shared.on(|db| {
            let (header, _) = pieces::header(db, number)?.ok_or(Fault::Lost)?;
            if header.log != self.shared.log {
                return Err(Fault::ForeignLog(header.log).into());
            }
            look(db, &header)
        });
        self.shared.judge(number, looked)
    }

    fn steps(
        &self,
        from: u64,
        read: impl Fn(&Reader, u64) -> Result<Option<Block>, ReadError>,
    ) -> impl Iterator<Item = Result<Block, ReadError>> {
        let mut next = from;
        std::iter::from_fn(move || {
            let block = read(self, next).transpose()?;
            next += 1;
            Some(block)
        })
    }
}

impl LogReader for Reader {
    fn first(&self) -> u64 {
        self.shared.durable.read().first
    }

    fn end(&self) -> u64 {
        self.shared.durable.read().end
    }

    fn read_block(&self, number: u64) -> Result<Option<Block>, ReadError> {
        self.look(number, pieces::block)
    }

    fn payload(&self, at: Position) -> Result<Option<Bytes>, ReadError> {
        let look = || {
            self.look(at.block(), |db, header| match pieces::table(db, header)?.place(at.index())? {
                Some(place) => pieces::payload(db, at.block(), at.index(), place).map(Some),
                None => Ok(None),
            })
        };
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
        self.steps(from, Reader::read_block)
    }

    fn read_facts(&self, number: u64) -> Result<Option<Block>, ReadError> {
        self.look(number, pieces::front)
    }

    fn facts(&self, from: u64) -> impl Iterator<Item = Result<Block, ReadError>> {
        self.steps(from, Reader::read_facts)
    }
}
