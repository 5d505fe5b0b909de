//! Profiles: what makes a workspace behave as Genesy, Snaily or Standard Webhooks, as data.
//!
//! One TOML file holds a profile whole: catalogue, schemas, samples, envelope, secret header, retry policy, terminal rule. It is compiled
//! once, at load; checking an event and rendering a body are then each one pass over the event's bytes, without a tree.
//! Nothing in the code asks for a profile's name. A profile is fixed by the hash of its text, which the log records, so that a body
//! rendered again from the same event is the same bytes. A text that is not fully understood is refused, never half applied.

mod catalogue;
mod date_time;
mod depth;
mod envelope;
mod pick;
mod rules;
mod schema;
mod shape;
mod template;
mod types;
mod wire;

pub use catalogue::{AnyType, EventType, EventTypes, TypePattern};
pub use date_time::is_date_time;
pub use depth::depth_within;
pub use rules::{CreatedForm, CreatedRule, SecretRule, Terminal};
pub use shape::ERRORS_MAX;

use crate::invalid::FieldError;
use crate::limits::JSON_DEPTH_MAX;
use crate::policy::RetryPolicy;
use crate::signing::Scheme;
use envelope::Envelope;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// A profile's identity: the SHA-256 of its TOML text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileHash(pub [u8; 32]);

impl ProfileHash {
    /// The hash of a profile's text.
    pub fn of(toml: &str) -> ProfileHash {
        ProfileHash(Sha256::digest(toml.as_bytes()).into())
    }
}

impl fmt::Display for ProfileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ProfileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProfileHash({self})")
    }
}

/// Why a text is not a profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, a key that no profile has, a key that is missing, or a value of the wrong type.
    #[error("not a profile: {0}")]
    Form(String),
    /// A value that cannot be meant: `field` is its path in the TOML.
    #[error("{}: {}", .0.field, .0.message)]
    Value(FieldError),
}

impl From<FieldError> for ProfileError {
    fn from(error: FieldError) -> ProfileError {
        ProfileError::Value(error)
    }
}

/// A compiled profile. Equal profiles have equal texts.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What workspaces name it by.
    pub name: Box<str>,
    /// For people.
    pub title: Box<str>,
    /// What the log names it by.
    pub hash: ProfileHash,
    /// The text it was compiled from.
    pub toml: Box<str>,
    /// Which events can be published.
    pub event_types: EventTypes,
    /// How a webhook's secret is sent; `None` when the profile has no secret header.
    pub secret: Option<SecretRule>,
    /// Webhooks always sign, by this scheme unless they name another; `None` when only those sign that wish to.
    pub signing: Option<Scheme>,
    /// The retry policy of webhooks that have no own.
    pub retry: RetryPolicy,
    /// What becomes of a delivery whose schedule is used up.
    pub terminal: Terminal,
    /// Whether webhooks can have `campaignIds`.
    pub has_campaigns: bool,
    /// Whether webhooks can have `customFields`.
    pub has_custom_fields: bool,
    /// Whether a webhook must have a `name`.
    pub name_required: bool,
    /// How an event's `created` is treated.
    pub created: CreatedRule,
    /// Whether a 410 turns the webhook off.
    pub gone_disables: bool,
    envelope: Envelope,
}

impl PartialEq for Profile {
    fn eq(&self, other: &Profile) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Profile {}

/// An event as the envelope sees it.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its type's name.
    pub event_type: &'a str,
    /// Its time as receivers see it.
    pub created: &'a str,
    /// Its payload: the bytes of a JSON object that passed [`Profile::check`].
    pub data: &'a [u8],
}

/// What the check of an event's `data` found out on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The campaign's id as text: a string's content, a number as it was written.
    pub campaign: Option<Box<str>>,
    /// The event's own time, which is `created` when none was given.
    pub created: Option<Box<str>>,
}

/// The profile of workspaces that the server tells those who run it.
pub const OPERATOR: &str = "operator";

/// The built-in profiles: name and TOML text.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("genesy", include_str!("../profiles/genesy.toml")),
    ("snaily", include_str!("../profiles/snaily.toml")),
    ("standard", include_str!("../profiles/standard.toml")),
    (OPERATOR, include_str!("../profiles/operator.toml")),
];

