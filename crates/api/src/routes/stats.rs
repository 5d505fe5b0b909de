//! `/v1/stats` and `/v1/webhooks/{id}/stats`: how a workspace and a webhook are doing, over time; on demand also by the hour or the day for as
//! long as anything is kept.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postrider_core::{WebhookId, WorkspaceId};
use postrider_engine::{History, HistoryQuery, HistoryStep};
use utoipa::openapi::Object;

use crate::auth::{Caller, Read};
use crate::envelope::{self, One};
use crate::error::ApiError;
use crate::extract::Id;
use crate::openapi::{Errors, words};
use crate::query::{Parameters, Query, Reader};
use crate::state::Api;
use crate::wire::stats::{StatsView, WebhookStatsView};

/// Which history is to be shown with the rest.
#[derive(Default, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct HistoryParameters {
    /// Shows `history` too, in slots of this length.
    #[param(schema_with = steps)]
    pub step: Option<String>,
    /// Slots from the one on in which this time lies: RFC 3339. By default 7 days before the end, with `step=day` 30; at most 750 slots.
    /// Only with `step`.
    #[param(format = DateTime)]
    pub since: Option<String>,
    /// Slots that begin before this time: RFC 3339. By default now. Only with `step`.
    #[param(format = DateTime)]
    pub until: Option<String>,
}

fn steps() -> Object {
    words(
        "Shows `history` too, in slots of this length.",
        HistoryStep::ALL.into_iter().map(HistoryStep::as_str),
        "hour",
    )
}

impl Parameters for HistoryParameters {
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "step" => Some(&mut self.step),
            "since" => Some(&mut self.since),
            "until" => Some(&mut self.until),
            _ => None,
        }
    }
}

impl HistoryParameters {
    fn query(&self) -> Result<Option<HistoryQuery>, ApiError> {
        let mut reader = Reader::default();
        let step = reader.word("step", &self.step, &HistoryStep::ALL, HistoryStep::as_str);
        let (since, until) = (reader.time("since", &self.since), reader.time("until", &self.until));
        if self.step.is_none() {
            for (name, given) in [("since", &self.since), ("until", &self.until)] {
                reader.value(name, given, "is given only together with step", |_| None::<()>);
            }
        }
        reader.finish(step.map(|step| HistoryQuery { step, since, until }))
    }
}

/// Shows how the workspace is doing: its webhooks together, by the minute and the quarter of an hour, and when what is pending comes due;
/// with `step` also by the hour or the day, for as long as attempts are kept.
/// Tests are not counted, nor what was sent to webhooks that were deleted.
#[utoipa::path(get, operation_id = "getStats", path = "/v1/stats", tag = "webhooks",
    params(HistoryParameters),
    responses((status = 200, description = "As it is now.", body = One<StatsView>), Errors))]
pub async fn get(
    State(api): State<Api>,
    caller: Caller<Read>,
    Query(parameters): Query<HistoryParameters>,
) -> Result<Response, ApiError> {
    let asked = parameters.query()?;
    let found = api.handle().statistics(caller.workspace).await?;
    let statistics = found.ok_or_else(|| ApiError::not_found("workspace"))?;
    let history = history(&api, caller.workspace, None, asked).await?;
    Ok(envelope::one(StatusCode::OK, "How the workspace is doing.", StatsView::of(&statistics, history.as_ref())))
}

/// Shows a webhook's attempts by the minute and the quarter of an hour; with `step` also by the hour or the day, for as long as they are kept. Tests are not counted.
#[utoipa::path(get, operation_id = "getWebhookStats", path = "/v1/webhooks/{webhookId}/stats", tag = "webhooks",
    params(("webhookId" = u64, Path), HistoryParameters),
    responses((status = 200, description = "As it is now.", body = One<WebhookStatsView>), Errors))]
pub async fn get_webhook(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<WebhookId>,
    Query(parameters): Query<HistoryParameters>,
) -> Result<Response, ApiError> {
    let asked = parameters.query()?;
    let found = api.handle().series(caller.workspace, id).await?;
    let series = found.ok_or_else(|| ApiError::not_found("webhook"))?;
    let history = history(&api, caller.workspace, Some(id), asked).await?;
    let view = WebhookStatsView::of(&series, history.as_ref());
    Ok(envelope::one(StatusCode::OK, "The webhook's attempts over time.", view))
}

async fn history(
    api: &Api,
    workspace: WorkspaceId,
    webhook: Option<WebhookId>,
    asked: Option<HistoryQuery>,
) -> Result<Option<History>, ApiError> {
    match asked {
        Some(query) => Ok(api.handle().history(workspace, webhook, query).await?),
        None => Ok(None),
    }
}
