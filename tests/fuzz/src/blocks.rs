//! Harm to the files of a log, in any number of places. Bits that flip and files that end early: it is refused, or what is read of it is what
//! was written. Harm whose checksums and chain were then made to fit, as no disk does it and a person could: whatever is read, nothing
//! panics, and no length that lies asks for more memory than there are bytes.

use std::sync::LazyLock;

use postrider_core::{Position, Time};
use postrider_log::fault::{FaultDisk, Keep};
use postrider_log::journal::{Inspect, Journal, Options, salvage_on};
use postrider_log::{Batch, Block, EventLog, LogId, LogReader, LogWriter, Payload};

use crate::mend;

/// Of one block: its facts, each with its payload.
type Content = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// A whole log, and what is in it.
struct Whole {
    disk: FaultDisk,
    blocks: Vec<Content>,
}

static WHOLE: LazyLock<Whole> = LazyLock::new(whole);
const HARMS_MAX: usize = 8;

pub fn run(bytes: &[u8]) {
    let disk = WHOLE.disk.crash(Keep::Everything);
    let is_forged = bytes.first().is_some_and(|first| first & 1 == 1);
    let mut rest = bytes.get(1..).unwrap_or_default();
    for _ in 0..HARMS_MAX {
        let Some((harm, behind)) = Harm::read(rest) else { break };
        harm.do_to(&disk, is_forged);
        rest = behind;
    }
    if is_forged {
        mend::mend(&disk);
    }
    look(&disk.crash(Keep::Everything));
    let Ok(log) = Journal::open_on(disk, options()) else { return };
    let Ok(log) = log.claim(1, 2, Time(2000)) else { return };
    // The claim is one block more, behind those that were found.
    for number in log.reader.first()..log.reader.end() - 1 {
        let Ok(Some(block)) = log.reader.read_block(number) else { continue };
        let expected = WHOLE.blocks.get(number as usize).filter(|_| !is_forged);
        assert!(is_forged || expected.is_some(), "block {number} was never written");
        read(&log.reader, &block, number, expected);
    }
}

/// One place of harm.
struct Harm<'a> {
    file: u8,
    at: u16,
    bytes: &'a [u8],
    /// Whether the file ends behind it.
    cuts: bool,
}

impl Harm<'_> {
    /// File, place (two bytes), how many bytes follow and whether it cuts, and those bytes.
    fn read(bytes: &[u8]) -> Option<(Harm<'_>, &[u8])> {
        let (&[file, high, low, shape], rest) = bytes.split_first_chunk::<4>()?;
        let (bytes, rest) = rest.split_at_checked(usize::from(shape & 0x1f))?;
        Some((Harm { file, at: u16::from_be_bytes([high, low]), bytes, cuts: shape & 0x20 != 0 }, rest))
    }

    /// Flips bits, so that no crc can be written by it; or writes bytes, where crcs are made to fit.
    fn do_to(&self, disk: &FaultDisk, writes: bool) {
        let names = disk.names();
        let name = &names[usize::from(self.file) % names.len()];
        let Some(mut bytes) = disk.bytes(name).filter(|bytes| !bytes.is_empty()) else { return };
        let at = usize::from(self.at) % bytes.len();
        let place = bytes.iter_mut().skip(at).zip(self.bytes);
        place.for_each(|(is, harm)| *is = if writes { *harm } else { *is ^ *harm });
        if self.cuts {
            bytes.truncate(at + self.bytes.len());
        }
        disk.put(name, &bytes);
    }
}

fn options() -> Options {
    Options { segment_bytes: 2560, ..Options::new(LogId([0xab; 16]), Time(1000)) }
}

fn whole() -> Whole {
    let disk = FaultDisk::new();
    let log = Journal::open_on(disk.clone(), options()).expect("opens");
    let mut log = log.claim(1, 2, Time(1000)).expect("claims");
    for number in 1..6_u64 {
        let mut batch = Batch::new(Time(1000 + number));
        for fact in 0..=number % 3 {
            let payload = vec![b'a' + number as u8; (number * 97 % 900) as usize];
            batch.push(format!("fact {fact} of {number}").as_bytes(), (fact != 1).then_some(Payload::new(&payload)));
        }
        log.writer.append(number, &batch).expect("appends");
    }
    let blocks = log.reader.blocks(0).map(|block| content(&block.expect("reads"))).collect();
    Whole { disk, blocks }
}

fn content(block: &Block) -> Content {
    let payload = |index| block.payload(index).expect("whole").map(|bytes| bytes.to_vec());
    block.facts().map(|(at, fact)| (fact.to_vec(), payload(at.index()))).collect()
}

/// Everything of a block that can be read: it is what was written, where anything is expected.
fn read(log: &impl LogReader, block: &Block, number: u64, expected: Option<&Content>) {
    for (at, fact) in block.facts() {
        let payload = log.payload(Position::new(number, at.index()));
        let Some(expected) = expected else { continue };
        let (written, with) = &expected[at.index() as usize];
        assert_eq!(fact, written, "block {number}");
        if let Ok(read) = payload {
            assert_eq!(read.map(|bytes| bytes.to_vec()), *with, "block {number}");
        }
    }
}

/// As the offline commands do: verify, and salvage to somewhere else.
fn look(disk: &FaultDisk) {
    if let Ok(log) = Inspect::open_on(disk.clone()) {
        let _ = log.verify();
        log.blocks().flatten().count();
    }
    // It writes an empty block for each that is missing, up to a bound; here the other disk is in RAM.
    let other = FaultDisk::new();
    other.set_capacity(Some(1 << 20));
    let _ = salvage_on(disk, &other, options(), &mut |_| {});
}
