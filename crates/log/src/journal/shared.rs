//! What the writer and its readers share: which blocks are durable, and where they are.

use super::disk::Disk;
use super::segment::{self, Segment};
use crate::LogId;
use parking_lot::{Mutex, RwLock};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// Files that readers keep open.
const FILES_OPEN_MAX: usize = 32;

#[derive(Debug)]
pub(crate) struct Shared<D: Disk> {
    pub disk: D,
    pub log: LogId,
    /// Held for a few instructions only, never over I/O.
    pub durable: RwLock<Durable>,
    files: Mutex<VecDeque<(u64, Arc<D::File>)>>,
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
        Shared { disk, log, durable: RwLock::new(durable), files: Mutex::default(), erasing: Mutex::default() }
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
