//! One block as read: a single buffer, its facts and payloads borrowed from it.
//!
//! A `Block` is whole: head, table and facts match their crcs. Payloads are checked when they are asked for, each under its own crc,
//! because one may be erased or damaged without touching the facts. A replay reads blocks without them.

use crate::Fault;
use crate::layout::{ChainHash, ENTRY, HEADER, Header, Kind, NO_PAYLOAD, Owner, u32_at};
use bytes::Bytes;
use postrider_core::{Position, Time};
use std::ops::Range;
use std::sync::Arc;

/// One group commit, owner entry, seal or gap. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Block {
    header: Header,
    bytes: Bytes,
    entries: Arc<[Entry]>,
}

/// Where a fact and its payload lie in the block's bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    fact: u32,
    fact_len: u32,
    payload: u32,
    payload_len: u32,
    payload_crc: u32,
}

impl Block {
    /// The block that `bytes` begin with.
    pub(crate) fn decode(bytes: Bytes) -> Result<Block, Fault> {
        let header = Header::decode(&bytes)?;
        if bytes.len() < header.block_len() {
            return Err(Fault::PastEnd);
        }
        Block::new(header, bytes.slice(..header.block_len()))
    }

    /// The block that `bytes` begin with, of which they may hold no payloads.
    pub(crate) fn decode_front(bytes: Bytes) -> Result<Block, Fault> {
        let header = Header::decode(&bytes)?;
        if bytes.len() < header.front_len() {
            return Err(Fault::PastEnd);
        }
        Block::new(header, bytes.slice(..header.front_len()))
    }

    fn new(header: Header, bytes: Bytes) -> Result<Block, Fault> {
        check_front(&header, &bytes)?;
        let entries = entries(&header, &bytes)?;
        Ok(Block { header, bytes, entries })
    }

    /// The same block as if it had been read without payloads; shares the buffer.
    pub(crate) fn front(&self) -> Block {
        Block { bytes: self.bytes.slice(..self.header.front_len()), ..self.clone() }
    }

    /// Its number: dense, from 0.
    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// What it is for.
    pub fn kind(&self) -> Kind {
        self.header.kind
    }

    /// When its facts happened.
    pub fn time(&self) -> Time {
        self.header.time
    }

    /// Who wrote it.
    pub fn owner(&self) -> Owner {
        self.header.owner
    }

    /// Its place in the chain: the same number with the same hash is the same block after the same past.
    pub fn hash(&self) -> ChainHash {
        self.header.hash()
    }

    /// The hash of the block before it; zeros for the first.
    pub fn previous(&self) -> ChainHash {
        self.header.previous
    }

    /// How many facts it holds.
    pub fn len(&self) -> u32 {
        self.header.count
    }

    /// Whether it is an owner entry, a seal or a gap.
    pub fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// Bytes that it takes in the log, read or not.
    pub fn bytes(&self) -> usize {
        self.header.block_len()
    }

    /// Bytes of memory that it takes, payloads included where they were read.
    pub fn bytes_held(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>()
    }

    /// The fact at `index`.
    pub fn fact(&self, index: u32) -> Option<&[u8]> {
        let entry = self.entries.get(index as usize)?;
        Some(&self.bytes[entry.fact as usize..][..entry.fact_len as usize])
    }

    /// All facts with their positions, in order.
    pub fn facts(&self) -> impl ExactSizeIterator<Item = (Position, &[u8])> {
        self.entries.iter().enumerate().map(|(index, entry)| {
            let fact = &self.bytes[entry.fact as usize..][..entry.fact_len as usize];
            (Position::new(self.header.number, index as u32), fact)
        })
    }

    /// Bytes of the payload of the fact at `index`, if it has one, without looking at it.
    pub fn payload_len(&self, index: u32) -> Option<usize> {
        let entry = self.entries.get(index as usize)?;
        (entry.payload_len != NO_PAYLOAD).then_some(entry.payload_len as usize)
    }

