//! Buckets: a range of keys, its entries in a few *runs*, a manifest that names every chunk.
//!
//! A run is a sequence of chunks in order of keys. New entries become a run of their own, are appended to the last one where they lie
//! behind it, or are merged with the newest runs as long as these are not much larger: so a bucket of n chunks has at most about log2(n)
//! runs, and an entry is written about as often. Of two entries of one key the one in the newer run counts as the newer.
//!
//! Layout of a manifest: `from`, number of runs; for each run its last entry or a bound above it, number of chunks and the chunks; crc32c of all that.

use crate::chunk::{ChunkRef, unpack};
use crate::coding::{Input, put, seal, unseal};
use crate::disk::{Disk, chunk_key};
use crate::entry::Entry;
use crate::error::{Fault, ReadError};

/// Chunks in order of keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run<E> {
    /// None of its entries comes after this one's key.
    pub last: E,
    /// Never none.
    pub chunks: Vec<ChunkRef<E>>,
}

impl<E: Entry> Run<E> {
    pub fn entries(&self) -> usize {
        self.chunks.iter().map(|chunk| usize::from(chunk.entries)).sum()
    }

    /// The chunk that has an entry of this key, if any has.
    pub fn chunk_of(&self, key: E::Key) -> Option<&ChunkRef<E>> {
        let after = self.chunks.partition_point(|chunk| chunk.first.key() <= key);
        self.chunks[..after].last().filter(|_| key <= self.last.key())
    }
}

/// A range of keys up to where the next bucket begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bucket<E> {
    /// Its manifest's key.
    pub number: u64,
    /// Where its range begins. What comes before the first bucket's moves that one's beginning.
    pub from: E,
    /// Oldest first.
    pub runs: Vec<Run<E>>,
    /// Its manifest's hash, as the root adds it up.
    pub hash: u64,
}

impl<E: Entry> Bucket<E> {
    /// Its manifest.
    pub fn manifest(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.from.write(&E::zero(), &mut out);
        put(&mut out, self.runs.len() as u64);
        for run in &self.runs {
            run.last.write(&E::zero(), &mut out);
            put(&mut out, run.chunks.len() as u64);
            let mut previous = None;
            for chunk in &run.chunks {
                chunk.write(previous, &mut out);
                previous = Some(chunk);
            }
        }
        seal(out)
    }

    /// Reads it back.
    pub fn read(number: u64, manifest: &[u8]) -> Option<Bucket<E>> {
        let (bytes, _) = unseal(manifest)?;
        let mut input = Input(bytes);
        let from = E::read(&E::zero(), &mut input)?;
        let mut runs = Vec::new();
        for _ in 0..input.number()? {
            let last = E::read(&E::zero(), &mut input)?;
            let mut chunks: Vec<ChunkRef<E>> = Vec::new();
            for _ in 0..input.number()? {
                chunks.push(ChunkRef::read(chunks.last(), &mut input)?);
            }
            runs.push(Run { last, chunks });
        }
        let hash = hash_of(TaggedNumber(E::TAG, number), manifest);
        input.is_empty().then_some(Bucket { number, from, runs, hash })
    }

    pub fn chunks(&self) -> impl Iterator<Item = &ChunkRef<E>> {
        self.runs.iter().flat_map(|run| &run.chunks)
    }

    /// Its entries without the tombstones and what they cancel.
    pub fn live(&self) -> u64 {
        let live = |chunk: &ChunkRef<E>| i64::from(chunk.entries) - 2 * i64::from(chunk.tombstones);
        self.chunks().map(live).sum::<i64>().max(0) as u64
    }
}

/// What a manifest or a record is of: its hash depends on it, so that two can't be swapped.
pub(crate) struct TaggedNumber(pub u8, pub u64);

/// A hash that can be added up over manifests in any order: a multiset of them has the sum.
pub(crate) fn hash_of(of: TaggedNumber, manifest: &[u8]) -> u64 {
    let mut bytes = of.1.to_le_bytes().to_vec();
    bytes.push(of.0);
    bytes.extend((manifest.len() as u64).to_le_bytes());
    let low = crc32c::crc32c_append(crc32c::crc32c(&bytes), manifest);
    // Spread over 64 bits (splitmix64), so that differences of several do not cancel in the sum.
    let mixed = (u64::from(low) | of.1 << 32).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// Reads one chunk and appends its entries.
pub(crate) fn read_chunk<E: Entry>(disk: &Disk, chunk: &ChunkRef<E>, out: &mut Vec<E>) -> Result<(), ReadError> {
    let bytes = disk.get(&chunk_key(chunk.number))?.ok_or_else(|| disk.damage(Fault::Missing))?;
    unpack(chunk, &bytes, out).map_err(|fault| disk.damage(fault))
}
