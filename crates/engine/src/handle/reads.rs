//! Reading through the handle. What was answered before a read began is in what it gives.

use std::sync::Arc;

use bytes::Bytes;
use postrider_core::delivery::Status;
use postrider_core::event::Event;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};
use postrider_log::ReadError;

use super::{Handle, READ_PATIENCE, Refused};
use crate::live::{Ended, Watch};
use crate::outgoing::{self, Secrets};
use crate::views::{
    DeliveryFilter, DeliveryRow, EventFilter, Explanation, LogEntry, LogFilter, Page, PageQuery, Subject, Views,
    WebhookHealth,
};
use crate::worker::headers_text;

/// An entry of a log with the kept part of the response's body, and, where asked for, what was sent.
#[derive(Clone, Debug)]
pub struct AttemptDetail {
    /// The entry.
    pub entry: LogEntry,
    /// The first bytes of the response's body; empty if they can't be read.
    pub response_body: Bytes,
    /// What was sent.
    pub request: Option<SentRequest>,
}

/// A request as it was sent.
#[derive(Clone, Debug)]
pub struct SentRequest {
    /// With secrets masked.
    pub headers: Vec<(String, String)>,
    /// `None` once the event's payload was erased, or if it can't be read.
    pub body: Option<Bytes>,
}

/// A delivery with its attempts.
#[derive(Clone, Debug)]
pub struct DeliveryDetail {
    /// The delivery.
    pub row: DeliveryRow,
    /// As clients see it.
    pub status: Status,
    /// Oldest first; empty where only the delivery was asked for.
    pub attempts: Vec<AttemptDetail>,
}

/// An event with its payload and deliveries.
#[derive(Clone, Debug)]
pub struct EventDetail {
    /// The event.
    pub event: Arc<Event>,
    /// Its data, byte for byte; `None` once erased, or if it can't be read.
    pub data: Option<Bytes>,
    /// When its payload was erased.
    pub erased_at: Option<Time>,
    /// One a webhook that was chosen, then those that replays have added.
    pub deliveries: Vec<DeliveryDetail>,
}

/// An event as a list shows it.
#[derive(Clone, Debug)]
pub struct EventSummary {
    /// The event.
    pub event: Arc<Event>,
    /// How many deliveries it has: of webhooks that were chosen when it came, and those that replays have added.
    pub deliveries: usize,
}

impl Handle {
    /// A page of a webhook's log, with the responses' bodies.
    ///
    /// # Errors
    /// When the views are too far behind, or the log can't be read.
    pub async fn logs(
        &self,
        workspace: WorkspaceId,
        webhook: WebhookId,
        filter: LogFilter,
        query: PageQuery,
    ) -> Result<Page<AttemptDetail>, Refused> {
        let page = self.read(move |views| views.logs(workspace, webhook, &filter, query).map(LogEntry::clone)).await?;
        self.blocking(move |handle| page.map(|entry| handle.detail(entry, false))).await
    }

