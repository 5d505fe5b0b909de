//! `POST /v1/events`: one event, an array of them, or one a line.
//!
//! The way in that has to be fast: one pass over a well-formed body, and each event's data stays where it lies in it. Only what does not
//! fit is read a second time, to say why.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use postrider_core::EventId;
use postrider_core::event::NewEvent;
use postrider_core::ids::EVENT_ID_CHARS_MAX;
use postrider_core::limits::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX};
use postrider_core::profile::Profile;
use postrider_engine::{Refused, check_event};
use serde_json::value::RawValue;

use crate::auth::{Caller, Publish};
use crate::body::{self, check_encoding, is_of_type};
use crate::envelope::{self, One};
use crate::error::{ApiError, Code};
use crate::json::{self, Object};
use crate::limits::PARSE_INLINE_BYTES_MAX;
use crate::openapi::{AcceptedForms, EventForms, PublishErrors};
use crate::query::NoQuery;
use crate::state::Api;
use crate::wire::publish::{AcceptedView, BatchRefused, Bounded, Entry, EventIn, IdIn, RefusedView};

/// Publishes events. Those that are accepted are durable when this answers.
#[utoipa::path(post, operation_id = "publishEvents", path = "/v1/events", tag = "events",
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[A-Za-z0-9_:-]{1,128}$", description = "The id of a single event; agrees with its id where both are given.")),
    request_body(content((EventForms = "application/json", example = json!({"id": "reply-4711", "type": "MESSAGE_REPLIED",
            "data": {"campaign": {"id": 7, "name": "Spring"}, "contact": {"id": 1, "firstName": "Ada"}}})), (String = "application/x-ndjson")),
        description = "One event, an array of at most 10,000, or one a line; 16 MiB."),
    responses((status = 202, description = "Accepted: the event, or an entry for each of a batch.", body = One<AcceptedForms>), PublishErrors))]
pub async fn publish(
    State(api): State<Api>,
    caller: Caller<Publish>,
    _: NoQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let form = form_of(request.headers())?;
    let key = idempotency_key(request.headers())?;
    let profile = api.handle().profile_of(caller.workspace)?;
    let received = body::read(request.into_body(), api.bodies(), BATCH_BYTES_MAX).await?;
    let publication =
        Publication { form, key, profile, data_bytes_max: api.options().event_bytes_max, body: received.bytes.clone() };
    let parsed = if received.bytes.len() <= PARSE_INLINE_BYTES_MAX {
        publication.parse()
    } else {
        let parsed = tokio::task::spawn_blocking(move || publication.parse()).await;
        parsed.unwrap_or_else(|_| Err(Refused::Closed.into()))
    };
    match parsed? {
        Parsed::Single(event) => {
            let answers = api.handle().publish_all(caller.workspace, vec![event]).await?;
            let accepted = answers.into_iter().next().unwrap_or(Err(Refused::Closed))?;
            let message = if accepted.duplicate { "This event had been accepted before." } else { "Event accepted." };
            Ok(envelope::one(StatusCode::ACCEPTED, message, AcceptedView::from(accepted)))
        }
        Parsed::Batch(events) => publish_batch(&api, &caller, events).await,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Lines,
}

fn form_of(headers: &HeaderMap) -> Result<Form, ApiError> {
    check_encoding(headers)?;
    if is_of_type(headers, "application/json") {
        Ok(Form::Json)
    } else if is_of_type(headers, "application/x-ndjson") {
        Ok(Form::Lines)
    } else {
        Err(ApiError::new(
            Code::UnsupportedMediaType,
            "Send the header Content-Type: application/json, or application/x-ndjson for one event a line.",
        ))
    }
}

const KEY_HEADER: &str = "Idempotency-Key";
const KEY_MUST: &str = "must be 1 to 128 of A-Z, a-z, 0-9, _, : and -";

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut keys = headers.get_all(KEY_HEADER).iter();
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(key), None) => match key.to_str() {
            Ok(key) => Ok(Some(key.to_owned())),
            Err(_) => Err(ApiError::field(KEY_HEADER, KEY_MUST)),
        },
        (Some(_), Some(_)) => Err(ApiError::field(KEY_HEADER, "is given twice")),
    }
}

/// A request to publish, read.
struct Publication {
    form: Form,
    key: Option<String>,
    profile: Arc<Profile>,
    data_bytes_max: usize,
    body: Bytes,
}

enum Parsed {
    Single(NewEvent),
    Batch(Vec<Checked>),
}

/// An event of a batch: its id, if one was given, and whether it can be published.
type Checked = Result<(Option<String>, NewEvent), RefusedView>;

impl Publication {
    fn parse(mut self) -> Result<Parsed, ApiError> {
        let first = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
        let is_batch = self.form == Form::Lines || first == Some(&b'[');
        if is_batch && self.key.is_some() {
            return Err(ApiError::field(KEY_HEADER, "goes with a single event; give each event of a batch its id"));
        }
        match self.form {
            Form::Lines => self.lines().map(Parsed::Batch),
            Form::Json if is_batch => self.array().map(Parsed::Batch),
            Form::Json => self.single().map(Parsed::Single),
        }
    }

