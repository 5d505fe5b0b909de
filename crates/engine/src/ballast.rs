//! Space that is kept for the end: a file that is given up when the disk is full, so that attempts in flight and retries can still be filed
//! while nothing new is accepted.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate};

/// How often a full disk is asked for the space again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The file, or the wish to have it again.
pub struct Ballast {
    /// `None` for a log that is not on a disk.
    path: Option<PathBuf>,
    bytes: u64,
    is_there: bool,
    asked: Instant,
}

impl Ballast {
    /// No ballast, for a log in memory.
    pub fn none() -> Ballast {
        Ballast { path: None, bytes: 0, is_there: true, asked: Instant::now() }
    }

    /// The ballast of a data folder: as much as the log's next block can take, its segment included.
    pub fn of(data: &Path, room_bytes: u64) -> Ballast {
        let path = data.join("ballast");
        let is_there = path.exists();
        Ballast { path: Some(path), bytes: room_bytes + SLACK, is_there, asked: Instant::now() }
    }

    /// Gives up the space; false when there is none to give.
    pub fn release(&mut self) -> bool {
        let given = self.path.as_ref().is_some_and(|path| fs::remove_file(path).is_ok());
        self.is_there = self.path.is_none();
        self.asked = Instant::now();
        given
    }

    /// Takes the space back when it is time to ask and the disk has it; whether it is there.
    pub fn restore(&mut self) -> bool {
        if !self.is_there && self.asked.elapsed() >= ASK_AGAIN {
            self.asked = Instant::now();
            self.is_there = self.allocate().is_ok();
        }
        self.is_there
    }

    /// Takes the space at the start; whether it is there.
    pub fn take(&mut self) -> bool {
        self.is_there = self.is_there || self.allocate().is_ok();
        self.is_there
    }

    fn allocate(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        fallocate(&file, FallocateFlags::empty(), 0, self.bytes).map_err(|error| {
            // Half a ballast would only be in the way.
            let _ = fs::remove_file(path);
            error.into()
        })
    }
}

/// For what a file system needs beside the segment itself.
const SLACK: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_space_is_taken_given_up_and_taken_back() {
        let data = tempfile::tempdir().unwrap();
        let mut ballast = Ballast::of(data.path(), 1 << 20);
        assert!(ballast.take());
        assert_eq!(fs::metadata(data.path().join("ballast")).unwrap().len(), 2 << 20);
        assert!(ballast.release());
        assert!(!data.path().join("ballast").exists());
        assert!(!ballast.release(), "there is none any more");
        assert!(!ballast.restore(), "not so soon");
        ballast.asked -= ASK_AGAIN;
        assert!(ballast.restore());
    }
}
