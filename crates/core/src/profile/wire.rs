//! A profile's TOML text as it is written. Every key is listed here; any other is an error.

use super::rules::{CreatedForm, Terminal};
use crate::signing::Scheme;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileToml {
    pub name: String,
    pub title: String,
    pub name_required: bool,
    pub gone_disables: bool,
    pub terminal: Terminal,
    /// JSON: the body, with `"$…"` where the event's parts go.
    pub envelope: String,
    pub retry: RetryToml,
    pub created: CreatedToml,
    pub secret: Option<SecretToml>,
    pub signing: Option<SigningToml>,
    pub campaign: Option<CampaignToml>,
    pub custom_fields: Option<CustomFieldsToml>,
    /// JSON Schemas by name; one may stand in another as `{"$ref": "name"}`.
    #[serde(default)]
    pub schemas: BTreeMap<String, String>,
    /// Instead of `event_types`.
    pub any_type: Option<AnyTypeToml>,
    #[serde(default)]
    pub event_types: Vec<EventTypeToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetryToml {
    pub delays: Vec<String>,
    pub jitter: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreatedToml {
    pub form: CreatedForm,
    pub unique: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretToml {
    pub header: String,
    pub chars_min: usize,
    pub chars_max: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SigningToml {
    /// Of webhooks that name none.
    pub scheme: Scheme,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CampaignToml {
    /// Where in `data` the campaign's id lies.
    pub id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustomFieldsToml {
    /// The objects in `data` where a name is looked up, in this order.
    pub look_in: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnyTypeToml {
    pub pattern: String,
    pub sample: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventTypeToml {
    pub name: String,
    pub display_name: String,
    pub description: String,
    /// The member of `data` that is `created` when none is given.
    pub created_from: Option<String>,
    /// The name of one of `schemas`.
    pub schema: String,
    /// JSON: a whole `data`.
    pub sample: String,
}
