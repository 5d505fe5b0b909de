//! What the writer and its readers share: which blocks are durable, and where they are.

use super::disk::Disk;
use super::segment::{self, Segment};
use crate::LogId;
use crate::table::Table;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Files that readers keep open.
const FILES_OPEN_MAX: usize = 32;
/// Blocks whose places readers remember. One that reads on, and those who read payloads of one block after another, find them here
/// instead of hopping from the nearest indexed block.
const PLACES_MAX: usize = 64;
/// Blocks whose tables readers have at hand. Who reads payloads mostly reads many of one block, and its table tells where each lies.
const TABLES_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Shared<D: Disk> {
    pub disk: D,
    pub log: LogId,
    /// Held for a few instructions only, never over I/O.
    pub durable: RwLock<Durable>,
    files: Mutex<VecDeque<(u64, Arc<D::File>)>>,
    /// By block number, modulo their count. A block stays where it is for as long as it is in the log, and no number comes twice.
    places: Mutex<[Option<Spot>; PLACES_MAX]>,
    /// Those read last, the oldest first. A table never changes, also where payloads are erased.
    tables: Mutex<VecDeque<(Spot, Arc<Table>)>>,
    /// Held while payloads are overwritten. A reader that finds a bad one waits for it and looks again.
    pub erasing: Mutex<()>,
}

#[derive(Debug)]
pub(crate) struct Durable {
    pub segments: VecDeque<Segment>,
    /// The oldest block.
    pub first: u64,
    /// The number after that of the last one.
    pub end: u64,
}

/// A block at which a search can begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    /// The first block of the segment.
    pub segment: u64,
    pub number: u64,
    pub offset: u64,
}

fn place_of(number: u64) -> usize {
    (number % PLACES_MAX as u64) as usize
}

impl Durable {
    /// The nearest indexed block up to `number`, if that is durable and still there.
    pub fn locate(&self, number: u64) -> Option<Spot> {
        if !(self.first..self.end).contains(&number) {
            return None;
        }
        let after = self.segments.partition_point(|segment| segment.first <= number);
        let segment = self.segments.get(after.checked_sub(1)?)?;
        let (number, offset) = segment.at_or_before(number);
        Some(Spot { segment: segment.first, number, offset: offset.into() })
    }

    /// The segment that block `number` belongs to begins with this block.
    pub fn is_first_of_segment(&self, number: u64) -> bool {
        self.segments.binary_search_by_key(&number, |segment| segment.first).is_ok()
    }
}

impl<D: Disk> Shared<D> {
    pub fn new(disk: D, log: LogId, durable: Durable) -> Shared<D> {
        Shared {
            disk,
            log,
            durable: RwLock::new(durable),
            files: Mutex::default(),
            places: Mutex::new([None; PLACES_MAX]),
            tables: Mutex::default(),
            erasing: Mutex::default(),
        }
    }

    /// Where block `number` is, or one before it to look from, if it is durable and still there.
    pub fn locate(&self, number: u64) -> Option<Spot> {
        let nearest = self.durable.read().locate(number)?;
        // What comes next in a segment can turn out to be in the next one, whose first block is always indexed.
        if nearest.number == number {
            return Some(nearest);
        }
        Some(self.places.lock()[place_of(number)].filter(|spot| spot.number == number).unwrap_or(nearest))
    }

    /// Remembers where a block begins that was read, and where the next one does if that is of the same segment.
    pub fn remember(&self, spots: [Spot; 2]) {
        let mut places = self.places.lock();
        spots.into_iter().for_each(|spot| places[place_of(spot.number)] = Some(spot));
    }

    /// The table of block `number`, if it was read lately and the block is still there.
    pub fn table(&self, number: u64) -> Option<(Spot, Arc<Table>)> {
        let found = self.tables.lock().iter().find(|(spot, _)| spot.number == number).cloned();
        found.filter(|_| number >= self.durable.read().first)
    }

    /// Keeps a table that was read.
    pub fn keep_table(&self, spot: Spot, table: Arc<Table>) {
        let mut tables = self.tables.lock();
        if tables.len() == TABLES_MAX {
            tables.pop_front();
        }
        tables.push_back((spot, table));
    }

    /// The segment's file, for reading.
    pub fn file(&self, segment: u64) -> io::Result<Arc<D::File>> {
        if let Some((_, file)) = self.files.lock().iter().find(|(first, _)| *first == segment) {
            return Ok(file.clone());
        }
        let file = Arc::new(self.disk.open(&segment::name(segment), false)?);
        let mut files = self.files.lock();
        if files.len() == FILES_OPEN_MAX {
            files.pop_front();
        }
        files.push_back((segment, file.clone()));
        Ok(file)
    }

    /// Lets go of files whose blocks are gone.
    pub fn forget_below(&self, first: u64) {
        self.files.lock().retain(|(segment, _)| *segment >= first);
    }
}
