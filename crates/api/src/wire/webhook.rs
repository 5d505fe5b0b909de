//! Webhooks: what a customer names, and what is shown of it. Secret and header values go in and never come out.

use std::fmt;

use postrider_core::draft::{Field, PolicyDraft, WebhookDraft};
use postrider_core::policy::{RetryPolicy, format_delay};
use postrider_core::profile::Profile;
use postrider_core::signing::Scheme;
use postrider_core::webhook::{CampaignId, Webhook};
use postrider_engine::public_key_text;
use secrecy::{ExposeSecret, SecretString};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::json::{Object, field};

/// The settings of a webhook: those a new one needs, or those that a change names. `null` sets the default.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookSettings {
    /// 1 to 255 characters; required, but in `snaily`, where the URL's host stands in.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = String, required = false, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", min_length = 1, max_length = 255, example = "CRM")]
    name: Field<String>,
    /// At most 2,000 characters.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<String>, max_length = 2000, example = "Replies to the sales team")]
    description: Field<String>,
    /// Absolute http or https, without user info, not at a refused address. Required.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = String, required = false, example = "https://crm.example.com/hooks/genesy")]
    url: Field<String>,
    /// At least one type of the profile's catalogue. Required.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Vec<String>, required = false, min_items = 1, example = json!(["MESSAGE_REPLIED"]))]
    events: Field<Vec<String>>,
    /// Numbers or strings, compared as text. Empty: of all campaigns. Only in profiles that have campaigns.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<Vec<CampaignForms>>, example = json!([7, "spring"]))]
    campaign_ids: Field<Vec<Campaign>>,
    /// Members of contact and company to send beside the usual ones. Only in profiles that have them.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<Vec<String>>, example = json!(["industry"]))]
    custom_fields: Field<Vec<String>>,
    /// Off: no new events, and pending deliveries wait. On by default.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<bool>, example = true)]
    enabled: Field<bool>,
    /// Sent in the profile's secret header; visible ASCII with inner spaces. In `standard` what requests are signed with: `whsec_` and 24
    /// to 64 bytes in base64, or `whsk_` and an Ed25519 key in base64; made when it is not given. Write-only.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<String>, write_only, example = "correct horse")]
    secret: Field<String>,
    /// At most 20, sent with every request. Write-only: answers show the names.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<BTreeMap<String, String>>, example = json!({"X-Team": "sales"}))]
    headers: Field<Headers>,
    /// Instead of the profile's.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<PolicySettings>)]
    retry_policy: Field<Object<PolicySettings>>,
    /// For a whole attempt: 1,000 to 60,000, by default 15,000.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<u64>, minimum = 1_000, maximum = 60_000, example = 15_000)]
    timeout_ms: Field<u64>,
    /// Attempts a second, at the most.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<Rate>)]
    rate_limit: Field<Object<Rate>>,
    /// Sign requests as Standard Webhooks 1.0. In `standard` they always are, by v1 unless another scheme is named. A new scheme makes a
    /// new secret.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<SigningSettings>)]
    signing: Field<Object<SigningSettings>>,
    /// One delivery at a time, in the order of the events: the next one only once the one before has ended, be it after all of its retries.
    #[serde(default, deserialize_with = "field")]
    #[schema(value_type = Option<bool>, example = false)]
    ordered: Field<bool>,
}

/// How requests are signed.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningSettings {
    scheme: SchemeName,
}

/// `v1`: HMAC-SHA256 with a secret that both sides know. `v1a`: Ed25519, the receiver needs the public key only.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchemeName {
    V1,
    V1a,
}

impl From<SchemeName> for Scheme {
    fn from(name: SchemeName) -> Scheme {
        match name {
            SchemeName::V1 => Scheme::V1,
            SchemeName::V1a => Scheme::V1a,
        }
    }
}

impl From<Scheme> for SchemeName {
    fn from(scheme: Scheme) -> SchemeName {
        match scheme {
            Scheme::V1 => SchemeName::V1,
            Scheme::V1a => SchemeName::V1a,
        }
    }
}

