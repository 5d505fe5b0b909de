//! Copies a log while it is written: the same log up to a point, block by block as read and checked, under the same names and at the same
//! offsets. Asks nothing of the writer and takes no lock of its; the original is only read.
//!
//! The log is append-only and its blocks are chained, so what was read whole is what was written, whatever is written meanwhile. Three
//! things change under a reader nevertheless:
//!
//! - **The end.** A block that is being written looks torn. The copy ends before it; it was not acknowledged yet.
//! - **The beginning.** Segments go, and their space is overwritten. `HEAD` names the later beginning before that, so what cannot be read
//!   is no damage if `HEAD` has changed: copying begins again, a bounded number of times.
//! - **Payloads.** Zeros are written over them once a fact that says so is durable. That fact is in the copy: it was written before the
//!   zeros that were read, and the copy goes on to an end that is looked for after that. A payload that was copied before it was erased
//!   is erased in the copy at the end.
//!
//! `HEAD` comes last, when all else is durable: a copy that was cut off is no log, and what opens logs refuses it.

mod copy;

use super::disk::{Disk, DiskFile};
use super::head::Head;
use super::recovery::{OpenError, beginning, segments};
use super::segment;
use super::walk::{Found, Walk, damage};
use crate::{Block, Damage, Fault, LogId, ReadError};
use copy::Copy;
use postrider_core::{Position, Time};
use std::io;

/// How often copying begins, before the log is said to let go of its beginning too fast.
const BEGINNINGS_MAX: u32 = 8;
/// How often what looks like damage is looked at. An append that was under way at the first look is over at the second.
const LOOKS_MAX: u32 = 4;

/// What came of one step.
#[derive(Clone, Debug)]
pub enum Step {
    /// This block is in the copy.
    Copied(Block),
    /// There is no further block at present. A next step goes on with what was written since.
    End,
    /// The log begins later than it did, and what was to be copied next is gone. The copy is empty again.
    Again,
}

/// What a copy holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Which log it is: the original's id.
    pub log: LogId,
    /// Its oldest block.
    pub first: u64,
    /// The number of its next block.
    pub end: u64,
    /// The last block's time.
    pub time_last: Option<Time>,
    /// Segment files.
    pub segments: u64,
    /// Bytes of its blocks.
    pub bytes: u64,
    /// Payloads that were whole in the original when they were copied, and are erased in the copy, because it has a fact that says so.
    pub erased: u64,
    /// Payloads that match neither their crcs nor a fact that says they were erased. They were copied as they are.
    pub payloads: Vec<Damage>,
}

/// Why there is no copy. What was written of it is no log: it has no `HEAD`.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is no log, or none that this version can read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// A block of the log is not what was written. Salvaging copies what is whole.
    #[error("the log is damaged: {0}")]
    Damaged(Damage),
    /// The log cannot be read.
    #[error("the log cannot be read: {0}")]
    Unreadable(io::Error),
    /// The log's beginning went faster than it could be copied.
    #[error("the log let go of its beginning {BEGINNINGS_MAX} times while it was copied")]
    Overtaken,
    /// The copy's folder has files already.
    #[error("{folder} has files in its folder log already")]
    NotEmpty {
        /// The data folder.
        folder: String,
    },
    /// Another process has the copy's folder.
    #[error("{folder} is in use by another process")]
    Locked {
        /// The data folder.
        folder: String,
    },
    /// The copy cannot be written.
    #[error("the copy cannot be written: {0}")]
    Unwritable(io::Error),
}

/// Why a step was not made.
enum Stop {
    /// `HEAD` names a later beginning.
    Moved,
    Failed(BackupError),
}

impl From<BackupError> for Stop {
    fn from(error: BackupError) -> Stop {
        Stop::Failed(error)
    }
}

/// A copy in the making.
#[derive(Debug)]
pub struct Backup<'a, S: Disk, D: Disk> {
    from: &'a S,
    head: Head,
    walk: Walk<'a, S>,
    /// Found and not copied yet.
    ahead: Option<Found>,
    copy: Copy<'a, D>,
    /// Bytes of the segments that are known.
    size: u64,
    beginnings: u32,
    /// Payloads in the copy that are zeros and do not match their crcs, ascending.
    zeros: Vec<Position>,
    /// Payloads in the copy that are anything else and do not match their crcs, ascending.
    bad: Vec<Position>,
    _lock: D::Lock,
}

