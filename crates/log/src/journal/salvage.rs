//! Copies what is whole of a damaged log into a new one, and lists what is not.
//!
//! Every position stays what it was: for each lost block the new log has a gap. It gets an id of its own, because it goes on from
//! another past: nothing that was derived from the damaged log may be taken for its own. The damaged log is only read.

mod copy;

use super::Options;
use super::disk::{Disk, DiskFile};
use super::folder::Folder;
use super::head::Head;
use super::recovery::{OpenError, beginning, segments};
use super::segment;
use super::walk::{damage, fault_of_a_whole_head, find_head, is_begun, read_block, read_header};
use crate::layout::{ALIGN, Chain, ChainHash, HEADER, Header};
use crate::{Block, Damage, Fault, LogId};
use copy::Copy;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

/// Lost blocks in a row. More than fit into any log of ours of which something is left; each takes a sector in the new one.
const GAP_MAX: u64 = 1 << 24;

/// Blocks that are not in the new log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where the first of them should be, relative to the damaged data folder.
    pub file: String,
    /// In bytes.
    pub offset: u64,
    /// Where in this file they end at the latest: the next block that was copied, or the file's end. 0 if there is no such file.
    pub until: u64,
    /// Their numbers.
    pub blocks: Range<u64>,
    /// What is wrong there.
    pub fault: Fault,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { file, offset, until, blocks, fault } = self;
        write!(f, "{file} at byte {offset}, up to {until}: ")?;
        match blocks.end - blocks.start {
            1 => write!(f, "block {}: {fault}", blocks.start),
            _ => write!(f, "blocks {} to {}: {fault}", blocks.start, blocks.end - 1),
        }
    }
}

/// What a salvage has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvaged {
    /// Which log the new one is.
    pub log: LogId,
    /// Its oldest block; the number is that of the damaged log's.
    pub first: u64,
    /// The number of its next block.
    pub end: u64,
    /// Blocks that were copied.
    pub copied: u64,
    /// Blocks that were not, in order.
    pub missing: Vec<Missing>,
    /// Payloads in copied blocks that do not match their crcs. They were copied as they are, and so were erased ones, which are
    /// [`Fault::Erased`] here.
    pub payloads: Vec<Damage>,
    /// What lies where the log ends, if that is no plain end: a block that was never acknowledged, or one of another past. Not copied.
    pub torn: Option<Damage>,
}

/// Why nothing was salvaged. What was written of the new log is no log: it has no `HEAD`.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// There is no log, or none that this version can read, or its `HEAD` is damaged.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The new log's folder is not empty.
    #[error("{folder} has files in its folder log already")]
    NotEmpty {
        /// The data folder.
        folder: String,
    },
    /// Another process has the new log's folder.
    #[error("{folder} is in use by another process")]
    Locked {
        /// The data folder.
        folder: String,
    },
    /// No block of the log is whole.
    #[error("nothing of the log is whole")]
    Nothing,
    /// More blocks seem to be lost than can be: a file with a wrong name, perhaps.
    #[error("blocks {} to {} are missing, which is more than can be", .0.start, .0.end)]
    TooMany(Range<u64>),
    /// A disk refused.
    #[error("the log cannot be salvaged: {0}")]
    Unavailable(#[from] io::Error),
}

/// Copies every whole block of the log in the data folder `from` into a new log in the data folder `to`, in which there is none yet.
/// `from` is not changed, nor locked: no one should be writing it.
///
/// # Errors
/// See [`SalvageError`].
pub fn salvage(
    from: &Path,
    to: &Path,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Salvaged, SalvageError> {
    salvage_on(&Folder::new(from), &Folder::new(to), options, &mut progress)
}

/// How far a salvage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the damaged log that were gone through.
    pub bytes: u64,
    /// Bytes of all its files.
    pub size: u64,
}

