//! The only writer: takes records in the order of the log, and makes them part of the store at a commit.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use postrider_core::delivery::{Cell, Status, Was};
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record, Restated};
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, Position, Time, WebhookId};

use crate::day::{Filed, day_of};
use crate::entry::added::Added;
use crate::entry::attempt::{AttemptOf, AttemptPlace};
use crate::entry::carried::Carried;
use crate::entry::dormant::{Asleep, ByDue, ByWebhook, Dormant, Lane};
use crate::entry::event::{EventOf, EventPlace};
use crate::entry::head::Head;
use crate::entry::id::{Id, fingerprint};
use crate::entry::{Entry, settle};
use crate::error::ReadError;
use crate::identity::Part;
use crate::sorted::Step;
use crate::store::Inner;

/// See the module. Dropping it without a commit loses what was taken since the last one, as a crash does.
#[derive(Debug)]
pub struct Writer {
    pub(crate) inner: Arc<Inner>,
    pub(crate) taken: Taken,
    /// Records below these blocks are in the store already.
    pub(crate) pending_from: u64,
    pub(crate) history_from: u64,
    log: [u8; 16],
    /// The block of the first record that was ever taken.
    pub(crate) origin: Option<u64>,
    /// The first record of each day that the store has, or will have with the next commit.
    pub(crate) firsts: BTreeMap<u32, Position>,
    /// Chunks of the pending database that the next commit takes away.
    pub(crate) outdated: Vec<u64>,
    /// The log's first block, as far as it was told.
    pub(crate) begins: u64,
    /// Of looking through what is pending for what is of no use.
    pub(crate) round: Round,
    pub(crate) is_poisoned: bool,
    /// How many places between two databases a commit may pass; then it ends as in a crash.
    #[cfg(test)]
    pub(crate) steps_left: usize,
}

/// A round through the buckets of what is pending.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// The webhooks that were gone when it began; `None` before it begins.
    pub gone: Option<HashSet<WebhookId>>,
    pub sleep: Step<<ByDue as Entry>::Key>,
    pub backlog: Step<<ByWebhook as Entry>::Key>,
    pub carried: Step<<Carried as Entry>::Key>,
}

/// What was taken since the last commit.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// The block behind the newest record.
    pub end: u64,
    /// What fell asleep and what moved on, in order.
    pub dormant: Vec<Dormant>,
    /// Webhook → the block of the fact that says it is gone.
    pub gone: BTreeMap<WebhookId, u64>,
    /// Event → where it was carried to.
    pub carried: BTreeMap<Position, Position>,
    pub sweep: Option<Time>,
    pub days: BTreeMap<u32, Filed>,
}

impl Writer {
    pub(crate) fn new(inner: Arc<Inner>, outdated: Vec<u64>) -> Writer {
        let state = inner.state.read();
        let (root, firsts) = (state.root, state.days.iter().map(|(day, state)| (*day, state.record.first)).collect());
        drop(state);
        Writer {
            inner,
            taken: Taken::default(),
            pending_from: root.pending.block,
            history_from: root.history.block,
            log: root.log,
            origin: root.origin,
            firsts,
            outdated,
            begins: 0,
            round: Round::default(),
            is_poisoned: false,
            #[cfg(test)]
            steps_left: usize::MAX,
        }
    }

    /// Takes in a record. What the store covers already is passed over, so that a replay may begin anywhere before.
    ///
    /// # Errors
    /// When the day of history that it concerns cannot be read; then the store is to be set aside.
    pub fn take(&mut self, part: Part, record: &Record) -> Result<(), ReadError> {
        self.taken.end = self.taken.end.max(record.position.block() + 1);
        self.origin.get_or_insert(record.position.block());
        if part.has_pending() && record.position.block() >= self.pending_from {
            self.take_pending(record)?;
        }
        if part.has_history() && record.position.block() >= self.history_from {
            self.take_history(record)?;
        }
        Ok(())
    }

    /// With the next commit, moves all that was due before `until` from sleep to the backlog, where it is found by webhook and lane. For
    /// what is overdue and could not run: its webhook is off, slow or over its rate. Deliveries in flight move with the rest; each moves
    /// on from where it lies. `until` is best some windows behind now, since moving costs what is left there.
    pub fn sweep(&mut self, until: Time) {
        self.taken.sweep = self.taken.sweep.max(Some(until));
    }

    /// What was taken since the last commit, is unfinished, and is due before `horizon`, in order of due time.
    ///
    /// The horizon is the time before which the caller has loaded all that sleeps: what is due before it lives in the caller's RAM, what is
    /// due from it on lives in the store alone. A delivery that falls asleep before the horizon will not be met by the cursor any more, so
    /// that the caller takes it from here (or from the fact) before it commits.
    pub fn late(&self, horizon: Time) -> Vec<Asleep> {
        let early = self.taken.dormant.iter().filter(|dormant| dormant.asleep.due < horizon);
        let mut early: Vec<_> = early.map(|dormant| ByDue(*dormant)).collect();
        settle(&mut early);
        early.retain(|entry| !entry.0.is_over && !self.taken.gone.contains_key(&entry.0.asleep.webhook));
        early.into_iter().map(|entry| entry.0.asleep).collect()
    }

