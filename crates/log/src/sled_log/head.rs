//! The file `HEAD` of a sled log: which log this is, where it begins, and where it ends.
//!
//! The end is what sled cannot be trusted with: a damaged database opens without an error and with its newest records missing. So the end
//! is written here after each commit, and synced, before the commit is acknowledged. Two slots are written in turn, each under its crc:
//! a write that is torn leaves the other, which is a commit older.

use crate::journal::{Disk, DiskFile, Folder, OpenError};
use crate::layout::{ChainHash, LogId, VERSION, hash_at, u32_at, u64_at};
use crate::{Damage, Fault};
use postrider_core::Time;
use std::fs::File;
use std::io::{self, IoSlice};

const NAME: &str = "HEAD";
const NAME_NEW: &str = "HEAD.tmp";
pub(crate) const MAGIC: [u8; 8] = *b"PRsled\r\n";
/// Where the slots begin: in different sectors, also where these have 4 KiB.
pub(crate) const SLOTS: [u64; 2] = [0, 4096];
const BYTES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub log: LogId,
    pub created: Time,
    /// The oldest block.
    pub first: u64,
    /// The hash of the block before it.
    pub previous: ChainHash,
    /// The number after that of the last block that is surely durable.
    pub end: u64,
    /// The hash of that block; of the one before `first` if there is none.
    pub hash: ChainHash,
    /// Writes so far; the slot with more of them is the one that counts.
    turn: u64,
}

impl Head {
    /// Of a new log.
    pub fn new(log: LogId, created: Time) -> Head {
        let (previous, hash) = Default::default();
        Head { log, created, first: 0, previous, end: 0, hash, turn: 0 }
    }

    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &self.log.0);
        put(32, &self.created.0.to_le_bytes());
        put(40, &self.first.to_le_bytes());
        put(48, &self.previous.0);
        put(64, &self.end.to_le_bytes());
        put(72, &self.hash.0);
        put(88, &self.turn.to_le_bytes());
        let crc = crc32c::crc32c(&out[..96]);
        out[96..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(bytes: &[u8; BYTES]) -> Slot {
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if bytes[..8] != MAGIC {
            return Slot::Foreign;
        }
        // Before the crc: a newer version may have it elsewhere.
        if version > VERSION {
            return Slot::Newer(version);
        }
        if version != VERSION || u32_at(bytes, 96) != crc32c::crc32c(&bytes[..96]) {
            return Slot::Damaged;
        }
        Slot::Whole(Head {
            log: LogId(hash_at(bytes, 16)),
            created: Time(u64_at(bytes, 32)),
            first: u64_at(bytes, 40),
            previous: ChainHash(hash_at(bytes, 48)),
            end: u64_at(bytes, 64),
            hash: ChainHash(hash_at(bytes, 72)),
            turn: u64_at(bytes, 88),
        })
    }

    /// Of the log in `folder`, which has files `names`; `None` if there is no log and no other file.
    pub fn read(folder: &Folder, names: &[String]) -> Result<Option<Head>, OpenError> {
        let foreign = || OpenError::Foreign { folder: folder.describe() };
        if !names.iter().any(|name| name == NAME) {
            // A HEAD.tmp alone is a log whose making was cut off.
            return if names.iter().all(|name| name == NAME_NEW) { Ok(None) } else { Err(foreign()) };
        }
        let file = folder.open(NAME, false)?;
        let slot = |at| -> io::Result<Slot> {
            let mut bytes = [0; BYTES];
            DiskFile::read_at(&file, &mut bytes, at)?;
            Ok(Head::decode(&bytes))
        };
        match (slot(SLOTS[0])?, slot(SLOTS[1])?) {
            (Slot::Whole(one), Slot::Whole(two)) => Ok(Some(if one.turn > two.turn { one } else { two })),
            (Slot::Whole(head), _) | (_, Slot::Whole(head)) => Ok(Some(head)),
            (Slot::Newer(version), _) | (_, Slot::Newer(version)) => {
                Err(OpenError::NewerVersion { folder: folder.describe(), version })
            }
            (Slot::Foreign, Slot::Foreign) => Err(foreign()),
            _ => Err(Damage { file: format!("log/{NAME}"), offset: 0, block: 0, fault: Fault::Header }.into()),
        }
    }
}

