//! Erased payloads: by a wish or by a terminal rule, never while something is pending, and gone for good.

use postrider_core::delivery::{Cell, Status};
use postrider_core::{DeliveryKey, Position, WorkspaceId};
use postrider_log::{LogReader, ReadError};

use super::{Checker, Delivery, Verdict, broken, law};

impl Checker {
    /// A durable fact says that a payload is erased.
    pub(super) fn erased(&mut self, workspace: WorkspaceId, event: Position, cancelled: &[Cell]) -> Verdict {
        let Some(name) = self.event_at(event).filter(|(of, _)| *of == workspace) else {
            return Err(broken!(1, "the event at {event} is erased, which {workspace} does not have"));
        };
        law!(2, self.erased.insert(event), "the event at {event} is erased twice");
        let siblings = || self.siblings(event).map(|delivery| delivery.cell);
        let is_pending = |cell: &Cell| cell.status == Status::Pending;
        let is_removed = siblings().any(|cell| cell.status == Status::Removed);
        let is_over = !siblings().any(|cell| is_pending(&cell) && self.is_alive(&cell));
        if !(is_removed && is_over && cancelled.is_empty()) {
            law!(1, self.erasures_asked.contains(&name), "the event at {event} is erased, and nobody asked for it");
            let pending = siblings().filter(is_pending);
            let wanted: Vec<Cell> = pending.map(|cell| Cell { status: Status::Cancelled, ..cell }).collect();
            law!(1, wanted == cancelled, "erasing the event at {event} cancels {cancelled:?}, not {wanted:?}");
        }
        self.spent.insert(self.carried.get(&event).copied().unwrap_or(event));
        for cell in cancelled {
            if let Some(hook) = self.hooks.get_mut(&cell.webhook) {
                hook.unwait(cell);
            }
            self.put(cell, Status::Pending);
        }
        Ok(())
    }

    /// Whether no attempt of the delivery can be made any more, since its payload is gone.
    pub fn is_erased(&self, key: DeliveryKey) -> bool {
        self.erased.contains(&key.event)
    }

    /// The engine says that it has made zeros: of all that the facts say is erased, nothing can be read any more.
    ///
    /// # Errors
    /// When something can, or other bytes were taken for it.
    pub fn zeroed(&self, reader: &impl LogReader, positions: &[Position]) -> Verdict {
        for &at in positions {
            law!(1, self.is_spent(at), "the payload at {at} was made zeros, and no fact says so");
            let payload = reader.payload(at);
            let is_gone = matches!(payload, Ok(None) | Err(ReadError::Erased(_)));
            law!(1, is_gone, "the payload at {at} was erased and is there: {:?}", payload.map(|p| p.map(|p| p.len())));
        }
        Ok(())
    }

    /// After the first turn of a process and whatever comes later: nothing that a durable fact has erased can be read.
    ///
    /// # Errors
    /// When something can.
    pub fn erased_are_zeros(&self, reader: &impl LogReader) -> Verdict {
        self.zeroed(reader, &self.spent.iter().copied().collect::<Vec<_>>())
    }

    /// What a terminal rule removes is erased as soon as nothing of its event is pending, whatever ended the last delivery.
    pub(super) fn removed_are_erased(&self) -> Verdict {
        for event in self.names.keys().filter(|at| !self.erased.contains(at)) {
            let cells = || self.siblings(*event).map(|delivery| delivery.cell);
            let is_over = !cells().any(|cell| cell.status == Status::Pending && self.is_alive(&cell));
            let is_left = is_over && cells().any(|cell| cell.status == Status::Removed);
            law!(1, !is_left, "the event at {event} was removed, and its payload is there");
        }
        Ok(())
    }

    pub(super) fn siblings(&self, event: Position) -> impl Iterator<Item = &Delivery> {
        let key = |ordinal| DeliveryKey { event, ordinal };
        self.deliveries.range(key(0)..=key(u32::MAX)).map(|(_, delivery)| delivery)
    }
}
