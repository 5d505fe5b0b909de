//! What readers see: one view of W over what is pending and over the days of history.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use postrider_core::{Position, WebhookId};

use crate::bucket::{TaggedNumber, hash_of};
use crate::chunk::{ChunkRef, unpack};
use crate::day::{OpenDay, read_record};
use crate::disk::{CHUNK, DAY, Disk};
use crate::entry::Entry;
use crate::entry::carried::Carried;
use crate::entry::dormant::{ByDue, ByWebhook, Dormant};
use crate::entry::gone::Gone;
use crate::error::{Fault, ReadError};
use crate::filter::Filter;
use crate::ledger::Ledger;
use crate::root::{DayRecord, Root};
use crate::sorted::Sorted;

/// One view.
#[derive(Debug)]
pub(crate) struct State {
    pub root: Root,
    pub sleep: Sorted<ByDue>,
    pub backlog: Sorted<ByWebhook>,
    pub gone: Sorted<Gone>,
    pub carried: Sorted<Carried>,
    /// What is in `gone`.
    pub is_gone: HashSet<WebhookId>,
    /// Unfinished deliveries of each webhook that is not gone; none is 0.
    pub counts: HashMap<WebhookId, u64>,
    pub days: BTreeMap<u32, Day>,
}

/// A day, open or not.
#[derive(Debug)]
pub(crate) struct Day {
    pub record: DayRecord,
    pub open: Mutex<Option<Arc<OpenDay>>>,
    /// Over the day's ids, once it was built. It stays when the day is closed.
    pub filter: Option<Filter>,
}

impl Day {
    /// A day that begins with the next commit: its filter is whole from the first id on.
    pub fn new(record: DayRecord) -> Day {
        Day { filter: Some(Filter::new(0)), ..Day::closed(record) }
    }

    pub fn closed(record: DayRecord) -> Day {
        Day { record, open: Mutex::new(None), filter: None }
    }
}

impl State {
    /// Of a store that covers nothing.
    pub fn new(log: [u8; 16]) -> State {
        State {
            root: Root::new(log),
            sleep: Sorted::default(),
            backlog: Sorted::default(),
            gone: Sorted::default(),
            carried: Sorted::default(),
            is_gone: HashSet::new(),
            counts: HashMap::new(),
            days: BTreeMap::new(),
        }
    }

    /// Reads and verifies all that the pending database has beside the root; and names the chunks that nothing needs.
    pub fn load(disk: &Disk, root: Root) -> Result<(State, Vec<u64>), ReadError> {
        let mut found = Ledger::default();
        let (sleep, backlog) = (Sorted::load(disk, &mut found)?, Sorted::load(disk, &mut found)?);
        let (gone, carried) = (Sorted::load(disk, &mut found)?, Sorted::load(disk, &mut found)?);
        let mut state = State { root, sleep, backlog, gone, carried, ..State::new(root.log) };
        disk.scan(&[DAY], |key, bytes| {
            let (day, record) = read_record(key, bytes).ok_or_else(|| disk.damage(Fault::Record))?;
            found.add(hash_of(TaggedNumber(DAY, u64::from(day)), bytes));
            state.days.insert(day, Day::closed(record));
            Ok(())
        })?;
        if !root.ledger.counts(&found) {
            return Err(disk.damage(Fault::Manifests));
        }
        let unused = state.load_entries(disk)?;
        Ok((state, unused))
    }

    /// Reads every chunk once, in the order in which they lie in the database.
    fn load_entries(&mut self, disk: &Disk) -> Result<Vec<u64>, ReadError> {
        let mut named = HashMap::new();
        name_chunks(&self.sleep, Named::Sleep, &mut named);
        name_chunks(&self.backlog, Named::Backlog, &mut named);
        name_chunks(&self.gone, Named::Gone, &mut named);
        name_chunks(&self.carried, Named::Carried, &mut named);
        let (mut unused, mut gone, mut counts) = (Vec::new(), Vec::new(), HashMap::<_, i64>::new());
        let (mut by_due, mut by_webhook) = (Vec::new(), Vec::new());
        let mut count = |dormant: &Dormant| {
            *counts.entry(dormant.asleep.webhook).or_default() += if dormant.is_over { -1 } else { 1 };
        };
        disk.scan(&[CHUNK], |key, bytes| {
            let number = key.get(1..).and_then(|n| n.try_into().ok()).map_or(0, u64::from_be_bytes);
            let read = match named.remove(&number) {
                None => {
                    unused.push(number);
                    Ok(())
                }
                Some(Named::Sleep(chunk)) => unpack(&chunk, bytes, &mut by_due),
                Some(Named::Backlog(chunk)) => unpack(&chunk, bytes, &mut by_webhook),
                Some(Named::Gone(chunk)) => unpack(&chunk, bytes, &mut gone),
                Some(Named::Carried(chunk)) => unpack(&chunk, bytes, &mut Vec::new()),
            };
            by_due.drain(..).for_each(|entry| count(&entry.0));
            by_webhook.drain(..).for_each(|entry| count(&entry.0));
            read.map_err(|fault| disk.damage(fault))
        })?;
        if !named.is_empty() {
            return Err(disk.damage(Fault::Missing));
        }
        self.is_gone = gone.into_iter().map(|gone: Gone| gone.webhook).collect();
        let live = counts.into_iter().filter(|(webhook, n)| *n > 0 && !self.is_gone.contains(webhook));
        self.counts = live.map(|(webhook, n)| (webhook, n as u64)).collect();
        Ok(unused)
    }

    /// The day whose events lie at `position`; `None` when it is forgotten, or not known yet.
    pub fn day_at(&self, position: Position) -> Option<u32> {
        // Record times never decrease, so that days are in order of their first records.
        self.days.iter().rev().find(|(_, day)| day.record.first <= position).map(|(number, _)| *number)
    }

    /// A day of history, opened if need be.
    pub fn day(&self, folder: &Path, number: u32) -> Result<Option<Arc<OpenDay>>, ReadError> {
        let Some(day) = self.days.get(&number) else { return Ok(None) };
        let mut open = day.open.lock();
        if let Some(open) = &*open {
            return Ok(Some(Arc::clone(open)));
        }
        let end = self.root.pending.block.max(self.root.history.block);
        let opened = Arc::new(OpenDay::open(folder, self.root.log, number, &day.record, end)?);
        *open = Some(Arc::clone(&opened));
        Ok(Some(opened))
    }
}

impl State {
    /// Whether a day may have an id. One without a filter may.
    pub fn may_have_id(&self, number: u32, fingerprint: u64) -> bool {
        let filter = self.days.get(&number).map(|day| &day.filter);
        filter.is_some_and(|filter| filter.as_ref().is_none_or(|filter| filter.may_have(fingerprint)))
    }
}

/// A chunk and which database it belongs to.
enum Named {
    Sleep(ChunkRef<ByDue>),
    Backlog(ChunkRef<ByWebhook>),
    Gone(ChunkRef<Gone>),
    Carried(ChunkRef<Carried>),
}

fn name_chunks<E: Entry>(sorted: &Sorted<E>, name: fn(ChunkRef<E>) -> Named, named: &mut HashMap<u64, Named>) {
    let chunks = sorted.buckets().iter().flat_map(|bucket| bucket.chunks());
    named.extend(chunks.map(|chunk| (chunk.number, name(*chunk))));
}
