//! The place of the store: what the durable facts below a position say, in plain maps. Written from the facts, not from the store's code, so
//! that the two can be compared; it is as slow and as simple as can be.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use postrider_core::delivery::{Cell, Status};
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};
use postrider_engine::overlay::Recalled;
use postrider_engine::past::Reach;
use postrider_engine::shard::Below;
use postrider_engine::snapshot::{Landmarks, Snapshot};
use postrider_log::{LogReader, codec};
use postrider_store::{Asleep, Lane};

/// See the module. A clone is what a crash finds.
#[derive(Clone, Default)]
pub struct Store {
    covered: u64,
    /// Nothing is kept in blocks below it.
    first: u64,
    events: BTreeMap<Position, Recalled>,
    ids: BTreeMap<(WorkspaceId, EventId), Position>,
    sleeping: BTreeSet<Asleep>,
    backlog: BTreeSet<(WebhookId, Lane, Asleep)>,
    swept: Time,
    landmarks: Landmarks,
}

impl Store {
    /// Takes in all that has become durable. Of a log that does not reach so far the store is none.
    pub fn follow(&mut self, reader: &impl LogReader) {
        if self.covered > reader.end() || self.covered < reader.first() {
            *self = Store::default();
        }
        for block in reader.facts(self.covered.max(reader.first())) {
            let Ok(block) = block else { return };
            for (position, bytes) in block.facts() {
                let Ok(record) = codec::decode(position, block.time(), bytes) else { return };
                self.take(&record);
                self.landmarks.note(&record);
            }
            self.covered = block.number() + 1;
        }
        self.forget_below(reader.first());
    }

    /// For a bug: says that it has all below this block.
    pub fn claim(&mut self, covered: u64) {
        self.covered = self.covered.max(covered);
    }

    /// Forgets what is kept in blocks below this one.
    pub fn forget_below(&mut self, block: u64) {
        if block <= self.first {
            return;
        }
        self.first = block;
        let end = Position::new(block, 0);
        let gone: Vec<_> = self.events.values().filter(|kept| kept.payload < end).map(|kept| kept.event.at).collect();
        gone.into_iter().for_each(|at| self.forget(at));
    }

    /// Moves what was due before `until` to the backlogs.
    pub fn sweep(&mut self, until: Time) {
        self.swept = self.swept.max(until);
        while let Some(asleep) = self.sleeping.first().copied().filter(|asleep| asleep.due < self.swept) {
            self.sleeping.remove(&asleep);
            self.backlog.insert((asleep.webhook, asleep.lane, asleep));
        }
    }

    /// The first block that is not covered.
    pub fn position(&self) -> u64 {
        self.covered
    }

    /// Up to when everything that was due is in the backlogs.
    pub fn swept(&self) -> Time {
        self.swept
    }

    /// What a start may go by, now and then; there is nobody here who would ask how a webhook is doing.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let snapshot = Snapshot { block: self.covered, landmarks: self.landmarks.clone(), ..Snapshot::default() };
        (!self.covered.is_multiple_of(4)).then_some(snapshot)
    }

    /// A delivery as of the store's position.
    pub fn cell(&self, key: DeliveryKey) -> Option<&Cell> {
        self.events.get(&key.event)?.cells.iter().find(|cell| cell.key == key)
    }

    fn take(&mut self, record: &Record) {
        match &record.fact {
            Fact::EventAccepted(event) => {
                let (payload, cells) = (event.at, event_cells(event).collect());
                self.put(Recalled { event: Arc::clone(event), payload, erased: None, cells, added: 0 });
            }
            Fact::EventCarried { event, cells, .. } => match self.events.get_mut(&event.at) {
                Some(kept) => kept.payload = record.position,
                None => {
                    let added = cells.iter().filter(|cell| cell.key.is_added()).count() as u32;
                    let (payload, cells) = (record.position, cells.to_vec());
                    self.put(Recalled { event: Arc::clone(event), payload, erased: None, cells, added });
                }
            },
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
                self.move_on(cell);
            }
            Fact::EventErased { event, cancelled, .. } => {
                cancelled.iter().for_each(|cell| self.move_on(cell));
                if let Some(kept) = self.events.get_mut(event) {
                    kept.erased = Some(record.position);
                }
            }
            Fact::WebhookDeleted { id, .. } => self.wake_all(|cell| cell.webhook == *id),
            Fact::WorkspaceDeleted { id } => self.wake_all(|cell| cell.workspace == *id),
            _ => {}
        }
    }

    fn put(&mut self, recalled: Recalled) {
        let event = &recalled.event;
        self.ids.insert((event.workspace, event.id.clone()), event.at);
        let pending: Vec<_> = recalled.cells.iter().filter(|cell| cell.status == Status::Pending).copied().collect();
        pending.iter().for_each(|cell| self.sleep(cell));
        self.events.insert(recalled.event.at, recalled);
    }

    fn move_on(&mut self, cell: &Cell) {
        let Some(kept) = self.events.get_mut(&cell.key.event) else { return };
        let old = match kept.cells.iter_mut().find(|kept| kept.key == cell.key) {
            Some(kept) => Some(std::mem::replace(kept, *cell)),
            None => {
                kept.added += 1;
                kept.cells.push(*cell);
                None
            }
        };
        old.iter().for_each(|old| self.wake(old));
        if cell.status == Status::Pending {
            self.sleep(cell);
        }
    }

    fn sleep(&mut self, cell: &Cell) {
        let asleep = asleep(cell);
        match asleep.due < self.swept {
            true => self.backlog.insert((asleep.webhook, asleep.lane, asleep)),
            false => self.sleeping.insert(asleep),
        };
    }

    fn wake(&mut self, cell: &Cell) {
        let asleep = asleep(cell);
        self.sleeping.remove(&asleep);
        self.backlog.remove(&(asleep.webhook, asleep.lane, asleep));
    }

    fn wake_all(&mut self, is_meant: impl Fn(&Cell) -> bool) {
        let cells = self.events.values().flat_map(|kept| &kept.cells);
        let meant: Vec<Cell> = cells.filter(|cell| is_meant(cell)).copied().collect();
        meant.iter().for_each(|cell| self.wake(cell));
    }

    fn forget(&mut self, at: Position) {
        let Some(kept) = self.events.remove(&at) else { return };
        kept.cells.iter().for_each(|cell| self.wake(cell));
        let name = (kept.event.workspace, kept.event.id.clone());
        if self.ids.get(&name) == Some(&at) {
            self.ids.remove(&name);
        }
    }
}

