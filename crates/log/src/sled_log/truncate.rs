//! Lets the log begin later: `HEAD` says so first, then the blocks below are removed from sled, which uses their space again as it likes.

use super::pieces::{self, Trouble};
use super::writer::Writer;
use crate::journal::is_full;
use crate::{Fault, TruncateError};
use std::io;
use std::ops::Range;

/// Keys that are removed in one batch.
const KEYS_MAX: usize = 1024;

impl Writer {
    /// See [`LogWriter::truncate`](crate::LogWriter::truncate).
    pub(super) fn begin_at(&mut self, below: u64) -> Result<u64, TruncateError> {
        if let Some(why) = &self.poison {
            return Err(TruncateError::Unavailable(why.clone()));
        }
        let durable = self.shared.durable.read();
        let keep = durable.segments.iter().rev().map(|segment| segment.first).find(|&first| first <= below);
        let from = durable.first;
        drop(durable);
        let Some(first) = keep.filter(|&first| first > from) else {
            return Ok(from);
        };
        // What removing writes; a full disk is found before anything is changed.
        match self.shared.on(|db| db.make_room(0)).map_err(io::Error::from) {
            Err(error) if is_full(&error) => return Err(TruncateError::Full),
            made => made
                .and_then(|()| self.let_go(first))
                .map_err(|error| TruncateError::Unavailable(self.poison(error)))?,
        }
        Ok(first)
    }

    fn let_go(&mut self, first: u64) -> io::Result<()> {
        let header = self.shared.on(|db| pieces::header(db, first)?.ok_or(Trouble::Fault(Fault::Lost)));
        let (header, _) = header.map_err(|trouble| match trouble {
            Trouble::Fault(fault) => io::Error::other(fault),
            Trouble::Failed(failure) => failure.into(),
        })?;
        self.head.begin_at(first, header.previous)?;
        let mut durable = self.shared.durable.write();
        let from = std::mem::replace(&mut durable.first, first);
        durable.segments.retain(|segment| segment.first >= first);
        drop(durable);
        self.remove(from..first)
    }

    /// Removes all there is of `blocks` from the database. A crash leaves some: the next claim removes it.
    pub(super) fn remove(&self, blocks: Range<u64>) -> io::Result<()> {
        let (from, to) = (pieces::key(blocks.start, 0), pieces::key(blocks.end, 0));
        self.shared.on(|db| {
            loop {
                let keys = db.keys(&from, &to, KEYS_MAX)?;
                if keys.is_empty() {
                    return db.sync();
                }
                let mut gone = sled::Batch::default();
                keys.into_iter().for_each(|key| gone.remove(key));
                db.apply(gone)?;
            }
        })?;
        Ok(())
    }
}
