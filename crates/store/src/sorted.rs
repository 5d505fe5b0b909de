//! *Packed runs*: one database of entries in order of keys, as buckets of runs of chunks. The one piece of code that all of them are.
//!
//! A value of [`Sorted`] is one state and never changes; a commit makes the next one, which shares all buckets that it does not touch.
//! Directory and manifests are in RAM (about 60 bytes a chunk of 4 KiB), entries are read from sled.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::bucket::{Bucket, Run, read_chunk};
use crate::chunk::{ChunkRef, pack};
use crate::disk::{Disk, MANIFEST};
use crate::entry::{Entry, settle};
use crate::error::{Fault, ReadError};
use crate::ledger::{Changes, Ledger};

/// A bucket with more chunks becomes several. A manifest of so many takes about 3 KiB.
const CHUNKS_MAX: usize = 128;
/// Chunks of each of these.
const CHUNKS_SPLIT: usize = 64;
/// Chunks at hand: there are seldom more runs than this in a bucket.
const LAST_READ_MAX: usize = 4;
/// Older runs are merged with what comes as long as they have at most so many times as many entries.
const MERGE_RATIO: usize = 2;

/// One state of a database.
#[derive(Debug)]
pub(crate) struct Sorted<E> {
    /// In order of their ranges.
    buckets: Vec<Arc<Bucket<E>>>,
    /// The chunks in which keys were looked for last, by their numbers, the latest first. Who asks for one key mostly asks for its neighbours
    /// next, in the same chunk of each run, and to read and check a chunk costs as much as a hundred look-ups in it.
    last_read: Mutex<Vec<(u64, Vec<E>)>>,
}

impl<E> Clone for Sorted<E> {
    fn clone(&self) -> Sorted<E> {
        Sorted::of(self.buckets.clone())
    }
}

impl<E> Default for Sorted<E> {
    fn default() -> Sorted<E> {
        Sorted::of(Vec::new())
    }
}

impl<E> Sorted<E> {
    fn of(buckets: Vec<Arc<Bucket<E>>>) -> Sorted<E> {
        Sorted { buckets, last_read: Mutex::default() }
    }
}

impl<E: Entry> Sorted<E> {
    /// Reads the manifests and adds their hashes to `found`.
    pub fn load(disk: &Disk, found: &mut Ledger) -> Result<Sorted<E>, ReadError> {
        let mut buckets = Vec::new();
        disk.scan(&[MANIFEST, E::TAG], |key, manifest| {
            let number = key.last_chunk().map(|number| u64::from_be_bytes(*number));
            let bucket = number.and_then(|number| Bucket::<E>::read(number, manifest));
            let bucket = bucket.ok_or_else(|| disk.damage(Fault::Record))?;
            found.add(bucket.hash);
            buckets.push(Arc::new(bucket));
            Ok(())
        })?;
        buckets.sort_by_key(|bucket| bucket.from.key());
        Ok(Sorted::of(buckets))
    }

    pub fn buckets(&self) -> &[Arc<Bucket<E>>] {
        &self.buckets
    }

    /// Which bucket has `key` in its range.
    pub fn bucket_of(&self, key: E::Key) -> usize {
        self.buckets.partition_point(|bucket| bucket.from.key() <= key).saturating_sub(1)
    }