/// The same between any two disks.
///
/// # Errors
/// See [`SalvageError`].
pub fn salvage_on<S: Disk, D: Disk>(
    from: &S,
    to: &D,
    options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Salvaged, SalvageError> {
    let names = from.list()?;
    let head = Head::read(from, &names)?.ok_or_else(|| OpenError::NoLog { folder: from.describe() })?;
    let not_empty = || SalvageError::NotEmpty { folder: to.describe() };
    // Once before there is a lock file of ours in a folder that may not be.
    to.list()?.is_empty().then_some(()).ok_or_else(not_empty)?;
    to.make()?;
    let _lock = to.lock()?.ok_or_else(|| SalvageError::Locked { folder: to.describe() })?;
    to.list()?.is_empty().then_some(()).ok_or_else(not_empty)?;

    let (live, _) = segments(&names, head.first);
    let mut search = Search {
        disk: from,
        chain: beginning(&head),
        linked: true,
        refused: None,
        fault: None,
        copy: Copy::new(to, options, &head),
        copied: 0,
        missing: Vec::new(),
        payloads: Vec::new(),
        torn: None,
        progress,
    };
    search.run(&live)?;
    if search.copied == 0 {
        return Err(SalvageError::Nothing);
    }
    let end = search.copy.finish()?;
    let Search { copied, missing, payloads, torn, .. } = search;
    Ok(Salvaged { log: options.new_log, first: head.first, end, copied, missing, payloads, torn })
}

/// A block, or its head, if that is whole, and what is wrong.
type Looked = Result<Block, (Option<Header>, Fault)>;

/// Goes through the damaged log.
struct Search<'a, S: Disk, D: Disk> {
    disk: &'a S,
    /// Up to the last block that was copied or given up.
    chain: Chain,
    /// Whether that block was copied, so that the next one must follow it.
    linked: bool,
    /// The last whole block of another past; what follows it is of that past too.
    refused: Option<ChainHash>,
    /// The first thing wrong since the last block that was copied.
    fault: Option<Damage>,
    copy: Copy<'a, D>,
    copied: u64,
    missing: Vec<Missing>,
    payloads: Vec<Damage>,
    torn: Option<Damage>,
    progress: &'a mut dyn FnMut(Progress),
}

