//! `/v1/stats` and `/v1/webhooks/{id}/stats`: how a workspace and a webhook are doing, over time.

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
use crate::wire::stats::{StatsView, WebhookStatsView};

/// Shows how the workspace is doing: its webhooks together, by the minute and the quarter of an hour, and when what is pending comes due.
/// Tests are not counted, nor what was sent to webhooks that were deleted.
#[utoipa::path(get, operation_id = "getStats", path = "/v1/stats", tag = "webhooks",
    responses((status = 200, description = "As it is now.", body = One<StatsView>), Errors))]
pub async fn get(State(api): State<Api>, caller: Caller<Read>, _: NoQuery) -> Result<Response, ApiError> {
    let found = api.handle().statistics(caller.workspace).await?;
    let statistics = found.ok_or_else(|| ApiError::not_found("workspace"))?;
    Ok(envelope::one(StatusCode::OK, "How the workspace is doing.", StatsView::from(&statistics)))
}

/// Shows a webhook's attempts by the minute and the quarter of an hour. Tests are not counted.
#[utoipa::path(get, operation_id = "getWebhookStats", path = "/v1/webhooks/{webhookId}/stats", tag = "webhooks",
    params(("webhookId" = u64, Path)),
    responses((status = 200, description = "As it is now.", body = One<WebhookStatsView>), Errors))]
pub async fn get_webhook(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<WebhookId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let found = api.handle().series(caller.workspace, id).await?;
    let series = found.ok_or_else(|| ApiError::not_found("webhook"))?;
    Ok(envelope::one(StatusCode::OK, "The webhook's attempts over time.", WebhookStatsView::from(&series)))
}
