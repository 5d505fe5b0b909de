//! What a customer asks a webhook to be, and what is wrong with it. URLs are checked by those who know addresses, keys
//! by those who sign; all else here.

use std::num::NonZeroU32;

use crate::invalid::FieldError;
use crate::limits;
use crate::policy::{self, RetryPolicy};
use crate::profile::Profile;
use crate::signing::Scheme;
use crate::time::Millis;
use crate::webhook::{CampaignId, TIMEOUT_RANGE};

/// A member of a request: absent, `null`, or there. Absent leaves a setting as it is, `null` sets its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Field<T> {
    /// Not named.
    #[default]
    Absent,
    /// Named as `null`.
    Null,
    /// Named with a value.
    Set(T),
}

impl<T> Field<T> {
    /// The value, if one was given.
    pub fn value(&self) -> Option<&T> {
        match self {
            Field::Set(value) => Some(value),
            Field::Absent | Field::Null => None,
        }
    }

    /// `None` when absent, else the value or what `null` stands for.
    pub fn map_or<U>(self, default: U, set: impl FnOnce(T) -> U) -> Option<U> {
        match self {
            Field::Absent => None,
            Field::Null => Some(default),
            Field::Set(value) => Some(set(value)),
        }
    }
}

/// The settings of a webhook as a customer names them: all for a new one, some for a change. Secret and header values are in the clear.
#[derive(Clone, Default)]
pub struct WebhookDraft {
    /// For people.
    pub name: Field<String>,
    /// For people.
    pub description: Field<String>,
    /// Where to.
    pub url: Field<String>,
    /// Types to send.
    pub events: Field<Vec<String>>,
    /// Campaigns to send.
    pub campaign_ids: Field<Vec<CampaignId>>,
    /// Further members to send.
    pub custom_fields: Field<Vec<String>>,
    /// On or off.
    pub enabled: Field<bool>,
    /// For the profile's secret header; where webhooks always sign, the key that they sign with.
    pub secret: Field<String>,
    /// Sent with every request.
    pub headers: Field<Vec<(String, String)>>,
    /// Instead of the profile's.
    pub retry_policy: Field<PolicyDraft>,
    /// For a whole attempt.
    pub timeout_ms: Field<u64>,
    /// Attempts a second.
    pub rate_limit: Field<u64>,
    /// How to sign.
    pub signing: Field<Scheme>,
    /// In the order of the events, one at a time.
    pub ordered: Field<bool>,
}

/// A retry policy as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyDraft {
    /// Such as `30s`.
    pub delays: Vec<String>,
    /// From 0 to 1.
    pub jitter: f64,
}

/// Names that a webhook's own headers may not have, whole or (with `*`) as a beginning. The profile's secret header comes to them.
const HEADERS_REFUSED: [&str; 11] = [
    "host",
    "content-*",
    "connection",
    "transfer-encoding",
    "postrider-*",
    "webhook-*",
    "keep-alive",
    "proxy-*",
    "te",
    "trailer",
    "upgrade",
];

impl WebhookDraft {
    /// What is wrong with the draft under `profile`; nothing when it can be used. A new webhook needs what a change may leave out.
    pub fn faults(&self, profile: &Profile, is_new: bool) -> Vec<FieldError> {
        let mut faults = Faults::default();
        self.check_name(profile, is_new, &mut faults);
        faults.text_within("description", self.description.value(), 0, limits::DESCRIPTION_CHARS_MAX);
        faults.required("url", &self.url, is_new);
        self.check_events(profile, is_new, &mut faults);
        self.check_campaigns(profile, &mut faults);
        self.check_custom_fields(profile, &mut faults);
        self.check_secret(profile, &mut faults);
        self.check_headers(profile, &mut faults);
        if let Some(draft) = self.retry_policy.value() {
            draft.check(&mut faults);
        }
        if self.timeout_ms.value().is_some_and(|ms| !TIMEOUT_RANGE.contains(ms)) {
            faults.add(
                "timeoutMs",
                format!("must be from {} to {} milliseconds", TIMEOUT_RANGE.start(), TIMEOUT_RANGE.end()),
            );
        }
        if self.rate_limit.value().is_some_and(|&n| n == 0 || n > RATE_MAX) {
            faults.add("rateLimit.perSecond", format!("must be from 1 to {RATE_MAX}"));
        }
        faults.0
    }

    fn check_name(&self, profile: &Profile, is_new: bool, faults: &mut Faults) {
        if profile.name_required || !is_new {
            faults.required("name", &self.name, is_new && profile.name_required);
        }
        faults.text_within("name", self.name.value(), 1, limits::NAME_CHARS_MAX);
    }

    fn check_events(&self, profile: &Profile, is_new: bool, faults: &mut Faults) {
        faults.required("events", &self.events, is_new);
        let Some(events) = self.events.value() else { return };
        if events.is_empty() {
            faults.add("events", "must name at least one event type");
        }
        faults.at_most("events", events.len(), limits::EVENT_TYPES_MAX);
        for (i, name) in events.iter().enumerate() {
            if !profile.knows_type(name) {
                faults.add(format!("events[{i}]"), format!("is not an event type of the profile {}", profile.name));
            }
        }
    }

    fn check_campaigns(&self, profile: &Profile, faults: &mut Faults) {
        let Some(ids) = self.campaign_ids.value() else { return };
        if !profile.has_campaigns && !ids.is_empty() {
            faults.add("campaignIds", format!("must be empty: the profile {} has no campaigns", profile.name));
        }
        faults.at_most("campaignIds", ids.len(), limits::CAMPAIGN_IDS_MAX);
        for (i, id) in ids.iter().enumerate() {
            faults.text_within(&format!("campaignIds[{i}]"), Some(&id.text), 1, limits::LABEL_CHARS_MAX);
        }
    }

