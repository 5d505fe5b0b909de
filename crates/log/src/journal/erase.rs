//! Overwrites payloads with zeros. First all of them are found; then, file by file, they are written and synced.

use super::disk::{Disk, DiskFile};
use super::reader::{Reader, read_table};
use super::segment;
use super::writer::Writer;
use crate::log::erasure;
use crate::{EraseError, LogWriter, ReadError};
use postrider_core::Position;
use std::io::{self, IoSlice};

/// Zeros to be.
struct Hole {
    /// The first block of the segment.
    segment: u64,
    offset: u64,
    len: usize,
}

impl<D: Disk> Writer<D> {
    /// See [`LogWriter::erase`].
    pub(super) fn zero(&mut self, payloads: &[Position]) -> Result<(), EraseError> {
        let (payloads, seal) = erasure(payloads, self.chain.next);
        if let Some(why) = &self.poison {
            return Err(EraseError::Unavailable(why.clone()));
        }
        let holes = match self.holes(&payloads) {
            Ok(holes) => holes,
            Err(ReadError::Damaged(damage) | ReadError::Erased(damage)) => return Err(EraseError::Damaged(damage)),
            Err(ReadError::Unavailable(error)) => return Err(EraseError::Unavailable(self.poison(error))),
        };
        if seal {
            self.seal()?;
        }
        self.punch(&holes).map_err(|error| EraseError::Unavailable(self.poison(error)))
    }

    /// Where `payloads` lie, by file and offset. They are in order.
    fn holes(&self, payloads: &[Position]) -> Result<Vec<Hole>, ReadError> {
        let reader = Reader::new(self.shared.clone());
        let mut holes: Vec<Hole> = Vec::with_capacity(payloads.len());
        for in_block in payloads.chunk_by(|a, b| a.block() == b.block()) {
            let Some((spot, header)) = reader.find(in_block[0].block())? else {
                continue;
            };
            let places = reader.look(spot, |file| {
                let table = read_table(file, spot.offset, &header)?;
                Ok(table
                    .and_then(|table| in_block.iter().map(|at| table.place(at.index())).collect::<Result<Vec<_>, _>>()))
            })?;
            for place in places.into_iter().flatten().flatten().filter(|place| place.len > 0) {
                let offset = spot.offset + place.start;
                match holes.last_mut() {
                    Some(hole) if hole.segment == spot.segment && hole.offset + hole.len as u64 == offset => {
                        hole.len += place.len;
                    }
                    _ => holes.push(Hole { segment: spot.segment, offset, len: place.len }),
                }
            }
        }
        Ok(holes)
    }

    /// Writes also where there are zeros already: they may be such as the system shows and never wrote.
    fn punch(&self, holes: &[Hole]) -> io::Result<()> {
        let zeros = vec![0; holes.iter().map(|hole| hole.len).max().unwrap_or(0)];
        for in_file in holes.chunk_by(|a, b| a.segment == b.segment) {
            let file = self.shared.disk.open(&segment::name(in_file[0].segment), true)?;
            let erasing = self.shared.erasing.lock();
            for hole in in_file {
                file.write_at(&mut [IoSlice::new(&zeros[..hole.len])], hole.offset)?;
            }
            drop(erasing);
            file.sync()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultDisk;
    use crate::journal::{Journal, Options};
    use crate::{Batch, EventLog, LogId, LogReader, Payload};
    use postrider_core::Time;

    #[test]
    fn a_payload_that_is_half_erased_is_read_again_once_it_is_erased() {
        let disk = FaultDisk::new();
        let journal = Journal::open_on(disk.clone(), Options::new(LogId([1; 16]), Time(0))).expect("opens");
        let mut log = journal.claim(1, 2, Time(0)).expect("claims");
        let mut batch = Batch::new(Time(1));
        batch.push(b"fact", Some(Payload::new(&[7; 100])));
        log.writer.append(1, &batch).expect("appends");
        let at = Position::new(1, 0);
        let hole = log.writer.holes(&[at]).expect("reads").remove(0);
        let file = disk.open(&segment::name(0), true).expect("is there");
        let zeros = |from: u64| file.write_at(&mut [IoSlice::new(&[0; 50])], hole.offset + from).expect("writes");

        std::thread::scope(|scope| {
            let erasing = log.writer.shared.erasing.lock();
            zeros(0);
            let before = disk.reads();
            let reader = scope.spawn(|| log.reader.payload(at));
            // The block's head, its table, half of the payload.
            while disk.reads() < before + 3 {
                std::thread::yield_now();
            }
            zeros(50);
            drop(erasing);
            let read = reader.join().expect("returns");
            assert!(matches!(read, Err(ReadError::Erased(_))), "{read:?}");
        });
    }
}
