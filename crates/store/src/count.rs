//! Counting a range of keys: chunks that lie within it wholly are counted off the manifest, only those at its edges are read.

use crate::bucket::{Run, read_chunk};
use crate::disk::Disk;
use crate::entry::Entry;
use crate::error::ReadError;
use crate::sorted::Sorted;

/// Entries from `from` to `to`, both included, of a database in which no entry ever joins another.
pub(crate) fn count<E: Entry>(disk: &Disk, sorted: &Sorted<E>, from: E::Key, to: E::Key) -> Result<u64, ReadError> {
    let first = sorted.bucket_of(from);
    let buckets = sorted.buckets().iter().skip(first).take_while(|bucket| bucket.from.key() <= to);
    buckets.flat_map(|bucket| &bucket.runs).map(|run| count_run(disk, run, from, to)).sum()
}

fn count_run<E: Entry>(disk: &Disk, run: &Run<E>, from: E::Key, to: E::Key) -> Result<u64, ReadError> {
    let mut sum = 0;
    let begin = run.chunks.partition_point(|chunk| chunk.first.key() <= from).saturating_sub(1);
    for (at, chunk) in run.chunks.iter().enumerate().skip(begin).take_while(|(_, chunk)| chunk.first.key() <= to) {
        let is_after = chunk.first.key() >= from;
        let is_before = run.chunks.get(at + 1).is_some_and(|next| next.first.key() <= to) || run.last.key() <= to;
        sum += if is_after && is_before {
            u64::from(chunk.entries)
        } else {
            let mut entries = Vec::new();
            read_chunk(disk, chunk, &mut entries)?;
            entries.iter().filter(|entry| (from..=to).contains(&entry.key())).count() as u64
        };
    }
    Ok(sum)
}
