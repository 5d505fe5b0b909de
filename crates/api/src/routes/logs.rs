//! `/v1/webhooks/{id}/logs`: one entry an attempt.

use axum::extract::State;
use axum::response::Response;
use postrider_core::attempt::Outcome;
use postrider_core::{EventId, WebhookId};
use postrider_engine::{ListName, LogFilter, PageQuery};
use utoipa::openapi::Object;

use super::catalogue::known_type;
use crate::auth::{Caller, Read};
use crate::envelope::{self, List};
use crate::error::ApiError;
use crate::extract::Id;
use crate::openapi::{Errors, words};
use crate::query::{Query, Reader, list_parameters};
use crate::state::Api;
use crate::wire::log::LogEntryView;

list_parameters! {
    /// Which entries of a log.
    LogParameters {
        /// Of this type.
        #[param(pattern = "^[A-Za-z0-9._-]{1,128}$")]
        event_type "eventType"
        /// With this outcome; `failed` is a test's.
        #[param(schema_with = outcomes)]
        outcome "outcome"
        /// With this status.
        #[param(value_type = Option<u16>, minimum = 100, maximum = 999)]
        status_code "statusCode"
        /// Of this event.
        #[param(pattern = "^[A-Za-z0-9_:-]{1,128}$")]
        event_id "eventId"
        /// Started at this time or later: RFC 3339.
        #[param(format = DateTime)]
        since "since"
        /// Started before this time: RFC 3339.
        #[param(format = DateTime)]
        until "until"
    }
}

/// All outcomes.
pub const OUTCOMES: [Outcome; 6] =
    [Outcome::Succeeded, Outcome::Retrying, Outcome::Exhausted, Outcome::Removed, Outcome::Cancelled, Outcome::Failed];

fn outcomes() -> Object {
    words("With this outcome; `failed` is a test's.", OUTCOMES.iter().copied().map(Outcome::as_str), "retrying")
}

/// Lists a webhook's attempts.
#[utoipa::path(get, operation_id = "listLogs", path = "/v1/webhooks/{webhookId}/logs", tag = "webhooks", params(("webhookId" = u64, Path), LogParameters),
    responses((status = 200, description = "A page of attempts.", body = List<LogEntryView>), Errors))]
pub async fn list(
    State(api): State<Api>,
    caller: Caller<Read>,
    Id(id): Id<WebhookId>,
    Query(parameters): Query<LogParameters>,
) -> Result<Response, ApiError> {
    let handle = api.handle();
    handle.webhook(caller.workspace, id).ok_or_else(|| ApiError::not_found("webhook"))?;
    let profile = handle.profile_of(caller.workspace)?;
    let (filter, query) = read(&parameters, |name| profile.knows_type(name))?;
    let page = handle.logs(caller.workspace, id, filter, query).await?;
    Ok(envelope::list(page.map(|detail| LogEntryView::from(&detail)), &query))
}

/// What the parameters ask for, checked.
pub fn read(parameters: &LogParameters, knows_type: impl Fn(&str) -> bool) -> Result<(LogFilter, PageQuery), ApiError> {
    let mut reader = Reader::default();
    let status = |text: &str| text.parse().ok().filter(|code| (100..1000).contains(code) && text.len() == 3);
    let filter = LogFilter {
        event_type: known_type(&mut reader, &parameters.event_type, knows_type),
        outcome: reader.word("outcome", &parameters.outcome, &OUTCOMES, Outcome::as_str),
        status_code: reader.value("statusCode", &parameters.status_code, "must be a number from 100 to 999", status),
        event_id: event_id(&mut reader, "eventId", &parameters.event_id),
        since: reader.time("since", &parameters.since),
        until: reader.time("until", &parameters.until),
    };
    let query = reader.page(ListName::Logs, parameters.page_text());
    reader.finish((filter, query))
}

/// The id of an event, there or not.
pub fn event_id(reader: &mut Reader, name: &str, text: &Option<String>) -> Option<String> {
    let must = "must be 1 to 128 of A-Z, a-z, 0-9, _, : and -";
    reader.value(name, text, must, |text| text.parse::<EventId>().ok().map(|id| id.to_string()))
}
