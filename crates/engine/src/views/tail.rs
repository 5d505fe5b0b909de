//! The tail: where the facts lie that are above W. The same as the store holds below W: positions, and the few bits that lists are filtered
//! and counted by; the facts themselves are in the log.
//!
//! It may hold what the store covers already, for as long as it takes to let go of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::{DeliveryKey, EventId, Position, WebhookId, WorkspaceId};
use postrider_store::{AttemptPlace, EventPlace};

/// Items that are let go of at once, so that readers and projector get their turn.
const FORGOTTEN_AT_ONCE: usize = 4_096;

/// See the module.
#[derive(Default)]
pub struct Tail {
    /// By workspace and by where they were accepted, those that were carried, too.
    events: BTreeMap<(WorkspaceId, Position), EventPlace>,
    /// Event → its newest fact: accepted or carried.
    records: BTreeMap<Position, Position>,
    /// Ids that do not say themselves where their event lies.
    ids: BTreeMap<(WorkspaceId, EventId), Position>,
    /// Delivery → its newest fact beside its event's acceptance.
    heads: BTreeMap<DeliveryKey, Position>,
    /// Of these, the ones that replays have added.
    added: BTreeSet<DeliveryKey>,
    /// Event → the fact that erased it.
    erased: BTreeMap<Position, Position>,
    /// By webhook and by where they were filed.
    attempts: BTreeMap<(WebhookId, Position), AttemptPlace>,
    /// All of it in the order of its facts.
    order: VecDeque<(Position, Item)>,
}

enum Item {
    Event(WorkspaceId, Position, Option<EventId>),
    Head(DeliveryKey),
    Erased(Position),
    Attempt(WebhookId),
}

impl Tail {
    /// Takes in a fact.
    pub fn apply(&mut self, record: &Record) {
        let (position, time) = (record.position, record.time);
        match &record.fact {
            Fact::EventAccepted(event) => self.put_event(event, position),
            Fact::EventCarried { event, cells, .. } => {
                self.put_event(event, position);
                cells.iter().for_each(|cell| self.put_head(cell.key, position));
            }
            Fact::AttemptFinished { cell, attempt, .. } => {
                self.put_head(cell.key, position);
                self.put_attempt(cell.webhook, AttemptPlace::new(position, time, Some(cell.key), attempt));
            }
            Fact::TestFinished { webhook, attempt, .. } => {
                self.put_attempt(*webhook, AttemptPlace::new(position, time, None, attempt));
            }
            Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => self.put_head(cell.key, position),
            Fact::EventErased { event, cancelled, .. } => {
                cancelled.iter().for_each(|cell| self.put_head(cell.key, position));
                self.erased.insert(*event, position);
                self.order.push_back((position, Item::Erased(*event)));
            }
            _ => {}
        }
    }

    fn put_event(&mut self, event: &Event, position: Position) {
        let (workspace, at) = (event.workspace, event.at);
        let deliveries = event.chosen.len() as u32;
        self.events.insert((workspace, at), EventPlace { position: at, time: event.accepted, deliveries });
        self.records.insert(at, position);
        let own_id = (event.id.position() != Some(at)).then(|| event.id.clone());
        if let Some(id) = &own_id {
            self.ids.insert((workspace, id.clone()), at);
        }
        self.order.push_back((position, Item::Event(workspace, at, own_id)));
    }

    fn put_head(&mut self, key: DeliveryKey, position: Position) {
        self.heads.insert(key, position);
        if key.is_added() {
            self.added.insert(key);
        }
        self.order.push_back((position, Item::Head(key)));
    }

    fn put_attempt(&mut self, webhook: WebhookId, place: AttemptPlace) {
        self.attempts.insert((webhook, place.position), place);
        self.order.push_back((place.position, Item::Attempt(webhook)));
    }

    /// Lets go of what lies in blocks below `block`.
    pub fn forget_below(&mut self, block: u64) {
        while self.forget_some(block) {}
    }

