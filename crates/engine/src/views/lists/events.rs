//! A workspace's events.

use std::sync::Arc;

use postrider_core::event::Event;
use postrider_core::{EventId, Time, WorkspaceId};
use postrider_store::EventPlace;

use super::{cursor_of, earlier, position_of};
use crate::stored::StoredError;
use crate::views::page::{ListName, Page, PageQuery, Wanted, paginate_in_steps};
use crate::views::{Look, Views};

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

impl EventFilter {
    fn wants(&self, event: &Event) -> bool {
        self.id.as_deref().is_none_or(|id| id == event.id.as_str())
            && self.event_type.as_deref().is_none_or(|t| t == &*event.event_type)
            && self.campaign.as_deref().is_none_or(|c| Some(c) == event.campaign.as_deref())
    }

    fn needs_the_event(&self) -> bool {
        self.id.is_some() || self.event_type.is_some() || self.campaign.is_some()
    }
}

/// An event in the list, and itself once it was read.
struct Entry {
    place: EventPlace,
    event: Option<Arc<Event>>,
}

impl Look<'_> {
    /// A page of events.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn events(
        &self,
        workspace: WorkspaceId,
        filter: &EventFilter,
        query: PageQuery,
    ) -> Result<Page<Arc<Event>>, StoredError> {
        let is_there = Views::has_workspace(&self.views.read(), workspace);
        let end = self.end_of_until(filter.until)?;
        let named = filter.id.as_deref().map(|id| self.event_named(workspace, id)).transpose()?;
        let step = |cursor, max| {
            let before = earlier(Option::map(cursor, position_of), end);
            let places = match &named {
                _ if !is_there => Vec::new(),
                Some(named) => {
                    named.iter().copied().filter(|place| before.is_none_or(|b| place.position < b)).collect()
                }
                None => self.events_down(workspace, before, max)?,
            };
            Ok(places.into_iter().map(|place| (cursor_of(place.position), Entry { place, event: None })).collect())
        };
        let page = paginate_in_steps(ListName::Events, query, step, |entry| self.wants_event(filter, entry))?;
        let found = page.try_map(|entry| match entry.event {
            Some(event) => Ok(Some(event)),
            None => self.event_at(entry.place.position),
        });
        // One that was let go of since it was counted is left out.
        found.map(Page::flatten)
    }

    fn wants_event(&self, filter: &EventFilter, entry: &mut Entry) -> Result<Wanted, StoredError> {
        let EventPlace { position, time, .. } = entry.place;
        if filter.since.is_some_and(|since| time < since) {
            return Ok(Wanted::NoMore);
        }
        if filter.until.is_some_and(|until| time >= until) || !self.is_kept(position)? {
            return Ok(Wanted::No);
        }
        if filter.needs_the_event() {
            entry.event = self.event_at(position)?.filter(|event| filter.wants(event));
            return Ok(if entry.event.is_some() { Wanted::Yes } else { Wanted::No });
        }
        Ok(Wanted::Yes)
    }

    /// There is at most one event of an id: nothing is walked through for it.
    fn event_named(&self, workspace: WorkspaceId, id: &str) -> Result<Option<EventPlace>, StoredError> {
        let Ok(id) = id.parse::<EventId>() else { return Ok(None) };
        let event = self.event_with_id(workspace, &id)?;
        Ok(event.map(|event| EventPlace {
            position: event.at,
            time: event.accepted,
            deliveries: event.chosen.len() as u32,
        }))
    }
}
