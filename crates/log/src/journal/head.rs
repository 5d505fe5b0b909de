//! The file `HEAD`: which log this is, in which version of the format, and where it begins. Replaced whole, never changed in place.

use super::disk::{Disk, DiskFile};
use super::recovery::OpenError;
use crate::layout::{ChainHash, LogId, VERSION, hash_at, u32_at, u64_at};
use crate::{Damage, Fault};
use postrider_core::Time;
use std::io;

const NAME: &str = "HEAD";
const NAME_NEW: &str = "HEAD.tmp";
pub(crate) const MAGIC: [u8; 8] = *b"PRlog\r\n\x1a";
const BYTES: usize = 68;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub log: LogId,
    pub created: Time,
    /// The oldest block.
    pub first: u64,
    /// The hash of the block before it.
    pub previous: ChainHash,
}

impl Head {
    fn encode(&self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &MAGIC);
        put(8, &VERSION.to_le_bytes());
        put(16, &self.log.0);
        put(32, &self.created.0.to_le_bytes());
        put(40, &self.first.to_le_bytes());
        put(48, &self.previous.0);
        let crc = crc32c::crc32c(&out[..64]);
        out[64..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Of the log in `disk`, which has files `names`; `None` if there is no log and no other file.
    pub fn read<D: Disk>(disk: &D, names: &[String]) -> Result<Option<Head>, OpenError> {
        let foreign = || OpenError::Foreign { folder: disk.describe() };
        if !names.iter().any(|name| name == NAME) {
            // A HEAD.tmp alone is a log whose making was cut off.
            return if names.iter().all(|name| name == NAME_NEW) { Ok(None) } else { Err(foreign()) };
        }
        let mut bytes = [0; BYTES];
        let read = disk.open(NAME, false)?.read_at(&mut bytes, 0)?;
        if read < 10 || bytes[..8] != MAGIC {
            return Err(foreign());
        }
        // Before the crc: a newer version may have it elsewhere.
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version > VERSION {
            return Err(OpenError::NewerVersion { folder: disk.describe(), version });
        }
        if version != VERSION || u32_at(&bytes, 64) != crc32c::crc32c(&bytes[..64]) {
            let damage = Damage { file: format!("log/{NAME}"), offset: 0, block: 0, fault: Fault::Header };
            return Err(OpenError::Damaged(damage));
        }
        Ok(Some(Head {
            log: LogId(hash_at(&bytes, 16)),
            created: Time(u64_at(&bytes, 32)),
            first: u64_at(&bytes, 40),
            previous: ChainHash(hash_at(&bytes, 48)),
        }))
    }

    /// Puts this in the place of what is there; durable when it returns.
    pub fn write<D: Disk>(&self, disk: &D) -> io::Result<()> {
        let file = disk.create(NAME_NEW)?;
        file.write_at(&mut [io::IoSlice::new(&self.encode())], 0)?;
        file.sync()?;
        disk.rename(NAME_NEW, NAME)?;
        disk.sync_names()
    }
}
