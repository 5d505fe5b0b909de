//! Replays: a webhook's past events sent again, counted beforehand, looked at, paused, resumed and cancelled.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::replay::ReplayState;
use postrider_core::{ReplayId, WebhookId};

use crate::auth::{All, Caller, Read};
use crate::envelope::{self, One};
use crate::error::ApiError;
use crate::extract::{Id, Json, Nothing, OptionalJson};
use crate::openapi::{BodyErrors, Errors};
use crate::query::NoQuery;
use crate::state::Api;
use crate::wire::replay::{ReplayCounts, ReplaySettings, ReplayView, StartedReplay};

/// Sends past events to a webhook again, or counts them. Deliveries that ended begin a new schedule; they become due as the webhook's queue
/// has room, so that fresh events are not held up.
#[utoipa::path(post, operation_id = "startReplay", path = "/v1/webhooks/{webhookId}/replay", tag = "replays",
    params(("webhookId" = u64, Path)), request_body = ReplaySettings,
    responses((status = 202, description = "Begun.", body = One<StartedReplay>),
        (status = 200, description = "Counted, with `dryRun`; nothing is sent.", body = One<ReplayCounts>), BodyErrors))]
pub async fn start(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(webhook): Id<WebhookId>,
    _: NoQuery,
    Json(settings): Json<ReplaySettings>,
) -> Result<Response, ApiError> {
    let (wish, is_dry) = settings.read()?;
    let count = api.handle().count_replay(caller.workspace, webhook, &wish).await?;
    let counts = ReplayCounts::from(count);
    if is_dry {
        return Ok(envelope::one(StatusCode::OK, "This is what the replay would come to now.", counts));
    }
    let replay = api.handle().start_replay(caller.workspace, webhook, wish).await?;
    let started = StartedReplay { replay_id: replay.id.to_string(), counts };
    Ok(envelope::one(StatusCode::ACCEPTED, "The replay has begun.", started))
}

/// Shows how far a replay is.
#[utoipa::path(get, operation_id = "getReplay", path = "/v1/replays/{id}", tag = "replays", params(("id" = String, Path)),
    responses((status = 200, description = "As it is now.", body = One<ReplayView>), Errors))]
pub async fn get(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<ReplayId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let found = api.handle().replay(caller.workspace, id).await?;
    let replay = found.ok_or_else(|| ApiError::not_found("replay"))?;
    Ok(envelope::one(StatusCode::OK, "The replay.", ReplayView::from(&replay)))
}

/// Pauses a replay; what it made due goes on.
#[utoipa::path(post, operation_id = "pauseReplay", path = "/v1/replays/{id}/pause", tag = "replays", params(("id" = String, Path)),
    responses((status = 200, description = "Paused.", body = One<ReplayView>), BodyErrors))]
pub async fn pause(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<ReplayId>,
    _: NoQuery,
    _: OptionalJson<Nothing>,
) -> Result<Response, ApiError> {
    let replay = api.handle().change_replay(caller.workspace, id, ReplayState::Paused).await?;
    Ok(envelope::one(StatusCode::OK, "The replay is paused.", ReplayView::from(&replay)))
}

/// Lets a paused replay go on.
#[utoipa::path(post, operation_id = "resumeReplay", path = "/v1/replays/{id}/resume", tag = "replays", params(("id" = String, Path)),
    responses((status = 200, description = "Running.", body = One<ReplayView>), BodyErrors))]
pub async fn resume(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<ReplayId>,
    _: NoQuery,
    _: OptionalJson<Nothing>,
) -> Result<Response, ApiError> {
    let replay = api.handle().change_replay(caller.workspace, id, ReplayState::Running).await?;
    Ok(envelope::one(StatusCode::OK, "The replay goes on.", ReplayView::from(&replay)))
}

/// Ends a replay; what it made due goes on. One that is over stays as it is.
#[utoipa::path(delete, operation_id = "cancelReplay", path = "/v1/replays/{id}", tag = "replays", params(("id" = String, Path)),
    responses((status = 204, description = "It makes nothing more due."), Errors))]
pub async fn cancel(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<ReplayId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    api.handle().change_replay(caller.workspace, id, ReplayState::Cancelled).await?;
    Ok(envelope::nothing())
}
