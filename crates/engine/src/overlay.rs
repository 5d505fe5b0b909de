//! What lies above the store's position W: the cells, events and ids that the writer needs beside the kernel.
//!
//! Until the store exists W is 0 and everything is here, rebuilt from the log at start. The store will let it forget what lies below W, and
//! commands will bring along what was read there; nothing else changes.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, EventId, Position, WorkspaceId};

/// Cells, events and ids by their keys. The maps without an order are never iterated, so that none can reach a decision.
#[derive(Default)]
pub struct Overlay {
    cells: HashMap<DeliveryKey, Cell>,
    events: BTreeMap<Position, Arc<Event>>,
    ids: HashMap<(WorkspaceId, EventId), Position>,
    /// Event that was carried → the fact beside which its payload lies.
    carried: BTreeMap<Position, Position>,
    /// Event → how many deliveries replays have added to it. Few events have any.
    added: BTreeMap<Position, u32>,
    /// Event → the fact that says it was erased.
    erased: BTreeMap<Position, Position>,
}

impl Overlay {
    /// Takes in a fact. One about an event that is let go says nothing here.
    pub fn apply(&mut self, record: &Record) {
        match &record.fact {
            Fact::EventAccepted(event) => {
                self.cells.extend(event_cells(event).map(|cell| (cell.key, cell)));
                self.put_event(event);
            }
            Fact::EventCarried { event, cells } => {
                cells.iter().for_each(|cell| self.put_cell(cell));
                self.put_event(event);
                self.carried.insert(event.at, record.position);
            }
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell }
                if self.events.contains_key(&cell.key.event) =>
            {
                self.put_cell(cell);
            }
            Fact::EventErased { event, cancelled, .. } if self.events.contains_key(event) => {
                self.cells.extend(cancelled.iter().map(|cell| (cell.key, *cell)));
                self.erased.insert(*event, record.position);
            }
            _ => {}
        }
    }

    fn put_cell(&mut self, cell: &Cell) {
        self.cells.insert(cell.key, *cell);
        if cell.key.is_added() {
            let added = self.added.entry(cell.key.event).or_default();
            *added = (*added).max(cell.key.ordinal - DeliveryKey::FIRST_ADDED + 1);
        }
    }

    fn put_event(&mut self, event: &Arc<Event>) {
        // A generated id says itself where its event lies.
        if event.id.position() != Some(event.at) {
            self.ids.insert((event.workspace, event.id.clone()), event.at);
        }
        self.events.insert(event.at, Arc::clone(event));
    }

    /// The position of the fact beside which an event's payload lies.
    pub fn payload_of(&self, event: Position) -> Position {
        self.carried.get(&event).copied().unwrap_or(event)
    }

    /// The events from `from` on that are kept in blocks below `below`, oldest first.
    pub fn events_below(&self, from: Position, below: u64) -> impl Iterator<Item = &Arc<Event>> {
        let end = Position::new(below, 0);
        let found = self.events.range(from.min(end)..end).map(|(_, event)| event);
        found.filter(move |event| self.payload_of(event.at) < end)
    }

    /// Lets go of all events that are kept in blocks below `below`; says which.
    pub fn forget_below(&mut self, below: u64) -> Vec<Arc<Event>> {
        let gone: Vec<_> = self.events_below(Position::new(0, 0), below).cloned().collect();
        for event in &gone {
            self.events.remove(&event.at);
            self.carried.remove(&event.at);
            self.erased.remove(&event.at);
            if let Entry::Occupied(id) = self.ids.entry((event.workspace, event.id.clone()))
                && *id.get() == event.at
            {
                id.remove();
            }
            for key in self.keys_of(event) {
                self.cells.remove(&key);
            }
            self.added.remove(&event.at);
        }
        gone
    }

    /// Whether the payload of the event accepted at a position was erased.
    pub fn is_erased(&self, at: Position) -> bool {
        self.erased.contains_key(&at)
    }

    /// The events whose payloads were erased, each with the fact that says so.
    pub fn erased(&self) -> impl Iterator<Item = (Position, Position)> {
        self.erased.iter().map(|(event, fact)| (*event, *fact))
    }

    /// The cells of all deliveries of an event, in the order of their keys.
    pub fn cells_of(&self, event: &Event) -> impl Iterator<Item = &Cell> {
        self.keys_of(event).filter_map(|key| self.cells.get(&key))
    }

    /// How many deliveries replays have added to an event.
    pub fn added_to(&self, event: Position) -> u32 {
        self.added.get(&event).copied().unwrap_or(0)
    }

    fn keys_of(&self, event: &Event) -> impl Iterator<Item = DeliveryKey> + use<> {
        let (at, chosen) = (event.at, event.chosen.len() as u32);
        let added = (0..self.added_to(at)).map(move |nth| DeliveryKey::added(at, nth));
        (0..chosen).map(move |ordinal| DeliveryKey { event: at, ordinal }).chain(added)
    }

    /// A delivery's cell.
    pub fn cell(&self, key: DeliveryKey) -> Option<&Cell> {
        self.cells.get(&key)
    }

    /// The event accepted at a position.
    pub fn event(&self, at: Position) -> Option<&Arc<Event>> {
        self.events.get(&at)
    }

    /// The event that has this id in this workspace.
    pub fn event_with_id(&self, workspace: WorkspaceId, id: &EventId) -> Option<&Arc<Event>> {
        let named = self.ids.get(&(workspace, id.clone())).copied().or(id.position());
        let event = self.events.get(&named?)?;
        (event.workspace == workspace && event.id == *id).then_some(event)
    }

    /// All events, oldest first.
    pub fn events(&self) -> &BTreeMap<Position, Arc<Event>> {
        &self.events
    }

    /// All cells, in the order of their keys.
    pub fn cells_in_order(&self) -> Vec<Cell> {
        let mut cells: Vec<_> = self.cells.values().copied().collect();
        cells.sort_unstable_by_key(|cell| cell.key);
        cells
    }
}