    /// The payload of the fact at `index`, if it has one; shares the block's buffer.
    ///
    /// # Errors
    /// When it does not match its crc: [`Fault::Erased`] if it is all zeros, else [`Fault::Payload`]. When this block was read without
    /// payloads: [`Fault::NotRead`]. A block that is read while one of its payloads is erased may hold half of it, which is a `Payload`;
    /// [`LogReader::payload`](crate::LogReader::payload) never takes that for damage.
    pub fn payload(&self, index: u32) -> Result<Option<Bytes>, Fault> {
        let Some(entry) = self.entries.get(index as usize).filter(|e| e.payload_len != NO_PAYLOAD) else {
            return Ok(None);
        };
        let range = entry.payload_range();
        if range.end > self.bytes.len() {
            return Err(Fault::NotRead(index));
        }
        let payload = self.bytes.slice(range);
        check_payload(index, &payload, entry.payload_crc).map(|()| Some(payload))
    }

    /// The same block with zeros in the place of the payloads of the facts at `indexes`; the buffer is copied.
    pub(crate) fn erased(&self, indexes: impl Iterator<Item = u32>) -> Block {
        let mut bytes = self.bytes.to_vec();
        for entry in indexes.filter_map(|index| self.entries.get(index as usize)) {
            if entry.payload_len != NO_PAYLOAD {
                bytes[entry.payload_range()].fill(0);
            }
        }
        Block { bytes: bytes.into(), ..self.clone() }
    }

    /// The first thing outside of the crcs of head, table and facts that is wrong: a payload, or padding that is not zero.
    pub(crate) fn check_payloads(&self) -> Result<(), Fault> {
        for index in 0..self.len() {
            self.payload(index)?;
        }
        self.check_padding()
    }

    /// Whether the payload of the fact at `index` is all zeros; `None` if it has none.
    pub(crate) fn is_zeros(&self, index: u32) -> Option<bool> {
        let entry = self.entries.get(index as usize)?;
        let has_one = entry.payload_len != NO_PAYLOAD;
        has_one.then(|| self.bytes[entry.payload_range()].iter().all(|&byte| byte == 0))
    }

    pub(crate) fn check_padding(&self) -> Result<(), Fault> {
        let used = self.header.front_len() + self.header.payloads_len as usize;
        if self.bytes[used..].iter().all(|&byte| byte == 0) { Ok(()) } else { Err(Fault::Padding) }
    }

    /// All of it, as it lies in the log.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }
}

impl Entry {
    /// Within the block's bytes, of an entry that has a payload.
    fn payload_range(&self) -> Range<usize> {
        self.payload as usize..(self.payload + self.payload_len) as usize
    }
}

/// Whether `payload` is that of the fact at `index`, whose row of the table says `crc`. Zeros that match it are a payload of zeros.
pub(crate) fn check_payload(index: u32, payload: &[u8], crc: u32) -> Result<(), Fault> {
    match crc32c::crc32c(payload) {
        found if found == crc => Ok(()),
        _ if payload.iter().all(|&byte| byte == 0) => Err(Fault::Erased(index)),
        _ => Err(Fault::Payload(index)),
    }
}

/// Whether table and facts are those of `header`; `bytes` begin with the block's front.
pub(crate) fn check_front(header: &Header, bytes: &[u8]) -> Result<(), Fault> {
    let (table, facts) = bytes[HEADER..header.front_len()].split_at(header.table_len());
    if crc32c::crc32c(table) != header.table_crc {
        return Err(Fault::Table);
    }
    if crc32c::crc32c(facts) != header.facts_crc { Err(Fault::Facts) } else { Ok(()) }
}

