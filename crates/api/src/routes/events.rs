//! `GET` and `DELETE` of `/v1/events`: what was published, and how it is erased.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::{EventId, WebhookId};
use postrider_engine::{Cursor, EventFilter, ListName, PageQuery, paginate};

use super::catalogue::known_type;
use super::logs::event_id;
use crate::auth::{All, Caller, Read};
use crate::envelope::{self, List, One};
use crate::error::ApiError;
use crate::extract::Id;
use crate::openapi::Errors;
use crate::query::{NoQuery, Query, Reader, list_parameters};
use crate::state::Api;
use crate::wire::event::{EventView, EventWithDeliveries, ExplanationView};

list_parameters! {
    /// Which events.
    EventParameters {
        /// With this id.
        #[param(pattern = "^[A-Za-z0-9_:-]{1,128}$")]
        id "id"
        /// Of this type.
        #[param(pattern = "^[A-Za-z0-9._-]{1,128}$")]
        event_type "eventType"
        /// Of this campaign, as text.
        campaign_id "campaignId"
        /// Accepted at this time or later: RFC 3339.
        #[param(format = DateTime)]
        since "since"
        /// Accepted before this time: RFC 3339.
        #[param(format = DateTime)]
        until "until"
    }
}

/// Lists events.
#[utoipa::path(get, operation_id = "listEvents", path = "/v1/events", tag = "events", params(EventParameters),
    responses((status = 200, description = "A page of events.", body = List<EventView>), Errors))]
pub async fn list(
    State(api): State<Api>,
    caller: Caller<Read>,
    Query(parameters): Query<EventParameters>,
) -> Result<Response, ApiError> {
    let profile = api.handle().profile_of(caller.workspace)?;
    let (filter, query) = read(parameters, |name| profile.knows_type(name))?;
    let page = api.handle().events(caller.workspace, filter, query).await?;
    Ok(envelope::list(page.map(|event| EventView::from(&event)), &query))
}

/// What the parameters ask for, checked.
pub fn read(
    parameters: EventParameters,
    knows_type: impl Fn(&str) -> bool,
) -> Result<(EventFilter, PageQuery), ApiError> {
    let mut reader = Reader::default();
    let filter = EventFilter {
        id: event_id(&mut reader, "id", &parameters.id),
        event_type: known_type(&mut reader, &parameters.event_type, knows_type),
        since: reader.time("since", &parameters.since),
        until: reader.time("until", &parameters.until),
        campaign: parameters.campaign_id.clone(),
    };
    let query = reader.page(ListName::Events, parameters.page_text());
    reader.finish((filter, query))
}

/// Shows an event with its data and its deliveries.
#[utoipa::path(get, operation_id = "getEvent", path = "/v1/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 200, description = "The event.", body = One<EventWithDeliveries>), Errors))]
pub async fn get(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<EventId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let found = api.handle().event(caller.workspace, id).await?;
    let event = found.ok_or_else(|| ApiError::not_found("event"))?;
    Ok(envelope::one(StatusCode::OK, "The event.", EventWithDeliveries::from(&event)))
}

list_parameters! {
    /// Which webhooks.
    ExplainParameters {
        /// Only this one.
        #[param(value_type = Option<u64>, minimum = 1, maximum = 9007199254740991i64)]
        webhook_id "webhookId"
    }
}

/// Explains an event: for each webhook what became of it, or why it was not chosen, as decided at the time.
#[utoipa::path(get, operation_id = "explainEvent", path = "/v1/events/{id}/explain", tag = "events",
    params(("id" = String, Path), ExplainParameters),
    responses((status = 200, description = "One entry a webhook.", body = List<ExplanationView>), Errors))]
pub async fn explain(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<EventId>,
    Query(parameters): Query<ExplainParameters>,
) -> Result<Response, ApiError> {
    let mut reader = Reader::default();
    let must = "must be the id of a webhook";
    let webhook = reader.value("webhookId", &parameters.webhook_id, must, |text| text.parse::<WebhookId>().ok());
    let query = reader.page(ListName::Explanations, parameters.page_text());
    let (webhook, query) = reader.finish((webhook, query))?;
    let found = api.handle().explain(caller.workspace, id, webhook).await?;
    let found = found.ok_or_else(|| ApiError::not_found("event or webhook"))?;
    let newest_first = |cursor: Option<Cursor>| {
        let places = found.iter().rev().map(|explanation| ((explanation.webhook.0, 0), explanation));
        places.filter(move |(place, _)| cursor.is_none_or(|cursor| *place < cursor))
    };
    Ok(envelope::list(
        paginate(ListName::Explanations, query, newest_first, |_| true).map(ExplanationView::from),
        &query,
    ))
}

/// Erases an event's data and cancels what is pending of it. Its attempts stay visible.
#[utoipa::path(delete, operation_id = "eraseEvent", path = "/v1/events/{id}", tag = "events", params(("id" = String, Path)),
    responses((status = 204, description = "Erased."), Errors))]
pub async fn erase(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<EventId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    api.handle().erase_event(caller.workspace, id).await?;
    Ok(envelope::nothing())
}
