//! Letting go of what is no longer in the log, so that the views are what a replay of the rest gives.

use std::collections::BTreeMap;

use postrider_core::{DeliveryKey, Position};

use super::{Views, WorkspaceView};

impl Views {
    /// Empty, to be fed with all of a log, then [settled](Self::settle).
    pub fn for_replay() -> Views {
        Views { orphans: Some(BTreeMap::new()), ..Views::default() }
    }

    /// Ends the replay of a log that begins with block `first`.
    pub fn settle(&mut self, first: u64) {
        self.orphans = None;
        self.forget_below(first);
    }

    /// Lets go of events that are kept in blocks below `below`, with their deliveries and all of these' attempts; and of all attempts
    /// that were filed there.
    pub fn forget_below(&mut self, below: u64) {
        self.directory.forget_below(below);
        self.workspaces.values_mut().for_each(|workspace| workspace.forget_below(Position::new(below, 0)));
    }
}

impl WorkspaceView {
    /// The position of the fact beside which an event's payload lies.
    pub(super) fn payload_of(&self, event: Position) -> Position {
        self.carried.get(&event).copied().unwrap_or(event)
    }

    fn forget_below(&mut self, end: Position) {
        let old: Vec<Position> = self.events.range(..end).map(|(at, _)| *at).collect();
        let (carried, gone): (Vec<_>, Vec<_>) = old.into_iter().partition(|at| self.payload_of(*at) >= end);
        gone.into_iter().for_each(|event| self.forget(event));
        for log in self.logs.values_mut() {
            while log.first_entry().is_some_and(|entry| entry.get().position < end) {
                log.pop_first();
            }
        }
        self.logs.retain(|_, log| !log.is_empty());
        for event in carried {
            for (_, row) in self.deliveries.range_mut(all_of(event)) {
                let log = self.logs.get(&row.cell.webhook);
                row.attempts.retain(|id| log.is_some_and(|log| log.contains_key(id)));
            }
        }
    }

    fn forget(&mut self, at: Position) {
        if let Some(event) = self.events.remove(&at)
            && self.ids.get(&event.id) == Some(&at)
        {
            self.ids.remove(&event.id);
        }
        self.carried.remove(&at);
        self.erased.remove(&at);
        let keys: Vec<DeliveryKey> = self.deliveries.range(all_of(at)).map(|(key, _)| *key).collect();
        for row in keys.iter().filter_map(|key| self.deliveries.remove(key)) {
            if let Some(log) = self.logs.get_mut(&row.cell.webhook) {
                row.attempts.iter().for_each(|id| drop(log.remove(id)));
            }
        }
    }
}

pub(super) fn all_of(event: Position) -> std::ops::RangeInclusive<DeliveryKey> {
    DeliveryKey { event, ordinal: 0 }..=DeliveryKey { event, ordinal: u32::MAX }
}