    /// A bounded part of it. True: there is more.
    pub fn forget_some(&mut self, block: u64) -> bool {
        for _ in 0..FORGOTTEN_AT_ONCE {
            if self.order.front().is_none_or(|(position, _)| position.block() >= block) {
                return false;
            }
            if let Some((position, item)) = self.order.pop_front() {
                self.forget(position, item);
            }
        }
        true
    }

    /// What a later fact has put in the place of an item stays.
    fn forget(&mut self, position: Position, item: Item) {
        match item {
            Item::Event(workspace, at, own_id) => {
                if self.records.get(&at) == Some(&position) {
                    self.records.remove(&at);
                    self.events.remove(&(workspace, at));
                    // Once the log has let go of an event, another may have taken its id.
                    if let Some(id) = own_id.map(|id| (workspace, id))
                        && self.ids.get(&id) == Some(&at)
                    {
                        self.ids.remove(&id);
                    }
                }
            }
            Item::Head(key) => {
                if self.heads.get(&key) == Some(&position) {
                    self.heads.remove(&key);
                    self.added.remove(&key);
                }
            }
            Item::Erased(event) => {
                self.erased.remove(&event);
            }
            Item::Attempt(webhook) => {
                self.attempts.remove(&(webhook, position));
            }
        }
    }

    /// The newest fact that holds an event.
    pub fn record_of(&self, event: Position) -> Option<Position> {
        self.records.get(&event).copied()
    }

    /// Where the event lies that has this id.
    pub fn event_with_id(&self, workspace: WorkspaceId, id: &EventId) -> Option<Position> {
        self.ids.get(&(workspace, id.clone())).copied()
    }

    /// A delivery's newest fact beside its event's acceptance.
    pub fn head(&self, key: DeliveryKey) -> Option<Position> {
        self.heads.get(&key).copied()
    }

    /// The fact that erased an event.
    pub fn erased(&self, event: Position) -> Option<Position> {
        self.erased.get(&event).copied()
    }

    /// The events from `from` to `to`, both included, to which replays have added deliveries, and how many, as far as this knows; in order.
    pub fn added_between(&self, from: Position, to: Position) -> Vec<(Position, u32)> {
        let mut added: Vec<(Position, u32)> = Vec::new();
        for key in self.added.range(DeliveryKey::added(from, 0)..=DeliveryKey { event: to, ordinal: u32::MAX }) {
            let count = key.ordinal - DeliveryKey::FIRST_ADDED + 1;
            match added.last_mut().filter(|(event, _)| *event == key.event) {
                Some(last) => last.1 = count,
                None => added.push((key.event, count)),
            }
        }
        added
    }

    /// The next `max` events of a workspace before a position, newest first.
    pub fn events(&self, workspace: WorkspaceId, before: Option<Position>, max: usize) -> Vec<EventPlace> {
        let places = self.events.range((workspace, Position::default())..(workspace, before.unwrap_or(LAST)));
        places.rev().take(max).map(|(_, place)| *place).collect()
    }

    /// The next `max` events of a workspace from a position on, oldest first.
    pub fn events_up(&self, workspace: WorkspaceId, from: Position, max: usize) -> Vec<EventPlace> {
        self.events.range((workspace, from)..(workspace, LAST)).take(max).map(|(_, place)| *place).collect()
    }

    /// The next `max` attempts of a webhook before a position, newest first.
    pub fn attempts(&self, webhook: WebhookId, before: Option<Position>, max: usize) -> Vec<AttemptPlace> {
        let places = self.attempts.range((webhook, Position::default())..(webhook, before.unwrap_or(LAST)));
        places.rev().take(max).map(|(_, place)| *place).collect()
    }

    /// The next `max` attempts of a webhook from a position on, oldest first.
    pub fn attempts_up(&self, webhook: WebhookId, from: Position, max: usize) -> Vec<AttemptPlace> {
        self.attempts.range((webhook, from)..(webhook, LAST)).take(max).map(|(_, place)| *place).collect()
    }
}

/// Behind every position that a log comes to.
const LAST: Position = Position::from_u64(u64::MAX);
