//! Lets the log begin later. Whole segments go, and their space is overwritten by segments to come.

use super::disk::{Disk, is_full};
use super::head::Head;
use super::segment;
use super::walk::read_header;
use super::writer::Writer;
use crate::TruncateError;
use std::io;

/// Spare segments that are kept for overwriting; what is over that is removed.
const SPARES_MAX: usize = 4;

impl<D: Disk> Writer<D> {
    /// See [`LogWriter::truncate`](crate::LogWriter::truncate).
    pub(super) fn begin_at(&mut self, below: u64) -> Result<u64, TruncateError> {
        if let Some(why) = &self.poison {
            return Err(TruncateError::Unavailable(why.clone()));
        }
        let durable = self.shared.durable.read();
        let firsts: Vec<u64> = durable.segments.iter().map(|segment| segment.first).collect();
        drop(durable);
        // The segment before this one ends below `below`. The newest may be empty still; the log cannot begin there.
        let keep = firsts.iter().rev().find(|&&first| first <= below && first < self.chain.next);
        let Some(&first) = keep.filter(|&&first| first > self.head.first) else {
            return Ok(self.head.first);
        };
        let unavailable = TruncateError::Unavailable;
        let header = match self.shared.file(first).and_then(|file| read_header(&*file, 0)) {
            Ok(Ok(header)) => header,
            Ok(Err(fault)) => return Err(unavailable(self.poison(io::Error::other(fault)))),
            Err(error) => return Err(unavailable(self.poison(error))),
        };
        let head = Head { first, previous: header.previous, ..self.head };
        match head.write(&self.shared.disk) {
            Err(error) if is_full(&error) => return Err(TruncateError::Full),
            Err(error) => return Err(unavailable(self.poison(error))),
            Ok(()) => self.head = head,
        }
        let gone = firsts.into_iter().filter(|&segment| segment < first);
        self.let_go(first, gone).map_err(|error| unavailable(self.poison(error)))?;
        Ok(first)
    }

    /// Frees the segments `gone`. HEAD names the new beginning already: a crash leaves files that opening clears away.
    fn let_go(&mut self, first: u64, gone: impl Iterator<Item = u64>) -> io::Result<()> {
        let mut durable = self.shared.durable.write();
        durable.first = first;
        durable.segments.retain(|segment| segment.first >= first);
        drop(durable);
        self.shared.forget_below(first);
        for segment in gone {
            let (name, spare) = (segment::name(segment), segment::spare_name(segment));
            if self.spares.len() < SPARES_MAX {
                self.shared.disk.rename(&name, &spare)?;
                self.spares.push(spare);
            } else {
                self.shared.disk.remove(&name)?;
            }
        }
        self.shared.disk.sync_names()
    }
}
