//! The disk under the journal, and the bugs of whoever drives a disk.

use std::io::{self, IoSlice};

use postrider_log::Damage;
use postrider_log::fault::{FaultDisk, FaultFile, FaultLock};
use postrider_log::journal::{Disk, DiskFile};

use crate::fault::Fault;

/// A disk that does what it is told, but for the bug under test.
#[derive(Clone, Debug)]
pub struct LyingDisk {
    disk: FaultDisk,
    fault: Option<Fault>,
}

impl LyingDisk {
    pub(super) fn new(disk: FaultDisk, fault: Option<Fault>) -> LyingDisk {
        LyingDisk { disk, fault }
    }

    pub(super) fn inner(&self) -> &FaultDisk {
        &self.disk
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// The bug of taking damage for the end: what lies behind it is thrown away.
    pub(super) fn cut_off(&self, damage: &Damage) {
        let name = damage.file.trim_start_matches("log/");
        if !name.ends_with(".seg") {
            return;
        }
        let is_later = |other: &&String| other.ends_with(".seg") && other.as_str() > name;
        for later in self.disk.names().iter().filter(is_later) {
            let _ = self.disk.remove(later);
        }
        if let Some(mut bytes) = self.disk.bytes(name) {
            bytes[damage.offset as usize..].fill(0);
            self.disk.put(name, &bytes);
        }
    }
}

impl Disk for LyingDisk {
    type File = LyingFile;
    type Lock = FaultLock;

    fn describe(&self) -> String {
        self.disk.describe()
    }

    fn make(&self) -> io::Result<()> {
        self.disk.make()
    }

    fn lock(&self) -> io::Result<Option<FaultLock>> {
        self.disk.lock()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn open(&self, name: &str, write: bool) -> io::Result<LyingFile> {
        Ok(LyingFile { file: self.disk.open(name, write)?, fault: self.fault })
    }

    fn create(&self, name: &str) -> io::Result<LyingFile> {
        Ok(LyingFile { file: self.disk.create(name)?, fault: self.fault })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_names(&self) -> io::Result<()> {
        match self.fault {
            Some(Fault::NamesUnsynced) => Ok(()),
            _ => self.disk.sync_names(),
        }
    }
}

/// A file of a [`LyingDisk`].
#[derive(Debug)]
pub struct LyingFile {
    file: FaultFile,
    fault: Option<Fault>,
}

impl DiskFile for LyingFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, parts: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        self.file.write_at(parts, offset)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.file.allocate(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        match self.fault {
            Some(Fault::NoSync) => Ok(()),
            Some(Fault::SyncRetried) => self.file.sync().or_else(|_| self.file.sync()),
            _ => self.file.sync(),
        }
    }
}