    fn take_pending(&mut self, record: &Record) -> Result<(), ReadError> {
        match &record.fact {
            Fact::EventAccepted(event) => event_cells(event).for_each(|cell| self.sleep(&cell)),
            Fact::AttemptFinished { cell, was, .. } if self.knows(cell.key.event)? => {
                self.move_on(cell, *was, cell.attempts.saturating_sub(1));
                if cell.status == Status::Pending {
                    self.sleep(cell);
                }
            }
            Fact::RetryRequested { cell, was } if self.knows(cell.key.event)? => {
                self.move_on(cell, *was, cell.attempts);
                self.sleep(cell);
            }
            Fact::DeliveryAdded { cell } if self.knows(cell.key.event)? => self.sleep(cell),
            Fact::EventErased { event, cancelled, .. } if self.knows(*event)? => {
                for cell in cancelled {
                    self.move_on(cell, Was { status: Status::Pending, due: cell.due }, cell.attempts);
                }
            }
            Fact::WebhookDeleted { id, .. } => drop(self.taken.gone.insert(*id, record.position.block())),
            // One that went before the log begins may be forgotten already.
            Fact::Restated(Restated::WebhookDeleted(id, at)) if at.block() >= self.begins => {
                self.taken.gone.insert(*id, at.block());
            }
            Fact::EventCarried { event, cells, .. } => {
                if !self.knows(event.at)? {
                    cells.iter().filter(|cell| cell.status == Status::Pending).for_each(|cell| self.sleep(cell));
                }
                self.taken.carried.insert(event.at, record.position);
            }
            // Of an event that is let go, or that is carried further on as it is then.
            Fact::AttemptFinished { .. }
            | Fact::RetryRequested { .. }
            | Fact::DeliveryAdded { .. }
            | Fact::EventErased { .. }
            | Fact::Restated(_)
            | Fact::ReplayStarted(_)
            | Fact::ReplayAdvanced { .. }
            | Fact::ReplayChanged { .. }
            | Fact::ProfileRegistered(_)
            | Fact::WorkspaceCreated { .. }
            | Fact::WorkspaceRenamed { .. }
            | Fact::WorkspaceDeleted { .. }
            | Fact::KeyCreated(_)
            | Fact::KeyRevoked { .. }
            | Fact::WebhookCreated(_)
            | Fact::WebhookChanged(_)
            | Fact::TestFinished { .. } => {}
        }
        Ok(())
    }

    /// Whether the store has taken in an event's deliveries: those of one that was accepted before the log begins come back when it is
    /// carried, and not before.
    fn knows(&self, event: Position) -> Result<bool, ReadError> {
        if self.origin.is_none_or(|origin| event.block() >= origin) || self.taken.carried.contains_key(&event) {
            return Ok(true);
        }
        Ok(self.inner.state.read().carried.get(&self.inner.disk, event)?.is_some())
    }

    fn sleep(&mut self, cell: &Cell) {
        self.taken.dormant.push(Dormant { asleep: asleep(cell, cell.due, cell.attempts), is_over: false });
    }

    /// Ends the sleep that a delivery was in, if it was in any.
    fn move_on(&mut self, cell: &Cell, was: Was, attempts: u32) {
        if was.status == Status::Pending {
            self.taken.dormant.push(Dormant { asleep: asleep(cell, was.due, attempts), is_over: true });
        }
    }

    fn take_history(&mut self, record: &Record) -> Result<(), ReadError> {
        let (position, time) = (record.position, record.time);
        match &record.fact {
            Fact::EventAccepted(event) => self.file_event(event, position),
            Fact::AttemptFinished { cell, attempt, .. } => {
                let place = AttemptPlace::new(position, time, Some(cell.key), attempt);
                self.file_attempt(AttemptOf { webhook: cell.webhook, place })?;
                self.file_head(cell.key, position)
            }
            Fact::TestFinished { webhook, attempt, .. } => {
                let place = AttemptPlace::new(position, time, None, attempt);
                self.file_attempt(AttemptOf { webhook: *webhook, place })
            }
            Fact::RetryRequested { cell, .. } => self.file_head(cell.key, position),
            Fact::DeliveryAdded { cell } => {
                self.file_head(cell.key, position)?;
                self.file_added(cell.key, position)
            }
            Fact::EventErased { event, cancelled, .. } => {
                cancelled.iter().try_for_each(|cell| self.file_head(cell.key, position))?;
                self.file_head(Head::of_event(*event), position)
            }
            Fact::EventCarried { event, cells, .. } => {
                if self.origin.is_some_and(|origin| event.at.block() < origin) {
                    self.file_carried(event, position)?;
                }
                cells.iter().try_for_each(|cell| self.file_head(cell.key, position))?;
                let added = cells.iter().rev().find(|cell| cell.key.is_added());
                added.map_or(Ok(()), |cell| self.file_added(cell.key, position))
            }
            Fact::Restated(_)
            | Fact::ReplayStarted(_)
            | Fact::ReplayAdvanced { .. }
            | Fact::ReplayChanged { .. }
            | Fact::ProfileRegistered(_)
            | Fact::WorkspaceCreated { .. }
            | Fact::WorkspaceRenamed { .. }
            | Fact::WorkspaceDeleted { .. }
            | Fact::KeyCreated(_)
            | Fact::KeyRevoked { .. }
            | Fact::WebhookCreated(_)
            | Fact::WebhookChanged(_)
            | Fact::WebhookDeleted { .. } => Ok(()),
        }
    }

