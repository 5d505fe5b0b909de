//! Appends: one write and one sync a block, into space that was set aside before.

use super::Options;
use super::disk::{Disk, DiskFile, is_full};
use super::head::Head;
use super::segment::{self, Segment};
use super::shared::Shared;
use super::walk::{Found, read_block};
use crate::layout::{ALIGN, Chain, ChainHash, Header, Kind, Owner};
use crate::{AppendError, Batch, ClaimError, EraseError, LogWriter, ReserveError, TruncateError};
use postrider_core::{Position, Time, limits};
use std::io::{self, IoSlice};
use std::sync::Arc;

/// The one who appends to a journal. Holds the lock until it is dropped.
#[derive(Debug)]
pub struct Writer<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    current: Option<Current<D::File>>,
    pub(super) chain: Chain,
    pub(super) head: Head,
    options: Options,
    /// Names of segments whose space waits to be overwritten.
    pub(super) spares: Vec<String>,
    pub(super) poison: Option<Arc<io::Error>>,
    _lock: D::Lock,
}

/// The segment that is written.
#[derive(Debug)]
struct Current<F> {
    first: u64,
    file: F,
    size: u64,
    /// Where the next block begins.
    offset: u64,
}

/// What opening hands over.
pub(super) struct Parts<L> {
    pub lock: L,
    pub options: Options,
    pub chain: Chain,
    pub head: Head,
    pub spares: Vec<String>,
}

impl<D: Disk> Writer<D> {
    pub(super) fn open(
        shared: Arc<Shared<D>>,
        parts: Parts<D::Lock>,
        end: Option<(u64, u64)>,
    ) -> io::Result<Writer<D>> {
        let current = match end {
            Some((first, offset)) => {
                let file = shared.disk.open(&segment::name(first), true)?;
                let size = file.size()?;
                Some(Current { first, file, size, offset })
            }
            None => None,
        };
        let Parts { lock, options, chain, head, spares } = parts;
        Ok(Writer { shared, current, chain, head, options, spares, poison: None, _lock: lock })
    }

    /// Writes the last block once more, as it is. After a failed sync the system may show bytes that never reached the disk and will
    /// not write them by itself; the process before us may have died of just that.
    pub(super) fn rewrite(&mut self, last: &Found) -> io::Result<()> {
        let file = self.shared.disk.open(&segment::name(last.segment), true)?;
        let block = read_block(&file, last.offset, &last.header)?.map_err(io::Error::other)?;
        file.write_at(&mut [IoSlice::new(block.as_bytes())], last.offset)?;
        file.sync()
    }

    /// Appends the owner entry.
    pub(super) fn own(&mut self, owner: Owner, time: Time) -> Result<(), ClaimError> {
        let header = Header { time, ..self.chain.bare(Kind::Owner, owner) };
        self.make_room(header.block_len()).and_then(|()| self.write(&header, &Batch::default())).map_err(|error| {
            match error {
                ReserveError::Full | ReserveError::TooLarge(_) => ClaimError::Full,
                ReserveError::Unavailable(why) => ClaimError::Unavailable(why),
            }
        })
    }

    /// Room for a block of `bytes` and a seal behind it.
    fn make_room(&mut self, bytes: usize) -> Result<(), ReserveError> {
        if let Some(why) = &self.poison {
            return Err(ReserveError::Unavailable(why.clone()));
        }
        if bytes > limits::BLOCK_BYTES_MAX {
            return Err(ReserveError::TooLarge(bytes));
        }
        let room = (bytes.next_multiple_of(ALIGN) + ALIGN) as u64;
        match &self.current {
            Some(current) if current.offset + room <= current.size => Ok(()),
            _ => self.roll(room),
        }
    }

    /// Goes on in another segment, which has at least `room` bytes.
    fn roll(&mut self, room: u64) -> Result<(), ReserveError> {
        let size = room.max(self.options.segment_bytes.into());
        let next = match self.recycled(room).transpose() {
            Some(spare) => spare,
            None => match allocated(&self.shared.disk, size) {
                Err(error) if is_full(&error) => return Err(ReserveError::Full),
                made => made,
            },
        };
        next.and_then(|(name, file, size)| self.go_on_in(&name, file, size))
            .map_err(|error| ReserveError::Unavailable(self.poison(error)))
    }

    /// A spare segment that is large enough. What it holds are blocks with lower numbers: nothing reads them as ours.
    fn recycled(&mut self, room: u64) -> io::Result<Option<(String, D::File, u64)>> {
        while let Some(name) = self.spares.pop() {
            let file = self.shared.disk.open(&name, true)?;
            let size = file.size()?;
            if size >= room {
                return Ok(Some((name, file, size)));
            }
            self.shared.disk.remove(&name)?;
        }
        Ok(None)
    }