    /// A page of deliveries, without their attempts.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn deliveries(
        &self,
        workspace: WorkspaceId,
        filter: DeliveryFilter,
        query: PageQuery,
    ) -> Result<Page<DeliveryDetail>, Refused> {
        self.read(move |views| views.deliveries(workspace, &filter, query).map(|row| bare(row, views))).await
    }

    /// A delivery with its attempts and what each sent; `None` when there is no such delivery.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn delivery(&self, workspace: WorkspaceId, key: DeliveryKey) -> Result<Option<DeliveryDetail>, Refused> {
        let found = self.read(move |views| {
            let row = views.delivery(workspace, key)?;
            Some((bare(row, views), views.attempts(row).cloned().collect::<Vec<_>>()))
        });
        let Some((mut delivery, entries)) = found.await? else {
            return Ok(None);
        };
        delivery.attempts =
            self.blocking(move |h| entries.into_iter().map(|entry| h.detail(entry, true)).collect()).await?;
        Ok(Some(delivery))
    }

    /// A page of events.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn events(
        &self,
        workspace: WorkspaceId,
        filter: EventFilter,
        query: PageQuery,
    ) -> Result<Page<EventSummary>, Refused> {
        self.read(move |views| {
            let summary = |event| EventSummary { event: Arc::clone(event), deliveries: views.deliveries_of(event) };
            views.events(workspace, &filter, query).map(summary)
        })
        .await
    }

    /// An event with its payload and deliveries; `None` when there is no such event.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn event(&self, workspace: WorkspaceId, id: EventId) -> Result<Option<EventDetail>, Refused> {
        loop {
            let id = id.clone();
            let found = self.read(move |views| {
                let (event, rows) = views.event(workspace, &id)?;
                let deliveries = rows.into_iter().map(|row| bare(row, views)).collect();
                Some((Arc::clone(event), deliveries, views.erased_at(event), views.payload_of(event)))
            });
            let Some((event, deliveries, erased_at, at)) = found.await? else {
                return Ok(None);
            };
            let data = match erased_at {
                Some(_) => None,
                None => match self.blocking(move |handle| handle.0.shared.records.payload(at)).await? {
                    // Erased or carried between the two looks, which the next look sees.
                    Ok(None) | Err(ReadError::Erased(_)) if self.was_moved(workspace, &event, at).await? => continue,
                    Ok(data) => data,
                    Err(error) => {
                        tracing::error!(%at, %error, "a payload cannot be read");
                        None
                    }
                },
            };
            return Ok(Some(EventDetail { event, data, erased_at, deliveries }));
        }
    }

    async fn was_moved(&self, workspace: WorkspaceId, event: &Event, payload: Position) -> Result<bool, Refused> {
        self.read(|views| {
            let now =
                views.event(workspace, &event.id).map(|(event, _)| (views.erased_at(event), views.payload_of(event)));
            now != Some((None, payload))
        })
        .await
    }

    /// What became of an event for each webhook, or for the one that is named; `None` when there is no such event or webhook.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn explain(
        &self,
        workspace: WorkspaceId,
        id: EventId,
        webhook: Option<WebhookId>,
    ) -> Result<Option<Vec<Explanation>>, Refused> {
        self.read(move |views| views.explain(workspace, &id, webhook)).await
    }

    /// How a webhook is doing; `None` when there is no such webhook.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn health(&self, workspace: WorkspaceId, webhook: WebhookId) -> Result<Option<WebhookHealth>, Refused> {
        self.read(move |views| views.health(workspace, webhook, self.0.clock.now())).await
    }

    /// Watches the attempts of all workspaces as they end, tests too; [`Handle::ended`] shows one.
    pub fn watch(&self) -> Watch {
        self.0.shared.live.watch()
    }

    /// The entry of an attempt that was told of; `None` when it is gone already.
    ///
    /// # Errors
    /// When the engine is overloaded.
    pub async fn ended(&self, ended: Ended) -> Result<Option<AttemptDetail>, Refused> {
        let Some(entry) = self.read(move |views| views.entry(&ended).cloned()).await? else {
            return Ok(None);
        };
        self.blocking(move |handle| Some(handle.detail(entry, false))).await
    }

    /// Waits until the views have taken in all that was durable when this was called, then reads.
    pub(super) async fn read<T>(&self, look: impl FnOnce(&Views) -> T) -> Result<T, Refused> {
        let shared = &self.0.shared;
        let end = shared.durable_end();
        let mut projected = shared.projected.subscribe();
        let reached = tokio::time::timeout(READ_PATIENCE, projected.wait_for(|at| *at >= end)).await;
        if !matches!(reached, Ok(Ok(_))) {
            return Err(Refused::Overloaded);
        }
        Ok(look(&shared.views.read()))
    }

    /// Reading the log is file I/O: not on the caller's runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Handle) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let handle = self.clone();
        tokio::task::spawn_blocking(move || work(&handle)).await.map_err(|_| Refused::Closed)
    }

    fn detail(&self, entry: LogEntry, with_request: bool) -> AttemptDetail {
        let response_body = self.payload(entry.position).unwrap_or_default();
        let request = if with_request { self.request_of(&entry) } else { None };
        AttemptDetail { entry, response_body, request }
    }

    /// What lies beside a record, if anything does. Of a payload that can't be read the process's own log says so.
    fn payload(&self, at: Position) -> Option<Bytes> {
        self.0.shared.records.payload(at).unwrap_or_else(|error| {
            tracing::error!(%at, %error, "a payload cannot be read");
            None
        })
    }

    /// The request of an attempt, made again from the webhook's version that it was sent with.
    fn request_of(&self, entry: &LogEntry) -> Option<SentRequest> {
        let Subject::Delivery(key, event) = &entry.subject else { return None };
        let shared = &self.0.shared;
        let webhook = shared.webhook_at(entry.webhook, entry.attempt.webhook_version)?;
        let (is_erased, at, revision) = {
            let views = shared.views.read();
            let revision = views.delivery(event.workspace, *key)?.cell.revision;
            (views.erased_at(event).is_some(), views.payload_of(event), revision)
        };
        // Of data that can't be read no body is made up.
        let data = if is_erased { None } else { self.payload(at) };
        let directory = shared.directory.read();
        let profile = directory.profile(event.profile)?;
        let mut headers = outgoing::webhook_headers(&webhook, profile, Secrets::Masked).ok()?;
        outgoing::attempt_headers(&mut headers, &event.id, Some(*key), entry.attempt.number);
        outgoing::masked_signature(&mut headers, &webhook, &event.id, entry.attempt.started);
        let body = data.and_then(|data| outgoing::body(&directory, event, &webhook, revision, &data));
        Some(SentRequest { headers: headers_text(&headers), body })
    }
}

fn bare(row: &DeliveryRow, views: &Views) -> DeliveryDetail {
    DeliveryDetail { row: row.clone(), status: views.status_of(&row.cell), attempts: Vec::new() }
}
