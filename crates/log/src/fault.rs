//! A disk in RAM that fails on purpose: for the tests of everything that rests on the log, and for the simulator.
//!
//! Knows what a power cut spares: synced bytes and synced names for certain, the rest by choice. The power can be cut during any sync,
//! the last write torn at any byte, unsynced sectors kept or lost one by one; bits flip; writes and syncs fail; space runs out. A failed
//! sync behaves as Linux does: what it was to write reads back as if written, and is never written.

mod image;

use crate::journal::{Disk, DiskFile, Journal};
use image::Image;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::sync::Arc;

/// A [`Journal`] on a [`FaultDisk`].
pub type FaultJournal = Journal<FaultDisk>;

/// What of the unsynced writes and names a power cut spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// None.
    Nothing,
    /// All.
    Everything,
    /// All, but of the last write only its first bytes.
    Prefix(usize),
    /// Each sector of each write and each change of a name, by lot; the same seed spares the same.
    Sectors(u64),
}

/// A disk that fails on purpose. Clones are the same disk.
#[derive(Clone, Default)]
pub struct FaultDisk {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for FaultDisk {
    /// Without what it holds, which would fill a screen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultDisk").field("names", &self.names()).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    image: Image,
    /// The image as it was when the power was cut; what came after never happened.
    frozen: Option<Image>,
    locked: bool,
    reads: u64,
    writes: u64,
    syncs: u64,
    freeze_at_sync: Option<u64>,
    fail_at_write: Option<u64>,
    fail_at_sync: Option<u64>,
    capacity: Option<u64>,
}

impl FaultDisk {
    /// An empty disk that works.
    pub fn new() -> FaultDisk {
        FaultDisk::default()
    }

    /// Syncs of files and of names so far.
    pub fn syncs(&self) -> u64 {
        self.state.lock().syncs
    }

    /// Reads of files so far.
    pub fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// Cuts the power during sync number `sync`, counted from 0 and from the disk's beginning. The program is not told.
    pub fn freeze_at_sync(&self, sync: u64) {
        self.state.lock().freeze_at_sync = Some(sync);
    }

    /// Makes a write fail after half of its bytes: the next one if `after` is 0.
    pub fn fail_write(&self, after: u64) {
        let mut state = self.state.lock();
        state.fail_at_write = Some(state.writes + after);
    }

    /// Makes a sync fail: the next one if `after` is 0.
    pub fn fail_sync(&self, after: u64) {
        let mut state = self.state.lock();
        state.fail_at_sync = Some(state.syncs + after);
    }

    /// Bounds the space of all files together, in bytes.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state.lock().capacity = bytes;
    }

    /// Cuts the power now, if it was not cut before. Returns the disk as the next boot finds it; this one is of no further use.
    pub fn crash(&self, keep: Keep) -> FaultDisk {
        let state = self.state.lock();
        let image = state.frozen.as_ref().unwrap_or(&state.image).crash(keep);
        FaultDisk { state: Arc::new(Mutex::new(State { image, ..State::default() })) }
    }

    /// Bytes of all files together, as [`set_capacity`](Self::set_capacity) counts them.
    pub fn used(&self) -> u64 {
        self.state.lock().image.used()
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.state.lock().image.names.keys().cloned().collect()
    }

    /// A file's bytes.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock();
        Some(state.image.files[*state.image.names.get(name)?].now.to_vec())
    }

    /// Replaces or makes a file, durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.state.lock().image.put(name, bytes);
    }

    /// Flips the bits of `mask` in one byte of a file, durably.
    pub fn flip(&self, name: &str, at: usize, mask: u8) {
        self.state.lock().image.flip(name, at, mask);
    }
}

impl State {
    /// Counts a sync. Whether it is to fail; the power is cut before it does anything.
    fn sync(&mut self) -> bool {
        let sync = self.syncs;
        self.syncs += 1;
        if self.freeze_at_sync == Some(sync) {
            self.frozen = Some(self.image.clone());
        }
        self.fail_at_sync == Some(sync)
    }

    /// Whether `file` can have `size` bytes.
    fn check_space(&self, file: usize, size: u64) -> io::Result<()> {
        let more = size.saturating_sub(self.image.files[file].now.size() as u64);
        match self.capacity {
            Some(capacity) if self.image.used() + more > capacity => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("this was to fail")
}

/// The lock of a [`FaultDisk`].
#[derive(Debug)]
pub struct FaultLock(FaultDisk);

impl Drop for FaultLock {
    fn drop(&mut self) {
        self.0.state.lock().locked = false;
    }
}

impl Disk for FaultDisk {
    type File = FaultFile;
    type Lock = FaultLock;

    fn describe(&self) -> String {
        "the disk in memory".into()
    }

    fn make(&self) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self) -> io::Result<Option<FaultLock>> {
        let taken = std::mem::replace(&mut self.state.lock().locked, true);
        Ok(if taken { None } else { Some(FaultLock(self.clone())) })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, name: &str, _write: bool) -> io::Result<FaultFile> {
        let file = self.state.lock().image.find(name)?;
        Ok(FaultFile { disk: self.clone(), file })
    }

    fn create(&self, name: &str) -> io::Result<FaultFile> {
        let file = self.state.lock().image.create(name);
        Ok(FaultFile { disk: self.clone(), file })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let done = self.state.lock().image.rename(from, to);
        done.then_some(()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let done = self.state.lock().image.remove(name);
        done.then_some(()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.sync() {
            return Err(failed());
        }
        state.image.sync_names();
        Ok(())
    }
}

/// An open file of a [`FaultDisk`].
#[derive(Debug)]
pub struct FaultFile {
    disk: FaultDisk,
    file: usize,
}

impl DiskFile for FaultFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().image.files[self.file].now.size() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.disk.state.lock();
        state.reads += 1;
        Ok(state.image.files[self.file].now.read(offset as usize, buffer))
    }

    fn write_at(&self, parts: &mut [io::IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        let mut state = self.disk.state.lock();
        state.check_space(self.file, offset + bytes.len() as u64)?;
        let fails = state.fail_at_write == Some(state.writes);
        state.writes += 1;
        if fails {
            bytes.truncate(bytes.len() / 2);
        }
        state.image.write(self.file, offset, bytes);
        if fails { Err(failed()) } else { Ok(()) }
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        state.check_space(self.file, bytes)?;
        state.image.grow(self.file, bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.state.lock();
        let fails = state.sync();
        state.image.sync(self.file, !fails);
        if fails { Err(failed()) } else { Ok(()) }
    }
}