    fn single(&mut self) -> Result<NewEvent, ApiError> {
        let mut event = read_event(&self.body)?;
        if let Some(key) = self.key.take() {
            if key.parse::<EventId>().is_err() {
                return Err(ApiError::field(KEY_HEADER, KEY_MUST));
            }
            let id = event.id.get_or_insert_with(|| key.clone());
            if *id != key {
                return Err(ApiError::field("id", "differs from the header Idempotency-Key"));
            }
        }
        self.check(event)
    }

    fn array(&self) -> Result<Vec<Checked>, ApiError> {
        if let Ok(events) = serde_json::from_slice::<Bounded<Object<EventIn<'_>>>>(&self.body) {
            check_count(events.count)?;
            return Ok(events.items.into_iter().map(|event| self.entry(event.0)).collect());
        }
        json::check_syntax(&self.body)?;
        let events: Bounded<&RawValue> = json::typed(&self.body)?;
        check_count(events.count)?;
        Ok(events.items.into_iter().map(|raw| self.entry_of(raw.get().as_bytes())).collect())
    }

    fn lines(&self) -> Result<Vec<Checked>, ApiError> {
        let lines = || self.body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        check_count(lines().count())?;
        Ok(lines().map(|line| self.entry_of(line)).collect())
    }

    fn entry_of(&self, bytes: &[u8]) -> Checked {
        match read_event(bytes) {
            Ok(event) => self.entry(event),
            Err(error) => {
                let id = serde_json::from_slice::<Object<IdIn>>(bytes).ok().and_then(|object| object.0.id);
                Err(refused(id, error))
            }
        }
    }

    fn entry(&self, event: EventIn<'_>) -> Checked {
        let id = event.id.clone();
        match self.check(event) {
            Ok(event) => Ok((id, event)),
            Err(error) => Err(refused(id, error)),
        }
    }

    fn check(&self, event: EventIn<'_>) -> Result<NewEvent, ApiError> {
        let checked = check_event(&self.profile, event.draft(&self.body), self.data_bytes_max);
        checked.map_err(|error| Refused::from(error).into())
    }
}

/// Reads an event; a second time where it does not fit, to say why.
fn read_event(bytes: &[u8]) -> Result<EventIn<'_>, ApiError> {
    match serde_json::from_slice::<Object<EventIn<'_>>>(bytes) {
        Ok(event) => Ok(event.0),
        Err(_) => {
            json::check_syntax(bytes)?;
            json::typed::<Object<EventIn<'_>>>(bytes).map(|event| event.0)
        }
    }
}

fn check_count(count: usize) -> Result<(), ApiError> {
    match count {
        0 => Err(ApiError::field("body", "has no events; send at least one")),
        1..=BATCH_EVENTS_MAX => Ok(()),
        _ => Err(ApiError::new(
            Code::PayloadTooLarge,
            format!("The batch has more than the {BATCH_EVENTS_MAX} events that are taken at once."),
        )),
    }
}

/// What is not an id is not repeated.
fn refused(id: Option<String>, error: ApiError) -> RefusedView {
    RefusedView::new(id.filter(|id| id.len() <= EVENT_ID_CHARS_MAX), error)
}

async fn publish_batch(api: &Api, caller: &Caller<Publish>, checked: Vec<Checked>) -> Result<Response, ApiError> {
    let mut events = Vec::with_capacity(checked.len());
    let mut waiting = Vec::with_capacity(checked.len());
    for one in checked {
        waiting.push(one.map(|(id, event)| {
            events.push(event);
            id
        }));
    }
    let mut answers = api.handle().publish_all(caller.workspace, events).await?.into_iter();
    let mut accepted = 0;
    let mut unavailable = None;
    let mut entries = Vec::with_capacity(waiting.len());
    for one in waiting {
        let id = match one {
            Ok(id) => id,
            Err(refused) => {
                entries.push(Entry::Refused(refused));
                continue;
            }
        };
        match answers.next().unwrap_or(Err(Refused::Closed)) {
            Ok(answer) => {
                accepted += 1;
                entries.push(Entry::Accepted(answer.into()));
            }
            Err(refusal) => {
                let error = ApiError::from(refusal);
                if error.retry_after.is_some() {
                    unavailable = Some(error.clone());
                }
                entries.push(Entry::Refused(refused(id, error)));
            }
        }
    }
    let count = entries.len();
    match (accepted, unavailable) {
        (0, Some(error)) => Err(error),
        (0, None) => Ok(none_accepted(entries).into_response()),
        _ => Ok(envelope::one(StatusCode::ACCEPTED, format!("{accepted} of {count} events accepted."), entries)),
    }
}

fn none_accepted(data: Vec<Entry>) -> Response {
    let code = Code::ValidationFailed;
    let body = BatchRefused {
        status: "error",
        code,
        message: "None of the events was accepted; data says why for each.".to_owned(),
        errors: Vec::new(),
        data,
    };
    envelope::json(code.status(), &body)
}
