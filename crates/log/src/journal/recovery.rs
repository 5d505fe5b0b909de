//! Opening: lock, read the whole chain, and only then touch anything.

use super::Options;
use super::disk::{Disk, DiskFile};
use super::head::Head;
use super::reader::Reader;
use super::segment::{self, Segment};
use super::shared::{Durable, Shared};
use super::walk::{Found, Walk, damage, read_block};
use super::writer::{Parts, Writer};
use crate::layout::{Chain, LogId, Owner};
use crate::{ClaimError, Claimed, Damage, EventLog, LogKind, ReadError};
use postrider_core::Time;
use std::io;
use std::sync::Arc;

/// Why a journal was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{folder} is in use by another process")]
    Locked {
        /// The data folder.
        folder: String,
    },
    /// The folder holds something else.
    #[error("{folder} is not empty and holds no Postrider log")]
    Foreign {
        /// The data folder.
        folder: String,
    },
    /// There is no log, and none was to be made.
    #[error("{folder} holds no log")]
    NoLog {
        /// The data folder.
        folder: String,
    },
    /// The log is not of the kind that was asked for.
    #[error("the log in {folder} is kept as `{found}`, and `{asked}` was asked for: a log stays what it was made as")]
    OtherKind {
        /// The data folder.
        folder: String,
        /// What it is.
        found: LogKind,
        /// What it was to be.
        asked: LogKind,
    },
    /// A newer program wrote it.
    #[error("the log in {folder} has format version {version}; this program reads up to {newest}", newest = crate::VERSION)]
    NewerVersion {
        /// The data folder.
        folder: String,
        /// That of the log.
        version: u16,
    },
    /// Not what was written. Nothing was changed.
    #[error("the log is damaged: {0}")]
    Damaged(#[from] Damage),
    /// sled gave an error over its files, or panicked; it may have written to them.
    #[error("sled cannot open the log in {folder}: {why}")]
    Sled {
        /// The data folder.
        folder: String,
        /// What sled said.
        why: String,
    },
    /// The disk refused.
    #[error("the log cannot be opened: {0}")]
    Unavailable(#[from] io::Error),
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> OpenError {
        match error {
            ReadError::Damaged(damage) | ReadError::Erased(damage) => OpenError::Damaged(damage),
            ReadError::Unavailable(error) => OpenError::Unavailable(error),
        }
    }
}

/// What was found at opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which log it is.
    pub log: LogId,
    /// When it was made.
    pub created: Time,
    /// The oldest block.
    pub first: u64,
    /// The number of the next block.
    pub end: u64,
    /// Segment files.
    pub segments: usize,
    /// A last block that was begun and never acknowledged; dropped.
    pub torn: Option<Damage>,
}

/// A journal that is opened, locked and whole, and waits to be claimed.
#[derive(Debug)]
pub struct Journal<D: Disk> {
    shared: Shared<D>,
    lock: D::Lock,
    options: Options,
    head: Head,
    scan: Scan,
    spares: Vec<String>,
    segments: usize,
}

/// What the walk over the whole chain gave.
#[derive(Debug)]
struct Scan {
    chain: Chain,
    last: Option<Found>,
    /// The last segment, if there is one, and where the next block belongs in it.
    end: Option<(u64, u64)>,
    torn: Option<Damage>,
}

impl<D: Disk> Journal<D> {
    /// Opens the log on `disk`; makes it if there is none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_on(disk: D, options: Options) -> Result<Journal<D>, OpenError> {
        // Once before there is a lock file of ours in a folder that may not be.
        Head::read(&disk, &disk.list()?)?;
        disk.make()?;
        let Some(lock) = disk.lock()? else {
            return Err(OpenError::Locked { folder: disk.describe() });
        };
        let names = disk.list()?;
        let head = match Head::read(&disk, &names)? {
            Some(head) => head,
            None => create(&disk, &options)?,
        };
        let (live, dead) = segments(&names, head.first);
        let mut durable = Durable { segments: Default::default(), first: head.first, end: head.first };
        let scan = scan(&disk, &head, live.clone(), &mut durable)?;
        // Only now is anything changed: what a cut-off rename or truncation left behind.
        let mut spares: Vec<String> = names.iter().filter(|name| segment::is_spare(name)).cloned().collect();
        for first in dead {
            disk.rename(&segment::name(first), &segment::spare_name(first))?;
            spares.push(segment::spare_name(first));
        }
        if names.iter().any(|name| name == segment::NAME_NEW) {
            disk.remove(segment::NAME_NEW)?;
        }
        disk.sync_names()?;
        let shared = Shared::new(disk, head.log, durable);
        Ok(Journal { shared, lock, options, head, scan, spares, segments: live.len() })
    }

    /// What was found.
    pub fn report(&self) -> Report {
        Report {
            log: self.head.log,
            created: self.head.created,
            first: self.head.first,
            end: self.scan.chain.next,
            segments: self.segments,
            torn: self.scan.torn.clone(),
        }
    }
}

