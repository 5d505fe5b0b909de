//! What the log lies on: RAM, or the real journal on a disk that fails; and what happens to it from outside.

mod disk;
mod reader;
mod rot;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use postrider_core::Time;
use postrider_core::machine::Entropy;
use postrider_log::fault::{FaultDisk, Keep};
use postrider_log::journal::{Journal, OpenError, Options};
use postrider_log::memory::{Fate, Memory};
use postrider_log::{ClaimError, Claimed, EventLog, LogId};

use crate::chance::Chance;
use crate::fault::Fault;
use disk::LyingDisk;

pub use reader::Reader;
pub use rot::{Rot, Rotten};
pub use writer::Writer;

/// See the module.
pub struct Medium {
    on: On,
    fault: Option<Fault>,
    /// The power fails during this sync, by the disk's count.
    cut_at: Option<u64>,
    is_full: bool,
    /// The file that keeps space for outcomes is there.
    has_ballast: bool,
    holds_back: Arc<AtomicBool>,
}

enum On {
    Memory(Memory),
    Disk(LyingDisk, Options),
}

/// Why there is no log to work on.
#[derive(Debug)]
pub enum NotOpen {
    /// There is no space for the owner's entry.
    Full,
    /// The disk failed.
    Failed,
    /// The log refuses.
    Refused(OpenError),
}

/// What the largest block and a seal behind it take; a segment has room for these and for a little more.
const SEGMENT_LEAST: u32 = (2 << 20) + 512;

impl Medium {
    /// An empty log.
    pub fn new(is_journal: bool, fault: Option<Fault>, chance: &mut Chance) -> Medium {
        let id = LogId([7; 16]);
        let segment_bytes = SEGMENT_LEAST + chance.within(64, 2048) as u32 * 1024;
        let on = if is_journal {
            On::Disk(LyingDisk::new(FaultDisk::new(), fault), Options { segment_bytes, new_log: id, now: Time(0) })
        } else {
            On::Memory(Memory::with_segments(id, chance.within(8, 300)))
        };
        let holds_back = Arc::new(AtomicBool::new(false));
        Medium { on, fault, cut_at: None, is_full: false, has_ballast: true, holds_back }
    }

    /// Opens and claims the log, as a start does.
    ///
    /// # Errors
    /// When that cannot be.
    pub fn open(&mut self, wall: Time) -> Result<Claimed<Writer, Reader>, NotOpen> {
        loop {
            match self.claim(wall) {
                Err(NotOpen::Full) if self.give_ballast() => {}
                claimed => return claimed,
            }
        }
    }

    fn claim(&mut self, wall: Time) -> Result<Claimed<Writer, Reader>, NotOpen> {
        let not_claimed = |error| match error {
            ClaimError::Full => NotOpen::Full,
            ClaimError::Unavailable(_) => NotOpen::Failed,
            ClaimError::WrongShard { .. } => unreachable!("there is one shard"),
        };
        match &self.on {
            On::Memory(memory) => {
                let Claimed { writer, reader, log, owner, time } =
                    memory.clone().claim(0, 1, wall).map_err(not_claimed)?;
                let (writer, reader) = (Writer::on_memory(writer, self.holds_back.clone()), Reader::Memory(reader));
                Ok(Claimed { writer, reader, log, owner, time })
            }
            On::Disk(disk, _) => {
                let journal = self.journal(disk).map_err(|error| match error {
                    OpenError::Unavailable(_) => NotOpen::Failed,
                    error => NotOpen::Refused(error),
                })?;
                let Claimed { writer, reader, log, owner, time } = journal.claim(0, 1, wall).map_err(not_claimed)?;
                let writer = Writer::on_disk(writer, self.holds_back.clone());
                Ok(Claimed { writer, reader: Reader::Disk(reader, disk.clone()), log, owner, time })
            }
        }
    }

