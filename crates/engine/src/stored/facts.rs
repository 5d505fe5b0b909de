//! Single facts read back from the log, through a small cache of blocks: checking a block costs as much as all of its facts, and whoever
//! asks for one fact soon asks for its neighbours.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::{DeliveryKey, Position, Time};
use postrider_log::{Block, codec};

use super::StoredError;
use crate::shared::Records;

/// What the blocks in the cache may take.
const CACHE_BYTES_MAX: usize = 16 << 20;

/// See the module.
pub struct Facts {
    log: Arc<dyn Records>,
    cache: Mutex<Cache>,
}

/// Blocks that were read and checked, the one that was not asked for longest goes first.
#[derive(Default)]
struct Cache {
    blocks: HashMap<u64, Kept>,
    /// When each was asked for last → its number.
    by_use: BTreeMap<u64, u64>,
    uses: u64,
    bytes: usize,
}

struct Kept {
    block: Block,
    used: u64,
}

impl Facts {
    /// None read yet.
    pub fn new(log: Arc<dyn Records>) -> Facts {
        Facts { log, cache: Mutex::default() }
    }

    /// The log's first block.
    pub fn first(&self) -> u64 {
        self.log.first()
    }

    /// See [`Stored::begin`](super::Stored::begin).
    pub fn begin(&self) -> Result<Option<Time>, StoredError> {
        loop {
            let first = self.first();
            match self.block(first)? {
                _ if first == 0 => return Ok(None),
                Some(block) => return Ok(Some(block.time())),
                None if self.first() == first => return Err(StoredError::Strange(Position::new(first, 0))),
                // The log has let go of it meanwhile.
                None => {}
            }
        }
    }

    /// The fact at a position; `None` when the log no longer has it, or has nothing there.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn record(&self, at: Position) -> Result<Option<Record>, StoredError> {
        let Some(block) = self.block(at.block())? else { return Ok(None) };
        let Some(fact) = block.fact(at.index()) else { return Ok(None) };
        Ok(Some(codec::decode(at, block.time(), fact)?))
    }

    /// See [`Stored::event_at`](super::Stored::event_at).
    pub fn event_at(&self, record: Position, at: Position) -> Result<Option<Arc<Event>>, StoredError> {
        Ok(self.record(record)?.and_then(|record| match record.fact {
            Fact::EventAccepted(event) | Fact::EventCarried { event, .. } => Some(event).filter(|event| event.at == at),
            _ => None,
        }))
    }

    /// See [`Stored::cell_at`](super::Stored::cell_at).
    pub fn cell_at(&self, key: DeliveryKey, newest: Position) -> Result<Option<Cell>, StoredError> {
        let Some(record) = self.record(newest)? else { return self.gone(newest) };
        let is_it = |cell: &&Cell| cell.key == key;
        let cell = match &record.fact {
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
                Some(cell).filter(is_it)
            }
            Fact::EventErased { cancelled: cells, .. } | Fact::EventCarried { cells, .. } => cells.iter().find(is_it),
            _ => None,
        };
        cell.map(|cell| Some(*cell)).ok_or(StoredError::Strange(newest))
    }

    /// What the log has let go of is not there; anything else should be.
    pub fn gone<T>(&self, at: Position) -> Result<Option<T>, StoredError> {
        if at.block() < self.first() { Ok(None) } else { Err(StoredError::Strange(at)) }
    }

    /// See [`Stored::records`](super::Stored::records). Not kept in the cache: who asks looks at each block once.
    pub fn records(&self, number: u64) -> Result<Vec<Record>, StoredError> {
        let Some(block) = self.log.facts(number)?.filter(|_| number >= self.log.first()) else { return Ok(Vec::new()) };
        let facts = block.facts().map(|(at, fact)| codec::decode(at, block.time(), fact));
        Ok(facts.collect::<Result<_, _>>()?)
    }

    fn block(&self, number: u64) -> Result<Option<Block>, StoredError> {
        // What is in the cache may be gone from the log meanwhile.
        if number < self.log.first() {
            return Ok(None);
        }
        if let Some(block) = self.cache.lock().get(number) {
            return Ok(Some(block));
        }
        let block = self.log.facts(number)?;
        if let Some(block) = &block {
            self.cache.lock().put(block);
        }
        Ok(block)
    }
}

impl Cache {
    fn get(&mut self, number: u64) -> Option<Block> {
        let kept = self.blocks.get_mut(&number)?;
        self.by_use.remove(&kept.used);
        self.uses += 1;
        kept.used = self.uses;
        self.by_use.insert(kept.used, number);
        Some(kept.block.clone())
    }

    fn put(&mut self, block: &Block) {
        let number = block.number();
        if self.blocks.contains_key(&number) {
            return;
        }
        self.uses += 1;
        self.bytes += cost(block);
        self.by_use.insert(self.uses, number);
        self.blocks.insert(number, Kept { block: block.clone(), used: self.uses });
        while self.bytes > CACHE_BYTES_MAX {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |kept| cost(&kept.block));
        }
    }
}

/// Its bytes, and about what the maps take for it.
fn cost(block: &Block) -> usize {
    block.bytes_held() + 256
}

#[cfg(test)]
mod tests {
    use super::*;
    use postrider_core::Time;
    use postrider_log::memory::Memory;
    use postrider_log::{Batch, EventLog, LogId, LogReader, LogWriter};

    #[test]
    fn the_cache_keeps_what_was_asked_for_last_within_its_bound() {
        let mut log = Memory::new(LogId([7; 16])).claim(0, 1, Time(1)).unwrap();
        for number in 1..30 {
            let mut batch = Batch::new(Time(1));
            batch.push(&vec![number as u8; 1 << 20], None);
            log.writer.append(number, &batch).unwrap();
        }
        let mut cache = Cache::default();
        for number in 1..30 {
            assert!(cache.get(1).is_none() || number > 1);
            cache.put(&log.reader.read_facts(number).unwrap().unwrap());
            cache.put(&log.reader.read_facts(number).unwrap().unwrap());
            cache.get(1).expect("it is asked for all the time");
        }
        assert_eq!((cache.blocks.len(), cache.by_use.len()), (15, 15));
        assert!(cache.bytes <= CACHE_BYTES_MAX && cache.get(29).is_some() && cache.get(14).is_none());
    }
}