impl<'a, S: Disk, D: Disk> Backup<'a, S, D> {
    /// Begins to copy the log on `from` to `to`, where there is nothing.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn begin(from: &'a S, to: &'a D) -> Result<Backup<'a, S, D>, BackupError> {
        let head = read_head(from)?;
        let is_empty = |names: Vec<String>| names.is_empty();
        let not_empty = || BackupError::NotEmpty { folder: to.describe() };
        // Once before there is a lock file of ours in a folder that may not be.
        to.list().map(is_empty).map_err(BackupError::Unwritable)?.then_some(()).ok_or_else(not_empty)?;
        to.make().map_err(BackupError::Unwritable)?;
        let lock = to.lock().map_err(BackupError::Unwritable)?;
        let lock = lock.ok_or_else(|| BackupError::Locked { folder: to.describe() })?;
        to.list().map(is_empty).map_err(BackupError::Unwritable)?.then_some(()).ok_or_else(not_empty)?;
        let mut backup = Backup {
            from,
            head,
            walk: Walk::new(from, Vec::new(), beginning(&head)),
            ahead: None,
            copy: Copy::new(to, head.first),
            size: 0,
            beginnings: 1,
            zeros: Vec::new(),
            bad: Vec::new(),
            _lock: lock,
        };
        backup.relist().map_err(BackupError::Unreadable)?;
        Ok(backup)
    }

    /// Copies the next block.
    ///
    /// # Errors
    /// See [`BackupError`]. There is nothing more to be had then.
    pub fn step(&mut self) -> Result<Step, BackupError> {
        match self.copy_next() {
            Ok(Some(block)) => Ok(Step::Copied(block)),
            Ok(None) => Ok(Step::End),
            Err(Stop::Moved) => self.begin_again(),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    /// Bytes of the blocks in the copy.
    pub fn bytes(&self) -> u64 {
        self.copy.bytes
    }

    /// Bytes of the original's files as far as they are known, which is more than its blocks have.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Ends the copy with the last block that was copied: erases in it the payloads at `erased`, which is what its facts say, ascending;
    /// makes everything durable, and makes it a log.
    ///
    /// A payload in one of the last two blocks stays, as whatever opens a log erases it again: two whole blocks have to follow each
    /// erased payload, so that the loss of the last block does not make one the last whose payloads look torn.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn finish(self, erased: impl Iterator<Item = Position> + Clone) -> Result<Copied, BackupError> {
        let Backup { head, mut copy, zeros, bad, _lock, .. } = self;
        let is_in = |positions: &[Position], at: &Position| positions.binary_search(at).is_ok();
        let settled = |at: &Position| at.block() >= head.first && at.block() + 2 < copy.next;
        let left: Vec<Position> = erased.clone().filter(|at| settled(at) && !is_in(&zeros, at)).collect();
        let erased: Vec<Position> = erased.collect();
        let mut unexplained: Vec<Position> =
            zeros.iter().chain(&bad).filter(|at| !is_in(&erased, at)).copied().collect();
        unexplained.sort_unstable();

        let written = || -> io::Result<Copied> {
            let payloads = unexplained.into_iter().map(|at| copy.damage(at, is_in(&zeros, &at)));
            let payloads = payloads.collect::<io::Result<_>>()?;
            let erased = copy.erase(&left)?;
            copy.finish()?;
            head.write(copy.disk)?;
            let Copy { next: end, time_last, bytes, .. } = copy;
            let segments = copy.segments.len() as u64;
            Ok(Copied { log: head.log, first: head.first, end, time_last, segments, bytes, erased, payloads })
        };
        written().map_err(BackupError::Unwritable)
    }

    fn copy_next(&mut self) -> Result<Option<Block>, Stop> {
        let Some(found) = self.found()? else { return Ok(None) };
        let mut block = self.patiently(|backup| backup.read(&found))?;
        if block.check_payloads().is_err() {
            // Erased, or being written: a block after it tells.
            match self.found()? {
                Some(next) => self.ahead = Some(next),
                None => {
                    self.ahead = Some(found);
                    return Ok(None);
                }
            }
            block = self.patiently(|backup| backup.read(&found))?;
        }
        let faults: Vec<Fault> = (0..block.len()).filter_map(|index| block.payload(index).err()).collect();
        // Half erased; or the file was recycled between two of the bytes that were read.
        if faults.iter().any(|fault| matches!(fault, Fault::Payload(_))) && self.has_moved()? {
            return Err(Stop::Moved);
        }
        for fault in faults {
            match fault {
                Fault::Erased(index) => self.zeros.push(Position::new(block.number(), index)),
                Fault::Payload(index) => self.bad.push(Position::new(block.number(), index)),
                fault => unreachable!("a block that was read whole has no {fault:?}"),
            }
        }
        self.copy.push(&found, &block).map_err(BackupError::Unwritable)?;
        Ok(Some(block))
    }

    /// The next block that is not copied yet.
    fn found(&mut self) -> Result<Option<Found>, Stop> {
        if let Some(found) = self.ahead.take() {
            return Ok(Some(found));
        }
        if let Some(found) = self.patiently(|backup| backup.walk.next())? {
            return Ok(Some(found));
        }
        // Perhaps the log goes on in a segment that is new, or that took the place of an empty one.
        self.relist().map_err(BackupError::Unreadable)?;
        self.patiently(|backup| backup.walk.next())
    }

    fn read(&self, found: &Found) -> Result<Block, ReadError> {
        let block = self.walk.block(found)?;
        Ok(block.map_err(|fault| damage(&segment::name(found.segment), found.offset, found.header.number, fault))?)
    }

    /// Looks again at what cannot be read, since it may be under way.
    fn patiently<T>(&mut self, look: impl Fn(&mut Self) -> Result<T, ReadError>) -> Result<T, Stop> {
        let mut looks = 1;
        loop {
            let error = match look(self) {
                Ok(seen) => return Ok(seen),
                Err(error) => error,
            };
            if self.has_moved()? {
                return Err(Stop::Moved);
            }
            if looks == LOOKS_MAX {
                return Err(Stop::Failed(match error {
                    ReadError::Damaged(damage) | ReadError::Erased(damage) => BackupError::Damaged(damage),
                    ReadError::Unavailable(error) => BackupError::Unreadable(error),
                }));
            }
            looks += 1;
            self.relist().map_err(BackupError::Unreadable)?;
        }
    }

    /// Whether the log begins elsewhere than what is copied.
    fn has_moved(&self) -> Result<bool, BackupError> {
        Ok(read_head(self.from)? != self.head)
    }

    fn relist(&mut self) -> io::Result<()> {
        let (live, _) = segments(&self.from.list()?, self.head.first);
        self.size = 0;
        for &first in &live {
            // One that is gone meanwhile counts nothing; whoever reads it will notice.
            self.size += self.from.open(&segment::name(first), false).and_then(|file| file.size()).unwrap_or(0);
        }
        self.walk.relist(live);
        Ok(())
    }

    fn begin_again(&mut self) -> Result<Step, BackupError> {
        if self.beginnings == BEGINNINGS_MAX {
            return Err(BackupError::Overtaken);
        }
        self.beginnings += 1;
        self.head = read_head(self.from)?;
        self.copy.clear(self.head.first).map_err(BackupError::Unwritable)?;
        self.walk = Walk::new(self.from, Vec::new(), beginning(&self.head));
        (self.ahead, self.zeros, self.bad) = (None, Vec::new(), Vec::new());
        self.relist().map_err(BackupError::Unreadable)?;
        Ok(Step::Again)
    }
}

fn read_head<S: Disk>(from: &S) -> Result<Head, BackupError> {
    let names = from.list().map_err(BackupError::Unreadable)?;
    Ok(Head::read(from, &names)?.ok_or_else(|| OpenError::NoLog { folder: from.describe() })?)
}