    /// The file called `from` becomes the segment of the next block, durably, before that block is written.
    fn go_on_in(&mut self, from: &str, file: D::File, size: u64) -> io::Result<()> {
        let first = self.chain.next;
        // In the place of a file of the same name, if the segment before is empty and too small.
        self.shared.disk.rename(from, &segment::name(first))?;
        self.shared.disk.sync_names()?;
        let mut durable = self.shared.durable.write();
        if durable.is_first_of_segment(first) {
            durable.segments.pop_back();
        }
        durable.segments.push_back(Segment::new(first, size));
        self.current = Some(Current { first, file, size, offset: 0 });
        Ok(())
    }

    /// Writes a block into the room that there is, and makes it known once it is durable.
    fn write(&mut self, header: &Header, batch: &Batch) -> Result<(), ReserveError> {
        assert!(
            header.number == self.chain.next && header.time >= self.chain.time,
            "numbers are dense, times never decrease"
        );
        let current = self.current.as_mut().expect("room was made in a segment");
        let used = header.front_len() + header.payloads_len as usize;
        assert!(current.offset + header.block_len() as u64 <= current.size, "a block never leaves its segment");
        let (head, padding) = (header.encode(), [0; ALIGN]);
        let mut parts = [
            IoSlice::new(&head),
            IoSlice::new(&batch.table),
            IoSlice::new(&batch.facts),
            IoSlice::new(&batch.payloads),
            IoSlice::new(&padding[..header.block_len() - used]),
        ];
        if let Err(error) = current.file.write_at(&mut parts, current.offset).and_then(|()| current.file.sync()) {
            return Err(ReserveError::Unavailable(self.poison(error)));
        }
        let mut durable = self.shared.durable.write();
        let segment = durable.segments.back_mut().expect("the current segment is known");
        assert!(segment.first == current.first, "the newest segment is the one that is written");
        // A segment is below 4 GiB.
        segment.note(header.number, current.offset as u32);
        durable.end = header.number + 1;
        drop(durable);
        current.offset += header.block_len() as u64;
        self.chain = self.chain.then(header);
        Ok(())
    }

    /// Ends the writer: nothing is written after `error`.
    pub(super) fn poison(&mut self, error: io::Error) -> Arc<io::Error> {
        self.poison.insert(Arc::new(error)).clone()
    }
}

/// A new file with its space set aside, under a name that opening removes. Leaves nothing behind when there is no space. Its size
/// becomes durable with the first block; without it, it is an empty segment that is replaced.
fn allocated<D: Disk>(disk: &D, size: u64) -> io::Result<(String, D::File, u64)> {
    let file = disk.create(segment::NAME_NEW)?;
    if let Err(error) = file.allocate(size) {
        drop(file);
        disk.remove(segment::NAME_NEW)?;
        return Err(error);
    }
    Ok((segment::NAME_NEW.into(), file, size))
}

impl<D: Disk> LogWriter for Writer<D> {
    fn tail(&self) -> u64 {
        self.chain.next
    }

    fn hash(&self) -> ChainHash {
        self.chain.hash
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), ReserveError> {
        self.make_room(bytes)
    }

    fn append(&mut self, expected: u64, batch: &Batch) -> Result<u64, AppendError> {
        assert!(!batch.is_empty(), "a turn without facts appends nothing");
        assert!(batch.time() >= self.chain.time, "record times never decrease");
        if let Some(why) = &self.poison {
            return Err(AppendError::Unavailable(why.clone()));
        }
        if expected != self.chain.next {
            return Err(AppendError::Fenced { expected, tail: self.chain.next });
        }
        self.make_room(batch.bytes())?;
        let header = self.chain.facts(batch);
        self.write(&header, batch)?;
        Ok(expected)
    }

    fn seal(&mut self) -> Result<(), AppendError> {
        if let Some(why) = &self.poison {
            return Err(AppendError::Unavailable(why.clone()));
        }
        if self.chain.kind == Some(Kind::Seal) {
            return Ok(());
        }
        // Every other block left room for it.
        let header = self.chain.bare(Kind::Seal, self.chain.owner);
        Ok(self.write(&header, &Batch::default())?)
    }

    fn erase(&mut self, payloads: &[Position]) -> Result<(), EraseError> {
        self.zero(payloads)
    }

    fn begins_segment(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.first == self.chain.next)
    }

    fn truncate(&mut self, below: u64) -> Result<u64, TruncateError> {
        self.begin_at(below)
    }

    fn bytes_from(&self, from: u64) -> u64 {
        let durable = self.shared.durable.read();
        let after = durable.segments.partition_point(|segment| segment.first <= from);
        durable.segments.iter().skip(after.saturating_sub(1)).map(|segment| segment.size).sum()
    }
}
