//! `/v1/webhooks`: subscriptions of the caller's workspace.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::draft;
use postrider_core::webhook::Webhook;
use postrider_core::{WebhookId, WorkspaceId};
use postrider_engine::{ListName, SavedWebhook, paginate};

use crate::auth::{All, Caller, Read};
use crate::envelope::{self, List, One};
use crate::error::ApiError;
use crate::extract::{Id, Json, OptionalJson};
use crate::openapi::{BodyErrors, Errors};
use crate::query::{NoQuery, PageParameters, Query};
use crate::state::Api;
use crate::wire::log::TestView;
use crate::wire::webhook::{RotationSettings, TestSettings, WebhookSettings, WebhookView};

/// Makes a webhook.
#[utoipa::path(post, operation_id = "createWebhook", path = "/v1/webhooks", tag = "webhooks", request_body = WebhookSettings,
    responses((status = 201, description = "Made.", body = One<WebhookView>), BodyErrors))]
pub async fn create(
    State(api): State<Api>,
    caller: Caller<All>,
    _: NoQuery,
    Json(settings): Json<WebhookSettings>,
) -> Result<Response, ApiError> {
    let saved = api.handle().create_webhook(caller.workspace, settings.into()).await?;
    let view = view_of_saved(&api, caller.workspace, &saved).await?;
    Ok(envelope::one(StatusCode::CREATED, "Webhook created.", view))
}

/// Lists webhooks.
#[utoipa::path(get, operation_id = "listWebhooks", path = "/v1/webhooks", tag = "webhooks", params(PageParameters),
    responses((status = 200, description = "A page of webhooks.", body = List<WebhookView>), Errors))]
pub async fn list(
    State(api): State<Api>,
    caller: Caller<Read>,
    Query(parameters): Query<PageParameters>,
) -> Result<Response, ApiError> {
    let query = parameters.page_query(ListName::Webhooks)?;
    let profile = api.handle().profile_of(caller.workspace)?;
    let webhooks = api.handle().webhooks(caller.workspace);
    let page = paginate(
        ListName::Webhooks,
        query,
        |cursor| {
            let places = webhooks.iter().map(|webhook| ((webhook.id.0, 0), webhook));
            places.filter(move |(place, _)| cursor.is_none_or(|cursor| *place < cursor))
        },
        |_| true,
    );
    let page = page.map(|webhook| WebhookView::new(webhook, &profile, Vec::new()));
    Ok(envelope::list(page, &query))
}

/// Shows a webhook.
#[utoipa::path(get, operation_id = "getWebhook", path = "/v1/webhooks/{webhookId}", tag = "webhooks", params(("webhookId" = u64, Path)),
    responses((status = 200, description = "The webhook.", body = One<WebhookView>), Errors))]
pub async fn get(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<WebhookId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    let webhook = api.handle().webhook(caller.workspace, id);
    let webhook = webhook.ok_or_else(|| ApiError::not_found("webhook"))?;
    let view = view_with_warnings(&api, caller.workspace, &webhook).await?;
    Ok(envelope::one(StatusCode::OK, "The webhook.", view))
}

/// Changes the settings that are named; `null` sets the default.
#[utoipa::path(patch, operation_id = "changeWebhook", path = "/v1/webhooks/{webhookId}", tag = "webhooks", params(("webhookId" = u64, Path)),
    request_body = WebhookSettings, responses((status = 200, description = "As it is now.", body = One<WebhookView>), BodyErrors))]
pub async fn change(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<WebhookId>,
    _: NoQuery,
    Json(settings): Json<WebhookSettings>,
) -> Result<Response, ApiError> {
    let saved = api.handle().change_webhook(caller.workspace, id, settings.into()).await?;
    let view = view_of_saved(&api, caller.workspace, &saved).await?;
    Ok(envelope::one(StatusCode::OK, "Webhook changed.", view))
}

/// Deletes a webhook and cancels what is pending for it.
#[utoipa::path(delete, operation_id = "deleteWebhook", path = "/v1/webhooks/{webhookId}", tag = "webhooks", params(("webhookId" = u64, Path)),
    responses((status = 204, description = "Gone; nothing more is sent to it."), Errors))]
pub async fn delete(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<WebhookId>,
    _: NoQuery,
) -> Result<Response, ApiError> {
    api.handle().delete_webhook(caller.workspace, id).await?;
    Ok(envelope::nothing())
}

/// Replaces the secret that requests are signed with, and answers the new one, once. The one before it signs along for the grace period.
#[utoipa::path(post, operation_id = "rotateSecret", path = "/v1/webhooks/{webhookId}/rotate-secret", tag = "webhooks",
    params(("webhookId" = u64, Path)), request_body(content = Option<RotationSettings>, description = "May be left out."),
    responses((status = 200, description = "The webhook, with `signingSecret`.", body = One<WebhookView>),
        BodyErrors))]
pub async fn rotate_secret(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<WebhookId>,
    _: NoQuery,
    OptionalJson(settings): OptionalJson<RotationSettings>,
) -> Result<Response, ApiError> {
    let grace = settings.grace_period.as_deref().map_or(Ok(draft::GRACE_DEFAULT), draft::grace_period);
    let grace = grace.map_err(|fault| ApiError::invalid(vec![fault]))?;
    let saved = api.handle().rotate_secret(caller.workspace, id, grace).await?;
    let view = view_of_saved(&api, caller.workspace, &saved).await?;
    Ok(envelope::one(StatusCode::OK, "Secret rotated; signingSecret is in this answer only.", view))
}

/// Sends the sample of a type now, once, also when the webhook is off.
#[utoipa::path(post, operation_id = "testWebhook", path = "/v1/webhooks/{webhookId}/test", tag = "webhooks", params(("webhookId" = u64, Path)),
    request_body(content = Option<TestSettings>, description = "May be left out."),
    responses((status = 200, description = "What came of it, also when the delivery failed.", body = One<TestView>), BodyErrors))]
pub async fn test(
    State(api): State<Api>,
    caller: Caller<All>,
    Id(id): Id<WebhookId>,
    _: NoQuery,
    OptionalJson(settings): OptionalJson<TestSettings>,
) -> Result<Response, ApiError> {
    let event_type = settings.event_type.as_deref();
    let report = api.handle().test_webhook(caller.workspace, id, event_type).await?;
    let view = TestView::from(&report);
    let message =
        if view.success { "The test was delivered." } else { "The test was not delivered; errorMessage says why." };
    Ok(envelope::one(StatusCode::OK, message, view))
}

async fn view_of_saved(api: &Api, workspace: WorkspaceId, saved: &SavedWebhook) -> Result<WebhookView, ApiError> {
    let view = view_with_warnings(api, workspace, &saved.webhook).await?;
    Ok(view.with_secret(saved.signing_secret.as_ref()))
}

async fn view_with_warnings(api: &Api, workspace: WorkspaceId, webhook: &Webhook) -> Result<WebhookView, ApiError> {
    let profile = api.handle().profile_of(workspace)?;
    let warnings = api.handle().warnings(webhook).await;
    Ok(WebhookView::new(webhook, &profile, warnings))
}
