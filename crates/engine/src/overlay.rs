//! What the writer has in RAM of events, deliveries and ids: all that a fact from the store's position on has touched, and what is about to
//! be worked on.
//!
//! What is not here has had no fact since the store's position: it is read there, and brought along by whoever needs it. An event is here
//! with those of its deliveries that were touched or brought; nothing here is older than what the store has.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::fact::{Fact, Record};
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, EventId, Position, WebhookId, WorkspaceId};

/// An event as it was read below the store's position, with those of its deliveries that were asked for.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// As it was accepted.
    pub event: Arc<Event>,
    /// The fact beside which its payload lies.
    pub payload: Position,
    /// The fact that says that its payload was erased.
    pub erased: Option<Position>,
    /// In the order of their ordinals.
    pub cells: Vec<Cell>,
    /// How many deliveries replays have added to it.
    pub added: u32,
}

/// See the module. The maps without an order are never iterated, so that none can reach a decision.
#[derive(Default)]
pub struct Overlay {
    events: BTreeMap<Position, Resident>,
    ids: HashMap<(WorkspaceId, EventId), Position>,
    /// Every fact in this block or a later one has left its trace here.
    base: u64,
    /// The log begins with this block.
    first: u64,
    /// Block of a fact and event that it touched, in the order of the log.
    touched: VecDeque<(u64, Position)>,
    /// Events that may be let go although no fact has touched them lately.
    idle: Vec<Position>,
}

struct Resident {
    recalled: Recalled,
    /// The block of the newest fact that touched it; 0 for none since it was brought.
    touched: u64,
}

impl Overlay {
    /// Takes in a fact. One about an event that is not here is about one that the log has let go.
    pub fn apply(&mut self, record: &Record) {
        match &record.fact {
            Fact::EventAccepted(event) => self.put(event, event.at, event_cells(event).collect(), record),
            Fact::EventCarried { event, cells, .. } => self.put(event, record.position, cells.to_vec(), record),
            Fact::AttemptFinished { cell, .. } | Fact::RetryRequested { cell, .. } | Fact::DeliveryAdded { cell } => {
                self.change(cell.key.event, record, |recalled| recalled.set(*cell));
            }
            Fact::EventErased { event, cancelled, .. } => self.change(*event, record, |recalled| {
                cancelled.iter().for_each(|cell| recalled.set(*cell));
                recalled.erased = Some(record.position);
            }),
            _ => {}
        }
    }

    fn put(&mut self, event: &Arc<Event>, payload: Position, cells: Vec<Cell>, record: &Record) {
        let erased = self.events.get(&event.at).and_then(|resident| resident.recalled.erased);
        let added = cells.iter().filter(|cell| cell.key.is_added()).count() as u32;
        let recalled = Recalled { event: Arc::clone(event), payload, erased, cells, added };
        self.insert(Resident { recalled, touched: record.position.block() });
        self.touched.push_back((record.position.block(), event.at));
    }

    fn change(&mut self, event: Position, record: &Record, change: impl FnOnce(&mut Recalled)) {
        let Some(resident) = self.events.get_mut(&event) else { return };
        change(&mut resident.recalled);
        let block = record.position.block();
        if resident.touched != block {
            resident.touched = block;
            self.touched.push_back((block, event));
        }
    }

    fn insert(&mut self, resident: Resident) {
        let event = &resident.recalled.event;
        // A generated id says itself where its event lies.
        if event.id.position() != Some(event.at) {
            self.ids.insert((event.workspace, event.id.clone()), event.at);
        }
        self.events.insert(event.at, resident);
    }

    /// Takes in what was read at the store's position or later. What is here already is newer; what the log has let go meanwhile is gone.
    pub fn admit(&mut self, recalled: Recalled) {
        if recalled.payload.block() < self.first {
            return;
        }
        match self.events.get_mut(&recalled.event.at) {
            Some(resident) => {
                let kept = &mut resident.recalled;
                recalled.cells.into_iter().for_each(|cell| {
                    if kept.cell(cell.key.ordinal).is_none() {
                        kept.set(cell);
                    }
                });
            }
            None => self.insert(Resident { recalled, touched: 0 }),
        }
    }

