//! A bit that flips while nobody looks, and how it comes to light: it refuses a start, or it refuses to be read, or it does no harm.

use std::io::IoSlice;
use std::ops::Range;

use postrider_core::Position;
use postrider_log::fault::FaultDisk;
use postrider_log::journal::{Disk, DiskFile, Inspect, OpenError, Report, VerifyError};
use postrider_log::{Block, Damage, Kind};

use super::{Medium, On};
use crate::chance::Chance;

/// One flipped bit.
#[derive(Clone, Debug)]
pub struct Rot {
    disk: FaultDisk,
    file: String,
    at: usize,
    new: u8,
    mask: u8,
    /// Where its block begins, and whether that is a seal at the log's end.
    offset: u64,
    is_last: bool,
    /// Blocks of the log before it.
    blocks: u64,
}

/// How a flipped bit showed.
#[derive(Debug)]
pub enum Rotten {
    /// The start was refused as it should be, nothing was changed, and the bit is mended.
    Refused,
    /// It lies where the start does not look, or where it does no harm.
    Hidden(Rot),
    /// It was passed over, or something was made of it.
    Wrong(String),
}

impl Medium {
    /// Flips a bit of the log, if it has any that matter, and looks at what a start says to that. No process runs.
    pub fn rot(&mut self, chance: &mut Chance) -> Option<Rotten> {
        let On::Disk(disk, _) = &self.on else { return None };
        // A power cut that waits for the next sync would keep the bit as it is while we look, whoever mends it.
        if self.cut_at.is_some() {
            return None;
        }
        let Report { first, end, .. } = self.journal(disk).ok()?.report();
        let rot = choose(disk.inner(), first..end, chance)?;
        rot.flip(disk.inner());
        let before = image(disk.inner());
        let opened = match self.journal(disk) {
            // A fault that waits for the next write or sync hit this look, which comes again.
            Err(OpenError::Unavailable(_)) => self.journal(disk),
            opened => opened,
        };
        let rotten = match opened {
            Err(error) if image(disk.inner()) != before => Rotten::Wrong(format!("{error}, and the disk was changed")),
            Err(error) if rot.is_named_by(&error) => Rotten::Refused,
            Err(error) => Rotten::Wrong(format!("a bit of {} at {} was flipped: {error}", rot.file, rot.at)),
            Ok(journal) if journal.report().end == rot.blocks => Rotten::Hidden(rot.clone()),
            // A seal that is lost at the end promised nothing.
            Ok(_) if rot.is_last => Rotten::Refused,
            Ok(journal) => {
                let end = journal.report().end;
                Rotten::Wrong(format!("{end} blocks of {} are left and nobody is told", rot.blocks))
            }
        };
        if matches!(rotten, Rotten::Refused) {
            rot.flip(disk.inner());
        }
        Some(rotten)
    }

    /// No process runs any more: whoever looks finds the bit that was flipped.
    ///
    /// # Errors
    /// When nobody would.
    pub fn find(&self, rot: &Rot, is_erased: impl Fn(Position) -> bool) -> Result<(), String> {
        let On::Disk(disk, _) = &self.on else { return Ok(()) };
        let disk = disk.inner();
        if disk.bytes(&rot.file).is_none_or(|bytes| bytes[rot.at] != rot.new) {
            // It was overwritten with an erasure's zeros.
            return Ok(());
        }
        let log = Inspect::open_on(disk.clone()).map_err(|error| format!("{error:?}"))?;
        let found = match log.verify_erased(is_erased) {
            Ok(stats) => !stats.to_erase.is_empty() || rot.is_before(&log),
            Err(VerifyError::Damaged(damage)) => rot.is_at(&damage),
            other => return Err(format!("{other:?}")),
        };
        match found {
            true => Ok(()),
            false => Err(format!("the flipped bit of {} at {} is not found", rot.file, rot.at)),
        }
    }

    /// Mends it, unless it was overwritten meanwhile. No process runs.
    pub fn mend(&self, rot: &Rot) {
        let On::Disk(disk, _) = &self.on else { return };
        if disk.inner().bytes(&rot.file).is_some_and(|bytes| bytes.get(rot.at) == Some(&rot.new)) {
            rot.flip(disk.inner());
        }
    }
}

