//! The walk over the whole chain: from the block that `HEAD` names as the first one up to the end, and past it to what was written and
//! never acknowledged.

use super::PLACE;
use super::database::Database;
use super::head::Head;
use super::pieces::{self, Trouble};
use super::shared::Segment;
use crate::layout::{Chain, Header};
use crate::{Block, Damage, Fault, ReadError};
use std::collections::VecDeque;

/// Where the walk is. All before is whole.
#[derive(Debug)]
pub(super) struct Walk {
    /// What the next block must be.
    pub chain: Chain,
    /// The end, as `HEAD` has it.
    end: Chain,
    /// From the first block on.
    pub segments: VecDeque<Segment>,
    /// What lies behind the end and is not whole: it was never acknowledged.
    pub torn: Option<Damage>,
}

impl Walk {
    pub fn new(head: &Head) -> Walk {
        let start = Chain::start(head.log);
        let chain = Chain { next: head.first, hash: head.previous, ..start };
        let end = Chain { next: head.end, hash: head.hash, ..start };
        Walk { chain, end, segments: VecDeque::new(), torn: None }
    }

    /// The next block, without payloads; `None` at the end.
    pub fn next(&mut self, db: &Database) -> Result<Option<Block>, ReadError> {
        let number = self.chain.next;
        if number == self.end.next && self.chain.hash != self.end.hash {
            return Err(damage(number.saturating_sub(1), Fault::Chain).into());
        }
        let looked = match pieces::header(db, number) {
            Ok(None) if number >= self.end.next => return Ok(None),
            Ok(None) => Err(Fault::Lost.into()),
            Ok(Some((header, begins))) => self.check(db, &header).map(|block| (block, begins)),
            Err(trouble) => Err(trouble),
        };
        match looked {
            Ok((block, begins)) => {
                self.take(block.header(), begins);
                Ok(Some(block))
            }
            Err(Trouble::Failed(failure)) => Err(ReadError::Unavailable(failure.into())),
            // `HEAD` is synced before a block is acknowledged: this one never was.
            Err(Trouble::Fault(fault)) if number >= self.end.next => {
                self.torn = Some(damage(number, fault));
                Ok(None)
            }
            Err(Trouble::Fault(fault)) => Err(damage(number, fault).into()),
        }
    }

    fn check(&self, db: &Database, header: &Header) -> Result<Block, Trouble> {
        self.chain.check(header)?;
        pieces::front(db, header)
    }

    fn take(&mut self, header: &Header, begins: bool) {
        if begins || self.segments.is_empty() {
            self.segments.push_back(Segment { first: header.number, bytes: 0 });
        }
        if let Some(segment) = self.segments.back_mut() {
            segment.bytes += header.block_len() as u64;
        }
        self.chain = self.chain.then(header);
    }
}

/// A fault with its place, as far as that is known.
pub(super) fn damage(block: u64, fault: Fault) -> Damage {
    Damage { file: PLACE.into(), offset: 0, block, fault }
}
