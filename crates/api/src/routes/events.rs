//! `GET /v1/events`: what was published.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::EventId;
use postrider_engine::{EventFilter, PageQuery};

use super::catalogue::known_type;
use super::logs::event_id;
use crate::auth::{Caller, Read};
use crate::envelope::{self, List, One};
use crate::error::ApiError;
use crate::extract::Id;
use crate::openapi::Errors;
use crate::query::{NoQuery, Query, Reader, list_parameters};
use crate::state::Api;
use crate::wire::event::{EventView, EventWithDeliveries};

list_parameters! {
    /// Which events.
    EventParameters {
        /// With this id.
        id "id"
        /// Of this type.
        event_type "eventType"
        /// Of this campaign, as text.
        campaign_id "campaignId"
        /// Accepted at this time or later: RFC 3339.
        since "since"
        /// Accepted before this time: RFC 3339.
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
    Ok(envelope::list(page.map(|event| EventView::from(&*event)), &query))
}

fn read(parameters: EventParameters, knows_type: impl Fn(&str) -> bool) -> Result<(EventFilter, PageQuery), ApiError> {
    let mut reader = Reader::default();
    let filter = EventFilter {
        id: event_id(&mut reader, "id", &parameters.id),
        event_type: known_type(&mut reader, &parameters.event_type, knows_type),
        since: reader.time("since", &parameters.since),
        until: reader.time("until", &parameters.until),
        campaign: parameters.campaign_id.clone(),
    };
    let query = reader.page(parameters.page_text());
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
    Ok(envelope::one(
        StatusCode::OK,
        "The event.",
        EventWithDeliveries::from(&event),
    ))
}
