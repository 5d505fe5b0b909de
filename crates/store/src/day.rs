//! One day of history: heads of its events' deliveries, how many were added to them, its events, ids, attempts and tallies, in a database of its own.
//!
//! Opened at the first use: then its manifests are held against what the store's root counts; its chunks at each read. Forgotten by
//! closing and unlinking, since sled's file never shrinks.

use std::path::Path;
use std::sync::Arc;

use postrider_core::{Position, Time};

use crate::bucket::read_chunk;
use crate::coding::Input;
use crate::disk::{Disk, ROOT};
use crate::entry::added::Added;
use crate::entry::attempt::AttemptOf;
use crate::entry::event::EventOf;
use crate::entry::head::Head;
use crate::entry::id::Id;
use crate::entry::tally::Tally;
use crate::entry::{Entry, settle};
use crate::error::{Fault, ReadError};
use crate::filter::Filter;
use crate::ledger::{Changes, Ledger};
use crate::root::{DayRecord, DayRoot};
use crate::sorted::Sorted;

/// What sled may cache of each open day. Its default is a gigabyte.
const CACHE_BYTES: u64 = 8 << 20;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The day, counted from 1970, that a time lies in.
pub(crate) fn day_of(time: Time) -> u32 {
    u32::try_from(time.0 / DAY_MS).unwrap_or(u32::MAX)
}

/// When a day is over.
pub(crate) fn end_of(day: u32) -> Time {
    Time((u64::from(day) + 1) * DAY_MS)
}

/// A day's database, relative to the store's folder.
pub(crate) fn name_of(day: u32) -> String {
    format!("days/{day:05}")
}

/// One state of an open day.
#[derive(Debug)]
pub(crate) struct OpenDay {
    pub disk: Arc<Disk>,
    pub root: DayRoot,
    pub heads: Sorted<Head>,
    pub added: Sorted<Added>,
    pub ids: Sorted<Id>,
    pub events: Sorted<EventOf>,
    pub attempts: Sorted<AttemptOf>,
    pub tallies: Sorted<Tally>,
    /// Chunks that the next commit takes away.
    outdated: Vec<u64>,
}

impl OpenDay {
    /// Opens a day. `end` is the block that it may reach up to.
    pub fn open(folder: &Path, log: [u8; 16], day: u32, record: &DayRecord, end: u64) -> Result<OpenDay, ReadError> {
        let disk = Arc::new(Disk::open(folder, name_of(day), CACHE_BYTES)?);
        let root = match disk.get(ROOT)? {
            Some(root) => DayRoot::read(&root).ok_or_else(|| disk.damage(Fault::Record))?,
            None => DayRoot { log, day, block: 0, ledger: Ledger::default() },
        };
        let is_as_told = root.block == record.block && root.ledger == record.ledger;
        let is_newer = root.block > record.block && root.block <= end;
        if (root.log, root.day) != (log, day) || !(is_as_told || is_newer) {
            return Err(disk.damage(Fault::Day));
        }
        let mut found = Ledger::default();
        let (heads, added) = (Sorted::load(&disk, &mut found)?, Sorted::load(&disk, &mut found)?);
        let ids = Sorted::load(&disk, &mut found)?;
        let (events, attempts) = (Sorted::load(&disk, &mut found)?, Sorted::load(&disk, &mut found)?);
        let tallies = Sorted::load(&disk, &mut found)?;
        if !root.ledger.counts(&found) {
            return Err(disk.damage(Fault::Manifests));
        }
        Ok(OpenDay { disk, root, heads, added, ids, events, attempts, tallies, outdated: Vec::new() })
    }

