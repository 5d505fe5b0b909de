//! What a commit writes to one database, and what the root counts of it.

use std::collections::BTreeMap;

use sled::Batch;

use crate::bucket::{Bucket, TaggedNumber, hash_of, read_chunk};
use crate::chunk::{ChunkRef, unpack};
use crate::coding::{Input, put};
use crate::disk::{Disk, chunk_key, manifest_key};
use crate::entry::Entry;
use crate::error::ReadError;

/// What a root knows of its database's manifests, so that one that is missing or older is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The number that the next chunk or bucket gets. None is used twice.
    next: u64,
    /// Manifests and records that there are.
    count: u64,
    /// Their hashes, added up.
    sum: u64,
}

impl Ledger {
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    pub fn add(&mut self, hash: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    pub fn remove(&mut self, hash: u64) {
        self.count -= 1;
        self.sum = self.sum.wrapping_sub(hash);
    }

    /// Whether the manifests that were found, as counted in `found`, are these.
    pub fn counts(&self, found: &Ledger) -> bool {
        (self.count, self.sum) == (found.count, found.sum)
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        put(out, self.next);
        put(out, self.count);
        out.extend(self.sum.to_le_bytes());
    }

    pub fn read(input: &mut Input<'_>) -> Option<Ledger> {
        Some(Ledger { next: input.number()?, count: input.number()?, sum: input.u64()? })
    }
}

/// One batch for one database in the making.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub batch: Batch,
    pub ledger: Ledger,
    /// Chunks that the batch will have.
    fresh: BTreeMap<u64, Vec<u8>>,
    /// Chunks of no more use after this commit. Readers may still be at the state before it, so that they go in the next one's batch.
    outdated: Vec<u64>,
}

impl Changes {
    /// On top of what the ledger says; `outdated` are the chunks that the last commit left.
    pub fn new(ledger: Ledger, outdated: &[u64]) -> Changes {
        let mut batch = Batch::default();
        outdated.iter().for_each(|&number| batch.remove(&chunk_key(number)));
        Changes { batch, ledger, ..Changes::default() }
    }

    /// Whether nothing was filed and nothing dropped.
    pub fn is_empty(&self) -> bool {
        self.fresh.is_empty() && self.outdated.is_empty()
    }

    /// The batch, the ledger with it, and the chunks that it makes useless.
    pub fn finish(self) -> (Batch, Ledger, Vec<u64>) {
        let Changes { mut batch, ledger, fresh, outdated } = self;
        fresh.into_iter().for_each(|(number, bytes)| batch.insert(&chunk_key(number), bytes));
        (batch, ledger, outdated)
    }

    /// Files a chunk and gives it its number.
    pub fn put_chunk(&mut self, bytes: Vec<u8>) -> u64 {
        let number = self.ledger.number();
        self.fresh.insert(number, bytes);
        number
    }

    pub fn drop_chunk(&mut self, number: u64) {
        if self.fresh.remove(&number).is_none() {
            self.outdated.push(number);
        }
    }

    /// Reads a chunk, be it in the database or of this batch, and appends its entries.
    pub fn read_chunk<E: Entry>(&self, disk: &Disk, chunk: &ChunkRef<E>, out: &mut Vec<E>) -> Result<(), ReadError> {
        match self.fresh.get(&chunk.number) {
            Some(bytes) => unpack(chunk, bytes, out).map_err(|fault| disk.damage(fault)),
            None => read_chunk(disk, chunk, out),
        }
    }

    /// Files a bucket's manifest, in the place of the one with the same number.
    pub fn put_manifest<E: Entry>(&mut self, bucket: &mut Bucket<E>) {
        let manifest = bucket.manifest();
        bucket.hash = hash_of(TaggedNumber(E::TAG, bucket.number), &manifest);
        self.ledger.add(bucket.hash);
        self.batch.insert(&manifest_key(E::TAG, bucket.number), manifest);
    }

    /// Takes a bucket's manifest away. One that follows under the same number takes its place.
    pub fn drop_manifest<E: Entry>(&mut self, bucket: &Bucket<E>) {
        self.ledger.remove(bucket.hash);
        self.batch.remove(&manifest_key(E::TAG, bucket.number));
    }
}
