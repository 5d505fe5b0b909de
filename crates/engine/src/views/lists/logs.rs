//! A webhook's log: its attempts in the order of their ends, newest first.

use postrider_core::attempt::Outcome;
use postrider_core::{EventId, Position, Time, WebhookId, WorkspaceId};
use postrider_store::AttemptPlace;

use super::{cursor_of, earlier, position_of};
use crate::stored::StoredError;
use crate::views::page::{ListName, Page, PageQuery, Wanted, paginate_in_steps};
use crate::views::{LogEntry, Look, Views};

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

impl LogFilter {
    fn wants(&self, entry: &LogEntry) -> bool {
        self.event_type.as_deref().is_none_or(|t| t == entry.subject.event_type())
            && self.status_code.is_none_or(|c| Some(c) == entry.attempt.exchange.status_code)
            && self.event_id.as_deref().is_none_or(|id| id == entry.subject.event_id().as_str())
    }
}

/// An attempt in the log, and its entry once it was read.
struct Entry {
    place: AttemptPlace,
    entry: Option<LogEntry>,
}

impl Look<'_> {
    /// A page of a webhook's log.
    ///
    /// # Errors
    /// When an entry cannot be read.
    pub fn logs(
        &self,
        workspace: WorkspaceId,
        webhook: WebhookId,
        filter: &LogFilter,
        query: PageQuery,
    ) -> Result<Page<LogEntry>, StoredError> {
        let is_theirs = Views::has_webhook(&self.views.read(), workspace, webhook);
        // An attempt that began before `until` can have been filed a little later.
        let end = self.end_of_until(filter.until.map(|until| Time(until.0.saturating_add(super::DAY_MS))))?;
        let named = match filter.event_id.as_deref().map(str::parse::<EventId>) {
            Some(Ok(id)) => self.event_with_id(workspace, &id)?.map(|event| event.at),
            _ => None,
        };
        let step = |cursor, max| {
            let before = earlier(Option::map(cursor, position_of), end);
            let places = if is_theirs { self.attempts_down(webhook, before, max)? } else { Vec::new() };
            Ok(places.into_iter().map(|place| (cursor_of(place.position), Entry { place, entry: None })).collect())
        };
        let wants = |entry: &mut Entry| self.wants_attempt(filter, named, entry);
        let page = paginate_in_steps(ListName::Logs, query, step, wants)?;
        let found = page.try_map(|entry| match entry.entry {
            Some(entry) => Ok(Some(entry)),
            None => self.entry(entry.place.position),
        });
        found.map(Page::flatten)
    }

    /// `named` is where the event lies that the filter names.
    fn wants_attempt(
        &self,
        filter: &LogFilter,
        named: Option<Position>,
        entry: &mut Entry,
    ) -> Result<Wanted, StoredError> {
        let AttemptPlace { position, time, started, key, outcome, .. } = entry.place;
        // It began no later than it was filed, and so did all before it.
        if filter.since.is_some_and(|since| time < since) {
            return Ok(Wanted::NoMore);
        }
        let is_when =
            filter.since.is_none_or(|since| started >= since) && filter.until.is_none_or(|until| started < until);
        if !is_when || filter.outcome.is_some_and(|wanted| wanted != outcome) {
            return Ok(Wanted::No);
        }
        if let Some(key) = key
            && (filter.event_id.is_some() && named != Some(key.event) || !self.is_kept(key.event)?)
        {
            return Ok(Wanted::No);
        }
        let is_test_by_id = key.is_none() && filter.event_id.is_some();
        if is_test_by_id || filter.event_type.is_some() || filter.status_code.is_some() {
            entry.entry = self.entry(position)?.filter(|entry| filter.wants(entry));
            return Ok(if entry.entry.is_some() { Wanted::Yes } else { Wanted::No });
        }
        Ok(Wanted::Yes)
    }
}
