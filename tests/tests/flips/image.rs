//! A folder at rest as bytes, and where to flip which bits of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// From here on, every bit of the small files.
const FLIPS_LONG: u64 = 2_000;
/// Of the store's files, in each of two folders: whatever becomes of them, nothing is lost.
const FLIPS_IN_STORE: usize = 60;

/// Evenly spread, the same in every run.
pub struct Lot(pub u64);

impl Lot {
    /// SplitMix64.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A data folder at rest: every file but the ballast, which is empty space. Only what was written is kept of a segment.
pub struct Image {
    files: BTreeMap<PathBuf, (Vec<u8>, u64)>,
    ballast: u64,
}

impl Image {
    pub fn of(data: &Path) -> Image {
        let mut image = Image { files: BTreeMap::new(), ballast: 0 };
        for path in files(data) {
            let name = path.strip_prefix(data).unwrap().to_owned();
            let size = fs::metadata(&path).unwrap().len();
            if name.as_os_str() == "ballast" {
                image.ballast = size;
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if name.extension().is_some_and(|e| e == "seg") {
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(512));
                bytes.truncate(used);
            }
            image.files.insert(name, (bytes, size));
        }
        image
    }

    /// Makes the folder anew.
    pub fn lay(&self, data: &Path) {
        let _ = fs::remove_dir_all(data);
        for (name, (bytes, size)) in &self.files {
            let path = data.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            if *size > bytes.len() as u64 {
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(*size).unwrap();
            }
        }
        fs::File::create(data.join("ballast")).unwrap().set_len(self.ballast).unwrap();
    }

    /// The flips: half of them evenly over the bytes of the segments, half evenly over the blocks; some in the last block, all over its beginning, and in space that
    /// holds nothing; and one bit of each byte of the small files, or every bit.
    pub fn flips(&self, count: u64, lot: &mut Lot) -> Vec<Flip> {
        let blocks: Vec<_> = self.blocks().collect();
        let used: u64 = blocks.iter().map(|block| block.bytes).sum();
        let mut flips = Vec::new();
        for n in 0..count / 2 {
            // One place in each of as many equal parts.
            let mut at = (n * used + lot.below(used)) / (count / 2);
            let block = blocks.iter().find(|block| at < block.bytes || (at -= block.bytes, false).1).unwrap();
            flips.push(block.flip(at, lot));
            let block = &blocks[(n * blocks.len() as u64 / (count / 2)) as usize];
            flips.push(block.flip(lot.below(block.bytes), lot));
        }
        let last = blocks.last().unwrap();
        flips.extend((0..count / 16).map(|_| last.flip(lot.below(last.bytes), lot)));
        // Where it says that it is the next block.
        flips.extend((0..40).map(|at| last.flip(at, lot)));
        for (name, (bytes, size)) in self.files.iter().filter(|(name, _)| is_segment(name)) {
            let free = Block { file: name, at: bytes.len() as u64, bytes: size - bytes.len() as u64 };
            flips.extend((0..4).map(|_| free.flip(lot.below(free.bytes), lot)));
        }
        for (name, (bytes, _)) in self.files.iter().filter(|(name, _)| !is_segment(name) && !is_of_store(name)) {
            let bits = |at: u64| if count >= FLIPS_LONG { 0..8 } else { (at % 8) as u8..(at % 8) as u8 + 1 };
            let flip = |at| bits(at).map(move |bit| Flip { file: name.clone(), at, bit });
            flips.extend((0..bytes.len() as u64).flat_map(flip));
        }
        let in_store: Vec<_> =
            self.files.iter().filter(|(name, (bytes, _))| is_of_store(name) && !bytes.is_empty()).collect();
        for n in 0..FLIPS_IN_STORE {
            let (name, (bytes, _)) = in_store[n % in_store.len()];
            flips.push(Flip { file: name.clone(), at: lot.below(bytes.len() as u64), bit: lot.below(8) as u8 });
        }
        flips.extend((0..4).map(|_| Flip { file: "ballast".into(), at: lot.below(self.ballast), bit: 0 }));
        flips
    }

    /// All blocks, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.files.iter().filter(|(name, _)| is_segment(name)).flat_map(|(file, (bytes, _))| {
            let begins = |sector: &[u8]| sector.starts_with(b"PRblock\n");
            let starts = bytes.chunks(512).enumerate().filter(move |(_, sector)| begins(sector));
            let mut starts = starts.map(|(n, _)| n as u64 * 512).peekable();
            std::iter::from_fn(move || {
                let at = starts.next()?;
                Some(Block { file, at, bytes: starts.peek().unwrap_or(&(bytes.len() as u64)) - at })
            })
        })
    }
}

/// A part of a segment.
pub struct Block<'a> {
    pub file: &'a Path,
    pub at: u64,
    bytes: u64,
}

impl Block<'_> {
    fn flip(&self, at: u64, lot: &mut Lot) -> Flip {
        Flip { file: self.file.to_owned(), at: self.at + at, bit: lot.below(8) as u8 }
    }
}

pub fn is_segment(name: &Path) -> bool {
    name.extension().is_some_and(|e| e == "seg")
}

fn is_of_store(name: &Path) -> bool {
    name.starts_with("store")
}

#[derive(Clone, Debug)]
pub struct Flip {
    pub file: PathBuf,
    pub at: u64,
    pub bit: u8,
}

impl Flip {
    pub fn make(&self, data: &Path) {
        let file = fs::OpenOptions::new().read(true).write(true).open(data.join(&self.file)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, self.at).unwrap();
        file.write_all_at(&[byte[0] ^ 1 << self.bit], self.at).unwrap();
    }
}

/// Every file, but for the folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut all): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    folders.iter().for_each(|folder| all.extend(files(folder)));
    all.sort();
    all
}

/// Every file with its bytes; of the ballast its size.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u64)> {
    let read = |path: &Path| if path.ends_with("ballast") { Vec::new() } else { fs::read(path).unwrap() };
    files(folder).into_iter().map(|path| (path.clone(), (read(&path), fs::metadata(path).unwrap().len()))).collect()
}

impl Image {
    /// Flips evenly over what sled's file holds, over its small files, and over `HEAD`.
    pub fn flips_in_sled(&self, count: u64, lot: &mut Lot) -> Vec<Flip> {
        let of_log = self.files.iter().filter(|(name, (bytes, _))| name.starts_with("log") && !bytes.is_empty());
        let mut flips = Vec::new();
        for (file, (bytes, _)) in of_log {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last as u64 + 1);
            let count = if file.ends_with("db") { count } else { (count / 4).min(used) };
            // One place in each of as many equal parts.
            flips.extend((0..count).map(|n| {
                let at = (n * used + lot.below(used)) / count;
                Flip { file: file.clone(), at, bit: lot.below(8) as u8 }
            }));
        }
        flips
    }
}