/// A retry policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// 0 to 64 delays, each a number with ms, s, m, h or d, 1 ms to 30 d.
    #[schema(max_items = 64, example = json!(["30s", "5m", "50m"]))]
    delays: Vec<String>,
    /// Up to this share of a delay is added by chance: 0 to 1.
    #[serde(default)]
    #[schema(required = false, minimum = 0, maximum = 1, example = 0.0)]
    jitter: Option<f64>,
}

/// A rate.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// 1 to 100,000.
    #[schema(minimum = 1, maximum = 100_000, example = 10)]
    per_second: u64,
}

impl From<WebhookSettings> for WebhookDraft {
    fn from(wire: WebhookSettings) -> WebhookDraft {
        WebhookDraft {
            name: wire.name,
            description: wire.description,
            url: wire.url,
            events: wire.events,
            campaign_ids: map(wire.campaign_ids, |ids| ids.into_iter().map(|id| id.0).collect()),
            custom_fields: wire.custom_fields,
            enabled: wire.enabled,
            secret: wire.secret,
            headers: map(wire.headers, |headers| headers.0),
            retry_policy: map(wire.retry_policy, |Object(policy)| PolicyDraft {
                delays: policy.delays,
                jitter: policy.jitter.unwrap_or_default(),
            }),
            timeout_ms: wire.timeout_ms,
            rate_limit: map(wire.rate_limit, |Object(rate)| rate.per_second),
            signing: map(wire.signing, |Object(signing)| signing.scheme.into()),
            ordered: wire.ordered,
        }
    }
}

fn map<T, U>(field: Field<T>, f: impl FnOnce(T) -> U) -> Field<U> {
    match field {
        Field::Absent => Field::Absent,
        Field::Null => Field::Null,
        Field::Set(value) => Field::Set(f(value)),
    }
}

/// What a campaign's id can be.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes the forms; both are kept as text")]
enum CampaignForms {
    /// Its text is kept as it was written.
    Number(f64),
    Text(String),
}

/// A campaign's id: a string, or a number whose text is kept.
struct Campaign(CampaignId);

impl<'de> Deserialize<'de> for Campaign {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let (text, is_number) = match raw.as_bytes().first() {
            Some(b'"') => (serde_json::from_str(raw).map_err(de::Error::custom)?, false),
            Some(b'-' | b'0'..=b'9') => (raw.into(), true),
            _ => return Err(de::Error::custom("must be a string or a number")),
        };
        Ok(Campaign(CampaignId { text, is_number }))
    }
}

