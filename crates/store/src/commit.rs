//! How what was taken becomes part of the store.
//!
//! The pending database is written and synced first: its root says up to where the days of history may reach. Then each day, with a root
//! of its own; then the pending root once more, which says what the days are at now. A crash in between leaves days that are ahead of
//! what the root says of them, not of its position: a replay passes over what they have already. Readers change over at the end, at one
//! moment. Chunks that this made useless are taken away by the next commit, when no reader is left that needs them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::Arc;

use postrider_core::{DeliveryKey, Position, Time, WebhookId};
use sled::Batch;

use crate::bucket::{TaggedNumber, hash_of};
use crate::day::{OpenDay, end_of, name_of};
use crate::disk::{DAY, ROOT, day_key, kernel_key, sync_names};
use crate::entry::carried::Carried;
use crate::entry::dormant::{Asleep, ByDue, ByWebhook, Dormant, Lane};
use crate::entry::gone::Gone;
use crate::entry::settle;
use crate::error::{CommitError, ReadError};
use crate::filter::Filter;
use crate::identity::{Mark, Part};
use crate::ledger::{Changes, Ledger};
use crate::root::{DayRecord, KernelRecord, Root};
use crate::sorted::{Sorted, Step};
use crate::state::{Day, State};
use crate::store::KERNEL_PIECE_BYTES;
use crate::walk::Walk;
use crate::writer::{Round, Taken, Writer};

/// Buckets of each kind that are looked through at once for what is of no use: each has up to 512 KiB.
const TIDIED_BUCKETS: usize = 4;
/// Days that stay open at once; a Snaily delivery touches the day of its event for a week.
const DAYS_OPEN_MAX: usize = 10;

/// A commit in the making.
struct Plan {
    root: Root,
    changes: Changes,
    pending: Pending,
    days: Vec<DayPlan>,
    /// Day and fingerprint of each new id, for the filters.
    ids: Vec<(u32, u64)>,
}

/// What becomes of a day.
struct DayPlan {
    number: u32,
    /// What the root says of it now.
    before: DayRecord,
    first: Position,
    next: OpenDay,
    batch: Batch,
}

/// What becomes of the pending part of the state.
struct Pending {
    sleep: Sorted<ByDue>,
    backlog: Sorted<ByWebhook>,
    gone: Sorted<Gone>,
    carried: Sorted<Carried>,
    counts: HashMap<WebhookId, i64>,
}

impl Writer {
    /// Makes all that was taken part of the store, durably, and moves it to `mark`: every record below that block has been taken into this
    /// part. `kernel` is the caller's own snapshot as of the mark; `None` keeps the one before. A part that is past the mark already
    /// stays where it is.
    ///
    /// # Errors
    /// When it could not be written or synced, or what it builds on could not be read: then the store is to be dropped and opened again.
    /// Refused, and nothing is lost, when the mark lies before a record that was taken, or moves history past what is pending.
    pub fn commit(&mut self, part: Part, mark: Mark, kernel: Option<&[u8]>) -> Result<(), CommitError> {
        if self.is_poisoned {
            return Err(CommitError::Poisoned);
        }
        if mark.block < self.taken.end {
            return Err(CommitError::Backward { asked: mark.block, end: self.taken.end });
        }
        if part == Part::History && mark.block > self.pending_from {
            return Err(CommitError::Ahead { asked: mark.block, pending: self.pending_from });
        }
        // Lifted at the end: whatever fails in between leaves files in an unknown state.
        self.is_poisoned = true;
        let mut taken = std::mem::take(&mut self.taken);
        let plan = self.plan(&mut taken, part, mark, kernel)?;
        self.carry_out(plan, &taken, part, mark)?;
        self.is_poisoned = false;
        Ok(())
    }

