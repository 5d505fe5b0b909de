//! Chunks: up to about 4 KiB of entries of one kind in a row, sorted, immutable, under one sled key.
//!
//! Layout: the kind's tag (1 byte), number of entries (2 bytes, little endian), the entries, crc32c of all that (4 bytes). A manifest
//! names each chunk with its crc, so that neither another chunk nor an older one can stand in its place.

use crate::coding::{Input, put, put_difference, seal, unseal};
use crate::entry::Entry;
use crate::error::Fault;

/// A chunk takes no further entry past this many bytes. The largest entry has 700, so that a chunk stays far below the 8 KiB up to which
/// sled keeps values within the file that is synced.
const BYTES: usize = 4096;
const HEAD: usize = 3;
/// A chunk with fewer bytes is written anew when entries come behind it.
const FULL_BYTES: u16 = 3072;

/// What a manifest knows of a chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChunkRef<E> {
    /// Its key; never used twice.
    pub number: u64,
    /// Its first entry.
    pub first: E,
    pub crc: u32,
    pub len: u16,
    pub entries: u16,
    /// Of these.
    pub tombstones: u16,
}

impl<E: Entry> ChunkRef<E> {
    /// It is not worth writing anew.
    pub fn is_full(&self) -> bool {
        self.len >= FULL_BYTES
    }

    /// Appends it, coded against the one before it in its run.
    pub fn write(&self, previous: Option<&ChunkRef<E>>, out: &mut Vec<u8>) {
        put_difference(out, previous.map_or(0, |p| p.number), self.number);
        self.first.write(&previous.map_or(E::zero(), |p| p.first), out);
        out.extend(self.crc.to_le_bytes());
        [self.len, self.entries, self.tombstones].into_iter().for_each(|n| put(out, u64::from(n)));
    }

    /// Reads it back.
    pub fn read(previous: Option<&ChunkRef<E>>, input: &mut Input<'_>) -> Option<ChunkRef<E>> {
        let number = input.difference(previous.map_or(0, |p| p.number))?;
        let first = E::read(&previous.map_or(E::zero(), |p| p.first), input)?;
        let crc = input.u32()?;
        let mut short = || u16::try_from(input.number()?).ok();
        Some(ChunkRef { number, first, crc, len: short()?, entries: short()?, tombstones: short()? })
    }
}

/// Packs sorted entries and hands each chunk to `file`, which gives it a number.
pub(crate) fn pack<E: Entry>(entries: &[E], mut file: impl FnMut(Vec<u8>) -> u64) -> Vec<ChunkRef<E>> {
    let mut chunks = Vec::new();
    let mut rest = entries;
    while let Some(first) = rest.first() {
        let mut bytes = Vec::with_capacity(BYTES + 128);
        bytes.extend([E::TAG, 0, 0]);
        let (mut count, mut tombstones, mut previous) = (0, 0, E::zero());
        for entry in rest {
            if bytes.len() >= BYTES {
                break;
            }
            entry.write(&previous, &mut bytes);
            previous = *entry;
            count += 1;
            tombstones += u16::from(entry.is_tombstone());
        }
        bytes[1..HEAD].copy_from_slice(&count_of(count).to_le_bytes());
        let bytes = seal(bytes);
        let crc = bytes.last_chunk().map_or(0, |crc| u32::from_le_bytes(*crc));
        let (len, first) = (count_of(bytes.len()), *first);
        let number = file(bytes);
        chunks.push(ChunkRef { number, first, crc, len, entries: count_of(count), tombstones });
        rest = &rest[count..];
    }
    chunks
}

fn count_of(n: usize) -> u16 {
    u16::try_from(n).expect("a chunk has less than 64 KiB, and an entry at least a byte")
}

/// Appends the entries of the chunk that `chunk` names.
pub(crate) fn unpack<E: Entry>(chunk: &ChunkRef<E>, bytes: &[u8], out: &mut Vec<E>) -> Result<(), Fault> {
    let (bytes, crc) = unseal(bytes).ok_or(Fault::Chunk)?;
    if crc != chunk.crc {
        return Err(Fault::Chunk);
    }
    let (head, entries) = bytes.split_first_chunk::<HEAD>().ok_or(Fault::Entries)?;
    let count = u16::from_le_bytes([head[1], head[2]]);
    if head[0] != E::TAG || count != chunk.entries || count == 0 {
        return Err(Fault::Entries);
    }
    let mut input = Input(entries);
    let mut previous = E::zero();
    out.reserve(usize::from(count));
    for at in 0..count {
        let entry = E::read(&previous, &mut input).ok_or(Fault::Entries)?;
        if at > 0 && entry.key() <= previous.key() || at == 0 && entry.key() != chunk.first.key() {
            return Err(Fault::Entries);
        }
        out.push(entry);
        previous = entry;
    }
    if input.is_empty() { Ok(()) } else { Err(Fault::Entries) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::gone::Gone;
    use postrider_core::WebhookId;
    use proptest::prelude::*;

    fn gone(webhook: u64) -> Gone {
        Gone { webhook: WebhookId(webhook), block: 7 }
    }

    fn file(filed: &mut Vec<Vec<u8>>, chunk: Vec<u8>) -> u64 {
        filed.push(chunk);
        filed.len() as u64
    }

    #[test]
    fn the_layout_is_this() {
        let mut filed = Vec::new();
        let chunks = pack(&[gone(3), gone(5)], |chunk| file(&mut filed, chunk));
        assert_eq!(filed, [[b'g', 2, 0, 6, 14, 4, 0, 156, 69, 148, 89]]);
        let crc = u32::from_le_bytes([156, 69, 148, 89]);
        let expected = ChunkRef { number: 1, first: gone(3), crc, len: 11, entries: 2, tombstones: 0 };
        assert_eq!(chunks, [expected]);
        let mut manifest = Vec::new();
        expected.write(None, &mut manifest);
        assert_eq!(manifest, [2, 6, 14, 156, 69, 148, 89, 11, 2, 0]);
        assert_eq!(ChunkRef::read(None, &mut Input(&manifest)), Some(expected));
    }

    proptest! {
        #[test]
        fn chunks_hold_what_was_packed_and_notice_any_flip(
            ids in proptest::collection::btree_set(any::<u64>(), 1..3000), flip: prop::sample::Index, bit in 0u8..8,
        ) {
            let entries: Vec<_> = ids.into_iter().map(gone).collect();
            let mut filed = Vec::new();
            let chunks = pack(&entries, |chunk| file(&mut filed, chunk));
            let mut out = Vec::new();
            for (chunk, bytes) in chunks.iter().zip(&filed) {
                prop_assert!(bytes.len() < 4200 && bytes.len() == usize::from(chunk.len));
                prop_assert_eq!(unpack(chunk, bytes, &mut out), Ok(()));
            }
            prop_assert_eq!(out, entries);

            let at = flip.index(filed[0].len());
            filed[0][at] ^= 1 << bit;
            prop_assert_eq!(unpack(&chunks[0], &filed[0], &mut Vec::new()), Err(Fault::Chunk));
            if let (Some(other), Some(bytes)) = (chunks.get(1), filed.get(2)) {
                prop_assert_eq!(unpack(other, bytes, &mut Vec::new()), Err(Fault::Chunk));
            }
        }
    }
}
