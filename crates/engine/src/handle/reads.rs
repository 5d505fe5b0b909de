//! Reading through the handle. What was answered before a read began is in what it gives.

use std::sync::Arc;

use bytes::Bytes;
use postrider_core::delivery::Status;
use postrider_core::event::Event;
use postrider_core::{DeliveryKey, EventId, Position, Time, WebhookId, WorkspaceId};
use postrider_log::ReadError;

use super::{Handle, READ_PATIENCE, Refused};
use crate::live::{Ended, Watch};
use crate::metering;
use crate::outgoing::{self, Secrets};
use crate::shared::Shared;
use crate::stored::StoredError;
use crate::views::{
    DeliveryFilter, DeliveryRow, EventFilter, Explanation, History, HistoryQuery, LogEntry, LogFilter, Look, Page,
    PageQuery, Statistics, Subject, WebhookHealth, WebhookSeries,
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
    /// While it is pending for an ordered webhook: the delivery that has to end before it is attempted.
    pub blocked_by: Option<DeliveryKey>,
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
        self.look(move |look, handle| {
            let page = look.logs(workspace, webhook, &filter, query)?;
            Ok(page.map(|entry| handle.detail(entry)))
        })
        .await
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
        self.look(move |look, handle| {
            Ok(look.deliveries(workspace, &filter, query)?.map(|row| bare(row, &look, &handle.0.shared)))
        })
        .await
    }

    /// A delivery with its attempts and what each sent; `None` when there is no such delivery.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn delivery(&self, workspace: WorkspaceId, key: DeliveryKey) -> Result<Option<DeliveryDetail>, Refused> {
        self.look(move |look, handle| {
            let Some(row) = look.delivery(workspace, key)? else { return Ok(None) };
            let attempts = look.attempts(&row)?;
            let sent = Sent { payload: look.payload_of(key.event)?, is_erased: look.erased_at(key.event)?.is_some() };
            let attempts = attempts.into_iter().map(|entry| handle.whole_detail(entry, &sent)).collect();
            Ok(Some(DeliveryDetail { attempts, ..bare(row, &look, &handle.0.shared) }))
        })
        .await
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
        self.look(move |look, _| {
            let summary = |event: Arc<Event>| Ok(EventSummary { deliveries: look.deliveries_of(&event)?, event });
            look.events(workspace, &filter, query)?.try_map(summary)
        })
        .await
    }

    /// An event with its payload and deliveries; `None` when there is no such event.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn event(&self, workspace: WorkspaceId, id: EventId) -> Result<Option<EventDetail>, Refused> {
        self.look(move |look, handle| {
            loop {
                let Some(event) = look.event_with_id(workspace, &id)? else { return Ok(None) };
                let (erased_at, at) = (look.erased_at(event.at)?, look.payload_of(event.at)?);
                let data = match erased_at {
                    Some(_) => None,
                    None => match handle.0.shared.records.payload(at) {
                        // Erased or carried between the two looks, which the next look sees.
                        Ok(None) | Err(ReadError::Erased(_))
                            if look.erased_at(event.at)?.is_some() || look.payload_of(event.at)? != at =>
                        {
                            continue;
                        }
                        Ok(data) => data,
                        Err(error) => {
                            tracing::error!(%at, %error, "a payload cannot be read");
                            None
                        }
                    },
                };
                let deliveries =
                    look.deliveries_in(&event)?.into_iter().map(|row| bare(row, &look, &handle.0.shared)).collect();
                return Ok(Some(EventDetail { event, data, erased_at, deliveries }));
            }
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
        self.look(move |look, _| look.explain(workspace, &id, webhook)).await
    }

    /// How a webhook is doing; `None` when there is no such webhook.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn health(&self, workspace: WorkspaceId, webhook: WebhookId) -> Result<Option<WebhookHealth>, Refused> {
        self.projected().await?;
        let health = self.0.shared.views.read().health(workspace, webhook, self.0.clock.now());
        let head = self.0.shared.heads.read().get(&webhook).copied();
        Ok(health.map(|health| WebhookHealth { blocked_by: head.filter(|_| health.pending > 1), ..health }))
    }

    /// What came of a webhook's attempts over time; `None` when there is no such webhook.
    ///
    /// # Errors
    /// When the views are too far behind.
    pub async fn series(&self, workspace: WorkspaceId, webhook: WebhookId) -> Result<Option<WebhookSeries>, Refused> {
        self.projected().await?;
        Ok(self.0.shared.views.read().series(workspace, webhook, self.0.clock.now()))
    }

    /// How a workspace is doing; `None` when there is no such workspace.
    ///
    /// # Errors
    /// When the views are too far behind, or its events cannot be counted.
    pub async fn statistics(&self, workspace: WorkspaceId) -> Result<Option<Statistics>, Refused> {
        self.look(move |look, handle| look.statistics(workspace, handle.0.clock.now())).await
    }

    /// What the attempts of a webhook, or of all webhooks of a workspace, came to by the hour or the day, for as long as they are kept; `None`
    /// when there is no such webhook or workspace.
    ///
    /// # Errors
    /// When the query asks for nothing or too much, the views are too far behind, or what happened earlier cannot be read.
    pub async fn history(
        &self,
        workspace: WorkspaceId,
        webhook: Option<WebhookId>,
        query: HistoryQuery,
    ) -> Result<Option<History>, Refused> {
        let span = query.span(self.0.clock.now()).map_err(Refused::Invalid)?;
        self.look(move |look, _| look.history(workspace, webhook, span)).await
    }

    /// Unfinished deliveries of all webhooks by tier: as many attempts of their present schedule have failed as the place in the list says.
    pub fn pending_by_tier(&self) -> Vec<u64> {
        self.0.shared.views.read().pending_by_tier()
    }

    /// Tells the `metrics` recorder the figures that are counted when they are asked for.
    pub fn tell_levels(&self) {
        metering::pending_by_tier(&self.pending_by_tier());
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
        self.look(move |look, handle| Ok(look.entry(ended.position)?.map(|entry| handle.detail(entry)))).await
    }

    /// Waits until the views have taken in all that was durable when this was called.
    async fn projected(&self) -> Result<(), Refused> {
        let shared = &self.0.shared;
        let end = shared.durable_end();
        let mut projected = shared.projected.subscribe();
        let reached = tokio::time::timeout(READ_PATIENCE, projected.wait_for(|at| *at >= end)).await;
        if matches!(reached, Ok(Ok(_))) { Ok(()) } else { Err(Refused::Overloaded) }
    }

    /// Looks once that is so. Looking is file I/O: not on the caller's runtime.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(Look<'_>, &Handle) -> Result<T, StoredError> + Send + 'static,
    ) -> Result<T, Refused> {
        self.projected().await?;
        let (handle, span) = (self.clone(), tracing::Span::current());
        let looked = move || span.in_scope(|| look(handle.0.shared.look(), &handle));
        let looked = tokio::task::spawn_blocking(looked).await;
        looked.map_err(|_| Refused::Closed)?.map_err(|error| {
            tracing::error!(%error, "what happened earlier cannot be read");
            Refused::Unreadable
        })
    }

    fn detail(&self, entry: LogEntry) -> AttemptDetail {
        let response_body = self.payload(entry.position).unwrap_or_default();
        AttemptDetail { entry, response_body, request: None }
    }

    fn whole_detail(&self, entry: LogEntry, sent: &Sent) -> AttemptDetail {
        let request = self.request_of(&entry, sent);
        AttemptDetail { request, ..self.detail(entry) }
    }

    /// What lies beside a record, if anything does. Of a payload that can't be read the process's own log says so.
    fn payload(&self, at: Position) -> Option<Bytes> {
        self.0.shared.records.payload(at).unwrap_or_else(|error| {
            tracing::error!(%at, %error, "a payload cannot be read");
            None
        })
    }

    /// The request of an attempt, made again from the webhook's version that it was sent with.
    fn request_of(&self, entry: &LogEntry, sent: &Sent) -> Option<SentRequest> {
        let Subject::Delivery(key, event) = &entry.subject else { return None };
        let shared = &self.0.shared;
        let webhook = shared.webhook_at(entry.webhook, entry.attempt.webhook_version)?;
        // Of data that can't be read no body is made up.
        let data = if sent.is_erased { None } else { self.payload(sent.payload) };
        let directory = shared.directory.read();
        let profile = directory.profile(event.profile)?;
        let mut headers = outgoing::webhook_headers(&webhook, profile, Secrets::Masked).ok()?;
        outgoing::attempt_headers(&mut headers, &event.id, Some(*key), entry.attempt.number);
        outgoing::masked_signature(&mut headers, &webhook, &event.id, entry.attempt.started);
        let body = data.zip(entry.revision);
        let body = body.and_then(|(data, revision)| outgoing::body(&directory, event, &webhook, revision, &data));
        Some(SentRequest { headers: headers_text(&headers), body })
    }
}

/// Where the data of the event lies that a request was of.
struct Sent {
    payload: Position,
    is_erased: bool,
}

fn bare(row: DeliveryRow, look: &Look<'_>, shared: &Shared) -> DeliveryDetail {
    let status = look.status_of(&row.cell);
    let blocked_by = (status == Status::Pending).then(|| shared.blocks(row.cell.webhook, row.cell.key)).flatten();
    DeliveryDetail { status, blocked_by, row, attempts: Vec::new() }
}