    /// The entry of this key; tombstones and what they cancel are not looked for.
    pub fn get(&self, disk: &Disk, key: E::Key) -> Result<Option<E>, ReadError> {
        let Some(bucket) = self.buckets.get(self.bucket_of(key)) else { return Ok(None) };
        for chunk in bucket.runs.iter().rev().filter_map(|run| run.chunk_of(key)) {
            let found = self.find(disk, chunk, key)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn find(&self, disk: &Disk, chunk: &ChunkRef<E>, key: E::Key) -> Result<Option<E>, ReadError> {
        let find = |entries: &[E]| entries.binary_search_by_key(&key, Entry::key).ok().map(|at| entries[at]);
        if let Some((_, entries)) = self.last_read.lock().iter().find(|(number, _)| *number == chunk.number) {
            return Ok(find(entries));
        }
        let mut entries = Vec::new();
        read_chunk(disk, chunk, &mut entries)?;
        let found = find(&entries);
        let mut last_read = self.last_read.lock();
        last_read.truncate(LAST_READ_MAX - 1);
        last_read.insert(0, (chunk.number, entries));
        Ok(found)
    }

    /// The state with `entries` in it, which are settled. `keep` says of which entries something may remain.
    pub fn with(
        &self,
        disk: &Disk,
        entries: &[E],
        changes: &mut Changes,
        keep: &dyn Fn(&E) -> bool,
    ) -> Result<Sorted<E>, ReadError> {
        let mut made = Vec::with_capacity(self.buckets.len() + 1);
        let mut rest = entries;
        for (at, bucket) in self.buckets.iter().enumerate() {
            let end = self.buckets.get(at + 1).map(|next| next.from.key());
            let count = rest.partition_point(|entry| end.is_none_or(|end| entry.key() < end));
            let (new, later) = rest.split_at(count);
            rest = later;
            match new {
                [] => made.push(Arc::clone(bucket)),
                _ => amend(disk, bucket, new, changes, keep, &mut made)?,
            }
        }
        if let Some(first) = rest.first() {
            let bucket = Bucket { number: changes.ledger.number(), from: *first, runs: Vec::new(), hash: 0 };
            put(bucket, vec![run_of(rest, Vec::new(), changes)], changes, &mut made);
        }
        Ok(Sorted::of(made))
    }

    /// Takes all live entries before `end` out.
    pub fn without(
        &self,
        disk: &Disk,
        end: E::Key,
        changes: &mut Changes,
        keep: &dyn Fn(&E) -> bool,
    ) -> Result<(Vec<E>, Sorted<E>), ReadError> {
        let (mut taken, mut made) = (Vec::new(), Vec::new());
        let is_before = |bucket: &&Arc<Bucket<E>>| bucket.chunks().any(|chunk| chunk.first.key() < end);
        let concerned = self.buckets.iter().take_while(is_before).count();
        for bucket in &self.buckets[..concerned] {
            let mut entries = Vec::new();
            bucket.chunks().try_for_each(|chunk| changes.read_chunk(disk, chunk, &mut entries))?;
            settle(&mut entries);
            entries.retain(|entry| keep(entry) && !entry.is_tombstone());
            let before = entries.partition_point(|entry| entry.key() < end);
            drop_all(bucket, changes);
            if before < entries.len() {
                let run = run_of(&entries[before..], Vec::new(), changes);
                put(Bucket { runs: Vec::new(), ..Bucket::clone(bucket) }, vec![run], changes, &mut made);
            }
            entries.truncate(before);
            taken.append(&mut entries);
        }
        made.extend(self.buckets[concerned..].iter().cloned());
        Ok((taken, Sorted::of(made)))
    }

    /// The state in which the next `max` buckets have no entries but those to `keep`, and where to go on. Buckets that have no others are
    /// left as they are.
    pub fn tidied(
        &self,
        disk: &Disk,
        step: Step<E::Key>,
        max: usize,
        changes: &mut Changes,
        keep: &dyn Fn(&E) -> bool,
    ) -> Result<(Sorted<E>, Step<E::Key>), ReadError> {
        let first = match step {
            Step::Begin => 0,
            // Whatever was split or has gone since: what lies from there on is in this bucket and those behind it.
            Step::From(key) => self.bucket_of(key),
            Step::Over => return Ok((self.clone(), Step::Over)),
        };
        let end = first.saturating_add(max).min(self.buckets.len());
        let mut made = self.buckets[..first].to_vec();
        for bucket in &self.buckets[first..end] {
            let mut entries = Vec::new();
            bucket.chunks().try_for_each(|chunk| changes.read_chunk(disk, chunk, &mut entries))?;
            if entries.iter().all(keep) {
                made.push(Arc::clone(bucket));
                continue;
            }
            settle(&mut entries);
            entries.retain(|entry| keep(entry) && !entry.is_tombstone());
            drop_all(bucket, changes);
            if !entries.is_empty() {
                let run = run_of(&entries, Vec::new(), changes);
                put(Bucket { runs: Vec::new(), ..Bucket::clone(bucket) }, vec![run], changes, &mut made);
            }
        }
        made.extend(self.buckets[end..].iter().cloned());
        let next = self.buckets.get(end).map_or(Step::Over, |bucket| Step::From(bucket.from.key()));
        Ok((Sorted::of(made), next))
    }
}

/// How far a round through the buckets has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Step<K> {
    #[default]
    Begin,
    /// On from the bucket that has this key in its range.
    From(K),
    Over,
}

/// Makes `new` part of a bucket: the result is one bucket, several, or none when all in it has cancelled each other.
fn amend<E: Entry>(
    disk: &Disk,
    bucket: &Bucket<E>,
    new: &[E],
    changes: &mut Changes,
    keep: &dyn Fn(&E) -> bool,
    made: &mut Vec<Arc<Bucket<E>>>,
) -> Result<(), ReadError> {
    let mut runs = bucket.runs.clone();
    let merged = runs.split_off(first_merged(&runs, new));
    let is_whole = runs.is_empty();
    changes.drop_manifest(bucket);
    runs.push(merge(disk, merged, new, changes, |entry| !is_whole || keep(entry) && !entry.is_tombstone())?);
    runs.retain(|run| !run.chunks.is_empty());
    let from = if new[0].key() < bucket.from.key() { new[0] } else { bucket.from };
    let mut amended = Bucket { runs, from, ..*bucket };
    if amended.runs.iter().map(|run| run.chunks.len()).sum::<usize>() > CHUNKS_MAX && amended.runs.len() > 1 {
        let all = std::mem::take(&mut amended.runs);
        let run = merge(disk, all, &[], changes, |entry| keep(entry) && !entry.is_tombstone())?;
        amended.runs = vec![run];
        amended.runs.retain(|run| !run.chunks.is_empty());
    }
    if amended.live() > 0 {
        let runs = std::mem::take(&mut amended.runs);
        put(amended, runs, changes, made);
    } else {
        amended.chunks().for_each(|chunk| changes.drop_chunk(chunk.number));
    }
    Ok(())
}

/// Which is the oldest run that `new` is merged with.
fn first_merged<E: Entry>(runs: &[Run<E>], new: &[E]) -> usize {
    let mut first = runs.len();
    let mut entries = new.len();
    if let (Some(last), Some(new)) = (runs.last(), new.first())
        && last.last.key() < new.key()
    {
        first -= 1;
        entries += last.entries();
    }
    while let Some(older) = first.checked_sub(1) {
        let more = runs[older].entries();
        if more > MERGE_RATIO * entries {
            break;
        }
        (first, entries) = (older, entries + more);
    }
    first
}

/// One run of several, and of `new` behind them. Chunks of the oldest that lie before all else stay as they are.
fn merge<E: Entry>(
    disk: &Disk,
    mut runs: Vec<Run<E>>,
    new: &[E],
    changes: &mut Changes,
    keep: impl Fn(&E) -> bool,
) -> Result<Run<E>, ReadError> {
    let later = runs.iter().skip(1).map(|run| run.chunks[0].first.key());
    let least = later.chain(new.first().map(Entry::key)).min();
    let mut untouched = Vec::new();
    if let (Some(oldest), Some(least)) = (runs.first_mut(), least) {
        let mut ahead = oldest.chunks.partition_point(|chunk| chunk.first.key() < least);
        // Of the last of these only its end says whether it reaches into the rest.
        if oldest.last.key() >= least || oldest.chunks.last().is_some_and(|chunk| !chunk.is_full()) {
            ahead = ahead.saturating_sub(1);
        }
        untouched = oldest.chunks.drain(..ahead).collect();
    }
    let mut entries = Vec::new();
    for chunk in runs.iter().flat_map(|run| &run.chunks) {
        changes.read_chunk(disk, chunk, &mut entries)?;
        changes.drop_chunk(chunk.number);
    }
    entries.extend_from_slice(new);
    settle(&mut entries);
    entries.retain(keep);
    let last = runs.first().map(|run| run.last);
    let mut run = run_of(&entries, untouched, changes);
    // Nothing came behind the chunks that stay: their last entry is not in RAM, but it is no later than the run's was.
    if let (true, Some(last)) = (entries.is_empty(), last) {
        run.last = last;
    }
    Ok(run)
}

/// A run of the chunks `before` and of `entries` behind them.
fn run_of<E: Entry>(entries: &[E], before: Vec<ChunkRef<E>>, changes: &mut Changes) -> Run<E> {
    let last = entries.last().copied().unwrap_or(E::zero());
    let mut chunks = before;
    chunks.extend(pack(entries, |bytes| changes.put_chunk(bytes)));
    Run { last, chunks }
}

/// Files a bucket with these runs, as several if it has too many chunks.
fn put<E: Entry>(bucket: Bucket<E>, runs: Vec<Run<E>>, changes: &mut Changes, made: &mut Vec<Arc<Bucket<E>>>) {
    let mut file = |mut bucket: Bucket<E>, changes: &mut Changes| {
        changes.put_manifest(&mut bucket);
        made.push(Arc::new(bucket));
    };
    match <[Run<E>; 1]>::try_from(runs) {
        Ok([run]) if run.chunks.len() > CHUNKS_MAX => {
            let mut number = Some(bucket.number);
            let mut from = bucket.from;
            let mut parts = run.chunks.chunks(CHUNKS_SPLIT).peekable();
            while let Some(chunks) = parts.next() {
                let next = parts.peek().map(|next| next[0].first);
                let run = Run { last: next.unwrap_or(run.last), chunks: chunks.to_vec() };
                let number = number.take().unwrap_or_else(|| changes.ledger.number());
                file(Bucket { number, from, runs: vec![run], hash: 0 }, changes);
                from = next.unwrap_or(from);
            }
        }
        Ok(runs) => file(Bucket { runs: runs.into(), ..bucket }, changes),
        Err(runs) => file(Bucket { runs, ..bucket }, changes),
    }
}

fn drop_all<E: Entry>(bucket: &Bucket<E>, changes: &mut Changes) {
    changes.drop_manifest(bucket);
    bucket.chunks().for_each(|chunk| changes.drop_chunk(chunk.number));
}

#[cfg(test)]
mod tests;
