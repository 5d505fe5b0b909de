//! The description of the API, made of the handlers' own types, and the parts that several routes share in it.

use std::collections::BTreeMap;

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Header, Object, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder, Schema, Type,
};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};

use crate::error::ErrorBody;
use crate::wire::publish::{AcceptedView, BatchRefused, Entry, EventIn};

#[derive(OpenApi)]
#[openapi(
    info(title = "Postrider", description = "A webhook delivery engine: publish events, subscribe webhooks, watch deliveries."),
    components(schemas(ErrorBody, BatchRefused)),
    modifiers(&Keys),
    security(("apiKey" = []), ("bearer" = [])),
    tags(
        (name = "workspaces", description = "Workspaces and their keys, by the admin key."),
        (name = "webhooks", description = "Subscriptions: where events go, and what came of it."),
        (name = "events", description = "What is published."),
        (name = "deliveries", description = "One event for one webhook each."),
        (name = "replays", description = "Past events sent again to a webhook, step by step."),
        (name = "operations", description = "For operators; no key is needed."),
    )
)]
struct Frame;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let header = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-api-key")));
        components.add_security_scheme("apiKey", header);
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}

/// The document around the routes.
pub fn frame() -> utoipa::openapi::OpenApi {
    Frame::openapi()
}

/// One of these words; what is made so is told its description here, not by a comment.
pub fn words<'a>(description: &str, words: impl Iterator<Item = &'a str>, example: &str) -> Object {
    let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words));
    word.description(Some(description)).examples([example]).build()
}

/// A body that may be left out is described as one that may be null, which it may not.
pub fn say_left_out(document: &mut utoipa::openapi::OpenApi) {
    let operations = document.paths.paths.values_mut().flat_map(|item| [&mut item.post, &mut item.patch]);
    let bodies = operations.flatten().filter_map(|operation| operation.request_body.as_mut());
    for schema in bodies.flat_map(|body| body.content.values_mut()).filter_map(|form| form.schema.as_mut()) {
        let real = match schema {
            RefOr::T(Schema::OneOf(either)) => either.items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned(),
            _ => None,
        };
        if let Some(real) = real {
            *schema = real;
        }
    }
}

/// What `POST /v1/events` takes as JSON.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the forms; the handler tells them apart without it")]
pub enum EventForms<'a> {
    /// One event.
    One(EventIn<'a>),
    /// At most 10,000.
    Many(Vec<EventIn<'a>>),
}

/// What `POST /v1/events` answers as `data`.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the forms; the handler tells them apart without it")]
pub enum AcceptedForms {
    /// To one event.
    One(AcceptedView),
    /// To a batch, in order.
    Many(Vec<Entry>),
}

/// Errors of requests without a body.
pub struct Errors;
/// Errors of requests with a JSON body, and of those that the state can refuse.
pub struct BodyErrors;
/// Errors of publishing.
pub struct PublishErrors;

const COMMON: [(&str, &str); 6] = [
    ("401", "No key, or one that is not known."),
    ("403", "The key may not do this."),
    ("404", "There is no such thing, or it belongs to another workspace."),
    ("422", "errors names each field or parameter to mend."),
    ("429", "The key has made its requests of this minute; Retry-After says when to go on."),
    ("503", "Overloaded, or the log cannot be written; Retry-After says when to try again."),
];
const CONFLICT: (&str, &str) = ("409", "The state does not allow it.");
const OF_BODIES: [(&str, &str); 4] = [
    ("400", "The body is not JSON, or did not arrive whole."),
    ("408", "The body came too slowly."),
    ("413", "The body is too large."),
    ("415", "The message names the header to send."),
];

fn responses<'a>(errors: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> BTreeMap<String, RefOr<Response>> {
    let response = |(status, description): &(&str, &str)| {
        let schema = if (*status, *description) == BATCH { "BatchRefused" } else { "ErrorBody" };
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
        let mut response = ResponseBuilder::new().description(*description).content("application/json", content);
        if matches!(*status, "429" | "503") {
            let seconds = ObjectBuilder::new().schema_type(Type::Integer).build();
            response = response.header("Retry-After", Header::new(seconds));
        }
        ((*status).to_owned(), RefOr::T(response.build()))
    };
    errors.into_iter().map(response).collect()
}

const BATCH: (&str, &str) = ("422", "Nothing was accepted. Of a batch, data says why for each event.");

impl IntoResponses for Errors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(&COMMON)
    }
}

impl IntoResponses for BodyErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        responses(COMMON.iter().chain(&OF_BODIES).chain([&CONFLICT]))
    }
}

impl IntoResponses for PublishErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        // Publishing is not counted, and names nothing that could be missing.
        let common = COMMON.iter().filter(|(status, _)| !matches!(*status, "404" | "429"));
        responses(common.chain(&OF_BODIES).chain([&CONFLICT, &BATCH]))
    }
}
