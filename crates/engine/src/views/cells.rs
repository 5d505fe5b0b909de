//! Deliveries as they stand: of an event that was read already, one or all of them.

use std::sync::Arc;

use postrider_core::delivery::Cell;
use postrider_core::event::Event;
use postrider_core::machine::event_cells;
use postrider_core::{DeliveryKey, Position};

use super::{DeliveryRow, Look};
use crate::stored::StoredError;

impl Look<'_> {
    /// One delivery of an event; `None` when it has no such delivery.
    pub(super) fn cell(&self, event: &Event, key: DeliveryKey) -> Result<Option<Cell>, StoredError> {
        let newest = self.views.read().tail.head(key);
        if let Some(newest) = newest {
            return self.stored.cell_at(key, newest);
        }
        let fresh = || event_cells(event).nth(key.ordinal as usize);
        self.stored.view(|view| match key.event.block() < view.covered() {
            true => view.cell(key),
            // Nothing has happened to it since its event was accepted.
            false => Ok(fresh()),
        })
    }

    /// All deliveries of an event, in order, those that replays have added last.
    pub(super) fn cells_of(&self, event: &Event) -> Result<Vec<Cell>, StoredError> {
        let added = self.added_to(event.at)?;
        let keys = keys_of(event.at, event.chosen.len() as u32, added);
        keys.filter_map(|key| self.cell(event, key).transpose()).collect()
    }

    /// The same with their event.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn deliveries_in(&self, event: &Arc<Event>) -> Result<Vec<DeliveryRow>, StoredError> {
        let row = |cell| DeliveryRow { cell, event: Arc::clone(event) };
        Ok(self.cells_of(event)?.into_iter().map(row).collect())
    }

    /// How many deliveries replays have added to an event.
    pub(super) fn added_to(&self, event: Position) -> Result<u32, StoredError> {
        Ok(self.added_between(event, event)?.first().map_or(0, |(_, count)| *count))
    }

    /// The events from `from` to `to`, both included, to which replays have added deliveries, and how many; in order. Also events of other
    /// workspaces.
    pub(super) fn added_between(&self, from: Position, to: Position) -> Result<Vec<(Position, u32)>, StoredError> {
        let recent = self.views.read().tail.added_between(from, to);
        let mut added = self.stored.view(|view| view.added(from, to))?;
        for (event, count) in recent {
            match added.binary_search_by_key(&event, |(event, _)| *event) {
                Ok(at) => added[at].1 = added[at].1.max(count),
                Err(at) => added.insert(at, (event, count)),
            }
        }
        Ok(added)
    }
}

/// The keys of an event's deliveries, in order.
pub(super) fn keys_of(event: Position, chosen: u32, added: u32) -> impl DoubleEndedIterator<Item = DeliveryKey> {
    let chosen = (0..chosen).map(move |ordinal| DeliveryKey { event, ordinal });
    chosen.chain((0..added).map(move |nth| DeliveryKey::added(event, nth)))
}
