//! What a disk holds, twice: as programs see it, and as a power cut would leave it.

use super::Keep;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    /// Name to index in `files`.
    pub names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Since the names were synced, in order.
    unsynced: Vec<Change>,
    pub files: Vec<Content>,
    written: u64,
}

/// What happened to a name. Each is atomic by itself; one may be lost and a later one not.
#[derive(Clone, Debug)]
enum Change {
    Made(String, usize),
    Renamed(String, String),
    Removed(String),
}

impl Change {
    /// Whether there was such a name.
    fn apply(&self, names: &mut BTreeMap<String, usize>) -> bool {
        match self {
            Change::Made(name, file) => {
                names.insert(name.clone(), *file);
                true
            }
            Change::Renamed(from, to) => match names.remove(from) {
                Some(file) => {
                    names.insert(to.clone(), file);
                    true
                }
                None => false,
            },
            Change::Removed(name) => names.remove(name).is_some(),
        }
    }
}

/// A file's bytes. Behind what was written it is zeros up to its size, which take no memory: a segment is mostly such. Clones share them
/// until one is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Bytes {
    written: Arc<Vec<u8>>,
    size: usize,
}

impl Bytes {
    fn new(bytes: &[u8]) -> Bytes {
        Bytes { written: Arc::new(bytes.into()), size: bytes.len() }
    }

    pub fn size(&self) -> usize {
        self.size
    }

    fn grow(&mut self, size: usize) {
        self.size = self.size.max(size);
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let written = Arc::make_mut(&mut self.written);
        written.resize(written.len().max(end), 0);
        written[offset..end].copy_from_slice(bytes);
        self.grow(end);
    }

    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let read = self.size.saturating_sub(offset).min(buffer.len());
        let written = self.written.get(offset..).unwrap_or_default();
        let written = &written[..written.len().min(read)];
        buffer[..written.len()].copy_from_slice(written);
        buffer[written.len()..read].fill(0);
        read
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = self.written.to_vec();
        bytes.resize(self.size, 0);
        bytes
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub now: Bytes,
    durable: Bytes,
    /// In the order in which they were issued.
    unsynced: Vec<Write>,
}

#[derive(Clone, Debug)]
struct Write {
    number: u64,
    offset: usize,
    bytes: Vec<u8>,
}

impl Image {
    pub fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or(io::ErrorKind::NotFound.into())
    }

    /// A new file even under an old name: what is open stays.
    pub fn create(&mut self, name: &str) -> usize {
        let file = self.files.len();
        self.files.push(Content::default());
        self.change(Change::Made(name.into(), file));
        file
    }

    pub fn rename(&mut self, from: &str, to: &str) -> bool {
        self.change(Change::Renamed(from.into(), to.into()))
    }

    pub fn remove(&mut self, name: &str) -> bool {
        self.change(Change::Removed(name.into()))
    }

    fn change(&mut self, change: Change) -> bool {
        let done = change.apply(&mut self.names);
        self.unsynced.push(change);
        done
    }

    pub fn put(&mut self, name: &str, bytes: &[u8]) {
        let file = self.create(name);
        self.files[file] = Content { now: Bytes::new(bytes), durable: Bytes::new(bytes), unsynced: Vec::new() };
        self.durable_names.insert(name.into(), file);
    }

    /// Panics when there is no such byte.
    pub fn flip(&mut self, name: &str, at: usize, mask: u8) {
        let content = &mut self.files[self.names[name]];
        let mut byte = [0];
        assert!(content.now.read(at, &mut byte) == 1, "the byte is there");
        byte[0] ^= mask;
        content.now.put(at, &byte);
        content.durable.put(at, &byte);
    }

    pub fn used(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].now.size() as u64).sum()
    }

    pub fn write(&mut self, file: usize, offset: u64, bytes: Vec<u8>) {
        let content = &mut self.files[file];
        content.now.put(offset as usize, &bytes);
        content.unsynced.push(Write { number: self.written, offset: offset as usize, bytes });
        self.written += 1;
    }

    pub fn grow(&mut self, file: usize, bytes: u64) {
        self.files[file].now.grow(bytes as usize);
    }

    /// After a sync that failed, programs see what they wrote, but nothing will write it any more.
    pub fn sync(&mut self, file: usize, succeeds: bool) {
        let content = &mut self.files[file];
        let unsynced = std::mem::take(&mut content.unsynced);
        if succeeds {
            content.durable.grow(content.now.size());
            for write in unsynced {
                content.durable.put(write.offset, &write.bytes);
            }
        }
    }

    pub fn sync_names(&mut self) {
        self.durable_names = self.names.clone();
        self.unsynced.clear();
    }

    /// What is there after a power cut: nothing unsynced, but for what `keep` spares.
    pub fn crash(&self, keep: Keep) -> Image {
        let mut lot = Lot(if let Keep::Sectors(seed) = keep { seed } else { 0 });
        let mut names = self.durable_names.clone();
        for change in &self.unsynced {
            let spared = match keep {
                Keep::Nothing => false,
                Keep::Everything | Keep::Prefix(_) => true,
                Keep::Sectors(_) => lot.draw(),
            };
            if spared {
                // One that rests on a lost one is lost with it.
                change.apply(&mut names);
            }
        }
        let last = self.files.iter().flat_map(|file| &file.unsynced).map(|write| write.number).max();
        let files = self.files.iter().map(|file| file.crash(keep, last, &mut lot)).collect();
        Image { durable_names: names.clone(), names, files, ..Image::default() }
    }
}

impl Content {
    fn crash(&self, keep: Keep, last: Option<u64>, lot: &mut Lot) -> Content {
        let mut bytes = self.durable.clone();
        for write in &self.unsynced {
            let spared = match keep {
                Keep::Nothing => 0,
                Keep::Prefix(spared) if last == Some(write.number) => spared.min(write.bytes.len()),
                _ => write.bytes.len(),
            };
            for (at, sector) in write.bytes[..spared].chunks(SECTOR).enumerate() {
                if !matches!(keep, Keep::Sectors(_)) || lot.draw() {
                    bytes.put(write.offset + at * SECTOR, sector);
                }
            }
        }
        Content { now: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }
}

/// Coin tosses from a seed (splitmix64).
struct Lot(u64);

impl Lot {
    fn draw(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) & 1 == 1
    }
}
