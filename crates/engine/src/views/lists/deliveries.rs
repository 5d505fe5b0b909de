//! A workspace's deliveries: those of the newest event first.

use std::sync::Arc;

use postrider_core::delivery::{Cell, Status};
use postrider_core::event::Event;
use postrider_core::{DeliveryKey, Position, WebhookId, WorkspaceId};

use crate::stored::StoredError;
use crate::views::cells::keys_of;
use crate::views::page::{Cursor, ListName, Page, PageQuery, Wanted, paginate_in_steps};
use crate::views::{DeliveryRow, Look, Views};

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

/// Events whose deliveries are looked at together.
const EVENTS_AT_ONCE: usize = 128;

/// A delivery in the list, and what of it was read.
struct Entry {
    key: DeliveryKey,
    event: Option<Arc<Event>>,
    cell: Option<Cell>,
}

impl Look<'_> {
    /// A page of deliveries.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn deliveries(
        &self,
        workspace: WorkspaceId,
        filter: &DeliveryFilter,
        query: PageQuery,
    ) -> Result<Page<DeliveryRow>, StoredError> {
        let is_there = Views::has_workspace(&self.views.read(), workspace);
        let step = |cursor, _| if is_there { self.deliveries_before(workspace, cursor) } else { Ok(Vec::new()) };
        // Deliveries of one event come one after the other.
        let mut last: Option<Arc<Event>> = None;
        let wants = |entry: &mut Entry| self.wants_delivery(filter, entry, &mut last);
        let page = paginate_in_steps(ListName::Deliveries, query, step, wants)?;
        let found = page.try_map(|entry| {
            let event = match entry.event {
                Some(event) => Some(event),
                None => self.event_at(entry.key.event)?,
            };
            let Some(event) = event else { return Ok(None) };
            let cell = match entry.cell {
                Some(cell) => Some(cell),
                None => self.cell(&event, entry.key)?,
            };
            Ok(cell.map(|cell| DeliveryRow { cell, event }))
        });
        found.map(Page::flatten)
    }

    /// The deliveries of the next events that have any.
    fn deliveries_before(
        &self,
        workspace: WorkspaceId,
        cursor: Option<Cursor>,
    ) -> Result<Vec<(Cursor, Entry)>, StoredError> {
        let last = cursor.map(|(event, ordinal)| DeliveryKey { event: Position::from_u64(event), ordinal });
        // The cursor may stand between two deliveries of one event.
        let mut before = last.map(|last| Position::from_u64(last.event.to_u64().saturating_add(1)));
        loop {
            let events = self.events_down(workspace, before, EVENTS_AT_ONCE)?;
            let (Some(newest), Some(oldest)) = (events.first(), events.last()) else { return Ok(Vec::new()) };
            let added = self.added_between(oldest.position, newest.position)?;
            let mut entries = Vec::new();
            for place in &events {
                if !self.is_kept(place.position)? {
                    continue;
                }
                let of_it = added.binary_search_by_key(&place.position, |(event, _)| *event);
                let of_it = of_it.map_or(0, |at| added[at].1);
                let keys = keys_of(place.position, place.deliveries, of_it).rev();
                let keys = keys.filter(|key| last.is_none_or(|last| *key < last));
                entries.extend(
                    keys.map(|key| ((key.event.to_u64(), key.ordinal), Entry { key, event: None, cell: None })),
                );
            }
            if !entries.is_empty() {
                return Ok(entries);
            }
            before = Some(oldest.position);
        }
    }

    fn wants_delivery(
        &self,
        filter: &DeliveryFilter,
        entry: &mut Entry,
        last: &mut Option<Arc<Event>>,
    ) -> Result<Wanted, StoredError> {
        if filter.webhook.is_none() && filter.event_type.is_none() && filter.status.is_none() {
            return Ok(Wanted::Yes);
        }
        if last.as_ref().is_none_or(|event| event.at != entry.key.event) {
            *last = self.event_at(entry.key.event)?;
        }
        let Some(event) = last else { return Ok(Wanted::No) };
        if filter.event_type.as_deref().is_some_and(|t| t != &*event.event_type) {
            return Ok(Wanted::No);
        }
        let chosen = event.chosen.get(entry.key.ordinal as usize).map(|chosen| chosen.webhook);
        let is_other = |of: WebhookId| filter.webhook.is_some_and(|webhook| webhook != of);
        if chosen.is_some_and(is_other) {
            return Ok(Wanted::No);
        }
        if chosen.is_none() || filter.status.is_some() {
            let Some(cell) = self.cell(event, entry.key)? else { return Ok(Wanted::No) };
            let is_so = filter.status.is_none_or(|status| status == self.status_of(&cell));
            if is_other(cell.webhook) || !is_so {
                return Ok(Wanted::No);
            }
            entry.cell = Some(cell);
        }
        entry.event = Some(Arc::clone(event));
        Ok(Wanted::Yes)
    }
}
