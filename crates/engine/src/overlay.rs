//! What lies above the store's position W: the cells, events and ids that the writer needs beside the kernel.
//!
//! Until the store exists W is 0 and everything is here, rebuilt from the log at start. The store will let it forget what lies below W, and
//! commands will bring along what was read there; nothing else changes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, EventId, Position, WorkspaceId};

/// Cells, events and ids by their keys. Never iterated, so that its order can't reach a decision.
#[derive(Default)]
pub struct Overlay {
    cells: HashMap<DeliveryKey, Cell>,
    events: HashMap<Position, Arc<Event>>,
    ids: HashMap<(WorkspaceId, EventId), Position>,
    /// Event → the fact that says it was erased.
    erased: BTreeMap<Position, Position>,
}

impl Overlay {
    /// Takes in a fact.
    pub fn apply(&mut self, record: &Record) {
        match &record.fact {
            Fact::EventAccepted(event) => {
                self.cells.extend(event_cells(event).map(|cell| (cell.key, cell)));
                // A generated id says itself where its event lies.
                if event.id.position() != Some(event.at) {
                    self.ids.insert((event.workspace, event.id.clone()), event.at);
                }
                self.events.insert(event.at, Arc::clone(event));
            }
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } => {
                self.cells.insert(cell.key, *cell);
            }
            Fact::EventErased { event, cancelled, .. } => {
                self.cells.extend(cancelled.iter().map(|cell| (cell.key, *cell)));
                self.erased.insert(*event, record.position);
            }
            _ => {}
        }
    }

    /// Whether the payload of the event accepted at a position was erased.
    pub fn is_erased(&self, at: Position) -> bool {
        self.erased.contains_key(&at)
    }

    /// The events whose payloads were erased, each with the fact that says so.
    pub fn erased(&self) -> impl Iterator<Item = (Position, Position)> {
        self.erased.iter().map(|(event, fact)| (*event, *fact))
    }

    /// The cells of all deliveries of an event.
    pub fn cells_of(&self, event: &Event) -> impl Iterator<Item = &Cell> {
        let keys = (0..event.chosen.len() as u32).map(|ordinal| DeliveryKey { event: event.at, ordinal });
        keys.filter_map(|key| self.cells.get(&key))
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

    /// All cells, in the order of their keys.
    pub fn cells_in_order(&self) -> Vec<Cell> {
        let mut cells: Vec<_> = self.cells.values().copied().collect();
        cells.sort_unstable_by_key(|cell| cell.key);
        cells
    }
}