impl<S: Disk, D: Disk> Search<'_, S, D> {
    /// Over all `segments`, ascending.
    fn run(&mut self, segments: &[u64]) -> Result<(), SalvageError> {
        let sizes: io::Result<Vec<u64>> =
            segments.iter().map(|&first| self.disk.open(&segment::name(first), false)?.size()).collect();
        let sizes = sizes?;
        for (at, &first) in segments.iter().enumerate() {
            // The name of a segment proves that every block below it was there.
            self.give_up(first, &segment::name(self.chain.next), 0, Fault::Missing)?;
            let so_far = Progress { bytes: sizes[..at].iter().sum(), size: sizes.iter().sum() };
            self.segment(first, segments.get(at + 1).copied(), so_far)?;
        }
        Ok(())
    }

    /// Over the segment that begins with block `first`; the next one begins with block `below`.
    fn segment(&mut self, first: u64, below: Option<u64>, so_far: Progress) -> Result<(), SalvageError> {
        let name = segment::name(first);
        let file = self.disk.open(&name, false)?;
        let mut offset = 0;
        while below != Some(self.chain.next) {
            (self.progress)(Progress { bytes: so_far.bytes + offset, ..so_far });
            let (header, fault) = match self.look(&file, offset, below)? {
                Ok(block) => {
                    if below.is_none() && self.is_torn(&file, &name, offset, &block)? {
                        return Ok(());
                    }
                    self.take(&name, offset, &block)?;
                    offset += block.bytes() as u64;
                    continue;
                }
                Err(bad) => bad,
            };
            self.fault.get_or_insert_with(|| damage(&name, offset, self.chain.next, fault));
            // The length in a whole head of a block that could be here is to be relied on; what lies within is not a block.
            let skip = header.filter(|header| self.may_be(header, below)).map_or(ALIGN, |header| header.block_len());
            match find_head(&file, offset + skip as u64, |header| self.may_be(header, below))? {
                Some(found) => offset = found,
                None => break,
            }
        }
        match below {
            Some(below) => self.give_up(below, &name, file.size()?, Fault::PastEnd),
            None => {
                self.end(&file)?;
                Ok(())
            }
        }
    }

    /// Whether a block with this head could be of this log, here or after lost ones.
    fn may_be(&self, header: &Header, below: Option<u64>) -> bool {
        let number = header.number;
        header.log == self.chain.log && number >= self.chain.next && below.is_none_or(|below| number < below)
    }

    /// The block at `offset`, if it is the next one or comes after lost ones.
    fn look(&mut self, file: &S::File, offset: u64, below: Option<u64>) -> io::Result<Looked> {
        let header = match read_header(file, offset)? {
            Ok(header) => header,
            Err(fault) => return Ok(Err((None, fault))),
        };
        if let Err(fault) = self.check(&header, below) {
            if matches!(fault, Fault::Chain | Fault::Time | Fault::Epoch) {
                self.refused = Some(header.hash());
            }
            return Ok(Err((Some(header), fault)));
        }
        Ok(read_block(file, offset, &header)?.map_err(|fault| (Some(header), fault)))
    }

    fn check(&self, header: &Header, below: Option<u64>) -> Result<(), Fault> {
        let next = header.number == self.chain.next;
        let expected = match self.may_be(header, below) {
            true if !next || !self.linked => Chain { next: header.number, hash: header.previous, ..self.chain },
            _ => self.chain,
        };
        expected.check(header)?;
        if self.refused == Some(header.previous) { Err(Fault::Chain) } else { Ok(()) }
    }

    /// As opening decides of the last block: whether its payloads are bad and nothing after it proves that it was ever durable.
    fn is_torn(&mut self, file: &S::File, name: &str, offset: u64, block: &Block) -> io::Result<bool> {
        let Some(fault) = (0..block.len()).find_map(|index| block.payload(index).err()) else {
            return Ok(false);
        };
        let after = offset + block.bytes() as u64;
        let chain = self.chain.then(block.header());
        if starts(file, after, &chain)?
            || find_head(file, after, |h| self.may_be(h, None) && h.number > block.number())?.is_some()
        {
            return Ok(false);
        }
        self.torn = Some(damage(name, offset, block.number(), fault));
        Ok(true)
    }

    /// Copies `block`, after gaps for those before it.
    fn take(&mut self, name: &str, offset: u64, block: &Block) -> Result<(), SalvageError> {
        self.give_up(block.number(), name, offset, Fault::Number(block.number()))?;
        let bad = (0..block.len()).filter_map(|index| block.payload(index).err());
        self.payloads.extend(bad.map(|fault| damage(name, offset, block.number(), fault)));
        self.copy.push(block)?;
        self.copied += 1;
        self.chain = self.chain.then(block.header());
        (self.linked, self.refused, self.fault) = (true, None, None);
        Ok(())
    }

    /// Notes that the blocks up to `to` are lost, from the first fault up to `until`, or for want of one there.
    fn give_up(&mut self, to: u64, name: &str, until: u64, fault: Fault) -> Result<(), SalvageError> {
        let blocks = self.chain.next..to;
        if blocks.is_empty() {
            return Ok(());
        }
        if to - blocks.start > GAP_MAX {
            return Err(SalvageError::TooMany(blocks));
        }
        self.copy.gap(to)?;
        let Damage { file, offset, fault, .. } =
            self.fault.take().unwrap_or_else(|| damage(name, until, blocks.start, fault));
        self.missing.push(Missing { file, offset, until, blocks, fault });
        self.chain.next = to;
        self.linked = false;
        Ok(())
    }

    /// At the end of the last segment.
    fn end(&mut self, file: &S::File) -> io::Result<()> {
        if let Some(damage) = self.fault.take()
            && (fault_of_a_whole_head(&damage.fault) || starts(file, damage.offset, &self.chain)?)
        {
            self.torn = Some(damage);
        }
        Ok(())
    }
}

/// Whether the next block of `chain` was begun at `offset`.
fn starts<F: DiskFile>(file: &F, offset: u64, chain: &Chain) -> io::Result<bool> {
    let mut bytes = [0; HEADER];
    let read = file.read_at(&mut bytes, offset)?;
    Ok(is_begun(&bytes[..read], chain))
}
