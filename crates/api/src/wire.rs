//! What clients send and see. These types are the API's own, converted from and to the domain's, so that neither renames the other's.

pub mod catalogue;
pub mod delivery;
pub mod event;
pub mod health;
pub mod log;
pub mod publish;
pub mod replay;
pub mod stats;
pub mod webhook;
pub mod workspace;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Headers and body of a request or a response.
#[derive(Serialize, ToSchema)]
pub struct Message {
    /// Values of headers that were sent several times are joined by commas.
    #[schema(example = json!({"content-type": "application/json", "x-webhook-secret": "***"}))]
    headers: BTreeMap<String, String>,
    /// As text; null once the event was erased.
    body: Option<String>,
}

impl Message {
    /// From what the engine keeps of it.
    pub fn new(headers: &[(String, String)], body: Option<&[u8]>) -> Message {
        let mut joined: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in headers {
            joined
                .entry(name.clone())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(value);
                })
                .or_insert_with(|| value.clone());
        }
        Message { headers: joined, body: body.map(|body| text(body).into_owned()) }
    }
}

/// Bytes as text; what is not UTF-8 is replaced.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// JSON as it was written; `None` for bytes that are not JSON.
pub fn raw(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(bytes).ok()?;
    RawValue::from_string(text.to_owned()).ok()
}
