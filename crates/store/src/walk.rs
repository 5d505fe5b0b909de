//! Going through a database in order of keys, up or down, from any key on: costs the same wherever it begins.

use crate::bucket::{Run, read_chunk};
use crate::disk::Disk;
use crate::entry::Entry;
use crate::error::ReadError;
use crate::sorted::Sorted;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// A walk. Entries of one key are joined, what is cancelled is left out.
pub(crate) struct Walk<'a, E: Entry> {
    disk: &'a Disk,
    sorted: &'a Sorted<E>,
    way: Way,
    /// The key to begin at in the next bucket: only the first one is entered anywhere but at its edge.
    start: Option<E::Key>,
    /// The bucket to enter next.
    next_bucket: Option<usize>,
    /// Of the bucket that is walked, oldest first.
    runs: Vec<RunWalk<'a, E>>,
}

/// The walk through one run.
struct RunWalk<'a, E> {
    run: &'a Run<E>,
    /// The chunk to read next.
    next_chunk: Option<usize>,
    /// Entries read, in the walk's order, not yet given out.
    entries: std::vec::IntoIter<E>,
}

impl<'a, E: Entry> Walk<'a, E> {
    /// From `start` on upwards, with the entry of that key.
    pub fn up(disk: &'a Disk, sorted: &'a Sorted<E>, start: E::Key) -> Walk<'a, E> {
        Walk::new(disk, sorted, Way::Up, start)
    }

    /// From `start` on downwards, with the entry of that key.
    pub fn down(disk: &'a Disk, sorted: &'a Sorted<E>, start: E::Key) -> Walk<'a, E> {
        Walk::new(disk, sorted, Way::Down, start)
    }

    fn new(disk: &'a Disk, sorted: &'a Sorted<E>, way: Way, start: E::Key) -> Walk<'a, E> {
        let next_bucket = (!sorted.buckets().is_empty()).then(|| sorted.bucket_of(start));
        Walk { disk, sorted, way, start: Some(start), next_bucket, runs: Vec::new() }
    }

    /// The next entry; `None` at the end.
    pub fn next(&mut self) -> Result<Option<E>, ReadError> {
        loop {
            while let Some(at) = self.foremost()? {
                let Some(mut joined) = self.runs[at].entries.next().map(Some) else { continue };
                let key = joined.as_ref().map(Entry::key);
                // The newer runs lie behind: the same key there is the newer entry.
                for run in &mut self.runs[at + 1..] {
                    if run.entries.as_slice().first().map(Entry::key) == key {
                        let newer = run.entries.next();
                        joined = match (joined, newer) {
                            (Some(older), Some(newer)) => E::join(older, newer),
                            (older, newer) => newer.or(older),
                        };
                    }
                }
                match joined {
                    Some(entry) if !entry.is_tombstone() => return Ok(Some(entry)),
                    _ => {}
                }
            }
            if !self.enter() {
                return Ok(None);
            }
        }
    }

    /// The oldest run among those whose next entry comes first; reads chunks where none is at hand.
    fn foremost(&mut self) -> Result<Option<usize>, ReadError> {
        let mut best: Option<(E::Key, usize)> = None;
        for (at, run) in self.runs.iter_mut().enumerate() {
            if run.entries.as_slice().is_empty() && !run.load(self.disk, self.way, self.start)? {
                continue;
            }
            let Some(key) = run.entries.as_slice().first().map(Entry::key) else { continue };
            let is_better = best.is_none_or(|(best, _)| if self.way == Way::Up { key < best } else { key > best });
            if is_better {
                best = Some((key, at));
            }
        }
        Ok(best.map(|(_, at)| at))
    }

    /// Goes into the next bucket; false when there is none.
    fn enter(&mut self) -> bool {
        // Once the first bucket is behind, every other one lies wholly on the walk's side of the start.
        if !self.runs.is_empty() {
            self.start = None;
        }
        let Some(at) = self.next_bucket else { return false };
        let Some(bucket) = self.sorted.buckets().get(at) else { return false };
        self.next_bucket = if self.way == Way::Up { Some(at + 1) } else { at.checked_sub(1) };
        let (way, start) = (self.way, self.start);
        self.runs = bucket.runs.iter().map(|run| RunWalk::new(run, way, start)).collect();
        true
    }
}

impl<'a, E: Entry> RunWalk<'a, E> {
    fn new(run: &'a Run<E>, way: Way, start: Option<E::Key>) -> RunWalk<'a, E> {
        let edge = if way == Way::Up { Some(0) } else { run.chunks.len().checked_sub(1) };
        let first = match start {
            None => edge,
            Some(start) => {
                let before = run.chunks.partition_point(|chunk| chunk.first.key() <= start).checked_sub(1);
                if way == Way::Up { Some(before.unwrap_or(0)) } else { before }
            }
        };
        RunWalk { run, next_chunk: first, entries: Vec::new().into_iter() }
    }

    /// Reads on until there are entries on the walk's side of `start`; false at the end of the run.
    fn load(&mut self, disk: &Disk, way: Way, start: Option<E::Key>) -> Result<bool, ReadError> {
        while self.entries.as_slice().is_empty() {
            let Some(at) = self.next_chunk else { return Ok(false) };
            let Some(chunk) = self.run.chunks.get(at) else { return Ok(false) };
            let mut entries = Vec::new();
            read_chunk(disk, chunk, &mut entries)?;
            match (way, start) {
                (Way::Up, Some(start)) => drop(entries.drain(..entries.partition_point(|e| e.key() < start))),
                (Way::Down, Some(start)) => entries.truncate(entries.partition_point(|e| e.key() <= start)),
                (_, None) => {}
            }
            if way == Way::Down {
                entries.reverse();
            }
            self.next_chunk = if way == Way::Up { Some(at + 1) } else { at.checked_sub(1) };
            self.entries = entries.into_iter();
        }
        Ok(true)
    }
}