    /// An event from before the log's beginning is filed under the day on which it was accepted, once.
    fn file_carried(&mut self, event: &Event, position: Position) -> Result<(), ReadError> {
        let day = day_of(event.accepted);
        let first = self.firsts.entry(day).or_insert(event.at);
        *first = event.at.min(*first);
        let key = (event.workspace, event.at);
        let Some(filed) = self.filed(day, position)? else { return Ok(()) };
        let is_new = filed.carried.insert(event.at);
        let open = self.inner.state.read().day(&self.inner.folder, day)?;
        let is_filed = match open {
            Some(open) => open.events.get(&open.disk, key)?.is_some(),
            None => false,
        };
        if is_new && !is_filed { self.file_event(event, position) } else { Ok(()) }
    }

    /// What the record at `position` says of an event that was accepted, then or earlier.
    fn file_event(&mut self, event: &Event, position: Position) -> Result<(), ReadError> {
        let (log, day) = (self.log, day_of(event.accepted));
        self.firsts.entry(day).or_insert(event.at);
        let Some(filed) = self.filed(day, position)? else { return Ok(()) };
        let place = EventPlace { position: event.at, time: event.accepted, deliveries: event.chosen.len() as u32 };
        filed.events.push(EventOf { workspace: event.workspace, place });
        // A generated id says itself where its event lies.
        if event.id.position() != Some(event.at) {
            filed.ids.push(Id { fingerprint: fingerprint(log, event.workspace, &event.id), at: event.at });
        }
        Ok(())
    }

    fn file_attempt(&mut self, attempt: AttemptOf) -> Result<(), ReadError> {
        let AttemptPlace { position, time, .. } = attempt.place;
        if let Some(filed) = self.filed_on(position, time)? {
            filed.attempt(attempt);
        }
        Ok(())
    }

    /// Files under the day of the event; one whose day was forgotten has no head.
    fn file_head(&mut self, key: DeliveryKey, newest: Position) -> Result<(), ReadError> {
        if let Some(filed) = self.filed_with(key.event, newest)? {
            filed.heads.push(Head { key, newest });
        }
        Ok(())
    }

    /// `last` is the last delivery that was added to its event.
    fn file_added(&mut self, last: DeliveryKey, position: Position) -> Result<(), ReadError> {
        if let Some(filed) = self.filed_with(last.event, position)? {
            filed.added.push(Added { event: last.event, count: last.ordinal - DeliveryKey::FIRST_ADDED + 1 });
        }
        Ok(())
    }

    /// Where what the record at `position` says of an event goes; `None` too when its day was forgotten.
    fn filed_with(&mut self, event: Position, position: Position) -> Result<Option<&mut Filed>, ReadError> {
        let day = self.firsts.iter().rev().find(|(_, first)| **first <= event).map(|(day, _)| *day);
        match day {
            Some(day) => self.filed(day, position),
            None => Ok(None),
        }
    }

    fn filed_on(&mut self, position: Position, time: Time) -> Result<Option<&mut Filed>, ReadError> {
        let day = day_of(time);
        self.firsts.entry(day).or_insert(position);
        self.filed(day, position)
    }

    /// Where what the record at `position` says of a day goes; `None` when the day has it already.
    fn filed(&mut self, day: u32, position: Position) -> Result<Option<&mut Filed>, ReadError> {
        let filed = match self.taken.days.entry(day) {
            std::collections::btree_map::Entry::Occupied(filed) => filed.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let open = self.inner.state.read().day(&self.inner.folder, day)?;
                let from_block = open.map_or(0, |open| open.root.block);
                vacant.insert(Filed { from_block, ..Filed::default() })
            }
        };
        Ok(Some(filed).filter(|filed| position.block() >= filed.from_block))
    }
}

fn asleep(cell: &Cell, due: Time, attempts: u32) -> Asleep {
    let lane = if attempts == 0 && !cell.key.is_added() { Lane::Fresh } else { Lane::Retry };
    Asleep { due, key: cell.key, webhook: cell.webhook, lane }
}
