//! The catalogue of a profile, and where deliveries come from.

use postrider_core::profile::{EventTypes, Profile};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// An event type.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventTypeView {
    /// What events name it by; where any type is allowed, the pattern that its name has to fit.
    #[schema(example = "MESSAGE_REPLIED")]
    name: String,
    #[schema(example = "Message replied")]
    display_name: String,
    description: String,
    /// The JSON Schema of `data`.
    #[schema(value_type = Object)]
    schema: Option<Box<RawValue>>,
    /// A whole `data`.
    #[schema(value_type = Object)]
    sample: Option<Box<RawValue>>,
}

/// Every entry of a profile's catalogue, in its order.
pub fn entries(profile: &Profile) -> Vec<EventTypeView> {
    let raw = |json: &str| super::raw(json.as_bytes());
    match &profile.event_types {
        EventTypes::Listed(listed) => {
            let view = |entry: &postrider_core::profile::EventType| EventTypeView {
                name: entry.name.to_string(),
                display_name: entry.display_name.to_string(),
                description: entry.description.to_string(),
                schema: raw(&entry.schema),
                sample: raw(&entry.sample),
            };
            listed.iter().map(view).collect()
        }
        EventTypes::Any(any) => vec![EventTypeView {
            name: any.pattern.as_str().to_owned(),
            display_name: "Any type".to_owned(),
            description: "Every type whose name fits the pattern can be published.".to_owned(),
            schema: raw(r#"{"type":"object"}"#),
            sample: raw(&any.sample),
        }],
    }
}

/// Where deliveries come from.
#[derive(Serialize, ToSchema)]
pub struct EgressView {
    /// For receivers' firewalls.
    #[schema(example = json!(["203.0.113.7"]))]
    pub addresses: Vec<String>,
}
