//! Root records: one in each database, in the same batch as what it covers.
//!
//! Root of the pending database: format version (1 byte), log id (16), pending block, its chain hash (16), history block, its chain hash
//! (16), swept, origin (0, or one more than
//! the block), ledger (next number, count, sum as 8 bytes), kernel (0, or 1 and its block, bytes, crc as 4 bytes), crc32c. Root of a
//! day: version, log id, day, block, ledger, crc32c. A day's record in the pending database: first position as an integer, block, ledger,
//! crc32c. All other numbers are varints.

use postrider_core::{Position, Time};

use crate::coding::{Input, put, seal, unseal};
use crate::error::{Fault, Reason};
use crate::identity::Mark;
use crate::ledger::Ledger;

/// Raised whenever any layout changes: a store of another version is built anew.
pub const VERSION: u8 = 3;

/// Where the kernel's pieces are as of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KernelRecord {
    pub block: u64,
    pub bytes: u64,
    pub crc: u32,
}

/// The root of the pending database, and with it of the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Root {
    pub log: [u8; 16],
    pub pending: Mark,
    pub history: Mark,
    /// All that was due before this has been moved to the backlog.
    pub swept: Time,
    /// The block of the first record that was ever taken: events from before are known only when they were carried.
    pub origin: Option<u64>,
    pub ledger: Ledger,
    pub kernel: Option<KernelRecord>,
}

impl Root {
    /// Of a store of this log that covers nothing.
    pub fn new(log: [u8; 16]) -> Root {
        let (pending, history) = (Mark::default(), Mark::default());
        Root { log, pending, history, swept: Time(0), origin: None, ledger: Ledger::default(), kernel: None }
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.log);
        for mark in [self.pending, self.history] {
            put(&mut out, mark.block);
            out.extend(mark.chain);
        }
        put(&mut out, self.swept.0);
        put(&mut out, self.origin.map_or(0, |block| block + 1));
        self.ledger.write(&mut out);
        match self.kernel {
            None => out.push(0),
            Some(KernelRecord { block, bytes, crc }) => {
                out.push(1);
                put(&mut out, block);
                put(&mut out, bytes);
                out.extend(crc.to_le_bytes());
            }
        }
        seal(out)
    }

    /// Reads it back; the reason why it can't be is without the database's name.
    pub fn read(record: &[u8]) -> Result<Root, Unfit> {
        let (bytes, _) = unseal(record).ok_or(Unfit::Fault(Fault::Record))?;
        let mut input = Input(bytes);
        let [version] = input.array().ok_or(Unfit::Fault(Fault::Record))?;
        if version != VERSION {
            return Err(Unfit::Version(version));
        }
        Root::read_fields(&mut input).filter(|_| input.is_empty()).ok_or(Unfit::Fault(Fault::Record))
    }

    fn read_fields(input: &mut Input<'_>) -> Option<Root> {
        let log = input.array()?;
        let pending = Mark { block: input.number()?, chain: input.array()? };
        let history = Mark { block: input.number()?, chain: input.array()? };
        let swept = Time(input.number()?);
        let origin = input.number()?.checked_sub(1);
        let ledger = Ledger::read(input)?;
        let kernel = match input.number()? {
            0 => None,
            1 => Some(KernelRecord { block: input.number()?, bytes: input.number()?, crc: input.u32()? }),
            _ => return None,
        };
        Some(Root { log, pending, history, swept, origin, ledger, kernel })
    }
}

/// Why bytes are no root of this store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unfit {
    Version(u8),
    Fault(Fault),
}

impl Unfit {
    pub fn reason(self, database: &str) -> Reason {
        match self {
            Unfit::Version(version) => Reason::Version(version),
            Unfit::Fault(fault) => Reason::Damaged(crate::Damage { database: database.to_owned(), fault }),
        }
    }
}