    /// Events that are here.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The first block of which every fact has left its trace here.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The store has everything below block `base`: lets go of what no fact from there on has touched, unless it `is_needed`. Says of each
    /// delivery that goes how it stood.
    pub fn let_go(&mut self, base: u64, is_needed: impl Fn(&Cell) -> bool, mut gone: impl FnMut(&Cell)) {
        self.base = self.base.max(base);
        let mut looked_at = std::mem::take(&mut self.idle);
        while let Some((_, event)) = self.touched.pop_front_if(|(block, _)| *block < self.base) {
            looked_at.push(event);
        }
        for at in looked_at {
            let is_idle =
                |resident: &Resident| resident.touched < self.base && !resident.recalled.cells.iter().any(&is_needed);
            if self.events.get(&at).is_some_and(is_idle)
                && let Some(resident) = self.remove(at)
            {
                resident.recalled.cells.iter().for_each(&mut gone);
            }
        }
    }

    /// An event may have become idle without a fact about it.
    pub fn may_be_idle(&mut self, event: Position) {
        self.idle.push(event);
    }

    /// Any event may have.
    pub fn all_may_be_idle(&mut self) {
        self.idle = self.events.keys().copied().collect();
    }

    fn remove(&mut self, at: Position) -> Option<Resident> {
        let resident = self.events.remove(&at)?;
        let event = &resident.recalled.event;
        if let Entry::Occupied(id) = self.ids.entry((event.workspace, event.id.clone()))
            && *id.get() == at
        {
            id.remove();
        }
        Some(resident)
    }

    /// The position of the fact beside which an event's payload lies.
    pub fn payload_of(&self, event: Position) -> Position {
        self.events.get(&event).map_or(event, |resident| resident.recalled.payload)
    }

    /// The events here from `from` on that are kept in blocks below `below`, oldest first.
    pub fn events_below(&self, from: Position, below: u64) -> impl Iterator<Item = &Recalled> {
        let end = Position::new(below, 0);
        let found = self.events.range(from.min(end)..end).map(|(_, resident)| &resident.recalled);
        found.filter(move |recalled| recalled.payload < end)
    }

    /// Lets go of all events that are kept in blocks below `below`.
    pub fn forget_below(&mut self, below: u64) {
        self.first = below;
        let gone: Vec<_> = self.events_below(Position::new(0, 0), below).map(|recalled| recalled.event.at).collect();
        gone.into_iter().for_each(|at| drop(self.remove(at)));
    }

    /// The events here whose payloads were erased: the fact beside which it lay, and the one that says so.
    pub fn erased(&self) -> impl Iterator<Item = (Position, Position)> {
        self.events.values().filter_map(|resident| Some((resident.recalled.payload, resident.recalled.erased?)))
    }

    /// An event, with what is here of it.
    pub fn recalled(&self, at: Position) -> Option<&Recalled> {
        self.events.get(&at).map(|resident| &resident.recalled)
    }

    /// A delivery's cell.
    pub fn cell(&self, key: DeliveryKey) -> Option<&Cell> {
        self.recalled(key.event)?.cell(key.ordinal)
    }

    /// The event accepted at a position.
    pub fn event(&self, at: Position) -> Option<&Arc<Event>> {
        self.recalled(at).map(|recalled| &recalled.event)
    }

    /// The event that has this id in this workspace.
    pub fn event_with_id(&self, workspace: WorkspaceId, id: &EventId) -> Option<&Recalled> {
        let named = self.ids.get(&(workspace, id.clone())).copied().or(id.position());
        let recalled = self.recalled(named?)?;
        (recalled.event.workspace == workspace && recalled.event.id == *id).then_some(recalled)
    }

    /// Events from a position on and before another, oldest first, with what is here of them.
    pub fn events(&self, from: Position, to: Position) -> impl Iterator<Item = &Recalled> {
        self.events.range(from.min(to)..to).map(|(_, resident)| &resident.recalled)
    }

    /// All cells, in the order of their keys.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.events.values().flat_map(|resident| &resident.recalled.cells)
    }
}

impl Recalled {
    /// Whether all of its deliveries are here.
    pub fn is_whole(&self) -> bool {
        self.cells.len() == self.event.chosen.len() + self.added as usize
    }

    /// Its deliveries, as far as they are here, to one webhook.
    pub fn to_webhook(&self, webhook: WebhookId) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.webhook == webhook)
    }

    fn cell(&self, ordinal: u32) -> Option<&Cell> {
        let at = self.cells.binary_search_by_key(&ordinal, |cell| cell.key.ordinal).ok()?;
        self.cells.get(at)
    }

    fn set(&mut self, cell: Cell) {
        match self.cells.binary_search_by_key(&cell.key.ordinal, |cell| cell.key.ordinal) {
            Ok(at) => self.cells[at] = cell,
            Err(at) => self.cells.insert(at, cell),
        }
        if cell.key.is_added() {
            self.added = self.added.max(cell.key.ordinal - DeliveryKey::FIRST_ADDED + 1);
        }
    }
}