impl<D: Disk> EventLog for Journal<D> {
    type Writer = Writer<D>;
    type Reader = Reader<D>;

    fn claim(self, shard: u32, node: u64, now: Time) -> Result<Claimed<Writer<D>, Reader<D>>, ClaimError> {
        let chain = self.scan.chain;
        if chain.next > 0 && chain.owner.shard != shard {
            return Err(ClaimError::WrongShard { asked: shard, found: chain.owner.shard });
        }
        let owner = Owner { shard, node, epoch: chain.owner.epoch + 1 };
        let time = chain.time.max(now);
        let shared = Arc::new(self.shared);
        let parts = Parts { lock: self.lock, options: self.options, chain, head: self.head, spares: self.spares };
        let unavailable = |error| ClaimError::Unavailable(Arc::new(error));
        let mut writer = Writer::open(shared.clone(), parts, self.scan.end).map_err(unavailable)?;
        if let Some(last) = self.scan.last {
            writer.rewrite(&last).map_err(unavailable)?;
        }
        writer.own(owner, time)?;
        Ok(Claimed { writer, log: shared.log, reader: Reader::new(shared), owner, time })
    }
}

/// Writes the head of a new log.
fn create<D: Disk>(disk: &D, options: &Options) -> io::Result<Head> {
    let head = Head { log: options.new_log, created: options.now, first: 0, previous: Default::default() };
    head.write(disk)?;
    Ok(head)
}

/// The first blocks of the segments among `names`, ascending: those from block `first` on, and those below, which are no longer part
/// of the log.
pub(crate) fn segments(names: &[String], first: u64) -> (Vec<u64>, Vec<u64>) {
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    segments.sort_unstable();
    segments.into_iter().partition(|&segment| segment >= first)
}

/// The chain before the first block.
pub(crate) fn beginning(head: &Head) -> Chain {
    Chain { next: head.first, hash: head.previous, ..Chain::start(head.log) }
}

fn scan<D: Disk>(disk: &D, head: &Head, live: Vec<u64>, durable: &mut Durable) -> Result<Scan, OpenError> {
    for &first in &live {
        durable.segments.push_back(Segment::new(first, disk.open(&segment::name(first), false)?.size()?));
    }
    let mut walk = Walk::new(disk, live, beginning(head));
    let mut last: Option<(Found, Chain)> = None;
    loop {
        let before = walk.chain;
        let Some(found) = walk.next()? else { break };
        if let Some((noted, _)) = last.replace((found, before)) {
            note(durable, &noted);
        }
    }
    let (segment, offset) = walk.end();
    let mut scan = Scan { chain: walk.chain, last: None, end: segment.map(|s| (s, offset)), torn: walk.torn.take() };
    if let Some((found, before)) = last {
        // A torn write can leave head and facts whole and payloads not. If another block was begun or another segment made, it was
        // durable before, and a bad payload is damage, which is found by reading it.
        let may_be_torn = found.newest && scan.torn.is_none();
        match if may_be_torn { check_payloads(disk, &found)? } else { None } {
            None => {
                note(durable, &found);
                scan.last = Some(found);
            }
            Some(torn) => {
                scan = Scan { chain: before, last: None, end: Some((found.segment, found.offset)), torn: Some(torn) };
            }
        }
    }
    durable.end = scan.chain.next;
    Ok(scan)
}

fn note(durable: &mut Durable, found: &Found) {
    let at = durable.segments.partition_point(|segment| segment.first <= found.segment);
    // A segment is below 4 GiB.
    durable.segments[at - 1].note(found.header.number, found.offset as u32);
}

/// What is wrong with the payloads of `found`.
pub(crate) fn check_payloads<D: Disk>(disk: &D, found: &Found) -> io::Result<Option<Damage>> {
    let name = segment::name(found.segment);
    let block = read_block(&disk.open(&name, false)?, found.offset, &found.header)?;
    let fault = block.and_then(|block| block.check_payloads()).err();
    Ok(fault.map(|fault| damage(&name, found.offset, found.header.number, fault)))
}
