//! The questions that readers ask.

use std::ops::Bound;
use std::sync::Arc;

use postrider_core::attempt::Outcome;
use postrider_core::delivery::{Cell, Status};
use postrider_core::event::Event;
use postrider_core::{AttemptId, DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};

use crate::live::Ended;

use super::page::{Cursor, Page, PageQuery, paginate};
use super::{DeliveryRow, LogEntry, Views, WorkspaceView};

/// Which entries of a webhook's log; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Of this type.
    pub event_type: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// With this status.
    pub status_code: Option<u16>,
    /// Of this event.
    pub event_id: Option<String>,
    /// Started at this time or later.
    pub since: Option<Time>,
    /// Started before this time.
    pub until: Option<Time>,
}

/// Which deliveries; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// For this webhook.
    pub webhook: Option<WebhookId>,
    /// Of this type.
    pub event_type: Option<String>,
    /// That stand so.
    pub status: Option<Status>,
}

/// Which events; what is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// With this id.
    pub id: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// Of this campaign.
    pub campaign: Option<String>,
    /// Accepted at this time or later.
    pub since: Option<Time>,
    /// Accepted before this time.
    pub until: Option<Time>,
}

impl LogFilter {
    fn wants(&self, entry: &LogEntry) -> bool {
        let started = entry.attempt.started;
        self.event_type.as_deref().is_none_or(|t| t == entry.subject.event_type())
            && self.outcome.is_none_or(|o| o == entry.attempt.outcome)
            && self.status_code.is_none_or(|c| Some(c) == entry.attempt.exchange.status_code)
            && self.event_id.as_deref().is_none_or(|id| id == entry.subject.event_id().as_str())
            && self.since.is_none_or(|since| started >= since)
            && self.until.is_none_or(|until| started < until)
    }
}

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        self.id.as_deref().is_none_or(|id| id == event.id.as_str())
            && self.event_type.as_deref().is_none_or(|t| t == &*event.event_type)
            && self.campaign.as_deref().is_none_or(|c| Some(c) == event.campaign.as_deref())
            && self.since.is_none_or(|since| event.accepted >= since)
            && self.until.is_none_or(|until| event.accepted < until)
    }
}

impl Views {
    /// A delivery's status as clients see it: pending deliveries of a webhook that is gone are cancelled without a fact of their own.
    pub fn status_of(&self, cell: &Cell) -> Status {
        match cell.status {
            Status::Pending if self.directory.webhook(cell.webhook).is_none() => Status::Cancelled,
            status => status,
        }
    }

    /// Since when an event's payload is gone.
    pub fn erased_at(&self, event: &Event) -> Option<Time> {
        self.workspaces.get(&event.workspace)?.erased.get(&event.at).copied()
    }

    /// The position of the fact beside which an event's payload lies.
    pub fn payload_of(&self, event: &Event) -> Position {
        self.workspaces.get(&event.workspace).map_or(event.at, |workspace| workspace.payload_of(event.at))
    }

    /// The entry of an attempt.
    pub fn entry(&self, ended: &Ended) -> Option<&LogEntry> {
        self.workspaces.get(&ended.workspace)?.logs.get(&ended.webhook)?.get(&ended.attempt)
    }

    /// A page of a webhook's log.
    pub fn logs(
        &self,
        workspace: WorkspaceId,
        webhook: WebhookId,
        filter: &LogFilter,
        query: PageQuery,
    ) -> Page<&LogEntry> {
        let entries = self.workspaces.get(&workspace).and_then(|w| w.logs.get(&webhook));
        let after = |cursor: Option<Cursor>| {
            let end = cursor.map_or(Bound::Unbounded, |(id, _)| Bound::Excluded(AttemptId(id)));
            let older = entries.map(|entries| entries.range((Bound::Unbounded, end)).rev());
            older.into_iter().flatten().map(|(id, entry)| ((id.0, 0), entry))
        };
        paginate(query, after, |entry| filter.wants(entry))
    }

    /// A page of deliveries, those of the newest event first.
    pub fn deliveries(&self, workspace: WorkspaceId, filter: &DeliveryFilter, query: PageQuery) -> Page<&DeliveryRow> {
        let rows = self.workspaces.get(&workspace).map(|w| &w.deliveries);
        let after = |cursor: Option<Cursor>| {
            let end = cursor.map_or(Bound::Unbounded, |(event, ordinal)| {
                Bound::Excluded(DeliveryKey { event: Position::from_u64(event), ordinal })
            });
            let older = rows.map(|rows| rows.range((Bound::Unbounded, end)).rev());
            older.into_iter().flatten().map(|(key, row)| ((key.event.to_u64(), key.ordinal), row))
        };
        paginate(query, after, |row| {
            filter.webhook.is_none_or(|webhook| webhook == row.cell.webhook)
                && filter.event_type.as_deref().is_none_or(|t| t == &*row.event.event_type)
                && filter.status.is_none_or(|status| status == self.status_of(&row.cell))
        })
    }

    /// A page of events.
    pub fn events(&self, workspace: WorkspaceId, filter: &EventFilter, query: PageQuery) -> Page<&Arc<Event>> {
        let events = self.workspaces.get(&workspace).map(|w| &w.events);
        let after = |cursor: Option<Cursor>| {
            let end = cursor.map_or(Bound::Unbounded, |(at, _)| Bound::Excluded(Position::from_u64(at)));
            let older = events.map(|events| events.range((Bound::Unbounded, end)).rev());
            older.into_iter().flatten().map(|(at, event)| ((at.to_u64(), 0), event))
        };
        paginate(query, after, |event| filter.wants(event))
    }

    /// A delivery.
    pub fn delivery(&self, workspace: WorkspaceId, key: DeliveryKey) -> Option<&DeliveryRow> {
        self.workspaces.get(&workspace)?.deliveries.get(&key)
    }

    /// The attempts of a delivery, oldest first.
    pub fn attempts<'a>(&'a self, row: &'a DeliveryRow) -> impl Iterator<Item = &'a LogEntry> {
        let log = self.workspaces.get(&row.cell.workspace).and_then(|w| w.logs.get(&row.cell.webhook));
        row.attempts.iter().filter_map(move |id| log?.get(id))
    }

    /// An event and its deliveries.
    pub fn event(&self, workspace: WorkspaceId, id: &EventId) -> Option<(&Arc<Event>, Vec<&DeliveryRow>)> {
        let view = self.workspaces.get(&workspace)?;
        let event = view.event(id)?;
        let first = DeliveryKey { event: event.at, ordinal: 0 };
        let last = DeliveryKey { event: event.at, ordinal: u32::MAX };
        Some((event, view.deliveries.range(first..=last).map(|(_, row)| row).collect()))
    }
}

impl WorkspaceView {
    pub(super) fn event(&self, id: &EventId) -> Option<&Arc<Event>> {
        let at = self.ids.get(id).copied().or(id.position())?;
        self.events.get(&at).filter(|event| event.id == *id)
    }
}
