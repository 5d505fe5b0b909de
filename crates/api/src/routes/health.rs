//! `/v1/webhooks/{id}/health`: how a webhook is doing.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::WebhookId;

use crate::auth::{Caller, Read};
use crate::envelope::{self, One};
use crate::error::ApiError;
use crate::extract::Id;
use crate::openapi::Errors;
use crate::query::NoQuery;
use crate::state::Api;
use crate::wire::health::HealthView;

/// Shows how a webhook is doing: what is pending, and how its last attempts went. Tests are not counted.
#[utoipa::path(get, operation_id = "getWebhookHealth", path = "/v1/webhooks/{webhookId}/health", tag = "webhooks", params(("webhookId" = u64, Path)),
    responses((status = 200, description = "As it is now.", body = One<HealthView>), Errors))]
pub async fn get(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<WebhookId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let health = api.handle().health(caller.workspace, id).await?;
    let health = health.ok_or_else(|| ApiError::not_found("webhook"))?;
    Ok(envelope::one(StatusCode::OK, "How the webhook is doing.", HealthView::from(&health)))
}