/// Names with values, in their order; a name that stands twice is there twice, for the draft's check to refuse.
struct Headers(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of names and strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Headers(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A webhook.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookView {
    #[schema(example = 1)]
    id: u64,
    #[schema(example = "CRM")]
    name: String,
    description: Option<String>,
    #[schema(example = "https://crm.example.com/hooks/genesy")]
    url: String,
    #[schema(example = json!(["MESSAGE_REPLIED"]))]
    events: Vec<String>,
    /// As they were given: numbers or strings.
    #[schema(value_type = Vec<CampaignForms>, example = json!([7, "spring"]))]
    campaign_ids: Vec<Box<RawValue>>,
    custom_fields: Vec<String>,
    enabled: bool,
    /// Since when all attempts have failed, where that is why it is off; it is tried now and then, and null as soon as its owner decides.
    #[schema(example = json!(null))]
    failing_since: Option<String>,
    /// Whether a secret is set: in `standard` the one that signs, elsewhere the one for the profile's header.
    has_secret: bool,
    /// The names of its own headers.
    #[schema(example = json!(["X-Team"]))]
    headers: Vec<String>,
    /// The policy in force: the webhook's own or the profile's.
    retry_policy: PolicyView,
    #[schema(example = 15_000)]
    timeout_ms: u64,
    #[schema(value_type = Option<Rate>)]
    rate_limit: Option<Rate>,
    /// How requests are signed; null when they are not.
    #[schema(value_type = Option<SigningSettings>)]
    signing: Option<SigningSettings>,
    /// Whether deliveries go one at a time, in the order of the events.
    ordered: bool,
    /// What receivers check Ed25519 signatures with: `whpk_` and the public key in base64. Null for other schemes.
    #[schema(example = "whpk_2iQBXsCpMMA6VjuZLwmtNdFo+oBLBCg6JGLdLh2kNBE=")]
    signing_public_key: Option<String>,
    /// The secret that was made just now. It is in this answer only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    signing_secret: Option<String>,
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    created_at: String,
    #[schema(example = "2026-02-19T10:30:00.000Z")]
    updated_at: String,
    /// What should be known though the webhook can be used: its host leads to a refused address now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    warnings: Vec<String>,
}

/// A retry policy as it is in force.
#[derive(Serialize, ToSchema)]
pub struct PolicyView {
    #[schema(example = json!(["30s", "5m", "50m"]))]
    delays: Vec<String>,
    #[schema(example = 0.0)]
    jitter: f64,
}

impl From<&RetryPolicy> for PolicyView {
    fn from(policy: &RetryPolicy) -> PolicyView {
        PolicyView {
            delays: policy.delays.iter().copied().map(format_delay).collect(),
            jitter: f64::from(policy.jitter_permille) / 1000.0,
        }
    }
}

impl WebhookView {
    /// The webhook as clients see it, which never shows a secret but one that was made just now.
    pub fn new(webhook: &Webhook, profile: &Profile, warnings: Vec<String>) -> WebhookView {
        let settings = &webhook.settings;
        let key = settings.signing.as_ref().map(|signing| &signing.key);
        let texts = |texts: &[Box<str>]| texts.iter().map(|text| text.to_string()).collect();
        WebhookView {
            id: webhook.id.0,
            name: settings.name.to_string(),
            description: settings.description.as_ref().map(|text| text.to_string()),
            url: settings.url.to_string(),
            events: texts(&settings.events),
            campaign_ids: settings.campaign_ids.iter().filter_map(campaign).collect(),
            custom_fields: texts(&settings.custom_fields),
            enabled: settings.enabled,
            failing_since: webhook.failing_since.map(|since| since.to_string()),
            has_secret: settings.secret.is_some() || (profile.signing.is_some() && key.is_some()),
            headers: settings.headers.iter().map(|(name, _)| name.to_string()).collect(),
            retry_policy: settings.retry_policy.as_ref().unwrap_or(&profile.retry).into(),
            timeout_ms: settings.timeout.0,
            rate_limit: settings.rate_limit.map(|rate| Rate { per_second: u64::from(rate.get()) }),
            signing: key.map(|key| SigningSettings { scheme: key.scheme.into() }),
            ordered: settings.ordered,
            signing_public_key: key.and_then(|key| key.public_key.as_ref()).map(public_key_text),
            signing_secret: None,
            created_at: webhook.created_at.to_string(),
            updated_at: webhook.updated_at.to_string(),
            warnings,
        }
    }
}

impl WebhookView {
    /// With the secret that was made just now.
    pub fn with_secret(mut self, made: Option<&SecretString>) -> WebhookView {
        self.signing_secret = made.map(|secret| secret.expose_secret().to_owned());
        self
    }
}

/// As it was given. Any string can be JSON, and a number's text was one.
fn campaign(id: &CampaignId) -> Option<Box<RawValue>> {
    if id.is_number {
        RawValue::from_string(id.text.to_string()).ok()
    } else {
        serde_json::value::to_raw_value(&id.text).ok()
    }
}

/// How to replace the secret that a webhook signs with.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotationSettings {
    /// For how long the replaced secret signs along: a number with ms, s, m, h or d, up to 30 d; by default `24h`, and `0s` ends it at once.
    #[schema(pattern = "^[0-9]+(ms|s|m|h|d)$", example = "24h")]
    pub grace_period: Option<String>,
}

/// Which sample to send.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestSettings {
    /// By default the webhook's first type.
    #[schema(example = "MESSAGE_REPLIED")]
    pub event_type: Option<String>,
}