fn asleep(cell: &Cell) -> Asleep {
    let lane = if cell.is_fresh() { Lane::Fresh } else { Lane::Retry };
    Asleep { due: cell.due, key: cell.key, webhook: cell.webhook, lane }
}

fn only(recalled: &Recalled, is_wanted: impl Fn(&Cell) -> bool) -> Recalled {
    let cells = recalled.cells.iter().filter(|cell| is_wanted(cell)).copied().collect();
    Recalled { cells, ..recalled.clone() }
}

impl Below for Store {
    type Error = Infallible;

    fn covered(&self) -> Result<u64, Infallible> {
        Ok(self.covered)
    }

    fn due(&self, after: Option<Asleep>, until: Time, max: usize) -> Result<Vec<Asleep>, Infallible> {
        let behind = self.sleeping.iter().filter(|asleep| after.is_none_or(|after| **asleep > after));
        Ok(behind.take_while(|asleep| asleep.due < until).take(max).copied().collect())
    }

    fn backlog(
        &self,
        webhook: WebhookId,
        lane: Lane,
        after: Option<Asleep>,
        max: usize,
    ) -> Result<(Vec<Asleep>, Time), Infallible> {
        let of_lane = self.backlog.iter().filter(|(of, in_lane, _)| (*of, *in_lane) == (webhook, lane));
        let behind = of_lane.map(|(_, _, asleep)| *asleep).filter(|asleep| after.is_none_or(|after| *asleep > after));
        Ok((behind.take(max).collect(), self.swept))
    }

    fn in_order(
        &self,
        webhook: WebhookId,
        after: Option<DeliveryKey>,
        max: usize,
    ) -> Result<Vec<DeliveryKey>, Infallible> {
        let unfinished = self.sleeping.iter().chain(self.backlog.iter().map(|(_, _, asleep)| asleep));
        let of_webhook = unfinished.filter(|asleep| asleep.webhook == webhook).map(|asleep| asleep.key);
        let keys: BTreeSet<DeliveryKey> = of_webhook.filter(|key| after.is_none_or(|after| *key > after)).collect();
        Ok(keys.into_iter().take(max).collect())
    }

    fn delivery(&self, key: DeliveryKey) -> Result<Option<Recalled>, Infallible> {
        let found = self.events.get(&key.event).map(|kept| only(kept, |cell| cell.key == key));
        Ok(found.filter(|found| !found.cells.is_empty()))
    }

    fn whole(&self, event: Position) -> Result<Option<Recalled>, Infallible> {
        Ok(self.events.get(&event).cloned())
    }

    fn named(&self, workspace: WorkspaceId, id: &EventId) -> Result<Option<Recalled>, Infallible> {
        let at = self.ids.get(&(workspace, id.clone()));
        Ok(at.and_then(|at| self.events.get(at)).cloned())
    }

    fn events(&self, reach: Reach<'_>, max: usize) -> Result<(Vec<Recalled>, Position), Infallible> {
        let (mut events, mut read_to) = (Vec::new(), reach.to);
        for (looked_at, (at, kept)) in self.events.range(reach.from.min(reach.to)..reach.to).enumerate() {
            if looked_at == max {
                read_to = *at;
                break;
            }
            if kept.event.workspace == reach.workspace {
                events.push(only(kept, |cell| cell.webhook == reach.webhook));
            }
        }
        Ok((events, read_to))
    }

    fn unfinished(
        &self,
        from: Position,
        below: u64,
        max: usize,
    ) -> Result<(Vec<Recalled>, Option<Position>), Infallible> {
        let end = Position::new(below, 0);
        let kept: BTreeMap<Position, &Recalled> = self.events.values().map(|kept| (kept.payload, kept)).collect();
        let is_unfinished = |kept: &Recalled| kept.cells.iter().any(|cell| cell.status == Status::Pending);
        let mut found = kept.range(from.min(end)..end).filter(|(_, kept)| is_unfinished(kept));
        let events: Vec<Recalled> = found.by_ref().take(max).map(|(_, kept)| (*kept).clone()).collect();
        Ok((events, found.next().map(|(at, _)| *at)))
    }
}