    /// The state with `filed` in it, as of `block`, and the batch that makes it so.
    pub fn with(&self, filed: &mut Filed, block: u64) -> Result<(OpenDay, sled::Batch), ReadError> {
        let mut changes = Changes::new(self.root.ledger, &self.outdated);
        let to = &mut changes;
        let heads = file(&self.disk, &self.heads, &mut filed.heads, to)?;
        let added = file(&self.disk, &self.added, &mut filed.added, to)?;
        let ids = file(&self.disk, &self.ids, &mut filed.ids, to)?;
        let events = file(&self.disk, &self.events, &mut filed.events, to)?;
        let attempts = file(&self.disk, &self.attempts, &mut filed.attempts, to)?;
        let mut tallies = std::mem::take(&mut filed.tallies).into_values().collect();
        let tallies = file(&self.disk, &self.tallies, &mut tallies, to)?;
        let root = DayRoot { block, ledger: changes.ledger, ..self.root };
        changes.batch.insert(ROOT, root.write());
        let (batch, _, outdated) = changes.finish();
        let disk = Arc::clone(&self.disk);
        Ok((OpenDay { disk, root, heads, added, ids, events, attempts, tallies, outdated }, batch))
    }

    /// A filter of all ids that the day has.
    pub fn id_filter(&self) -> Result<Filter, ReadError> {
        let chunks = || self.ids.buckets().iter().flat_map(|bucket| bucket.chunks());
        let mut filter = Filter::new(chunks().map(|chunk| u64::from(chunk.entries)).sum());
        let mut entries = Vec::new();
        for chunk in chunks() {
            read_chunk(&self.disk, chunk, &mut entries)?;
            entries.drain(..).for_each(|id: Id| filter.add(id.fingerprint));
        }
        Ok(filter)
    }

    /// Takes what is outdated away at last. Nothing reads this state any more.
    pub fn tidy(&self) {
        // What can't be removed now is no loss but of space: nothing names it.
        let tidied = self.disk.apply(Changes::new(self.root.ledger, &self.outdated).batch);
        let _ = tidied.and_then(|()| self.disk.flush());
    }
}

fn file<E: Entry>(
    disk: &Disk,
    sorted: &Sorted<E>,
    entries: &mut Vec<E>,
    changes: &mut Changes,
) -> Result<Sorted<E>, ReadError> {
    settle(entries);
    let with = sorted.with(disk, entries, changes, &|_| true)?;
    entries.clear();
    Ok(with)
}

/// What the writer has taken for one day since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Filed {
    /// Records below this block are in the day's database already.
    pub from_block: u64,
    pub heads: Vec<Head>,
    pub added: Vec<Added>,
    pub ids: Vec<Id>,
    pub events: Vec<EventOf>,
    /// Of these, the ones that were accepted before the log begins.
    pub carried: std::collections::BTreeSet<Position>,
    pub attempts: Vec<AttemptOf>,
    pub tallies: std::collections::BTreeMap<<Tally as Entry>::Key, Tally>,
}

impl Filed {
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.ids.is_empty() && self.events.is_empty() && self.attempts.is_empty()
    }

    /// Takes in an attempt, and counts it unless it was a test.
    pub fn attempt(&mut self, attempt: AttemptOf) {
        self.attempts.push(attempt);
        if attempt.place.key.is_some() {
            let (webhook, hour) = (attempt.webhook, crate::entry::tally::hour_of(attempt.place.time));
            let tally = self.tallies.entry((webhook, hour)).or_insert(Tally { webhook, hour, ..Tally::zero() });
            tally.summary.count(attempt.place.outcome, attempt.place.latency);
        }
    }
}

/// Reads a day's number off the name of its folder.
pub(crate) fn day_named(name: &str) -> Option<u32> {
    name.parse().ok().filter(|day| name_of(*day) == format!("days/{name}"))
}

/// What a record in the pending database says of a day.
pub(crate) fn read_record(key: &[u8], record: &[u8]) -> Option<(u32, DayRecord)> {
    let mut key = Input(key.get(1..)?);
    let day = u32::from_be_bytes(key.array()?);
    Some((day, DayRecord::read(record)?)).filter(|_| key.is_empty())
}