    fn check_custom_fields(&self, profile: &Profile, faults: &mut Faults) {
        let Some(fields) = self.custom_fields.value() else {
            return;
        };
        if !profile.has_custom_fields && !fields.is_empty() {
            faults.add("customFields", format!("must be empty: the profile {} has no custom fields", profile.name));
        }
        faults.at_most("customFields", fields.len(), limits::CUSTOM_FIELDS_MAX);
        for (i, field) in fields.iter().enumerate() {
            faults.text_within(&format!("customFields[{i}]"), Some(field), 1, limits::LABEL_CHARS_MAX);
            if fields[..i].contains(field) {
                faults.add(format!("customFields[{i}]"), "is named twice");
            }
        }
    }

    fn check_secret(&self, profile: &Profile, faults: &mut Faults) {
        let Some(secret) = self.secret.value() else { return };
        if profile.signing.is_some() {
            return;
        }
        let Some(rule) = &profile.secret else {
            return faults
                .add("secret", format!("must be left out: the profile {} has no secret header", profile.name));
        };
        let (min, max) = (rule.chars_min, rule.chars_max);
        if !(min..=max).contains(&secret.chars().count()) {
            faults.add("secret", format!("must have {min} to {max} characters"));
        }
        if !is_header_text(secret) {
            faults.add("secret", "must be visible ASCII characters, with spaces only between them");
        }
    }

    fn check_headers(&self, profile: &Profile, faults: &mut Faults) {
        let Some(headers) = self.headers.value() else { return };
        faults.at_most("headers", headers.len(), limits::HEADERS_MAX);
        for (i, (name, value)) in headers.iter().enumerate() {
            let field = format!("headers.{name}");
            if !is_header_name(name) {
                // The name itself may hold anything, so it is not repeated.
                faults.add("headers", "has a name that is not 1 to 128 letters, digits, or - _ . and the like");
                continue;
            }
            let secret_header = profile.secret.as_ref().map(|rule| &*rule.header);
            if is_refused(name) || secret_header.is_some_and(|header| header.eq_ignore_ascii_case(name)) {
                faults.add(&*field, "is set by Postrider and cannot be chosen");
            }
            if headers[..i].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                faults.add(&*field, "is named twice");
            }
            if value.len() > limits::HEADER_VALUE_BYTES_MAX || !(value.is_empty() || is_header_text(value)) {
                let max = limits::HEADER_VALUE_BYTES_MAX;
                faults.add(
                    &*field,
                    format!("must be at most {max} visible ASCII characters, with spaces only between them"),
                );
            }
        }
    }
}

/// The most attempts a second that a webhook's own limit can name.
const RATE_MAX: u64 = 100_000;

impl PolicyDraft {
    fn check(&self, faults: &mut Faults) {
        faults.at_most("retryPolicy.delays", self.delays.len(), policy::DELAYS_MAX);
        for (i, delay) in self.delays.iter().enumerate() {
            if let Err(error) = policy::parse_delay(delay) {
                faults.add(format!("retryPolicy.delays[{i}]"), error.to_string());
            }
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            faults.add("retryPolicy.jitter", "must be a number from 0 to 1");
        }
    }

    /// The policy, if [`WebhookDraft::faults`] found nothing wrong with it.
    pub fn policy(&self) -> Option<RetryPolicy> {
        let delays: Option<Box<[Millis]>> = self.delays.iter().map(|d| policy::parse_delay(d).ok()).collect();
        Some(RetryPolicy { delays: delays?, jitter_permille: (self.jitter * 1000.0).round() as u16 })
    }
}

/// How long a replaced key goes on signing when the request names nothing: a day.
pub const GRACE_DEFAULT: Millis = Millis::from_secs(24 * 3600);

/// Reads how long a replaced key goes on signing: a delay as elsewhere, or `0s`, since a key that was stolen is to be gone at once.
///
/// # Errors
/// When the text is neither.
pub fn grace_period(text: &str) -> Result<Millis, FieldError> {
    if ["0ms", "0s", "0m", "0h", "0d"].contains(&text) {
        return Ok(Millis(0));
    }
    policy::parse_delay(text).map_err(|error| FieldError::new("gracePeriod", error.to_string()))
}

/// The rate, if [`WebhookDraft::faults`] found nothing wrong with it.
pub fn rate_limit(per_second: u64) -> Option<NonZeroU32> {
    u32::try_from(per_second).ok().and_then(NonZeroU32::new)
}

fn is_header_name(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(token)
}

/// Visible ASCII with spaces inside only: what every receiver reads as it was written.
fn is_header_text(value: &str) -> bool {
    value.bytes().all(|b| (b' '..=b'~').contains(&b))
        && !value.is_empty()
        && !value.starts_with(' ')
        && !value.ends_with(' ')
}

fn is_refused(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HEADERS_REFUSED.iter().any(|refused| match refused.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *refused,
    })
}

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(field, message));
    }

    fn required<T>(&mut self, name: &str, field: &Field<T>, is_new: bool) {
        match field {
            Field::Null => self.add(name, "cannot be null"),
            Field::Absent if is_new => self.add(name, "is required"),
            Field::Absent | Field::Set(_) => {}
        }
    }

    fn at_most(&mut self, name: &str, count: usize, max: usize) {
        if count > max {
            self.add(name, format!("can have at most {max} entries"));
        }
    }

    fn text_within(&mut self, name: &str, text: Option<impl AsRef<str>>, min: usize, max: usize) {
        let Some(text) = text else { return };
        let text = text.as_ref();
        if !(min..=max).contains(&text.chars().count()) {
            self.add(name, format!("must have {min} to {max} characters"));
        } else if text.chars().any(char::is_control) {
            self.add(name, "must not contain control characters");
        }
    }
}
