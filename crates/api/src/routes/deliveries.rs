//! `/v1/deliveries`: one event for one webhook each.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::delivery::Status;
use postrider_core::{DeliveryKey, WorkspaceId};
use postrider_engine::{DeliveryDetail, DeliveryFilter, ListName, PageQuery};
use utoipa::openapi::Object;

use super::catalogue::known_type;
use crate::auth::{All, Caller, Read};
use crate::envelope::{self, List, One};
use crate::error::ApiError;
use crate::extract::{Id, Nothing, OptionalJson};
use crate::openapi::{BodyErrors, Errors, words};
use crate::query::{NoQuery, Query, Reader, list_parameters};
use crate::state::Api;
use crate::wire::delivery::{DeliveryView, DeliveryWithAttempts};

list_parameters! {
    /// Which deliveries.
    DeliveryParameters {
        /// For this webhook.
        #[param(value_type = Option<u64>, minimum = 1, maximum = 9007199254740991i64)]
        webhook_id "webhookId"
        /// Of this type.
        #[param(pattern = "^[A-Za-z0-9._-]{1,128}$")]
        event_type "eventType"
        /// In this state.
        #[param(schema_with = statuses)]
        status "status"
    }
}

/// All states.
pub const STATUSES: [Status; 5] =
    [Status::Pending, Status::Succeeded, Status::Exhausted, Status::Removed, Status::Cancelled];

fn statuses() -> Object {
    words("In this state.", STATUSES.iter().copied().map(Status::as_str), "pending")
}

/// Lists deliveries, those of the newest event first.
#[utoipa::path(get, operation_id = "listDeliveries", path = "/v1/deliveries", tag = "deliveries", params(DeliveryParameters),
    responses((status = 200, description = "A page of deliveries.", body = List<DeliveryView>), Errors))]
pub async fn list(
    State(api): State<Api>,
    caller: Caller<Read>,
    Query(parameters): Query<DeliveryParameters>,
) -> Result<Response, ApiError> {
    let profile = api.handle().profile_of(caller.workspace)?;
    let (filter, query) = read(&parameters, |name| profile.knows_type(name))?;
    let page = api.handle().deliveries(caller.workspace, filter, query).await?;
    Ok(envelope::list(page.map(|delivery| DeliveryView::from(&delivery)), &query))
}

/// What the parameters ask for, checked.
pub fn read(
    parameters: &DeliveryParameters,
    knows_type: impl Fn(&str) -> bool,
) -> Result<(DeliveryFilter, PageQuery), ApiError> {
    let mut reader = Reader::default();
    let filter = DeliveryFilter {
        webhook: reader
            .value("webhookId", &parameters.webhook_id, "must be the id of a webhook", |text| text.parse().ok()),
        event_type: known_type(&mut reader, &parameters.event_type, knows_type),
        status: reader.word("status", &parameters.status, &STATUSES, Status::as_str),
    };
    let query = reader.page(ListName::Deliveries, parameters.page_text());
    reader.finish((filter, query))
}

/// Shows a delivery with its attempts.
#[utoipa::path(get, operation_id = "getDelivery", path = "/v1/deliveries/{id}", tag = "deliveries", params(("id" = String, Path)),
    responses((status = 200, description = "The delivery.", body = One<DeliveryWithAttempts>), Errors))]
pub async fn get(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(key): Id<DeliveryKey>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let delivery = find(&api, caller.workspace, key).await?;
    Ok(envelope::one(StatusCode::OK, "The delivery.", DeliveryWithAttempts::from(&delivery)))
}

/// Makes a delivery due now.
#[utoipa::path(post, operation_id = "retryDelivery", path = "/v1/deliveries/{id}/retry", tag = "deliveries", params(("id" = String, Path)),
    responses((status = 202, description = "Due now.", body = One<DeliveryView>), BodyErrors))]
pub async fn retry(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(key): Id<DeliveryKey>,
    _: NoQuery,
    _: OptionalJson<Nothing>,
) -> Result<Response, ApiError> {
    api.handle().retry(caller.workspace, key).await?;
    let delivery = find(&api, caller.workspace, key).await?;
    Ok(envelope::one(StatusCode::ACCEPTED, "The delivery is due now.", DeliveryView::from(&delivery)))
}

async fn find(api: &Api, workspace: WorkspaceId, key: DeliveryKey) -> Result<DeliveryDetail, ApiError> {
    let found = api.handle().delivery(workspace, key).await?;
    found.ok_or_else(|| ApiError::not_found("delivery"))
}
