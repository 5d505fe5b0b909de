//! Looks at a journal at rest: every block with its place, and whether payloads too are what was written. Changes nothing.

use super::disk::Disk;
use super::head::Head;
use super::recovery::{OpenError, beginning, segments};
use super::segment;
use super::walk::{Found, Walk, damage, read_block};
use crate::{Block, Damage, Fault, Kind, LogId, ReadError};
use postrider_core::{Position, Time};
use std::io;

/// A journal that is opened for reading only, without its lock.
#[derive(Debug)]
pub struct Inspect<D: Disk> {
    disk: D,
    head: Head,
    segments: Vec<u64>,
}

/// A block, and where it lies.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Relative to the data folder.
    pub file: String,
    /// In bytes.
    pub offset: u64,
    /// What lies there.
    pub block: Block,
}

/// What a whole log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Segment files.
    pub segments: u64,
    /// Blocks, with owner entries, seals and gaps.
    pub blocks: u64,
    /// Among them those that stand for lost ones.
    pub gaps: u64,
    /// Facts.
    pub facts: u64,
    /// Bytes of facts.
    pub facts_bytes: u64,
    /// Bytes of payloads.
    pub payloads_bytes: u64,
    /// Bytes of all blocks, with heads, tables and padding.
    pub blocks_bytes: u64,
    /// The first block's time.
    pub time_first: Option<Time>,
    /// The last block's time.
    pub time_last: Option<Time>,
    /// Payloads that were to be erased and are zeros.
    pub erased: u64,
    /// Payloads that were to be erased and are not zeros, or not all of them: a crash came between the fact and the erasure.
    pub to_erase: Vec<Position>,
    /// A last block that was begun and never acknowledged. Not counted; opening drops it.
    pub torn: Option<Damage>,
}

/// Why a log is not what was written.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The first fault.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The disk refused.
    #[error("the log cannot be read: {0}")]
    Unavailable(#[from] io::Error),
}

impl From<ReadError> for VerifyError {
    fn from(error: ReadError) -> VerifyError {
        match error {
            ReadError::Damaged(damage) | ReadError::Erased(damage) => VerifyError::Damaged(damage),
            ReadError::Unavailable(error) => VerifyError::Unavailable(error),
        }
    }
}

impl<D: Disk> Inspect<D> {
    /// The log on `disk`.
    ///
    /// # Errors
    /// When there is none that this version can read. Damage past the file `HEAD` is found later, by reading.
    pub fn open_on(disk: D) -> Result<Inspect<D>, OpenError> {
        let names = disk.list()?;
        let head = Head::read(&disk, &names)?.ok_or_else(|| OpenError::NoLog { folder: disk.describe() })?;
        let (segments, _) = segments(&names, head.first);
        Ok(Inspect { disk, head, segments })
    }

    /// Which log it is.
    pub fn log(&self) -> LogId {
        self.head.log
    }

    /// When it was made.
    pub fn created(&self) -> Time {
        self.head.created
    }

    fn walk(&self) -> Walk<'_, D> {
        Walk::new(&self.disk, self.segments.clone(), beginning(&self.head))
    }

    /// All blocks in order, up to the end or the first damage. A last block with torn payloads is among them.
    pub fn blocks(&self) -> impl Iterator<Item = Result<Stored, ReadError>> {
        let mut walk = Some(self.walk());
        std::iter::from_fn(move || {
            let next = next_stored(&self.disk, walk.as_mut()?).transpose();
            if !matches!(next, Some(Ok(_))) {
                walk = None;
            }
            next
        })
    }

    /// Reads everything, payloads too, of a log in which nothing was erased.
    ///
    /// # Errors
    /// `Damaged` with the first fault.
    pub fn verify(&self) -> Result<Stats, VerifyError> {
        self.verify_erased(|_| false)
    }

    /// Reads everything, payloads too. `is_erased` tells of which facts the payloads were to be erased: whoever reads the facts knows.
    /// These may be anything, since a crash during an erasure leaves sectors of both kinds; what is not zeros yet is listed in
    /// [`Stats::to_erase`]. Every other payload must match its crc.
    ///
    /// # Errors
    /// `Damaged` with the first fault; with [`Fault::Erased`](crate::Fault::Erased) for zeros that `is_erased` knows nothing of.
    pub fn verify_erased(&self, is_erased: impl Fn(Position) -> bool) -> Result<Stats, VerifyError> {
        let mut stats = Stats { segments: self.segments.len() as u64, ..Stats::default() };
        let mut walk = self.walk();
        // Of the newest segment; a torn tail only if no block follows.
        let mut suspect: Option<Damage> = None;
        while let Some(found) = walk.next()? {
            if let Some(damage) = suspect {
                return Err(damage.into());
            }
            suspect = self.check_payloads(&found, &is_erased, &mut stats)?;
            match &suspect {
                Some(damage) if !found.newest => return Err(damage.clone().into()),
                Some(_) => {}
                None => stats.add(&found.header),
            }
        }
        match (suspect, walk.torn) {
            (Some(damage), Some(_)) => Err(damage.into()),
            (suspect, torn) => Ok(Stats { torn: suspect.or(torn), ..stats }),
        }
    }

    /// What is wrong with the payloads of `found`; counts those that were to be erased.
    fn check_payloads(
        &self,
        found: &Found,
        is_erased: impl Fn(Position) -> bool,
        stats: &mut Stats,
    ) -> io::Result<Option<Damage>> {
        let name = segment::name(found.segment);
        let block = read_block(&self.disk.open(&name, false)?, found.offset, &found.header)?;
        let fault = block.and_then(|block| stats.check(&block, is_erased));
        Ok(fault.err().map(|fault| damage(&name, found.offset, found.header.number, fault)))
    }
}

fn next_stored<D: Disk>(disk: &D, walk: &mut Walk<'_, D>) -> Result<Option<Stored>, ReadError> {
    let Some(found) = walk.next()? else { return Ok(None) };
    let name = segment::name(found.segment);
    let block = read_block(&disk.open(&name, false)?, found.offset, &found.header)?;
    let block = block.map_err(|fault| damage(&name, found.offset, found.header.number, fault))?;
    Ok(Some(Stored { file: format!("log/{name}"), offset: found.offset, block }))
}

impl Stats {
    /// Whether the payloads of `block` are what they should be; counts those that were to be erased.
    pub(crate) fn check(&mut self, block: &Block, is_erased: impl Fn(Position) -> bool) -> Result<(), Fault> {
        for index in 0..block.len() {
            let at = Position::new(block.number(), index);
            match block.is_zeros(index) {
                None => {}
                Some(true) if is_erased(at) => self.erased += 1,
                Some(false) if is_erased(at) => self.to_erase.push(at),
                Some(_) => drop(block.payload(index)?),
            }
        }
        block.check_padding()
    }

    pub(crate) fn add(&mut self, header: &crate::layout::Header) {
        self.blocks += 1;
        self.gaps += u64::from(header.kind == Kind::Gap);
        self.facts += u64::from(header.count);
        self.facts_bytes += u64::from(header.facts_len);
        self.payloads_bytes += u64::from(header.payloads_len);
        self.blocks_bytes += header.block_len() as u64;
        self.time_first.get_or_insert(header.time);
        self.time_last = Some(header.time);
    }
}