/// What one of the two places holds.
enum Slot {
    Whole(Head),
    /// Begins with the magic, and is not what was written.
    Damaged,
    Newer(u16),
    Foreign,
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
    head: Head,
}

impl HeadFile {
    /// Of a log that is there, whose head was read.
    pub fn open(folder: &Folder, head: Head) -> io::Result<HeadFile> {
        Ok(HeadFile { file: folder.open(NAME, true)?, head })
    }

    /// Makes the file of a new log, whole and durable.
    pub fn create(folder: &Folder, head: Head) -> io::Result<HeadFile> {
        let mut new = HeadFile { file: folder.create(NAME_NEW)?, head };
        new.begin_at(head.first, head.previous)?;
        folder.rename(NAME_NEW, NAME)?;
        folder.sync_names()?;
        Ok(new)
    }

    /// What was written last.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Notes a new end of the log; durable when it returns.
    pub fn end_at(&mut self, end: u64, hash: ChainHash) -> io::Result<()> {
        self.write(Head { end, hash, ..self.head })
    }

    /// Notes a new beginning, behind the block with the hash `previous`; durable when it returns. Neither slot says another then.
    pub fn begin_at(&mut self, first: u64, previous: ChainHash) -> io::Result<()> {
        for _ in SLOTS {
            self.write(Head { first, previous, ..self.head })?;
        }
        Ok(())
    }

    fn write(&mut self, head: Head) -> io::Result<()> {
        let head = Head { turn: head.turn + 1, ..head };
        let slot = SLOTS[(head.turn % 2) as usize];
        DiskFile::write_at(&self.file, &mut [IoSlice::new(&head.encode())], slot)?;
        self.file.sync()?;
        self.head = head;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> (tempfile::TempDir, Folder, HeadFile) {
        let data = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(data.path());
        folder.make().expect("is made");
        let head = HeadFile::create(&folder, Head::new(LogId([3; 16]), Time(5))).expect("is made");
        (data, folder, head)
    }

    fn read(folder: &Folder) -> Result<Option<Head>, OpenError> {
        Head::read(folder, &folder.list().expect("lists"))
    }

    #[test]
    fn the_newest_whole_slot_counts_and_any_flipped_bit_leaves_one() {
        let (data, folder, mut file) = made();
        for end in 1..4 {
            file.end_at(end, ChainHash([end as u8; 16])).expect("writes");
            assert_eq!(read(&folder).expect("reads"), Some(*file.head()));
        }
        let path = data.path().join("log").join(NAME);
        let whole = std::fs::read(&path).expect("reads");
        let bits = SLOTS.iter().flat_map(|&slot| slot as usize * 8..(slot as usize + BYTES) * 8);
        for bit in bits {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bytes).expect("writes");
            let head = read(&folder).expect("reads").expect("is there");
            assert!(head == *file.head() || head.end == 2, "bit {bit}: {head:?}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        let (data, folder, _) = made();
        let path = data.path().join("log").join(NAME);
        let whole = std::fs::read(&path).expect("reads");
        let with = |change: &dyn Fn(&mut [u8])| {
            let mut bytes = whole.clone();
            SLOTS.iter().for_each(|&slot| change(&mut bytes[slot as usize..]));
            std::fs::write(&path, bytes).expect("writes");
            read(&folder)
        };
        assert!(matches!(with(&|slot| slot[0] = b'x'), Err(OpenError::Foreign { .. })));
        assert!(matches!(with(&|slot| slot[8] = 7), Err(OpenError::NewerVersion { version: 7, .. })));
        assert!(matches!(with(&|slot| slot[64] ^= 1), Err(OpenError::Damaged(_))));
    }
}