    fn journal(&self, disk: &LyingDisk) -> Result<Journal<LyingDisk>, OpenError> {
        let On::Disk(_, options) = &self.on else { unreachable!("only a disk has a journal") };
        let opened = Journal::open_on(disk.clone(), *options);
        match opened {
            Err(OpenError::Damaged(damage)) if self.fault == Some(Fault::DamageIsTheEnd) => {
                disk.cut_off(&damage);
                Journal::open_on(disk.clone(), *options)
            }
            opened => opened,
        }
    }

    /// Makes the writer of this log keep back what it appends: a bug.
    pub fn holds_back(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.holds_back)
    }

    /// The power fails during one of the next syncs. The process is not told; see [`Medium::is_cut`].
    pub fn cut_in_sync(&mut self, chance: &mut Chance) {
        match &self.on {
            On::Memory(_) => self.fail_sync(chance),
            On::Disk(disk, _) if self.cut_at.is_none() => {
                let at = disk.inner().syncs() + chance.below(4);
                disk.inner().freeze_at_sync(at);
                self.cut_at = Some(at);
            }
            On::Disk(..) => {}
        }
    }

    /// Whether the power has failed: what the process did since never happened.
    pub fn is_cut(&self) -> bool {
        match (&self.on, self.cut_at) {
            (On::Disk(disk, _), Some(at)) => disk.inner().syncs() > at,
            _ => false,
        }
    }

    /// A write fails halfway soon.
    pub fn fail_write(&self, chance: &mut Chance) {
        match &self.on {
            On::Memory(memory) => memory.fail_next_append(Fate::Lost),
            On::Disk(disk, _) => disk.inner().fail_write(chance.below(4)),
        }
    }

    /// A sync fails soon.
    pub fn fail_sync(&self, chance: &mut Chance) {
        match &self.on {
            On::Memory(memory) => {
                memory.fail_next_append(if chance.one_in(2) { Fate::Lost } else { Fate::Kept });
            }
            On::Disk(disk, _) => disk.inner().fail_sync(chance.below(4)),
        }
    }

    /// There is no space for anything new from here on, or there is again.
    pub fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
        self.bound();
    }

    /// Gives up the space that is kept for outcomes; false when there is none.
    pub fn give_ballast(&mut self) -> bool {
        let given = self.has_ballast && matches!(self.on, On::Disk(..));
        if given {
            self.has_ballast = false;
            self.bound();
        }
        given
    }

    /// Takes the space back if there is any; whether it is there.
    pub fn take_ballast(&mut self) -> bool {
        self.has_ballast |= !self.is_full || matches!(self.on, On::Memory(_));
        self.has_ballast
    }

    /// Whether that space is there.
    pub fn has_ballast(&self) -> bool {
        self.has_ballast
    }

    fn bound(&self) {
        match &self.on {
            On::Memory(memory) => memory.set_capacity(if self.is_full { 0 } else { usize::MAX }),
            On::Disk(disk, options) => {
                let more = if self.has_ballast { 0 } else { u64::from(options.segment_bytes) + (1 << 20) };
                disk.inner().set_capacity(self.is_full.then(|| disk.inner().used() + more));
            }
        }
    }

    /// The power is gone. What comes after finds what the disk has kept.
    pub fn cut(&mut self, chance: &mut Chance) {
        match &mut self.on {
            On::Memory(memory) => *memory = memory.crash(),
            On::Disk(disk, _) => {
                let keep = match chance.below(5) {
                    0 => Keep::Nothing,
                    1 => Keep::Everything,
                    2 => Keep::Prefix(chance.below(4096) as usize),
                    _ => Keep::Sectors(chance.next_u64()),
                };
                *disk = LyingDisk::new(disk.inner().crash(keep), self.fault);
            }
        }
        self.cut_at = None;
        self.bound();
    }

    /// The process is gone; the system has kept what it wrote.
    pub fn kill(&mut self) {
        if let On::Memory(memory) = &mut self.on {
            *memory = memory.crash();
            self.bound();
        }
    }
}