/// The root of a day's database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DayRoot {
    pub log: [u8; 16],
    pub day: u32,
    /// All blocks below it are covered, as far as they concern this day.
    pub block: u64,
    pub ledger: Ledger,
}

impl DayRoot {
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.log);
        put(&mut out, u64::from(self.day));
        put(&mut out, self.block);
        self.ledger.write(&mut out);
        seal(out)
    }

    pub fn read(record: &[u8]) -> Option<DayRoot> {
        let mut input = Input(unseal(record)?.0);
        if input.array()? != [VERSION] {
            return None;
        }
        let (log, day) = (input.array()?, input.small()?);
        let root = DayRoot { log, day, block: input.number()?, ledger: Ledger::read(&mut input)? };
        input.is_empty().then_some(root)
    }
}

/// What the pending database knows of a day's: it, or a newer one not past the store's own position, must be there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DayRecord {
    /// The first record of that day.
    pub first: Position,
    pub block: u64,
    pub ledger: Ledger,
}

impl DayRecord {
    pub fn new(first: Position) -> DayRecord {
        DayRecord { first, block: 0, ledger: Ledger::default() }
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, self.first.to_u64());
        put(&mut out, self.block);
        self.ledger.write(&mut out);
        seal(out)
    }

    pub fn read(record: &[u8]) -> Option<DayRecord> {
        let mut input = Input(unseal(record)?.0);
        let first = Position::from_u64(input.number()?);
        let record = DayRecord { first, block: input.number()?, ledger: Ledger::read(&mut input)? };
        input.is_empty().then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        ledger.number();
        ledger.add(0x0102_0304_0506_0708);
        ledger
    }

    #[test]
    fn the_layouts_are_these() {
        let mark = |block, byte| Mark { block, chain: [byte; 16] };
        let kernel = Some(KernelRecord { block: 6, bytes: 300, crc: 0xaabb_ccdd });
        let root = Root {
            log: [1; 16],
            pending: mark(300, 2),
            history: mark(7, 3),
            swept: Time(9),
            origin: Some(4),
            ledger: ledger(),
            kernel,
        };
        let ledger_bytes: &[u8] = &[1, 1, 8, 7, 6, 5, 4, 3, 2, 1];
        let parts: [&[u8]; 9] = [
            &[VERSION],
            &[1; 16],
            &[0xac, 2],
            &[2; 16],
            &[7],
            &[3; 16],
            &[9, 5],
            ledger_bytes,
            &[1, 6, 0xac, 2, 0xdd, 0xcc, 0xbb, 0xaa],
        ];
        assert_eq!(root.write(), seal(parts.concat()));
        assert_eq!(Root::read(&root.write()), Ok(root));
        let bare = Root { kernel: None, ..root };
        assert_eq!(Root::read(&bare.write()), Ok(bare));

        let day = DayRoot { log: [1; 16], day: 20_500, block: 300, ledger: ledger() };
        let parts: [&[u8]; 4] = [&[VERSION], &[1; 16], &[0x94, 0xa0, 1, 0xac, 2], ledger_bytes];
        assert_eq!(day.write(), seal(parts.concat()));
        assert_eq!(DayRoot::read(&day.write()), Some(day));

        let record = DayRecord { first: Position::from_u64(300), block: 5, ledger: ledger() };
        let parts: [&[u8]; 2] = [&[0xac, 2, 5], ledger_bytes];
        assert_eq!(record.write(), seal(parts.concat()));
        assert_eq!(DayRecord::read(&record.write()), Some(record));
    }

    #[test]
    fn another_version_and_damage_are_told_apart() {
        let mut other = Root::new([1; 16]).write();
        other[0] = VERSION + 1;
        assert_eq!(Root::read(&other), Err(Unfit::Fault(Fault::Record)));
        other.truncate(other.len() - 4);
        assert_eq!(Root::read(&seal(other)), Err(Unfit::Version(VERSION + 1)));
    }
}
