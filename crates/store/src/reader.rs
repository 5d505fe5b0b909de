//! What can be asked of the store, all under one view of W.

use std::path::Path;
use std::sync::Arc;

use parking_lot::RwLockReadGuard;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};

use crate::count::count;
use crate::day::{OpenDay, day_of};
use crate::disk::Disk;
use crate::entry::Entry;
use crate::entry::attempt::{AttemptOf, AttemptPlace};
use crate::entry::dormant::{Asleep, ByDue, Lane};
use crate::entry::event::{EventOf, EventPlace};
use crate::entry::head::Head;
use crate::entry::id::fingerprint;
use crate::entry::tally::{Summary, hour_start};
use crate::error::ReadError;
use crate::identity::At;
use crate::state::State;
use crate::store;
use crate::walk::Walk;

/// Of hours of webhooks that were not asked for so many are passed over before the walk begins anew at the next one that was.
const PASSED_MAX: usize = 256;

/// One view of the store. While it lives, the end of a commit waits.
pub struct Reader<'a> {
    folder: &'a Path,
    disk: &'a Disk,
    state: RwLockReadGuard<'a, State>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(folder: &'a Path, disk: &'a Disk, state: RwLockReadGuard<'a, State>) -> Reader<'a> {
        Reader { folder, disk, state }
    }

    /// What the view covers.
    pub fn at(&self) -> At {
        store::at(&self.state.root)
    }

    /// Unfinished deliveries of a webhook, exactly; 0 for one that was deleted.
    pub fn pending(&self, webhook: WebhookId) -> u64 {
        self.state.counts.get(&webhook).copied().unwrap_or(0)
    }

    /// The webhooks that have any, and how many; in no order.
    pub fn pending_by_webhook(&self) -> impl Iterator<Item = (WebhookId, u64)> {
        self.state.counts.iter().map(|(webhook, n)| (*webhook, *n))
    }

    /// Unfinished deliveries of all webhooks: those that sleep, that are overdue, and that were in flight at W.
    pub fn asleep_len(&self) -> u64 {
        self.state.counts.values().sum()
    }

    /// All that was due before this has been moved to the backlog; see [`Writer::sweep`](crate::Writer::sweep).
    pub fn swept(&self) -> Time {
        self.state.root.swept
    }

    /// The next `max` unfinished deliveries that are due before `until`, in order of due time, behind `after`: the last one of the call
    /// before. A cursor and not a queue: what it gives stays in the store until a commit covers its next fact. Whoever opens a store
    /// begins at the front, with `None`. What the backlog holds is not among them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn due(&self, after: Option<Asleep>, until: Time, max: usize) -> Result<Vec<Asleep>, ReadError> {
        let mut walk = Walk::up(self.disk, &self.state.sleep, after.unwrap_or(ByDue::zero().key()));
        let mut out = Vec::new();
        while out.len() < max {
            let next = walk.next()?.map(|entry| entry.key()).filter(|asleep| asleep.due < until);
            let Some(asleep) = next else { break };
            if Some(asleep) != after && !self.state.is_gone.contains(&asleep.webhook) {
                out.push(asleep);
            }
        }
        Ok(out)
    }

    /// When the first delivery behind `after` is due; `None` when none sleeps there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn next_due(&self, after: Option<Asleep>) -> Result<Option<Time>, ReadError> {
        Ok(self.due(after, Time(u64::MAX), 1)?.first().map(|asleep| asleep.due))
    }

    /// The next `max` deliveries in one lane of a webhook's backlog behind `after`, first in first out. A cursor, as [`due`](Self::due).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn backlog(
        &self,
        webhook: WebhookId,
        lane: Lane,
        after: Option<Asleep>,
        max: usize,
    ) -> Result<Vec<Asleep>, ReadError> {
        let start = (webhook, lane, after.unwrap_or(ByDue::zero().key()));
        let mut walk = Walk::up(self.disk, &self.state.backlog, start);
        let mut out = Vec::new();
        while out.len() < max && !self.state.is_gone.contains(&webhook) {
            let next = walk.next()?.map(|entry| entry.key()).filter(|key| (key.0, key.1) == (webhook, lane));
            let Some((_, _, asleep)) = next else { break };
            if Some(asleep) != after {
                out.push(asleep);
            }
        }
        Ok(out)
    }

    /// Where the newest fact of a delivery lies: its event's own position when it has had none since. `None` when its day was forgotten.
    /// Whether there is such a delivery the record there says.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn head(&self, key: DeliveryKey) -> Result<Option<Position>, ReadError> {
        let Some(day) = self.state.day_at(key.event) else { return Ok(None) };
        let Some(day) = self.state.day(self.folder, day)? else { return Ok(None) };
        let head = day.heads.get(&day.disk, key)?;
        Ok(Some(head.map_or(key.event, |head| head.newest)))
    }

    /// The events from `from` to `to`, both included, to which replays have added deliveries, and how many; in order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn added(&self, from: Position, to: Position) -> Result<Vec<(Position, u32)>, ReadError> {
        let mut out = Vec::new();
        let first = self.state.day_at(from).unwrap_or(0);
        for number in self.state.days.range(first..).take_while(|(_, day)| day.record.first <= to).map(|(day, _)| *day)
        {
            let Some(day) = self.state.day(self.folder, number)? else { continue };
            let mut walk = Walk::up(&day.disk, &day.added, from);
            while let Some(found) = walk.next()?.filter(|found| found.event <= to) {
                out.push((found.event, found.count));
            }
        }
        Ok(out)
    }

    /// Where the fact lies that erased an event's payload; `None` while it is not erased, or once its day was forgotten.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erased(&self, event: Position) -> Result<Option<Position>, ReadError> {
        let own = Head::of_event(event);
        Ok(self.head(own)?.filter(|newest| *newest != event))
    }

    /// Where the fact of an event lies, and its payload beside it: where it was accepted, or where it was carried to since.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn record_of(&self, event: Position) -> Result<Position, ReadError> {
        let carried = self.state.carried.get(self.disk, event)?;
        Ok(carried.map_or(event, |carried| carried.to))
    }

    /// Where an event of this id may lie, newest first: nearly always none or one. The record there has the last word. A day that has its
    /// filter (see [`Writer::build_filter`](crate::Writer::build_filter)) and not the id is passed over; each other one costs a look.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn candidates(&self, workspace: WorkspaceId, id: &EventId) -> Result<Vec<Position>, ReadError> {
        let fingerprint = fingerprint(self.state.root.log, workspace, id);
        let mut out = Vec::new();
        for number in self.state.days.keys().rev() {
            if !self.state.may_have_id(*number, fingerprint) {
                continue;
            }
            let Some(day) = self.state.day(self.folder, *number)? else { continue };
            let mut walk = Walk::down(&day.disk, &day.ids, (fingerprint, last()));
            while let Some(found) = walk.next()?.filter(|id| id.fingerprint == fingerprint) {
                out.push(found.at);
            }
        }
        Ok(out)
    }

    /// Whether any event may have this id. Reads nothing: a day without its filter may have any.
    pub fn may_have_id(&self, workspace: WorkspaceId, id: &EventId) -> bool {
        let fingerprint = fingerprint(self.state.root.log, workspace, id);
        self.state.days.keys().any(|day| self.state.may_have_id(*day, fingerprint))
    }

    /// The next `max` attempts of a webhook before a position, or from the newest on; newest first. Costs the same at any depth.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn attempts(
        &self,
        webhook: WebhookId,
        before: Option<Position>,
        max: usize,
    ) -> Result<Vec<AttemptPlace>, ReadError> {
        let mut out = Vec::new();
        for day in self.days_down(before) {
            let day = day?;
            let Some(start) = last_before(before) else { break };
            let mut walk = Walk::down(&day.disk, &day.attempts, (webhook, start));
            while out.len() < max
                && let Some(found) = walk.next()?.filter(|found| found.webhook == webhook)
            {
                out.push(found.place);
            }
            if out.len() == max {
                break;
            }
        }
        Ok(out)
    }

    /// The next `max` events of a workspace before a position, or from the newest on; newest first. Costs the same at any depth.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events(
        &self,
        workspace: WorkspaceId,
        before: Option<Position>,
        max: usize,
    ) -> Result<Vec<EventPlace>, ReadError> {
        let mut out = Vec::new();
        for day in self.days_down(before) {
            let day = day?;
            let Some(start) = last_before(before) else { break };
            let mut walk = Walk::down(&day.disk, &day.events, (workspace, start));
            while out.len() < max
                && let Some(found) = walk.next()?.filter(|found| found.workspace == workspace)
            {
                out.push(found.place);
            }
            if out.len() == max {
                break;
            }
        }
        Ok(out)
    }

    /// The next `max` events of a workspace from a position on, that one included; oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events_up(&self, workspace: WorkspaceId, from: Position, max: usize) -> Result<Vec<EventPlace>, ReadError> {
        let mut out = Vec::new();
        let first = self.state.day_at(from).unwrap_or(0);
        for (number, _) in self.state.days.range(first..) {
            let Some(day) = self.state.day(self.folder, *number)? else { continue };
            let mut walk = Walk::up(&day.disk, &day.events, (workspace, from));
            while out.len() < max
                && let Some(found) = walk.next()?.filter(|found| found.workspace == workspace)
            {
                out.push(found.place);
            }
            if out.len() == max {
                break;
            }
        }
        Ok(out)
    }

    /// No record of the day that `time` lies in, or of a later one, lies before this position; `None` when there is no such day.
    pub fn day_begin(&self, time: Time) -> Option<Position> {
        self.state.days.range(day_of(time)..).next().map(|(_, day)| day.record.first)
    }

    /// All attempts of a webhook that are kept, tests too: exact, and mostly off the manifests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn attempts_len(&self, webhook: WebhookId) -> Result<u64, ReadError> {
        let (from, to) = ((webhook, Position::default()), (webhook, last()));
        self.count_days(|day| count::<AttemptOf>(&day.disk, &day.attempts, from, to))
    }

    /// All events of a workspace that are kept: exact, and mostly off the manifests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn events_len(&self, workspace: WorkspaceId) -> Result<u64, ReadError> {
        let (from, to) = ((workspace, Position::default()), (workspace, last()));
        self.count_days(|day| count::<EventOf>(&day.disk, &day.events, from, to))
    }

    /// What the attempts of these webhooks, in ascending order, came to in each hour of the day that `at` lies in: `take` is given each hour
    /// in which a webhook had any, by webhook and hour. An attempt counts in the hour in which it was filed.
    ///
    /// Returns the first block of which nothing is counted. After a crash it may lie past W, where a day's own database was ahead.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn hourly(
        &self,
        webhooks: &[WebhookId],
        at: Time,
        mut take: impl FnMut(WebhookId, Time, &Summary),
    ) -> Result<u64, ReadError> {
        let covered = self.state.root.history.block;
        let Some(day) = self.state.day(self.folder, day_of(at))? else { return Ok(covered) };
        let end = covered.max(day.root.block);
        let mut wanted = webhooks.iter().copied().peekable();
        while let Some(next) = wanted.peek().copied() {
            let mut walk = Walk::up(&day.disk, &day.tallies, (next, 0));
            let mut passed = 0;
            while passed < PASSED_MAX {
                let Some(found) = walk.next()? else { return Ok(end) };
                while wanted.next_if(|webhook| *webhook < found.webhook).is_some() {}
                match wanted.peek() {
                    None => return Ok(end),
                    Some(webhook) if *webhook == found.webhook => {
                        take(found.webhook, hour_start(found.hour), &found.summary)
                    }
                    Some(_) => passed += 1,
                }
            }
        }
        Ok(end)
    }

    /// The days that may have records before a position, newest first, opened as they are reached.
    fn days_down(&self, before: Option<Position>) -> impl Iterator<Item = Result<Arc<OpenDay>, ReadError>> {
        let is_before = move |first| before.is_none_or(|before| first < before);
        let days = self.state.days.iter().rev().filter(move |(_, day)| is_before(day.record.first));
        days.filter_map(|(number, _)| self.state.day(self.folder, *number).transpose())
    }

    fn count_days(&self, count: impl Fn(&OpenDay) -> Result<u64, ReadError>) -> Result<u64, ReadError> {
        self.days_down(None).map(|day| count(&*day?)).sum()
    }
}

/// The last position that there can be.
fn last() -> Position {
    Position::from_u64(u64::MAX)
}

/// The position just before one; `None` before the first.
fn last_before(before: Option<Position>) -> Option<Position> {
    match before {
        None => Some(last()),
        Some(before) => before.to_u64().checked_sub(1).map(Position::from_u64),
    }
}
