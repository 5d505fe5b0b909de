//! Publishing: the events that come in, without a copy of their data, and what is said to each.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use postrider_core::command::Accepted;
use postrider_core::limits::BATCH_EVENTS_MAX;
use postrider_engine::EventDraft;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::error::{ApiError, Code, Fault};

/// An event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EventIn<'a> {
    /// The idempotency key: 1 to 128 of `A-Z a-z 0-9 _ : -`. Generated when absent.
    #[serde(default)]
    #[schema(example = "reply-4711")]
    pub id: Option<String>,
    /// A type of the profile's catalogue.
    #[serde(rename = "type")]
    #[schema(example = "MESSAGE_REPLIED")]
    pub event_type: String,
    /// When it happened: RFC 3339 with any offset. By default the time of acceptance.
    #[serde(default)]
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    pub created: Option<String>,
    /// An object; kept byte for byte.
    #[serde(borrow)]
    #[schema(value_type = Object)]
    pub data: &'a RawValue,
}

impl EventIn<'_> {
    /// For the engine; `data` stays where it lies in `body`.
    pub fn draft(self, body: &Bytes) -> EventDraft {
        EventDraft {
            id: self.id,
            event_type: self.event_type,
            created: self.created,
            data: body.slice_ref(self.data.get().as_bytes()),
        }
    }
}

/// The id of an event of which something else is wrong.
#[derive(Deserialize)]
pub struct IdIn {
    /// If it is one.
    #[serde(default)]
    pub id: Option<String>,
}

/// The elements of an array up to the most that a batch may have, and how many there are.
pub struct Bounded<T> {
    pub items: Vec<T>,
    pub count: usize,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = Bounded<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Bounded<T>, A::Error> {
                let mut items = Vec::new();
                while items.len() < BATCH_EVENTS_MAX {
                    match seq.next_element()? {
                        Some(item) => items.push(item),
                        None => {
                            let count = items.len();
                            return Ok(Bounded { items, count });
                        }
                    }
                }
                let mut count = items.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                Ok(Bounded { items, count })
            }
        }
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

/// An event that was accepted.
#[derive(Serialize, ToSchema)]
pub struct AcceptedView {
    /// Given or generated.
    #[schema(example = "reply-4711")]
    pub id: String,
    /// The same event had been accepted before; nothing was created.
    #[schema(example = false)]
    pub duplicate: bool,
    /// Webhooks that it goes to.
    #[schema(example = 1)]
    pub deliveries: u32,
}

impl From<Accepted> for AcceptedView {
    fn from(accepted: Accepted) -> AcceptedView {
        AcceptedView { id: accepted.id.to_string(), duplicate: accepted.duplicate, deliveries: accepted.deliveries }
    }
}

/// An event that was refused.
#[derive(Serialize, ToSchema)]
pub struct RefusedView {
    /// Null where none could be read.
    pub id: Option<String>,
    pub error: EntryError,
}

/// Why an event of a batch was refused.
#[derive(Serialize, ToSchema)]
pub struct EntryError {
    pub code: Code,
    /// One sentence for a person.
    pub message: String,
    /// Field by field, where fields are to blame.
    pub errors: Vec<Fault>,
}

impl RefusedView {
    /// The entry of an event that was refused.
    pub fn new(id: Option<String>, error: ApiError) -> RefusedView {
        let ApiError { code, message, errors, .. } = error;
        RefusedView { id, error: EntryError { code, message, errors } }
    }
}

/// What is said to one event of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Entry {
    Accepted(AcceptedView),
    Refused(RefusedView),
}

/// Nothing was accepted.
#[derive(Serialize, ToSchema)]
pub struct BatchRefused {
    /// Always `error`.
    #[schema(value_type = String, example = "error")]
    pub status: &'static str,
    pub code: Code,
    pub message: String,
    pub errors: Vec<Fault>,
    /// Of a batch: one entry an event, in order.
    #[schema(required = false)]
    pub data: Vec<Entry>,
}
