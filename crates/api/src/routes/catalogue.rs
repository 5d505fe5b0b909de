//! `/v1/event-types` and `/v1/egress`: what can be published, and where deliveries come from.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_engine::{ListName, paginate};

use crate::auth::{Caller, Catalogue, Read};
use crate::envelope::{self, List, One};
use crate::error::ApiError;
use crate::openapi::Errors;
use crate::query::{NoQuery, PageParameters, Query, Reader};
use crate::state::Api;
use crate::wire::catalogue::{EgressView, EventTypeView, entries};

/// Lists the event types of the workspace's profile.
#[utoipa::path(get, operation_id = "listEventTypes", path = "/v1/event-types", tag = "events", params(PageParameters),
    responses((status = 200, description = "The catalogue, in its own order.", body = List<EventTypeView>), Errors))]
pub async fn event_types(
    State(api): State<Api>,
    caller: Caller<Catalogue>,
    Query(parameters): Query<PageParameters>,
) -> Result<Response, ApiError> {
    let query = parameters.page_query(ListName::Types)?;
    let profile = api.handle().profile_of(caller.workspace)?;
    let entries = entries(&profile);
    let page = paginate(
        ListName::Types,
        query,
        |cursor| {
            // Places go down along the list, as those of every list do.
            let places = (0..entries.len() as u64).rev().map(|place| (place, 0)).zip(&entries);
            places.filter(move |(place, _)| cursor.is_none_or(|cursor| *place < cursor))
        },
        |_| true,
    );
    Ok(envelope::list(page, &query))
}

/// Names the addresses that deliveries come from.
#[utoipa::path(get, operation_id = "getEgress", path = "/v1/egress", tag = "webhooks",
    responses((status = 200, description = "For receivers' firewalls.", body = One<EgressView>), Errors))]
pub async fn egress(State(api): State<Api>, _: Caller<Read>, _: NoQuery) -> Result<Response, ApiError> {
    let addresses = api.options().egress_addresses.clone();
    Ok(envelope::one(StatusCode::OK, "The addresses that deliveries come from.", EgressView { addresses }))
}

/// The name of a type that the profile knows.
pub fn known_type(reader: &mut Reader, text: &Option<String>, knows: impl Fn(&str) -> bool) -> Option<String> {
    let must = "is not an event type of this workspace's profile";
    reader.value("eventType", text, must, |text| knows(text).then(|| text.to_owned()))
}