impl Rot {
    /// Whether this damage is its doing.
    pub fn is_at(&self, damage: &Damage) -> bool {
        damage.file.trim_start_matches("log/") == self.file && damage.offset == self.offset
    }

    /// Whether the log has let go of it, and a crash has left the file.
    fn is_before(&self, log: &Inspect<FaultDisk>) -> bool {
        let first = log.blocks().next().and_then(Result::ok);
        // Segments are named by their first block.
        first.is_some_and(|first| self.file.as_str() < first.file.trim_start_matches("log/"))
    }

    /// Mends it under a running process, unless it was overwritten meanwhile.
    pub fn mend_now(&self) {
        let mended = || {
            let file = self.disk.open(&self.file, true)?;
            let mut byte = [0];
            file.read_at(&mut byte, self.at as u64)?;
            if byte[0] == self.new {
                file.write_at(&mut [IoSlice::new(&[self.new ^ self.mask])], self.at as u64)?;
                file.sync()?;
            }
            std::io::Result::Ok(())
        };
        // A fault that waits for the next write may hit this one; it hits once.
        (0..3).find_map(|_| mended().ok()).expect("a disk fails once and once more at the most");
    }

    fn flip(&self, disk: &FaultDisk) {
        disk.flip(&self.file, self.at, self.mask);
    }

    fn is_named_by(&self, error: &OpenError) -> bool {
        match error {
            OpenError::Damaged(damage) => self.is_at(damage),
            // The file HEAD says what the folder is.
            OpenError::Foreign { .. } | OpenError::NewerVersion { .. } => self.file == HEAD,
            _ => false,
        }
    }
}

const HEAD: &str = "HEAD";
/// Of the newest blocks, which deliveries still need, a bit flips more often.
const NEWEST: usize = 40;
/// Bytes of a block's head and of one entry of its table, by `docs/log-format.md`.
const HEADER: usize = 104;
const ENTRY: usize = 12;

/// A bit of a block, or of the file HEAD. Not of a last block that is no seal: nothing tells it from one that was torn.
fn choose(disk: &FaultDisk, blocks: Range<u64>, chance: &mut Chance) -> Option<Rot> {
    let log = Inspect::open_on(disk.clone()).ok()?;
    let stored: Vec<_> = log.blocks().take((blocks.end - blocks.start) as usize).collect::<Result<_, _>>().ok()?;
    let (last, before) = stored.split_last()?;
    let is_sealed = last.block.kind() == Kind::Seal;
    let among = if is_sealed { &stored[..] } else { before };
    let (file, offset, at, is_last) = if chance.one_in(8) {
        (HEAD.to_owned(), 0, chance.below(disk.bytes(HEAD)?.len() as u64), false)
    } else {
        let newest = &among[among.len().saturating_sub(NEWEST)..];
        let among = if chance.one_in(2) { newest } else { among };
        let stored = chance.pick(among)?;
        let (block, bytes) = (&stored.block, stored.block.bytes() as u64);
        let payloads = payloads_of(block);
        let at = match payloads.end - payloads.start {
            len if len > 0 && chance.one_in(2) => payloads.start + chance.below(len),
            _ => chance.below(bytes),
        };
        (stored.file.trim_start_matches("log/").to_owned(), stored.offset, at, block.number() + 1 == blocks.end)
    };
    let at = (offset + at) as usize;
    let mask = 1 << chance.below(8);
    let new = disk.bytes(&file)?[at] ^ mask;
    // One that looks like an erasure's zero afterwards could not be told from it.
    (new != 0).then(|| Rot { disk: disk.clone(), file, at, new, mask, offset, is_last, blocks: blocks.end })
}

/// Where the payloads of a block lie, from its first byte on.
fn payloads_of(block: &Block) -> Range<u64> {
    let facts: usize = block.facts().map(|(_, fact)| fact.len()).sum();
    let payloads: usize = (0..block.len()).filter_map(|index| block.payload_len(index)).sum();
    let start = (HEADER + ENTRY * block.len() as usize + facts) as u64;
    start..start + payloads as u64
}

fn image(disk: &FaultDisk) -> Vec<(String, Option<Vec<u8>>)> {
    disk.names().into_iter().map(|name| (name.clone(), disk.bytes(&name))).collect()
}