    /// Forgets the days of history that were over before `before`. Returns how many.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn expire(&mut self, before: Time) -> Result<usize, CommitError> {
        let state = self.inner.state.read();
        let over = state.days.keys().copied().take_while(|day| end_of(*day) <= before).collect();
        drop(state);
        self.forget_days(over)
    }

    /// The log begins with block `first` now. Forgets the days of which nothing is kept: all of their records lie below, and no event of
    /// theirs was carried to `first` or later. Then, a bounded part with each call, what is of no use any more in what is pending: where
    /// events were carried to that is let go, too, and deliveries to webhooks that are gone; at last those webhooks themselves. Returns how
    /// many days it forgot.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn let_go(&mut self, first: u64) -> Result<usize, CommitError> {
        if self.is_poisoned {
            return Err(CommitError::Poisoned);
        }
        self.begins = self.begins.max(first);
        let state = self.inner.state.read();
        let firsts: Vec<_> = state.days.iter().map(|(number, day)| (*number, day.record.first)).collect();
        let mut over = Vec::new();
        for (&(number, begin), &(_, end)) in firsts.iter().zip(firsts.iter().skip(1)) {
            // All records of a block have one time: no record of a day lies in the block in which the next one begins.
            if end.block() > first {
                break;
            }
            if !self.has_carried(&state, begin, end, first)? {
                over.push(number);
            }
        }
        drop(state);
        let forgotten = self.forget_days(over)?;
        self.tidy_some()?;
        Ok(forgotten)
    }

    /// Whether an event from `begin` on and before `end` was carried to block `first` or later.
    fn has_carried(&self, state: &State, begin: Position, end: Position, first: u64) -> Result<bool, ReadError> {
        let is_kept = |event: &Position, to: &Position| (begin..end).contains(event) && to.block() >= first;
        if self.taken.carried.iter().any(|(event, to)| is_kept(event, to)) {
            return Ok(true);
        }
        let mut walk = Walk::up(&self.inner.disk, &state.carried, begin);
        while let Some(carried) = walk.next()?.filter(|carried| carried.event < end) {
            if is_kept(&carried.event, &carried.to) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn forget_days(&mut self, over: Vec<u32>) -> Result<usize, CommitError> {
        if self.is_poisoned {
            return Err(CommitError::Poisoned);
        }
        if over.is_empty() {
            return Ok(0);
        }
        let state = self.inner.state.read();
        let mut root = state.root;
        let mut batch = Batch::default();
        for day in &over {
            forget_record(&mut root.ledger, *day, &state.days[day].record);
            batch.remove(&day_key(*day));
        }
        drop(state);
        self.is_poisoned = true;
        batch.insert(ROOT, root.write());
        self.inner.disk.apply(batch)?;
        self.inner.disk.sync()?;
        let mut state = self.inner.state.write();
        state.root = root;
        let closed: Vec<_> = over.iter().filter_map(|day| state.days.remove(day)).collect();
        drop(state);
        drop(closed);
        for day in &over {
            self.firsts.remove(day);
            self.taken.days.remove(day);
            match fs::remove_dir_all(self.inner.folder.join(name_of(*day))) {
                Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(why.into()),
                _ => {}
            }
        }
        self.is_poisoned = false;
        Ok(over.len())
    }

    /// Takes what is of no use out of the next few buckets of what is pending. Once all of them had their turn, webhooks that went before
    /// the log begins, and were gone when the round began, are forgotten: nothing of theirs is left, and no fact will name them.
    fn tidy_some(&mut self) -> Result<(), CommitError> {
        let state = self.inner.state.read();
        let (disk, begins, max) = (&self.inner.disk, self.begins, TIDIED_BUCKETS);
        let mut changes = Changes::new(state.root.ledger, &self.outdated);
        let gone_then = self.round.gone.get_or_insert_with(|| state.is_gone.clone());
        let is_there = |webhook: WebhookId| !state.is_gone.contains(&webhook);
        let there_by_due = |entry: &ByDue| is_there(entry.0.asleep.webhook);
        let there_by_webhook = |entry: &ByWebhook| is_there(entry.0.asleep.webhook);
        let is_of_use = |carried: &Carried| carried.to.block() >= begins;
        let (sleep, sleep_step) = state.sleep.tidied(disk, self.round.sleep, max, &mut changes, &there_by_due)?;
        let (backlog, backlog_step) =
            state.backlog.tidied(disk, self.round.backlog, max, &mut changes, &there_by_webhook)?;
        let (carried, carried_step) = state.carried.tidied(disk, self.round.carried, max, &mut changes, &is_of_use)?;
        let is_over = matches!((&sleep_step, &backlog_step, &carried_step), (Step::Over, Step::Over, Step::Over));
        let (mut gone, mut forgotten) = (state.gone.clone(), HashSet::new());
        if is_over {
            let is_old = |entry: &Gone| gone_then.contains(&entry.webhook) && entry.block < begins;
            let mut walk = Walk::up(disk, &state.gone, WebhookId(0));
            while let Some(entry) = walk.next()? {
                forgotten.extend(is_old(&entry).then_some(entry.webhook));
            }
            gone = gone.tidied(disk, Step::Begin, usize::MAX, &mut changes, &|entry| !is_old(entry))?.0;
        }
        let root = state.root;
        drop(state);
        match is_over {
            true => self.round = Round::default(),
            false => {
                (self.round.sleep, self.round.backlog) = (sleep_step, backlog_step);
                self.round.carried = carried_step;
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.is_poisoned = true;
        let (mut batch, ledger, outdated) = changes.finish();
        let root = Root { ledger, ..root };
        batch.insert(ROOT, root.write());
        self.inner.disk.apply(batch)?;
        self.inner.disk.sync()?;
        let mut state = self.inner.state.write();
        state.root = root;
        (state.sleep, state.backlog, state.carried, state.gone) = (sleep, backlog, carried, gone);
        state.is_gone.retain(|webhook| !forgotten.contains(webhook));
        drop(state);
        self.outdated = outdated;
        self.is_poisoned = false;
        Ok(())
    }

    /// Builds the filter over the ids of one day that has none, as after opening, or whose filter has more ids than it is made for. Reads
    /// all ids of the day: about 50 ns each. False: there was none to build.
    ///
    /// # Errors
    /// When the day cannot be read.
    pub fn build_filter(&mut self) -> Result<bool, ReadError> {
        let state = self.inner.state.read();
        let wants_one = |(_, day): &(&u32, &Day)| day.filter.as_ref().is_none_or(Filter::is_full);
        let Some(number) = state.days.iter().rev().find(wants_one).map(|(number, _)| *number) else { return Ok(false) };
        let open = state.day(&self.inner.folder, number)?;
        drop(state);
        // Only commits change a day, and the one who makes them is here.
        let filter = open.map(|open| open.id_filter()).transpose()?;
        let mut state = self.inner.state.write();
        let closed = state.close_days(&[]);
        if let Some(day) = state.days.get_mut(&number) {
            day.filter = filter;
        }
        drop(state);
        closed.iter().for_each(|day| day.tidy());
        Ok(true)
    }

    /// Ends writing: what was taken since the last commit is dropped, and chunks of no more use are taken away.
    pub fn close(self) {
        if !self.is_poisoned {
            let tidied = self.inner.disk.apply(Changes::new(Ledger::default(), &self.outdated).batch);
            // What can't be removed now goes at the next opening.
            let _ = tidied.and_then(|()| self.inner.disk.flush());
            self.inner.state.read().days.values().filter_map(|day| day.open.lock().clone()).for_each(|day| day.tidy());
        }
    }

    fn plan(&self, taken: &mut Taken, part: Part, mark: Mark, kernel: Option<&[u8]>) -> Result<Plan, CommitError> {
        let state = self.inner.state.read();
        let mut root = state.root;
        let mut changes = Changes::new(root.ledger, &self.outdated);
        root.swept = root.swept.max(taken.sweep.unwrap_or_default());
        root.origin = self.origin;
        let pending = self.plan_pending(&state, taken, root.swept, &mut changes)?;
        if part.has_pending() && mark.block >= root.pending.block {
            root.pending = mark;
        }
        if let Some(kernel) = kernel {
            put_kernel(&mut changes.batch, root.kernel, kernel);
            let (bytes, crc) = (kernel.len() as u64, crc32c::crc32c(kernel));
            root.kernel = Some(KernelRecord { block: mark.block, bytes, crc });
        }
        let (mut days, mut ids) = (Vec::new(), Vec::new());
        for (number, filed) in taken.days.iter_mut().filter(|(_, filed)| !filed.is_empty()) {
            let first = self.firsts.get(number).copied().unwrap_or_default();
            let (record, open) = match (state.days.get(number), state.day(&self.inner.folder, *number)?) {
                (Some(day), Some(open)) => (day.record, open),
                _ => {
                    let record = DayRecord::new(first);
                    put_record(&mut changes.batch, &mut changes.ledger, *number, &record);
                    (record, Arc::new(OpenDay::open(&self.inner.folder, root.log, *number, &record, mark.block)?))
                }
            };
            ids.extend(filed.ids.iter().map(|id| (*number, id.fingerprint)));
            let (next, batch) = open.with(filed, mark.block)?;
            days.push(DayPlan { number: *number, before: record, first, next, batch });
        }
        Ok(Plan { root, changes, pending, days, ids })
    }

    fn plan_pending(
        &self,
        state: &State,
        taken: &mut Taken,
        swept: Time,
        changes: &mut Changes,
    ) -> Result<Pending, CommitError> {
        let disk = &self.inner.disk;
        let is_gone = |webhook: &WebhookId| state.is_gone.contains(webhook) || taken.gone.contains_key(webhook);
        let mut gone: Vec<_> =
            taken.gone.iter().map(|(webhook, block)| Gone { webhook: *webhook, block: *block }).collect();
        settle(&mut gone);
        let gone = state.gone.with(disk, &gone, changes, &|_| true)?;
        let carried: Vec<_> = taken.carried.iter().map(|(event, to)| Carried { event: *event, to: *to }).collect();
        let carried = state.carried.with(disk, &carried, changes, &|_| true)?;

        // Of a webhook that is gone neither entries nor tombstones are written any more: what lies there is left out wherever it is met.
        taken.dormant.retain(|dormant| !is_gone(&dormant.asleep.webhook));
        let mut counts = HashMap::<_, i64>::new();
        for Dormant { asleep, is_over } in &taken.dormant {
            *counts.entry(asleep.webhook).or_default() += if *is_over { -1 } else { 1 };
        }
        let keep_due = |entry: &ByDue| !is_gone(&entry.0.asleep.webhook);
        let keep_webhook = |entry: &ByWebhook| !is_gone(&entry.0.asleep.webhook);
        let (overdue, sleep) = match swept > state.root.swept {
            true => state.sleep.without(disk, first_due(swept), changes, &keep_due)?,
            false => (Vec::new(), state.sleep.clone()),
        };
        let mut by_webhook: Vec<_> = overdue.into_iter().map(|ByDue(dormant)| ByWebhook(dormant)).collect();
        let mut by_due = Vec::with_capacity(taken.dormant.len());
        for dormant in taken.dormant.drain(..) {
            match dormant.asleep.due < swept {
                true => by_webhook.push(ByWebhook(dormant)),
                false => by_due.push(ByDue(dormant)),
            }
        }
        settle(&mut by_due);
        settle(&mut by_webhook);
        let sleep = sleep.with(disk, &by_due, changes, &keep_due)?;
        let backlog = state.backlog.with(disk, &by_webhook, changes, &keep_webhook)?;
        Ok(Pending { sleep, backlog, gone, carried, counts })
    }

    fn carry_out(&mut self, plan: Plan, taken: &Taken, part: Part, mark: Mark) -> Result<(), CommitError> {
        let Plan { mut root, changes, pending, days, ids } = plan;
        let (mut batch, ledger, outdated) = changes.finish();
        root.ledger = ledger;
        batch.insert(ROOT, root.write());
        self.inner.disk.apply(batch)?;
        self.inner.disk.sync()?;
        self.crash_point()?;

        let mut told = Vec::with_capacity(days.len());
        let mut batch = Batch::default();
        for DayPlan { number, before, first, next: day, batch: changes } in days {
            day.disk.apply(changes)?;
            day.disk.sync()?;
            self.crash_point()?;
            if before.block == 0 {
                sync_names(&self.inner.folder.join(name_of(number)))?;
                sync_names(&self.inner.folder.join("days"))?;
            }
            forget_record(&mut root.ledger, number, &before);
            let record = DayRecord { block: day.root.block, ledger: day.root.ledger, first };
            put_record(&mut batch, &mut root.ledger, number, &record);
            told.push((number, record, day));
        }
        if part.has_history() && mark.block >= root.history.block {
            root.history = mark;
        }
        // Not synced: until the next commit is, a power cut makes a replay begin further back, and pass over what the days have.
        batch.insert(ROOT, root.write());
        self.inner.disk.apply(batch)?;
        self.inner.disk.flush()?;

        let mut state = self.inner.state.write();
        let closed = state.change(root, pending, taken, told);
        for (day, fingerprint) in ids {
            if let Some(filter) = state.days.get_mut(&day).and_then(|day| day.filter.as_mut()) {
                filter.add(fingerprint);
            }
        }
        drop(state);
        closed.iter().for_each(|day| day.tidy());
        self.outdated = outdated;
        (self.pending_from, self.history_from) = (root.pending.block, root.history.block);
        Ok(())
    }
}

#[cfg(not(test))]
impl Writer {
    /// Between two databases: tests end here as a crash would.
    fn crash_point(&mut self) -> Result<(), CommitError> {
        Ok(())
    }
}

impl State {
    /// Changes over to the next state. Returns days that are closed when this is dropped.
    fn change(
        &mut self,
        root: Root,
        pending: Pending,
        taken: &Taken,
        days: Vec<(u32, DayRecord, OpenDay)>,
    ) -> Vec<Arc<OpenDay>> {
        self.root = root;
        (self.sleep, self.backlog) = (pending.sleep, pending.backlog);
        (self.gone, self.carried) = (pending.gone, pending.carried);
        for (webhook, more) in pending.counts {
            let count = self.counts.entry(webhook).or_default();
            *count = count.saturating_add_signed(more);
            if *count == 0 {
                self.counts.remove(&webhook);
            }
        }
        self.is_gone.extend(taken.gone.keys());
        for webhook in taken.gone.keys() {
            self.counts.remove(webhook);
        }
        let touched: Vec<_> = days.iter().map(|(number, ..)| *number).collect();
        for (number, record, open) in days {
            let day = self.days.entry(number).or_insert_with(|| Day::new(record));
            day.record = record;
            *day.open.get_mut() = Some(Arc::new(open));
        }
        self.close_days(&touched)
    }

    /// Takes the days that are open beyond what may be, oldest first, but none of `touched`. They are closed when this is dropped.
    fn close_days(&mut self, touched: &[u32]) -> Vec<Arc<OpenDay>> {
        let is_open = |day: &mut Day| day.open.get_mut().is_some();
        let open: Vec<_> = self.days.iter_mut().filter_map(|(n, day)| is_open(day).then_some(*n)).collect();
        let spare = open.len().saturating_sub(DAYS_OPEN_MAX);
        let closing = open.into_iter().filter(|number| !touched.contains(number)).take(spare);
        closing.filter_map(|number| self.days.get_mut(&number)?.open.get_mut().take()).collect()
    }
}

/// What everything that is due from `time` on comes after.
fn first_due(time: Time) -> Asleep {
    let key = DeliveryKey { event: Position::default(), ordinal: 0 };
    Asleep { due: time, key, webhook: WebhookId(0), lane: Lane::Fresh }
}

fn put_kernel(batch: &mut Batch, before: Option<KernelRecord>, kernel: &[u8]) {
    let pieces = kernel.chunks(KERNEL_PIECE_BYTES);
    let before = before.map_or(0, |record| record.bytes.div_ceil(KERNEL_PIECE_BYTES as u64));
    (pieces.len() as u64..before).for_each(|piece| batch.remove(&kernel_key(piece as u32)));
    pieces.enumerate().for_each(|(number, piece)| batch.insert(&kernel_key(number as u32), piece));
}

fn put_record(batch: &mut Batch, ledger: &mut Ledger, day: u32, record: &DayRecord) {
    let bytes = record.write();
    ledger.add(hash_of(TaggedNumber(DAY, u64::from(day)), &bytes));
    batch.insert(&day_key(day), bytes);
}

fn forget_record(ledger: &mut Ledger, day: u32, record: &DayRecord) {
    ledger.remove(hash_of(TaggedNumber(DAY, u64::from(day)), &record.write()));
}

#[cfg(test)]
mod tests;