impl Profile {
    /// Compiles a profile.
    ///
    /// # Errors
    /// When anything in it is unknown, missing or contradictory: also when a sample does not pass its own schema.
    pub fn parse(toml: &str) -> Result<Profile, ProfileError> {
        let text: wire::ProfileToml = ::toml::from_str(toml).map_err(|e| ProfileError::Form(e.to_string()))?;
        let campaign = text.campaign.as_ref().map(|c| rules::path("campaign.id", &c.id)).transpose()?;
        let look_in =
            text.custom_fields.as_ref().map(|c| rules::paths("custom_fields.look_in", &c.look_in)).transpose()?;
        Ok(Profile {
            name: rules::name(&text.name)?,
            title: rules::label("title", &text.title)?,
            hash: ProfileHash::of(toml),
            toml: toml.into(),
            secret: text.secret.as_ref().map(rules::secret).transpose()?,
            signing: rules::signing(&text)?,
            retry: rules::retry(&text.retry)?,
            terminal: text.terminal,
            has_campaigns: campaign.is_some(),
            has_custom_fields: look_in.is_some(),
            name_required: text.name_required,
            created: CreatedRule { form: text.created.form, unique: text.created.unique },
            gone_disables: text.gone_disables,
            envelope: Envelope::compile(&text.envelope, look_in.as_deref())?,
            event_types: catalogue::compile(&text, campaign.as_deref())?,
        })
    }

    /// The profiles that are built in, compiled.
    pub fn built_in() -> [Profile; 4] {
        BUILT_IN
            .map(|(_, toml)| Profile::parse(toml).expect("the built-in texts are constants and a test compiles each"))
    }

    /// As [`parse`](Self::parse), but each text that is built in is compiled only once: a log says them again and again.
    ///
    /// # Errors
    /// See [`parse`](Self::parse).
    pub fn shared(toml: &str) -> Result<Arc<Profile>, ProfileError> {
        static BUILT_IN: LazyLock<[Arc<Profile>; 4]> = LazyLock::new(|| Profile::built_in().map(Arc::new));
        match BUILT_IN.iter().find(|profile| &*profile.toml == toml) {
            Some(profile) => Ok(Arc::clone(profile)),
            None => Profile::parse(toml).map(Arc::new),
        }
    }

    /// The catalogue's entry; `None` for a type that is unknown, and for every type where any is allowed.
    pub fn event_type(&self, name: &str) -> Option<&EventType> {
        match &self.event_types {
            EventTypes::Listed(listed) => listed.iter().find(|t| &*t.name == name),
            EventTypes::Any(_) => None,
        }
    }

    /// Whether events of this type can be published.
    pub fn knows_type(&self, name: &str) -> bool {
        match &self.event_types {
            EventTypes::Listed(_) => self.event_type(name).is_some(),
            EventTypes::Any(any) => any.pattern.matches(name),
        }
    }

    /// The sample of a type that the profile knows: the bytes of a `data` object.
    pub fn sample(&self, event_type: &str) -> Option<&[u8]> {
        match &self.event_types {
            EventTypes::Listed(_) => self.event_type(event_type).map(|t| t.sample.as_bytes()),
            EventTypes::Any(any) => any.pattern.matches(event_type).then_some(any.sample.as_bytes()),
        }
    }

    /// Checks an event's type and the bytes of its `data`, in one pass, on any bytes.
    ///
    /// Of members that occur twice the last one counts, here and in [`Profile::render`]; each of them has to be valid.
    ///
    /// # Errors
    /// What is wrong, each with its path from `data` on; at most [`ERRORS_MAX`].
    pub fn check(&self, event_type: &str, data: &[u8]) -> Result<Checked, Vec<FieldError>> {
        let fault = |field, message: String| Err(vec![FieldError::new(field, message)]);
        let shape = match &self.event_types {
            EventTypes::Listed(_) => self.event_type(event_type).map(|t| &t.shape),
            EventTypes::Any(any) => any.pattern.matches(event_type).then_some(&any.shape),
        };
        let Some(shape) = shape else {
            return fault("type", format!("is not an event type of the profile {}", self.name));
        };
        let Ok(text) = std::str::from_utf8(data) else {
            return fault("data", "is not UTF-8".into());
        };
        if !depth_within(data, JSON_DEPTH_MAX) {
            return fault("data", format!("is nested deeper than {JSON_DEPTH_MAX} levels"));
        }
        shape.check(text)
    }

    /// Appends the body that receivers get to `out`: the same bytes for the same arguments.
    ///
    /// Total: of `data` that did not pass [`Profile::check`] it takes what it can read.
    pub fn render(&self, event: &EventView<'_>, custom_fields: &[impl AsRef<str>], out: &mut Vec<u8>) {
        self.envelope.render(event, custom_fields, out);
    }
}

#[cfg(test)]
mod tests;
