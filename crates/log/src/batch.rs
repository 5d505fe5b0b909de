//! One group commit under construction.
//!
//! Facts lie in one buffer, payloads in another, their lengths in a third that is already the block's table: an append hashes and
//! writes them as they are, without a copy and without an allocation per fact. A batch knows neither the log nor its number.

use crate::layout::{ALIGN, ENTRY, HEADER, NO_PAYLOAD};
use postrider_core::{Position, Time};

/// Payload bytes with their crc32c, which the caller computes outside of the writer's thread.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    /// What is stored.
    pub bytes: &'a [u8],
    /// Of `bytes`. A wrong one makes the payload unreadable.
    pub crc32c: u32,
}

impl<'a> Payload<'a> {
    /// Computes the crc here.
    pub fn new(bytes: &'a [u8]) -> Payload<'a> {
        Payload { bytes, crc32c: crc32c::crc32c(bytes) }
    }
}

/// Facts with optional payloads, all stamped with one engine time.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    time: Time,
    pub(crate) table: Vec<u8>,
    pub(crate) facts: Vec<u8>,
    pub(crate) payloads: Vec<u8>,
}

impl Batch {
    /// Without facts yet.
    pub fn new(time: Time) -> Batch {
        Batch { time, ..Batch::default() }
    }

    /// Empty again and at another time; keeps its capacity.
    pub fn reset(&mut self, time: Time) {
        self.time = time;
        self.table.clear();
        self.facts.clear();
        self.payloads.clear();
    }

    /// Adds a fact; returns its index in the block to come.
    pub fn push(&mut self, fact: &[u8], payload: Option<Payload<'_>>) -> u32 {
        self.push_with(payload, |buffer| buffer.extend_from_slice(fact))
    }

    /// Adds the fact that `encode` appends to the buffer; `encode` leaves alone what is already there.
    pub fn push_with(&mut self, payload: Option<Payload<'_>>, encode: impl FnOnce(&mut Vec<u8>)) -> u32 {
        let index = self.len();
        assert!(index <= Position::INDEX_MAX, "a position has 20 bits for the index");
        let start = self.facts.len();
        encode(&mut self.facts);
        let fact_len = self.facts.len().checked_sub(start).expect("encode only appends");
        let (payload_len, crc) = match payload {
            Some(payload) => {
                debug_assert_eq!(crc32c::crc32c(payload.bytes), payload.crc32c, "the crc is that of the bytes");
                self.payloads.extend_from_slice(payload.bytes);
                (u32::try_from(payload.bytes.len()).ok().filter(|&len| len != NO_PAYLOAD), payload.crc32c)
            }
            None => (Some(NO_PAYLOAD), 0),
        };
        let fact_len = u32::try_from(fact_len).expect("a fact is far below 4 GiB");
        let payload_len = payload_len.expect("a payload is far below 4 GiB");
        for word in [fact_len, payload_len, crc] {
            self.table.extend_from_slice(&word.to_le_bytes());
        }
        index
    }

    /// Takes away the last facts, with their payloads, until `len` are left: a command that was refused halfway.
    pub fn truncate(&mut self, len: u32) {
        while self.len() > len {
            let entry = self.table.len() - ENTRY;
            let word = |at| crate::layout::u32_at(&self.table, entry + at) as usize;
            self.facts.truncate(self.facts.len() - word(0));
            if word(4) != NO_PAYLOAD as usize {
                self.payloads.truncate(self.payloads.len() - word(4));
            }
            self.table.truncate(entry);
        }
    }

    /// When all of it happened.
    pub fn time(&self) -> Time {
        self.time
    }

    /// Facts so far.
    pub fn len(&self) -> u32 {
        (self.table.len() / ENTRY) as u32
    }

    /// Whether there are no facts yet.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes that it would take in the log if it were appended now.
    pub fn bytes(&self) -> usize {
        (HEADER + self.table.len() + self.facts.len() + self.payloads.len()).next_multiple_of(ALIGN)
    }

    /// Bytes that one more fact adds at the most, short of the rounding up to whole sectors at the end of the block.
    pub const fn bytes_of(fact: usize, payload: usize) -> usize {
        ENTRY + fact + payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_taken_back_leaves_nothing_behind() {
        let mut batch = Batch::new(Time(1));
        batch.push(b"kept", Some(Payload::new(b"kept too")));
        let before = batch.clone();
        batch.push(b"refused", Some(Payload::new(b"payload")));
        batch.push(b"refused as well", None);
        batch.truncate(1);
        assert_eq!((batch.table, batch.facts, batch.payloads), (before.table, before.facts, before.payloads));
    }

    #[test]
    fn bytes_foretells_whole_sectors() {
        let mut batch = Batch::new(Time(1));
        assert_eq!(batch.bytes(), 512);
        batch.push(&[1; 512 - HEADER - ENTRY - 1], Some(Payload::new(b"1")));
        assert_eq!(batch.bytes(), 512);
        batch.push(b"", None);
        assert_eq!(batch.bytes(), 1024);
    }
}
