//! One reader's look at what there is: the tail first, what it does not know the store, and the facts themselves in the log.
//!
//! In this order nothing is missed: what the tail has let go of by then the store knows. Every question locks the tail for moments only, and
//! never while it reads a file; a long list is asked for step by step. Everything here is file I/O.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;
use postrider_core::attempt::Outcome;
use postrider_core::delivery::{Cell, Status};
use postrider_core::event::Event;
use postrider_core::fact::Fact;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};
use postrider_store::{AttemptPlace, EventPlace};

use super::{DeliveryRow, LogEntry, Subject, Views};
use crate::stored::{FiledAttempt, Stored, StoredError};

/// Attempts of one delivery that are shown. It had them by hand, or by replays; the oldest are left out.
const ATTEMPTS_SHOWN_MAX: usize = 10_000;

/// See the module.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub(super) views: &'a RwLock<Views>,
    pub(super) stored: &'a Stored,
    /// W.
    covered: &'a AtomicU64,
}

impl<'a> Look<'a> {
    /// At these.
    pub fn new(views: &'a RwLock<Views>, stored: &'a Stored, covered: &'a AtomicU64) -> Look<'a> {
        Look { views, stored, covered }
    }

    /// A delivery's status as clients see it.
    pub fn status_of(&self, cell: &Cell) -> Status {
        self.views.read().status_of(cell)
    }

    /// The position of the fact beside which an event's payload lies.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn payload_of(&self, event: Position) -> Result<Position, StoredError> {
        if let Some(record) = self.views.read().tail.record_of(event) {
            return Ok(record);
        }
        self.stored.view(|view| view.payload_of(event))
    }

    /// Whether the log still has an event: an older one only where it was carried.
    pub(super) fn is_kept(&self, event: Position) -> Result<bool, StoredError> {
        let first = self.stored.first();
        Ok(event.block() >= first || self.payload_of(event)?.block() >= first)
    }

    /// The event that was accepted at a position.
    pub(super) fn event_at(&self, at: Position) -> Result<Option<Arc<Event>>, StoredError> {
        self.stored.event_at(self.payload_of(at)?, at)
    }

