//! A small log on a disk that fails on purpose, and how to compare what is left of it.

#![allow(dead_code, reason = "each test file uses its part")]

use postrider_core::Time;
use postrider_log::fault::{FaultDisk, FaultJournal};
use postrider_log::journal::{Journal, OpenError, Options, Reader, Writer};
use postrider_log::{Batch, Block, Claimed, EventLog, LogId, LogReader, Payload};

pub type Log = Claimed<Writer<FaultDisk>, Reader<FaultDisk>>;

/// Segments that a handful of blocks fills.
pub const SEGMENT_BYTES: u32 = 2560;

pub fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES, ..Options::new(LogId([0xab; 16]), Time(1000)) }
}

pub fn open(disk: &FaultDisk) -> Result<FaultJournal, OpenError> {
    Journal::open_on(disk.clone(), options())
}

pub fn claim(disk: &FaultDisk) -> Log {
    open(disk).expect("opens").claim(1, 2, Time(1000)).expect("claims")
}

/// What block `number` is made of in these tests: sizes differ, so that no block hides another exactly.
pub fn batch(number: u64) -> Batch {
    let mut batch = Batch::new(Time(1000 + number));
    for fact in 0..=number % 3 {
        let payload = vec![b'a' + (number % 26) as u8; (number * 97 % 900) as usize];
        batch.push(format!("fact {fact} of {number}").as_bytes(), (fact != 1).then_some(Payload::new(&payload)));
    }
    batch
}

/// A block as far as it was decided by who appended it.
pub type Content = (u64, Vec<(Vec<u8>, Option<Vec<u8>>)>);

pub fn content(block: &Block) -> Content {
    let payload = |index| block.payload(index).expect("the payload is whole").map(|p| p.to_vec());
    let facts = block.facts().map(|(at, fact)| (fact.to_vec(), payload(at.index())));
    (block.time().0, facts.collect())
}

pub fn contents(reader: &impl LogReader) -> Vec<Content> {
    reader.blocks(reader.first()).map(|block| content(&block.expect("reads"))).collect()
}
