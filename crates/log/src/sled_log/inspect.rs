//! Looks at a sled log at rest, in a copy of its files: sled writes when it opens, and what is looked at must stay as it is.

use super::PLACE;
use super::database::Database;
use super::head::Head;
use super::pieces::{self, Trouble};
use super::recovery::database;
use super::walk::{Walk, damage};
use crate::journal::{Disk, Folder, OpenError, Stats, Stored, VerifyError};
use crate::{Block, LogId, ReadError};
use postrider_core::{Position, Time};
use std::fs;
use std::io;
use std::path::Path;

/// A copy of a sled log, opened for reading.
#[derive(Debug)]
pub struct Inspect {
    db: Database,
    head: Head,
}

impl Inspect {
    pub(super) fn open(data: &Path, scratch: &Path) -> Result<Inspect, OpenError> {
        let folder = Folder::new(data);
        let head = Head::read(&folder, &folder.list()?)?;
        let head = head.ok_or_else(|| OpenError::NoLog { folder: folder.describe() })?;
        copy(&data.join(PLACE), &scratch.join(PLACE))?;
        Ok(Inspect { db: database(scratch, &head)?, head })
    }

    /// Which log it is.
    pub fn log(&self) -> LogId {
        self.head.log
    }

    /// When it was made.
    pub fn created(&self) -> Time {
        self.head.created
    }

    /// All blocks in order, up to the end or the first damage.
    pub fn blocks(&self) -> impl Iterator<Item = Result<Stored, ReadError>> {
        let mut walk = Some(Walk::new(&self.head));
        std::iter::from_fn(move || {
            let next = self.next_whole(walk.as_mut()?).transpose();
            if !matches!(next, Some(Ok(_))) {
                walk = None;
            }
            Some(next?.map(|block| Stored { file: PLACE.into(), offset: 0, block }))
        })
    }

    /// The next block with its payloads.
    fn next_whole(&self, walk: &mut Walk) -> Result<Option<Block>, ReadError> {
        let Some(front) = walk.next(&self.db)? else { return Ok(None) };
        match pieces::block(&self.db, front.header()) {
            Ok(block) => Ok(Some(block)),
            Err(Trouble::Fault(fault)) => Err(damage(front.number(), fault).into()),
            Err(Trouble::Failed(failure)) => Err(ReadError::Unavailable(failure.into())),
        }
    }

    /// Reads everything, payloads too. `is_erased` tells of which facts the payloads were to be erased: whoever reads the facts knows.
    /// What of these is not zeros is listed in [`Stats::to_erase`]; every other payload must match its crc.
    ///
    /// # Errors
    /// `Damaged` with the first fault; with [`Fault::Erased`](crate::Fault::Erased) for zeros that `is_erased` knows nothing of.
    pub fn verify_erased(&self, is_erased: impl Fn(Position) -> bool) -> Result<Stats, VerifyError> {
        let mut stats = Stats::default();
        let mut walk = Walk::new(&self.head);
        while let Some(block) = self.next_whole(&mut walk)? {
            stats.check(&block, &is_erased).map_err(|fault| damage(block.number(), fault))?;
            stats.add(block.header());
        }
        Ok(Stats { segments: walk.segments.len() as u64, torn: walk.torn, ..stats })
    }
}

/// Copies all files of `from` to the folder `to`, which is made; none if there is no such folder.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.try_exists()? {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        // sled keeps an empty folder there for blobs, which are never made.
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