    /// The event that has this id in this workspace.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn event_with_id(&self, workspace: WorkspaceId, id: &EventId) -> Result<Option<Arc<Event>>, StoredError> {
        let named = self.views.read().tail.event_with_id(workspace, id);
        let found = match named {
            Some(at) => self.event_at(at)?,
            None => match self.stored.view(|view| view.event_with_id(workspace, id))? {
                Some(event) => Some(event),
                // A generated id says itself where its event lies.
                None => id.position().map_or(Ok(None), |at| self.event_at(at))?,
            },
        };
        Ok(found.filter(|event| event.workspace == workspace && event.id == *id))
    }

    /// Since when an event's payload is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn erased_at(&self, event: Position) -> Result<Option<Time>, StoredError> {
        let fact = self.views.read().tail.erased(event);
        match fact {
            Some(fact) => Ok(self.stored.record(fact)?.map(|record| record.time)),
            None => Ok(self.stored.view(|view| view.erased(event))?.map(|(_, time)| time)),
        }
    }

    /// A delivery with its event.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn delivery(&self, workspace: WorkspaceId, key: DeliveryKey) -> Result<Option<DeliveryRow>, StoredError> {
        let Some(event) = self.event_at(key.event)?.filter(|event| event.workspace == workspace) else {
            return Ok(None);
        };
        Ok(self.cell(&event, key)?.map(|cell| DeliveryRow { cell, event }))
    }

    /// The attempts of a delivery, oldest first.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn attempts(&self, row: &DeliveryRow) -> Result<Vec<LogEntry>, StoredError> {
        let mut filed = self.stored.attempts_back(row.cell.last_attempt, ATTEMPTS_SHOWN_MAX)?;
        filed.reverse();
        Ok(filed.into_iter().map(|filed| entry_of(filed, Arc::clone(&row.event))).collect())
    }

    /// The entry of the attempt that was filed at a position; `None` when it is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn entry(&self, position: Position) -> Result<Option<LogEntry>, StoredError> {
        let Some(record) = self.stored.record(position)? else { return Ok(None) };
        match record.fact {
            Fact::AttemptFinished { cell, attempt, .. } => {
                let event = self.event_at(cell.key.event)?;
                Ok(event.map(|event| entry_of(FiledAttempt { position, cell, attempt }, event)))
            }
            Fact::TestFinished { webhook, event_id, event_type, attempt, .. } => {
                let subject = Subject::Test(event_id, event_type);
                Ok(Some(LogEntry { position, subject, webhook, attempt, next_attempt_at: None, revision: None }))
            }
            _ => Ok(None),
        }
    }

    /// The next places of a workspace's events before a position, newest first; about `max`, none at the end. Also of events that the log
    /// no longer has.
    pub(super) fn events_down(
        &self,
        workspace: WorkspaceId,
        before: Option<Position>,
        max: usize,
    ) -> Result<Vec<EventPlace>, StoredError> {
        let (recent, covered) = self.in_tail(|views| views.tail.events(workspace, before, max));
        if is_above(&recent, covered, max, |place| place.position) {
            return Ok(recent);
        }
        let stored = self.stored.view(|view| view.events(workspace, before, max))?;
        Ok(merge(recent, stored, max, |a, b| b.position.cmp(&a.position)))
    }

    /// The next `max` places of a workspace's events from a position on, oldest first.
    pub(super) fn events_up(
        &self,
        workspace: WorkspaceId,
        from: Position,
        max: usize,
    ) -> Result<Vec<EventPlace>, StoredError> {
        let recent = self.views.read().tail.events_up(workspace, from, max);
        let stored = self.stored.view(|view| view.events_up(workspace, from, max))?;
        Ok(merge(recent, stored, max, |a, b| a.position.cmp(&b.position)))
    }

    /// The next places of a webhook's attempts before a position, newest first; about `max`, none at the end. Also of events that the log
    /// no longer has.
    pub(super) fn attempts_down(
        &self,
        webhook: WebhookId,
        before: Option<Position>,
        max: usize,
    ) -> Result<Vec<AttemptPlace>, StoredError> {
        let (recent, covered) = self.in_tail(|views| views.tail.attempts(webhook, before, max));
        if is_above(&recent, covered, max, |place| place.position) {
            return Ok(recent);
        }
        let stored = self.stored.view(|view| view.attempts(webhook, before, max))?;
        Ok(merge(recent, stored, max, |a, b| b.position.cmp(&a.position)))
    }

    /// What the tail says, and a block from which on it knows everything.
    fn in_tail<T>(&self, ask: impl FnOnce(&Views) -> T) -> (T, u64) {
        let views = self.views.read();
        // While it is locked it lets go of nothing that this does not cover.
        (ask(&views), self.covered.load(Ordering::Acquire))
    }
}

/// Whether these are as many as were asked for, and all of them so new that the store has none between them.
fn is_above<T>(recent: &[T], covered: u64, max: usize, at: impl Fn(&T) -> Position) -> bool {
    recent.len() == max && recent.last().is_some_and(|last| at(last).block() >= covered)
}

/// Both in their order, at most `max`; what both have counts once, as the first has it.
fn merge<T>(first: Vec<T>, second: Vec<T>, max: usize, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Vec<T> {
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    let next = || match (first.peek(), second.peek()) {
        (Some(a), Some(b)) => match order(a, b) {
            std::cmp::Ordering::Less => first.next(),
            std::cmp::Ordering::Greater => second.next(),
            std::cmp::Ordering::Equal => {
                second.next();
                first.next()
            }
        },
        (Some(_), None) => first.next(),
        (None, _) => second.next(),
    };
    std::iter::from_fn(next).take(max).collect()
}

fn entry_of(filed: FiledAttempt, event: Arc<Event>) -> LogEntry {
    let FiledAttempt { position, cell, attempt } = filed;
    LogEntry {
        position,
        subject: Subject::Delivery(cell.key, event),
        webhook: cell.webhook,
        next_attempt_at: (attempt.outcome == Outcome::Retrying).then_some(cell.due),
        revision: Some(cell.revision),
        attempt,
    }
}