/// The table, with offsets in place of lengths. Lengths must add up to what the head says.
fn entries(header: &Header, bytes: &[u8]) -> Result<Arc<[Entry]>, Fault> {
    let (mut fact, mut payload) = ((HEADER + header.table_len()) as u64, header.front_len() as u64);
    let entries: Arc<[Entry]> = bytes[HEADER..][..header.table_len()]
        .chunks_exact(ENTRY)
        .map(|row| {
            let (fact_len, payload_len, payload_crc) = (u32_at(row, 0), u32_at(row, 4), u32_at(row, 8));
            let entry = Entry { fact: fact as u32, fact_len, payload: payload as u32, payload_len, payload_crc };
            fact += u64::from(fact_len);
            payload += if payload_len == NO_PAYLOAD { 0 } else { u64::from(payload_len) };
            entry
        })
        .collect();
    let end = header.front_len() as u64;
    let adds_up = fact == end && payload == end + u64::from(header.payloads_len);
    if adds_up { Ok(entries) } else { Err(Fault::Length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Chain, LogId};
    use crate::{Batch, Payload};
    use proptest::prelude::*;

    fn chain(number: u64) -> Chain {
        let owner = Owner { shard: 3, node: 0x0102_0304_0506_0708, epoch: 9 };
        let hash = ChainHash(*b"previous-hash-16");
        Chain { next: number, hash, time: Time(5), owner, ..Chain::start(LogId(*b"log-id-16-bytes!")) }
    }

    fn bytes(header: &Header, batch: &Batch) -> Vec<u8> {
        let mut bytes = [&header.encode(), &batch.table[..], &batch.facts, &batch.payloads].concat();
        bytes.resize(header.block_len(), 0);
        bytes
    }

    fn encode(number: u64, batch: &Batch) -> Vec<u8> {
        bytes(&chain(number).facts(batch), batch)
    }

    proptest! {
        #[test]
        fn a_block_reads_back_as_written(
            number in 0..=Position::BLOCK_MAX,
            time: u64,
            facts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..99), prop::option::of(prop::collection::vec(any::<u8>(), 0..99))), 1..40),
        ) {
            let mut batch = Batch::new(Time(time));
            for (fact, payload) in &facts {
                batch.push(fact, payload.as_deref().map(Payload::new));
            }
            let encoded = encode(number, &batch);
            prop_assert_eq!(encoded.len(), batch.bytes());
            let block = Block::decode(encoded.into()).expect("decodes");
            prop_assert_eq!((block.number(), block.time(), block.kind()), (number, Time(time), Kind::Facts));
            prop_assert_eq!((block.owner(), block.hash()), (chain(number).owner, chain(number).facts(&batch).hash()));
            prop_assert!(block.facts().map(|(_, fact)| fact.to_vec()).eq(facts.iter().map(|(fact, _)| fact.clone())));
            for (index, (_, payload)) in facts.iter().enumerate() {
                let read = block.payload(index as u32).expect("whole").map(|p| p.to_vec());
                prop_assert_eq!(&read, payload);
            }
            prop_assert_eq!(block.check_payloads(), Ok(()));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), seal: bool) {
            if seal && bytes.len() >= HEADER {
                // A head with all its checks passed, over lengths that mean nothing.
                bytes[..12].copy_from_slice(b"PRblock\n\x01\0\x01\0");
                bytes[13..16].fill(0);
                bytes[69..72].fill(0);
                bytes[73..76].fill(0);
                let crc = crc32c::crc32c(&bytes[..100]);
                bytes[100..104].copy_from_slice(&crc.to_le_bytes());
            }
            if let Ok(block) = Block::decode(bytes.into()) {
                let _ = block.check_payloads();
            }
        }
    }

    /// These bytes lie on disks: if this test fails, the format has changed, and `VERSION` must too.
    #[test]
    fn the_format_is_golden() {
        let mut batch = Batch::new(Time(1_771_497_000_000));
        batch.push(b"first fact", Some(Payload::new(b"its payload")));
        batch.push(b"second", None);
        let encoded = encode(0x0000_0123_4567_89ab, &batch);
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        assert_eq!(hex(&encoded[..HEADER]), GOLDEN_HEAD);
        assert_eq!(hex(&encoded[HEADER..HEADER + 2 * ENTRY]), GOLDEN_TABLE);
        assert_eq!(&encoded[HEADER + 2 * ENTRY..][..27], b"first factsecondits payload");
        assert!(encoded.len() == 512 && encoded[HEADER + 2 * ENTRY + 27..].iter().all(|&b| b == 0));
        assert_eq!(chain(7).bare(Kind::Seal, Owner::default()).hash().to_string(), GOLDEN_SEAL_HASH);
    }

    const GOLDEN_HEAD: &str = concat!(
        "5052626c6f636b0a",
        "0100",
        "01",
        "00",
        "02000000",
        "6c6f672d69642d31362d627974657321",
        "ab89674523010000",
        "400c73759c010000",
        "0900000000000000",
        "0807060504030201",
        "03000000",
        "10000000",
        "0b000000",
        "15f8427e",
        "c627f9a3",
        "70726576696f75732d686173682d3136",
        "c43202f2",
    );
    const GOLDEN_TABLE: &str = concat!("0a0000000b000000f3f6edc1", "06000000ffffffff00000000");
    const GOLDEN_SEAL_HASH: &str = "ddc3baa51d69282faf419921c64b9f4f";
}
